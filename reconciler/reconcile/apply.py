"""Apply one tenant: plan, guards, approval, sending, proof, receipt (SPEC section 7).

Reads top to bottom like the dataflow. There is no dry run here: a dry run is a plan that nobody applied.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.applier.applier import Applied, Tools, apply_changes
from reconciler.applier.approval import Approval, access_not_approved, approve, hold, remaining
from reconciler.applier.journal import Journal, open_journal
from reconciler.applier.reading import Rereader
from reconciler.applier.residual import Sent
from reconciler.applier.verify import Replan, prove
from reconciler.desired.parser import load_desired_state
from reconciler.errors import ConfigurationError, DesiredStateError, GuardRefused, PlanError, ScimError, StalePlan
from reconciler.messages.operations import sending_for
from reconciler.model.change import Change
from reconciler.model.outcome import ApplyResult, ChangeResult, Residual
from reconciler.model.plan import Plan
from reconciler.model.resource import Kind
from reconciler.model.state import LiveState
from reconciler.model.tenant import Tenant
from reconciler.planfile import check_plan_is_for, dump_plan, dump_receipt
from reconciler.planner.estimate import page_size
from reconciler.planner.planner import PlanInputs, build_plan, rebuild_plan
from reconciler.planner.rules import Rules
from reconciler.reconcile.absence import look_up_creates
from reconciler.reconcile.connection import Connection, connect
from reconciler.reconcile.jobs import jobs_of, settle_open_jobs
from reconciler.reconcile.plan import counted, load_valid, plan_connected, tell_guards, with_notes
from reconciler.reconcile.rundir import open_run, tenant_lock
from reconciler.reconcile.surroundings import Surroundings
from reconciler.report.values import many

Confirm = Callable[[Plan, Tenant], bool]
"""Shows a plan that no guard refuses and says whether to go on."""

_WAITS = {2: 2.0, 3: 4.0}
"""Seconds before the second and third round, drawn with full jitter (cxone.md D22)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """What the person or the pipeline that runs apply decided.

    `expect_digest` is the digest of the plan that was approved. `confirm` is asked before anything is written.
    `take_over` names a run whose open jobs are no longer waited for, "" none.
    """

    state_dir: Path
    allowed: Mapping[str, int | None] = field(default_factory=dict)
    expect_digest: str | None = None
    take_over: str = ""
    confirm: Confirm = lambda _plan, _tenant: True


@dataclass(frozen=True, slots=True)
class ApplyEnd:
    """How an apply ended: the plan as executed, the result (None: not confirmed), and where the files are."""

    plan: Plan
    tenant: Tenant
    result: ApplyResult | None
    directory: Path | None = None


class Refused(Exception):
    """Nothing was written, for `cause`; the plan is there to be shown."""

    def __init__(self, plan: Plan, tenant: Tenant, cause: PlanError) -> None:
        super().__init__(cause.message)
        self.plan = plan
        self.tenant = tenant
        self.cause = cause


def apply_tenant(root: Path, tenant_name: str, surroundings: Surroundings, options: ApplyOptions) -> ApplyEnd:
    """Make a tenant equal to git, or say why not.

    Raises:
        Refused: a guard refuses, or the plan is not the approved one; nothing was written.
        DesiredStateError, AmbiguousMatch, ConfigurationError, ScimError: there is no plan; nothing was written.
        JobOpen: a job of an earlier run may still be running; nothing was written.

    """
    tenant, desired, _ = load_valid(root, tenant_name, surroundings)
    with _at_work(tenant, surroundings, options) as (connection, journal):
        planned = plan_connected(root, desired, connection, options.allowed)
        _check_digest(planned.plan, tenant, options.expect_digest)

        def replan(live: LiveState) -> Sequence[Change]:
            return build_plan(replace(planned.inputs, live=live)).changes

        return _carry_out(_Work(planned.plan, planned.inputs.live, (), replan, journal), connection, options)


def apply_approved(
    root: Path, tenant_name: str, approved: Plan, surroundings: Surroundings, options: ApplyOptions
) -> ApplyEnd:
    """Carry out an approved plan, as far as it still fits the tenant. Of the desired state only policies are read.

    Raises:
        Refused: a guard refuses; nothing was written.
        InvalidPlanFile: the plan was made for somebody else.
        DesiredStateError, ConfigurationError, ScimError: nothing was written.
        JobOpen: a job of an earlier run may still be running; nothing was written.

    """
    loaded = load_desired_state(root, tenant_name, documents=False, environ=surroundings.environ)
    if loaded.tenant is None or loaded.desired is None:
        raise DesiredStateError(loaded.diagnostics, root=str(root))
    tenant = loaded.tenant
    check_plan_is_for(approved, tenant=tenant.name, target=tenant.target)
    with _at_work(tenant, surroundings, options) as (connection, journal):
        configuration = any(change.key.kind is Kind.SERVICE_PROVIDER_CONFIG for change in approved.changes)
        read = connection.read_live_state(configuration=configuration)
        live = counted(look_up_creates(connection.client, approved.changes, read, tenant.equivalences), connection)
        inputs = PlanInputs(
            tenant=tenant,
            desired=loaded.desired,
            live=live,
            capabilities=with_notes(connection, live),
            revision=approved.desired,
            allowed=options.allowed,
            tool=surroundings.tool,
            created_at=surroundings.timestamp(),
        )
        rules = Rules(tenant, inputs.capabilities)
        plan, ended = _rebuild(approved, approve(approved, live, rules), inputs)
        tell_guards(plan, surroundings)

        def replan(now: LiveState) -> Sequence[Change]:
            return remaining(plan, now, rules)

        return _carry_out(_Work(plan, live, ended, replan, journal), connection, options)


