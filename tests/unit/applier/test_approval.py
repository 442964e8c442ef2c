"""An approved plan meets the tenant of today (SPEC P2 and 7.3): only what was approved is taken from the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.applier.approval import Approval, access_not_approved, approve, hold, remaining
from reconciler.model.change import Change, Precondition, PreconditionKind
from reconciler.model.outcome import ChangeResult, Outcome
from reconciler.model.plan import Plan
from reconciler.model.tenant import GuardSettings
from reconciler.planner.planner import rebuild_plan
from reconciler.planner.rules import Rules
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_user, tenant_for


def _office() -> World:
    """Ann and Bob in a team; git wants a title, a new user, a new group and other members."""
    service = DirectoryService()
    service.add_user("u1", "ann", title="old", externalId="hr-1")
    service.add_user("u2", "bob")
    service.add_user("u3", "eve", active=False)
    service.add_group("g1", "Team", "u1", externalId="t")
    service.add_group("g2", "Board")
    return World(service).wanting(
        desired_user("ann", externalId="hr-1", title="new"),
        desired_user("new"),
        desired_group("Team", members=[{"user": "bob"}, {"user": "new"}]),
        desired_group("Club", members=[{"user": "ann"}, {"user": "new"}]),
    )


def _approve(world: World, plan: Plan) -> Approval:
    return approve(plan, world.read(), Rules(world.tenant, world.capabilities))


def _outcomes(results: tuple[ChangeResult, ...]) -> dict[str, Outcome]:
    return {str(result.change.key): result.outcome for result in results}


def _by_key(changes: tuple[Change, ...]) -> dict[str, Change]:
    return {str(change.key): change for change in changes}


def test_on_an_unchanged_tenant_the_approved_changes_are_executed_and_proven() -> None:
    """The whole plan, and nothing is left of it afterwards."""
    world = _office()
    plan = world.plan()
    approval = _approve(world, plan)
    assert approval.results == ()
    assert [change.digest for change in approval.changes] == [change.digest for change in plan.changes]
    live = world.read()
    rebuilt = rebuild_plan(world.inputs(live=live), plan, approval.changes)
    assert rebuilt.digest == plan.digest
    rules = Rules(world.tenant, world.capabilities)
    assert remaining(rebuilt, live, rules)
    assert world.apply(rebuilt, live).all_applied
    assert remaining(rebuilt, world.read(), rules) == ()


def test_ids_and_versions_of_the_file_are_never_used() -> None:
    """A swapped id changes nothing: who is meant is found by the anchor (issue 2, judged 6)."""
    world = _office()
    plan = world.plan()
    forged = [
        replace(change, id="u2", precondition=Precondition(PreconditionKind.VERSION, "forged"))
        for change in plan.changes
    ]
    changes = _by_key(_approve(world, replace(plan, changes=tuple(forged))).changes)
    assert changes["User/ann"].id == "u1"
    assert changes["User/ann"].precondition == Precondition(PreconditionKind.VERSION, 'W/"1"')
    assert changes["Group/Team"].id == "g1"
    assert changes["User/new"].id is None
    assert changes["User/new"].precondition.kind is PreconditionKind.ABSENT


def test_results_do_not_show_ids_of_the_file_either() -> None:
    """What was done already is reported with the id of today; what is gone has none."""
    world = _office()
    plan = world.plan()
    forged = replace(plan, changes=tuple(replace(change, id="forged") for change in plan.changes))
    world.service.edit("u1", title="new")
    world.service.remove("g1")
    results = {str(result.change.key): result for result in _approve(world, forged).results}
    assert (results["User/ann"].outcome, results["User/ann"].id) == (Outcome.APPLIED, "u1")
    assert (results["Group/Team"].outcome, results["Group/Team"].id) == (Outcome.CONFLICT, None)


def test_members_are_bound_by_their_anchors() -> None:
    """A member who was renamed meanwhile is still the one who was approved; a namesake is not."""
    world = _office().wanting(desired_group("Board", members=[{"user": "ann"}]))
    plan = world.plan()
    world.service.edit("u1", userName="ann.married")
    world.service.add_user("u9", "ann")
    approval = _approve(world, plan)
    live = world.read()
    rebuilt = rebuild_plan(world.inputs(live=live), plan, approval.changes)
    world.send(rebuilt, live)
    assert world.service.groups["g2"]["members"] == ["u1"]


def test_a_member_that_is_gone_makes_a_conflict() -> None:
    """Nobody else is put in their place."""
    world = _office().wanting(desired_group("Board", members=[{"user": "bob"}]))
    plan = world.plan()
    world.service.remove("u2")
    world.service.add_user("u9", "bob")
    approval = _approve(world, plan)
    assert approval.changes == ()
    assert _outcomes(approval.results) == {"Group/Board": Outcome.CONFLICT}
    assert "bob is not there any more" in str(approval.results[0].cause)


def test_an_id_anchor_never_means_somebody_whose_external_id_it_is() -> None:
    """Numbers are used for both; the approved person is found, and nobody else is deactivated."""
    service = DirectoryService()
    service.add_user("7", "ann")
    world = World(service).wanting(desired_user("ann", active=False))
    plan = world.plan()
    service.add_user("8", "bob", externalId="7")
    (change,) = _approve(world, plan).changes
    assert change.id == "7"
    service.remove("7")
    approval = _approve(world, plan)
    assert approval.changes == ()
    assert _outcomes(approval.results) == {"User/ann": Outcome.CONFLICT}


def test_a_managed_attribute_that_changed_is_a_conflict_and_an_unmanaged_one_is_not() -> None:
    """approved, now, would-be (SPEC 7.6)."""
    world = _office()
    plan = world.plan()
    world.service.edit("u1", title="foreign")
    world.service.edit("g1", **{"x-unknown": 1})
    approval = _approve(world, plan)
    (result,) = approval.results
    assert [(d.approved, d.now, d.would_be) for d in result.disagreements] == [("old", "foreign", "new")]
    assert "Group/Team" in _by_key(approval.changes)
    assert _by_key(approval.changes)["Group/Team"].precondition.value == 'W/"2"'


def test_what_is_left_of_a_change_is_executed() -> None:
    """One membership was given meanwhile: the rest still is."""
    world = _office()
    plan = world.plan()
    world.service.groups["g1"]["members"].append("u2")
    change = _by_key(_approve(world, plan).changes)["Group/Team"]
    assert (change.members.added, change.members.removed) == (("new",), ("ann",))


def test_a_create_that_is_there_already_is_a_conflict_and_holds_what_needs_it() -> None:
    """It may be anybody. What a dependent change takes away is taken away all the same."""
    world = _office()
    plan = world.plan()
    world.service.add_user("u9", "new")
    approval = _approve(world, plan)
    outcomes = _outcomes(approval.results)
    assert outcomes["User/new"] is Outcome.CONFLICT
    assert outcomes["Group/Club"] is Outcome.NOT_ATTEMPTED
    assert outcomes["Group/Team"] is Outcome.NOT_ATTEMPTED
    team = _by_key(approval.changes)["Group/Team"]
    assert (team.members.added, team.members.removed) == ((), ("ann",))
    assert "Group/Club" not in _by_key(approval.changes)


def test_a_create_beside_a_namesake_of_another_external_id_is_still_a_create() -> None:
    """Different externalIds never match by name: what the plan was approved to do still fits."""
    service = DirectoryService()
    service.add_group("g", "Team", externalId="other")
    world = World(service).wanting(desired_group("Team", externalId="ours"))
    (change,) = _approve(world, world.plan()).changes
    assert change.id is None


def test_dependants_of_dependants_are_held_too() -> None:
    """A group in a group in a user's place."""
    world = World(DirectoryService()).wanting(
        desired_user("new"),
        desired_group("Inner", members=[{"user": "new"}]),
        desired_group("Outer", members=[{"group": "Inner"}]),
    )
    plan = world.plan()
    world.service.add_user("u9", "new")
    outcomes = _outcomes(_approve(world, plan).results)
    assert set(outcomes) == {"User/new", "Group/Inner", "Group/Outer"}


