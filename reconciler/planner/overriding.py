"""Overrides in git: which of the guards that refuse may let certain changes through (SPEC section 8). Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from reconciler.model.plan import GuardVerdict, Verdict
from reconciler.model.state import Override
from reconciler.planner.guarding import GuardInputs
from reconciler.planner.guards import GUARDS, OVERRIDABLE

DECLARABLE = OVERRIDABLE - {"pending"}
"""The guards that an Override can name. `pending` counts only what `--allow pending` lets go in the first place."""

Without = Callable[[Collection[str]], GuardInputs]
"""What the guards would judge if the changes with these digests were not made."""


def apply_overrides(
    verdicts: Iterable[GuardVerdict], overrides: Sequence[Override], now: str, without: Without
) -> tuple[GuardVerdict, ...]:
    """The verdicts, with what overrides admit. `now` is an RFC 3339 UTC timestamp; without one no override counts.

    An override admits what its guard refuses if it is not expired, the guard counts no more than its `max`, and the
    guard has nothing to say about the plan without the changes that it lists.
    """
    return tuple(
        _judged(verdict, [item for item in overrides if item.guard == verdict.id], now, without)
        if verdict.verdict is Verdict.REFUSE and verdict.id in DECLARABLE
        else verdict
        for verdict in verdicts
    )


def _judged(verdict: GuardVerdict, overrides: Iterable[Override], now: str, without: Without) -> GuardVerdict:
    obstacles = []
    for override in overrides:
        place = f"{override.source.file}:{override.source.line}"
        obstacle = _obstacle(verdict, override, now, without)
        if obstacle is None:
            detail = f"{verdict.detail}; the Override at {place} admits it: {override.reason}"
            return replace(verdict, verdict=Verdict.OVERRIDDEN, detail=detail, override=place)
        obstacles.append(f"the Override at {place} {obstacle}")
    return replace(verdict, detail="; ".join([verdict.detail, *obstacles]))


def _obstacle(verdict: GuardVerdict, override: Override, now: str, without: Without) -> str | None:
    """Why an override does not admit what its guard counted; None where it does."""
    if not now or now[:10] > override.expires:
        return f"expired after {override.expires}"
    if verdict.count is None or verdict.count > override.max:
        return f"admits no more than {override.max:,}"
    rest = without(override.changes)
    if not rest.changes:
        return None
    left = GUARDS[verdict.id](rest)
    return None if left.count <= left.limit else f"does not list all of it: without its changes {left.detail}"
