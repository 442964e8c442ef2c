"""Incidents between the first request and the receipt: docs/incidents.md, rows about sending."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.model.change import Action
from reconciler.model.dialect import Update
from reconciler.model.outcome import Outcome
from reconciler.model.resource import Attributes, Kind
from reconciler.scim.client import Written
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.contract.dialects.small_tenant import PEOPLE
from tests.fakes.directory_service import DirectoryService, Fault
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen
from tests.states import World, applied, capabilities_of, desired_group, desired_state, desired_user, tenant_for

BULK = pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
WAY = pytest.mark.parametrize("way", [Update.PATCH, Update.PUT], ids=lambda way: way.value)


def _world(service: DirectoryService, way: Update = Update.PATCH) -> World:
    dialect = replace(tenant_for().dialect, user_update=way, group_update=way)
    return World(service, tenant=tenant_for(dialect=dialect), capabilities=capabilities_of(service))


# --- outcomes --------------------------------------------------------------------------------------------------------


@BULK
def test_sixty_two_changes_of_which_one_landed_are_not_called_applied(bulk: bool) -> None:
    """INCIDENTS "62 changes applied": octodns/octodns #985, #963; integrations/terraform-provider-github #57.

    P6, P8: the service answers 62 times with success and stores one; what it did not store is named, one by one.
    """
    service = DirectoryService(bulk_supported=bulk)
    for number in range(62):
        service.add_user(f"u{number}", f"p{number}", title="old")
    service.store = lambda kind, user: {"title": "new" if user["userName"] == "p0" else "old"}
    run = _world(service).wanting(*(desired_user(f"p{number}", title="new") for number in range(62))).run()
    assert not run.all_applied
    assert {item.key for item in run.residual} == {f"User/p{number}" for number in range(1, 62)}
    assert {(item.path, item.expected, item.found) for item in run.residual} == {("title", "new", "old")}


def test_results_that_never_came_are_no_success() -> None:
    """INCIDENTS "62 changes applied": octodns/octodns #963; bitwarden/directory-connector #28.

    P6: a bulk answer that leaves out 61 operations, none of which was done: each is looked at, and told for what it is.
    """
    service = DirectoryService()
    for number in range(62):
        service.add_user(f"u{number}", f"p{number}", title="old")
    service.fault_for = lambda number, method, path: Fault(missing="before") if number > 1 else Fault()
    run = _world(service).wanting(*(desired_user(f"p{number}", title="new") for number in range(62))).run()
    written = {f"User/{user['userName']}" for user in service.users.values() if user["title"] == "new"}
    assert {key for key, outcome in run.outcomes.items() if outcome is Outcome.APPLIED} == written
    assert len(run.outcomes) == 62
    assert written == {"User/p0"}


@BULK
def test_one_403_does_not_block_the_others(bulk: bool) -> None:
    """INCIDENTS "One 403 blocked everything": kubernetes/org PR #591.

    Everybody else is applied and proven; the one who was refused is told apart, with the reason, and not tried again.
    """
    service = DirectoryService(bulk_supported=bulk)
    documents: list[Any] = [desired_user(f"p{number}") for number in range(6)]
    documents.append(desired_group("Team", members=[{"user": "p0"}, {"user": "p3"}]))
    service.fault_for = lambda number, method, path: Fault(refuse=(403, None)) if number == 4 else Fault()
    run = _world(service).wanting(*documents).run()
    failed = {key for key, outcome in run.outcomes.items() if outcome is Outcome.FAILED}
    assert failed == {"User/p3", "Group/Team"}, "the group goes without p3, and says so"
    assert {outcome for key, outcome in run.outcomes.items() if key not in failed} == {Outcome.APPLIED}
    assert "403" in (run.result("User/p3").cause or "")
    assert [user["userName"] for user in service.users.values()] == ["p0", "p1", "p2", "p4", "p5"]
    assert service.members_of("Team") == {"p0"}
    assert len([path for method, path, _ in service.sent if path == "/Users"]) == 6, "no second try"


# --- somebody else ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", ["heeded", "ignored", "none"])
@BULK
def test_what_somebody_changed_since_the_plan_is_not_overwritten(versions: str, bulk: bool) -> None:
    """INCIDENTS "Live objects changed between plan and apply": Terraform; Databricks' SCIM provider.

    P3: with versions, without, and where the service takes `If-Match` and does not heed it.
    """
    service = DirectoryService(bulk_supported=bulk, versions=versions != "none", checks_versions=versions == "heeded")
    service.add_user("u1", "ann", title="Agent", nickName="Annie")
    service.add_user("u2", "bob", title="Agent", nickName="Bobby")
    world = _world(service).wanting(desired_user("ann", title="Lead"), desired_user("bob", title="Lead"))

    def meanwhile(service: DirectoryService) -> None:
        service.edit("u1", title="Director")
        service.edit("u2", nickName="Rob")

    run = world.run(meanwhile)
    assert run.outcomes == {"User/ann": Outcome.CONFLICT, "User/bob": Outcome.APPLIED}
    assert service.users["u1"]["title"] == "Director"
    assert (service.users["u2"]["title"], service.users["u2"]["nickName"]) == ("Lead", "Rob")


@WAY
@BULK
def test_a_group_keeps_the_member_whom_somebody_else_added_at_the_same_time(way: Update, bulk: bool) -> None:
    """INCIDENTS "A group lost members under concurrent PATCH": fleetdm/fleet #50724.

    One writer per group, whose version is guarded and read back: a second version before every write, and nobody is
    lost, neither ours nor theirs.
    """
    service = DirectoryService(bulk_supported=bulk)
    for name in ("ann", "bob", "cyd", "dan", "eve"):
        service.add_user(name, name)
    service.add_group("g", "Team", "ann")
    newcomers = iter(["dan", "eve"])

    def somebody_else(service: DirectoryService) -> None:
        for name in newcomers:
            service.edit("g", members=[*service.groups["g"]["members"], name])
            break

    service.fault_for = lambda number, method, path: Fault(edit=somebody_else) if "Groups" in path else Fault()
    documents: list[Any] = [
        desired_user("bob", groups=["Team"]),
        desired_user("cyd", groups=["Team"]),
        desired_group("Team", membership="additive", members=[{"user": "ann"}]),
    ]
    world = _world(service, way).wanting(*documents)
    assert [str(change.key) for change in world.plan().changes] == ["Group/Team"], "one change, so one writer"
    assert applied(world.run())
    assert service.members_of("Team") == {"ann", "bob", "cyd", "dan", "eve"}


@dataclass
class EmptyingService(DirectoryService):
    """A directory whose PATCH of a group's name and members in one request forgets the members."""

    mixed: list[Attributes] = field(default_factory=list)

    def patch(self, kind: Kind, id: str, patch_message: Attributes, version: str | None) -> Written:  # noqa: A002
        """PATCH, with the defect."""
        touched = {str(operation["path"]).partition("[")[0] for operation in patch_message["Operations"]}
        written = super().patch(kind, id, patch_message, version)
        if kind is Kind.GROUP and touched > {"members"}:
            self.mixed.append(patch_message)
            self.edit(id, members=[])
        return written


