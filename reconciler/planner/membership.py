"""Who is to be in which group, and what that adds and removes (SPEC section 3, Membership). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from reconciler.model.diagnostic import Source
from reconciler.model.resource import (
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveGroup,
    LiveUser,
    Membership,
    Reference,
    ResourceKey,
)
from reconciler.model.tenant import Ownership
from reconciler.planner.matching import Match
from reconciler.planner.pending import NOBODY_EXPECTED, Expected
from reconciler.planner.references import Directory, Target
from reconciler.semantics.canonical import fold


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A reference that means nobody, or more than one (`candidates`)."""

    reference: Reference
    source: Source
    needed_by: ResourceKey
    candidates: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """What one group gains and loses. `kept` are members that stay only because the names in `pending` are pending.

    `withdrawn` are those of the removed ones that git itself stated before.
    """

    group: Target
    key: ResourceKey
    source: Source | None
    added: tuple[Target, ...]
    removed: tuple[Target, ...]
    kept: tuple[Target, ...] = ()
    pending: tuple[str, ...] = ()
    withdrawn: frozenset[Target] = frozenset()
    unreadable: bool = False

    @property
    def leaving(self) -> tuple[Target, ...]:
        """The members whom git never named and who leave although names are pending; only `--allow` has them go."""
        return tuple(m for m in self.removed if m not in self.withdrawn) if self.pending else ()


@dataclass(slots=True)
class _Wanted:
    """The desired members of one group while they are collected."""

    key: ResourceKey
    source: Source | None
    live: LiveGroup | None
    authoritative: bool
    members: dict[Target, None]
    pending: set[str] = field(default_factory=set)


def diff_memberships(
    users: Sequence[Match[DesiredUser, LiveUser]],
    groups: Sequence[Match[DesiredGroup, LiveGroup]],
    directory: Directory,
    *,
    expected: Expected = NOBODY_EXPECTED,
    waits: bool = True,
    ownership: Ownership,
    complete: bool,
    stated_before: Mapping[str, frozenset[str]] | None = None,
) -> tuple[tuple[Delta, ...], tuple[Unresolved, ...]]:
    """A delta for every group that git speaks about and that is not as stated, and every reference that means nobody.

    `expected` are users who are still to come from elsewhere; the groups that they name have pending names. `waits`
    says whether a group with pending names keeps the members that git does not name. `ownership` says who is
    unmanaged; `complete` says whether the inventory proves that a member which resolves to nobody really is
    nobody. `stated_before` are the member ids that git stated earlier, by group id: what git does not state any more is
    taken back, also from a group that git does not declare any more (SPEC section 3).
    """
    before = stated_before or {}
    wanted, unresolved = _collect(users, groups, directory, expected)
    for group_id in before:
        live = directory.groups.get(group_id)
        if group_id not in wanted and live is not None:
            wanted[group_id] = _Wanted(live.key, None, live, authoritative=False, members={})
    rules = _Removing(directory, ownership, complete, waits)
    deltas = (_delta(t, group, rules, before.get(str(t), frozenset())) for t, group in wanted.items())
    return tuple(d for d in deltas if d.added or d.removed or d.kept or d.unreadable), tuple(unresolved)


def stated_members(
    users: Sequence[Match[DesiredUser, LiveUser]],
    groups: Sequence[Match[DesiredGroup, LiveGroup]],
    directory: Directory,
) -> dict[str, frozenset[str]]:
    """The live members that a state gives to each live group; names that mean nobody by now are passed over."""
    wanted, _ = _collect(users, groups, directory, NOBODY_EXPECTED)
    return {
        target: frozenset(member for member in group.members if isinstance(member, str))
        for target, group in wanted.items()
        if isinstance(target, str)
    }


@dataclass(frozen=True, slots=True)
class _Removing:
    """What decides whether a member may be removed. `waits`: a group with pending names keeps whom git never named."""

    directory: Directory
    ownership: Ownership
    complete: bool
    waits: bool

    def may_remove(self, member: str) -> bool:
        known = member in self.directory.users or member in self.directory.groups
        return (known or self.complete) and not is_unmanaged(member, self.directory, self.ownership)


