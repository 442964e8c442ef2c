"""Effective access through nested groups: who gains, who loses, by which path. Pure.

Only users whose access can have changed are looked at: those a membership change touches, directly or through a nested
group, and those whose activity changes. A user has access while active.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.model.change import Action, Change
from reconciler.model.plan import Access, AccessChange
from reconciler.model.resource import Kind, LiveUser
from reconciler.model.state import LiveState
from reconciler.planner.membership import live_parents
from reconciler.planner.references import Directory, Target


@dataclass(slots=True)
class AccessGraph:
    """Direct memberships before and after a set of changes.

    `parents` is live; `added` and `removed` are the edges member -> groups that the changes give and take.
    """

    parents: Mapping[str, Sequence[str]]
    added: dict[Target, set[Target]] = field(default_factory=dict)
    removed: dict[Target, set[Target]] = field(default_factory=dict)

    def before(self, member: Target) -> Iterable[Target]:
        """The groups a member is directly in, live."""
        return self.parents.get(member, ()) if isinstance(member, str) else ()

    def after(self, member: Target) -> Iterable[Target]:
        """The groups a member would directly be in."""
        gone = self.removed.get(member, ())
        yield from (group for group in self.before(member) if group not in gone)
        yield from self.added.get(member, ())


def build_access_graph(changes: Iterable[Change], targets: Mapping[str, Target], live: LiveState) -> AccessGraph:
    """The graph for changes whose labels mean `targets`."""
    graph = AccessGraph(live_parents(live.groups))
    for change in changes:
        group: Target = change.id or change.key
        for label in change.members.added:
            graph.added.setdefault(targets[label], set()).add(group)
        for label in change.members.removed:
            graph.removed.setdefault(targets[label], set()).add(group)
        deleted = live.groups.get(change.id or "") if change.action is Action.DELETE else None
        for member in (deleted.members or ()) if deleted is not None else ():
            graph.removed.setdefault(member, set()).add(group)
    return graph


def diff_access(changes: Sequence[Change], graph: AccessGraph, live: LiveState, directory: Directory) -> Access:
    """Gains and losses, sorted; the same for any order of the changes."""
    activity = _activity_after(changes)
    gains: list[AccessChange] = []
    losses: list[AccessChange] = []
    for user in touched_users(changes, graph, live):
        was_active = _active_before(user, live.users)
        before = effective_groups(user, graph.before, directory) if was_active else {}
        after = effective_groups(user, graph.after, directory) if activity.get(user, was_active) else {}
        name = _user_name(user, directory)
        gains += [_described(name, group, via, directory) for group, via in after.items() if group not in before]
        losses += [_described(name, group, via, directory) for group, via in before.items() if group not in after]
    return Access(gains=tuple(sorted(gains)), losses=tuple(sorted(losses)))


def _activity_after(changes: Iterable[Change]) -> dict[Target, bool]:
    """The users whose activity a change states; everybody else stays as live says."""
    activity: dict[Target, bool] = {}
    for change in changes:
        if change.key.kind is not Kind.USER:
            continue
        if change.action is Action.DELETE:
            activity[change.id or change.key] = False
            continue
        for item in change.attributes:
            if item.path == "active":
                activity[change.id or change.key] = item.after is not False
    return activity


def _active_before(user: Target, users: Mapping[str, LiveUser]) -> bool:
    live = users.get(user) if isinstance(user, str) else None
    return live is not None and live.active is not False


def touched_users(
    changes: Sequence[Change], graph: AccessGraph, live: LiveState, also: Iterable[Target] = ()
) -> Iterable[Target]:
    """Users with a change of their own, and every user at or below a member that joins or leaves a group, or `also`."""
    seen: set[Target] = {change.id or change.key for change in changes if change.key.kind is Kind.USER}
    children: dict[Target, set[Target]] = {}
    for member, groups in graph.added.items():
        for group in groups:
            children.setdefault(group, set()).add(member)
    queue = deque([*graph.added, *graph.removed, *also])
    visited: set[Target] = set()
    while queue:
        target = queue.popleft()
        if target in visited:
            continue
        visited.add(target)
        known = live.groups.get(target) if isinstance(target, str) else None
        if known is None and target not in children:
            seen.add(target)
            continue
        queue.extend((known.members or ()) if known is not None else ())
        queue.extend(children.get(target, ()))
    return (target for target in seen if _is_user(target, live))


def _is_user(target: Target, live: LiveState) -> bool:
    return target in live.users if isinstance(target, str) else target.kind is Kind.USER


def effective_groups(
    member: Target, edges: Callable[[Target], Iterable[Target]], directory: Directory
) -> dict[Target, tuple[Target, ...]]:
    """Every group that a member is in, with the nested groups on a shortest path to it; ties go by name."""
    paths: dict[Target, tuple[Target, ...]] = {}
    queue: deque[tuple[Target, tuple[Target, ...]]] = deque(
        (group, ()) for group in sorted(edges(member), key=directory.label)
    )
    while queue:
        group, via = queue.popleft()
        if group in paths:
            continue
        paths[group] = via
        queue.extend((parent, (*via, group)) for parent in sorted(edges(group), key=directory.label))
    return paths


def _user_name(user: Target, directory: Directory) -> str:
    return directory.label(user).removeprefix("user:")


def _described(user: str, group: Target, via: Sequence[Target], directory: Directory) -> AccessChange:
    return AccessChange(user, group_name(group, directory), tuple(group_name(item, directory) for item in via))


def group_name(group: Target, directory: Directory) -> str:
    """The displayName of a group, `id:<id>` where two live groups share it."""
    return directory.label(group).removeprefix("group:")
