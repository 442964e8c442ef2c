"""Who is who (SPEC section 3)."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import AmbiguousMatch
from reconciler.model.change import Action, Reason
from reconciler.model.plan import Plan
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_user


def _live(*users: tuple[str, str, str | None]) -> World:
    service = DirectoryService()
    for id_, name, external_id in users:
        service.add_user(id_, name, **({"externalId": external_id} if external_id else {}))
    return World(service)


def _only(plan: Plan) -> tuple[Action, str | None]:
    (change,) = plan.changes
    return change.action, change.id


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"userName": "new-name", "externalId": "1"}, (Action.UPDATE, "u1")),
        ({"userName": "ann", "title": "x"}, (Action.UPDATE, "u1")),
        ({"userName": "ANN", "externalId": "1", "title": "x"}, (Action.UPDATE, "u1")),
        ({"userName": "bob", "externalId": "2"}, (Action.UPDATE, "u2")),
        ({"userName": "ann", "externalId": "9"}, (Action.CREATE, None)),
        ({"userName": "nobody"}, (Action.CREATE, None)),
        ({"userName": "nobody", "externalId": "A"}, (Action.CREATE, None)),
        ({"userName": "ren\u00e9e", "title": "x"}, (Action.UPDATE, "u3")),
        ({"userName": "RENE\u0301E", "title": "x"}, (Action.UPDATE, "u3")),
    ],
)
def test_users_match_by_external_id_else_by_name(document: dict[str, Any], expected: tuple[Action, str | None]) -> None:
    """By externalId exactly, userName NFC and casefolded; different externalIds never match by name."""
    world = _live(("u1", "ann", "1"), ("u2", "bob", None), ("u3", "rene\u0301e", None), ("u4", "x", "a"))
    assert _only(world.wanting(desired_user(**_user(document))).plan()) == expected


def _user(document: dict[str, Any]) -> dict[str, Any]:
    return {"user_name" if key == "userName" else key: value for key, value in document.items()}


def test_groups_match_by_external_id_else_by_display_name() -> None:
    """A group without externalId is found by its name, whatever its case; a rename is an update."""
    service = DirectoryService()
    service.add_group("g1", "Team", externalId="t-1")
    service.add_group("g2", "Straße")
    world = World(service)
    assert _only(world.wanting(desired_group("Renamed", externalId="t-1")).plan()) == (Action.UPDATE, "g1")
    assert world.wanting(desired_group("Team")).plan().changes == ()
    assert _only(world.wanting(desired_group("STRASSE", externalId="t-2")).plan()) == (Action.UPDATE, "g2")
    assert _only(world.wanting(desired_group("Team", externalId="t-9")).plan()) == (Action.CREATE, None)


def test_two_live_candidates_are_an_error_that_names_both() -> None:
    """By whatever key."""
    by_both = _live(("u1", "ann", None), ("u2", "old", "1"))
    with pytest.raises(AmbiguousMatch) as caught:
        by_both.wanting(desired_user("ann", externalId="1")).plan()
    assert "id u1" in str(caught.value.context)
    assert "id u2" in str(caught.value.context)
    assert "people.yaml:1" in str(caught.value.context)
    twice = _live(("u1", "ann", None), ("u2", "Ann", None))
    with pytest.raises(AmbiguousMatch):
        twice.wanting(desired_user("ann")).plan()
    same_external_id = _live(("u1", "ann", "1"), ("u2", "bob", "1"))
    with pytest.raises(AmbiguousMatch):
        same_external_id.wanting(desired_user("eve", externalId="1")).plan()


def test_duplicates_that_nobody_means_are_no_problem() -> None:
    """Live may be untidy where git does not look."""
    world = _live(("u1", "ann", None), ("u2", "ANN", None), ("u3", "bob", None))
    assert len(world.wanting(desired_user("bob", title="x")).plan().changes) == 1


def test_one_live_resource_wanted_by_two_documents_is_an_error_that_names_both() -> None:
    """One by externalId, the other by name."""
    world = _live(("u1", "ann", "1"))
    with pytest.raises(AmbiguousMatch) as caught:
        world.wanting(desired_user("ann", line=3), desired_user("eve", line=9, externalId="1")).plan()
    assert "people.yaml:3" in str(caught.value.context)
    assert "people.yaml:9" in str(caught.value.context)


def test_every_problem_is_reported_at_once() -> None:
    """Two ambiguities, one error."""
    world = _live(("u1", "a", None), ("u2", "A", None), ("u3", "b", None), ("u4", "B", None))
    with pytest.raises(AmbiguousMatch) as caught:
        world.wanting(desired_user("a"), desired_user("b")).plan()
    assert str(caught.value.context).count("could mean") == 2


def test_previously_finds_who_was_renamed() -> None:
    """INCIDENTS databricks #1099: a rename is an update, never delete and create."""
    world = _live(("u1", "old", None))
    (change,) = world.wanting(desired_user("new", previously="OLD")).plan().changes
    assert (change.action, change.id) == (Action.UPDATE, "u1")
    assert [(a.path, a.before, a.after) for a in change.attributes] == [("userName", "old", "new")]


