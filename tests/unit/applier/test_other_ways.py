"""A service that does not have what it announces: the run goes another way, does nothing twice, and says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from reconciler.errors import ScimRejected
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Capabilities
from reconciler.model.tenant import Limits
from tests.fakes.directory_service import DirectoryService, Fault
from tests.properties.organisations import worlds
from tests.states import World, applied, desired_group, desired_state, desired_user, tenant_for

EVERYTHING = Capabilities(bulk=True, max_operations=1000, max_payload_bytes=10_485_760)


def _hired(service: DirectoryService, count: int = 30, **limits: Any) -> World:
    """Thirty people and a group of them all, and a group that is there already and takes all of them in."""
    service.add_group("g1", "Old", nickName="kept")
    names = [f"p{number:02}" for number in range(count)]
    everybody = [{"user": name} for name in names]
    groups = [desired_group(name, members=everybody) for name in ("New", "Old")]
    desired = desired_state(*map(desired_user, names), *groups)
    return World(service, desired, tenant_for(limits=Limits(**limits)), EVERYTHING)


@settings(max_examples=200)
@given(worlds())
def test_whatever_is_announced_and_not_there_is_worked_around(world: World) -> None:
    """SPEC section 4: what the service does not really have; without anything done twice (P5)."""
    world = replace(world, capabilities=EVERYTHING)
    assert applied(world.run())
    assert world.plan().changes == ()
    names = [user["userName"] for user in world.service.users.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("status", [403, 404, 405, 501])
def test_bulk_that_is_refused_is_tried_once(status: int) -> None:
    """One attempt in the whole run, then one request each, of at most as many members as a request may have alone."""
    world = _hired(DirectoryService(), member_changes_per_request=7)
    attempts: list[int] = []

    def refuse(request: Any) -> Any:
        attempts.append(len(request["Operations"]))
        raise ScimRejected(status, detail="not here")

    world.service.bulk = refuse  # type: ignore[method-assign]
    run = world.run()
    assert applied(run)
    assert len(attempts) == 1
    assert [method for method, _, _ in world.service.sent].count("POST") == 30 + 1
    for group in ("New", "Old"):
        assert len(world.service.groups[world.service.id_of(group)]["members"]) == 30
    assert world.service.groups["g1"]["nickName"] == "kept"
    (note,) = run.applied.notes
    assert note == (
        "bulk requests are announced and not done: each change is a request of its own "
        f"(the service answered {status}: not here); `dialect: {{bulk: off}}` in tenant.yaml spares the attempt"
    )


@pytest.mark.parametrize("bulk", [True, False])
def test_patch_that_is_refused_is_put(bulk: bool) -> None:
    """scim-rfc.md section 7: 501 or 405 means PUT; as the latest representation, so that nothing unmanaged is lost."""
    service = DirectoryService(patch_supported=False, bulk_supported=bulk)
    service.add_user("u1", "p00", title="old", nickName="kept")
    world = _hired(service)
    world = world.wanting(desired_user("p00", title="new"), *world.desired.users[1:], *world.desired.groups)
    run = world.run()
    assert applied(run)
    assert service.users["u1"]["nickName"] == "kept"
    assert service.users["u1"]["title"] == "new"
    assert len(service.groups["g1"]["members"]) == 30
    told = [note for note in run.applied.notes if note.startswith("PATCH")]
    assert [note.partition(":")[0] for note in told] == [
        "PATCH is announced and not done on a User",
        "PATCH is announced and not done on a Group",
    ]
    patches = [path for method, path, _ in service.sent if method == "PATCH"]
    assert len(patches) == 2


def test_patch_that_only_groups_lack_is_put_for_groups_only() -> None:
    """Users keep the smaller request."""
    world = _hired(DirectoryService(bulk_supported=False))
    assert applied(world.run())
    world.service.fault_for = lambda _, method, path: Fault(
        refuse=(405, None) if method == "PATCH" and path.startswith("/Groups") else None
    )
    world.service.sent.clear()
    users = [desired_user(f"p{number:02}", title="x") for number in range(30)]
    group = desired_group("Old", members=[{"user": "p00"}])
    world = replace(world.wanting(*users, group), capabilities=replace(EVERYTHING, bulk=False))
    assert applied(world.run())
    methods = {(method, path.split("/")[1]) for method, path, _ in world.service.sent}
    assert methods == {("PATCH", "Users"), ("PATCH", "Groups"), ("PUT", "Groups")}


def test_a_put_that_is_refused_too_is_a_failure() -> None:
    """Both ways are closed: the words of the service, and no third try."""
    world = _hired(DirectoryService(bulk_supported=False))
    assert applied(world.run())
    world.service.fault_for = lambda _, method, __: Fault(refuse=(501, None) if method != "POST" else None)
    world.service.sent.clear()
    world = world.wanting(*(desired_user(f"p{number:02}", title="x") for number in range(3)))
    run = world.run()
    assert set(run.outcomes.values()) == {Outcome.FAILED}
    assert [method for method, _, _ in world.service.sent] == ["PATCH", "PUT", "PUT", "PUT"]


def test_members_that_cannot_be_read_are_not_put() -> None:
    """SPEC 7.5: a group PUT needs its members read completely; without PATCH there is no way left."""
    world = _hired(DirectoryService(patch_supported=False))
    assert applied(world.wanting(*world.desired.users).run())
    live = world.read()
    hidden = replace(live, groups={id_: replace(group, members=None) for id_, group in live.groups.items()})
    run = world.send(world.plan(live=hidden), hidden)
    assert run.outcomes["Group/Old"] is Outcome.FAILED
    assert "a PUT would remove them" in (run.result("Group/Old").cause or "")
    assert world.service.groups["g1"]["members"] == []
