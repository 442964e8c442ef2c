"""Incidents that a plan, its guards or its approval would have prevented: docs/incidents.md, rows about planning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ReadOnlyViolation
from reconciler.model.change import Action
from reconciler.model.plan import Selection, Verdict
from reconciler.model.resource import Kind
from reconciler.model.tenant import GuardSettings
from reconciler.planner.planner import build_plan
from reconciler.scim.client import ScimClient
from reconciler.transport.exchange import Request
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.directory_service import DirectoryService
from tests.fakes.interposed import interposed
from tests.fakes.scripted_service import Answer, scripted, transport_to
from tests.states import World, applied, desired_group, desired_state, desired_user, tenant_for

# --- the preview wrote -----------------------------------------------------------------------------------------------


def test_a_preview_writes_nothing_however_much_there_is_to_do(
    acme: Workplace, sandbox: Service, tmp_path: Path
) -> None:
    """INCIDENTS "The preview wrote": github/safe-settings #551, #339; DNSControl/dnscontrol #69, PR #3693.

    P1: seen at the service, with people to create, change and deactivate, in every format, allowed guards or not.
    """
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    acme.edit("acme/people.yaml", "externalId: p-1, ", "externalId: p-1, active: false, ")
    acme.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\ngroups: [Sales]\n")
    before = (sandbox.all("Users"), sandbox.all("Groups"))
    asked = sandbox.count
    for options in (("--out", str(tmp_path / "plan.json")), ("--format", "markdown"), ("--allow", "removal-share")):
        assert acme.run("plan", *options).code == 0
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    assert (sandbox.all("Users"), sandbox.all("Groups")) == before


def test_a_preview_that_tries_to_write_is_stopped_before_anything_leaves() -> None:
    """INCIDENTS "The preview wrote": github/safe-settings #339; DNSControl/dnscontrol PR #3693.

    P1 is enforced in the transport: a mistake anywhere above it cannot write.
    """
    tenant = tenant_for()
    with scripted([Answer(201, {"id": "1"})]) as (service, origin):
        transport = transport_to(read_only=True)
        with pytest.raises(ReadOnlyViolation):
            transport.send(Request(method="POST", url=f"{origin}/scim/v2/Users"))
        with pytest.raises(ReadOnlyViolation):
            ScimClient(transport, tenant.endpoints, tenant.dialect).delete(Kind.USER, "1", None)
    assert service.seen == []


# --- approval --------------------------------------------------------------------------------------------------------


def _promote(work: Workplace, name: str, title: str) -> None:
    """A commit that gives somebody another title."""
    path = work.root / "acme" / "people.yaml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = [
        line.replace("title: Agent", f"title: {title}") if f"userName: {name}@" in line else line for line in lines
    ]
    assert changed != lines
    path.write_text("".join(changed), encoding="utf-8")


def test_the_digest_of_one_plan_does_not_apply_another(acme: Workplace, sandbox: Service) -> None:
    """INCIDENTS "The plan that was applied": runatlantis/atlantis #6529, #1122, #2390.

    P2: a commit after the approval, or a change in the tenant, makes another plan; it waits for an approval of its own.
    """
    _promote(acme, "bob", "Lead")
    digest = acme.run("plan", "--format", "json").lines[0]["digest"]
    _promote(acme, "dan", "Lead")
    asked = sandbox.count
    late_commit = acme.run("apply", "--expect-digest", digest)
    assert late_commit.code == 5, late_commit.out + late_commit.err
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    now = acme.run("plan", "--format", "json").lines[0]["digest"]
    assert now != digest
    assert acme.run("apply", "--expect-digest", now).code == 0
    assert sandbox.all("Users")["dan@example.com"]["title"] == "Lead"


def test_of_an_approved_plan_only_what_is_in_it_is_applied(acme: Workplace, sandbox: Service) -> None:
    """INCIDENTS "The plan that was applied": runatlantis/atlantis #6529, #2390. A later commit is not carried along."""
    _promote(acme, "bob", "Lead")
    path = acme.folder / "plan.json"
    acme.run("plan", "--out", path)
    seal = json.loads(path.read_text(encoding="utf-8"))["seal"]
    _promote(acme, "dan", "Lead")
    ended = acme.run("apply", "--plan", path, "--expect-seal", seal)
    assert ended.code == 0, ended.out + ended.err
    titles = {name: user["title"] for name, user in sandbox.all("Users").items()}
    assert (titles["bob@example.com"], titles["dan@example.com"]) == ("Lead", "Agent")


