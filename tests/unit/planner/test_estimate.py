"""What applying is estimated to send: cut into requests where the applier cuts it (SPEC section 6)."""

from __future__ import annotations

from uuid import UUID

import pytest

from reconciler.model.dialect import Dialect, Update
from tests.fakes.directory_service import DirectoryService
from tests.states import World, applied, capabilities_of, desired_group, desired_state, desired_user, tenant_for

NAMES = [f"user-{number:03}@example.com" for number in range(40)]
GROUPS = [
    desired_group("inner", members=[{"user": name} for name in NAMES[:9]]),
    desired_group("outer", members=[{"group": "inner"}, *({"user": name} for name in NAMES[20:23])]),
    *(desired_group(f"g{number}", members=[{"user": name} for name in NAMES[number::7]]) for number in range(7)),
]


@pytest.mark.parametrize("update", [Update.PATCH, Update.PUT])
@pytest.mark.parametrize("length", [4, 36, 60])
def test_chunks_are_estimated_whatever_ids_and_versions_the_service_gives(update: Update, length: int) -> None:
    """Neither an id nor a version that is longer or shorter than thought moves the end of a chunk."""
    for payload in range(2500, 9000, 500):
        service = DirectoryService(
            max_payload=payload,
            version_format=f'W/"{UUID(int=0)}-{{}}"',
            id_format=f"{{kind[0]}}-{{number:0{length - 2}d}}",
        )
        service.add_user("x" * length, "somebody@example.com")
        dialect = Dialect(user_update=update, group_update=update)
        world = World(
            service,
            desired_state(*(desired_user(name) for name in NAMES), *GROUPS),
            tenant_for(dialect=dialect),
            capabilities_of(service),
        )
        run = world.run()
        assert applied(run)
        assert run.requests == run.plan.estimate.requests, payload
        shrunk = [desired_group("inner", members=[{"user": name} for name in NAMES[5:14]]), *GROUPS[1:]]
        run = world.wanting(*(desired_user(name, title="x") for name in NAMES), *shrunk).run()
        assert applied(run)
        assert run.requests == run.plan.estimate.requests, payload
