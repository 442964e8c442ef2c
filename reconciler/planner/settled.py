"""What a run leaves for the next one to remember: what is settled, who was taken out, how much was changed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from reconciler.model.change import Action
from reconciler.model.outcome import ApplyResult, Outcome
from reconciler.model.plan import Care, Plan
from reconciler.model.resource import Kind, ResourceKey
from reconciler.model.state import LiveState
from reconciler.model.tenant import People, Tenant, UserRemoval

KINDS = (Kind.USER, Kind.GROUP)
_AXES = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REACTIVATE: "updated",
    Action.DEACTIVATE: "removed",
    Action.DELETE: "removed",
}


def settled_ids(plan: Plan, result: ApplyResult) -> Mapping[Kind, frozenset[str]]:
    """The live resources that were proven to be as git declares: nothing was to be done, or it was done and proven.

    What git declares no more is settled when all that it once gave is taken back.
    """
    care, done = plan.care or Care(), _done(result)
    open_ids = _open_ids(plan, done)
    settled: dict[Kind, frozenset[str]] = {}
    for kind in KINDS:
        made = {
            item.id for item in result.results if item.id and item.change.key in done and item.change.key.kind is kind
        }
        known = care.declared.get(kind, frozenset()) | care.former.get(kind, frozenset())
        settled[kind] = frozenset((known | made) - open_ids)
    return settled


def _done(result: ApplyResult) -> frozenset[ResourceKey]:
    """The changes that were applied and proven."""
    left = {item.key for item in result.residual}
    applied = (item.change.key for item in result.results if item.outcome is Outcome.APPLIED)
    return frozenset(key for key in applied if result.proven and str(key) not in left)


def _open_ids(plan: Plan, done: Collection[ResourceKey]) -> frozenset[str]:
    """The ids of which something is left to do."""
    waiting = plan.care.waiting if plan.care is not None else frozenset()
    return waiting | {change.id for change in plan.changes if change.id is not None and change.key not in done}


def is_complete(plan: Plan, result: ApplyResult) -> bool:
    """Whether all of the tenant is proven to be as the desired state says, so that older memory may be let go."""
    care = plan.care
    return care is not None and result.complete and not care.waiting and not care.unplanned


def released_users(
    plan: Plan, result: ApplyResult, before: Mapping[str, str], live: LiveState, tenant: Tenant
) -> Mapping[str, str]:
    """The inactive users whom git does not declare any more, with the RFC 3339 time since when.

    `before` are those known so far, and `live` the snapshot that the plan was made of. Who came back and is as git
    says, was deleted, or was reactivated by somebody, is not one of them any more.
    """
    ended = {item.change.id: item.change.action for item in result.results if item.outcome is Outcome.APPLIED}
    care = plan.care or Care()
    declared = care.declared.get(Kind.USER, frozenset())
    keeps = tenant.people is People.EXTERNAL or tenant.removal.users is UserRemoval.KEEP
    new = frozenset() if keeps else care.former.get(Kind.USER, frozenset())
    candidates = {**dict.fromkeys(new, result.ended), **before}
    complete = live.certificate(Kind.USER).complete

    open_ids = _open_ids(plan, _done(result))

    def is_out(identifier: str) -> bool:
        user = live.users.get(identifier)
        came_back = identifier in declared and identifier not in open_ids
        if came_back or ended.get(identifier) is Action.DELETE:
            return False
        if user is None:
            return not complete
        return user.active is False or ended.get(identifier) is Action.DEACTIVATE

    return {identifier: since for identifier, since in sorted(candidates.items()) if is_out(identifier)}


def counted_changes(result: ApplyResult) -> Mapping[str, Mapping[str, int]]:
    """How many users and groups a run created, updated and removed; what may have been done counts as well."""
    counts = Counter(
        (_AXES[item.change.action], item.change.key.kind)
        for item in result.results
        if item.outcome in {Outcome.APPLIED, Outcome.UNKNOWN}
    )
    return {axis: {kind.value: counts[axis, kind] for kind in KINDS} for axis in sorted(set(_AXES.values()))}
