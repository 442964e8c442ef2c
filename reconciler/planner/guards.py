"""Limits on a plan, one function a guard (SPEC section 8). Pure.

A guard looks at what would happen and says what it counted, what it admits, and an example or two. It never decides
alone: `--allow GUARD=N` admits up to N for one run, except where a guard has no override.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from reconciler.model.change import Action, Change
from reconciler.model.plan import GuardVerdict, Verdict
from reconciler.model.resource import Kind, LiveGroup
from reconciler.model.state import LiveState, Standing
from reconciler.planner.access import effective_groups, group_name, touched_users
from reconciler.planner.guarding import (
    SHARE_FLOOR,
    Count,
    Guard,
    GuardInputs,
    Holdings,
    examples,
    held_by,
    limit_of,
    many,
    removal_limit,
    removed,
)
from reconciler.planner.memory_guards import (
    churn,
    drifted_reactivation,
    empty_desired,
    identity_reuse,
    missing_share,
    no_base,
    worst_of,
)
from reconciler.planner.references import Target
from reconciler.semantics.canonical import fold
from reconciler.semantics.graph import Children, heights, longest_chain, parents_of, reachable, shortest_path
from reconciler.semantics.policy import violations

NO_OVERRIDE = frozenset({"incomplete-inventory", "nesting", "no-base"})
"""Without a base nobody knows what would be forgotten; `--first-run` and `--continue-from` say so, not `--allow`."""
PLURALS = {Kind.USER: "users", Kind.GROUP: "groups"}
_SMALL_FOR_ACCESS = 20
_MEMBERS_WORTH_A_SHARE = 4


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


def removal_share(inputs: GuardInputs) -> Count:
    """Too many users or groups at once would be deactivated or deleted."""
    found: list[Count] = []
    for kind in (Kind.USER, Kind.GROUP):
        gone = removed(inputs, kind)
        names = examples(change.key.name for change in gone)
        detail = f"{len(gone)} of {inputs.managed[kind]} managed {PLURALS[kind]} would be removed{names}"
        found.append(Count(len(gone), removal_limit(inputs, kind), detail))
    return worst_of(found)


def access_loss(inputs: GuardInputs) -> Count:
    """Too many users at once would lose a group, a role or an entitlement."""
    losing = {loss.user for loss in inputs.access.losses}
    for target, (before, after) in inputs.holdings.items():
        if before.roles - after.roles or before.entitlements - after.entitlements:
            losing.add(inputs.directory.label(target).removeprefix("user:"))
    managed = inputs.managed[Kind.USER]
    floor = 2 if managed < _SMALL_FOR_ACCESS else SHARE_FLOOR
    limit = limit_of(inputs.share("access-loss"), managed, floor)
    detail = f"{len(losing)} of {managed} managed users would lose a group, role or entitlement{examples(losing)}"
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
    detail = f"{many(problems, 'group')} would lose over {percent:g} % of the members or the last active one"
    return Count(len(problems), 0, detail + examples(problems))


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


def update_share(inputs: GuardInputs) -> Count:
    """Too many users or groups at once would be changed; the first run may change all that differs."""
    found: list[Count] = []
    for kind in (Kind.USER, Kind.GROUP):
        names = [c.key.name for c in inputs.changes if c.key.kind is kind and c.action is Action.UPDATE]
        managed = inputs.managed[kind]
        limit = limit_of(inputs.share("update-share"), managed, SHARE_FLOOR)
        detail = f"{len(names)} of {managed} managed {PLURALS[kind]} would be updated{examples(names)}"
        is_first = inputs.base.standing is Standing.FIRST_RUN
        found.append(Count(len(names), max(limit, len(names)) if is_first else limit, detail))
    return worst_of(found)


def minimum_members(inputs: GuardInputs) -> Count:
    """A protected group would have fewer active members than its minimum, and fewer than now."""
    minimum = inputs.tenant.guards.minimum_members
    shown, listed = _protected_groups(inputs), _protected(inputs, "group:")
    becoming = {change.id or change.key: _active_after(change) for change in inputs.changes}
    gone = {change.id for change in inputs.changes if change.action is Action.DELETE}
    problems = []
    for group in inputs.live.groups.values() if listed else ():
        name = group_name(group.id, inputs.directory)
        if name not in shown or group.members is None:
            continue
        before = sum(1 for member in group.members if _is_active(member, inputs.live))
        staying = [m for m in group.members if group.id not in inputs.graph.removed.get(m, ()) and m not in gone]
        joining = [m for m, groups in inputs.graph.added.items() if group.id in groups]
        after = sum(1 for m in (*staying, *joining) if _would_be_active(m, becoming, inputs.live))
        if after < min(before, minimum):
            problems.append(f"{shown[name]} ({after} instead of {before})")
    detail = f"{many(problems, 'protected group')} would have fewer than {minimum} active members"
    return Count(len(problems), 0, detail + examples(problems))


def self_lockout(inputs: GuardInputs) -> Count:
    """The reconciler's own account, or how clients sign in, would change."""
    problems = []
    own = fold(inputs.own_account) if inputs.own_account else None
    for change in inputs.changes:
        if change.key.kind is Kind.SERVICE_PROVIDER_CONFIG:
            paths = [a.path for a in change.attributes if a.path.partition(".")[0] == "authenticationSchemes"]
            problems += [f"{path} would change" for path in paths]
        elif change.key.kind is Kind.USER and own is not None:
            names = {fold(change.key.name), fold(_live_name(change, inputs.live) or ""), change.anchor, change.id}
            problems += [f"{change.key.name} is the reconciler's own account"] if own in names else []
    return Count(len(problems), 0, "; ".join(problems) or "the way the reconciler signs in stays as it is")


