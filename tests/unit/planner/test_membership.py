"""Who is to be in which group (SPEC section 3, Membership)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import DesiredStateError
from reconciler.model.resource import Kind
from reconciler.model.state import Certificate
from reconciler.model.tenant import Ownership, People
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_user, tenant_for


def _team(*, unmanaged: tuple[str, ...] = (), people: People = People.MANAGED) -> World:
    """A team of ann, bob, a bot and a sub-group."""
    service = DirectoryService()
    for number, name in enumerate(("ann", "bob", "svc-bot", "eve")):
        service.add_user(f"u{number}", name, externalId=f"hr-{number}")
    service.add_group("g2", "Inner")
    service.add_group("g1", "Team", "u0", "u1", "u2", "g2", externalId="t")
    return World(service, tenant=tenant_for(ownership=Ownership(unmanaged=unmanaged), people=people))


def _delta(world: World, *resources: Any, **more: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    changes = [c for c in world.wanting(*resources).plan(**more).changes if c.key.name == "Team"]
    return (changes[0].members.added, changes[0].members.removed) if changes else ((), ())


@pytest.mark.parametrize(
    ("resources", "added", "removed"),
    [
        ([desired_group("Team", members=[{"user": "ann"}])], (), ("bob", "group:Inner", "svc-bot")),
        ([desired_group("Team", members=[])], (), ("ann", "bob", "group:Inner", "svc-bot")),
        ([desired_group("Team", members=[{"user": "eve"}], membership="additive")], ("eve",), ()),
        ([desired_group("Team")], (), ()),
        ([desired_user("eve", groups=["team"])], ("eve",), ()),
        ([desired_group("Team"), desired_user("eve", groups=["Team"])], ("eve",), ()),
        (
            [desired_group("Team", members=[{"user": "ann"}]), desired_user("eve", groups=["Team"])],
            ("eve",),
            ("bob", "group:Inner", "svc-bot"),
        ),
        (
            [desired_group("Team", members=[{"externalId": "hr-0"}, {"user": "BOB"}, {"group": "inner"}])],
            (),
            ("svc-bot",),
        ),
        ([desired_group("Team", members=[{"user": "ann"}, {"externalId": "hr-0"}], membership="additive")], (), ()),
    ],
)
def test_memberships_are_what_groups_and_users_state_together(
    resources: list[Any], added: tuple[str, ...], removed: tuple[str, ...]
) -> None:
    """Authoritative only where `members` is written; additive, without `members`, or live-only: members are added."""
    assert _delta(_team(), *resources) == (added, removed)


@pytest.mark.parametrize(
    ("patterns", "removed"),
    [
        (("svc-*",), ("ann", "bob", "group:Inner")),
        (("SVC-*",), ("ann", "bob", "group:Inner")),
        (("group:In*",), ("ann", "bob", "svc-bot")),
        (("g*",), ("ann", "bob", "group:Inner", "svc-bot")),
        (("*",), ("group:Inner",)),
        (("*", "group:*"), ()),
    ],
)
def test_unmanaged_members_stay(patterns: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Plain patterns speak of userNames, `group:` ones of groups; `g*` is no pattern for groups."""
    assert _delta(_team(unmanaged=patterns), desired_group("Team", members=[])) == ((), removed)


def test_unmanaged_members_are_known_by_name_also_where_the_name_is_there_twice() -> None:
    """A pattern looks at names, not at how a plan shows somebody."""
    world = _team(unmanaged=("svc-*",))
    world.service.add_user("u9", "SVC-bot")
    assert _delta(world, desired_group("Team", members=[])) == ((), ("ann", "bob", "group:Inner"))


def test_a_member_that_is_nobody_goes_only_under_a_complete_inventory() -> None:
    """SPEC P4."""
    world = _team()
    world.service.groups["g1"]["members"] = ["u0", "ghost"]
    wanted = desired_group("Team", members=[{"user": "ann"}])
    assert _delta(world, wanted) == ((), ("id:ghost",))
    live = world.read()
    short = Certificate(count=4, complete=False, reason="short")
    for kind in (Kind.USER, Kind.GROUP):
        incomplete = replace(live, certificates={**live.certificates, kind: short})
        assert _delta(world, wanted, live=incomplete) == ((), ())
    assert world.wanting(wanted).run().all_applied
    assert world.service.groups["g1"]["members"] == ["u0"]


def test_a_member_that_was_read_goes_also_under_an_incomplete_inventory() -> None:
    """Absence is not inferred here: the member was seen."""
    world = _team()
    live = replace(world.read(), certificates={})
    assert _delta(world, desired_group("Team", members=[{"user": "ann"}]), live=live)[1]


