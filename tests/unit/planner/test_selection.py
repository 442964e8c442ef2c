"""`--only revoke` and `--safe-only`: a part of what git wants (SPEC 7.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from reconciler.messages.operations import narrows
from reconciler.model.change import Action
from reconciler.model.plan import Selection
from reconciler.model.state import Exclusive
from reconciler.planner.planner import build_plan
from reconciler.planner.selection import with_stand_ins
from tests.fakes.directory_service import DirectoryService
from tests.properties.organisations import worlds
from tests.states import World, applied, desired_group, desired_state, desired_user

A, B, C = ({"value": value} for value in "ABC")


def _transfer() -> World:
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1", roles=[A, B], title="old")
    service.add_user("u2", "bob", externalId="2")
    service.add_group("g1", "Team", "u1")
    before = desired_state(
        desired_user("ann", externalId="1", roles=[A, B], title="old"),
        desired_user("bob", externalId="2"),
        desired_group("Team", members=[{"user": "ann"}]),
    )
    now = (
        desired_user("ann", externalId="1", roles=[B, C], title="new"),
        desired_user("new", externalId="3"),
        desired_group("Team", members=[{"user": "new"}]),
    )
    return World(service).wanting(*now).remembering(before)


def _told(world: World, selection: Selection) -> dict[str, Any]:
    plan = build_plan(world.inputs(selection=selection))
    return {
        str(change.key): (
            change.action.value,
            {a.path: a.after for a in change.attributes if a.path in {"active", "roles", "title"}},
            change.members.added,
            change.members.removed,
        )
        for change in plan.changes
    }


def test_only_revoke_takes_access_away_and_does_nothing_else() -> None:
    """Deactivations and removals of memberships, roles and entitlements."""
    assert _told(_transfer(), Selection.REVOKE) == {
        "User/ann": ("update", {"roles": [B]}, (), ()),
        "User/bob": ("deactivate", {"active": False}, (), ()),
        "Group/Team": ("update", {}, (), ("ann",)),
    }


def test_what_is_safe_goes_through_while_removals_wait() -> None:
    """INCIDENTS, user-sync.py #744: hitting the removal limit must not stop the harmless additions."""
    assert _told(_transfer(), Selection.SAFE) == {
        "User/ann": ("update", {"roles": [B, C, A], "title": "new"}, (), ()),
        "User/new": ("create", {"active": True}, (), ()),
        "Group/Team": ("update", {}, ("new",), ()),
    }
    assert _told(_transfer(), Selection.HELD) == {
        "User/ann": ("update", {"roles": [B, C]}, (), ()),
        "User/bob": ("deactivate", {"active": False}, (), ()),
        "Group/Team": ("update", {}, (), ("ann",)),
    }


def test_an_addition_that_a_policy_admits_only_after_a_removal_waits_with_it() -> None:
    """From maker to checker: both at once is what the policy forbids."""
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1")
    service.add_group("g1", "Makers", "u1")
    service.add_group("g2", "Checkers")
    now = desired_state(
        desired_user("ann", externalId="1"),
        desired_group("Makers", members=[]),
        desired_group("Checkers", members=[{"user": "ann"}]),
        exclusives=[Exclusive(name="maker-checker", roles=(), groups=("Makers", "Checkers"))],
    )
    world = World(service, desired=now)
    assert _told(world, Selection.SAFE) == {}
    assert _told(world, Selection.HELD) == {
        "Group/Makers": ("update", {}, (), ("ann",)),
        "Group/Checkers": ("update", {}, ("ann",), ()),
    }


@settings(max_examples=100)
@given(worlds())
def test_safe_takes_nothing_away_and_revoke_gives_nothing(world: World) -> None:
    """And what is safe, applied, leaves exactly the rest to plan."""
    for change in build_plan(world.inputs(selection=Selection.REVOKE)).changes:
        assert not change.members.added
        assert all(narrows(attribute) for attribute in change.attributes)
        assert change.action in {Action.UPDATE, Action.DEACTIVATE}
    live = world.read()
    plan = build_plan(world.inputs(live=live, selection=Selection.SAFE))
    for change in plan.changes:
        assert not change.members.removed
        assert not any(narrows(attribute) for attribute in change.attributes)
    run = world.send(plan, live)
    assert all(result.outcome.value == "applied" for result in run.applied.results)
    assert build_plan(world.inputs(selection=Selection.SAFE)).changes == ()
    assert applied(world.run())
    assert world.plan().changes == ()


def test_while_documents_are_invalid_their_absence_counts_for_nothing() -> None:
    """SPEC 7.8: who stands in for an invalid document stays where they are, in the groups that they named, too."""
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1", roles=[A, B])
    service.add_user("u2", "bob", externalId="2", roles=[A, B])
    service.add_group("g1", "Team", "u1", "u2")
    before = desired_state(
        desired_user("ann", externalId="1", roles=[A, B]),
        desired_user("bob", externalId="2", roles=[A], groups=["Team"]),
        desired_group("Team", members=[{"user": "ann"}]),
    )
    sound = desired_state(desired_user("ann", externalId="1", roles=[A]), desired_group("Team", members=[]))
    world = World(service).remembering(before)
    found = with_stand_ins(sound, world.base)
    assert {str(key) for key in found.stand_ins} == {"User/bob"}
    plan = build_plan(replace(world, desired=found.state).inputs(selection=Selection.REVOKE, stand_ins=found.stand_ins))
    assert {str(c.key): ([a.after for a in c.attributes], c.members.removed) for c in plan.changes} == {
        "User/ann": ([[A]], ()),
        "Group/Team": ([], ("ann",)),
    }