def seats(inputs: GuardInputs) -> Count:
    """At some moment more users would be active than there are licences (cxone.md section 4)."""
    known = inputs.seats
    if known is None:
        return Count(0, 0, "licences are not known here, or not touched")
    used, peak, total = known["used"], known["peak"], known["total"]
    percent = round(used * 100 / total) if total else 0
    detail = f"{used:,} of {total:,} licences are used ({percent} %), {peak:,} would be at the peak"
    return Count(max(0, peak - total) if peak > used else 0, 0, detail)


def time_budget(inputs: GuardInputs) -> Count:
    """Applying would take longer than `--max-minutes`."""
    if inputs.max_minutes is None:
        return Count(0, 0, "no limit is set")
    detail = f"applying takes about {many(range(inputs.minutes), 'minute')}, {inputs.max_minutes} are allowed"
    return Count(inputs.minutes, inputs.max_minutes, detail)


def privileged_gain(inputs: GuardInputs) -> Count:
    """Somebody would newly get a protected group or role, also through nested groups."""
    roles, groups = _protected(inputs, "role:"), _protected_groups(inputs)
    gains = {f"{gain.user} gets group:{groups[gain.group]}" for gain in inputs.access.gains if gain.group in groups}
    for target, (before, after) in inputs.holdings.items():
        name = inputs.directory.label(target).removeprefix("user:")
        gains |= {f"{name} gets role:{role}" for role in (after.roles - before.roles) & roles}
    gains |= {f"whoever is in {group} gets group:{to}" for group, to in _unseen_gains(inputs, groups)}
    return Count(len(gains), 0, f"{many(gains, 'protected access right')} would be given{examples(gains)}")


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
    what = many(problems, "protected user, group or role holder", "protected users, groups or role holders")
    detail = f"{what} would be touched"
    return Count(len(problems), 0, detail + examples(problems))


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


def pending(inputs: GuardInputs) -> Count:
    """Members whom git does not name would leave a group while names of it are still to come (SPEC section 3).

    Without `--allow` they are kept, and there is nothing to count.
    """
    detail = f"{many(inputs.leaving, 'member')} would leave groups of which names are pending"
    return Count(len(inputs.leaving), 0, detail + examples(inputs.leaving))


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
    return Count(len(problems), 0, f"{many(problems, 'nested membership')} cannot be made{examples(problems)}")


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
    problems = {
        f"{label.removeprefix('user:')} would hold {' and '.join(held)} ({policy})"
        for label, policy, held in _new_violations(inputs)
    }
    return Count(len(problems), 0, f"{many(problems, 'policy violation')} would be new{examples(problems)}")


def policy_violators(inputs: GuardInputs) -> set[str]:
    """The labels of those who would hold more of an exclusive set than before."""
    return {label for label, _, _ in _new_violations(inputs)}


