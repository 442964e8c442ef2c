"""Carrying out a plan on a service that misbehaves in one way at a time (SPEC 7.4; cxone.md 5, 6, 10, 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.model.change import Precondition, PreconditionKind
from reconciler.model.dialect import Dialect
from reconciler.model.outcome import Outcome
from reconciler.model.resource import ENTERPRISE_SCHEMA, DesiredGroup, DesiredUser, Kind, LiveGroup, LiveUser
from reconciler.model.tenant import Limits
from tests.fakes.directory_service import DirectoryService, Fault
from tests.states import (
    World,
    applied,
    capabilities_of,
    desired_group,
    desired_state,
    desired_user,
    put_dialect,
    tenant_for,
)

APPLIED, CONFLICT, FAILED = Outcome.APPLIED, Outcome.CONFLICT, Outcome.FAILED
NOT_ATTEMPTED, UNKNOWN = Outcome.NOT_ATTEMPTED, Outcome.UNKNOWN
Edit = Callable[[DirectoryService], object]


def _two(**service: Any) -> DirectoryService:
    """Ann and Bob, with a nickname that git does not manage."""
    found = DirectoryService(**service)
    found.add_user("u1", "ann", title="old", nickName="Annie")
    found.add_user("u2", "bob", title="old")
    return found


def _promoted(**service: Any) -> World:
    """Git gives both a new title."""
    found = _two(**service)
    users = [desired_user("ann", title="new"), desired_user("bob", title="new")]
    return World(found, desired_state(*users), capabilities=capabilities_of(found))


def _replacing(world: World) -> World:
    return replace(world, tenant=tenant_for(dialect=put_dialect()))


FLAVOURS: list[dict[str, Any]] = [
    {},
    {"bulk_supported": False},
    {"versions": False},
    {"bulk_supported": False, "versions": False},
    {"checks_versions": False},
    {"bulk_supported": False, "version_format": '"{}"'},
]


def _world_of(flavour: dict[str, Any], *, put: bool) -> World:
    world = _promoted(**flavour)
    return _replacing(world) if put else world


@pytest.mark.parametrize("put", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_foreign_write_on_a_managed_attribute_is_a_conflict_and_stays(flavour: dict[str, Any], put: bool) -> None:
    """Issue 2, judged 3; defect R6: approved, now and would-be are told, everything else is applied."""
    world = _world_of(flavour, put=put)
    run = world.run(lambda service: service.edit("u1", title="foreign"))
    assert run.outcomes == {"User/ann": CONFLICT, "User/bob": APPLIED}
    (disagreement,) = run.result("User/ann").disagreements
    found = (disagreement.path, disagreement.approved, disagreement.now, disagreement.would_be)
    assert found == ("title", "old", "foreign", "new")
    assert world.service.users["u1"]["title"] == "foreign"
    assert world.service.users["u2"]["title"] == "new"


@pytest.mark.parametrize("put", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_foreign_write_on_an_unmanaged_attribute_is_rebased_and_kept(flavour: dict[str, Any], put: bool) -> None:
    """Defects R6, R7, G5: the foreign value survives, also where the whole resource is replaced."""
    world = _world_of(flavour, put=put)
    run = world.run(lambda service: service.edit("u1", nickName="foreign", externalId="x-1"))
    assert applied(run)
    assert (world.service.users["u1"]["title"], world.service.users["u1"]["nickName"]) == ("new", "foreign")
    assert world.service.users["u1"]["externalId"] == "x-1"
    assert run.result("User/ann").rebased is (world.service.versions and world.service.checks_versions)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_as_wanted_already_is_done_without_a_second_write(flavour: dict[str, Any]) -> None:
    """cxone.md section 6 (a)."""
    world = _promoted(**flavour)
    run = world.run(lambda service: service.edit("u1", title="new"))
    assert applied(run)
    assert world.service.users["u1"]["title"] == "new"


def test_a_termination_is_not_undone_by_somebody_who_changes_the_title() -> None:
    """Defect R6: the server's `active` is never copied into what is wanted."""
    service = _two()
    world = World(service, desired_state(desired_user("ann", active=False)))
    assert applied(world.run(lambda s: s.edit("u1", title="foreign", active=True)))
    assert service.users["u1"]["active"] is False
    assert service.users["u1"]["title"] == "foreign"


