"""Limits on a plan, one function a guard (SPEC section 8). Pure.

A guard looks at what would happen and says what it counted, what it admits, and an example or two. It never decides
alone: `--allow GUARD=N` admits up to N for one run, except where a guard has no override.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.messages.operations import access_values
from reconciler.model.change import Action, Change
from reconciler.model.plan import Access, GuardVerdict, Verdict
from reconciler.model.resource import Kind, LiveGroup, LiveUser, unpack
from reconciler.model.state import Exclusive, LiveState
from reconciler.model.tenant import Owned, ShareLimit, Tenant
from reconciler.planner.access import AccessGraph, effective_groups, group_name, touched_users
from reconciler.planner.references import Directory, Target
from reconciler.semantics.canonical import fold, value_at
from reconciler.semantics.graph import Children, heights, longest_chain, parents_of, reachable, shortest_path
from reconciler.semantics.policy import violations

DEFAULT_SHARES: Mapping[str, ShareLimit] = {
    "removal-share": ShareLimit(percent=10, max=25),
    "access-loss": ShareLimit(percent=10, max=100),
    "membership-share": ShareLimit(percent=50, max=None),
}
NO_OVERRIDE = frozenset({"incomplete-inventory", "nesting"})
_EXAMPLES = 3
_SHARE_FLOOR = 5
_SMALL_FOR_REMOVALS = 10
_SMALL_FOR_ACCESS = 20
_MEMBERS_WORTH_A_SHARE = 4


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one user holds beside groups: folded roles and entitlements, effective (none while inactive)."""

    roles: frozenset[str] = frozenset()
    entitlements: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardInputs:
    """What the guards judge: the changes, and the world before and after them.

    `managed` counts the live resources of each kind that git declares. `holdings` has (before, after) for every user
    with a change. `empty` are the kinds of which git declares nothing, and `pending` the keys of groups that lose
    members whom git does not name, although names of theirs are pending.
    """

    tenant: Tenant
    changes: Sequence[Change]
    live: LiveState
    directory: Directory
    targets: Mapping[str, Target]
    graph: AccessGraph
    access: Access
    managed: Mapping[Kind, int]
    empty: frozenset[Kind]
    exclusives: Sequence[Exclusive]
    pending: frozenset[str] = frozenset()
    holdings: Mapping[Target, tuple[Holdings, Holdings]] = field(default_factory=dict)

    def share(self, guard: str) -> ShareLimit:
        """The tenant's limit for a guard, each half of it defaulting to SPEC section 8."""
        default = DEFAULT_SHARES[guard]
        own = self.tenant.guards.shares.get(guard, ShareLimit())
        return ShareLimit(
            percent=own.percent if own.percent is not None else default.percent,
            max=own.max if own.max is not None else default.max,
        )

    def user_changes(self, *actions: Action) -> list[Change]:
        """The changes of users with one of the actions."""
        return [c for c in self.changes if c.key.kind is Kind.USER and c.action in actions]


@dataclass(frozen=True, slots=True)
class Count:
    """What a guard found: how many, how many it admits, and what they are."""

    count: int
    limit: int
    detail: str


Guard = Callable[[GuardInputs], Count]


def holdings_of(changes: Sequence[Change], live: LiveState) -> dict[Target, tuple[Holdings, Holdings]]:
    """Before and after for every user with a change; an inactive user holds nothing effectively."""
    holdings: dict[Target, tuple[Holdings, Holdings]] = {}
    for change in changes:
        if change.key.kind is not Kind.USER:
            continue
        user = live.users.get(change.id) if change.id is not None else None
        after = {attribute.path: attribute.after for attribute in change.attributes}
        was_active = user is not None and user.active is not False
        is_active = after.get("active", was_active) is not False and change.action is not Action.DELETE
        held = _holdings(unpack(user.body)) if user is not None else Holdings()
        future = Holdings(
            access_values(after["roles"]) if "roles" in after else held.roles,
            access_values(after["entitlements"]) if "entitlements" in after else held.entitlements,
        )
        holdings[change.id or change.key] = (held if was_active else Holdings(), future if is_active else Holdings())
    return holdings


