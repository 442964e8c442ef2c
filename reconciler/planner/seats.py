"""How many licences a plan needs at its worst moment (cxone.md section 4; SPEC section 8, `seats`). Pure.

Whoever is active has a licence. Deactivations are sent first and free theirs, creates and reactivations take one each,
deletions come last: the running peak is counted in the order in which everything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.messages.operations import Step
from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind
from reconciler.model.state import LiveState


def takes_seats(changes: Sequence[Change]) -> bool:
    """Whether a plan gives or frees any licence, so that the quota is worth asking for."""
    return any(
        change.key.kind is Kind.USER
        and (change.action is Action.DELETE or any(a.path == "active" for a in change.attributes))
        for change in changes
    )


def seats_needed(steps: Sequence[Step], live: LiveState) -> Mapping[str, int] | None:
    """`used` now, `peak` while the plan is carried out, and `total`; None where nobody knows the quota."""
    quota = live.quota
    if quota is None:
        return None
    running = peak = quota.used
    for step in steps:
        running += _seats_of(step, live)
        peak = max(peak, running)
    return {"used": quota.used, "peak": peak, "total": quota.total}


def _seats_of(step: Step, live: LiveState) -> int:
    change = step.change
    if change.key.kind is not Kind.USER:
        return 0
    user = live.users.get(change.id or "")
    was_active = user is not None and user.active is not False
    if change.action is Action.DELETE:
        return -1 if was_active else 0
    stated = [attribute.after for attribute in step.attributes if attribute.path == "active"]
    if not stated:
        return 0
    return int(stated[0] is not False) - int(was_active)