def test_members_that_cannot_be_seen_are_not_removed() -> None:
    """Unknown never equals empty (scim-rfc.md section 3, rule 5), and the plan says so."""
    world = _team()
    live = world.read()
    hidden = replace(live, groups={**live.groups, "g1": replace(live.groups["g1"], members=None)})
    plan = world.wanting(desired_group("Team", members=[{"user": "eve"}])).plan(live=hidden)
    (change,) = plan.changes
    assert (change.members.added, change.members.removed) == (("eve",), ())
    assert "members-unreadable" in {finding.code for finding in plan.findings}


def test_a_group_with_pending_names_keeps_its_members() -> None:
    """People come from elsewhere: who is to come may be one of those who are there under another name."""
    world = _team(people=People.EXTERNAL)
    wanted = desired_group("Team", members=[{"user": "ann"}, {"user": "to-come"}, {"user": "eve"}])
    plan = world.wanting(wanted).plan()
    (change,) = plan.changes
    assert (change.members.added, change.members.removed) == (("eve",), ())
    kept = [(finding.key, finding.message) for finding in plan.findings if "stay" in finding.message]
    message = "members that git does not name stay while names are pending (to-come): bob, group:Inner, svc-bot"
    assert kept == [("Group/Team", message)]


def test_a_pending_user_who_names_a_group_makes_it_pending_too() -> None:
    """Names stated on the user's side are names of the group."""
    world = _team(people=People.EXTERNAL)
    wanted = desired_group("Team", members=[{"user": "ann"}])
    assert _delta(world, wanted)[1]
    assert _delta(world, wanted, desired_user("to-come", groups=["Team"])) == ((), ())


@pytest.mark.parametrize(
    ("resource", "code", "words"),
    [
        (desired_group("Team", line=7, members=[{"user": "an"}]), "V505", "an is neither"),
        (desired_group("Team", line=7, members=[{"group": "Iner"}]), "V506", "did you mean"),
        (desired_group("Team", line=7, members=[{"externalId": "nobody"}]), "V507", "nobody"),
        (desired_user("ann", line=7, groups=["Teams"]), "V506", "did you mean"),
        (desired_user("ann", line=7, enterprise={"manager": {"userName": "bobb"}}), "V505", "did you mean"),
    ],
)
def test_unknown_names_are_errors_with_a_place_and_the_nearest_name(resource: Any, code: str, words: str) -> None:
    """SPEC section 3, References."""
    with pytest.raises(DesiredStateError) as caught:
        _team().wanting(resource).plan()
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.line) == (code, 7)
    assert words in f"{diagnostic.message} {diagnostic.help}"


def test_a_name_that_two_live_groups_have_is_ambiguous() -> None:
    """Group names are not unique (RFC 7643 section 4.2); externalId tells them apart."""
    world = _team()
    world.service.add_group("g9", "TEAM")
    with pytest.raises(DesiredStateError) as caught:
        world.wanting(desired_user("eve", groups=["Team"])).plan()
    assert caught.value.diagnostics[0].code == "V508"


def test_labels_that_look_like_something_else_are_told_apart() -> None:
    """A user called `group:Team` is no group."""
    service = DirectoryService()
    for number, name in enumerate(("group:Team", "id:u9", "user:x")):
        service.add_user(f"u{number}", name)
    service.add_group("g1", "Team")
    service.add_group("g2", "All")
    members = [{"user": "group:Team"}, {"group": "Team"}, {"user": "id:u9"}, {"user": "user:x"}]
    world = World(service).wanting(desired_group("All", members=members))
    (change,) = world.plan().changes
    assert change.members.added == ("group:Team", "user:group:Team", "user:id:u9", "user:user:x")
    assert world.run().all_applied
    assert sorted(service.groups["g2"]["members"]) == ["g1", "u0", "u1", "u2"]


def test_a_user_moves_between_groups_and_new_groups_nest_in_new_groups() -> None:
    """All in one plan, children first."""
    world = _team().wanting(
        desired_group("Team", members=[{"user": "bob"}]),
        desired_group("Top", members=[{"group": "Middle"}]),
        desired_group("Middle", members=[{"group": "Bottom"}, {"user": "ann"}]),
        desired_group("Bottom", members=[{"user": "new"}]),
        desired_user("new", enterprise={"manager": {"userName": "newer"}}, groups=["Inner"]),
        desired_user("newer"),
    )
    run = world.run()
    assert run.all_applied
    assert world.service.members_of("Top") == {"group:Middle"}
    assert world.service.members_of("Middle") == {"group:Bottom", "ann"}
    assert world.service.members_of("Inner") == {"new"}
    gains = {(gain.user, gain.group, gain.via) for gain in run.plan.access.gains}
    assert ("new", "Top", ("Bottom", "Middle")) in gains
    assert ("ann", "Team", ()) in {(loss.user, loss.group, loss.via) for loss in run.plan.access.losses}