def _holdings(body: Mapping[str, object]) -> Holdings:
    return Holdings(access_values(body.get("roles")), access_values(body.get("entitlements")))


def check_guards(inputs: GuardInputs, allowed: Mapping[str, int | None]) -> tuple[GuardVerdict, ...]:
    """Every guard's verdict, in the order of SPEC section 8. `allowed` maps a guard to N, or to None for any number."""
    return tuple(_judge(name, guard(inputs), allowed) for name, guard in GUARDS.items())


def _judge(name: str, found: Count, allowed: Mapping[str, int | None]) -> GuardVerdict:
    verdict = Verdict.PASS
    if found.count > found.limit:
        bound = allowed.get(name, 0)
        admitted = name in allowed and name not in NO_OVERRIDE and (bound is None or found.count <= bound)
        verdict = Verdict.OVERRIDDEN if admitted else Verdict.REFUSE
    return GuardVerdict(id=name, verdict=verdict, detail=found.detail, count=found.count, limit=found.limit)


def incomplete_inventory(inputs: GuardInputs) -> Count:
    """Creating needs proof that nobody is there yet: a complete list, or a look-up of its own (SPEC P4)."""
    problems = []
    for kind in (Kind.USER, Kind.GROUP):
        certificate = inputs.live.certificate(kind)
        created = (c.key for c in inputs.changes if c.key.kind is kind and c.action is Action.CREATE)
        creates = sum(1 for key in created if key not in inputs.live.proven_absent)
        if creates and not certificate.complete:
            problems.append(f"{creates} {kind.value} creates rely on an incomplete list: {certificate.reason}")
    return Count(len(problems), 0, "; ".join(problems) or "what the plan relies on was read completely")


def empty_desired(inputs: GuardInputs) -> Count:
    """Git declares nothing of a kind although everything live is said to be its own."""
    owned = inputs.tenant.ownership
    problems = [
        f"git declares no {kind.value} although `ownership` claims all {count} live ones"
        for kind, owner, count in (
            (Kind.USER, owned.users, len(inputs.live.users)),
            (Kind.GROUP, owned.groups, len(inputs.live.groups)),
        )
        if kind in inputs.empty and owner is Owned.ALL and count
    ]
    return Count(len(problems), 0, "; ".join(problems) or "git declares something of every kind it owns")


def removal_share(inputs: GuardInputs) -> Count:
    """Too many users at once would be deactivated or deleted."""
    removed = inputs.user_changes(Action.DEACTIVATE, Action.DELETE)
    managed = inputs.managed[Kind.USER]
    floor = 1 if managed < _SMALL_FOR_REMOVALS else _SHARE_FLOOR
    limit = _limit(inputs.share("removal-share"), managed, floor)
    names = _examples(change.key.name for change in removed)
    return Count(len(removed), limit, f"{len(removed)} of {managed} managed users would be removed{names}")


def access_loss(inputs: GuardInputs) -> Count:
    """Too many users at once would lose a group, a role or an entitlement."""
    losing = {loss.user for loss in inputs.access.losses}
    for target, (before, after) in inputs.holdings.items():
        if before.roles - after.roles or before.entitlements - after.entitlements:
            losing.add(inputs.directory.label(target).removeprefix("user:"))
    managed = inputs.managed[Kind.USER]
    floor = 2 if managed < _SMALL_FOR_ACCESS else _SHARE_FLOOR
    limit = _limit(inputs.share("access-loss"), managed, floor)
    detail = f"{len(losing)} of {managed} managed users would lose a group, role or entitlement{_examples(losing)}"
    return Count(len(losing), limit, detail)


