"""What a plan says as a whole, and the corners where resources meet (SPEC section 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.change import Action, PreconditionKind
from reconciler.model.dialect import Dialect
from reconciler.model.plan import Capabilities
from reconciler.model.resource import ENTERPRISE_SCHEMA
from reconciler.semantics.canonical import MANAGER_PATH
from tests.fakes.directory_service import DirectoryService
from tests.states import World, applied, desired_group, desired_user, tenant_for


def _service() -> DirectoryService:
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1", nickName="n")
    service.add_user("u2", "bob")
    service.add_group("g1", "Team", "u1")
    return service


def test_two_way_plans_remove_no_user_and_no_group() -> None:
    """Nobody is known to have been declared before: what git does not mention is unmanaged."""
    plan = World(_service()).wanting(desired_user("ann")).plan()
    assert plan.changes == ()
    assert (plan.summary.unchanged, plan.summary.unmanaged) == (1, 2)
    assert (plan.inventory.users, plan.inventory.managed_users) == (2, 1)


def test_active_false_deactivates_and_is_never_a_delete() -> None:
    """SPEC section 6."""
    (change,) = World(_service()).wanting(desired_user("ann", active=False)).plan().changes
    assert change.action is Action.DEACTIVATE


def test_a_create_without_active_sends_true() -> None:
    """SPEC section 3."""
    (change,) = World(_service()).wanting(desired_user("new")).plan().changes
    assert {a.path: a.after for a in change.attributes} == {"active": True, "userName": "new"}


@pytest.mark.parametrize(
    ("versions", "etag", "dialect", "kind"),
    [
        (True, True, Dialect(), PreconditionKind.VERSION),
        (False, True, Dialect(), PreconditionKind.COMPARE),
        (True, False, Dialect(), PreconditionKind.COMPARE),
        (True, True, Dialect(etag="off"), PreconditionKind.COMPARE),
    ],
)
def test_every_change_says_how_it_is_guarded(
    versions: bool, etag: bool, dialect: Dialect, kind: PreconditionKind
) -> None:
    """SPEC P3: the strongest guard there is; a create has that nobody is there."""
    service = replace(_service(), versions=versions)
    world = World(service, tenant=tenant_for(dialect=dialect), capabilities=Capabilities(bulk=True, etag=etag))
    plan = world.wanting(desired_user("ann", title="x"), desired_user("new")).plan()
    assert [change.precondition.kind for change in plan.changes] == [kind, PreconditionKind.ABSENT]


def test_a_manager_is_compared_by_id_and_shown_by_name() -> None:
    """Ids are for services, names for reviewers; the anchor says who is meant."""
    service = _service()
    service.edit("u1", **{ENTERPRISE_SCHEMA: {"manager": {"value": "u2", "displayName": "whatever"}}})
    world = World(service)
    assert world.wanting(desired_user("ann", enterprise={"manager": {"userName": "BOB"}})).plan().changes == ()
    wanted = desired_user("ann", enterprise={"manager": {"externalId": "9"}})
    (change, *_) = world.wanting(wanted, desired_user("boss", externalId="9")).plan().changes[::-1]
    assert [(a.path, a.before, a.after) for a in change.attributes] == [(MANAGER_PATH, "bob", "boss")]
    assert dict(change.references) == {"bob": "u2", "boss": None}
    (change,) = world.wanting(desired_user("ann", enterprise={"manager": None})).plan().changes
    assert [(a.before, a.after) for a in change.attributes] == [("bob", None)]


def test_a_manager_who_is_nobody_is_shown_by_id() -> None:
    """A dangling reference does not break the plan."""
    service = _service()
    service.users["u1"][ENTERPRISE_SCHEMA] = {"manager": {"value": "ghost"}}
    world = World(service).wanting(desired_user("ann", enterprise={"manager": {"userName": "bob"}}))
    (change,) = world.plan().changes
    assert change.attributes[0].before == "id:ghost"
    assert applied(world.run())


def test_an_extension_given_up_takes_its_manager_along() -> None:
    """`enterprise: null`."""
    service = _service()
    service.users["u1"][ENTERPRISE_SCHEMA] = {"manager": {"value": "u2"}, "department": "x"}
    world = World(service).wanting(desired_user("ann", enterprise=None))
    assert applied(world.run())
    assert ENTERPRISE_SCHEMA not in service.users["u1"]


def test_names_in_any_script_and_case_find_their_way() -> None:
    """NFC and casefold on both sides, ids and names with anything in them."""
    service = DirectoryService()
    service.add_user("1", "rene\u0301e@x")
    service.add_user("2", "日本太郎")
    service.add_group("3", "Straße", "1")
    world = World(service).wanting(
        desired_user("REN\u00c9E@x", title="Größe"),
        desired_user("日本太郎", groups=["STRASSE"]),
        desired_group("emoji 🎧", members=[{"user": "renée@x"}]),
    )
    assert applied(world.run())
    assert world.plan().changes == ()
    assert service.members_of("Straße") == {"rene\u0301e@x", "日本太郎"}


def test_membership_stated_on_both_sides_counts_once() -> None:
    """`groups:` on the user and `members:` on the group."""
    service = _service()
    both = (desired_user("bob", groups=["Team"]), desired_group("Team", members=[{"user": "bob"}, {"user": "ann"}]))
    (change,) = World(service).wanting(*both).plan().changes
    assert change.members.added == ("bob",)


def test_a_group_of_which_only_a_case_differs_is_renamed_once() -> None:
    """Names of groups are for people: their case is written (scim-rfc.md section 3)."""
    world = World(_service()).wanting(desired_group("TEAM", members=[{"user": "ann"}]))
    assert applied(world.run())
    assert world.service.groups["g1"]["displayName"] == "TEAM"
    assert world.plan().changes == ()


def test_a_user_name_of_which_only_the_case_differs_is_left_alone() -> None:
    """INCIDENTS gestalt PR #3162: an update on every run, for ever."""
    world = World(_service()).wanting(desired_user("ANN", title="x"))
    plan = world.plan()
    (change,) = plan.changes
    assert [a.path for a in change.attributes] == ["title"]
    assert "cosmetic" in {finding.code for finding in plan.findings}


