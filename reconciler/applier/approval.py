"""An approved plan meets the tenant of today -> what may be executed, what is done or in conflict (SPEC 7.3). Pure.

Nothing is taken from the file but what was approved: who, what, from which state to which. Ids, versions and guard
verdicts are found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.applier.conflict import WHOLE_RESOURCE, Conflict, Done, judge, judge_configuration, left_over
from reconciler.messages.operations import label_of
from reconciler.model.change import Action, Change, MembershipChange, Precondition, PreconditionKind
from reconciler.model.outcome import ChangeResult, Disagreement, Outcome
from reconciler.model.plan import AccessChange, Plan
from reconciler.model.resource import Kind, LiveGroup, LiveUser
from reconciler.model.state import LiveState
from reconciler.planner.binding import Bound, bind_labels
from reconciler.planner.matching import Index, Live, find_live, index_live
from reconciler.planner.rules import Rules
from reconciler.semantics.canonical import fold


@dataclass(frozen=True, slots=True)
class Approval:
    """`changes` may be executed; `results` are the outcomes of those that may not or need not."""

    changes: tuple[Change, ...]
    results: tuple[ChangeResult, ...]


def approve(plan: Plan, live: LiveState, rules: Rules) -> Approval:
    """Judge every change of an approved plan against a fresh snapshot."""
    known = rules.tenant.equivalences
    users, groups = index_live(live.users.values(), known), index_live(live.groups.values(), known)
    bound = bind_labels(plan.changes, live)
    executable: list[Change] = []
    results: list[ChangeResult] = []
    for change in plan.changes:
        if change.key.kind is Kind.SERVICE_PROVIDER_CONFIG:
            outcome = _judge_configuration(change, live, rules)
        else:
            now = _find(change, users) if change.key.kind is Kind.USER else _find(change, groups)
            outcome = _judge_resource(change, now, bound, rules)
        if isinstance(outcome, Change):
            executable.append(outcome)
        else:
            results.append(outcome)
    return Approval(*_without_dependants(executable, results))


def _find(change: Change, index: Index[Live]) -> Live | None:
    """The resource a change was approved for; ids are never taken from a file (SPEC P2).

    Where the file says that the anchor was an id, it can only rule out somebody who has that as externalId.
    """
    now = find_live(replace(change, id=None), index)
    anchored_by_id = change.anchor is not None and change.id == change.anchor
    return None if now is not None and anchored_by_id and now.id != change.anchor else now


def remaining(plan: Plan, live: LiveState, rules: Rules) -> tuple[Change, ...]:
    """What of a plan is not as approved on a snapshot: the proof where there is no desired state to plan again from."""
    known = rules.tenant.equivalences
    users, groups = index_live(live.users.values(), known), index_live(live.groups.values(), known)
    ids = bind_labels(plan.changes, live).ids | dict(_created(plan, users, groups))
    left: list[Change] = []
    for change in plan.changes:
        if change.key.kind is Kind.SERVICE_PROVIDER_CONFIG:
            continue  # its own GET has proven it
        now = find_live(change, users) if change.key.kind is Kind.USER else find_live(change, groups)
        rest = left_over(change, now, ids, rules.tenant.equivalences)
        left += [rest] if rest is not None else []
    return tuple(left)


def _created(plan: Plan, users: Index[LiveUser], groups: Index[LiveGroup]) -> Iterator[tuple[str, str]]:
    """Label and id of every create that is there by now; the service may have changed the case of its name."""
    for change in plan.changes:
        if change.action is Action.CREATE:
            now = find_live(change, users) if change.key.kind is Kind.USER else find_live(change, groups)
            if now is not None:
                yield label_of(change.key), now.id


def access_not_approved(approved: Iterable[AccessChange], rebuilt: Plan) -> dict[str, list[str]]:
    """Access that executing the changes would give although no approved plan does: users by group."""
    known = {(fold(gain.user), fold(gain.group)) for gain in approved}
    extra: dict[str, list[str]] = {}
    for gain in rebuilt.access.gains:
        if (fold(gain.user), fold(gain.group)) not in known:  # git and the tenant may differ in case
            for group in (gain.group, *gain.via):
                extra.setdefault(group, []).append(gain.user)
    return extra


def hold(changes: Sequence[Change], extra: dict[str, list[str]]) -> tuple[list[Change], list[ChangeResult]]:
    """The changes without those through which unapproved access would flow: additions to a group, reactivations.

    What needs a create that is held is held too. What a held change takes away is carried out all the same.
    """
    kept: list[Change] = []
    held: list[ChangeResult] = []
    for change in changes:
        users = _gaining_through(change, extra)
        if not users:
            kept.append(change)
            continue
        cause = f"it would now also give access to {', '.join(sorted(set(users))[:3])}, which was not approved"
        held.append(ChangeResult(change=change, outcome=Outcome.NOT_ATTEMPTED, id=change.id, cause=cause, held=True))
        if change.members.removed:
            kept.append(_only_removals(change))
    executable, results = _without_dependants(kept, held)
    return list(executable), list(results)


def _gaining_through(change: Change, extra: dict[str, list[str]]) -> list[str]:
    if change.action is Action.REACTIVATE:
        return [change.key.name] if any(change.key.name in users for users in extra.values()) else []
    users = extra.get(change.key.name) or extra.get(f"id:{change.id}") or []  # by id where another group has its name
    return users if change.members.added else []


def _judge_resource(
    change: Change, now: LiveUser | LiveGroup | None, bound: Bound, rules: Rules
) -> Change | ChangeResult:
    if change.action is Action.CREATE and now is not None:
        there = Disagreement(WHOLE_RESOURCE, None, str(now.key), "created")
        return _conflict(change, now, "somebody created it since the plan was approved", (there,))
    missing = sorted(label for label, _ in change.references if label in bound.missing)
    if missing:
        return _conflict(change, now, f"{missing[0]} is not there any more", ())
    judgement = judge(change, now, bound.ids, rules.tenant.equivalences)
    if isinstance(judgement, Done):
        known_id = now.id if now is not None else None
        return ChangeResult(change=change, outcome=Outcome.APPLIED, id=known_id, cause="it was so already")
    if isinstance(judgement, Conflict):
        return _conflict(change, now, "the tenant changed since the plan was approved", judgement.disagreements)
    left = judgement.change
    if now is None:
        return replace(left, id=None, anchor=None, precondition=Precondition(PreconditionKind.ABSENT))
    return replace(left, precondition=rules.precondition(now.version))


def _conflict(
    change: Change, now: LiveUser | LiveGroup | None, cause: str, disagreements: tuple[Disagreement, ...]
) -> ChangeResult:
    return ChangeResult(
        change=change,
        outcome=Outcome.CONFLICT,
        id=now.id if now is not None else None,
        cause=cause,
        disagreements=disagreements,
    )


def _judge_configuration(change: Change, live: LiveState, rules: Rules) -> Change | ChangeResult:
    if live.configuration is None:
        return _conflict(change, None, "the service has no ServiceProviderConfig to read", ())
    left, disagreements = judge_configuration(change.attributes, live.configuration)
    if disagreements:
        return _conflict(change, None, "the tenant changed since the plan was approved", disagreements)
    if not left:
        return ChangeResult(change=change, outcome=Outcome.APPLIED, cause="it was so already")
    return replace(change, attributes=left, precondition=rules.precondition(live.configuration.version))


def _without_dependants(
    executable: list[Change], results: list[ChangeResult]
) -> tuple[tuple[Change, ...], tuple[ChangeResult, ...]]:
    """What needs a create that is not executed is held; what such a change takes away is carried out all the same."""
    gone = {label_of(r.change.key) for r in results if r.change.action is Action.CREATE}
    kept: list[Change] = []
    for change in executable:  # in plan order: what is needed comes first
        lost = [label for label, anchor in change.references if anchor is None and label in gone]
        if not lost:
            kept.append(change)
            continue
        cause = f"it needs {lost[0]}, whose own change was not carried out"
        results.append(ChangeResult(change=change, outcome=Outcome.NOT_ATTEMPTED, id=change.id, cause=cause, held=True))
        if change.action is Action.CREATE:
            gone.add(label_of(change.key))
        elif change.members.removed:
            kept.append(_only_removals(change))
    return tuple(kept), tuple(results)


def _only_removals(change: Change) -> Change:
    return replace(
        change,
        attributes=(),
        members=MembershipChange(removed=change.members.removed),
        references=tuple((label, anchor) for label, anchor in change.references if label in change.members.removed),
    )
