"""The proof (SPEC P8): read touched resources again, plan again, and report what is not as declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reconciler.applier.reading import Rereader
from reconciler.model.change import Action, Change
from reconciler.model.outcome import ChangeResult, Outcome, Residual
from reconciler.model.resource import Kind, ResourceKey
from reconciler.model.state import LiveState
from reconciler.semantics.canonical import fold

Replan = Callable[[LiveState], Sequence[Change]]
"""What would still be to do on a snapshot."""

ATTEMPTS = 3
"""A service may lag behind its own writes (scim-rfc.md Q24): what differs is read again before it is residual."""


def prove(
    results: Sequence[ChangeResult],
    ids: Mapping[ResourceKey, str],
    live: LiveState,
    *,
    rereader: Rereader,
    replan: Replan,
    wait: Callable[[int], None],
) -> tuple[Residual, ...]:
    """What is not as declared although its change was applied; empty is the proof."""
    applied = [result.change for result in results if result.outcome is Outcome.APPLIED]
    touched = [change for change in applied if change.key.kind is not Kind.SERVICE_PROVIDER_CONFIG]
    keys = {_identity(change) for change in touched}
    to_read = [*touched, *_half_created(results, ids)]
    residual: tuple[Residual, ...] = ()
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            wait(attempt)
        live = rereader.refreshed(to_read, ids, live)
        left = [change for change in replan(live) if _identity(change) in keys]
        residual = tuple(item for change in left for item in _residual_of(change))
        if not residual:
            break
        unsettled = {_identity(change) for change in left}
        to_read = [change for change in touched if _identity(change) in unsettled]
    return residual


def _half_created(results: Sequence[ChangeResult], ids: Mapping[ResourceKey, str]) -> list[Change]:
    """Creates that were sent and not completed: what others say of them can only be judged with them."""
    changes = (result.change for result in results if result.outcome is not Outcome.APPLIED)
    return [change for change in changes if change.action is Action.CREATE and change.key in ids]


def _identity(change: Change) -> tuple[Kind, str]:
    return (change.key.kind, fold(change.key.name))


def _residual_of(change: Change) -> list[Residual]:
    key = str(change.key)
    if change.action is Action.CREATE:
        return [Residual(key=key, path="(resource)", expected="there", found="not found")]
    items = [Residual(key=key, path=a.path, expected=a.after, found=a.before) for a in change.attributes]
    items += [Residual(key=key, path="members", expected=label, found=None) for label in change.members.added]
    return items + [Residual(key=key, path="members", expected=None, found=label) for label in change.members.removed]