@contextmanager
def _at_work(tenant: Tenant, surroundings: Surroundings, options: ApplyOptions) -> Iterator[tuple[Connection, Journal]]:
    """The only run of a tenant on this machine, on a service that has ended what earlier runs left to it."""
    with (
        tenant_lock(options.state_dir, tenant.name),
        open_journal(options.state_dir / tenant.name) as journal,
        connect(tenant, surroundings, read_only=False) as connection,
    ):
        settle_open_jobs(journal, connection, options.take_over)
        yield connection, journal


def _rebuild(approved: Plan, approval: Approval, inputs: PlanInputs) -> tuple[Plan, tuple[ChangeResult, ...]]:
    """The plan of what may be executed, without changes that would by now give access nobody approved."""
    changes, ended = list(approval.changes), list(approval.results)
    while True:
        plan = rebuild_plan(inputs, approved, changes)
        kept, held = hold(plan.changes, access_not_approved(approved, plan))
        if not held:
            return plan, tuple(ended)
        changes, ended = kept, [*ended, *held]


def _check_digest(plan: Plan, tenant: Tenant, expected: str | None) -> None:
    if expected is None or hmac.compare_digest(plan.digest.encode(), expected.encode("utf-8", "replace")):
        return
    stale = StalePlan(
        "the plan is not the one that was approved",
        context=f"approved: {expected}\nnow:      {plan.digest}",
        hint="something changed in git or in the tenant; read the plan of now, and approve that one",
    )
    raise Refused(plan, tenant, stale)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done: a plan, its snapshot, what ended before it began, how to plan again, where to note jobs."""

    plan: Plan
    live: LiveState
    ended: tuple[ChangeResult, ...]
    replan: Replan
    journal: Journal


def _carry_out(work: _Work, connection: Connection, options: ApplyOptions) -> ApplyEnd:
    """Guards, confirmation, sending, proof, receipt."""
    plan, tenant, surroundings = work.plan, connection.tenant, connection.surroundings
    if plan.refused_by:
        raise Refused(plan, tenant, GuardRefused(plan.refused_by))
    if plan.changes and not options.confirm(plan, tenant):
        return ApplyEnd(plan, tenant, None)
    started = surroundings.timestamp()

    def random_hex() -> str:
        return f"{int(surroundings.random() * 0x10000):04x}"

    directory = open_run(options.state_dir, tenant.name, surroundings.now(), random_hex)
    directory.write("plan.json", dump_plan(plan))
    before = connection.client.requests
    applied, residual, proven = _send_and_prove(work, connection, directory.run)
    result = ApplyResult(
        run=directory.run,
        tenant=tenant.name,
        target=tenant.target,
        commit=plan.desired.commit,
        digest=plan.digest,
        started=started,
        ended=surroundings.timestamp(),
        results=_merged(work.ended, applied.results),
        residual=residual,
        equivalences=tenant.equivalences,
        proven=proven,
        requests=connection.client.requests - before,
        interrupted=applied.interrupted,
        notes=applied.notes,
    )
    try:
        directory.write("receipt.json", dump_receipt(result))
    except ConfigurationError as error:  # it was sent: that must not look like an error before anything was
        surroundings.listener.failed(error)
        result = replace(result, proven=False)
    return ApplyEnd(plan, tenant, result, directory.path)


def _send_and_prove(work: _Work, connection: Connection, run: str) -> tuple[Applied, tuple[Residual, ...], bool]:
    tenant, surroundings, plan = connection.tenant, connection.surroundings, work.plan
    listener = surroundings.listener
    page = page_size(tenant.limits, plan.capabilities)
    rereader = Rereader(connection.client, connection.reread, page, tenant.equivalences, tenant.dialect)
    ended = 0

    def told(result: ChangeResult) -> None:
        nonlocal ended
        ended += 1
        listener.change_ended(result)
        listener.phase_advanced(ended, len(plan.changes))

    def wait(number: int) -> None:
        surroundings.sleep(_WAITS.get(number, 0.0) * surroundings.random())

    tools = Tools(
        service=connection.client,
        rereader=rereader,
        sending=sending_for(tenant, plan.capabilities, work.live.groups.values()),
        jobs=jobs_of(connection, work.journal, run),
        equivalences=tenant.equivalences,
        told=told,
        wait=wait,
    )
    listener.phase_started("applying", len(plan.changes))
    applied = apply_changes(plan.changes, work.live, tools)
    listener.phase_finished(f"{ended} of {len(plan.changes)} changes ended")
    if applied.interrupted:
        return applied, (), False
    listener.phase_started("proving")
    try:
        residual = prove(
            applied.results,
            applied.ids,
            work.live,
            sent=Sent(tools.sending, plan.capabilities.patch, tenant.equivalences),
            rereader=rereader,
            replan=work.replan,
            wait=wait,
        )
    except (ScimError, PlanError, DesiredStateError) as error:
        listener.phase_finished(f"not proven: {error.message}")
        return applied, (), False
    except KeyboardInterrupt:
        listener.phase_finished("not proven: interrupted")
        return replace(applied, interrupted=True), (), False
    listener.phase_finished(many(len(residual), "difference"))
    return applied, residual, True


def _merged(ended: Sequence[ChangeResult], applied: Sequence[ChangeResult]) -> tuple[ChangeResult, ...]:
    """One outcome per change: what was held counts, also where a part of it was carried out."""
    before = {result.change.key: result for result in ended}
    rest = [result for result in applied if result.change.key not in before]
    return (*ended, *rest)