def test_a_resource_that_is_gone_is_a_conflict() -> None:
    """Updates never create."""
    for flavour in FLAVOURS:
        run = _promoted(**flavour).run(lambda service: service.remove("u1"))
        assert run.outcomes == {"User/ann": CONFLICT, "User/bob": APPLIED}


def test_what_keeps_changing_is_given_up_after_three_rounds() -> None:
    """SPEC 7.6, defect R6 (recursion without limit)."""
    world = _promoted(bulk_supported=False)
    edits = iter(range(100))

    def restless(number: int, method: str, path: str) -> Fault:
        ann = path.endswith("u1")
        return Fault(edit=lambda s: s.edit("u1", nickName=f"n{next(edits)}")) if ann else Fault()

    world.service.fault_for = restless
    run = world.run()
    assert run.outcomes == {"User/ann": CONFLICT, "User/bob": APPLIED}
    assert sum(1 for _, path, _ in world.service.sent if path.endswith("u1")) == 3
    assert "3 rounds" in (run.result("User/ann").cause or "")
    assert world.service.users["u1"]["title"] == "old"


@pytest.mark.parametrize("bulk", [False, True])
def test_a_tag_that_never_matches_falls_back_to_read_compare_write(bulk: bool) -> None:
    """scim-rfc.md section 9: 412 while a fresh read shows the tag just sent."""
    world = _promoted(bulk_supported=bulk)
    never = {"PATCH": Fault(refuse=(412, None))}
    world.service.fault_for = lambda number, method, path: (
        never[method] if world.service.sent[-1][2] is not None else Fault()
    )
    run = world.run()
    assert applied(run)
    guards = [version for _, _, version in world.service.sent]
    assert guards.count(None) == 2  # the unguarded writes came after a comparison
    assert world.service.users["u1"]["title"] == "new"


def test_a_comparison_still_finds_a_conflict_where_tags_do_not_work() -> None:
    """P3: read, compare, write, never write blindly."""
    world = _promoted(bulk_supported=False)
    world.service.fault_for = lambda number, method, path: (
        Fault(refuse=(412, None), edit=lambda s: s.edit("u1", title="foreign") if path.endswith("u1") else None)
        if world.service.sent[-1][2] is not None
        else Fault()
    )
    assert world.run().outcomes == {"User/ann": CONFLICT, "User/bob": APPLIED}
    assert world.service.users["u1"]["title"] == "foreign"


def test_every_write_carries_the_version_it_was_planned_on() -> None:
    """Defects R8 and G6: the tag byte for byte, never an empty one; without tags none at all."""
    world = _promoted(bulk_supported=False, version_format='W/"a{}"')
    world.run()
    assert [version for _, _, version in world.service.sent] == ['W/"a1"', 'W/"a1"']
    world = _promoted(bulk_supported=False, versions=False)
    world.run()
    assert [version for _, _, version in world.service.sent] == [None, None]
    assert world.service.log.count("GET /Users/u1") == 1  # compared just before


def test_put_sends_the_whole_resource_with_what_git_manages_laid_over_it() -> None:
    """Defect R7: a PUT of managed fields alone clears name, e-mail and roles."""
    world = _replacing(_promoted())
    world.service.users["u1"] |= {"name": {"familyName": "Lee"}, "roles": [{"value": "Agent"}], "x": {"y": 1}}
    assert applied(world.run())
    ann = world.service.users["u1"]
    assert (ann["name"], ann["roles"], ann["x"]) == ({"familyName": "Lee"}, [{"value": "Agent"}], {"y": 1})
    assert ann["active"] is True


def test_a_second_run_sends_nothing() -> None:
    """Defect G7: no change, no write."""
    world = _promoted()
    world.run()
    before = len(world.service.writes)
    assert world.run().plan.changes == ()
    assert len(world.service.writes) == before


