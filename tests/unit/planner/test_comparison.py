"""Desired state against desired state, and drift: the planner's own words for what no tenant was asked (SPEC 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.change import Action, Reason
from reconciler.model.plan import Plan
from reconciler.model.resource import DesiredGroup, DesiredUser
from reconciler.model.state import DesiredState, LiveState
from reconciler.model.tenant import Owned, Ownership, People, Tenant
from reconciler.planner.comparison import Side, Told, as_drift, compare_states
from reconciler.planner.planner import build_plan
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_state, desired_user, tenant_for

ANN = desired_user("ann@example.com", externalId="p-1", title="Agent", roles=[{"value": "Agent"}])
BOB = desired_user("bob@example.com", externalId="p-2", enterprise={"manager": {"userName": "ann@example.com"}})
SUPPORT = desired_group("Support", members=[{"user": "ann@example.com"}, {"user": "bob@example.com"}])

Document = DesiredUser | DesiredGroup


def compared(before: list[Document], after: list[Document], tenant: Tenant | None = None) -> Plan:
    """What a change from one list of documents to another means."""
    tenant = tenant or tenant_for()
    sides = [Side(tenant=tenant, state=desired_state(*documents)) for documents in (after, before)]
    return compare_states(sides[0], sides[1], Told(base="b" * 40))


def told(plan: Plan) -> list[tuple[str, str, str]]:
    """Key, action and reason of every change."""
    return [(str(change.key), change.action.value, change.reason.value) for change in plan.changes]


@pytest.mark.parametrize("people", People)
def test_nothing_changes_where_git_says_the_same(people: People) -> None:
    """Also about members, managers and names that nothing in git declares."""
    tier = desired_group("Tier-2", externalId="g-2", members=[{"group": "Support"}, {"externalId": "p-9"}])
    eve = desired_user("eve@example.com", groups=["Elsewhere"], active=False, title=None)
    documents: list[Document] = [ANN, BOB, SUPPORT, tier, eve]
    plan = compared(documents, documents, tenant_for(people=people))
    assert told(plan) == []
    assert (plan.summary.unchanged, plan.access.gains, plan.access.losses) == (5, (), ())


def test_a_user_of_whom_git_does_not_say_so_is_active() -> None:
    """SPEC 3: a create without `active` sends true; so `active: false` takes something away."""
    assert told(compared([ANN], [desired_user("ann@example.com", externalId="p-1", active=False)]))[0] == (
        "User/ann@example.com",
        "deactivate",
        "declared",
    )
    stated = desired_user("ann@example.com", externalId="p-1", active=True, title="Agent", roles=[{"value": "Agent"}])
    assert told(compared([ANN], [stated])) == []


def test_a_rename_is_an_update_of_the_same_person() -> None:
    """By externalId, else by `previously` (SPEC 3); memberships follow."""
    renamed = desired_user("ann.lee@example.com", externalId="p-1", title="Agent", roles=[{"value": "Agent"}])
    group = desired_group("Support", members=[{"user": "ann.lee@example.com"}])
    plan = compared([ANN, desired_group("Support", members=[{"user": "ann@example.com"}])], [renamed, group])
    assert told(plan) == [("User/ann.lee@example.com", "update", "declared")]


def test_what_git_withdraws_is_lost() -> None:
    """A role that is not stated any more, and a group that is not declared any more (SPEC 3)."""
    plan = compared([ANN, BOB, SUPPORT], [desired_user("ann@example.com", externalId="p-1", title="Agent"), BOB])
    assert told(plan) == [("User/ann@example.com", "update", "declared"), ("Group/Support", "update", "declared")]
    assert {loss.user for loss in plan.access.losses} == {"ann@example.com", "bob@example.com"}


def test_the_names_of_strangers_are_taken_to_be_there() -> None:
    """Only live state could know them; a diff may not fail for them, nor take them away (`ownership: all`)."""
    owner = tenant_for(ownership=Ownership(users=Owned.ALL, groups=Owned.ALL))
    before = desired_group("Support", members=[{"user": "who@example.com"}])
    after = desired_group("Support", members=[{"user": "who@example.com"}, {"externalId": "p-7"}, {"group": "Old"}])
    plan = compared([before], [after], owner)
    assert told(plan) == [("Group/Support", "update", "declared")]
    assert plan.changes[0].members.added == ("externalId p-7", "group:Old")


def test_people_from_elsewhere_are_neither_created_nor_waited_for() -> None:
    """`people: external`: a new document gives access to somebody who is there."""
    eve = desired_user("eve@example.com", roles=[{"value": "Agent"}], groups=["Support"])
    plan = compared([ANN, SUPPORT, BOB], [ANN, SUPPORT, BOB, eve], tenant_for(people=People.EXTERNAL))
    assert told(plan) == [("User/eve@example.com", "update", "declared"), ("Group/Support", "update", "declared")]
    assert "pending" not in {finding.code for finding in plan.findings}


def test_a_group_that_becomes_authoritative_is_pointed_out() -> None:
    """Only the tenant knows who else is in it."""
    plan = compared([desired_group("Support")], [desired_group("Support", members=[])])
    assert [finding.key for finding in plan.findings if finding.code == "authoritative"] == ["Group/Support"]


def test_a_removal_is_judged_by_the_rules_of_before() -> None:
    """SPEC 8: no change can loosen what judges it."""
    tenant = tenant_for()
    loose = replace(tenant, guards=replace(tenant.guards, protected=()))
    strict = replace(tenant, guards=replace(tenant.guards, protected=("ann@example.com",)))
    plan = compare_states(
        Side(tenant=loose, state=desired_state(BOB)),
        Side(tenant=strict, state=desired_state(ANN, desired_user("bob@example.com", externalId="p-2"))),
        Told(base="b" * 40),
    )
    assert "protected" in {guard.id for guard in plan.refused_by}


def test_a_configuration_that_git_gives_up_keeps_what_it_says() -> None:
    """Unstated is unmanaged (SPEC P9)."""
    stated = Side(tenant=tenant_for(), state=desired_state(configuration={"productName": "Gateway"}))
    nothing = Side(tenant=tenant_for(), state=DesiredState())
    gone = compare_states(nothing, stated, Told(base="b" * 40))
    assert (gone.changes, gone.findings[0].code) == ((), "given-up")
    new = compare_states(stated, nothing, Told(base="b" * 40))
    assert told(new) == [("ServiceProviderConfig", "update", "declared")]


def test_drift_is_what_somebody_did() -> None:
    """The plan would undo it; the drift tells it, and no guard judges what was done already."""
    service = DirectoryService()
    service.add_user("u-1", "ann@example.com", externalId="p-1", active=False, title="Agent")
    world = World(service).wanting(desired_user("ann@example.com", externalId="p-1", active=True, title="Boss"), ZOE)
    drift = drift_of(world)
    assert [(str(c.key), c.action, c.reason) for c in drift.changes] == [
        ("User/ann@example.com", Action.DEACTIVATE, Reason.DRIFTED),
        ("User/zoe@example.com", Action.DELETE, Reason.DRIFTED),
    ]
    assert [(a.path, a.before, a.after) for a in drift.changes[0].attributes] == [
        ("active", True, False),
        ("title", "Boss", "Agent"),
    ]
    assert (drift.summary.deactivate, drift.summary.delete, drift.guards) == (1, 1, ())


def test_who_is_not_in_a_short_list_is_not_said_to_be_gone() -> None:
    """Absence is never inferred from an incomplete read (SPEC P4)."""
    world = World(DirectoryService()).wanting(ZOE)
    short = replace(world.read(), certificates={})
    drift = drift_of(world, live=short)
    assert (drift.changes, drift.summary.delete) == ((), 0)
    assert [(item.code, item.key) for item in drift.findings if item.key] == [("unseen", "User/zoe@example.com")]


def test_who_was_taken_out_and_is_active_again_is_drift() -> None:
    """Git does not declare them any more, and remembers that it deactivated them."""
    service = DirectoryService()
    service.add_user("u-1", "ann@example.com", active=True)
    service.add_user("u-2", "bob@example.com", active=False)
    world = World(service)
    drift = drift_of(world, released={"u-1": "2026-01-01T00:00:00Z", "u-2": "2026-01-01T00:00:00Z"})
    assert [(str(c.key), c.action) for c in drift.changes] == [("User/ann@example.com", Action.REACTIVATE)]
    assert (drift.summary.reactivate, drift.summary.unmanaged) == (1, 1)


ZOE = desired_user("zoe@example.com", externalId="p-26")


def drift_of(world: World, live: LiveState | None = None, released: dict[str, str] | None = None) -> Plan:
    """What somebody did in a world since git, which still says the same, was applied to it."""
    world = world.remembering(world.desired)
    inputs = world.inputs(live)
    return as_drift(build_plan(inputs), replace(inputs, base=replace(inputs.base, released=released or {})))