def test_a_new_name_for_a_group_does_not_empty_it() -> None:
    """INCIDENTS "replace on another attribute emptied a group": langwatch/langwatch #7131; keycloak #52752.

    Members never share a PATCH with the group's other attributes, so that such a service loses nobody.
    """
    service = EmptyingService(bulk_supported=False)
    for name in ("ann", "bob", "cyd"):
        service.add_user(name, name)
    service.add_group("g", "Old", "ann", "bob", externalId="t")
    team = desired_group("New", externalId="t", members=[{"user": "ann"}, {"user": "bob"}, {"user": "cyd"}])
    assert applied(_world(service).wanting(team).run())
    assert service.mixed == []
    assert service.members_of("New") == {"ann", "bob", "cyd"}


# --- killed ----------------------------------------------------------------------------------------------------------


@BULK
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_at_any_write_is_finished_by_the_next(bulk: bool, when: str) -> None:
    """INCIDENTS "Killed in the middle": hashicorp/terraform #20718, #24276; Azure azapi #1110; idp-scim-sync #48.

    P5, P7: wherever it ends, the next run comes to the same end: nobody twice, nobody left over.
    """
    documents: list[Any] = [
        *(desired_user(f"p{number}", externalId=str(number)) for number in range(4)),
        desired_group("Inner", externalId="i", members=[{"user": "p0"}, {"user": "p1"}]),
        desired_group("Outer", externalId="o", members=[{"group": "Inner"}, {"user": "p2"}]),
    ]
    for write in range(1, 8):
        service = DirectoryService(bulk_supported=bulk, faults={write: Fault(interrupt=when)})
        world = _world(service).wanting(*documents)
        first = world.run()
        assert first.applied.interrupted or len(service.sent) < write
        assert set(first.outcomes.values()) <= {Outcome.APPLIED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED}
        service.faults = {}
        assert applied(world.run())
        assert sorted(user["userName"] for user in service.users.values()) == ["p0", "p1", "p2", "p3"]
        assert service.members_of("Inner") == {"p0", "p1"}
        assert service.members_of("Outer") == {"group:Inner", "p2"}
        assert world.plan().changes == ()


