"""`people: external`: access over people whom others create, suspend and rename (SPEC sections 1, 3, 4 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.applier.approval import access_not_approved, approve
from reconciler.errors import DesiredStateError
from reconciler.model.change import Reason
from reconciler.model.plan import Plan, Verdict
from reconciler.model.resource import ENTERPRISE_SCHEMA, DesiredGroup, DesiredUser, Kind
from reconciler.model.state import BaseState, Certificate, Standing
from reconciler.model.tenant import GuardSettings, People, Tenant
from reconciler.planfile import dump_plan, read_plan
from reconciler.planner.planner import rebuild_plan
from reconciler.planner.rules import Rules
from tests.fakes.directory_service import DirectoryService
from tests.states import World, applied, desired_group, desired_state, desired_user, put_dialect, tenant_for

AGENT = [{"value": "Agent"}]


def _external(**settings: Any) -> Tenant:
    return tenant_for(people=People.EXTERNAL, **settings)


def _service() -> DirectoryService:
    """Four people who came from elsewhere, one of them suspended, and a team of two."""
    service = DirectoryService()
    service.add_user("u0", "ann", externalId="hr-0", title="Boss", nickName="A", roles=[{"value": "Coach"}])
    service.add_user("u1", "bob")
    service.add_user("u2", "cyd", externalId="hr-2")
    service.add_user("u3", "dan", externalId="hr-3", active=False)
    service.add_group("g1", "Team", "u0", "u1", externalId="t")
    return service


def _world(**settings: Any) -> World:
    return World(_service(), tenant=_external(**settings))


def _findings(plan: Plan, code: str) -> list[tuple[str | None, str]]:
    return [(finding.key, finding.message) for finding in plan.findings if finding.code == code]


def test_nobody_is_created_deactivated_reactivated_or_renamed_and_access_is_managed() -> None:
    """SPEC section 4: git never creates, deactivates or renames them; nothing but access is in a change."""
    world = _world().wanting(
        desired_user("anna", externalId="hr-0", active=False, title="Clerk", roles=AGENT),
        desired_user("dan", active=True, entitlements=[{"value": "Phone"}]),
        desired_user("to-come", externalId="hr-9", name={"givenName": "To"}, roles=AGENT),
    )
    plan = world.plan()
    changes = {change.key.name: change for change in plan.changes}
    assert {name: [a.path for a in change.attributes] for name, change in changes.items()} == {
        "ann": ["roles"],
        "dan": ["entitlements"],
    }
    assert {change.reason for change in plan.changes} == {Reason.DECLARED}
    assert (plan.summary.create, plan.summary.deactivate, plan.summary.reactivate) == (0, 0, 0)


def test_no_external_id_is_written_and_a_case_difference_in_a_user_name_causes_nothing() -> None:
    """Matching is that of SPEC section 3; what identifies people belongs to who creates them."""
    world = _world().wanting(desired_user("BOB", externalId="hr-1"), desired_user("Cyd"))
    plan = world.plan()
    assert plan.changes == ()
    assert _findings(plan, "adopted") == _findings(plan, "cosmetic") == []
    assert plan.summary.unchanged == 2


@pytest.mark.parametrize("put", [False, True], ids=["patch", "put"])
def test_a_change_of_access_keeps_everything_else_of_the_person(*, put: bool) -> None:
    """SPEC P9: a PATCH names roles only, a PUT lays them over what is there."""
    world = _world(**({"dialect": put_dialect()} if put else {}))
    before = dict(world.service.users["u0"])
    run = world.wanting(desired_user("anna", externalId="hr-0", title="Clerk", roles=AGENT)).run()
    assert applied(run)
    assert world.service.users["u0"] == {**before, "roles": AGENT}


def test_a_manager_in_git_is_neither_looked_for_nor_written() -> None:
    """Who reports to whom is the business of who manages people; a name that is not there yet is no error."""
    world = _world().wanting(desired_user("bob", enterprise={"manager": {"userName": "nobody"}, "division": "x"}))
    assert world.plan().changes == ()
    assert ENTERPRISE_SCHEMA not in world.service.users["u1"]


def test_who_is_to_come_is_told_once_with_all_that_waits() -> None:
    """SPEC section 3: declared or only named by a group, by name or by externalId, it is one person and no error."""
    world = _world().wanting(
        desired_user("eve", externalId="hr-9", roles=AGENT, entitlements=[{"value": "Phone"}], groups=["Team"]),
        desired_group("Team", members=[{"user": "EVE"}, {"externalId": "hr-9"}, {"user": "fay"}, {"user": "ann"}]),
        desired_group("Second", members=[{"user": "Fay"}, {"externalId": "hr-77"}]),
    )
    plan = world.plan()
    assert _findings(plan, "pending") == [
        ("Group/Team", "members that git does not name stay while names are pending (eve, fay): bob"),
        ("User/eve", "not in the tenant yet; waits: role Agent, entitlement Phone, group Team"),
        (None, "externalId hr-77 is not in the tenant yet; waits: group Second"),
        ("User/Fay", "not in the tenant yet; waits: group Second, group Team"),
    ]
    assert [str(change.key) for change in plan.changes] == ["Group/Second"]


def test_who_is_not_found_in_an_incomplete_list_is_not_called_absent() -> None:
    """SPEC P4: absence is never inferred from an incomplete read."""
    world = _world().wanting(desired_user("eve"))
    live = world.read()
    short = Certificate(count=4, complete=False, reason="short")
    incomplete = replace(live, certificates={**live.certificates, Kind.USER: short})
    ((_, message),) = _findings(world.plan(live=incomplete), "pending")
    assert message == "not found, in a list of users that is not complete"


def test_a_recycled_user_name_gives_the_next_person_nothing() -> None:
    """INCIDENTS `recycled e-mail address`: the document means the person with its externalId, who is still to come."""
    world = _world().wanting(
        desired_user("cyd", externalId="hr-88", roles=AGENT, groups=["Team"]),
        desired_group("Team", members=[{"user": "cyd"}, {"user": "ann"}, {"user": "bob"}]),
    )
    plan = world.plan()
    assert plan.changes == ()
    assert _findings(plan, "pending") == [
        (
            "User/cyd",
            (
                "not in the tenant yet; the user of that name is somebody else (externalId hr-2); "
                "waits: role Agent, group Team"
            ),
        )
    ]


def test_a_person_whom_others_renamed_is_known_by_both_names() -> None:
    """The document is found by externalId; groups may name the person as git did or as the tenant does now."""
    world = _world().wanting(
        desired_user("ann-before", externalId="hr-0"),
        desired_group("Team", members=[{"user": "ann"}, {"user": "bob"}]),
        desired_group("Second", members=[{"user": "Ann-Before"}]),
    )
    run = world.run()
    assert applied(run)
    assert [str(change.key) for change in run.plan.changes] == ["Group/Second"]
    assert world.service.members_of("Second") == {"ann"}
    ((key, message),) = _findings(run.plan, "renamed")
    assert key == "User/ann"
    assert message.startswith("git calls this person ann-before;")
    assert _findings(run.plan, "pending") == []


def test_a_saved_plan_names_people_as_the_tenant_does() -> None:
    """SPEC P2: what a plan gives to somebody who was renamed elsewhere is the same access when it is made again."""
    world = _world().wanting(
        desired_user("ann-before", externalId="hr-0", roles=AGENT, groups=["Second"]),
        desired_group("Second", members=[]),
    )
    saved = world.plan()
    assert [gain.user for gain in saved.access.gains] == ["ann"]
    assert {str(change.key) for change in saved.changes} == {"User/ann", "Group/Second"}
    read = read_plan(dump_plan(saved))
    rules = Rules(world.tenant, world.capabilities)
    approval = approve(read, world.read(), rules)
    assert approval.results == ()
    assert access_not_approved(read.access.gains, rebuild_plan(world.inputs(), read, approval.changes)) == {}


def test_who_is_inactive_live_is_told_and_gets_no_membership_unasked() -> None:
    """SPEC section 8, `inactive-member`; taking the membership away trips nothing."""
    world = _world().wanting(
        desired_user("dan", groups=["Team"]),
        desired_group("Second", members=[{"user": "dan"}]),
    )
    plan = world.plan()
    assert [key for key, _ in _findings(plan, "inactive")] == ["User/dan"]
    assert "inactive-member" in {guard.id for guard in plan.refused_by}
    only_named = _world().wanting(desired_group("Second", members=[{"user": "dan"}])).plan()
    assert [key for key, _ in _findings(only_named, "inactive")] == ["User/dan"]


def _waiting(**settings: Any) -> World:
    """A group of ann and bob that is to be of ann and somebody who is still to come."""
    return _world(**settings).wanting(desired_group("Team", members=[{"user": "ann"}, {"user": "to-come"}]))


@pytest.mark.parametrize(
    ("allowed", "removed", "verdict", "count"),
    [
        ({}, (), Verdict.PASS, 0),
        ({"access-loss": None}, (), Verdict.PASS, 0),
        ({"pending": None}, ("bob",), Verdict.OVERRIDDEN, 1),
        ({"pending": 1}, ("bob",), Verdict.OVERRIDDEN, 1),
        ({"pending": 0}, ("bob",), Verdict.REFUSE, 1),
    ],
)
def test_members_stay_while_names_are_pending_unless_allowed(
    allowed: Mapping[str, int | None], removed: tuple[str, ...], verdict: Verdict, count: int
) -> None:
    """SPEC sections 3 and 8, `pending`: without --allow they stay and nothing is refused; with it up to N may go."""
    plan = _waiting().plan(allowed=allowed)
    assert tuple(label for change in plan.changes for label in change.members.removed) == removed
    (guard,) = [guard for guard in plan.guards if guard.id == "pending"]
    assert (guard.verdict, guard.count) == (verdict, count)
    word = "go although" if removed else "stay while"
    message = f"members that git does not name {word} names are pending (to-come): bob"
    assert ("Group/Team", message) in _findings(plan, "pending")


def test_letting_pending_removals_through_lets_no_other_guard_through() -> None:
    """SPEC P10: the removal is judged by all the others."""
    world = _waiting(guards=GuardSettings(protected=("group:Team",)))
    assert {guard.id for guard in world.plan(allowed={"pending": None}).refused_by} == {"protected", "minimum-members"}


def test_a_saved_plan_needs_the_same_word_again() -> None:
    """SPEC P2: verdicts are never taken from a file; the option that let members go is asked for at apply, too."""
    world = _waiting()
    saved = world.plan(allowed={"pending": None})
    assert not saved.refused_by
    read = read_plan(dump_plan(saved))
    for allowed, verdict in (({}, Verdict.REFUSE), ({"pending": 1}, Verdict.OVERRIDDEN)):
        plan = rebuild_plan(world.inputs(allowed=allowed), read, read.changes)
        assert [guard.verdict for guard in plan.guards if guard.id == "pending"] == [verdict]
    kept = world.plan()
    assert not rebuild_plan(world.inputs(), kept, kept.changes).refused_by


def test_the_rest_follows_once_the_people_are_there() -> None:
    """What waited is given, and who stayed meanwhile goes, in an ordinary run."""
    world = _waiting()
    assert world.run().plan.changes == ()
    world.service.add_user("u9", "to-come")
    plan = world.plan()
    (change,) = plan.changes
    assert (change.members.added, change.members.removed) == (("to-come",), ("bob",))
    assert _findings(plan, "pending") == []


def test_an_additive_group_and_a_new_group_wait_for_nobody() -> None:
    """Only removals wait; who is there gets what is theirs."""
    world = _world().wanting(
        desired_group("Team", membership="additive", members=[{"user": "cyd"}, {"user": "to-come"}]),
        desired_group("New", members=[{"user": "ann"}, {"user": "to-come"}]),
    )
    run = world.run()
    assert applied(run)
    assert world.service.members_of("Team") == {"ann", "bob", "cyd"}
    assert world.service.members_of("New") == {"ann"}
    assert [key for key, _ in _findings(run.plan, "pending")] == ["User/to-come"]


def test_unknown_groups_stay_errors_and_so_do_unknown_people_where_git_manages_them() -> None:
    """SPEC section 3, References: git creates groups itself, so a name nobody has is a slip."""
    with pytest.raises(DesiredStateError):
        _world().wanting(desired_group("Team", members=[{"group": "Tem"}])).plan()
    with pytest.raises(DesiredStateError):
        _world().wanting(desired_user("ann", groups=["Tem"])).plan()
    with pytest.raises(DesiredStateError):
        World(_service()).wanting(desired_group("Team", members=[{"user": "to-come"}])).plan()


def test_shares_are_of_the_people_whom_git_names() -> None:
    """SPEC section 8: without user documents the managed people are those in the groups, or no share could be had."""
    service = DirectoryService()
    for number in range(100):
        service.add_user(f"u{number}", f"p{number}")
    service.add_group("g1", "Team", *(f"u{number}" for number in range(100)))
    world = World(service, tenant=_external())

    def verdict(leaving: int) -> tuple[Verdict, int | None]:
        members = [{"user": f"p{number}"} for number in range(leaving, 100)]
        guard = world.wanting(desired_group("Team", members=members)).guard("access-loss")
        return guard.verdict, guard.limit

    assert verdict(9) == (Verdict.PASS, 9)
    assert verdict(10) == (Verdict.REFUSE, 9)


def _base(*resources: DesiredUser | DesiredGroup) -> BaseState:
    """What git declared when a run last proved everything, of the people and the team that are there."""
    known = frozenset({"u0", "u1", "u2", "u3", "g1"})
    return BaseState(standing=Standing.USABLE, states=(desired_state(*resources),), known=known)


def test_what_git_stated_before_is_taken_back_also_from_a_group_that_waits() -> None:
    """SPEC section 3: only members that base never stated stay while names are pending."""
    world = _waiting()
    world.service.groups["g1"]["members"].append("u2")
    before = desired_group("Team", members=[{"user": "ann"}, {"user": "bob"}])
    plan = world.plan(base=_base(before))
    assert [change.members.removed for change in plan.changes] == [("bob",)]
    assert _findings(plan, "pending")[0][1].endswith("(to-come): cyd")
    assert "pending" not in {guard.id for guard in plan.guards if guard.verdict is not Verdict.PASS}


def test_let_go_are_counted_without_what_git_takes_back() -> None:
    """`--allow pending=1` speaks of one member whom git never named; bob, whom it did name, goes in any case."""
    world = _waiting()
    world.service.groups["g1"]["members"].append("u2")
    before = desired_group("Team", members=[{"user": "ann"}, {"user": "bob"}])
    guard = world.guard("pending", base=_base(before), allowed={"pending": 1})
    assert (guard.verdict, guard.count) == (Verdict.OVERRIDDEN, 1)


def test_what_git_gave_up_about_people_is_withdrawn_as_far_as_it_is_access() -> None:
    """SPEC section 3: roles that base stated go, everything else becomes unmanaged; nobody is deactivated."""
    coach = [{"value": "Coach"}]
    before = [desired_user("ann", externalId="hr-0", roles=coach, title="Boss"), desired_user("bob", roles=AGENT)]
    world = _world().wanting(desired_user("ann", externalId="hr-0"))
    world.service.edit("u1", roles=[*AGENT, *coach])
    plan = world.plan(base=_base(*before))
    changes = {change.key.name: [(a.path, a.after) for a in change.attributes] for change in plan.changes}
    assert changes == {"ann": [("roles", None)], "bob": [("roles", coach)]}
    assert {key for key, _ in _findings(plan, "given-up")} == {"User/ann"}
    assert plan.summary.deactivate == plan.summary.delete == 0


def test_people_who_never_came_are_not_missed() -> None:
    """SPEC section 8, `missing-share`: who was pending when base was proven is pending still, and no sign of harm."""
    documents = [desired_user(f"p{number}", externalId=f"x-{number}") for number in range(100)]
    world = _world().wanting(*documents)
    assert world.verdict("missing-share", base=_base(*documents)) is Verdict.PASS
    groups = [desired_group(f"G{number}", externalId=f"y-{number}") for number in range(20)]
    assert world.wanting(*groups).verdict("missing-share", base=_base(*groups)) is Verdict.REFUSE


def test_a_membership_of_the_next_person_of_a_name_is_not_taken_back() -> None:
    """INCIDENTS `recycled e-mail address`: what git stated of one externalId it never granted to another."""
    before: list[DesiredUser | DesiredGroup] = [
        desired_user("bob", externalId="hr-88"),
        desired_group("Team", membership="additive", members=[{"user": "ann"}, {"user": "bob"}]),
    ]
    world = _world().wanting(desired_group("Team", membership="additive", members=[{"user": "ann"}]))
    world.service.edit("u1", externalId="hr-1")
    assert world.plan(base=_base(*before)).changes == ()


def test_the_plan_is_the_same_in_any_order_of_documents() -> None:
    """SPEC P12."""
    resources: list[DesiredUser | DesiredGroup] = [
        desired_user("eve", groups=["Team"]),
        desired_user("zoe", roles=AGENT),
        desired_group("Team", members=[{"user": "yin"}, {"user": "ann"}]),
        desired_group("Second", members=[{"user": "yin"}, {"user": "abe"}]),
    ]
    there, back = (_world().wanting(*order).plan() for order in (resources, resources[::-1]))
    assert there.digest == back.digest
    assert there.findings == back.findings
