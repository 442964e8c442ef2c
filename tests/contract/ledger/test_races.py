"""Machines that run at once, runs that die in the middle, and remotes that go away (SPEC 7.1, P7, P13)."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.model.plan import Selection
from reconciler.model.state import Standing
from tests.contract.ledger.machines import Machine, Machines, Started, git_environ


def deactivated(machine: Machine) -> set[str]:
    """Who is inactive."""
    return {user["userName"].split("@")[0] for user in machine.service.users.values() if not user["active"]}


def refused_to_begin(started: Started) -> LedgerRefused:
    """Why a run that was planned may not begin."""
    with pytest.raises(LedgerRefused) as refused:
        started.begin()
    assert refused.value.hint
    return refused.value


@pytest.fixture
def two(one: Machine, machines: Machines) -> Machine:
    """A second clone; cyd was added by the commit that both have, and not applied."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd")
    one.commit()
    one.push()
    return machines.clone("two")


def test_of_two_runs_that_were_planned_at_once_one_begins(one: Machine, two: Machine) -> None:
    """Issue 4: two clones, one remote; both read the same tip, and pushing is the lock."""
    first, second = one.plan(), two.plan()
    first.begin()
    refused = refused_to_begin(second)
    assert refused.reason is LedgerReason.OPEN_ATTEMPT
    assert first.run in refused.message
    first.finish()
    assert len(one.entries()) == 4
    assert two.apply().plan.changes == ()


def test_who_planned_before_another_run_ended_has_to_plan_again(one: Machine, two: Machine) -> None:
    """The other run is over; what this one read of the ledger and the tenant is old."""
    second = two.plan()
    one.apply()
    assert refused_to_begin(second).reason is LedgerReason.MOVED
    assert two.apply().plan.changes == ()


