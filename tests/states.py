"""Desired states, tenants and runs for tests: what a reconciliation needs, from as little as a test wants to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.applier.applier import Applied, Tools, apply_changes
from reconciler.applier.jobs import Jobs
from reconciler.applier.reading import Rereader
from reconciler.applier.residual import Sent
from reconciler.applier.verify import prove
from reconciler.desired.resources import References, to_configuration, to_group, to_user
from reconciler.messages.operations import sending_for
from reconciler.model.change import Change
from reconciler.model.diagnostic import Source
from reconciler.model.dialect import Dialect, Profile, Update
from reconciler.model.outcome import ChangeResult, Outcome, Residual
from reconciler.model.plan import Capabilities, GuardVerdict, Plan, Verdict
from reconciler.model.resource import ConfigurationMode, DesiredGroup, DesiredUser, Kind
from reconciler.model.state import BaseState, DesiredState, Exclusive, LiveState, Standing
from reconciler.model.tenant import Auth, AuthType, Endpoints, Tenant
from reconciler.planner.estimate import page_size
from reconciler.planner.planner import PlanInputs, build_plan
from reconciler.scim.snapshot import read_live_state, reread_list
from tests.fakes.clock import FakeClock
from tests.fakes.directory_service import DirectoryService
from tests.fakes.notes import MemoryNotes

BASE_URL = "https://acme.example.com/scim/v2"
REFERENCES = References()
NOW = "2026-05-04T12:00:00Z"
RUN = "20260101T000000Z-0001"


def tenant_for(**settings: Any) -> Tenant:
    """A tenant of profile rfc7644."""
    return replace(
        Tenant(
            name="acme",
            profile=Profile.RFC7644,
            endpoints=Endpoints(
                base_url=BASE_URL,
                service_provider_config_url=f"{BASE_URL}/ServiceProviderConfig",
                platform_url=BASE_URL,
                token_url=None,
            ),
            auth=Auth(type=AuthType.NONE),
        ),
        **settings,
    )


def desired_user(user_name: str, *, line: int = 1, **attributes: Any) -> DesiredUser:
    """A User document."""
    return to_user({"userName": user_name, **attributes}, Source("people.yaml", line), REFERENCES)


def desired_group(display_name: str, *, line: int = 1, **attributes: Any) -> DesiredGroup:
    """A Group document."""
    return to_group({"displayName": display_name, **attributes}, Source("groups.yaml", line), REFERENCES)


def desired_state(
    *resources: DesiredUser | DesiredGroup,
    configuration: Mapping[str, Any] | None = None,
    mode: ConfigurationMode = ConfigurationMode.APPLY,
    exclusives: Iterable[Exclusive] = (),
) -> DesiredState:
    """Documents of both kinds."""
    return DesiredState(
        users=tuple(r for r in resources if isinstance(r, DesiredUser)),
        groups=tuple(r for r in resources if isinstance(r, DesiredGroup)),
        configuration=None
        if configuration is None
        else to_configuration(configuration, Source("tenant/config.yaml", 1), mode),
        exclusives=tuple(exclusives),
    )


@dataclass(frozen=True)
class World:
    """A tenant, what git declares for it, the service behind it, and what that service can do."""

    service: DirectoryService
    desired: DesiredState = field(default_factory=DesiredState)
    tenant: Tenant = field(default_factory=tenant_for)
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(bulk=True, max_operations=1000, max_payload_bytes=10_485_760)
    )
    clock: FakeClock = field(default_factory=FakeClock)
    notes: MemoryNotes = field(default_factory=MemoryNotes)
    base: BaseState = field(default_factory=BaseState)

    def read(self) -> LiveState:
        """A snapshot, by the pages a run would read."""
        configuration = self.desired.configuration is not None
        return read_live_state(self.service, self.tenant, self.capabilities, configuration=configuration)

    def inputs(self, live: LiveState | None = None, **more: Any) -> PlanInputs:
        """What a plan is made of."""
        return PlanInputs(
            tenant=self.tenant,
            desired=self.desired,
            live=live if live is not None else self.read(),
            capabilities=self.capabilities,
            **{"base": self.base, "created_at": NOW, **more},
        )

    def plan(self, **more: Any) -> Plan:
        """A plan of now."""
        return build_plan(self.inputs(**more))

    def guard(self, name: str, **more: Any) -> GuardVerdict:
        """What one guard says to the plan of now."""
        (verdict,) = [verdict for verdict in self.plan(**more).guards if verdict.id == name]
        return verdict

    def verdict(self, name: str, **more: Any) -> Verdict:
        """The bare word of one guard."""
        return self.guard(name, **more).verdict

    def remembering(self, *states: DesiredState, **more: Any) -> World:
        """The same world with a ledger: what git declared at the last complete receipt, and at each attempt since.

        Everybody who is there is known to it.
        """
        known = frozenset({*self.service.users, *self.service.groups})
        base = {"standing": Standing.USABLE, "commit": "b" * 40, "states": states, "known": known}
        return replace(self, base=BaseState(**{**base, **more}))

    def wanting(self, *resources: DesiredUser | DesiredGroup, **more: Any) -> World:
        """The same world after a commit."""
        return replace(self, desired=desired_state(*resources, **more))

    def apply(self, plan: Plan, live: LiveState, *, changes: Sequence[Change] | None = None) -> Run:
        """Carry out a plan that was made of `live`, and prove it; guards are not asked."""
        before = self.service.requests
        run = self.send(plan, live, changes=changes)
        if run.applied.interrupted:
            return run
        waits = list(run.waits)
        residual = prove(
            run.applied.results,
            run.applied.ids,
            live,
            sent=Sent(sending_for(self.tenant, self.capabilities), self.capabilities.patch, self.tenant.equivalences),
            rereader=self.rereader(),
            replan=lambda now: build_plan(self.inputs(live=now)).changes,
            wait=waits.append,
        )
        return replace(run, residual=residual, requests=self.service.requests - before, waits=tuple(waits))

    def send(
        self,
        plan: Plan,
        live: LiveState,
        *,
        changes: Sequence[Change] | None = None,
        check_time: Callable[[], None] = lambda: None,
    ) -> Run:
        """Carry out a plan without the proof."""
        told: list[ChangeResult] = []
        waits: list[int] = []
        before = self.service.requests
        tools = Tools(
            service=self.service,
            rereader=self.rereader(),
            sending=sending_for(self.tenant, self.capabilities, live.groups.values()),
            jobs=self.jobs(),
            equivalences=self.tenant.equivalences,
            told=told.append,
            wait=waits.append,
            check_time=check_time,
        )
        applied = apply_changes(plan.changes if changes is None else changes, live, tools)
        return Run(plan, applied, (), self.service.requests - before, tuple(told), tuple(waits))

    def run(self, between: Callable[[DirectoryService], object] | None = None) -> Run:
        """Read, plan, let `between` happen, apply, prove."""
        live = self.read()
        plan = build_plan(self.inputs(live=live))
        if between is not None:
            between(self.service)
        return self.apply(plan, live)

    def jobs(self) -> Jobs:
        """What follows jobs; its waits are those of `clock`."""
        return Jobs(
            service=self.service,
            journal=self.notes,
            run=RUN,
            target=self.tenant.target,
            clock=self.clock,
            sleep=self.clock.sleep,
            timestamp=lambda: "2026-01-01T00:00:00Z",
            waiting=nullcontext,
        )

    def rereader(self) -> Rereader:
        """What reads again."""

        def read_list(kind: Kind, live: LiveState) -> LiveState | None:
            return reread_list(self.service, self.tenant, self.capabilities, kind, live)

        page = page_size(self.tenant.limits, self.capabilities)
        return Rereader(self.service, read_list, page, self.tenant.equivalences, self.tenant.dialect)


@dataclass(frozen=True)
class Run:
    """How an apply went. `requests` covers sending and proof."""

    plan: Plan
    applied: Applied
    residual: tuple[Residual, ...]
    requests: int
    told: tuple[ChangeResult, ...]
    waits: tuple[int, ...]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcome of each change by key."""
        return {str(result.change.key): result.outcome for result in self.applied.results}

    def result(self, key: str) -> ChangeResult:
        """The result of one change."""
        (found,) = [result for result in self.applied.results if str(result.change.key) == key]
        return found

    @property
    def all_applied(self) -> bool:
        """Whether everything was applied and proven."""
        return not self.residual and all(r.outcome is Outcome.APPLIED for r in self.applied.results)


def capabilities_of(service: DirectoryService) -> Capabilities:
    """What a service that says the truth about itself announces."""
    return Capabilities(
        bulk=service.bulk_supported,
        max_operations=service.max_operations if service.bulk_supported else None,
        max_payload_bytes=service.max_payload if service.bulk_supported else None,
        patch=service.patch_supported,
        etag=service.versions and service.checks_versions,
    )


def put_dialect() -> Dialect:
    """Users and groups are replaced, never patched."""
    return Dialect(user_update=Update.PUT, group_update=Update.PUT)


def applied(run: Run) -> bool:
    """Whether everything was applied and proven, with a message that says what was not."""
    assert run.all_applied, [
        (str(r.change.key), r.outcome.value, r.cause, r.disagreements) for r in run.applied.results
    ] + list(run.residual)
    return True