def test_what_a_killed_run_had_granted_is_not_forgotten() -> None:
    """INCIDENTS "Killed in the middle": hashicorp/terraform #20718; Azure azapi #1110. Nothing recorded, orphans left.

    The attempt is on record before its first write: where git takes the grants back, so does the next run.
    """
    before: tuple[Any, ...] = (desired_user("ann"), desired_group("Team", membership="additive", members=[]))
    granted = (
        desired_user("ann"),
        desired_user("temp"),
        desired_group("Team", membership="additive", members=[{"user": "ann"}, {"user": "temp"}]),
    )
    service = DirectoryService(bulk_supported=False)
    world = _world(service).wanting(*before)
    assert applied(world.run())
    last = len(service.sent) + 2
    service.faults = {last: Fault(interrupt="after")}
    killed = world.wanting(*granted).remembering(desired_state(*before)).run()
    assert killed.applied.interrupted
    service.faults = {}
    reverted = world.wanting(*before).remembering(desired_state(*before), desired_state(*granted))
    assert applied(reverted.run())
    assert service.members_of("Team") == set()
    assert service.user_named("temp")["active"] is False
    assert service.user_named("ann")["active"] is True


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_rate_limit_is_waited_out_and_the_run_goes_on(work: Workplace, sandbox: Service) -> None:
    """INCIDENTS "Rate limit never recovers": octodns/octodns-cloudflare #108; okta provider #2166; knative/infra #662.

    Every third request meets a 429 with `Retry-After`; each is waited for as long as it says, and the run ends whole.
    How long it will take is said before anything is sent.
    """
    work.organisation(sandbox.base_url)
    told: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        told.append(seen.method)
        if len(told) % 3 == 0:
            return Answer(429, {"status": "429"}, {"Retry-After": "17"})
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2", limits={"requestsPerMinute": 60})
        [plan] = work.run("plan", "--format", "json").lines
        assert plan["estimate"]["requests"] > 0
        assert plan["estimate"]["seconds"] > 0
        ended = work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert set(work.outcomes().values()) == {"applied"}
    assert sum(work.clock.slept) >= 17 * (len(told) // 3)


def test_a_rate_limit_that_never_ends_ends_the_run_with_an_honest_receipt(work: Workplace, sandbox: Service) -> None:
    """INCIDENTS "Rate limit never recovers": knative/infra #662. Bounded, and what was not sent is told apart."""
    work.organisation(sandbox.base_url)
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "GET":
            return pass_on()
        writes.append(seen.path)
        return Answer(429, {"status": "429"}, {"Retry-After": "5"})

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code in {1, 6}, ended.out + ended.err
    assert len(writes) <= 24
    assert "applied" not in work.outcomes().values()
    assert sandbox.all("Users") == {}


def test_more_users_than_licences_are_never_passed_over_in_silence(
    work: Workplace, start_sandbox: StartSandbox
) -> None:
    """INCIDENTS "More users than licences": bitwarden/directory-connector #28; user-sync.py #510.

    Where a service does not tell its licences, so that the guard `seats` cannot count them, the run says who got in,
    who did not and why, and is no success.
    """
    service = start_sandbox(profile="cxone", seats=2, supports_bulk=False)
    work.tenant(service.base_url)
    work.write("acme/people.yaml", PEOPLE)
    ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "No licence is free" in ended.out
    there = service.all("Users")
    assert len(there) == 2
    outcomes = {name: work.outcomes()[f"User/{name}@example.com"] for name in ("ann", "bob", "cyd")}
    assert {f"{name}@example.com" for name, outcome in outcomes.items() if outcome == "applied"} == set(there)
    assert Counter(outcomes.values()) == {"applied": 2, "failed": 1}
    assert not work.receipts()[-1]["complete"]


def test_seats_of_people_who_leave_are_free_before_newcomers_need_them() -> None:
    """INCIDENTS "More users than licences": bitwarden/directory-connector #28. Deactivations go first, then creates."""
    service = DirectoryService(bulk_supported=False)
    service.add_user("u1", "old", externalId="1")
    world = _world(service).wanting(
        desired_user("new", externalId="2"), desired_user("old", externalId="1", active=False)
    )
    actions = [change.action for change in world.plan().changes]
    assert set(actions) == {Action.CREATE, Action.DEACTIVATE}
    assert applied(world.run())
    assert [(method, path.count("/")) for method, path, _ in service.sent] == [("PATCH", 2), ("POST", 1)]
