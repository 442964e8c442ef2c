"""What a reviewer should know about a tenant beside the changes: existing violations, missing protection. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.messages.operations import NAMED_BY, access_values, label_of
from reconciler.model.change import Change, Reason
from reconciler.model.plan import Finding
from reconciler.model.resource import DesiredGroup, LiveGroup, LiveUser, unpack
from reconciler.model.state import Exclusive, LiveState
from reconciler.model.tenant import Tenant
from reconciler.planner.matching import Match
from reconciler.planner.membership import live_parents
from reconciler.semantics.canonical import fold
from reconciler.semantics.equivalences import core
from reconciler.semantics.graph import deepest_chains, find_cycles, reachable
from reconciler.semantics.policy import violations

_ONLY_ITSELF = 2  # a ring ends where it began: (name, name) is a change of case


def standing_findings(
    tenant: Tenant, live: LiveState, exclusives: Sequence[Exclusive], changes: Sequence[Change]
) -> list[Finding]:
    """Findings that do not depend on how the changes came about."""
    findings = []
    if not tenant.guards.protected:
        message = (
            "no user, group or role is protected: list your break-glass accounts under `guards: {protected: [...]}`"
        )
        findings.append(Finding(code="no-protected", message=message))
    findings += [
        Finding(code="adopted", message="matched by userName alone; its externalId will be set", key=str(change.key))
        for change in changes
        if change.reason is Reason.ADOPTED
    ]
    findings += [*_unseen_members(live, changes), *_name_rings(changes)]
    return [*findings, *_nesting(tenant, live), *_exclusive(live, exclusives)]


def alike_findings(groups: Sequence[Match[DesiredGroup, LiveGroup]], live: Mapping[str, LiveGroup]) -> list[Finding]:
    """Groups to create although one of nearly that name is there that git does not speak of (scim-rfc.md Q12).

    A service that rewrites names would be given the same group in every run. Users are safe: their names are unique.
    """
    wanted = {core(match.desired.display_name): match.desired.key for match in groups if match.live is None}
    claimed = {match.live.id for match in groups if match.live is not None}
    there = (group for group in live.values() if group.id not in claimed) if wanted else ()
    return [
        Finding(
            code="alike",
            message=f"there is a group {group.display_name} (id {group.id}) already, which nothing in git speaks of. "
            "If it is this one, under the name that the service gave it, say so in `equivalences` before you apply",
            key=str(wanted[core(group.display_name)]),
        )
        for group in sorted(there, key=lambda group: group.id)
        if core(group.display_name) in wanted
    ]


def _unseen_members(live: LiveState, changes: Sequence[Change]) -> list[Finding]:
    """Groups that gain members where none shows any: either they are empty, or the service never shows members (Q6).

    A group that is known not to show its members has a finding of its own.
    """
    gaining = sum(1 for change in changes if change.id in live.groups and change.members.added)
    if not gaining or any(group.members is None or group.members for group in live.groups.values()):
        return []
    message = (
        "no group in the tenant shows a member. If the service never shows them, the members to add may be in there "
        "already, and what anybody has through groups counts for no guard"
    )
    return [Finding(code="members-unseen", message=message)]


def _name_rings(changes: Sequence[Change]) -> list[Finding]:
    """Renames that wait for each other: a service gives a name only once it is free."""
    renamed = [
        (label_of(change.key), change.key.kind, fold(item.before), fold(change.key.name))
        for change in changes
        for item in change.attributes
        if item.path == NAMED_BY.get(change.key.kind) and change.id is not None and isinstance(item.before, str)
    ]
    holders = {(kind, before): label for label, kind, before, _ in renamed}
    waits = {label: {holders[kind, after]} for label, kind, _, after in renamed if (kind, after) in holders}
    return [
        Finding(
            code="name-ring",
            message=f"{' > '.join(ring)}: each takes the name of the next, so the service will refuse; rename one of "
            "them to a name that is free first, in a change of its own",
        )
        for ring in find_cycles(waits)
        if len(ring) > _ONLY_ITSELF
    ]


def _nesting(tenant: Tenant, live: LiveState) -> list[Finding]:
    """Cycles and chains that live already has; only what a plan adds or worsens is refused."""
    children = {
        group.id: [member for member in group.members or () if member in live.groups] for group in live.groups.values()
    }
    nested = {parent: below for parent, below in children.items() if below}
    chains = [("a cycle", cycle) for cycle in find_cycles(nested)]
    limit = tenant.limits.nested_group_depth
    chains += [(f"{len(chain)} groups deep, {limit} are allowed", chain) for chain in deepest_chains(nested, limit)]
    return [
        Finding(code="nesting", message=f"live already has {what}: {' > '.join(_names(chain, live))}")
        for what, chain in chains
    ]


def _names(chain: Sequence[str], live: LiveState) -> list[str]:
    return [live.groups[group].display_name for group in chain]


def _exclusive(live: LiveState, exclusives: Sequence[Exclusive]) -> list[Finding]:
    """Users who already hold more of an exclusive set than one."""
    if not exclusives:
        return []
    parents = live_parents(live.groups)
    findings = []
    for user in sorted(live.users.values(), key=lambda user: user.user_name):
        above = set(parents.get(user.id, ())) | reachable(parents, [user.id])
        groups = {fold(live.groups[group].display_name) for group in above if group in live.groups}
        findings += [
            Finding(code="exclusive", message=f"already holds {' and '.join(held)} ({policy.name})", key=str(user.key))
            for policy, held in violations(exclusives, roles=_roles(user), groups=groups)
        ]
    return findings


def _roles(user: LiveUser) -> frozenset[str]:
    return access_values(unpack(user.body).get("roles")) if b'"roles"' in user.body else frozenset()