def test_an_edited_plan_is_not_the_plan_that_was_approved(acme: Workplace, sandbox: Service) -> None:
    """INCIDENTS "The plan that was applied": runatlantis/atlantis #1122. The seal that was approved gives it away."""
    _promote(acme, "bob", "Lead")
    path = acme.folder / "plan.json"
    acme.run("plan", "--out", path)
    text = path.read_text(encoding="utf-8")
    seal = json.loads(text)["seal"]
    assert '"Lead"' in text
    path.write_text(text.replace('"Lead"', '"Director"'), encoding="utf-8")
    asked = sandbox.count
    assert acme.run("apply", "--plan", path, "--expect-seal", seal).code == 5
    assert sandbox.count == asked


# --- guards ----------------------------------------------------------------------------------------------------------

AGENT, ADMINISTRATOR = {"value": "Agent"}, {"value": "Administrator"}


def _purge(**guards: Any) -> World:
    """Twenty people, of whom a commit deactivates eight, a protected one among them, and empties a group."""
    service = DirectoryService()
    documents: list[Any] = []
    for number in range(20):
        service.add_user(f"u{number}", f"p{number}", externalId=f"{number}")
        documents.append(desired_user(f"p{number}", externalId=f"{number}", active=number >= 8))
    service.add_group("g", "Team", *service.users)
    documents.append(desired_group("Team", members=[{"user": "p19"}]))
    settings = GuardSettings(protected=("p0",), **guards)
    return World(service, tenant=tenant_for(guards=settings)).wanting(*documents)


def test_allowing_one_guard_leaves_every_other_on() -> None:
    """INCIDENTS "One --force switched every guard off": octodns/octodns #785, #1170.

    P10: each override is for one guard, and shows in the plan as an override.
    """
    world = _purge()
    tripped = {guard.id for guard in world.plan().refused_by}
    assert tripped >= {"removal-share", "access-loss", "membership-share", "protected"}
    for name in tripped:
        plan = world.plan(allowed={name: None})
        assert {guard.id for guard in plan.refused_by} == tripped - {name}
        assert {guard.id for guard in plan.guards if guard.verdict is Verdict.OVERRIDDEN} == {name}


@pytest.mark.parametrize("options", [("--force",), ("--allow", "all"), ("--allow", "*"), ("--allow", "")], ids=" ".join)
def test_there_is_no_force(acme: Workplace, sandbox: Service, options: tuple[str, ...]) -> None:
    """INCIDENTS "One --force switched every guard off": octodns/octodns #785, #1170. Nothing means every guard."""
    asked = sandbox.count
    ended = acme.run("apply", "--yes", *options)
    assert ended.code == 64, ended.out + ended.err
    assert sandbox.count == asked


def test_every_guard_speaks_before_the_first_write(acme: Workplace, sandbox: Service) -> None:
    """INCIDENTS "Checks ran between writes": kubernetes-sigs/prow, Peribolos.

    Harmless creates and updates stand first in the order of sending; the removals that a guard refuses stand last, and
    yet nothing at all is written.
    """
    acme.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\n")
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    asked = sandbox.count
    ended = acme.run("apply", "--yes", "--log-format", "json")
    assert ended.code == 4, ended.out + ended.err
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    told = {event["guard"]: event["verdict"] for event in ended.events if event["event"] == "guard.verdict"}
    assert told == {"removal-share": "refuse", "membership-share": "refuse"}, "one refusal names every guard"
    assert len(acme.receipts()) == 1, "a run that wrote nothing has no receipt"


