"""Who is to be in which group, and what that adds and removes (SPEC section 3, Membership). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from reconciler.planner.matching import Match
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
    """What one group gains and loses. `kept` are members that stay only because names of the group are pending."""

    group: Target
    key: ResourceKey
    source: Source | None
    added: tuple[Target, ...]
    removed: tuple[Target, ...]
    kept: tuple[Target, ...] = ()
    unreadable: bool = False


@dataclass(slots=True)
class _Wanted:
    """The desired members of one group while they are collected."""

    key: ResourceKey
    source: Source | None
    live: LiveGroup | None
    authoritative: bool
    members: dict[Target, None]
    pending: bool = False


def diff_memberships(
    users: Sequence[Match[DesiredUser, LiveUser]],
    groups: Sequence[Match[DesiredGroup, LiveGroup]],
    directory: Directory,
    *,
    unmanaged: Sequence[str],
    complete: bool,
) -> tuple[tuple[Delta, ...], tuple[Unresolved, ...]]:
    """A delta for every group that git speaks about and that is not as stated, and every reference that means nobody.

    `unmanaged` are the patterns of `ownership.unmanaged`; `complete` says whether the inventory proves that a member
    which resolves to nobody really is nobody.
    """
    unresolved: list[Unresolved] = []
    wanted: dict[Target, _Wanted] = {}
    for group in groups:
        wanted[group.live.id if group.live else group.desired.key] = _stated(group, directory, unresolved)
    for user in users:
        for name in user.desired.groups:
            _join(user, name, wanted, directory, unresolved)
    deltas = (_delta(target, group, directory, unmanaged, complete=complete) for target, group in wanted.items())
    return tuple(d for d in deltas if d.added or d.removed or d.kept or d.unreadable), tuple(unresolved)


def _stated(match: Match[DesiredGroup, LiveGroup], directory: Directory, unresolved: list[Unresolved]) -> _Wanted:
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
            group.pending = True
            unresolved.append(Unresolved(reference, desired.source, desired.key, targets))
    return group


def _join(
    user: Match[DesiredUser, LiveUser],
    name: str,
    wanted: dict[Target, _Wanted],
    directory: Directory,
    unresolved: list[Unresolved],
) -> None:
    reference = Reference(Kind.GROUP, name)
    targets = directory.resolve(reference)
    if len(targets) != 1:
        unresolved.append(Unresolved(reference, user.desired.source, user.desired.key, targets))
        return
    target = targets[0]
    if target not in wanted and isinstance(target, str):  # a group that only live knows: members are only added
        live = directory.groups[target]
        wanted[target] = _Wanted(live.key, user.desired.source, live, authoritative=False, members={})
    wanted[target].members[user.live.id if user.live else user.desired.key] = None


def _delta(target: Target, group: _Wanted, directory: Directory, unmanaged: Sequence[str], *, complete: bool) -> Delta:
    live_members = group.live.members if group.live is not None else ()
    found = frozenset(live_members or ())
    added = [member for member in group.members if member not in found]
    surplus: list[Target] = []
    if group.authoritative and live_members is not None:
        surplus = [
            member
            for member in live_members
            if member not in group.members
            and not _is_unmanaged(directory.label(member), unmanaged)
            and (complete or member in directory.users or member in directory.groups)
        ]
    return Delta(
        group=target,
        key=group.key,
        source=group.source,
        added=tuple(sorted(added, key=directory.label)),
        removed=() if group.pending else tuple(sorted(surplus, key=directory.label)),
        kept=tuple(sorted(surplus, key=directory.label)) if group.pending else (),
        unreadable=group.live is not None and live_members is None and group.authoritative,
    )


def _is_unmanaged(label: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(fold(label), fold(pattern)) for pattern in patterns)


def live_parents(groups: Mapping[str, LiveGroup]) -> dict[str, list[str]]:
    """For every member id, the ids of the groups it is a direct member of."""
    parents: dict[str, list[str]] = {}
    for group in groups.values():
        for member in group.members or ():
            parents.setdefault(member, []).append(group.id)
    return parents
