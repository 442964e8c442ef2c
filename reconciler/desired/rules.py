"""What a schema cannot say: identities, references, cycles and depth of nesting, policies. All pure, over one draft."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from reconciler.desired.codes import Code
from reconciler.desired.documents import Draft, Placed, Places
from reconciler.desired.places import Finding, Path
from reconciler.model.diagnostic import Severity, Source
from reconciler.model.resource import ENTERPRISE_SCHEMA, DesiredGroup, DesiredUser, Kind, Reference
from reconciler.model.state import Exclusive, Override
from reconciler.model.tenant import Limits, Owned, People
from reconciler.semantics.canonical import fold
from reconciler.semantics.graph import deepest_chains, find_cycles, reachable, shortest_path
from reconciler.semantics.nearest import Nearest

_MOST_NAMES_SHOWN = 12


def check_rules(draft: Draft) -> Iterator[Finding]:
    """Every problem between documents, in no particular order."""
    index = _Index.of(draft)
    yield from _duplicates(draft)
    yield from _renames(draft, index)
    yield from _second_configurations(draft)
    yield from _beside_access(draft)
    resolved = _Resolved(draft, index)
    yield from resolved.findings
    yield from _nesting(draft, index, resolved.nested)
    yield from _policies(draft, index, resolved)
    yield from check_guarding(draft)


def check_guarding(draft: Draft) -> Iterator[Finding]:
    """The problems of Policy and Override documents that can be seen without any other document."""
    yield from _exclusives(draft)
    yield from _overrides(draft)


def _overrides(draft: Draft) -> Iterator[Finding]:
    """Days that no calendar has, and changes that two overrides speak of: of those nobody knows which is meant."""
    earlier: dict[tuple[str, str], Source] = {}
    for placed in draft.overrides:
        override = placed.value
        try:
            date.fromisoformat(override.expires)
        except ValueError:
            message = f"there is no day {override.expires}"
            yield _about(placed, Code.OVERRIDE, message, "write the last day on which it is to count", "expires")
        both = [earlier[override.guard, change] for change in override.changes if (override.guard, change) in earlier]
        if both:
            first = min(both, key=lambda source: (source.file, source.line))
            message = f"a change is let through {override.guard} twice; first at {first.file}:{first.line}"
            yield _about(placed, Code.OVERRIDE, message, "keep one of the two", "changes")
        for change in override.changes:
            earlier.setdefault((override.guard, change), override.source)


def _exclusives(draft: Draft) -> Iterator[Finding]:
    names: dict[str, Placed[Exclusive]] = {}
    for placed in draft.exclusives:
        rule = placed.value
        first = names.setdefault(fold(rule.name), placed)
        if first is not placed:
            message = f"the rule `{rule.name}` is declared twice; first in {first.file}"
            yield _about(placed, Code.POLICY, message, "give every rule a name of its own", "name")
        if len({*map(fold, rule.roles)}) + len({*map(fold, rule.groups)}) < 2:
            message = f"the rule `{rule.name}` excludes nothing: it names fewer than two roles and groups"
            yield _about(placed, Code.POLICY, message, "name at least two, in `roles`, in `groups` or one in each")


@dataclass(frozen=True, slots=True)
class _Index:
    """Ordinals of users and groups by folded name, and by externalId."""

    users: Mapping[str, int]
    groups: Mapping[str, int]
    user_ids: Mapping[str, int]
    group_ids: Mapping[str, int]

    @classmethod
    def of(cls, draft: Draft) -> _Index:
        """The first of several that claim the same name counts; the others are reported elsewhere."""
        users: dict[str, int] = {}
        groups: dict[str, int] = {}
        user_ids: dict[str, int] = {}
        group_ids: dict[str, int] = {}
        for ordinal, user in enumerate(draft.users):
            users.setdefault(_folded(user.user_name), ordinal)
            if user.external_id is not None:
                user_ids.setdefault(user.external_id, ordinal)
        for ordinal, group in enumerate(draft.groups):
            groups.setdefault(_folded(group.display_name), ordinal)
            if group.external_id is not None:
                group_ids.setdefault(group.external_id, ordinal)
        return cls(users, groups, user_ids, group_ids)


def _duplicates(draft: Draft) -> Iterator[Finding]:
    user_names = [_folded(user.user_name) for user in draft.users]
    group_names = [_folded(group.display_name) for group in draft.groups]
    yield from _repeated(Code.SAME_USER_NAME, "userName", user_names, draft.users, draft.user_places)
    yield from _repeated(Code.SAME_GROUP_NAME, "displayName", group_names, draft.groups, draft.group_places)
    user_ids = [user.external_id for user in draft.users]
    group_ids = [group.external_id for group in draft.groups]
    yield from _repeated(Code.SAME_USER_ID, "externalId", user_ids, draft.users, draft.user_places)
    yield from _repeated(Code.SAME_GROUP_ID, "externalId", group_ids, draft.groups, draft.group_places)


def _repeated(
    code: Code,
    attribute: str,
    keys: Sequence[str | None],
    resources: Sequence[DesiredUser | DesiredGroup],
    places: Places,
) -> Iterator[Finding]:
    """One finding for each resource that repeats the key of an earlier one, naming both places."""
    first: dict[str, int] = {}
    for ordinal, key in enumerate(keys):
        if key is None:
            continue
        earlier = first.setdefault(key, ordinal)
        if earlier != ordinal:
            other = resources[earlier]
            is_name = attribute != "externalId"
            value = resources[ordinal].key.name if is_name else key
            first_place = _at(other) if is_name else f"{_at(other)}, for {other.key}"
            yield Finding(
                code=code,
                message=f"{attribute} `{value}` is declared twice; first at {first_place}",
                file=resources[ordinal].source.file,
                document=places.documents[ordinal],
                paths=places.paths(ordinal, attribute),
                help="merge the two" + ("; names are compared without case" if is_name else ", or mend one of the ids"),
            )


def _renames(draft: Draft, index: _Index) -> Iterator[Finding]:
    yield from _renames_of("userName", draft.users, draft.user_places, index.users)
    yield from _renames_of("displayName", draft.groups, draft.group_places, index.groups)


def _renames_of(
    attribute: str, resources: Sequence[DesiredUser | DesiredGroup], places: Places, names: Mapping[str, int]
) -> Iterator[Finding]:
    """`previously` that cannot do what it is for."""
    claimed: dict[str, int] = {}
    for ordinal, resource in enumerate(resources):
        if resource.previously is None:
            continue
        old = fold(resource.previously)
        earlier = claimed.setdefault(old, ordinal)
        severity = Severity.ERROR
        if old == fold(resource.key.name):
            message, help_ = f"`previously` is the {attribute} it has now", "write the old name, or remove it"
        elif earlier != ordinal:
            other = resources[earlier]
            message, help_ = (
                f"{other.key} at {_at(other)} says the same `previously`",
                "only one can have had that name",
            )
        elif old in names:
            other = resources[names[old]]
            severity = Severity.WARNING
            message = f"`previously` has no effect: {other.key} at {_at(other)} has that name now"
            help_ = "remove it once the rename is applied"
        else:
            continue
        yield Finding(
            code=Code.PREVIOUSLY,
            message=message,
            file=resource.source.file,
            document=places.documents[ordinal],
            paths=places.paths(ordinal, "previously"),
            help=help_,
            severity=severity,
        )


def _second_configurations(draft: Draft) -> Iterator[Finding]:
    for placed in draft.configurations[1:]:
        first = draft.configurations[0].value.source
        yield Finding(
            code=Code.SECOND_CONFIGURATION,
            message=f"a second ServiceProviderConfig; the first is at {first.file}:{first.line}",
            file=placed.file,
            document=placed.document,
            paths=(("kind",),),
            help="a tenant has exactly one: merge them",
        )


def _beside_access(draft: Draft) -> Iterator[Finding]:
    """One warning for all that users state and git does not manage, where people come from elsewhere."""
    placed = draft.tenant_place
    if placed is not None and draft.beside_access:
        counted = ", ".join(f"{name} ({count:,})" for name, count in sorted(draft.beside_access.items()))
        yield Finding(
            code=Code.NOT_MANAGED,
            message=f"users state more than their access, and it has no effect: {counted}",
            file=placed.file,
            document=placed.document,
            paths=(("people",),),
            help="with `people: external` git manages roles, entitlements and groups; take the rest out of the files",
            severity=Severity.WARNING,
        )


class _Resolved:
    """What references resolve to. `nested` and `direct` map groups (by ordinal) to member groups and to users.

    The user's side (`groups:`) and the group's side (`members:`) are united (SPEC section 3). `direct` is kept only
    where a policy asks for it: half a million memberships take room.
    """

    def __init__(self, draft: Draft, index: _Index) -> None:
        self.findings: list[Finding] = []
        self.nested: dict[int, list[int]] = {}
        self.direct: dict[int, array[int]] = {}
        self._keep_direct = any(placed.value.groups for placed in draft.exclusives)
        self._draft = draft
        self._index = index
        self._users = Nearest(user.user_name for user in draft.users)
        self._groups = Nearest(group.display_name for group in draft.groups)
        self._targets: dict[int, int | None] = {}
        self._external_names = 0
        self._read_groups()
        self._read_users()
        self._report_external_names()

    def _read_groups(self) -> None:
        for ordinal, group in enumerate(self._draft.groups):
            if not group.members:
                continue
            seen: dict[object, int] = {}
            for position, reference in enumerate(group.members):
                target = self._target(reference)
                if self._is_ambiguous(reference):
                    self._report_ambiguous(reference, self._member_place(ordinal, position, reference))
                elif target is None:
                    self._unknown(reference, self._member_place(ordinal, position, reference))
                elif target < 0:
                    self.nested.setdefault(ordinal, []).append(~target)
                elif self._keep_direct:
                    self.direct.setdefault(ordinal, array("l")).append(target)
                earlier = seen.setdefault(
                    (reference.kind, fold(str(reference))) if target is None else target, position
                )
                if earlier != position:
                    message = f"{reference} is already member number {earlier + 1}"
                    place = self._member_place(ordinal, position, reference)
                    self._find(Code.MEMBER_TWICE, message, place, "remove one of them", Severity.WARNING)

    def _read_users(self) -> None:
        for ordinal, user in enumerate(self._draft.users):
            for position, name in enumerate(user.groups):
                group = self._index.groups.get(fold(name))
                if group is None:
                    place = self._user_place(ordinal, ("groups", position))
                    self._unknown_group(name, place)
                elif self._keep_direct:
                    self.direct.setdefault(group, array("l")).append(ordinal)
            if user.manager is not None and not self._people_are_external and self._target(user.manager) is None:
                key = "userName" if user.manager.name is not None else "externalId"
                tail = ("manager", key)
                place = self._user_place(ordinal, ("enterprise", *tail), (ENTERPRISE_SCHEMA, *tail))
                self._unknown(user.manager, place)

    def _target(self, reference: Reference) -> int | None:
        """The ordinal of the user that a reference names, or its complement (`~ordinal`) for a group.

        Equal references are one object, so each is looked up once.
        """
        key = id(reference)
        if key not in self._targets:
            self._targets[key] = self._look_up(reference)
        return self._targets[key]

    def _look_up(self, reference: Reference) -> int | None:
        index = self._index
        users = groups = None
        if reference.name is not None:
            name = fold(reference.name)
            users = index.users.get(name) if reference.kind is Kind.USER else None
            groups = index.groups.get(name) if reference.kind is Kind.GROUP else None
        elif reference.external_id is not None:
            users = index.user_ids.get(reference.external_id)
            groups = index.group_ids.get(reference.external_id) if reference.kind is None else None
        if users is not None:
            return users
        return None if groups is None else ~groups

    def _is_ambiguous(self, reference: Reference) -> bool:
        index = self._index
        return (
            reference.kind is None
            and reference.external_id in index.user_ids
            and reference.external_id in index.group_ids
        )

    def _report_ambiguous(self, reference: Reference, place: _Place) -> None:
        user = self._draft.users[self._index.user_ids[str(reference.external_id)]]
        group = self._draft.groups[self._index.group_ids[str(reference.external_id)]]
        message = f"{reference} is {user.key} at {_at(user)} and {group.key} at {_at(group)}"
        self._find(Code.AMBIGUOUS_ID, message, place, "name the member by `user` or by `group`")

    def _unknown(self, reference: Reference, place: _Place) -> None:
        """A reference that nothing in git answers to, unless a document that is invalid for other reasons does."""
        if reference.external_id is not None:
            self._unknown_id(reference, place)
        elif reference.kind is Kind.GROUP:
            self._unknown_group(str(reference.name), place)
        else:
            self._unknown_user(str(reference.name), place)

    def _unknown_user(self, name: str, place: _Place) -> None:
        draft = self._draft
        if not draft.complete or fold(name) in draft.claimed_users:
            return
        if self._people_are_external:
            self._external_names += 1
            return
        self._find(
            Code.UNKNOWN_USER, f"no user `{name}` is declared", place, *self._advice(self._users, name, Kind.USER)
        )

    def _unknown_group(self, name: str, place: _Place) -> None:
        draft = self._draft
        if draft.complete and fold(name) not in draft.claimed_groups:
            advice = self._advice(self._groups, name, Kind.GROUP)
            self._find(Code.UNKNOWN_GROUP, f"no group `{name}` is declared", place, *advice)

    def _unknown_id(self, reference: Reference, place: _Place) -> None:
        draft = self._draft
        if not draft.complete or reference.external_id in draft.claimed_ids:
            return
        if self._people_are_external:
            self._external_names += 1
            return
        is_error = self._all_owned(Kind.USER) and (reference.kind is Kind.USER or self._all_owned(Kind.GROUP))
        severity = Severity.ERROR if is_error else Severity.WARNING
        help_ = "declare it, or mend the externalId" if is_error else _ONLY_LIVE
        self._find(Code.UNKNOWN_ID, f"nobody with the {reference} is declared", place, help_, severity)

    def _advice(self, names: Nearest, name: str, kind: Kind) -> tuple[str, Severity]:
        close = names.to(name)
        if self._all_owned(kind):
            return (f"did you mean `{close}`?" if close else "declare it, or mend the name"), Severity.ERROR
        return (f"did you mean `{close}`? {_ONLY_LIVE}" if close else _ONLY_LIVE), Severity.WARNING

    def _all_owned(self, kind: Kind) -> bool:
        """Whether git declares everything there is of a kind, so that a name it does not have cannot be right."""
        tenant = self._draft.tenant
        if tenant is None:
            return False
        return (tenant.ownership.users if kind is Kind.USER else tenant.ownership.groups) is Owned.ALL

    @property
    def _people_are_external(self) -> bool:
        tenant = self._draft.tenant
        return tenant is not None and tenant.people is People.EXTERNAL

    def _report_external_names(self) -> None:
        placed = self._draft.tenant_place
        if self._external_names and placed is not None:
            self.findings.append(
                Finding(
                    code=Code.UNKNOWN_USER,
                    message=f"{self._external_names} reference(s) name people whom git does not declare",
                    file=placed.file,
                    document=placed.document,
                    paths=(("people",),),
                    help="with `people: external` only the tenant knows them; `reconciler plan` checks each one",
                    severity=Severity.WARNING,
                )
            )

    def _member_place(self, ordinal: int, position: int, reference: Reference) -> _Place:
        names = {Kind.USER: "user", Kind.GROUP: "group"}
        key = names[reference.kind] if reference.kind is not None else "externalId"
        places = self._draft.group_places
        paths = places.paths(ordinal, "members", position, key)
        return _Place(self._draft.groups[ordinal].source.file, places.documents[ordinal], paths)

    def _user_place(self, ordinal: int, *steps: Path) -> _Place:
        places = self._draft.user_places
        paths = tuple(path for step in steps for path in places.paths(ordinal, *step))
        return _Place(self._draft.users[ordinal].source.file, places.documents[ordinal], paths)

    def _find(self, code: Code, message: str, place: _Place, help_: str, severity: Severity = Severity.ERROR) -> None:
        self.findings.append(
            Finding(
                code=code,
                message=message,
                file=place.file,
                document=place.document,
                paths=place.paths,
                help=help_,
                severity=severity,
            )
        )


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    document: int
    paths: tuple[Path, ...]


_ONLY_LIVE = "if it exists in the tenant only, `reconciler plan` will find it"


def _nesting(draft: Draft, index: _Index, nested: Mapping[int, Sequence[int]]) -> Iterator[Finding]:
    """Cycles, and chains longer than the limit, each as one finding that names the whole chain."""
    names = [fold(group.display_name) for group in draft.groups]
    children = {names[parent]: [names[child] for child in below] for parent, below in nested.items()}
    for cycle in find_cycles(children):
        if len(set(cycle)) == 1:
            message = f"the group {_chain(draft, index, cycle[:1])} is its own member"
        else:
            message = f"groups contain each other: {_chain(draft, index, cycle)}"
        yield _about_chain(draft, index, cycle, Code.CYCLE, (message, "remove one of the memberships"))
    limit = draft.tenant.limits.nested_group_depth if draft.tenant else Limits().nested_group_depth
    for chain in deepest_chains(children, limit):
        message = f"groups are nested {len(chain)} deep, the limit is {limit}: {_chain(draft, index, chain)}"
        help_ = "make the members of the lower groups direct members, or raise limits.nestedGroupDepth"
        yield _about_chain(draft, index, chain, Code.NESTING, (message, help_))


def _chain(draft: Draft, index: _Index, chain: Sequence[str]) -> str:
    shown = [draft.groups[index.groups[name]].display_name for name in chain]
    if len(shown) > _MOST_NAMES_SHOWN:
        half = _MOST_NAMES_SHOWN // 2
        shown = [*shown[:half], f"... {len(shown) - 2 * half} more ...", *shown[-half:]]
    return " > ".join(shown)


def _about_chain(draft: Draft, index: _Index, chain: Sequence[str], code: Code, words: tuple[str, str]) -> Finding:
    """A finding at the membership with which the chain begins; `words` are message and help."""
    first, second = index.groups[chain[0]], draft.groups[index.groups[chain[1]]]
    group = draft.groups[first]
    steps: Path = ()
    for position, reference in enumerate(group.members or ()):
        if reference.kind is not Kind.USER and _names(reference, second):
            steps = ("members", position, "group" if reference.kind is Kind.GROUP else "externalId")
            break
    return Finding(
        code=code,
        message=words[0],
        file=group.source.file,
        document=draft.group_places.documents[first],
        paths=draft.group_places.paths(first, *steps),
        help=words[1],
    )


def _names(reference: Reference, group: DesiredGroup) -> bool:
    if reference.name is not None:
        return fold(reference.name) == fold(group.display_name)
    return reference.external_id == group.external_id


def _policies(draft: Draft, index: _Index, resolved: _Resolved) -> Iterator[Finding]:
    roles = Nearest(draft.roles)
    children = {str(parent): [str(child) for child in below] for parent, below in resolved.nested.items()}
    for placed in draft.exclusives:
        yield from _unknown_names(draft, index, roles, placed)
        yield from _violators(draft, index, resolved.direct, children, placed)


def _unknown_names(draft: Draft, index: _Index, roles: Nearest, placed: Placed[Exclusive]) -> Iterator[Finding]:
    """Names in a rule that nothing answers to: a rule with a slip in it would protect from nothing."""
    if not draft.complete:
        return
    groups = Nearest(group.display_name for group in draft.groups)
    for position, name in enumerate(placed.value.groups):
        if fold(name) not in index.groups and fold(name) not in draft.claimed_groups:
            owned = draft.tenant is not None and draft.tenant.ownership.groups is Owned.ALL
            close = groups.to(name)
            severity = Severity.ERROR if owned else Severity.WARNING
            help_ = f"did you mean `{close}`?" if close else _ONLY_LIVE
            message = f"no group `{name}` is declared; as it stands the rule `{placed.value.name}` does not guard it"
            yield _about(placed, Code.UNKNOWN_GROUP, message, help_, "groups", position, severity=severity)
    for position, name in enumerate(placed.value.roles):
        close = None if fold(name) in draft.roles else roles.to(fold(name))
        if close:
            message = f"no user has the role `{name}`"
            help_ = f"did you mean `{close}`?"
            yield _about(placed, Code.POLICY, message, help_, "roles", position, severity=Severity.WARNING)


def _violators(
    draft: Draft,
    index: _Index,
    direct: Mapping[int, array[int]],
    children: Mapping[str, Sequence[str]],
    placed: Placed[Exclusive],
) -> Iterator[Finding]:
    """Users who would hold more than one of what a rule names, roles directly, groups through nesting too."""
    rule = placed.value
    held: dict[int, list[str]] = {}
    for role in dict.fromkeys(map(fold, rule.roles)):
        for ordinal in sorted(set(draft.roles.get(role, ()))):
            shown = next(name for name in rule.roles if fold(name) == role)
            held.setdefault(ordinal, []).append(f"role {shown}")
    for name in {fold(group): group for group in rule.groups}.values():
        top = index.groups.get(fold(name))
        if top is None:
            continue
        inside: dict[int, int] = {}
        for group in (top, *sorted(map(int, reachable(children, [str(top)])))):
            for ordinal in direct.get(group, ()):
                inside.setdefault(ordinal, group)
        for ordinal in sorted(inside):
            path = shortest_path(children, str(top), str(inside[ordinal])) or ()
            via = " > ".join(draft.groups[int(node)].display_name for node in path[1:])
            held.setdefault(ordinal, []).append(f"group {name}" + (f" (through {via})" if via else ""))
    for ordinal, things in sorted(held.items()):
        if len(things) < 2:
            continue
        user = draft.users[ordinal]
        all_roles = all(thing.startswith("role ") for thing in things)
        yield Finding(
            code=Code.EXCLUSIVE,
            message=f"{user.user_name} would hold {' and '.join(things)}; the rule `{rule.name}` allows one of them",
            file=user.source.file,
            document=draft.user_places.documents[ordinal],
            paths=draft.user_places.paths(ordinal, "roles" if all_roles else "userName"),
            help=f"the rule is in {placed.file}",
        )


def _about(
    placed: Placed[Exclusive] | Placed[Override],
    code: Code,
    message: str,
    help_: str,
    *steps: str | int,
    severity: Severity = Severity.ERROR,
) -> Finding:
    return Finding(
        code=code,
        message=message,
        file=placed.file,
        document=placed.document,
        paths=((*placed.path, *steps),),
        help=help_,
        severity=severity,
    )


def _folded(name: str) -> str:
    """`fold`, but the same object where folding changes nothing: most names are lower case already."""
    folded = fold(name)
    return name if folded == name else folded


def _at(resource: DesiredUser | DesiredGroup) -> str:
    return f"{resource.source.file}:{resource.source.line}"