def _hiring(**service: Any) -> World:
    found = DirectoryService(**service)
    documents: list[DesiredUser | DesiredGroup] = [
        desired_user("boss", externalId="hr-1"),
        desired_user("eve", externalId="hr-2", enterprise={"manager": {"userName": "boss"}}),
        desired_group("Team", externalId="t", members=[{"user": "eve"}]),
    ]
    return World(found, desired_state(*documents), capabilities=capabilities_of(found))


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("fault", [Fault(lost="after"), Fault(missing="after")])
def test_a_lost_create_is_found_by_reading_and_applied_once(number: int, bulk: bool, fault: Fault) -> None:
    """SPEC P5, defect R2: our own lost create is applied; nothing is there twice."""
    world = _hiring(bulk_supported=bulk)
    world.service.faults = {number: fault}
    assert applied(world.run())
    assert (len(world.service.users), len(world.service.groups)) == (2, 1)
    assert len([1 for method, _, _ in world.service.sent if method == "POST"]) == 3


@pytest.mark.parametrize("fault", [Fault(lost="before"), Fault(missing="before"), Fault(refuse=(503, None))])
def test_an_unknown_outcome_is_read_before_anything_is_sent_again(fault: Fault) -> None:
    """Not there: sent again, once. The look comes after a wait, for a service may be slow."""
    world = _hiring(bulk_supported=False)
    world.service.faults = {1: fault}
    run = world.run()
    assert applied(run)
    first = world.service.log.index("POST /Users")
    again = world.service.log.index("POST /Users", first + 1)
    assert any(line.startswith("GET /Users") for line in world.service.log[first:again])
    assert run.waits[0] == 2


@pytest.mark.parametrize("bulk", [False, True])
def test_a_create_that_somebody_else_made_is_a_conflict_and_never_adopted(bulk: bool) -> None:
    """SPEC 3: an approved create never becomes a change to somebody else; what needs it does not get it."""
    world = _hiring(bulk_supported=bulk)
    run = world.run(lambda service: service.add_user("foreign", "boss", title="somebody else"))
    assert run.outcomes["User/boss"] is CONFLICT
    assert "not adopted" in (run.result("User/boss").cause or "")
    assert run.outcomes["User/eve"] is FAILED
    assert "boss" in (run.result("User/eve").cause or "")
    assert run.outcomes["Group/Team"] is APPLIED
    assert world.service.users["foreign"] == {"userName": "boss", "active": True, "title": "somebody else"}
    assert ENTERPRISE_SCHEMA not in world.service.user_named("eve")


def test_a_create_that_is_there_exactly_as_wanted_is_still_not_ours_after_a_plain_409() -> None:
    """Equal is no proof: only an answer that was lost can have been this run's."""
    world = World(DirectoryService(), desired_state(desired_user("eve", title="t")))
    run = world.run(lambda service: service.add_user("x", "eve", title="t"))
    assert run.outcomes == {"User/eve": CONFLICT}


def test_a_409_without_anything_to_be_seen_is_a_conflict() -> None:
    """A soft-deleted namesake (scim-rfc.md Q13)."""
    world = World(DirectoryService(), desired_state(desired_user("eve")))
    world.service.fault_for = lambda *_: Fault(refuse=(409, "uniqueness"))
    run = world.run()
    assert run.outcomes == {"User/eve": CONFLICT}
    assert "cannot be seen" in (run.result("User/eve").cause or "")


def test_a_lost_group_create_is_not_taken_for_a_namesake_of_another_external_id() -> None:
    """Group names need not be unique: the other group of that name is left alone, ours is sent again."""
    service = DirectoryService()
    service.add_user("u", "ann")
    service.add_group("g", "Team", externalId="other")
    world = World(service, desired_state(desired_group("Team", externalId="ours", members=[{"user": "ann"}])))
    service.faults = {1: Fault(lost="before")}
    assert applied(world.run())
    assert service.groups["g"]["members"] == []
    assert sorted(group["externalId"] for group in service.groups.values()) == ["other", "ours"]


def test_a_create_whose_id_is_not_told_is_looked_up() -> None:
    """201 without location or id: only reading tells, and never by a namesake."""
    world = _hiring(tells_ids=False)
    assert applied(world.run())
    assert world.service.members_of("Team") == {"eve"}


