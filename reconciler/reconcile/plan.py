"""Plan one tenant: load, connect read-only, read everything, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.cxone.licences import read_quota
from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.errors import DesiredStateError
from reconciler.model.change import Change
from reconciler.model.dialect import Profile
from reconciler.model.plan import Plan, Quota, Selection, Verdict
from reconciler.model.state import DesiredState, LiveState
from reconciler.model.tenant import AuthType, SecretReference, Tenant
from reconciler.planner.planner import PlanInputs, build_plan
from reconciler.planner.seats import takes_seats
from reconciler.reconcile.absence import look_up_creates
from reconciler.reconcile.connection import Connection, connect
from reconciler.reconcile.jobs import open_job_findings
from reconciler.reconcile.judging import Judged, judge, policies_at
from reconciler.reconcile.memory import Memory, MemoryOptions, obstacle_findings, open_memory
from reconciler.reconcile.surroundings import Surroundings
from reconciler.reconcile.versions import with_known_versions
from reconciler.report.values import many
from reconciler.scim.capabilities import as_found
from reconciler.scim.snapshot import look_for_versions


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    inputs: PlanInputs


def load_valid(
    root: Path, tenant: str, surroundings: Surroundings, selection: Selection = Selection.ALL
) -> tuple[Tenant, Loaded]:
    """The desired state of one tenant. For `--only revoke`, what its sound files declare (SPEC 7.8).

    Raises:
        DesiredStateError: anything in it is wrong, or for `--only revoke` tenant.yaml is; all of it is in the error.

    """
    listener = surroundings.listener
    listener.phase_started("loading the desired state")
    loaded = load_desired_state(root, tenant, environ=surroundings.environ)
    listener.phase_finished(f"{many(loaded.documents, 'document')} in {many(loaded.files, 'file')}")
    if loaded.tenant is not None and loaded.errors and selection is Selection.REVOKE:
        listener.failed(DesiredStateError(loaded.diagnostics, root=str(root)))  # told, and passed over
        return loaded.tenant, loaded
    if loaded.tenant is None or loaded.desired is None or loaded.errors:
        raise DesiredStateError(loaded.diagnostics, root=str(root))
    return loaded.tenant, loaded


def plan_tenant(
    root: Path, tenant_name: str, surroundings: Surroundings, options: MemoryOptions, policy_from: str | None = None
) -> tuple[Plan, Tenant]:
    """What would be done to one tenant. Nothing is written: the transport lets only reads through (SPEC P1).

    `policy_from` is the revision that judges the plan beside head; without one, the last complete run does.
    """
    tenant, loaded = load_valid(root, tenant_name, surroundings, options.selection)
    other = None
    if policy_from is not None:
        other = policies_at(policy_from, root, tenant, options.environ, surroundings.environ)
    memory = remember(root, tenant, loaded.desired, surroundings, options)
    with connect(tenant, surroundings, read_only=True) as reached:
        connection = as_learned(reached, options.state_dir)
        plan = plan_connected(root, judge(tenant, loaded, memory, other), connection, memory, options).plan
    meanwhile = (*open_job_findings(tenant, options.state_dir), *obstacle_findings(memory))
    return replace(plan, findings=(*meanwhile, *plan.findings)), tenant


def remember(
    root: Path, tenant: Tenant, desired: DesiredState | None, surroundings: Surroundings, options: MemoryOptions
) -> Memory:
    """What is remembered of a tenant, and word of it to who listens."""
    surroundings.listener.phase_started("remembering")
    memory = open_memory(root, tenant, desired, surroundings, options)
    surroundings.listener.phase_finished(memory.base.detail or f"base {(memory.base.commit or 'unknown')[:12]}")
    return memory


def as_learned(connection: Connection, state_dir: Path) -> Connection:
    """The connection, with what earlier runs found out about the service."""
    now = connection.surroundings.now()
    known = with_known_versions(connection.capabilities, connection.tenant, state_dir, now)
    return replace(connection, capabilities=known)


def plan_connected(
    root: Path, judged: Judged, connection: Connection, memory: Memory, options: MemoryOptions
) -> Planned:
    """The plan for a tenant that is reached already."""
    surroundings = connection.surroundings
    live = counted(connection.read_live_state(configuration=judged.desired.configuration is not None), connection)
    surroundings.listener.phase_started("planning")
    tenant = judged.tenant
    inputs = PlanInputs(
        tenant=tenant,
        desired=judged.desired,
        live=live,
        capabilities=as_found(connection.capabilities, live),
        revision=memory.revision,
        base=memory.base,
        allowed=options.allowed,
        overrides=judged.overrides,
        findings=judged.findings,
        own_account=own_account(tenant, surroundings.environ),
        max_minutes=options.max_minutes,
        selection=options.selection,
        stand_ins=judged.stand_ins,
        tool=surroundings.tool,
        created_at=surroundings.timestamp(),
    )
    planned = plan_closely(inputs, connection, root)
    surroundings.listener.phase_finished(many(len(planned.plan.changes), "change"))
    tell_guards(planned.plan, surroundings)
    return planned


def plan_closely(inputs: PlanInputs, connection: Connection, root: Path) -> Planned:
    """The plan, made once more where the first one shows that more has to be read."""
    plan = _build(inputs, root)
    closer = look_closer(connection, plan.changes, inputs.live)
    if closer is inputs.live:
        return Planned(plan, inputs)
    live = counted(closer, connection)
    inputs = replace(inputs, live=live, capabilities=as_found(connection.capabilities, closer))
    return Planned(_build(inputs, root), inputs)


def look_closer(connection: Connection, changes: Sequence[Change], live: LiveState) -> LiveState:
    """The snapshot with what changes need to be known beyond it; unchanged where that is nothing.

    That is who is there although a list that is not complete does not show it, whether there are versions, and how many
    licences there are where the plan takes or frees some.
    """
    searched = look_up_creates(connection.client, changes, live, connection.tenant.equivalences)
    if changes and connection.capabilities.etag:
        searched = look_for_versions(connection.client, searched)
    return look_for_licences(connection, searched) if takes_seats(changes) else searched


def look_for_licences(connection: Connection, live: LiveState) -> LiveState:
    """The snapshot with the licences that there are, on a CXone tenant; where they cannot be told, a note says why."""
    if connection.tenant.profile is not Profile.CXONE or live.quota is not None:
        return live
    found = read_quota(connection.transport, connection.tenant.endpoints.platform_url)
    if isinstance(found, Quota):
        return replace(live, quota=found)
    note = f"{found}: whether there are enough is not judged"
    return replace(live, notes=(*live.notes, note)) if note not in live.notes else live


def _build(inputs: PlanInputs, root: Path) -> Plan:
    try:
        return build_plan(inputs)
    except DesiredStateError as error:  # a name that means nobody, neither in git nor in the tenant
        raise DesiredStateError(error.diagnostics, root=str(root)) from error


def own_account(tenant: Tenant, environ: Mapping[str, str]) -> str | None:
    """What the reconciler signs in as, where that is a name: the user of basic, the client of OAuth 2.0."""
    auth = tenant.auth
    name = {AuthType.BASIC: auth.username, AuthType.OAUTH2: auth.client_id}.get(auth.type)
    return environ.get(name.variable) if isinstance(name, SecretReference) else name


def counted(live: LiveState, connection: Connection) -> LiveState:
    """The snapshot, with discovery and look-ups counted among its requests."""
    return replace(live, requests=connection.client.requests)


def tell_guards(plan: Plan, surroundings: Surroundings) -> None:
    """Let the listener hear of every guard that did not simply pass."""
    for verdict in plan.guards:
        if verdict.verdict is not Verdict.PASS:
            surroundings.listener.guard_judged(verdict)
