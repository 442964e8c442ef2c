"""What git granted, git takes back (SPEC P13): the ledger over whole runs, with real git and a bare repository."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.model.change import Action, Reason
from reconciler.model.plan import DesiredRevision, Selection
from reconciler.model.state import Standing
from reconciler.planner.explanations import FINDING_PAGES
from reconciler.reconcile.memory import obstacle_findings
from tests.contract.ledger.machines import BASE_URL, Machine, Machines, git


def active(machine: Machine) -> dict[str, bool]:
    """Who is there, and whether active."""
    return {user["userName"].split("@")[0]: user["active"] for user in machine.service.users.values()}


def refusal(machine: Machine, **options: Any) -> LedgerRefused:
    """Why there is no memory to plan with; the base says the same in words, and no run may begin."""
    memory = machine.memory(**options)
    assert memory.base.standing is Standing.UNUSABLE
    assert memory.base.states == ()
    assert memory.obstacle is not None
    assert memory.base.detail.startswith(f"{memory.obstacle.reason}: ")
    assert memory.obstacle.hint
    return memory.obstacle


def test_an_attempt_before_and_a_receipt_after_each_run_are_on_the_remote(one: Machine) -> None:
    """SPEC 7.1: entries are commits whose second parent is the desired commit; none of them names a person."""
    head = one.git("rev-parse", "HEAD")
    one.apply(first_run=True)
    attempt, receipt = one.entries()
    assert (attempt["kind"], receipt["kind"]) == ("attempt", "receipt")
    assert (attempt["commit"], receipt["commit"]) == (head, head)
    assert attempt["firstRun"]
    assert len(attempt["digests"]) == 2
    assert receipt["complete"]
    assert receipt["counts"]["created"] == {"User": 2, "Group": 0}
    tip = one.git("ls-remote", "origin", "refs/heads/reconciler/acme").split("\t")[0]
    assert one.git("rev-parse", f"{tip}^2") == head
    assert one.git("rev-parse", f"{tip}^1^1") == head
    assert one.git("show", f"{tip}:users").split("\n") == sorted(one.service.users)
    everything = "".join(one.git("cat-file", "-p", name) for name in (tip, f"{tip}^1", f"{tip}:entry.json"))
    assert "ann" not in everything


def test_what_a_complete_run_declared_is_the_base_of_the_next(one: Machine) -> None:
    """SPEC section 6: who is no longer declared is deactivated, with the reason `removed`."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit("without bob")
    memory = one.memory()
    assert memory.base.standing is Standing.USABLE
    assert memory.base.commit == one.git("rev-parse", "HEAD~1")
    assert memory.base.known == frozenset(one.service.users)
    assert memory.before is not None
    (change,) = one.apply().plan.changes
    assert (change.action, change.reason) == (Action.DEACTIVATE, Reason.REMOVED)
    assert active(one) == {"ann": True, "bob": False}
    receipt = one.entries()[-1]
    assert receipt["counts"]["removed"] == {"User": 1, "Group": 0}
    assert receipt["released"] == {change.id: one.clock.stamp()}


def test_a_run_without_changes_leaves_a_receipt_and_no_attempt(one: Machine) -> None:
    """SPEC 7.1: receipts also for runs without changes, and who is released is carried on."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    released = one.apply().memory.base.released
    one.clock.passes(days=2)
    assert one.apply().plan.changes == ()
    kinds = [entry["kind"] for entry in one.entries()]
    assert kinds == ["attempt", "receipt", "attempt", "receipt", "receipt"]
    assert one.entries()[-1]["attempt"] is None
    assert len(one.entries()[-1]["released"]) == 1
    assert not released


def test_what_a_failed_run_granted_is_taken_back_when_git_reverts_it(one: Machine) -> None:
    """Issue 4, first story: cyd was created by a run that failed elsewhere, and git reverts the commit."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd", "dan")
    one.commit("cyd and dan")
    one.begin().finish(fails=lambda key: "dan" in key)
    assert not one.entries()[-1]["complete"]
    one.git("revert", "--no-edit", "HEAD")
    one.apply()
    assert active(one) == {"ann": True, "bob": True, "cyd": False}
    assert one.entries()[-1]["complete"]