def _extra(world: World, plan: Plan) -> tuple[list[Change], list[ChangeResult], Plan]:
    changes = _approve(world, plan).changes
    rebuilt = rebuild_plan(world.inputs(), plan, changes)
    kept, held = hold(rebuilt.changes, access_not_approved(plan.access.gains, rebuilt))
    return kept, held, rebuilt


def test_access_that_nobody_approved_is_held() -> None:
    """A group was nested meanwhile: its members would come along."""
    world = _office().wanting(
        desired_group("Board", membership="additive", members=[{"group": "Team"}]), desired_user("bob", title="x")
    )
    plan = world.plan()
    world.service.groups["g1"]["members"].append("u2")
    kept, held, _ = _extra(world, plan)
    assert [str(change.key) for change in kept] == ["User/bob"]
    assert [str(result.change.key) for result in held] == ["Group/Board"]
    assert "bob" in str(held[0].cause)


def test_access_of_somebody_whose_name_differs_in_case_only_is_what_was_approved() -> None:
    """The difference is cosmetic: git says ann, the tenant Ann, and it is one person (SPEC section 3)."""
    service = DirectoryService()
    service.add_user("u1", "Ann", externalId="hr-1")
    world = World(service).wanting(desired_user("ann", externalId="hr-1", groups=["Club"]), desired_group("Club"))
    plan = world.plan()
    rebuilt = rebuild_plan(world.inputs(), plan, _approve(world, plan).changes)
    assert [gain.user for gain in (*plan.access.gains, *rebuilt.access.gains)] == ["ann", "Ann"]
    assert access_not_approved(plan.access.gains, rebuilt) == {}


