"""The proof (SPEC P8): read touched resources again, plan again, and report what is not as declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.applier.conflict import left_over
from reconciler.applier.reading import Rereader
from reconciler.applier.residual import Sent, residuals_of
from reconciler.errors import DesiredStateError, PlanError
from reconciler.messages.operations import label_of
from reconciler.model.change import Action, Change, MembershipChange
from reconciler.model.outcome import ChangeResult, Outcome, Residual
from reconciler.model.resource import Kind, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import LiveState
from reconciler.planner.binding import bind_labels
from reconciler.semantics.canonical import Equivalences, fold

Replan = Callable[[LiveState], Sequence[Change]]
"""What would still be to do on a snapshot."""

ATTEMPTS = 3
"""A service may lag behind its own writes (scim-rfc.md Q24): what differs is read again before it is residual."""


def prove(
    results: Sequence[ChangeResult],
    ids: Mapping[ResourceKey, str],
    live: LiveState,
    *,
    sent: Sent,
    rereader: Rereader,
    replan: Replan,
    wait: Callable[[int], None],
) -> tuple[Residual, ...]:
    """What is not as declared although its change was applied, attribute by attribute; empty is the proof.

    Raises:
        ScimError, PlanError, DesiredStateError: it cannot be read or planned again, so that there is no proof.

    """
    applied = [result.change for result in results if result.outcome is Outcome.APPLIED]
    touched = [change for change in applied if change.key.kind is not Kind.SERVICE_PROVIDER_CONFIG]
    to_read = [*touched, *_half_created(results, ids)]
    unsettled: list[_Unsettled] = []
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            wait(attempt)
        live = rereader.refreshed(to_read, ids, live)
        unsettled = _unsettled(touched, ids, live, sent.equivalences, replan)
        if not unsettled:
            break
        to_read = [item.change for item in unsettled]
    members_shown = any(group.members for group in live.groups.values())
    return tuple(
        residual
        for item in unsettled
        for residual in residuals_of(item.left, item.change, item.now, sent, members_shown=members_shown)
    )


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A change that was applied, what is left of it, and its resource as it was read afterwards."""

    change: Change
    left: Change
    now: LiveUser | LiveGroup | None


def _unsettled(
    touched: Sequence[Change],
    ids: Mapping[ResourceKey, str],
    live: LiveState,
    equivalences: Equivalences,
    replan: Replan,
) -> list[_Unsettled]:
    """What is left by planning again; where that does not recognise a resource, by comparing it with its change."""
    unplanned: PlanError | DesiredStateError | None = None
    planned: dict[tuple[Kind, str], Change] = {}
    try:
        planned = {_identity(change): change for change in replan(live)}
    except (PlanError, DesiredStateError) as error:  # as where somebody else seems to have the name
        unplanned = error
    labels = bind_labels(touched, live).ids | {label_of(key): id_ for key, id_ in ids.items()}
    unsettled = []
    for change in touched:
        now = _now(change, ids, live)
        left = planned.get(_identity(change))
        if unplanned is not None or (left is not None and left.action is Action.CREATE):
            rest = left_over(change, now, labels, equivalences)
            if rest is None and unplanned is None:
                rest = replace(change, attributes=(), members=MembershipChange())
            left = replace(rest, action=Action.CREATE) if rest is not None else None
        if left is not None:
            unsettled.append(_Unsettled(change, left, now))
    if unplanned is not None and not unsettled:
        raise unplanned
    return unsettled


def _now(change: Change, ids: Mapping[ResourceKey, str], live: LiveState) -> LiveUser | LiveGroup | None:
    identifier = ids.get(change.key, change.id) or ""
    return live.users.get(identifier) or live.groups.get(identifier)


def _half_created(results: Sequence[ChangeResult], ids: Mapping[ResourceKey, str]) -> list[Change]:
    """Creates that were sent and not completed: what others say of them can only be judged with them."""
    changes = (result.change for result in results if result.outcome is not Outcome.APPLIED)
    return [change for change in changes if change.action is Action.CREATE and change.key in ids]


def _identity(change: Change) -> tuple[Kind, str]:
    return (change.key.kind, fold(change.key.name))