def test_a_service_that_lower_cases_names_converges() -> None:
    """What comes back altered in case only is no difference."""

    def lower(_: Any, resource: dict[str, Any]) -> dict[str, Any]:
        return {"userName": resource["userName"].lower()} if "userName" in resource else {}

    world = World(DirectoryService(store=lower)).wanting(
        desired_user("Ann@X", enterprise={"manager": {"userName": "Bob@X"}}),
        desired_user("Bob@X"),
        desired_group("Team", members=[{"user": "Ann@X"}]),
    )
    assert applied(world.run())
    assert world.plan().changes == ()


def test_the_summary_counts_what_the_changes_say() -> None:
    """Memberships of created groups included."""
    service = _service()
    service.edit("u2", active=False)
    plan = (
        World(service)
        .wanting(
            desired_user("ann", active=False),
            desired_user("bob", active=True),
            desired_user("new"),
            desired_group("Team", members=[{"user": "bob"}]),
            desired_group("Club", members=[{"user": "new"}, {"user": "bob"}]),
        )
        .plan()
    )
    summary = plan.summary
    assert (summary.create, summary.update, summary.deactivate, summary.reactivate) == (2, 1, 1, 1)
    assert (summary.memberships_added, summary.memberships_removed) == (3, 1)


def test_access_is_told_with_its_path_and_only_for_the_active() -> None:
    """Effective, through nested groups, users active before or after (SPEC section 6)."""
    service = _service()
    service.add_group("g2", "Outer", "g1")
    service.add_user("u3", "idle", active=False)
    service.groups["g1"]["members"].append("u3")
    world = World(service)
    deactivated = world.wanting(desired_user("ann", active=False)).plan().access
    assert [(loss.user, loss.group, loss.via) for loss in deactivated.losses] == [
        ("ann", "Outer", ("Team",)),
        ("ann", "Team", ()),
    ]
    added = world.wanting(desired_group("Third", members=[{"group": "Outer"}])).plan().access
    assert [(gain.user, gain.group, gain.via) for gain in added.gains] == [("ann", "Third", ("Team", "Outer"))]
    moved = world.wanting(desired_group("Outer", members=[{"user": "ann"}])).plan().access
    assert moved.gains == moved.losses == ()


def test_planning_twice_gives_equal_plans() -> None:
    """SPEC P12."""
    world = World(_service()).wanting(desired_user("ann", title="x"), desired_group("New", members=[{"user": "bob"}]))
    live = world.read()
    assert world.plan(live=live) == world.plan(live=live)