def test_what_a_killed_run_granted_is_taken_back_when_git_reverts_it(one: Machine) -> None:
    """SPEC P13: nothing that a run may have applied is forgotten, although it left no receipt."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd")
    one.commit("cyd")
    one.begin().send()
    one.git("revert", "--no-edit", "HEAD")
    one.clock.passes(hours=2)
    one.apply()
    assert active(one) == {"ann": True, "bob": True, "cyd": False}


def test_what_a_first_run_granted_before_it_failed_is_taken_back(one: Machine) -> None:
    """SPEC P13: there is no complete receipt yet, and the attempt alone is enough to remember by."""
    one.begin(first_run=True).finish(fails=lambda key: "bob" in key)
    one.people("bob")
    one.commit("ann was a mistake")
    assert one.memory().base.standing is Standing.USABLE
    one.apply()
    assert active(one) == {"ann": False, "bob": True}


def test_what_was_proven_since_counts_from_there_on(one: Machine) -> None:
    """SPEC section 6: base is per resource; what a partial run proved is not compared with older states any more."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd", title="Agent")
    one.commit("titles")
    one.begin().finish(fails=lambda key: "cyd" in key)
    base = one.memory().base
    assert len(base.states) == 2
    ids = {user["userName"]: identifier for identifier, user in one.service.users.items()}
    assert base.proven == {ids["ann@example.com"]: 1, ids["bob@example.com"]: 1}
    assert one.apply().plan.changes[0].key.name == "cyd@example.com"
    assert len(one.memory().base.states) == 1


def test_attempts_with_the_same_desired_state_are_one_state(one: Machine) -> None:
    """A retry of the same commit, and commits that do not touch the root, cost no loading and no memory."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd")
    one.commit()
    for _ in range(2):
        one.begin().finish(fails=lambda _: True)
        (one.folder / "README").write_text(one.clock.stamp())
        one.commit("another file")
        one.clock.passes(minutes=1)
    assert len(one.memory().base.states) == 2
    assert one.memory().base.states[-1] is not one.memory().base.states[0]


def test_removals_of_the_last_day_are_counted_and_older_ones_are_not(one: Machine) -> None:
    """SPEC section 8, churn: many small runs count together."""
    one.people("ann", "bob", "cyd", "dan")
    one.commit()
    one.apply(first_run=True)
    for left in (("ann", "bob", "cyd"), ("ann", "bob")):
        one.clock.passes(hours=13)
        one.people(*left)
        one.commit()
        one.apply()
    removals = one.memory().base.recent_removals
    assert {kind.value: count for kind, count in removals.items()} == {"User": 2, "Group": 0}
    one.clock.passes(hours=12)
    assert sum(one.memory().base.recent_removals.values()) == 1


def test_without_a_ledger_only_a_first_run_may_begin(one: Machine) -> None:
    """SPEC 7.1: no memory is not the same as nothing to remember."""
    refused = refusal(one)
    assert refused.reason is LedgerReason.MISSING
    assert "--first-run" in str(refused.hint)
    memory = one.memory(first_run=True)
    assert memory.base.standing is Standing.FIRST_RUN
    assert memory.obstacle is None


def test_a_first_run_is_refused_once_there_is_a_ledger(one: Machine) -> None:
    """SPEC 7.1: --first-run would forget everything."""
    one.apply(first_run=True)
    assert refusal(one, first_run=True).reason is LedgerReason.NOT_THE_FIRST


def test_a_ledger_that_was_removed_is_missed(one: Machine) -> None:
    """SPEC 7.1: the state directory remembers the head; --first-run does not help, pushing it back does."""
    one.apply(first_run=True)
    one.git("push", "--quiet", "origin", ":refs/heads/reconciler/acme")
    assert refusal(one, first_run=True).reason is LedgerReason.MISSING
    one.git("branch", "-D", "reconciler/acme")
    assert refusal(one, first_run=True).reason is LedgerReason.MISSING


def test_a_ledger_that_was_rewound_is_refused(one: Machine) -> None:
    """SPEC 7.1: who removes the last entries makes git forget what was granted since."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd")
    one.commit()
    one.apply()
    one.git("push", "--quiet", "--force", "origin", "reconciler/acme~2:refs/heads/reconciler/acme")
    one.git("branch", "-f", "reconciler/acme", "reconciler/acme~2")
    assert refusal(one).reason is LedgerReason.REWOUND


def test_the_remembered_head_is_private_and_read_with_care(one: Machine) -> None:
    """SPEC section 7: everything in the state directory is 0600."""
    one.apply(first_run=True)
    file = one.state / "acme" / "ledger-head"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == one.git("rev-parse", "reconciler/acme")
    file.write_bytes(b"\xff\xfe")
    assert refusal(one).reason is LedgerReason.UNREADABLE


def test_a_commit_that_does_not_come_after_the_last_one_applied_is_refused(one: Machine) -> None:
    """SPEC section 6: on a branch that lacks what was applied, absence means nothing."""
    one.people("ann", "bob", "cyd")
    one.commit()
    one.apply(first_run=True)
    one.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    assert refusal(one).reason is LedgerReason.NOT_AN_ANCESTOR


