"""Random histories: whatever happened on the way, after a complete run the tenant is what the last commit declares."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reconciler.planner.guards import OVERRIDABLE
from tests.contract.ledger.machines import Machine, Machines

NAMES = ("ann", "bob", "cyd", "dan")


class Ending(StrEnum):
    """How a run ends."""

    COMPLETE = "complete"
    PARTLY = "partly"
    KILLED_BEFORE_SENDING = "killed before sending"
    KILLED_BEFORE_THE_RECEIPT = "killed before the receipt"


STEPS = st.lists(
    st.tuples(
        st.lists(st.sets(st.sampled_from(NAMES), min_size=1), min_size=1, max_size=2),  # commits, the last one applied
        st.sampled_from(Ending),
        st.sets(st.sampled_from(NAMES)),  # whose changes a run that ends partly does not get done
    ),
    min_size=1,
    max_size=4,
)


def declare(machine: Machine, names: set[str]) -> None:
    """These people exist, and all of them are in the team."""
    machine.people(*sorted(names))
    members = [{"user": f"{name}@example.com"} for name in sorted(names)]
    team = {"kind": "Group", "displayName": "Team", "membership": "additive", "members": members}
    machine.write("acme/team.yaml", json.dumps(team))
    machine.commit()


@settings(max_examples=12, phases=[phase for phase in Phase if phase is not Phase.shrink])
@given(steps=STEPS, last=st.sets(st.sampled_from(NAMES), min_size=1))
def test_after_a_complete_run_the_tenant_is_what_git_declares(
    steps: list[tuple[list[set[str]], Ending, set[str]]], last: set[str]
) -> None:
    """Issue 4: over random commits, partial failures, crashes and reverts, nothing that git granted is forgotten."""
    with TemporaryDirectory() as folder:
        machine = Machines(Path(folder)).alone()
        machine.allowed = dict.fromkeys(OVERRIDABLE)
        first_run = True
        for commits, ending, missed in steps:
            for names in commits:
                declare(machine, names)
            started = machine.begin(first_run=first_run)
            if ending is Ending.COMPLETE:
                started.finish()
            elif ending is Ending.PARTLY:
                started.finish(fails=lambda key, missed=missed: key.removeprefix("User/").split("@")[0] in missed)  # type: ignore[misc]
            elif ending is Ending.KILLED_BEFORE_THE_RECEIPT:
                started.send()
            first_run = first_run and not started.plan.changes
            machine.clock.passes(hours=2)
        declare(machine, last)
        machine.apply(first_run=first_run)
        users = machine.service.users
        assert {user["userName"].split("@")[0] for user in users.values() if user["active"]} == last
        (team,) = machine.service.groups.values()
        assert {users[member]["userName"].split("@")[0] for member in team["members"]} == last
        assert len(machine.memory().base.states) == 1