def _new_violations(inputs: GuardInputs) -> Iterable[tuple[str, str, Sequence[str]]]:
    """(label of the user, name of the policy, what the user would hold of it)."""
    renamed = _renamed_groups(inputs)
    reactivated = {change.id for change in inputs.user_changes(Action.REACTIVATE)}
    touched = touched_users(inputs.changes, inputs.graph, inputs.live, renamed) if inputs.exclusives else ()
    for target in touched:
        before, after = inputs.holdings.get(target) or _unchanged_holdings(target, inputs)
        held_before = () if target in reactivated else effective_groups(target, inputs.graph.before, inputs.directory)
        groups_before = {fold(name) for group in held_before for name in _names_before(group, renamed, inputs)}
        now = dict(violations(inputs.exclusives, roles=before.roles, groups=groups_before))
        held_after = effective_groups(target, inputs.graph.after, inputs.directory)
        groups_after = {fold(name) for group in held_after for name in _names_after(group, renamed, inputs)}
        for policy, held in violations(inputs.exclusives, roles=after.roles, groups=groups_after):
            if set(held) - set(now.get(policy, ())):
                yield inputs.directory.label(target), policy.name, held


def _unchanged_holdings(target: Target, inputs: GuardInputs) -> tuple[Holdings, Holdings]:
    user = inputs.live.users.get(target) if isinstance(target, str) else None
    held = held_by(user) if user is not None and user.active is not False else Holdings()
    return held, held


def _renamed_groups(inputs: GuardInputs) -> dict[Target, str]:
    """The groups that get another name, and that name."""
    return {
        change.id: change.key.name
        for change in inputs.changes
        if change.id is not None and change.key.kind is Kind.GROUP and _renames(change)
    }


def _names_before(group: Target, renamed: Mapping[Target, str], inputs: GuardInputs) -> set[str]:
    """The names of a group as it is: that in the tenant, and that in git where the service rewrites it."""
    own = _own_name(group, inputs.live)
    return {own} if group in renamed else {own, group_name(group, inputs.directory)}


def _names_after(group: Target, renamed: Mapping[Target, str], inputs: GuardInputs) -> set[str]:
    """The names of a group as it would be."""
    return {renamed[group]} if group in renamed else _names_before(group, renamed, inputs)


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
    return Count(len(problems), 0, f"{many(problems, 'membership')} would go to inactive users{examples(problems)}")


def _active_after(change: Change) -> bool | None:
    return next((a.after for a in change.attributes if a.path == "active"), None)


GUARDS: Mapping[str, Guard] = {
    "no-base": no_base,
    "incomplete-inventory": incomplete_inventory,
    "empty-desired": empty_desired,
    "removal-share": removal_share,
    "access-loss": access_loss,
    "membership-share": membership_share,
    "privileged-gain": privileged_gain,
    "update-share": update_share,
    "missing-share": missing_share,
    "protected": protected,
    "minimum-members": minimum_members,
    "self-lockout": self_lockout,
    "identity-reuse": identity_reuse,
    "drifted-reactivation": drifted_reactivation,
    "pending": pending,
    "seats": seats,
    "nesting": nesting,
    "exclusive": exclusive,
    "inactive-member": inactive_member,
    "churn": churn,
    "time-budget": time_budget,
}

OVERRIDABLE = frozenset(GUARDS) - NO_OVERRIDE
"""The guards that `--allow` can name."""


def _protected(inputs: GuardInputs, prefix: str) -> frozenset[str]:
    entries = inputs.tenant.guards.protected
    return frozenset(fold(entry.removeprefix(prefix)) for entry in entries if entry.startswith(prefix))


def _protected_groups(inputs: GuardInputs) -> dict[str, str]:
    """The protected groups: how gains and losses name each, and how people know it.

    A group counts by the name it has in the tenant as well as by the one that git and the plan have for it, and also
    where other groups share that name, so that neither a namesake, a rename nor a service that rewrites names takes the
    protection away.
    """
    listed = _protected(inputs, "group:")
    if not listed:
        return {}
    names: dict[Target, set[str]] = {
        group.id: {group.display_name, group_name(group.id, inputs.directory)} for group in inputs.live.groups.values()
    }
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
