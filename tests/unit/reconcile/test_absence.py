"""A create may do with look-ups of its own where a list is not complete (SPEC P4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import Certificate, LiveState
from reconciler.reconcile.absence import MOST_LOOKUPS, look_up_creates
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_user

EVE = ResourceKey(Kind.USER, "eve@example.com")
SHORT = Certificate(count=1, complete=False, reason="the service says it has 3 users and listed 1")


class Directory(DirectoryService):
    """A service whose list of users shows the first one only; `answer` may replace what a look-up finds."""

    answer: Callable[[Kind, str, str], tuple[LiveUser | LiveGroup, ...]] | None = None

    def find(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        """A look-up."""
        found = super().find(kind, attribute, value)
        return found if self.answer is None else self.answer(kind, attribute, value)


@pytest.fixture
def service() -> Directory:
    """Ann is listed; Bob is there all the same."""
    service = Directory()
    service.add_user("u1", "ann@example.com", externalId="p-1")
    service.add_user("u2", "bob@example.com", externalId="p-2")
    return service


def _short(world: World, *shown: str) -> LiveState:
    live = world.read()
    users = {id_: found for id_, found in live.users.items() if id_ in shown}
    return replace(live, users=users, certificates={**live.certificates, Kind.USER: SHORT})


def _changes(world: World, live: LiveState) -> tuple[Change, ...]:
    return world.plan(live=live).changes


def test_p4_who_is_looked_up_and_not_found_may_be_created(service: Directory) -> None:
    """By externalId and by userName, after the same look-ups found Ann, in capitals where case is no matter."""
    world = World(service).wanting(desired_user("eve@example.com", externalId="p-5"))
    live = _short(world, "u1")
    service.log.clear()
    searched = look_up_creates(service, _changes(world, live), live, {})
    assert searched.proven_absent == {EVE}
    assert searched.users == live.users
    assert len([line for line in service.log if "filter" in line]) == 4
    [note] = searched.notes
    assert note.startswith("lists are not complete: 1 of 1 create proven by look-ups of their own, 0 resources found")
    assert note.endswith("(4 requests)")


def test_p4_who_is_found_joins_the_snapshot_and_is_not_created(service: Directory) -> None:
    """Bob is there, the list does not show him: planning again finds nothing to create."""
    world = World(service).wanting(desired_user("bob@example.com", externalId="p-2"))
    live = _short(world, "u1")
    assert [change.action for change in _changes(world, live)] == [Action.CREATE]
    searched = look_up_creates(service, _changes(world, live), live, {})
    assert set(searched.users) == {"u1", "u2"}
    assert searched.proven_absent == frozenset()
    assert _changes(world, searched) == ()


def test_a_group_that_is_found_comes_with_its_members(service: Directory) -> None:
    """A look-up is a list, which need not show members: the group is read by itself."""
    service.add_group("g1", "Support", "u1")
    service.add_group("g2", "Sales", "u2")
    world = World(service).wanting(desired_group("Sales"))
    live = world.read()
    shown = {id_: found for id_, found in live.groups.items() if id_ == "g1"}
    short = replace(live, groups=shown, certificates={**live.certificates, Kind.GROUP: SHORT})
    searched = look_up_creates(service, _changes(world, short), short, {})
    assert searched.groups["g2"].members == ("u2",)


def test_complete_lists_need_no_look_up(service: Directory) -> None:
    """The certificate replaces a look-up per resource (scim-rfc.md section 4)."""
    world = World(service).wanting(desired_user("eve@example.com"))
    live = world.read()
    service.log.clear()
    assert look_up_creates(service, _changes(world, live), live, {}) is live
    assert service.log == []


def _finds_nothing(kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
    return ()


def _ignores(kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
    raise ScimMalformed("the service ignores the filter")


def _refuses(kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
    raise ScimRejected(400, scim_type="invalidFilter")


@pytest.mark.parametrize("answer", [_finds_nothing, _ignores, _refuses])
def test_q10_a_look_up_that_does_not_find_who_is_there_proves_nothing(
    service: Directory, answer: Callable[[Kind, str, str], tuple[LiveUser | LiveGroup, ...]]
) -> None:
    """langwatch/langwatch#6973: an unsupported filter was answered as empty, and everybody was created twice."""
    world = World(service).wanting(desired_user("eve@example.com"))
    live = _short(world, "u1")
    service.answer = answer
    searched = look_up_creates(service, _changes(world, live), live, {})
    assert searched.proven_absent == frozenset()
    assert "look-ups of a User by userName do not find who is there" in searched.notes


def test_a_service_that_fails_is_an_error(service: Directory) -> None:
    """Not everything that goes wrong means "no filter"."""
    world = World(service).wanting(desired_user("eve@example.com"))
    live = _short(world, "u1")

    def fail(kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        raise ScimRejected(500)

    service.answer = fail
    with pytest.raises(ScimRejected):
        look_up_creates(service, _changes(world, live), live, {})


def test_an_empty_list_has_nobody_to_try_look_ups_by(service: Directory) -> None:
    """Then they prove nothing."""
    world = World(service).wanting(desired_user("eve@example.com"))
    live = _short(world)
    searched = look_up_creates(service, _changes(world, live), live, {})
    assert searched.proven_absent == frozenset()
    assert searched.notes[0] == "no User is known by whom to try whether look-ups by userName work"


def test_q10_a_name_that_not_every_filter_can_carry_proves_nothing(service: Directory) -> None:
    """Captain-P-Goldfish/SCIM-SDK#913: escapes are unsupported."""
    world = World(service).wanting(desired_user('eve"x@example.com'), desired_user("eve@example.com"))
    live = _short(world, "u1")
    assert look_up_creates(service, _changes(world, live), live, {}).proven_absent == {EVE}


def test_look_ups_are_bounded(service: Directory) -> None:
    """A whole organisation is not looked up one by one."""
    world = World(service).wanting(*(desired_user(f"new{n}@example.com") for n in range(MOST_LOOKUPS + 1)))
    live = _short(world, "u1")
    changes = _changes(world, live)
    service.log.clear()
    searched = look_up_creates(service, changes, live, {})
    assert (searched.proven_absent, service.log) == (frozenset(), [])
    assert searched.notes == ("1,001 creates cannot be looked up one by one: more than 1,000 requests",)