def membership_share(inputs: GuardInputs) -> Count:
    """A group would lose most of its members, or its last active one."""
    percent = inputs.share("membership-share").percent or 0
    gone = {change.id for change in inputs.user_changes(Action.DEACTIVATE, Action.DELETE)}
    becoming = {change.id or change.key: _active_after(change) for change in inputs.changes}
    by_group = {change.id: change for change in inputs.changes if change.key.kind is Kind.GROUP and change.id}
    shrinking = {group for member in gone for group in inputs.graph.parents.get(member or "", ())}
    shrinking |= {group for group, change in by_group.items() if change.members.removed}
    problems = []
    for group in (inputs.live.groups[group_id] for group_id in sorted(shrinking)):
        change = by_group.get(group.id)
        removed, added = (change.members.removed, change.members.added) if change is not None else ((), ())
        members = len(group.members or ())
        if members >= _MEMBERS_WORTH_A_SHARE and len(removed) * 100 > percent * members:
            problems.append(f"{group.display_name} ({len(removed)} of {members})")
        elif _loses_last_active(group, {*gone, *(inputs.targets[label] for label in removed)}, inputs.live) and not any(
            _would_be_active(inputs.targets[label], becoming, inputs.live) for label in added
        ):
            problems.append(f"{group.display_name} (its last active member)")
    detail = f"{_many(problems, 'group')} would lose over {percent:g} % of the members or the last active one"
    return Count(len(problems), 0, detail + _examples(problems))


def _loses_last_active(group: LiveGroup, gone: Collection[Target | None], live: LiveState) -> bool:
    """Whether somebody active is in the group now and all of those go; nested groups count as somebody."""
    active = [member for member in group.members or () if _is_active(member, live)]
    return bool(active) and all(member in gone for member in active)


def _would_be_active(member: Target, becoming: Mapping[Target, bool | None], live: LiveState) -> bool:
    stated = becoming.get(member)
    if stated is not None:
        return stated
    return not isinstance(member, str) or _is_active(member, live)


def _is_active(member: str, live: LiveState) -> bool:
    user = live.users.get(member)
    return user.active is not False if user is not None else member in live.groups


def privileged_gain(inputs: GuardInputs) -> Count:
    """Somebody would newly get a protected group or role, also through nested groups."""
    roles, groups = _protected(inputs, "role:"), _protected_groups(inputs)
    gains = {f"{gain.user} gets group:{groups[gain.group]}" for gain in inputs.access.gains if gain.group in groups}
    for target, (before, after) in inputs.holdings.items():
        name = inputs.directory.label(target).removeprefix("user:")
        gains |= {f"{name} gets role:{role}" for role in (after.roles - before.roles) & roles}
    gains |= {f"whoever is in {group} gets group:{to}" for group, to in _unseen_gains(inputs, groups)}
    return Count(len(gains), 0, f"{_many(gains, 'protected access right')} would be given{_examples(gains)}")