def test_a_manager_cycle_among_creates_is_closed_by_a_guarded_write_afterwards() -> None:
    """Created without, completed later; a user may be their own manager."""
    documents = [
        desired_user("a", enterprise={"manager": {"userName": "b"}}),
        desired_user("b", enterprise={"manager": {"userName": "a"}}),
        desired_user("self", enterprise={"manager": {"userName": "self"}}),
    ]
    for put in (False, True):
        world = World(DirectoryService(), desired_state(*documents))
        world = _replacing(world) if put else world
        run = world.run()
        assert applied(run)
        assert run.requests == run.plan.estimate.requests
        late = [version for method, _, version in world.service.sent if method != "POST"]
        assert late
        assert None not in late


def test_the_proof_knows_a_create_that_was_not_completed() -> None:
    """Its manager was refused, yet it is there: that it is in its group is no residual."""
    boss = {"manager": {"userName": "a"}}
    team = desired_group("Team", members=[{"user": "a"}])
    world = World(DirectoryService(), desired_state(desired_user("a", enterprise=boss), team))
    world.service.faults = {3: Fault(refuse=(400, "invalidValue"))}
    run = world.run()
    assert run.outcomes == {"User/a": FAILED, "Group/Team": APPLIED}
    assert run.residual == ()


def test_one_refusal_does_not_keep_the_rest_from_being_applied() -> None:
    """INCIDENTS kubernetes/org PR #591: one 403 blocked everything; defect R3: it is not retried either."""
    for bulk in (False, True):
        world = _promoted(bulk_supported=bulk)
        world.service.faults = {1: Fault(refuse=(403, None))}
        run = world.run()
        assert run.outcomes == {"User/ann": FAILED, "User/bob": APPLIED}
        assert len(world.service.sent) == 2


def test_a_resource_that_cannot_be_read_fails_alone() -> None:
    """Comparing needs a read; a 403 or 500 on one of them is that one's."""
    world = _promoted(bulk_supported=False, versions=False)
    _breaks_reading(world.service, "u1", ScimRejected(403, detail="no"))
    live = world.read()
    assert world.send(world.plan(live=live), live).outcomes == {"User/ann": FAILED, "User/bob": APPLIED}


def test_an_outcome_that_cannot_be_read_stays_unknown() -> None:
    """Nobody guesses `applied` (SPEC P6)."""
    world = _promoted(bulk_supported=False)
    _breaks_reading(world.service, "u1", ScimMalformed("not JSON"))
    world.service.faults = {1: Fault(lost="after")}
    live = world.read()
    assert world.send(world.plan(live=live), live).outcomes == {"User/ann": UNKNOWN, "User/bob": APPLIED}