@pytest.mark.parametrize(
    ("live", "more"),
    [
        ([("u1", "old", None), ("u2", "new", "9")], []),
        ([("u1", "old", None)], [desired_user("old")]),
        ([("u1", "old", "9")], []),
    ],
)
def test_previously_does_not_count_where_the_name_is_spoken_for(live: list[Any], more: list[Any]) -> None:
    """A live user has the new name, a document claims the old one, or it is known as somebody else."""
    world = _live(*live)
    plan = world.wanting(desired_user("new", externalId="1", previously="old"), *more).plan()
    assert [(change.action, change.key.name) for change in plan.changes] == [(Action.CREATE, "new")]


def test_a_user_found_by_name_alone_is_adopted_and_said_so() -> None:
    """Its externalId is set, and from then on the match does not depend on the name."""
    plan = _live(("u1", "ann", None)).wanting(desired_user("ann", externalId="1")).plan()
    (change,) = plan.changes
    assert (change.action, change.reason, change.anchor) == (Action.UPDATE, Reason.ADOPTED, "u1")


def test_an_id_that_is_somebody_elses_external_id_means_nobody_else() -> None:
    """Numbers are used for both: members and managers are still who they are."""
    service = DirectoryService()
    service.add_user("7", "ann")
    service.add_user("8", "bob", externalId="7")
    service.add_group("g", "Team", "7", "8")
    world = World(service).wanting(desired_group("Team", members=[]))
    assert world.run().all_applied
    assert service.groups["g"]["members"] == []
    both = desired_group("Team", members=[{"user": "ann"}, {"user": "bob"}])
    assert world.wanting(both).run().all_applied
    assert sorted(service.groups["g"]["members"]) == ["7", "8"]


def test_nobody_in_git_and_nobody_live_is_an_empty_plan() -> None:
    """0 users."""
    assert _live().plan().changes == ()
    plan = _live(("u1", "ann", None)).plan()
    assert (plan.changes, plan.summary.unmanaged, plan.inventory.managed_users) == ((), 1, 0)


def test_an_external_id_given_up_or_changed_is_seen() -> None:
    """`externalId: null` clears; a document with another one is another person, and the old one stays unmanaged."""
    world = _live(("u1", "ann", "1"))
    (change,) = world.wanting(desired_user("ann", externalId=None)).plan().changes
    assert [(a.path, a.after) for a in change.attributes] == [("externalId", None)]
    plan = world.wanting(desired_user("ann", externalId="2")).plan()
    assert [change.action for change in plan.changes] == [Action.CREATE]
    assert "identity-reuse" in {guard.id for guard in plan.refused_by}
