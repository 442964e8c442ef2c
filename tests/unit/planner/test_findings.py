"""What a plan tells a reviewer beside its changes."""

from __future__ import annotations

from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_user


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


def test_members_that_nobody_ever_sees_are_said_where_groups_gain_some() -> None:
    """scim-rfc.md Q6: a tenant in which no group shows a member is empty, or does not show them; the plan says so."""
    service = _two()
    service.add_group("g1", "Team")
    service.add_group("g2", "Other")
    wanted = (desired_user("ann", externalId="hr-1"), desired_group("Team", members=[{"user": "ann"}]))
    assert "members-unseen" in {finding.code for finding in World(service).wanting(*wanted).plan().findings}
    created = desired_group("New", members=[{"user": "ann"}])
    assert "members-unseen" not in {
        finding.code for finding in World(service).wanting(wanted[0], created).plan().findings
    }
    service.groups["g2"]["members"] = ["u2"]
    assert "members-unseen" not in {finding.code for finding in World(service).wanting(*wanted).plan().findings}


def test_a_group_of_nearly_the_same_name_is_said_before_another_one_is_created() -> None:
    """scim-rfc.md Q12: a service that rewrites names would get one more group with every run."""
    service = _two()
    service.add_group("g1", "tier-1-support")
    service.add_group("g2", "Sales")
    world = World(service).wanting(desired_group("Tier 1 Support"), desired_group("Sales"))
    [finding] = [finding for finding in world.plan().findings if finding.code == "alike"]
    assert finding.key == "Group/Tier 1 Support"
    assert "tier-1-support (id g1)" in finding.message
    claimed = world.wanting(desired_group("Tier 1 Support"), desired_group("tier-1-support"))
    assert "alike" not in {finding.code for finding in claimed.plan().findings}
