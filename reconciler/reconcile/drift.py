"""Drift: what somebody changed in a tenant since git was last applied completely. Cannot write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.desired.parser import load_desired_state
from reconciler.errors import ConfigurationError, DesiredStateError
from reconciler.model.plan import Finding, Plan
from reconciler.model.state import BaseState, DesiredState, Standing
from reconciler.model.tenant import Tenant
from reconciler.planner.comparison import as_drift
from reconciler.planner.planner import PlanInputs
from reconciler.reconcile.connection import connect
from reconciler.reconcile.memory import Memory, MemoryOptions
from reconciler.reconcile.plan import counted, plan_closely, remember
from reconciler.reconcile.surroundings import Surroundings
from reconciler.report.values import many
from reconciler.scim.capabilities import as_found


def drift_tenant(
    root: Path, tenant_name: str, surroundings: Surroundings, options: MemoryOptions
) -> tuple[Plan, Tenant]:
    """What is otherwise in a tenant than the last complete run left it, of all that git declared then.

    Of the files as they are now only tenant.yaml counts.

    Raises:
        DesiredStateError: tenant.yaml is invalid.
        ConfigurationError, LedgerRefused: what git declared before is not known.
        ScimError: the service cannot be read.

    """
    loaded = load_desired_state(root, tenant_name, documents=False, environ=surroundings.environ)
    if loaded.tenant is None:
        raise DesiredStateError(loaded.diagnostics, root=str(root))
    memory = remember(root, loaded.tenant, None, surroundings, options)
    then, base = _last_proven(memory, tenant_name)
    with connect(loaded.tenant, surroundings, read_only=True) as connection:
        live = counted(connection.read_live_state(configuration=then.configuration is not None), connection)
        surroundings.listener.phase_started("comparing")
        inputs = PlanInputs(
            tenant=connection.tenant,
            desired=then,
            live=live,
            capabilities=as_found(connection.capabilities, live),
            revision=memory.revision,
            # Whom git took out is no change that git wants by now; the drift tells of those who came back.
            base=replace(base, released={}),
            tool=surroundings.tool,
            created_at=surroundings.timestamp(),
        )
        planned = plan_closely(inputs, connection, root)
    drift = as_drift(planned.plan, replace(planned.inputs, base=base))
    surroundings.listener.phase_finished(many(len(drift.changes), "change"))
    return replace(drift, findings=(*_unfinished(memory.base), *drift.findings)), loaded.tenant


def _last_proven(memory: Memory, tenant: str) -> tuple[DesiredState, BaseState]:
    """What git declared at the last complete run, and that as all there is to know."""
    base = memory.base
    if base.standing is not Standing.USABLE:
        raise memory.obstacle or ConfigurationError(
            f"nobody knows what git declared for {tenant} before: {base.detail}",
            context="drift is told against what the last run left, which the ledger in git remembers",
            hint="`reconciler plan` compares the tenant with the files as they are now",
        )
    if base.commit is None or not base.states:
        raise ConfigurationError(
            f"no run of {tenant} was complete yet: there is nothing to tell drift against",
            hint="apply until a run is complete; `reconciler plan` says what is left",
        )
    first = base.states[0]
    return first, replace(base, states=(first,), proven={})


def _unfinished(base: BaseState) -> list[Finding]:
    later = len(base.states) - 1
    if not later:
        return []
    message = (
        f"{many(later, 'later state')} of git came after that without a complete run: what was done of it shows here"
    )
    return [Finding(code="unfinished-runs", message=message)]
