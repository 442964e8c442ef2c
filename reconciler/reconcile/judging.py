"""Under which settings and policies a plan is judged: the stricter of both sides, so that no change loosens them."""

from __future__ import annotations

from reconciler.model.state import DesiredState
from reconciler.model.tenant import Tenant
from reconciler.planner.strictness import stricter_state, stricter_tenant
from reconciler.reconcile.memory import Memory


def judged_by(tenant: Tenant, desired: DesiredState, memory: Memory) -> tuple[Tenant, DesiredState]:
    """Head under what the last complete receipt was made with as well (SPEC section 8)."""
    if memory.before is None or not memory.base.states:
        return tenant, desired
    return stricter_tenant(tenant, memory.before), stricter_state(desired, memory.base.states[0].exclusives)