def test_what_needs_a_held_create_is_held_with_it() -> None:
    """Bob is in Board already and would now come along into Club: Club waits, and so does its membership in Board."""
    world = _office().wanting(
        desired_group("Club", members=[{"group": "Team"}]),
        desired_group("Board", membership="additive", members=[{"group": "Club"}]),
    )
    world.service.groups["g2"]["members"].append("u2")
    plan = world.plan()
    world.service.groups["g1"]["members"].append("u2")
    kept, held, _ = _extra(world, plan)
    assert kept == []
    assert {str(result.change.key) for result in held} == {"Group/Club", "Group/Board"}
    assert rebuild_plan(world.inputs(), plan, kept).changes == ()


def test_what_a_held_change_takes_away_is_taken_away() -> None:
    """Holding an addition back keeps nobody in a group who was approved to leave it."""
    world = _office().wanting(desired_group("Board", members=[{"group": "Team"}]))
    world.service.groups["g2"]["members"].append("u3")
    plan = world.plan()
    world.service.groups["g1"]["members"].append("u2")
    kept, held, _ = _extra(world, plan)
    assert [(change.members.added, change.members.removed) for change in kept] == [((), ("eve",))]
    assert [str(result.change.key) for result in held] == ["Group/Board"]


def test_a_reactivation_that_would_give_more_than_was_approved_is_held() -> None:
    """Somebody put the suspended account into a group after the approval."""
    world = _office().wanting(desired_user("eve", active=True))
    plan = world.plan()
    kept, held, _ = _extra(world, plan)
    assert held == []
    assert len(kept) == 1
    world.service.groups["g2"]["members"].append("u3")
    kept, held, _ = _extra(world, plan)
    assert kept == []
    assert [str(result.change.key) for result in held] == ["User/eve"]


def test_what_is_approved_only_shrinks() -> None:
    """Whatever happened meanwhile, nothing is executed that is not in the plan."""
    edits: list[Any] = [
        lambda s: s.remove("u1"),
        lambda s: s.remove("u2"),
        lambda s: s.edit("u1", title="new"),
        lambda s: s.edit("u1", userName="other"),
        lambda s: s.add_group("g9", "Club", "u3"),
        lambda s: s.groups["g1"]["members"].extend(["u2", "u3"]),
    ]
    for edit in edits:
        world = _office()
        plan = world.plan()
        approved = _by_key(plan.changes)
        edit(world.service)
        approval = _approve(world, plan)
        for change in approval.changes:
            known = approved[str(change.key)]
            assert change.action is known.action
            assert change.anchor == known.anchor
            assert set(change.attributes) <= set(known.attributes)
            assert set(change.members.added) <= set(known.members.added)
            assert set(change.members.removed) <= set(known.members.removed)
        ended = {str(result.change.key) for result in approval.results}
        assert ended | {str(change.key) for change in approval.changes} == set(approved)


def test_a_service_that_changes_the_case_of_names_does_not_spoil_the_proof() -> None:
    """What was created is found, and its members are known by the approved name."""
    world = World(DirectoryService(store=lambda _, r: {"userName": r["userName"].lower()} if "userName" in r else {}))
    world = world.wanting(desired_user("Ann"), desired_group("Team", members=[{"user": "Ann"}]))
    live = world.read()
    plan = world.plan(live=live)
    assert world.apply(plan, live).all_applied
    assert remaining(plan, world.read(), Rules(world.tenant, world.capabilities)) == ()


def test_a_group_that_is_protected_by_its_name_of_now_is_judged_by_that_name() -> None:
    """A group was renamed since the plan was approved; a saved plan still calls it what it was."""
    world = _office().wanting(desired_group("Team", externalId="t", members=[{"user": "ann"}, {"user": "bob"}]))
    world = replace(world, tenant=tenant_for(guards=GuardSettings(protected=("group:Supervisors",))))
    plan = world.plan()
    assert not plan.refused_by
    world.service.edit("g1", displayName="Supervisors")
    rebuilt = rebuild_plan(world.inputs(), plan, _approve(world, plan).changes)
    assert [guard.id for guard in rebuilt.refused_by] == ["privileged-gain"]


def test_a_group_with_a_namesake_can_be_approved_and_applied() -> None:
    """The plan names such a group by its id; what it gives is still what was approved."""
    world = _office()
    world.service.add_group("g9", "Board")
    world = world.wanting(
        desired_user("bob"), desired_group("Team", membership="additive", members=[{"user": "bob"}], externalId="t")
    )
    world.service.add_group("g8", "Team", externalId="other")
    plan = world.plan()
    assert [gain.group for gain in plan.access.gains] == ["id:g1"]
    kept, held, _ = _extra(world, plan)
    assert held == []
    assert [str(change.key) for change in kept] == ["Group/Team"]


def test_what_waits_for_an_approval_of_its_own_is_marked_as_held() -> None:
    """Exit code 5, not 1 or 6: nothing went wrong (SPEC section 5)."""
    world = _office().wanting(desired_group("Board", membership="additive", members=[{"group": "Team"}]))
    plan = world.plan()
    world.service.groups["g1"]["members"].append("u2")
    _, held, _ = _extra(world, plan)
    assert [result.held for result in held] == [True]