def _unseen_gains(inputs: GuardInputs, protected_groups: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Groups whose members the service does not show and the protected groups that they would newly be nested in."""
    unseen = {group.id for group in inputs.live.groups.values() if group.members is None}
    if not unseen or not protected_groups:
        return
    below = _group_edges(inputs, after=True)
    for child, parents in inputs.graph.added.items():
        for group in sorted(unseen & {str(child), *reachable(below, [str(child)])}):
            above = {*parents, *(over for parent in parents for over in _above(parent, inputs))}
            names = {group_name(target, inputs.directory) for target in above}
            yield from (
                (group_name(group, inputs.directory), protected_groups[n]) for n in names & protected_groups.keys()
            )


def _above(group: Target, inputs: GuardInputs) -> Iterable[Target]:
    return effective_groups(group, inputs.graph.after, inputs.directory)


def protected(inputs: GuardInputs) -> Count:
    """A protected user, group or role holder would be deactivated, deleted, renamed or lose it."""
    roles, groups = _protected(inputs, "role:"), _protected(inputs, "group:")
    people = {fold(entry) for entry in inputs.tenant.guards.protected if not entry.startswith(("role:", "group:"))}
    lost = _protected_groups(inputs)
    problems = {f"{loss.user} loses group:{lost[loss.group]}" for loss in inputs.access.losses if loss.group in lost}
    for change in inputs.changes:
        former = _live_name(change, inputs.live)
        if change.id is None or former is None:
            continue
        before, after = inputs.holdings.get(change.id, (Holdings(), Holdings()))
        problems |= {f"{change.key.name} loses role:{role}" for role in (before.roles - after.roles) & roles}
        listed = people if change.key.kind is Kind.USER else groups
        if fold(former) in listed or fold(change.key.name) in listed or before.roles & roles:
            problems |= {f"{former} would be {what}" for what in _drastic(change)}
    what = _many(problems, "protected user, group or role holder", "protected users, groups or role holders")
    detail = f"{what} would be touched"
    return Count(len(problems), 0, detail + _examples(problems))


def _drastic(change: Change) -> Iterable[str]:
    if change.action in {Action.DEACTIVATE, Action.DELETE}:
        yield f"{change.action.value}d"
    if _renames(change):
        yield f"renamed to {change.key.name}"


def _renames(change: Change) -> bool:
    """Whether a change gives a user another userName or a group another displayName."""
    return any(_NAMED_BY.get(attribute.path) is change.key.kind for attribute in change.attributes)


_NAMED_BY = {"userName": Kind.USER, "displayName": Kind.GROUP}


def _live_name(change: Change, live: LiveState) -> str | None:
    user = live.users.get(change.id or "")
    if user is not None:
        return user.user_name
    group = live.groups.get(change.id or "")
    return group.display_name if group is not None else None


def identity_reuse(inputs: GuardInputs) -> Count:
    """A recycled name or address would inherit somebody else's access."""
    problems: set[str] = set()
    holders = _holders(inputs)
    for change in inputs.changes:
        if change.key.kind is not Kind.USER:
            continue
        values = {attribute.path: attribute for attribute in change.attributes}
        user = inputs.live.users.get(change.id or "")
        external = values.get("externalId")
        if user is not None and external is not None:
            if external.before is not None:
                problems.add(f"{change.key.name} has another externalId ({external.before})")
            elif user.active is False:
                problems.add(f"{change.key.name} is inactive and would be adopted by userName alone")
        own = external.after if external is not None else user.external_id if user is not None else None
        problems |= _taken(change, own, holders)
    detail = f"{_many(problems, 'identity', 'identities')} would pass to somebody else"
    return Count(len(problems), 0, detail + _examples(problems))


def _new_identifiers(change: Change) -> set[str]:
    """The userName and e-mail addresses that a change brings, folded."""
    new: set[str] = set()
    for attribute in change.attributes:
        if attribute.path == "userName" and isinstance(attribute.after, str):
            new.add(fold(attribute.after))
        elif attribute.path == "emails":
            new |= access_values(attribute.after) - access_values(attribute.before)
    return new


def _holders(inputs: GuardInputs) -> dict[str, list[LiveUser]]:
    """Who has each of the identifiers that the plan gives to somebody; empty where nothing is given."""
    wanted: set[str] = set()
    for change in inputs.changes:
        if change.key.kind is Kind.USER:
            wanted |= _new_identifiers(change)
    holders: dict[str, list[LiveUser]] = {}
    for user in inputs.live.users.values() if wanted else ():
        known = {fold(user.user_name)}
        if b'"emails"' in user.body:
            known |= access_values(value_at(unpack(user.body), "emails"))
        for identifier in known & wanted:
            holders.setdefault(identifier, []).append(user)
    return holders


def _taken(change: Change, own: str | None, holders: Mapping[str, Sequence[LiveUser]]) -> set[str]:
    """Identifiers that a live user under another externalId has."""
    return {
        f"{identifier} belongs to externalId {holder.external_id} and would pass to {change.key.name}"
        for identifier in _new_identifiers(change)
        for holder in holders.get(identifier, ())
        if holder.id != change.id and holder.external_id is not None and holder.external_id != own
    }


def drifted_reactivation(inputs: GuardInputs) -> Count:
    """Somebody suspended the user in the tenant; without a base nobody can tell that git meant to undo it."""
    names = [change.key.name for change in inputs.user_changes(Action.REACTIVATE)]
    return Count(len(names), 0, f"{_many(names, 'inactive user')} would be reactivated{_examples(names)}")


def pending(inputs: GuardInputs) -> Count:
    """Members whom git does not name would leave a group while names of it are still to come (SPEC section 3).

    Without `--allow` they are kept, and there is nothing to count.
    """
    groups = [change for change in inputs.changes if str(change.key) in inputs.pending]
    leaving = [f"{label} of {change.key.name}" for change in groups for label in change.members.removed]
    detail = f"{_many(leaving, 'member')} would leave groups of which names are pending"
    return Count(len(leaving), 0, detail + _examples(leaving))


def nesting(inputs: GuardInputs) -> Count:
    """A new nested membership would close a cycle or make a chain of groups longer than the limit."""
    before, after = _group_edges(inputs, after=False), _group_edges(inputs, after=True)
    limit = inputs.tenant.limits.nested_group_depth
    parents = parents_of(after)
    height_below, height_above = heights(after), heights(parents)
    problems = set()
    for parent, children in after.items():
        for child in sorted(set(children) - set(before.get(parent, ()))):
            back = shortest_path(after, child, parent)
            if back is not None:
                problems.add(f"{_chain_of((parent, *back), inputs)} is a cycle")
                continue
            chain = (*reversed(_longest(parents, parent, height_above)), *_longest(after, child, height_below))
            if len(chain) > limit:
                problems.add(f"{_chain_of(chain, inputs)} is {len(chain)} groups deep, {limit} are allowed")
    return Count(len(problems), 0, f"{_many(problems, 'nested membership')} cannot be made{_examples(problems)}")


def _longest(edges: Children, node: str, height: Mapping[str, int]) -> tuple[str, ...]:
    """The longest chain from a group on; of one on a live cycle, or beyond one, only itself."""
    return longest_chain(edges, node, height) if node in height else (node,)


def _chain_of(nodes: Sequence[str], inputs: GuardInputs) -> str:
    created = {str(change.key): change.key.name for change in inputs.changes if change.action is Action.CREATE}
    return " > ".join(created.get(node) or group_name(node, inputs.directory) for node in nodes)


def _group_edges(inputs: GuardInputs, *, after: bool) -> Children:
    """Parent to child groups, live or as they would be: by id or the key of a create, for a name may be there twice."""
    edges: dict[str, set[str]] = {}
    for group in inputs.live.groups.values():
        nested = {member for member in group.members or () if member in inputs.live.groups}
        if nested:
            edges[group.id] = nested
    if after:
        for child, parents in inputs.graph.removed.items():
            for parent in parents if inputs.directory.is_group(child) else ():
                edges.get(str(parent), set()).discard(str(child))
        for child, parents in inputs.graph.added.items():
            for parent in parents if inputs.directory.is_group(child) else ():
                edges.setdefault(str(parent), set()).add(str(child))
    return edges


def exclusive(inputs: GuardInputs) -> Count:
    """Somebody would hold more of an exclusive set than before (Policy)."""
    problems: set[str] = set()
    renamed = _renamed_groups(inputs)
    reactivated = {change.id for change in inputs.user_changes(Action.REACTIVATE)}
    touched = touched_users(inputs.changes, inputs.graph, inputs.live, renamed) if inputs.exclusives else ()
    for target in touched:
        name = inputs.directory.label(target).removeprefix("user:")
        before, after = inputs.holdings.get(target) or _unchanged_holdings(target, inputs)
        groups_before = set() if target in reactivated else _group_names(target, inputs.graph.before, {}, inputs)
        now = dict(violations(inputs.exclusives, roles=before.roles, groups=groups_before))
        groups_after = _group_names(target, inputs.graph.after, renamed, inputs)
        problems |= {
            f"{name} would hold {' and '.join(held)} ({policy.name})"
            for policy, held in violations(inputs.exclusives, roles=after.roles, groups=groups_after)
            if set(held) - set(now.get(policy, ()))
        }
    return Count(len(problems), 0, f"{_many(problems, 'policy violation')} would be new{_examples(problems)}")


def _unchanged_holdings(target: Target, inputs: GuardInputs) -> tuple[Holdings, Holdings]:
    user = inputs.live.users.get(target) if isinstance(target, str) else None
    held = _holdings(unpack(user.body)) if user is not None and user.active is not False else Holdings()
    return held, held


def _renamed_groups(inputs: GuardInputs) -> dict[Target, str]:
    """The groups that get another name, and that name."""
    return {
        change.id: change.key.name
        for change in inputs.changes
        if change.id is not None and change.key.kind is Kind.GROUP and _renames(change)
    }


def _group_names(
    target: Target,
    edges: Callable[[Target], Iterable[Target]],
    renamed: Mapping[Target, str],
    inputs: GuardInputs,
) -> set[str]:
    """The groups a user is effectively in, by the names that the tenant has for them, then or now."""
    return {
        fold(renamed.get(group) or _own_name(group, inputs.live))
        for group in effective_groups(target, edges, inputs.directory)
    }


def _own_name(group: Target, live: LiveState) -> str:
    """The displayName of a group, also where several have it: what names a right must not depend on that."""
    if isinstance(group, str):
        return live.groups[group].display_name if group in live.groups else group
    return group.name


def inactive_member(inputs: GuardInputs) -> Count:
    """A membership would be given to a user who is, or would be, inactive."""
    activity = {change.id or change.key: _active_after(change) for change in inputs.changes}
    problems = []
    for change in inputs.changes:
        for label in change.members.added:
            target = inputs.targets[label]
            user = inputs.live.users.get(target) if isinstance(target, str) else None
            stated = activity.get(target)
            if stated is False or (stated is None and user is not None and user.active is False):
                problems.append(f"{label} in {change.key.name}")
    return Count(len(problems), 0, f"{_many(problems, 'membership')} would go to inactive users{_examples(problems)}")


def _active_after(change: Change) -> bool | None:
    return next((a.after for a in change.attributes if a.path == "active"), None)


GUARDS: Mapping[str, Guard] = {
    "incomplete-inventory": incomplete_inventory,
    "empty-desired": empty_desired,
    "removal-share": removal_share,
    "access-loss": access_loss,
    "membership-share": membership_share,
    "privileged-gain": privileged_gain,
    "protected": protected,
    "identity-reuse": identity_reuse,
    "drifted-reactivation": drifted_reactivation,
    "pending": pending,
    "nesting": nesting,
    "exclusive": exclusive,
    "inactive-member": inactive_member,
}

OVERRIDABLE = frozenset(GUARDS) - NO_OVERRIDE
"""The guards that `--allow` can name."""


def _limit(share: ShareLimit, managed: int, floor: int) -> int:
    """The most that a share guard admits: its percentage, at least the floor, at most the absolute cap."""
    percent = math.floor(managed * (share.percent if share.percent is not None else 100) / 100)
    admitted = max(floor, percent)
    return admitted if share.max is None else min(admitted, share.max)


def _protected(inputs: GuardInputs, prefix: str) -> frozenset[str]:
    entries = inputs.tenant.guards.protected
    return frozenset(fold(entry.removeprefix(prefix)) for entry in entries if entry.startswith(prefix))


def _protected_groups(inputs: GuardInputs) -> dict[str, str]:
    """The protected groups: how gains and losses name each, and how people know it.

    A group counts by the name it has in the tenant as well as by the one that the plan has for it, and also where other
    groups share that name, so that neither a namesake nor a rename takes the protection away.
    """
    listed = _protected(inputs, "group:")
    if not listed:
        return {}
    names: dict[Target, set[str]] = {group.id: {group.display_name} for group in inputs.live.groups.values()}
    for change in inputs.changes:
        if change.key.kind is Kind.GROUP:
            names.setdefault(change.id or change.key, set()).add(change.key.name)
    found: dict[str, str] = {}
    for target, known in names.items():
        meant = sorted(name for name in known if fold(name) in listed)
        if meant:
            shown = group_name(target, inputs.directory)
            found[shown] = shown if fold(shown) in listed else f"{meant[0]} ({shown})"
    return found


def _many(items: Collection[object], one: str, several: str = "") -> str:
    return f"{len(items)} {one if len(items) == 1 else several or one + 's'}"


def _examples(names: Iterable[str]) -> str:
    listed = sorted(names)
    if not listed:
        return ""
    more = f" and {len(listed) - _EXAMPLES} more" if len(listed) > _EXAMPLES else ""
    return f": {', '.join(listed[:_EXAMPLES])}{more}"