@pytest.mark.parametrize("shared", [True, False])
def test_of_many_runs_that_begin_at_the_same_moment_exactly_one_gets_in(
    one: Machine, machines: Machines, shared: bool
) -> None:
    """Issue 4, with real processes of git: on a remote, and on one repository with worktrees and no remote."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.push()
    count = 5
    if shared:
        others = [machines.clone(f"clone{number}") for number in range(count)]
    else:
        one.git("remote", "remove", "origin")
        for number in range(count):
            one.git("worktree", "add", "--quiet", "--detach", f"../tree{number}")
        others = [Machine(one.folder.parent / f"tree{number}", one.service, one.clock) for number in range(count)]
    planned = [machine.plan() for machine in others]
    barrier = Barrier(count)

    def begin(started: Started) -> str:
        barrier.wait()
        try:
            started.begin()
        except LedgerRefused as refused:
            return refused.reason
        return "in"

    with ThreadPoolExecutor(count) as pool:
        outcomes = sorted(pool.map(begin, planned))
    assert outcomes.count("in") == 1
    assert set(outcomes) <= {"in", LedgerReason.OPEN_ATTEMPT, LedgerReason.MOVED}
    assert len([entry for entry in planned if entry.memory.obstacle is None]) == count


def test_a_first_run_on_two_machines_gets_in_once(one: Machine, machines: Machines) -> None:
    """There is no branch yet to compare with, and both say the same in the same second: chance tells them apart."""
    first, second = one.plan(first_run=True), machines.clone("two").plan(first_run=True)
    first.begin()
    assert first.run == second.run
    assert refused_to_begin(second).reason is LedgerReason.OPEN_ATTEMPT


def test_a_killed_run_can_be_taken_over(one: Machine, two: Machine) -> None:
    """SPEC 7.1: somebody says by name that it is over; what it sent is remembered, and proven by the next."""
    killed = one.begin()
    killed.send()
    two.git("checkout", "--quiet", "HEAD")
    assert two.memory(take_over="20200101T000000Z-0000").obstacle is not None
    memory = two.memory(take_over=killed.run)
    assert memory.obstacle is None
    assert memory.open_run == killed.run
    two.people("ann", "bob")
    two.commit()
    two.apply(take_over=killed.run)
    assert deactivated(two) == {"cyd"}
    assert two.entries()[-2]["takesOver"] == killed.run
    assert two.memory().open_run == ""


def test_a_run_that_was_taken_over_without_changes_is_over_as_well(one: Machine, two: Machine) -> None:
    """It had sent everything before it died: there is nothing to attempt, and the receipt ends it."""
    killed = one.begin()
    killed.send()
    two.apply(take_over=killed.run)
    assert two.memory().open_run == ""
    assert two.entries()[-1]["attempt"] is None


def test_a_receipt_is_appended_again_where_the_branch_moved(one: Machine, two: Machine) -> None:
    """SPEC 7.1: the run was taken over and went on all the same; nothing of either is lost."""
    slow = one.begin()
    two.people("ann", "bob", "cyd", "dan")
    two.commit()
    fast = two.begin(take_over=slow.run)
    slow.finish()
    fast.finish()
    entries = one.entries()
    assert [(entry["kind"], entry["run"]) for entry in entries[2:]] == [
        ("attempt", slow.run),
        ("attempt", fast.run),
        ("receipt", slow.run),
        ("receipt", fast.run),
    ]


def test_a_complete_receipt_that_was_overtaken_is_not_the_base(one: Machine, two: Machine) -> None:
    """SPEC P13: the slow run proved its own commit, and knows nothing of what the fast one may have granted since."""
    slow = one.begin()
    result = slow.send()
    two.people("ann", "bob", "cyd", "dan")
    two.commit()
    two.push()
    fast = two.begin(take_over=slow.run)
    fast.send()  # and dies
    slow.memory.end(slow.plan, slow.live, result)
    assert one.entries()[-1]["complete"]
    one.pull()
    one.git("revert", "--no-edit", "HEAD")
    one.apply(take_over=fast.run)
    assert deactivated(one) == {"dan"}


def test_a_receipt_that_comes_after_the_base_brings_its_run_back_to_mind(one: Machine, two: Machine) -> None:
    """SPEC P13: taken over, and the next run complete, before the slow one is done: its state counts again."""
    slow = one.begin()
    two.people("ann", "bob")
    two.commit()
    two.push()
    two.apply(take_over=slow.run)
    slow.finish()
    base = two.memory().base
    assert len(base.states) == 2
    assert {user.user_name for user in base.states[1].users} >= {"cyd@example.com"}
    two.apply()
    assert "cyd" in deactivated(two)


def test_a_run_without_changes_that_was_overtaken_says_nothing(one: Machine, two: Machine) -> None:
    """What it saw of the tenant is older than what the other run did."""
    idle = two.plan(selection=Selection.REVOKE)
    assert idle.plan.changes == ()
    one.apply()
    before = one.entries()
    idle.finish()
    assert one.entries() == before


def test_a_receipt_that_cannot_be_pushed_goes_with_the_next_entry(
    one: Machine, two: Machine, machines: Machines
) -> None:
    """SPEC 7.1: the remote was away when the run ended; its attempt is there, and keeps others out until then."""
    started = one.begin()
    machines.shared.rename(machines.folder / "away.git")
    with pytest.raises(LedgerRefused) as refused:
        started.finish()
    assert refused.value.reason is LedgerReason.UNREACHABLE
    (machines.folder / "away.git").rename(machines.shared)
    assert len(one.entries()) == 3
    assert two.memory().open_run == started.run
    assert one.memory().open_run == ""
    one.apply()
    assert [entry["kind"] for entry in one.entries()[2:]] == ["attempt", "receipt", "receipt"]
    assert two.memory().open_run == ""


def test_a_kept_receipt_that_others_passed_by_is_told_apart(one: Machine, two: Machine, machines: Machines) -> None:
    """The local branch is not a part of the shared one any more: the person decides, and loses no grant by it."""
    started = one.begin()
    machines.shared.rename(machines.folder / "away.git")
    with pytest.raises(LedgerRefused):
        started.finish()
    (machines.folder / "away.git").rename(machines.shared)
    two.apply(take_over=started.run)
    obstacle = one.memory().obstacle
    assert obstacle is not None
    assert obstacle.reason is LedgerReason.REWOUND
    assert "git branch -D reconciler/acme" in str(obstacle.hint)
    one.git("branch", "-D", "reconciler/acme")
    assert one.memory().base.standing is Standing.USABLE


def wrapped_git(machine: Machine, folder: Path, after: str) -> None:
    """Let a machine run git through a script: `after` stands after the real git, whose exit code is in `$code`."""
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    script = folder / "bin" / "git"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n{real} "$@"\ncode=$?\n{after}\nexit $code\n')
    script.chmod(0o755)
    machine.git_variables = {"PATH": f"{script.parent}:{git_environ(machine.folder)['PATH']}"}


def test_a_push_whose_answer_was_lost_is_looked_up(one: Machine, two: Machine, tmp_path: Path) -> None:
    """SPEC P5: the remote took the entry, and the connection broke before it said so."""
    wrapped_git(one, tmp_path, 'case " $* " in *" push "*) exit 128 ;; esac')
    one.apply()
    assert len(one.entries()) == 4
    assert two.memory().open_run == ""


def test_a_remote_that_takes_no_push_is_told(one: Machine, two: Machine, machines: Machines) -> None:
    """Without the right to push there is no lock, and so no run."""
    hook = machines.shared / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not yours >&2\nexit 1\n")
    hook.chmod(0o755)
    refused = refused_to_begin(one.plan())
    assert refused.reason is LedgerReason.UNREACHABLE
    assert "not yours" in str(refused.context)


def test_an_attempt_that_cannot_be_pushed_leaves_nothing_behind(one: Machine, two: Machine, machines: Machines) -> None:
    """Nothing was sent: the branch here is as it was."""
    planned = one.plan()
    before = one.git("rev-parse", "reconciler/acme")
    machines.shared.rename(machines.folder / "away.git")
    assert refused_to_begin(planned).reason is LedgerReason.UNREACHABLE
    assert one.git("rev-parse", "reconciler/acme") == before
