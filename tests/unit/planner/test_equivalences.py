"""Names and values that a service rewrites: who is who, and what guards and withdrawals make of it (SPEC section 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import AmbiguousMatch
from reconciler.model.plan import Verdict
from reconciler.model.state import BaseState, Exclusive, Standing
from reconciler.model.tenant import GuardSettings
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_state, desired_user, tenant_for

SUPERVISORS = {"displayName": (("Supervisors", "grp_supervisors"),)}


def _world(equivalences: dict[str, Any], **settings: Any) -> World:
    service = DirectoryService()
    service.add_user("u1", "ann")
    return World(service, tenant=tenant_for(equivalences=equivalences, **settings))


def test_a_user_is_known_by_the_name_and_the_external_id_that_the_service_makes() -> None:
    """Without the pairs both would be created a second time."""
    world = _world({"userName": (("bob@x", "bob"),), "externalId": (("HR-3", "hr-3"),)})
    world.service.add_user("u2", "bob")
    world.service.add_user("u3", "cyd", externalId="hr-3")
    plan = world.wanting(desired_user("bob@x"), desired_user("cyd", externalId="HR-3")).plan()
    assert (plan.changes, plan.summary.unchanged) == ((), 2)


def test_a_pair_makes_nobody_match_whom_git_names_differently() -> None:
    """Pairs are exact: `Bob@x` is not what was paired."""
    world = _world({"userName": (("bob@x", "bob"),)})
    world.service.add_user("u2", "bob")
    assert [c.action.value for c in world.wanting(desired_user("Bob@y")).plan().changes] == ["create"]


def test_two_documents_that_a_pair_makes_one_are_an_error() -> None:
    """SPEC section 3: one live resource wanted by two documents."""
    world = _world({"userName": (("bob@x", "bob"),)})
    world.service.add_user("u2", "bob")
    with pytest.raises(AmbiguousMatch, match="who is who"):
        world.wanting(desired_user("bob@x"), desired_user("bob")).plan()


def test_members_are_resolved_by_the_names_in_git() -> None:
    """A reference by the name in git means the one whom the service calls otherwise."""
    world = _world({"userName": (("bob@x", "bob"),)} | SUPERVISORS)
    world.service.add_user("u2", "bob")
    world.service.add_group("g", "grp_supervisors", "u1")
    wanted = (desired_user("bob@x"), desired_user("ann"), desired_group("Supervisors", members=[{"user": "bob@x"}]))
    [change] = world.wanting(*wanted).plan().changes
    assert (change.id, change.members.added, change.members.removed) == ("g", ("bob@x",), ("ann",))


def test_a_protected_group_stays_protected_under_the_name_that_the_service_makes() -> None:
    """`privileged-gain` counts a gain through nesting, where the protected group itself has no change."""
    world = _world(SUPERVISORS, guards=GuardSettings(protected=("group:Supervisors",)))
    world.service.add_group("inner", "Night")
    world.service.add_group("g", "grp_supervisors", "inner")
    wanted = (desired_user("ann"), desired_group("Supervisors"), desired_group("Night", members=[{"user": "ann"}]))
    assert world.wanting(*wanted).verdict("privileged-gain") is Verdict.REFUSE


def test_a_policy_knows_a_group_under_the_name_that_the_service_makes() -> None:
    """`exclusive`: who is in `grp_supervisors` already may not join Auditors."""
    world = _world(SUPERVISORS)
    world.service.add_group("g", "grp_supervisors", "u1")
    world.service.add_group("a", "Auditors")
    wanted = (
        desired_user("ann"),
        desired_group("Supervisors"),
        desired_group("Auditors", members=[{"user": "ann"}]),
    )
    policy = Exclusive(name="audit", roles=(), groups=("Supervisors", "Auditors"))
    assert world.wanting(*wanted, exclusives=[policy]).verdict("exclusive") is Verdict.REFUSE
    assert world.wanting(*wanted[:2], exclusives=[policy]).verdict("exclusive") is Verdict.PASS


@pytest.mark.parametrize("still_declared", [True, False])
def test_a_role_that_git_withdraws_goes_under_the_name_that_the_service_gave_it(still_declared: bool) -> None:
    """P13: what git granted, git takes back, whatever the service calls it; other roles stay (P9)."""
    world = _world({"roles.value": (("Agent", "AGT"),)})
    world.service.edit("u1", roles=[{"value": "AGT"}, {"value": "Coach"}])
    before = desired_state(desired_user("ann", roles=[{"value": "Agent"}]))
    base = BaseState(standing=Standing.USABLE, states=(before,), known=frozenset({"u1"}))
    wanted = world.wanting(desired_user("ann")) if still_declared else world
    [change] = wanted.plan(base=base).changes
    after = {attribute.path: attribute.after for attribute in change.attributes}
    assert after["roles"] == [{"value": "Coach"}]


def test_what_git_changes_about_an_equal_value_is_written() -> None:
    """A pair is about one value: another title in git is another title."""
    world = _world({"title": (("Lead", "lead"),)})
    world.service.edit("u1", title="lead")
    assert not world.wanting(desired_user("ann", title="Lead")).plan().changes
    [change] = world.wanting(desired_user("ann", title="Head")).plan().changes
    assert [(a.path, a.before, a.after) for a in change.attributes] == [("title", "lead", "Head")]


@pytest.mark.parametrize(("sent", "stored", "found"), [(None, "x", "x"), ("x", None, None), (True, None, None)])
def test_nothing_can_be_one_side_of_a_pair(sent: Any, stored: Any, found: Any) -> None:
    """Some services fill in what git wants empty, others show nothing of what they hold."""
    world = _world({"title": ((sent, stored),)})
    world.service.edit("u1", title=found)
    assert not world.wanting(desired_user("ann", title=sent)).plan().changes
    bare = replace(world, tenant=tenant_for()).wanting(desired_user("ann", title=sent))
    assert bare.plan().changes