def test_a_ledger_of_another_target_is_refused(one: Machine) -> None:
    """SPEC section 6: ids and memberships of one directory mean nothing in another."""
    one.apply(first_run=True)
    one.tenant(base_url="https://other.example.com/scim/v2")
    one.commit()
    refused = refusal(one)
    assert refused.reason is LedgerReason.OTHER_TARGET
    assert BASE_URL in refused.message


def test_while_an_attempt_is_open_others_plan_and_do_not_begin(one: Machine, machines: Machines) -> None:
    """SPEC 7.1: an open attempt is the lock across machines, and says who, since when, until when."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.push()
    two = machines.clone("two")
    one.begin()
    memory = two.memory()
    assert memory.base.standing is Standing.USABLE
    assert memory.obstacle is not None
    assert memory.obstacle.reason is LedgerReason.OPEN_ATTEMPT
    assert "gina" in str(memory.obstacle.context)
    assert one.clock.stamp(hours=1) in str(memory.obstacle.context)
    with pytest.raises(LedgerRefused, match="may still be at work"):
        two.begin()
    one.clock.passes(hours=1)
    assert two.memory().obstacle is None


def test_a_tree_that_is_not_the_commit_is_planned_and_not_applied(one: Machine) -> None:
    """SPEC 7.1: what is written down is a commit; what is not in it could never be taken back."""
    one.apply(first_run=True)
    one.people("ann")
    memory = one.memory()
    assert memory.revision.dirty
    assert memory.obstacle is not None
    assert memory.obstacle.reason is LedgerReason.DIRTY
    with pytest.raises(LedgerRefused):
        one.begin()


@pytest.mark.parametrize("how", ["ignored", "assume-unchanged", "skip-worktree", "untracked", "include"])
def test_a_tree_is_dirty_whatever_hides_it(one: Machine, how: str) -> None:
    """SPEC 7.1: a file that git ignores is read all the same, and one that git was told not to look at may differ."""
    people = "desired-state/acme/people.yaml"
    if how == "ignored":
        (one.folder / ".gitignore").write_text("more.yaml\n")
        one.commit()
        one.write("acme/more.yaml", "kind: Users\nitems: []\n")
    elif how in {"assume-unchanged", "skip-worktree"}:
        one.git("update-index", f"--{how}", people)
        one.people("ann")
    else:
        one.write(f"{'_shared' if how == 'include' else 'acme'}/more.yaml", "kind: Users\nitems: []\n")
    obstacle = one.memory(first_run=True).obstacle
    assert obstacle is not None
    assert obstacle.reason is LedgerReason.DIRTY


def test_what_git_ignores_and_nobody_reads_does_not_count(one: Machine) -> None:
    """Editors and operating systems leave their files everywhere."""
    (one.folder / ".gitignore").write_text("*.swp\n.cache\n")
    one.commit()
    one.write("acme/people.yaml.swp", "x")
    one.write("acme/.cache/more.yaml", "x")
    assert one.memory(first_run=True).obstacle is None


def test_outside_of_git_nothing_is_remembered_and_nothing_written(machines: Machines) -> None:
    """SPEC section 6: without a checkout there is no base, and no ledger to write to."""
    alone = machines.alone()
    (alone.folder / ".git").rename(machines.folder / "gone")
    started = alone.apply()
    assert started.memory.base.standing is Standing.UNTRACKED
    assert [path.name for path in alone.state.rglob("*")] == ["acme", "lock"]


def test_a_file_that_git_does_not_track_has_no_base(machines: Machines) -> None:
    """SPEC section 6: the checkout must track tenant.yaml."""
    alone = machines.alone()
    alone.git("rm", "--quiet", "--cached", "desired-state/acme/tenant.yaml")
    assert alone.memory().base.standing is Standing.UNTRACKED


def test_outside_of_git_a_remembered_ledger_is_missed(one: Machine, machines: Machines) -> None:
    """SPEC section 6: where a ledger exists, planning without it is refused."""
    one.apply(first_run=True)
    (one.folder / ".git").rename(machines.folder / "gone")
    assert refusal(one).reason is LedgerReason.MISSING


def test_a_repository_that_git_does_not_read_is_not_taken_for_none(one: Machine) -> None:
    """A checkout of another user, or a damaged one, must not read as: git never declared anything."""
    (one.folder / ".git" / "HEAD").unlink()
    refused = refusal(one)
    assert refused.reason is LedgerReason.UNREADABLE
    assert refused.context


def test_without_a_remote_the_local_branch_is_the_ledger(machines: Machines) -> None:
    """SPEC 7.1: with a remote it is pushed; without one it is there all the same."""
    alone = machines.alone()
    alone.apply(first_run=True)
    alone.people("ann")
    alone.commit()
    alone.apply()
    assert active(alone) == {"ann": True, "bob": False}
    entry = json.loads(alone.git("show", "reconciler/acme:entry.json"))
    assert entry["complete"]
    assert entry["previous"] == alone.git("rev-parse", "reconciler/acme~1")


def test_variables_of_a_hook_do_not_lead_elsewhere(
    one: Machine, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run from a hook of another repository, git still looks at the one that the desired state is in."""
    elsewhere = machines.alone("elsewhere")
    for name, value in (
        ("GIT_DIR", elsewhere.folder / ".git"),
        ("GIT_INDEX_FILE", elsewhere.folder / ".git" / "index"),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("tests.contract.ledger.machines.git_environ", lambda _: dict(os.environ))
    memory = one.memory(first_run=True)
    monkeypatch.undo()
    assert memory.revision.commit == one.git("rev-parse", "HEAD")


def test_a_run_that_only_revokes_proves_nothing_else(one: Machine) -> None:
    """SPEC 7.8: what it passed over is not settled, and its receipt is never the base."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.apply(selection=Selection.REVOKE)
    receipt = one.entries()[-1]
    assert not receipt["complete"]
    assert receipt["counts"]["removed"]["User"] == 1
    base = one.memory().base
    assert not base.proven
    assert len(base.states) == 2


def test_a_commit_of_which_nothing_was_sent_is_not_remembered(one: Machine) -> None:
    """Somebody else may give what git only wanted to give: that is not git's to take back."""
    one.apply(first_run=True)
    one.people("ann", "bob", "cyd")
    one.commit()
    assert one.apply(selection=Selection.REVOKE).plan.changes == ()
    assert not one.entries()[-1]["complete"]
    assert len(one.memory().base.states) == 1


def test_a_plan_of_files_that_are_in_no_commit_is_not_carried_out(one: Machine) -> None:
    """A saved plan says what it was made from: what no commit declares could never be taken back."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    started = one.plan()
    for revision in (DesiredRevision(), replace(started.plan.desired, dirty=True)):
        with pytest.raises(LedgerRefused) as refused:
            replace(started, plan=replace(started.plan, desired=revision)).begin()
        assert refused.value.reason is LedgerReason.DIRTY
    one.git("commit", "--quiet", "--allow-empty", "--amend", "-m", "amended")
    started = replace(one.plan(), plan=started.plan)
    with pytest.raises(LedgerRefused) as refused:
        started.begin()
    assert refused.value.reason is LedgerReason.NOT_AN_ANCESTOR


def test_a_plan_tells_what_stands_in_the_way_of_applying_it(one: Machine) -> None:
    """SPEC 7.1: plan only says so; an unusable base is told by the guard instead."""
    assert obstacle_findings(one.memory()) == ()
    one.apply(first_run=True)
    assert obstacle_findings(one.memory()) == ()
    one.people("ann")
    assert [finding.code for finding in obstacle_findings(one.memory())] == ["dirty"]
    one.commit()
    started = one.begin()
    (finding,) = obstacle_findings(one.memory())
    assert finding.code == "open-attempt"
    assert started.run in finding.message
    assert {"dirty", "open-attempt"} <= FINDING_PAGES.keys()


def test_earlier_states_are_read_in_the_environment_of_now(one: Machine) -> None:
    """cxone.md D1, D32: where the environment names the base URL, an earlier tenant.yaml says none either."""
    one.environ["CXONE_BASE_URL"] = BASE_URL
    one.tenant(profile="cxone", scim={})
    person: dict[str, Any] = {"name": {"givenName": "A", "familyName": "B"}, "emails": [{"value": "a@example.com"}]}
    one.people("ann", "bob", **person)
    one.commit()
    one.apply(first_run=True)
    one.people("ann", **person)
    one.commit()
    memory = one.memory()
    assert memory.base.standing is Standing.USABLE, memory.base.detail
    assert len(memory.base.states[0].users) == 2
    assert memory.before is not None
    assert memory.before.target == BASE_URL


def test_git_keeps_the_desired_commit_that_a_squash_would_lose(one: Machine) -> None:
    """SPEC 7.1: the second parent holds it, also when no branch has it any more and the remote is pruned."""
    one.git("checkout", "--quiet", "-b", "topic")
    one.people("ann", "bob", "cyd")
    applied = one.commit()
    one.apply(first_run=True)
    one.git("checkout", "--quiet", "main")
    one.git("branch", "-D", "topic")
    git(one.folder.parent / "shared.git", "gc", "--quiet", "--prune=now")
    assert git(one.folder.parent / "shared.git", "cat-file", "-t", applied) == "commit"
