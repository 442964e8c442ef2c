"""Whatever goes wrong: one outcome for each change, none of them guessed, and the next run ends where it should."""

from __future__ import annotations

import copy
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.outcome import Outcome
from reconciler.semantics.canonical import fold
from tests.fakes.directory_service import DirectoryService, Fault
from tests.properties.organisations import worlds
from tests.states import World, applied


def _nickname(service: DirectoryService) -> None:
    """Somebody else changes what git does not manage."""
    for id_ in sorted(service.users)[:2]:
        service.edit(id_, nickName="foreign")


def _title(service: DirectoryService) -> None:
    """Somebody else changes what git may manage."""
    for id_ in sorted(service.users)[:2]:
        service.edit(id_, title="foreign")


HARMLESS = [
    Fault(refuse=(412, None)),
    Fault(refuse=(429, None)),
    Fault(refuse=(500, None)),
    Fault(lost="before"),
    Fault(lost="after"),
    Fault(missing="before"),
    Fault(missing="after"),
    Fault(edit=_nickname),
]
"""What a run gets over by itself when it happens once."""

ANY = [
    *HARMLESS,
    Fault(refuse=(400, "invalidValue")),
    Fault(refuse=(403, None)),
    Fault(refuse=(404, None)),
    Fault(refuse=(409, "uniqueness")),
    Fault(refuse=(409, None)),
    Fault(refuse=(413, None)),
    Fault(interrupt="before"),
    Fault(interrupt="after"),
    Fault(unreachable=True),
    Fault(edit=_title),
]


def _faults(kinds: list[Fault], most: int) -> st.SearchStrategy[dict[int, Fault]]:
    return st.dictionaries(st.integers(1, 12), st.sampled_from(kinds), max_size=most)


@settings(max_examples=150)
@given(worlds(), _faults(ANY, 6))
def test_every_change_has_exactly_one_outcome_whatever_goes_wrong(world: World, faults: dict[int, Fault]) -> None:
    """SPEC P6, INCIDENTS `62 changes applied`: told once, in plan order, and `applied` only what is really there."""
    world.service.faults = faults
    run = world.run()
    keys = [change.key for change in run.plan.changes]
    assert [result.change.key for result in run.applied.results] == keys
    assert Counter(str(result.change.key) for result in run.told) == Counter(str(key) for key in keys)
    if not run.applied.interrupted:
        assert run.residual == () or any(fault.edit is not None for fault in faults.values())


@settings(max_examples=150)
@given(worlds(), _faults(ANY, 6))
def test_the_next_run_ends_where_it_should_and_nothing_is_there_twice(world: World, faults: dict[int, Fault]) -> None:
    """SPEC P5 and P7, INCIDENTS `killed in the middle`: faults leave no duplicate and nothing is lost."""
    world.service.faults = faults
    world.run()
    world.service.faults = {}
    assert applied(world.run())
    assert world.plan().changes == ()
    users = Counter(fold(user["userName"]) for user in world.service.users.values())
    groups = Counter(fold(group["displayName"]) for group in world.service.groups.values())
    assert max([*users.values(), *groups.values()], default=1) == 1


@settings(max_examples=150)
@given(worlds(), _faults(HARMLESS, 1))
def test_a_run_gets_over_what_happens_once(world: World, faults: dict[int, Fault]) -> None:
    """A stale version, a lost answer, a missing result, a busy service: rebased, read back or sent again."""
    world.service.faults = faults
    assert applied(world.run())


@settings(max_examples=100)
@given(worlds(), _faults(ANY, 6))
def test_what_was_not_attempted_was_not_touched(world: World, faults: dict[int, Fault]) -> None:
    """Of a change that is reported as not attempted nothing can be seen on the service.

    But for members whom the create of a user carried along, where the dialect has `groups` in users.
    """
    world.service.faults = {n: fault for n, fault in faults.items() if fault.edit is None}
    before = copy.deepcopy({**world.service.users, **world.service.groups})
    run = world.run()
    for result in run.applied.results:
        if result.outcome is Outcome.NOT_ATTEMPTED and result.change.id is not None:
            now = {**world.service.users, **world.service.groups}[result.change.id]
            carried = {"members"} if world.tenant.dialect.inline_groups else set()
            assert {name for name in now if now[name] != before[result.change.id].get(name)} <= carried