def test_hitting_the_removal_limit_does_not_stop_the_additions() -> None:
    """INCIDENTS "Hitting the removal limit": adobe-apiplatform/user-sync.py #744.

    What is safe goes through under the same guards; the removals, and nothing else, wait for somebody to look.
    """
    service = DirectoryService()
    for number in range(20):
        service.add_user(f"u{number}", f"p{number}", externalId=f"{number}")
    service.add_group("g", "Team", "u18", "u19")
    stay = [desired_user(f"p{number}", externalId=f"{number}", title="new") for number in range(12, 20)]
    team = desired_group("Team", members=[{"user": "p18"}, {"user": "p19"}, {"user": "eve"}])
    world = World(service).wanting(*stay, desired_user("eve", externalId="e"), team)
    world = world.remembering(
        desired_state(*(desired_user(f"p{number}", externalId=f"{number}") for number in range(20)))
    )
    assert {guard.id for guard in world.plan(allowed={"update-share": None}).refused_by} >= {"removal-share"}
    live = world.read()
    safe = build_plan(world.inputs(live=live, selection=Selection.SAFE, allowed={"update-share": None}))
    assert safe.refused_by == ()
    run = world.send(safe, live)
    assert set(run.outcomes) == {"User/eve", "Group/Team", *(f"User/p{number}" for number in range(12, 20))}
    assert {outcome.value for outcome in run.outcomes.values()} == {"applied"}
    assert service.members_of("Team") == {"p18", "p19", "eve"}
    held = build_plan(world.inputs(selection=Selection.HELD))
    assert {change.action for change in held.changes} == {Action.DEACTIVATE}
    assert len(held.changes) == 12
    assert "removal-share" in {guard.id for guard in held.refused_by}


# --- who is who ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("active", [True, False], ids=["still-there", "left"])
@pytest.mark.parametrize("remembered", [True, False], ids=["with-ledger", "first-run"])
def test_a_recycled_address_does_not_inherit_the_old_persons_access(active: bool, remembered: bool) -> None:
    """INCIDENTS "A recycled e-mail address": awslabs/ssosync #358.

    Guard `identity-reuse`: a new Jane is hired under the address of the one who left, who still has a group.
    """
    service = DirectoryService()
    service.add_user("u1", "jane@x", externalId="hr-1", active=active, emails=[{"value": "jane@x"}])
    service.add_group("g", "Payments", "u1")
    old = desired_user("jane@x", externalId="hr-1", emails=[{"value": "jane@x"}], active=active)
    new = desired_user("jane@x", externalId="hr-2", emails=[{"value": "jane@x"}])
    payments = desired_group("Payments", membership="additive", members=[])
    world = World(service).wanting(new, payments)
    if remembered:
        world = world.remembering(desired_state(old, payments))
    plan = world.plan()
    assert "identity-reuse" in {guard.id for guard in plan.refused_by}
    assert [gain for gain in plan.access.gains if gain.user == "jane@x"] == []
    assert not any(change.id == "u1" and change.action is not Action.DEACTIVATE for change in plan.changes)


def test_an_inactive_namesake_without_an_external_id_is_not_adopted() -> None:
    """INCIDENTS "A recycled e-mail address": awslabs/ssosync #358. A name alone is nobody's proof."""
    service = DirectoryService()
    service.add_user("u1", "jane@x", active=False)
    service.add_group("g", "Payments", "u1")
    world = World(service).wanting(desired_user("jane@x", externalId="hr-2", active=True))
    assert "identity-reuse" in {guard.id for guard in world.plan().refused_by}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (desired_user("j.smith", externalId="1"), desired_user("jane.smith", externalId="1")),
        (desired_user("j.smith"), desired_user("jane.smith", previously="j.smith")),
    ],
    ids=["externalId", "previously"],
)
def test_a_rename_is_one_update_and_keeps_the_person(before: Any, now: Any) -> None:
    """INCIDENTS "A rename was planned as delete and create": awslabs/ssosync #353; databricks provider #1099.

    The id, the memberships and the roles stay.
    """
    service = DirectoryService()
    service.add_user("u1", "j.smith", roles=[AGENT], **({"externalId": "1"} if before.external_id else {}))
    service.add_group("g", "Team", "u1")
    world = World(service).wanting(now).remembering(desired_state(before))
    (change,) = world.plan().changes
    assert (change.action, change.id) == (Action.UPDATE, "u1")
    assert [(item.path, item.before, item.after) for item in change.attributes] == [
        ("userName", "j.smith", "jane.smith")
    ]
    assert applied(world.run())
    assert list(service.users) == ["u1"]
    assert service.users["u1"]["roles"] == [AGENT]
    assert service.members_of("Team") == {"jane.smith"}


