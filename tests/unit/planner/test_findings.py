"""What a plan tells a reviewer beside its changes."""

from __future__ import annotations

from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_user


def _two() -> DirectoryService:
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="hr-1")
    service.add_user("u2", "bob", externalId="hr-2")
    return service


def test_names_that_are_swapped_are_found_before_anything_is_sent() -> None:
    """A service gives a name only once it is free; in a ring none ever is, so the plan says what to do instead."""
    world = World(_two()).wanting(desired_user("bob", externalId="hr-1"), desired_user("ann", externalId="hr-2"))
    rings = [finding.message for finding in world.plan().findings if finding.code == "name-ring"]
    assert len(rings) == 1
    assert rings[0].startswith("ann > bob > ann: ")


def test_a_chain_of_renames_and_a_change_of_case_are_no_ring() -> None:
    """The one at the end of a chain takes a free name, and everybody else follows."""
    world = World(_two()).wanting(desired_user("bob", externalId="hr-1"), desired_user("cyd", externalId="hr-2"))
    assert [finding for finding in world.plan().findings if finding.code == "name-ring"] == []
