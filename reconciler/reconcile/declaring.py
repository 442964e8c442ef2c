"""What is live as documents that git could hold, so that planning them changes nothing; and what is left out, and why.

Left out is what the rules of `validate` do not allow, or what could not be told apart later. A group of which not all
members can be declared becomes additive: nobody is removed from it for not being listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic

from reconciler.desired.resources import nfc
from reconciler.desired.screening import Screen, Screened
from reconciler.desired.writer import fits_a_file, why_unwritable
from reconciler.messages.operations import NAMED_BY
from reconciler.model.resource import (
    ENTERPRISE_SCHEMA,
    Attributes,
    ConfigurationMode,
    Kind,
    LiveGroup,
    LiveUser,
    Membership,
    Reference,
    ResourceKey,
)
from reconciler.model.state import DesiredState, LiveState
from reconciler.model.tenant import Owned, People, Tenant
from reconciler.planner.matching import Desired, Index, Live, Match, index_live, match_all, name_of
from reconciler.planner.membership import is_unmanaged
from reconciler.planner.pending import as_the_tenant_calls_them
from reconciler.planner.references import Directory, build_directory
from reconciler.report.values import many_of, noun
from reconciler.schemas import checker
from reconciler.semantics.canonical import fold
from reconciler.semantics.graph import components

_OVERLAY = frozenset({"userName", "externalId", "roles", "entitlements"})
"""What git says about people who come from elsewhere (SPEC section 1)."""

_MANY_MEMBERS = 1_500
"""Groups with fewer members surely fit into a file, however long the names."""

_MOST_NAMES_SHOWN = 5


class Scope(Enum):
    """What is asked for."""

    ALL = "users and groups"
    GROUPS_ONLY = "groups and their memberships"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something live that no document declares: a whole resource, or with `what` an attribute or members of it."""

    key: ResourceKey
    why: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.what else str(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of everything that is live: how many users and groups have a document, and why others have none.

    `unmanaged` counts what `ownership.unmanaged` names, `earlier` what documents declare that were there before, and
    `plain` people from elsewhere about whom git has nothing to say.
    """

    users: int
    groups: int
    left_out: tuple[LeftOut, ...]
    unmanaged: int
    earlier: int
    plain: int

    def lacks(self, kind: Kind) -> bool:
        """Whether a whole resource of the kind had to be left out."""
        return any(item.key.kind is kind and not item.what for item in self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Documents in wire shape, with references by name. `configuration` is None where it was not asked for."""

    users: tuple[Attributes, ...]
    groups: tuple[Attributes, ...]
    configuration: Attributes | None
    account: Account


def declare(live: LiveState, tenant: Tenant, screen: Screen, earlier: DesiredState, scope: Scope) -> Declared:
    """Documents for all that is live and not declared by `earlier`, the documents that are there already.

    Raises:
        AmbiguousMatch: it is not clear which live resource an earlier document means.

    """
    return _Declaring(live, tenant, screen, earlier).run(scope)


@dataclass(slots=True)
class _Known(Generic[Live]):
    """What is live of one kind; and the ids, folded names and externalIds that earlier documents have of it."""

    kind: Kind
    index: Index[Live]
    ids: Collection[str]
    names: Collection[str]
    external_ids: Collection[str]


@dataclass(slots=True)
class _Tally:
    """What is counted and left out on the way."""

    left_out: list[LeftOut] = field(default_factory=list)
    unmanaged: int = 0
    plain: int = 0

    def leave_out(self, resource: LiveUser | LiveGroup, why: str, what: str = "") -> None:
        key = resource.key if resource.key.name else ResourceKey(resource.key.kind, f"id:{resource.id}")
        self.left_out.append(LeftOut(key, why, what))


class _Declaring:
    """Running state of one import; reads from `run` downwards."""

    def __init__(self, live: LiveState, tenant: Tenant, screen: Screen, earlier: DesiredState) -> None:
        users = index_live(live.users.values(), tenant.equivalences)
        groups = index_live(live.groups.values(), tenant.equivalences)
        user_matches, group_matches = match_all(earlier.users, users), match_all(earlier.groups, groups)
        self._live = live
        self._tenant = tenant
        self._screen = screen
        self._has_configuration = earlier.configuration is not None
        self._known_users = _known(Kind.USER, users, user_matches)
        self._known_groups = _known(Kind.GROUP, groups, group_matches)
        former: dict[str, str] = {}
        if tenant.people is People.EXTERNAL:
            user_matches, former = as_the_tenant_calls_them(user_matches)
        self._directory = build_directory(user_matches, group_matches, live.users, live.groups, former=former)
        self._matched_names = _names_of(user_matches) | _names_of(group_matches)
        self._tally = _Tally()

    def run(self, scope: Scope) -> Declared:
        users = {} if scope is Scope.GROUPS_ONLY else self._users()
        groups = self._groups()
        declared = {*users, *groups, *self._known_users.ids, *self._known_groups.ids}
        names = _Names(self._live, self._tenant, self._directory, self._matched_names, declared)
        for id_, (document, manager) in users.items():
            if manager is not None:
                self._add_manager(self._live.users[id_], document, manager, names)
        cut = self._cut_edges(groups)
        for id_, group in groups.items():
            self._add_members(self._live.groups[id_], group, names, cut)
        return Declared(
            users=tuple(document for document, _ in users.values()),
            groups=tuple(groups.values()),
            configuration=self._configuration(),
            account=Account(
                users=len(users),
                groups=len(groups),
                left_out=tuple(sorted(self._tally.left_out, key=lambda item: (item.why, item.key, item.what))),
                unmanaged=self._tally.unmanaged,
                earlier=len(self._known_users.ids) + len(self._known_groups.ids),
                plain=self._tally.plain,
            ),
        )

    def _users(self) -> dict[str, tuple[Attributes, str | None]]:
        """By id the document and the id of the manager."""
        found: dict[str, tuple[Attributes, str | None]] = {}
        is_external = self._tenant.people is People.EXTERNAL
        for user in self._candidates(self._known_users):
            screened = self._screened(user, self._known_users, _OVERLAY if is_external else frozenset())
            if screened.document is None:
                continue
            if is_external and not screened.document.keys() & {"roles", "entitlements"}:
                self._tally.plain += 1
                continue
            found[user.id] = screened.document, None if is_external else screened.manager
        return found

    def _groups(self) -> dict[str, Attributes]:
        found: dict[str, Attributes] = {}
        for group in self._candidates(self._known_groups):
            document = self._screened(group, self._known_groups, frozenset()).document
            if document is not None:
                found[group.id] = document
        return found

    def _candidates(self, known: _Known[Live]) -> Iterator[Live]:
        """What git does not declare yet and could name."""
        for id_, resource in sorted(known.index.by_id.items()):
            name = fold(name_of(resource))
            namesakes = len(known.index.by_name[name])
            if id_ in known.ids:
                continue
            if is_unmanaged(id_, self._directory, self._tenant.ownership):
                self._tally.unmanaged += 1
            elif not name:
                self._tally.leave_out(resource, f"it has no {NAMED_BY[known.kind]}")
            elif namesakes > 1:
                same = f"{many_of(namesakes, known.kind)} have this {NAMED_BY[known.kind]}, upper and lower case aside"
                self._tally.leave_out(resource, f"{same}; git names each {noun(known.kind, 1)} once")
            elif name in known.names:
                self._tally.leave_out(resource, f"a document that was there before has this {NAMED_BY[known.kind]}")
            else:
                yield resource

    def _screened(self, resource: Live, known: _Known[Live], only: frozenset[str]) -> Screened:
        """What git may state of a resource; what it may not goes to the tally."""
        why = _why_without_external_id(resource, known)
        without = frozenset({"externalId"}) if why else frozenset[str]()
        screened = self._screen.screen(known.kind, resource.body, only=only, without=without)
        if screened.document is None:
            self._tally.leave_out(resource, screened.left_out[-1][1])
            return screened
        for path, reason in ((("externalId", why),) if why else ()) + screened.left_out:
            self._tally.leave_out(resource, reason, path)
        return screened

    def _add_manager(self, user: LiveUser, document: Attributes, manager: str, names: _Names) -> None:
        reference = None if manager in self._live.groups else names.reference(manager)
        if reference is None:
            self._tally.leave_out(user, "the manager is nobody whom git could name", "manager")
            return
        named = {"userName": reference["user"]} if "user" in reference else reference
        document[ENTERPRISE_SCHEMA] = {**document.get(ENTERPRISE_SCHEMA, {}), "manager": named}

    def _add_members(
        self, group: LiveGroup, document: Attributes, names: _Names, cut: Mapping[tuple[str, str], str]
    ) -> None:
        """State the members; where some cannot be stated, the group becomes additive, so that they stay."""
        if group.members is None:
            self._tally.leave_out(group, "the service does not show who is in this group", "members")
            return
        members, reasons = self._members(group, names, cut)
        for why, ids in reasons.items():
            self._tally.leave_out(group, f"{why}; git only adds members to this group", self._listed(ids))
        stated: Attributes = {"membership": Membership.ADDITIVE.value} if reasons else {}
        if members or not reasons:
            stated["members"] = members
        if len(members) > _MANY_MEMBERS and not fits_a_file({**document, **stated}):
            self._tally.leave_out(group, "there are too many members for a file", "members")
            return
        document.update(stated)

    def _members(
        self, group: LiveGroup, names: _Names, cut: Mapping[tuple[str, str], str]
    ) -> tuple[list[Attributes], dict[str, list[str]]]:
        """The members that can be named, groups first, each kind in order of name; the ids of the others by reason."""
        named: list[Attributes] = []
        reasons: dict[str, list[str]] = {}
        for member in group.members or ():
            if is_unmanaged(member, self._directory, self._tenant.ownership):
                continue
            reference = names.reference(member)
            why = cut.get((group.id, member)) or (names.why_nameless(member) if reference is None else None)
            if why is not None:
                reasons.setdefault(why, []).append(member)
            elif reference is not None:
                named.append(reference)
        return sorted(named, key=_member_order), reasons

    def _cut_edges(self, documents: Mapping[str, Attributes]) -> dict[tuple[str, str], str]:
        """The memberships of groups in groups that git may not state, and why: in cycles, and at the top of chains."""
        limit = self._tenant.limits.nested_group_depth
        groups = {*documents, *self._known_groups.ids}
        children = {id_: [m for m in self._live.groups[id_].members or () if m in groups] for id_ in groups}
        cut: dict[tuple[str, str], str] = {}
        height: dict[str, int] = {}
        for component in components(children):
            for id_ in component:
                below = 0
                for child in children[id_]:
                    if child in component:
                        cut[id_, child] = "these groups contain each other"
                    elif height[child] >= limit:
                        cut[id_, child] = f"groups would be nested more than {limit} deep (limits.nestedGroupDepth)"
                    else:
                        below = max(below, height[child])
                height[id_] = 1 + below
        return cut

    def _configuration(self) -> Attributes | None:
        if self._live.configuration is None or self._has_configuration:
            return None
        screened = self._screen.screen(Kind.SERVICE_PROVIDER_CONFIG, self._live.configuration.body)
        key = ResourceKey(Kind.SERVICE_PROVIDER_CONFIG)
        self._tally.left_out += [LeftOut(key, why, path) for path, why in screened.left_out]
        return {"mode": ConfigurationMode.ASSERT.value, **screened.document} if screened.document else None

    def _listed(self, ids: Sequence[str]) -> str:
        labels = sorted(map(self._directory.label, ids))
        more = f" and {len(labels) - _MOST_NAMES_SHOWN} more" if len(labels) > _MOST_NAMES_SHOWN else ""
        return f"members {', '.join(labels[:_MOST_NAMES_SHOWN])}{more}"


class _Names:
    """How documents name live resources: by name, else by externalId; asked once for each."""

    def __init__(
        self,
        live: LiveState,
        tenant: Tenant,
        directory: Directory,
        matched_names: Mapping[str, str],
        declared: Collection[str],
    ) -> None:
        self._live = live
        self._tenant = tenant
        self._directory = directory
        self._matched_names = matched_names
        self._declared = declared
        self._schema = checker("group", "/$defs/member")
        self._references: dict[str, Attributes | None] = {}

    def reference(self, id_: str) -> Attributes | None:
        """`{user: ...}`, `{group: ...}` or `{externalId: ...}`; None where nothing means this resource alone."""
        if id_ not in self._references:
            self._references[id_] = next(self._usable(id_), None)
        return self._references[id_]

    def why_nameless(self, id_: str) -> str:
        """Why there is no reference."""
        if id_ in self._live.users or id_ in self._live.groups:
            return "members are left out themselves, or share their names"
        return "members are neither users nor groups of the tenant"

    def _usable(self, id_: str) -> Iterator[Attributes]:
        resource = self._live.users.get(id_) or self._live.groups.get(id_)
        if resource is None or not self._may_be_named(resource):
            return
        kind, external_id = resource.key.kind, resource.external_id
        name = self._matched_names.get(id_, name_of(resource))
        tries = [({noun(kind, 1): name}, Reference(kind, name))]
        if external_id is not None and nfc(external_id) == external_id:
            tries.append(({"externalId": external_id}, Reference(None, external_id=external_id)))
        for document, reference in tries:
            is_valid = why_unwritable(document) is None and self._schema.accepts(document)
            if is_valid and self._directory.resolve(reference) == (id_,):
                yield document

    def _may_be_named(self, resource: LiveUser | LiveGroup) -> bool:
        """Whether `validate` lets a name pass that no document declares: not where git declares all there is."""
        if resource.id in self._declared:
            return True
        if resource.key.kind is Kind.USER:
            return self._tenant.people is People.EXTERNAL or self._tenant.ownership.users is not Owned.ALL
        return self._tenant.ownership.groups is not Owned.ALL


def _known(kind: Kind, index: Index[Live], matches: Sequence[Match[Desired, Live]]) -> _Known[Live]:
    return _Known(
        kind=kind,
        index=index,
        ids=frozenset(match.live.id for match in matches if match.live is not None),
        names=frozenset(fold(name_of(match.desired)) for match in matches),
        external_ids=frozenset(match.desired.external_id for match in matches if match.desired.external_id is not None),
    )


def _names_of(matches: Sequence[Match[Desired, Live]]) -> dict[str, str]:
    return {match.live.id: name_of(match.desired) for match in matches if match.live is not None}


def _why_without_external_id(resource: Live, known: _Known[Live]) -> str | None:
    """Why a document cannot state the externalId that is live; the resource is then known by its name."""
    external_id = resource.external_id
    if external_id is None:
        return None
    sharing = len(known.index.by_external_id[external_id])
    if sharing > 1:
        return f"{many_of(sharing, known.kind)} have this externalId; git tells them apart by name"
    if external_id in known.external_ids:
        return "a document that was there before has this externalId"
    if nfc(external_id) != external_id:
        return "it is not in Unicode normal form C, in which git keeps every text"
    return None


def _member_order(member: Attributes) -> tuple[int, str, str]:
    ((kind, name),) = member.items()
    return (("group", "user", "externalId").index(kind), fold(name), name)