def test_a_group_that_is_renamed_keeps_its_members() -> None:
    """INCIDENTS "A rename was planned as delete and create": databricks provider #1099; awslabs/ssosync #353."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_group("g1", "Old", "u1", externalId="t")
    before = desired_group("Old", externalId="t", members=[{"user": "ann"}])
    world = World(service).wanting(desired_group("New", externalId="t", members=[{"user": "ann"}]))
    world = world.remembering(desired_state(before))
    assert applied(world.run())
    assert list(service.groups) == ["g1"]
    assert service.members_of("New") == {"ann"}


# --- updates for ever ------------------------------------------------------------------------------------------------


def test_a_server_that_lower_cases_user_names_is_not_updated_on_every_run() -> None:
    """INCIDENTS "The server lower-cases userName": valon-technologies/gestalt PR #3162.

    A difference of case only is cosmetic: the round trip ends with no changes, for members and managers as well.
    """

    def lower(_: Kind, resource: dict[str, Any]) -> dict[str, Any]:
        return {"userName": resource["userName"].lower()} if "userName" in resource else {}

    world = World(DirectoryService(store=lower)).wanting(
        desired_user("Ann.Lee@X", enterprise={"manager": {"userName": "Bob@X"}}),
        desired_user("Bob@X", title="Lead"),
        desired_group("Team", members=[{"user": "Ann.Lee@X"}]),
    )
    assert applied(world.run())
    assert sorted(user["userName"] for user in world.service.users.values()) == ["ann.lee@x", "bob@x"]
    for _ in range(2):
        assert world.plan().changes == ()
        world.service.log.clear()
        assert applied(world.run())
        assert world.service.writes == []


def test_a_value_that_the_server_rewrites_is_told_once_and_then_known() -> None:
    """INCIDENTS "The server lower-cases userName": valon-technologies/gestalt PR #3162.

    Another attribute: the run is no success, what it says to add to tenant.yaml ends the updates.
    """

    def lower(_: Kind, resource: dict[str, Any]) -> dict[str, Any]:
        return {"title": resource["title"].lower()} if "title" in resource else {}

    world = World(DirectoryService(store=lower)).wanting(desired_user("ann", title="Team LEAD"))
    (residual,) = world.run().residual
    assert (residual.path, residual.expected, residual.found) == ("title", "Team LEAD", "team lead")
    known = World(world.service, tenant=tenant_for(equivalences=residual.equivalences), desired=world.desired)
    assert known.plan().changes == ()


# --- plan and apply --------------------------------------------------------------------------------------------------


def test_the_dry_run_is_what_apply_does(work: Workplace, start_sandbox: StartSandbox) -> None:
    """INCIDENTS "The dry run was unreliable": baloise/open-source #243.

    Plan and apply share one code path: the same digest, the same changes, and as many requests as were announced.
    """
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    work.converge()
    _promote(work, "bob", "Lead")
    work.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\ngroups: [Sales]\n")
    [plan] = work.run("plan", "--format", "json").lines
    with interposed(service.origin) as (hop, origin):
        work.tenant(f"{origin}/scim/v2")
        [planned] = work.run("plan", "--format", "json").lines
        hop.seen.clear()
        ended = work.run("apply", "--expect-digest", planned["digest"])
        assert ended.code == 0, ended.out + ended.err
        assert len(hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    assert [item["key"] for item in work.receipts()[-1]["outcomes"]] == [change["key"] for change in plan["changes"]]
    assert work.receipts()[-1]["digest"] == planned["digest"]


def test_the_dry_run_refuses_what_apply_refuses(acme: Workplace) -> None:
    """INCIDENTS "The dry run was unreliable": baloise/open-source #243. The verdicts are the same, one by one."""
    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    verdicts = []
    for command in (("plan",), ("apply", "--yes")):
        ended = acme.run(*command, "--log-format", "json")
        assert ended.code == 4, ended.err
        verdicts.append([(e["guard"], e["verdict"]) for e in ended.events if e["event"] == "guard.verdict"])
    assert verdicts[0] == verdicts[1] == [("removal-share", "refuse"), ("membership-share", "refuse")]
