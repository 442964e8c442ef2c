"""A run sends nothing after the time that the ledger gave to it: others may be at work by then (SPEC 7.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import RunExpired
from reconciler.model.outcome import Outcome
from reconciler.model.resource import SERVICE_PROVIDER_CONFIG_SCHEMA
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_user


@pytest.mark.parametrize("asked", [1, 2, 3])
@pytest.mark.parametrize("bulk", [True, False])
def test_nothing_is_sent_once_the_time_is_over(asked: int, bulk: bool) -> None:
    """What went out before counts; what did not is not attempted, and says why."""
    service = DirectoryService(bulk_supported=bulk, max_operations=1)
    world = World(service).wanting(*(desired_user(name) for name in ("ann", "bob", "cid")))
    world = replace(world, capabilities=replace(world.capabilities, bulk=bulk, max_operations=1))
    live = world.read()
    calls: list[None] = []

    def check_time() -> None:
        calls.append(None)
        if len(calls) >= asked:
            raise RunExpired("2026-01-01T00:00:00Z")

    run = world.send(world.plan(), live, check_time=check_time)
    ended = [result.outcome for result in run.applied.results]
    assert ended == [Outcome.APPLIED] * (asked - 1) + [Outcome.NOT_ATTEMPTED] * (4 - asked)
    assert len(service.users) == asked - 1
    assert "its time was over at 2026-01-01T00:00:00Z" in (run.applied.results[-1].cause or "")


def test_the_configuration_is_not_written_either() -> None:
    """Its PUT is asked for like every other write."""
    document = {"schemas": [SERVICE_PROVIDER_CONFIG_SCHEMA], "productName": "old"}
    service = DirectoryService(configuration=dict(document))
    world = World(service).wanting(configuration={**document, "productName": "new"})

    def check_time() -> None:
        raise RunExpired("2026-01-01T00:00:00Z")

    run = world.send(world.plan(), world.read(), check_time=check_time)
    assert [result.outcome for result in run.applied.results] == [Outcome.NOT_ATTEMPTED]
    assert service.configuration == document