def _collect(
    users: Sequence[Match[DesiredUser, LiveUser]],
    groups: Sequence[Match[DesiredGroup, LiveGroup]],
    directory: Directory,
    expected: Expected,
) -> tuple[dict[Target, _Wanted], list[Unresolved]]:
    """The desired members of every group that a state speaks about, and every reference that means nobody."""
    unresolved: list[Unresolved] = []
    wanted: dict[Target, _Wanted] = {}
    for match in groups:
        wanted[match.live.id if match.live else match.desired.key] = _stated(match, directory, expected, unresolved)
    for user in users:
        for name in user.desired.groups:
            group = _joined(user.desired, name, wanted, directory, unresolved)
            if group is not None:
                group.members[user.live.id if user.live else user.desired.key] = None
    for document in expected.documents:
        for name in document.groups:
            group = _joined(document, name, wanted, directory, unresolved)
            if group is not None:
                group.pending.add(document.user_name)
    return wanted, unresolved


def _stated(
    match: Match[DesiredGroup, LiveGroup], directory: Directory, expected: Expected, unresolved: list[Unresolved]
) -> _Wanted:
    desired = match.desired
    group = _Wanted(
        key=desired.key,
        source=desired.source,
        live=match.live,
        authoritative=desired.membership is Membership.AUTHORITATIVE and desired.members is not None,
        members={},
    )
    for reference in desired.members or ():
        targets = directory.resolve(reference)
        if len(targets) == 1:
            group.members[targets[0]] = None
        else:
            group.pending.add(expected.name_of(reference))
            unresolved.append(Unresolved(reference, desired.source, desired.key, targets))
    return group


def _joined(
    user: DesiredUser,
    name: str,
    wanted: dict[Target, _Wanted],
    directory: Directory,
    unresolved: list[Unresolved],
) -> _Wanted | None:
    """The group that a user names, or None where that is nobody."""
    reference = Reference(Kind.GROUP, name)
    targets = directory.resolve(reference)
    if len(targets) != 1:
        unresolved.append(Unresolved(reference, user.source, user.key, targets))
        return None
    target = targets[0]
    if target not in wanted and isinstance(target, str):  # a group that only live knows: members are only added
        live = directory.groups[target]
        wanted[target] = _Wanted(live.key, user.source, live, authoritative=False, members={})
    return wanted[target]


def _delta(target: Target, group: _Wanted, rules: _Removing, stated_before: frozenset[str]) -> Delta:
    live_members = group.live.members if group.live is not None else ()
    found = frozenset(live_members or ())
    added = [member for member in group.members if member not in found]
    withdrawn = stated_before - group.members.keys()
    if is_unmanaged(str(target), rules.directory, rules.ownership):
        withdrawn = frozenset()  # handed over: what git stated in it stays (SPEC section 3)
    surplus = [
        member
        for member in live_members or ()
        if member not in group.members and (group.authoritative or member in withdrawn) and rules.may_remove(member)
    ]
    staying = [member for member in surplus if rules.waits and group.pending and member not in withdrawn]
    removed = [member for member in surplus if member not in staying] if staying else surplus
    label = rules.directory.label
    return Delta(
        group=target,
        key=group.key,
        source=group.source,
        added=tuple(sorted(added, key=label)),
        removed=tuple(sorted(removed, key=label)),
        kept=tuple(sorted(staying, key=label)),
        pending=tuple(sorted(group.pending)),
        withdrawn=frozenset(removed) & withdrawn,
        unreadable=group.live is not None
        and live_members is None
        and (group.authoritative or bool(withdrawn) or bool(added)),
    )


def is_unmanaged(member: str, directory: Directory, ownership: Ownership) -> bool:
    """Whether a pattern names the member: `group:` patterns speak of groups, all others of users (SPEC section 4)."""
    before = ownership.unmanaged_before
    return _is_named(member, directory, ownership.unmanaged) and (
        before is None or _is_named(member, directory, before)
    )


def _is_named(member: str, directory: Directory, patterns: Sequence[str]) -> bool:
    group, user = directory.groups.get(member), directory.users.get(member)
    if group is not None:
        name = fold(group.display_name)
        return any(fnmatchcase(name, fold(p.removeprefix("group:"))) for p in patterns if p.startswith("group:"))
    name = fold(user.user_name if user is not None else member)
    return any(fnmatchcase(name, fold(p)) for p in patterns if not p.startswith("group:"))


def live_parents(groups: Mapping[str, LiveGroup]) -> dict[str, list[str]]:
    """For every member id, the ids of the groups it is a direct member of."""
    parents: dict[str, list[str]] = {}
    for group in groups.values():
        for member in group.members or ():
            parents.setdefault(member, []).append(group.id)
    return parents