def _breaks_reading(service: DirectoryService, id_: str, error: Exception) -> None:
    read = service.get

    def get(kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002
        if id == id_:
            raise error
        return read(kind, id)

    service.get = get  # type: ignore[method-assign]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_permanent_errors_are_not_retried(status: int) -> None:
    """Defect R3; the service's words are in the cause."""
    world = _promoted(bulk_supported=False)
    world.service.faults = {1: Fault(refuse=(status, None))}
    run = world.run()
    expected = APPLIED if status == 404 else FAILED  # 404 is read again: it is there, and the second try succeeds
    assert run.outcomes == {"User/ann": expected, "User/bob": APPLIED}


@pytest.mark.parametrize("bulk", [False, True])
def test_refused_credentials_stop_the_run(bulk: bool) -> None:
    """Defects R1 and R9: a 401 is never success, and nothing more is sent."""
    world = _hiring(bulk_supported=bulk)
    world.service.fault_for = lambda *_: Fault(refuse=(401, None))
    if bulk:
        world.service.bulk = _refusing(401)  # type: ignore[method-assign]
    run = world.run()
    assert run.outcomes["User/boss"] is FAILED
    assert {run.outcomes["User/eve"], run.outcomes["Group/Team"]} == {NOT_ATTEMPTED}
    assert len(world.service.sent) <= 1


def _refusing(status: int) -> Any:
    def bulk(request: Any) -> Any:
        raise ScimRejected(status, detail="no")

    return bulk


def test_a_bulk_answer_that_is_an_error_body_is_not_zero_operations() -> None:
    """Defects R1 and R5: every change ends as failed, none is skipped."""
    world = _promoted()
    world.service.bulk = _refusing(400)  # type: ignore[method-assign]
    assert set(world.run().outcomes.values()) == {FAILED}


def test_an_empty_bulk_answer_leaves_everything_to_be_read() -> None:
    """Defect R2: operations missing from an answer are not successful."""
    world = _promoted()
    world.service.bulk = lambda request: {"Operations": []}  # type: ignore[method-assign]
    run = world.run()
    assert set(run.outcomes.values()) == {UNKNOWN}
    assert world.service.users["u1"]["title"] == "old"


def test_a_service_that_is_away_ends_the_run() -> None:
    """What certainly did not leave was not attempted."""
    world = _promoted(bulk_supported=False)
    world.service.faults = {1: Fault(unreachable=True)}
    assert world.run().outcomes == {"User/ann": NOT_ATTEMPTED, "User/bob": NOT_ATTEMPTED}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_leaves_what_is_in_flight_unknown_and_the_rest_not_attempted(when: str) -> None:
    """SPEC P6 and exit code 130."""
    world = _promoted(bulk_supported=False)
    world.service.faults = {1: Fault(interrupt=when)}
    run = world.run()
    assert run.applied.interrupted
    assert run.outcomes == {"User/ann": UNKNOWN, "User/bob": NOT_ATTEMPTED}
    world.service.faults = {}
    assert applied(world.run())


def test_a_busy_service_is_asked_again_and_not_forever() -> None:
    """429 on one operation inside bulk (cxone.md section 5)."""
    world = _promoted()
    world.service.faults = {1: Fault(refuse=(429, None)), 3: Fault(refuse=(429, None))}
    assert applied(world.run())
    world = _promoted()
    world.service.fault_for = lambda number, method, path: Fault(refuse=(429, None)) if "u1" in path else Fault()
    assert world.run().outcomes == {"User/ann": FAILED, "User/bob": APPLIED}


def test_a_bulk_request_that_is_too_large_is_halved() -> None:
    """Defect R10, cxone.md section 10: 413; one operation that is too large by itself is permanent."""
    names = [f"p{n}" for n in range(9)]
    documents = [desired_user(name, title="x" * (6000 if name == "p4" else 200)) for name in names]
    service = DirectoryService(max_payload=4000)
    world = World(service, desired_state(*documents), capabilities=capabilities_of(DirectoryService()))
    run = world.run()
    assert {key for key, outcome in run.outcomes.items() if outcome is FAILED} == {"User/p4"}
    assert len(service.users) == 8
    assert max(service.bulk_sizes) == 9


def test_an_operation_too_large_for_the_announced_limit_is_never_sent() -> None:
    """It is reported with the limit; the others go."""
    documents = [desired_user("big", title="x" * 6000), desired_user("small")]
    service = DirectoryService(max_payload=4000)
    world = World(service, desired_state(*documents), capabilities=capabilities_of(service))
    run = world.run()
    assert run.outcomes == {"User/big": FAILED, "User/small": APPLIED}
    assert "4000 bytes" in (run.result("User/big").cause or "")


@pytest.mark.parametrize("bulk", [False, True])
def test_what_vanished_between_comparing_and_removing_is_done(bulk: bool) -> None:
    """400 `noTarget` on a remove: read again, and it is as wanted (scim-rfc.md section 10)."""
    service = _two(versions=False, bulk_supported=bulk)
    world = World(service, desired_state(desired_user("ann", title=None)), capabilities=capabilities_of(service))
    service.faults = {1: Fault(edit=lambda s: s.edit("u1", title=None))}
    assert applied(world.run())


def test_revocations_are_sent_before_anything_is_given() -> None:
    """SPEC 7.4: deactivations and removals first, then creates, additions last."""
    service = DirectoryService(bulk_supported=False)
    service.add_user("u1", "ann")
    service.add_user("u2", "bob")
    service.add_group("g1", "Old", "u2")
    service.add_group("g2", "New")
    documents: list[DesiredUser | DesiredGroup] = [
        desired_user("ann", active=False),
        desired_user("bob", title="x"),
        desired_user("eve"),
        desired_group("Old", members=[]),
        desired_group("New", members=[{"user": "bob"}, {"user": "eve"}]),
    ]
    world = World(service, desired_state(*documents), capabilities=capabilities_of(service))
    assert applied(world.run())
    order = [f"{method} {path}" for method, path, _ in service.sent]
    assert order == ["PATCH /Users/u1", "PATCH /Groups/g1", "PATCH /Users/u2", "POST /Users", "PATCH /Groups/g2"]


@pytest.mark.parametrize("bulk", [False, True])
def test_a_huge_group_changes_in_batches_each_guarded_by_the_one_before(bulk: bool) -> None:
    """At most N members a request (scim-rfc.md section 7), in order, without a single stale version."""
    service = DirectoryService(bulk_supported=bulk, max_payload=12_000)
    for n in range(60):
        service.add_user(f"u{n}", f"p{n}")
    service.add_group("g", "Huge", *[f"u{n}" for n in range(30)])
    wanted = [{"user": f"p{n}"} for n in range(25, 60)]
    limits = Limits(member_changes_per_request=10)
    world = World(
        service,
        desired_state(desired_group("Huge", members=wanted)),
        tenant_for(limits=limits),
        capabilities_of(service),
    )
    run = world.run()
    assert applied(run)
    assert run.requests == run.plan.estimate.requests
    assert not run.result("Group/Huge").rebased
    assert len(service.sent) == (3 + 3 if not bulk else 1 + 1)
    assert world.service.members_of("Huge") == {f"p{n}" for n in range(25, 60)}


def test_a_created_group_too_large_for_one_bulk_request_is_filled_in_parts() -> None:
    """What one request cannot carry is added afterwards."""
    service = DirectoryService(max_payload=4000)
    for n in range(80):
        service.add_user(f"u{n}", f"p{n}")
    members = [{"user": f"p{n}"} for n in range(80)]
    world = World(service, desired_state(desired_group("G", members=members)), capabilities=capabilities_of(service))
    run = world.run()
    assert applied(run)
    assert run.requests == run.plan.estimate.requests
    assert len(service.members_of("G")) == 80


def test_a_group_whose_members_cannot_be_read_is_never_replaced() -> None:
    """SPEC 7.5: a group PUT needs its members read completely; it would empty the group (scim-rfc.md Q6)."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_group("g", "Team", "u1")
    world = _replacing(World(service, desired_state(desired_group("Team", externalId="t"))))
    live = world.read()
    hidden = replace(live, groups={"g": replace(live.groups["g"], members=None)})
    for versions in (True, False):
        changes = [
            change if versions else replace(change, precondition=Precondition(PreconditionKind.COMPARE))
            for change in world.plan(live=hidden).changes
        ]
        run = world.apply(world.plan(live=hidden), hidden, changes=changes)
        assert run.outcomes == {"Group/Team": FAILED}
        assert "cannot be read" in (run.result("Group/Team").cause or "")
    assert service.members_of("Team") == {"ann"}


def test_members_added_meanwhile_survive_the_change_of_a_group() -> None:
    """Defect G5, INCIDENTS fleetdm/fleet #50724: concurrent additions are not lost, by PATCH or by PUT."""
    for put in (False, True):
        service = _two()
        service.add_group("g", "Team", "u1")
        world = World(service, desired_state(desired_user("bob", groups=["Team"]), desired_user("eve")))
        world = _replacing(world) if put else world
        service.add_user("u9", "zoe")
        live = world.read()
        plan = world.plan(live=live)
        service.groups["g"]["members"].append("u9")
        service._touch("g")
        assert applied(world.apply(plan, live))
        assert service.members_of("Team") == {"ann", "bob", "zoe"}


def test_a_rename_onto_a_name_that_the_same_plan_frees_waits_for_it() -> None:
    """Users have unique names; a chain of renames is sent from its free end."""
    service = DirectoryService(unique_group_names=True)
    service.add_user("u1", "a", externalId="1")
    service.add_user("u2", "b", externalId="2")
    service.add_group("g1", "A", "u1", externalId="1")
    service.add_group("g2", "B", externalId="2")
    documents: list[DesiredUser | DesiredGroup] = [
        desired_user("b", externalId="1"),
        desired_user("c", externalId="2"),
        desired_group("B", externalId="1", membership="additive", members=[{"user": "c"}]),
        desired_group("C", externalId="2", membership="additive", members=[{"user": "b"}]),
    ]
    for put in (False, True):
        copy = replace(service, users=dict(service.users), groups={k: dict(v) for k, v in service.groups.items()})
        world = World(replace(copy, sent=[], log=[], _revisions={}), desired_state(*documents))
        world = _replacing(world) if put else world
        assert applied(world.run())
        names = {id_: user["userName"] for id_, user in world.service.users.items()}
        assert names == {"u1": "b", "u2": "c"}


def test_two_users_who_swap_names_fail_cleanly_and_lose_nothing() -> None:
    """A cycle of renames cannot be sent one after the other; it is reported, not half done and not retried for ever."""
    service = DirectoryService()
    service.add_user("u1", "a", externalId="1")
    service.add_user("u2", "b", externalId="2")
    world = World(service, desired_state(desired_user("b", externalId="1"), desired_user("a", externalId="2")))
    run = world.run()
    assert set(run.outcomes.values()) == {FAILED}
    assert [user["userName"] for user in service.users.values()] == ["a", "b"]


def test_deactivating_and_removing_at_once_do_not_disturb_each_other() -> None:
    """One change a resource: the user is deactivated and leaves the group in the same run."""
    service = _two()
    service.add_group("g", "Team", "u1", "u2")
    team = desired_group("Team", members=[{"user": "bob"}])
    assert applied(World(service, desired_state(desired_user("ann", active=False), team)).run())
    assert service.users["u1"]["active"] is False
    assert service.members_of("Team") == {"bob"}


def test_deactivating_where_active_is_not_returned_is_no_conflict() -> None:
    """Defect G3: a missing `active` means active, also when the write is compared with what was planned."""
    service = _two(returns_active=False, versions=False)
    world = World(service, desired_state(desired_user("ann", active=False)), capabilities=capabilities_of(service))
    run = world.run()
    assert run.outcomes == {"User/ann": APPLIED}
    assert service.users["u1"]["active"] is False


def test_a_lying_200_is_found_by_the_proof() -> None:
    """SPEC P8, INCIDENTS `62 changes applied, one had landed`; scim-rfc.md Q31."""
    world = _promoted()
    world.service.store = lambda kind, resource: {"title": "old"} if resource["userName"] == "ann" else {}
    run = world.run()
    assert run.outcomes == {"User/ann": APPLIED, "User/bob": APPLIED}
    assert [(item.key, item.path, item.expected, item.found) for item in run.residual] == [
        ("User/ann", "title", "new", "old")
    ]
    assert run.waits == (2, 3)


def test_a_service_that_lags_behind_its_writes_is_read_again() -> None:
    """scim-rfc.md Q24: verified with bounded retries before it is called residual."""
    world = _promoted()
    late = iter([True])
    read = world.service.list_page

    def lagging(*arguments: Any, **named: Any) -> Any:
        page = read(*arguments, **named)
        if world.service.sent and any(late):
            for row in page.resources:
                row["title"] = "old"
        return page

    world.service.list_page = lagging  # type: ignore[method-assign]
    assert applied(world.run())


def test_ids_with_slashes_and_odd_characters_are_addressed_as_one_segment() -> None:
    """Ids are opaque (RFC 7643 section 3.1)."""
    service = DirectoryService()
    odd = 'a/b ?#%"\\é'
    service.add_user(odd, "ann", title="old")
    service.add_group("g/1", "Team", odd)
    world = World(service, desired_state(desired_user("ann", title="new"), desired_group("Team", members=[])))
    assert applied(world.run())
    assert service.users[odd]["title"] == "new"
    assert service.members_of("Team") == set()


def test_the_run_stops_where_reading_finds_the_service_gone() -> None:
    """Every change still has its one outcome: the lost one is unknown, the others were not attempted."""
    world = _promoted(bulk_supported=False)
    world.service.add_group("g", "Team")
    world = replace(world, desired=replace(world.desired, groups=(desired_group("Team", externalId="t"),)))
    live = world.read()
    world.service.faults = {1: Fault(lost="after")}
    world.service.get = _away  # type: ignore[method-assign]
    world.service.list_page = _away  # type: ignore[method-assign]
    run = world.send(world.plan(live=live), live)
    assert run.outcomes == {"User/ann": UNKNOWN, "User/bob": APPLIED, "Group/Team": NOT_ATTEMPTED}


def _away(*_: Any, **__: Any) -> Any:
    raise ScimUnreachable("gone", maybe_sent=False)


@pytest.mark.parametrize("bulk", ["auto", "off"])
def test_what_was_begun_when_the_service_went_away_is_not_called_not_attempted(bulk: str) -> None:
    """SPEC P6: the second part of a change never left, and the first one stands."""
    service = _two()
    service.add_group("g1", "Team", "u1")
    service.faults = {2: Fault(unreachable=True)}
    wanted = desired_state(desired_group("Team", members=[{"user": "bob"}]))
    world = World(service, wanted, tenant_for(dialect=Dialect(bulk=bulk)), capabilities_of(service))
    run = world.run()
    assert run.outcomes == {"Group/Team": FAILED}
    assert "a part of it was applied before" in (run.result("Group/Team").cause or "")
    assert service.members_of("Team") == set()


def test_d16_what_waits_behind_a_rename_goes_to_the_new_name() -> None:
    """cxone.md D16: a chain of names in which somebody's manager is only there once the name is free."""
    service = DirectoryService(bulk_supported=False, keyed_by_name=True)
    service.add_user("u1", "a", externalId="x1")
    service.add_user("u2", "b", externalId="x2")
    wanted = desired_state(
        desired_user("a", externalId="x3"),
        desired_user("b", externalId="x1"),
        desired_user("c", externalId="x2", enterprise={"manager": {"userName": "a"}}),
    )
    world = World(service, wanted, tenant_for(dialect=Dialect(user_key="userName")), capabilities_of(service))
    run = world.run()
    assert applied(run)
    assert [(method, path) for method, path, _ in service.sent] == [
        ("PATCH", "/Users/b"),
        ("PATCH", "/Users/a"),
        ("POST", "/Users"),
        ("PATCH", "/Users/c"),
    ]
    assert run.requests == run.plan.estimate.requests


def test_d17_a_group_whose_own_change_failed_is_not_joined_by_a_create() -> None:
    """cxone.md D17: what is not carried out is not carried out by the back door either."""
    service = _two()
    service.inline_groups = True
    service.add_group("g1", "Team", "u1")
    service.fault_for = lambda number, method, path: Fault(refuse=(403, None)) if path == "/Groups/g1" else Fault()
    wanted = desired_state(desired_user("eve"), desired_group("Team", members=[{"user": "eve"}]))
    dialect = Dialect(inline_groups=True, bulk="off")
    world = World(service, wanted, tenant_for(dialect=dialect), capabilities_of(service))
    run = world.run()
    assert run.outcomes == {"User/eve": APPLIED, "Group/Team": FAILED}
    assert service.members_of("Team") == {"ann"}


@pytest.mark.parametrize("bulk", ["auto", "off"])
@pytest.mark.parametrize(("when", "joined"), [("before", False), ("after", True)])
def test_d17_where_a_create_is_in_doubt_so_is_the_group_it_names(bulk: str, when: str, joined: bool) -> None:
    """SPEC P6: nobody guesses whether the interrupted create put its user into the group."""
    service = _two()
    service.inline_groups = True
    service.add_group("g1", "Team")
    service.faults = {1: Fault(interrupt=when)}
    wanted = desired_state(desired_user("eve"), desired_group("Team", members=[{"user": "eve"}]))
    dialect = Dialect(inline_groups=True, bulk=bulk)
    world = World(service, wanted, tenant_for(dialect=dialect), capabilities_of(service))
    run = world.run()
    assert run.applied.interrupted
    assert run.outcomes == {"User/eve": UNKNOWN, "Group/Team": UNKNOWN}
    assert bool(service.members_of("Team")) is joined
    service.faults = {}
    assert applied(world.run())
    assert service.members_of("Team") == {"eve"}


def test_d17_a_namesake_is_never_joined_by_name() -> None:
    """cxone.md D17: of two groups with one name the wrong one might be meant; the id says which."""
    service = _two()
    service.inline_groups = True
    service.add_group("g1", "Team", externalId="ours")
    service.add_group("g2", "team", externalId="theirs")
    wanted = desired_state(desired_user("eve"), desired_group("Team", externalId="ours", members=[{"user": "eve"}]))
    world = World(service, wanted, tenant_for(dialect=Dialect(inline_groups=True)), capabilities_of(service))
    assert applied(world.run())
    assert service.groups["g2"]["members"] == []
    assert service.groups["g1"]["members"] == [service.id_of("eve")]
