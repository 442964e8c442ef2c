"""Apply one tenant: plan, guards, approval, sending, proof, receipt (SPEC section 7).

Reads top to bottom like the dataflow. There is no dry run here: a dry run is a plan that nobody applied.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.applier.applier import Applied, Tools, apply_changes
from reconciler.applier.approval import Approval, access_not_approved, approve, hold, remaining
from reconciler.applier.approved import within_approval
from reconciler.applier.journal import Journal, open_journal
from reconciler.applier.reading import Rereader
from reconciler.applier.residual import Sent
from reconciler.applier.verify import Replan, prove
from reconciler.desired.parser import load_desired_state
from reconciler.errors import (
    ConfigurationError,
    DesiredStateError,
    GuardRefused,
    LedgerRefused,
    PlanError,
    RunExpired,
    ScimError,
    StalePlan,
)
from reconciler.messages.operations import sending_for
from reconciler.model.change import Action, Change
from reconciler.model.outcome import ApplyResult, ChangeResult, Residual
from reconciler.model.plan import Plan, Selection
from reconciler.model.resource import Kind
from reconciler.model.state import LiveState
from reconciler.model.tenant import Tenant
from reconciler.planfile import check_plan_is_for, dump_plan, dump_receipt
from reconciler.planner.estimate import page_size
from reconciler.planner.planner import PlanInputs, build_part, build_plan, rebuild_plan
from reconciler.planner.rules import Rules
from reconciler.planner.selection import without
from reconciler.reconcile.connection import Connection, connect
from reconciler.reconcile.jobs import jobs_of, settle_open_jobs
from reconciler.reconcile.judging import judge, judged_by, last_run
from reconciler.reconcile.memory import Memory, MemoryOptions
from reconciler.reconcile.plan import (
    Planned,
    as_learned,
    counted,
    load_valid,
    look_closer,
    own_account,
    plan_connected,
    remember,
    tell_guards,
)
from reconciler.reconcile.rundir import open_run, tenant_lock
from reconciler.reconcile.surroundings import Surroundings
from reconciler.reconcile.versions import remember_versions
from reconciler.report.values import many
from reconciler.scim.capabilities import as_found

Confirm = Callable[[Plan, Tenant], bool]
"""Shows a plan that no guard refuses and says whether to go on."""

_LEAST_RUN = timedelta(minutes=30)
_SLACK = 3
"""A run may take so many times its estimate: retries, waits and polling stand outside of that."""

_WAITS = {2: 2.0, 3: 4.0}
"""Seconds before the second and third round, drawn with full jitter (cxone.md D22)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """What the person or the pipeline that runs apply decided.

    `memory` also says where the state directory is, what is allowed, and which part of the plan is meant; its
    `take_over` names a run whose open jobs and open attempt are no longer waited for. `expect_digest` is the digest of
    the plan that was approved; with `approved` only what those plans contain is carried out. `confirm` is asked before
    anything is written.
    """

    memory: MemoryOptions
    expect_digest: str | None = None
    approved: tuple[Plan, ...] = ()
    confirm: Confirm = lambda _plan, _tenant: True

    @property
    def state_dir(self) -> Path:
        """The folder for runs and locks."""
        return self.memory.state_dir


