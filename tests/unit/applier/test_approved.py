"""Approved plans and the plan of now: what was approved and is still the same goes through (SPEC P2, 7.3)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.applier.approved import Parts, within_approval
from reconciler.model.plan import Plan
from tests.fakes.directory_service import DirectoryService
from tests.properties.organisations import worlds
from tests.states import World, desired_group, desired_state, desired_user


def _office() -> DirectoryService:
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1", title="old")
    service.add_user("u2", "bob", externalId="2")
    service.add_group("g1", "Team", "u1", externalId="t")
    return service


ANN = desired_user("ann", externalId="1", title="new")
BOB = desired_user("bob", externalId="2")
NEW = desired_user("new", externalId="3")


def _team(*names: str) -> Any:
    return desired_group("Team", externalId="t", members=[{"user": name} for name in names])


def _split(now: Plan, *approved: Plan) -> Parts:
    return within_approval(now.changes, approved)


def _told(parts: Parts) -> tuple[dict[str, Any], dict[str, Any]]:
    def of(changes: Any) -> dict[str, Any]:
        return {str(c.key): (sorted(a.path for a in c.attributes), c.members.added, c.members.removed) for c in changes}

    return of(parts.changes), of(result.change for result in parts.held)


def test_what_was_approved_goes_through_as_a_whole() -> None:
    """On an unchanged tenant."""
    plan = World(_office()).wanting(ANN, BOB, NEW, _team("bob", "new")).plan()
    parts = _split(plan, plan)
    assert parts.changes == plan.changes
    assert parts.held == ()


def test_what_nobody_approved_is_held() -> None:
    """A later merge, drift in the tenant: by attribute and by member."""
    world = World(_office())
    approved = world.wanting(ANN, BOB, _team("bob")).plan()
    now = world.wanting(
        desired_user("ann", externalId="1", title="new", nickName="n"), BOB, NEW, _team("bob", "new")
    ).plan()
    kept, held = _told(_split(now, approved))
    assert kept == {"User/ann": (["title"], (), ()), "Group/Team": ([], ("bob",), ("ann",))}
    assert held == {
        "User/ann": (["nickName"], (), ()),
        "User/new": (["active", "externalId", "userName"], (), ()),
        "Group/Team": ([], ("new",), ()),
    }


def test_another_value_than_the_approved_one_is_held() -> None:
    """The reviewer saw `new`, not `newer`."""
    world = World(_office())
    approved = world.wanting(ANN).plan()
    now = world.wanting(desired_user("ann", externalId="1", title="newer")).plan()
    assert _told(_split(now, approved))[0] == {}


def test_several_approvals_count_together() -> None:
    """Two merges since the last complete receipt, each approved by itself."""
    world = World(_office())
    one, two = world.wanting(ANN, BOB, _team("ann")).plan(), world.wanting(BOB, _team("ann", "bob")).plan()
    now = world.wanting(ANN, BOB, _team("ann", "bob")).plan()
    assert _split(now, one, two).held == ()
    assert _told(_split(now, one))[1] == {"Group/Team": ([], ("bob",), ())}


def test_a_member_created_meanwhile_is_known_by_its_external_id() -> None:
    """The run before created the person and failed to add the membership."""
    world = World(_office()).wanting(ANN, BOB, NEW, _team("ann", "new"))
    approved = world.plan()
    world.service.add_user("u3", "new", externalId="3")
    assert _told(_split(world.plan(), approved))[0]["Group/Team"] == ([], ("new",), ())


def test_somebody_else_under_an_approved_name_is_held() -> None:
    """INCIDENTS, recycled address: the name is not the person."""
    world = World(_office()).wanting(ANN, BOB, desired_user("new"), _team("ann", "new"))
    approved = world.plan()
    world.service.add_user("u3", "new", externalId="somebody-else")
    assert "Group/Team" not in _told(_split(world.plan(), approved))[0]


def test_who_is_not_created_joins_nothing() -> None:
    """The create is another one by now, so it waits, and what would give it access waits with it."""
    world = World(_office())
    approved = world.wanting(ANN, BOB, NEW, _team("bob", "new")).plan()
    other = desired_user("new", externalId="3", title="boss")
    now = world.wanting(ANN, BOB, other, _team("bob", "new")).plan()
    kept, held = _told(_split(now, approved))
    assert "User/new" not in kept
    assert kept["Group/Team"][1] == ("bob",)
    assert held["Group/Team"][1] == ("new",)
    assert "User/new" in held


def test_a_create_with_other_attributes_is_another_person() -> None:
    """A create is approved as a whole or not at all."""
    world = World(_office())
    approved = world.wanting(desired_user("new", title="Agent")).plan()
    now = world.wanting(desired_user("new", title="Boss")).plan()
    assert _told(_split(now, approved))[0] == {}


def test_a_removal_that_nobody_approved_is_held() -> None:
    """Deactivations, deletions and members alike."""
    world = World(_office()).remembering(desired_state(ANN, BOB, _team("ann")))
    approved = world.wanting(ANN, BOB, _team("ann")).plan()
    now = world.wanting(ANN, _team()).plan()
    kept, held = _told(_split(now, approved))
    assert kept == {"User/ann": (["title"], (), ())}
    assert set(held) == {"User/bob", "Group/Team"}


@settings(max_examples=100)
@given(worlds(), worlds(), st.booleans())
def test_nothing_is_lost_and_nothing_is_executed_that_was_not_approved(world: World, other: World, both: bool) -> None:
    """Whatever the two plans are: approved part and held part are the change, and nothing else."""
    now = world.plan()
    approved = [other.plan(), *([now] if both else [])]
    parts = within_approval(now.changes, approved)
    elements = [_elements(change) for plan in approved for change in plan.changes]
    known = set().union(*elements) if elements else set()
    for change in parts.changes:
        assert {item for item in _elements(change) if item[0] != "resource"} <= known
    whole = set().union(*(_elements(change) for change in now.changes), set())
    split = set().union(*(_elements(c) for c in (*parts.changes, *(r.change for r in parts.held))), set())
    assert split == whole
    if both:
        assert parts.held == ()


def _elements(change: Any) -> set[tuple[Any, ...]]:
    kind = change.key.kind
    found: set[tuple[Any, ...]] = {("resource", str(change.key))}
    found |= {("attribute", kind, a.path, str(a.after)) for a in change.attributes}
    found |= {("added", label) for label in change.members.added}
    return found | {("removed", label) for label in change.members.removed}