@dataclass(frozen=True, slots=True)
class ApplyEnd:
    """How an apply ended: the plan as executed, the result (None: not confirmed), and where the files are.

    `held` is where the plan of what waits for an approval of its own was saved, if anything does.
    """

    plan: Plan
    tenant: Tenant
    result: ApplyResult | None
    directory: Path | None = None
    held: Path | None = None


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
        Refused: a guard or the ledger refuses, or the plan is not the approved one; nothing was written.
        DesiredStateError, AmbiguousMatch, ConfigurationError, ScimError: there is no plan; nothing was written.
        InvalidPlanFile: an approved plan was made for somebody else.
        JobOpen: a job of an earlier run may still be running; nothing was written.

    """
    tenant, loaded = load_valid(root, tenant_name, surroundings, options.memory.selection)
    for approved in options.approved:
        check_plan_is_for(approved, tenant=tenant.name, target=tenant.target)
    with _at_work(tenant, surroundings, options) as (connection, journal):
        memory = remember(root, tenant, loaded.desired, surroundings, options.memory)
        settle_open_jobs(journal, connection, options.memory.take_over, memory.open_run)
        planned = plan_connected(root, judge(tenant, loaded, memory), connection, memory, options.memory)
        _check_digest(planned.plan, tenant, options.expect_digest)
        inputs = planned.inputs
        plan = planned.plan
        ended: tuple[ChangeResult, ...] = ()
        if options.approved:
            plan, ended = _within(options.approved, planned)
            tell_guards(plan, surroundings)

        def replan(live: LiveState) -> Sequence[Change]:
            if ended:
                return remaining(plan, live, Rules(inputs.tenant, inputs.capabilities))
            return build_plan(replace(inputs, live=live)).changes

        work = _Work(plan, inputs, ended, _held_plan(inputs, plan, ended), replan, journal, memory)
        return _carry_out(work, connection, options)


def _within(approved: Sequence[Plan], planned: Planned) -> tuple[Plan, tuple[ChangeResult, ...]]:
    """The plan of what was approved and is still the same, without access that nobody approved; the rest as held."""
    parts = within_approval(planned.plan.changes, approved)
    gains = tuple(gain for plan in approved for gain in plan.access.gains)
    changes, ended = list(parts.changes), list(parts.held)
    while True:
        plan = build_part(planned.inputs, changes)
        kept, held = hold(plan.changes, access_not_approved(gains, plan))
        if not held:
            return plan, tuple(ended)
        changes, ended = kept, [*ended, *held]


def _held_plan(inputs: PlanInputs, plan: Plan, ended: Sequence[ChangeResult]) -> Plan | None:
    """The plan of what waits for an approval of its own, which can be approved in turn."""
    if inputs.selection is Selection.SAFE:
        held = build_plan(replace(inputs, selection=Selection.HELD))
        return held if held.changes else None
    created = [change for change in plan.changes if change.action is Action.CREATE]
    held_back = [result.change for result in ended if result.held]
    # Who is only now created can join a group in the next plan, not in one that does not create them.
    waiting = without([*created, *held_back], {change.digest for change in created})
    return rebuild_plan(inputs, plan, waiting) if waiting else None


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
        memory = remember(root, tenant, None, surroundings, options.memory)
        settle_open_jobs(journal, connection, options.memory.take_over, memory.open_run)
        configuration = any(change.key.kind is Kind.SERVICE_PROVIDER_CONFIG for change in approved.changes)
        read = connection.read_live_state(configuration=configuration)
        live = counted(look_closer(connection, approved.changes, read), connection)
        judged = judged_by(tenant, loaded.desired, last_run(tenant, loaded.desired, memory))
        inputs = PlanInputs(
            tenant=judged.tenant,
            desired=judged.desired,
            live=live,
            capabilities=as_found(connection.capabilities, live),
            revision=approved.desired,
            base=memory.base,
            allowed=options.memory.allowed,
            overrides=judged.overrides,
            findings=judged.findings,
            own_account=own_account(tenant, surroundings.environ),
            max_minutes=options.memory.max_minutes,
            tool=surroundings.tool,
            created_at=surroundings.timestamp(),
        )
        rules = Rules(tenant, inputs.capabilities)
        plan, ended = _rebuild(approved, approve(approved, live, rules), inputs)
        tell_guards(plan, surroundings)

        def replan(now: LiveState) -> Sequence[Change]:
            return remaining(plan, now, rules)

        held = _held_plan(inputs, plan, ended)
        return _carry_out(_Work(plan, inputs, ended, held, replan, journal, memory), connection, options)


@contextmanager
def _at_work(tenant: Tenant, surroundings: Surroundings, options: ApplyOptions) -> Iterator[tuple[Connection, Journal]]:
    """The only run of a tenant on this machine, and what it needs of it."""
    with (
        tenant_lock(options.state_dir, tenant.name),
        open_journal(options.state_dir / tenant.name) as journal,
        connect(tenant, surroundings, read_only=False) as reached,
    ):
        yield as_learned(reached, options.state_dir), journal


def _rebuild(approved: Plan, approval: Approval, inputs: PlanInputs) -> tuple[Plan, tuple[ChangeResult, ...]]:
    """The plan of what may be executed, without changes that would by now give access nobody approved."""
    changes, ended = list(approval.changes), list(approval.results)
    while True:
        plan = rebuild_plan(inputs, approved, changes)
        kept, held = hold(plan.changes, access_not_approved(approved.access.gains, plan))
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
    """What is to be done: a plan, what it was made from, what ended before it began, and what waits for a word.

    `replan` plans again for the proof, `journal` notes jobs, `memory` is told before and after.
    """

    plan: Plan
    inputs: PlanInputs
    ended: tuple[ChangeResult, ...]
    held: Plan | None
    replan: Replan
    journal: Journal
    memory: Memory

    @property
    def live(self) -> LiveState:
        """The snapshot that the plan was made of."""
        return self.inputs.live


def _carry_out(work: _Work, connection: Connection, options: ApplyOptions) -> ApplyEnd:
    """Guards, confirmation, sending, proof, receipt."""
    plan, tenant, surroundings = work.plan, connection.tenant, connection.surroundings
    if plan.refused_by:
        raise Refused(plan, tenant, work.memory.obstacle or GuardRefused(plan.refused_by))
    if work.memory.obstacle is not None:
        raise Refused(plan, tenant, work.memory.obstacle)
    if plan.changes and not options.confirm(plan, tenant):
        return ApplyEnd(plan, tenant, None)
    started = surroundings.timestamp()

    def random_hex() -> str:
        return f"{int(surroundings.random() * 0x10000):04x}"

    directory = open_run(options.state_dir, tenant.name, surroundings.now(), random_hex)
    directory.write("plan.json", dump_plan(plan))
    held = directory.write("held-plan.json", dump_plan(work.held)) if work.held is not None else None
    ends = _end_of_run(plan, surroundings)
    if plan.changes:
        _begin(work, directory.run, ends)
    before = connection.client.requests
    applied, residual, proven = _send_and_prove(work, connection, directory.run, ends)
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
    remember_versions(applied.versions, plan.capabilities, tenant, options.state_dir, surroundings.now())
    try:
        directory.write("receipt.json", dump_receipt(result))
    except ConfigurationError as error:  # it was sent: that must not look like an error before anything was
        surroundings.listener.failed(error)
        result = replace(result, proven=False)
    try:
        work.memory.end(plan, work.live, result)
    except LedgerRefused as error:
        surroundings.listener.failed(error)
        result = replace(result, proven=False)
    return ApplyEnd(plan, tenant, result, directory.path, held)


def _end_of_run(plan: Plan, surroundings: Surroundings) -> datetime:
    """When a run sends nothing any more, whatever is left: others may count on it (SPEC 7.1)."""
    return surroundings.now() + max(_LEAST_RUN, timedelta(seconds=plan.estimate.seconds * _SLACK))


def _begin(work: _Work, run: str, ends: datetime) -> None:
    """Write the attempt down; it is the lock across machines."""
    try:
        work.memory.begin(run, work.plan, ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
    except LedgerRefused as refused:
        raise Refused(work.plan, work.inputs.tenant, refused) from refused


def _send_and_prove(
    work: _Work, connection: Connection, run: str, ends: datetime
) -> tuple[Applied, tuple[Residual, ...], bool]:
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

    def check_time() -> None:
        if surroundings.now() >= ends:
            raise RunExpired(ends.strftime("%Y-%m-%dT%H:%M:%SZ"))

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
        check_time=check_time,
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
