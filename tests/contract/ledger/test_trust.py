"""Whether a ledger is to be relied on: signatures, forgeries, cut histories, and the ways on that keep the memory."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConfigurationError, LedgerReason, LedgerRefused
from reconciler.model.change import Action
from reconciler.model.state import Standing
from tests.contract.ledger.machines import BASE_URL, Machine, Machines, git, git_environ

OTHER_URL = "https://acme-eu.example.com/scim/v2"


def refusal(machine: Machine, tenant: str = "acme", **options: Any) -> LedgerRefused:
    """Why there is no memory to plan with."""
    memory = machine.memory(tenant, **options)
    assert memory.base.standing is Standing.UNUSABLE, memory.base
    assert memory.obstacle is not None
    assert memory.obstacle.hint
    return memory.obstacle


def tip_of(machine: Machine, tenant: str = "acme") -> str:
    """Where the shared ledger ends."""
    return machine.git("ls-remote", "origin", f"refs/heads/reconciler/{tenant}").split("\t")[0]


def deactivated(machine: Machine) -> set[str]:
    """Who is inactive."""
    return {user["userName"].split("@")[0] for user in machine.service.users.values() if not user["active"]}


# Signatures


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Two keys, and a file of signers that allows the first."""
    for name in ("good", "bad"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True)
    public = (tmp_path / "good.pub").read_text()
    (tmp_path / "signers").write_text(f"gina@example.com {public}")
    return {name: tmp_path / name for name in ("good", "bad", "signers")}


def sign_with(machine: Machine, keys: dict[str, Path], key: str = "good") -> None:
    """Demand signatures, and have a key to make them."""
    machine.environ["RECONCILER_LEDGER_SIGNERS"] = str(keys["signers"])
    machine.git("config", "user.signingKey", str(keys[key]))


def test_where_signatures_are_demanded_entries_are_signed_and_read(one: Machine, keys: dict[str, Path]) -> None:
    """SPEC 7.1: RECONCILER_LEDGER_SIGNERS makes signatures mandatory, and runs make them."""
    sign_with(one, keys)
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.apply()
    assert deactivated(one) == {"bob"}
    assert "BEGIN SSH SIGNATURE" in one.git("cat-file", "commit", tip_of(one))


def test_an_unsigned_entry_is_refused(one: Machine, keys: dict[str, Path]) -> None:
    """SPEC 7.1: whoever can push cannot therefore make git forget."""
    one.apply(first_run=True)
    sign_with(one, keys)
    refused = refusal(one)
    assert refused.reason is LedgerReason.UNSIGNED
    assert tip_of(one) in refused.message


def test_an_entry_that_somebody_else_signed_is_refused(one: Machine, keys: dict[str, Path]) -> None:
    """A good signature is not enough: it has to be one of an allowed signer."""
    sign_with(one, keys)
    one.apply(first_run=True)
    (keys["signers"]).write_text(f"gina@example.com {(keys['bad'].parent / 'bad.pub').read_text()}")
    assert refusal(one).reason is LedgerReason.UNSIGNED


def test_an_entry_that_was_signed_with_pgp_is_refused(one: Machine, keys: dict[str, Path], tmp_path: Path) -> None:
    """Whom the key ring of a person trusts was not asked for: a program that says yes to everything is never run."""
    one.apply(first_run=True)
    agree = tmp_path / "agree"
    agree.write_text(
        "#!/bin/sh\ncat >/dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\necho '-----BEGIN PGP SIGNATURE-----'\n"
    )
    agree.chmod(0o755)
    tip = tip_of(one)
    parents = one.git("rev-parse", f"{tip}^1", f"{tip}^2").split()
    options = ("-c", "gpg.format=openpgp", "-c", f"gpg.program={agree}")
    arguments = ("commit-tree", "-S", "-p", parents[0], "-p", parents[1], f"{tip}^{{tree}}", "-m", "x")
    forged = one.git(*options, *arguments)
    agree.write_text("#!/bin/sh\necho '[GNUPG:] GOODSIG 0 x'\necho '[GNUPG:] TRUST_ULTIMATE 0 pgp'\n")
    one.git("config", "gpg.program", str(agree))
    one.git("update-ref", "refs/heads/reconciler/acme", forged)
    one.git("push", "--quiet", "--force", "origin", "reconciler/acme")
    (one.state / "acme" / "ledger-head").unlink()
    sign_with(one, keys)
    assert one.git("log", "-1", "--format=%G?", forged) == "G"
    assert refusal(one).reason is LedgerReason.UNSIGNED


@pytest.mark.parametrize("key", ["bad", "none"])
def test_a_run_that_cannot_sign_does_not_begin(one: Machine, keys: dict[str, Path], key: str) -> None:
    """Nothing is pushed and nothing is sent; the error says what to configure."""
    keys["none"] = keys["signers"].parent / "none"
    sign_with(one, keys, key)
    with pytest.raises(LedgerRefused) as refused:
        one.begin(first_run=True)
    assert refused.value.reason is LedgerReason.UNSIGNED
    assert not tip_of(one)


def test_a_person_may_answer_for_entries_from_before_signatures_were_demanded(
    one: Machine, keys: dict[str, Path]
) -> None:
    """The way on: `--continue-from` names the last entry that is trusted, and the signed attempt says so."""
    one.apply(first_run=True)
    sign_with(one, keys)
    one.people("ann")
    one.commit()
    one.apply(continue_from=tip_of(one))
    assert deactivated(one) == {"bob"}
    one.people()
    one.commit()
    assert one.memory().base.standing is Standing.USABLE


def test_signers_are_named_outside_of_the_checkout(one: Machine, keys: dict[str, Path]) -> None:
    """SPEC 7.1: a pull request must not be able to sign for itself."""
    inside = one.folder / "signers"
    inside.write_text(keys["signers"].read_text())
    for value in (inside, one.folder / "nowhere"):
        one.environ["RECONCILER_LEDGER_SIGNERS"] = str(value)
        with pytest.raises(ConfigurationError):
            one.memory()


# Heads that somebody remembers


def test_an_entry_that_the_environment_names_must_be_in_the_ledger(one: Machine, machines: Machines) -> None:
    """SPEC 7.1: RECONCILER_LEDGER_HEAD is the memory of machines that keep no state, such as runners of CI."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.push()
    one.apply()
    two = machines.clone("two")
    for value in (tip_of(one), f"other={'0' * 40}, acme={tip_of(one)}"):
        two.environ["RECONCILER_LEDGER_HEAD"] = value
        assert two.memory().base.standing is Standing.USABLE
    one.git("push", "--quiet", "--force", "origin", "reconciler/acme~2:refs/heads/reconciler/acme")
    assert refusal(two).reason is LedgerReason.REWOUND
    one.git("push", "--quiet", "origin", ":refs/heads/reconciler/acme")
    assert refusal(two, first_run=True).reason is LedgerReason.MISSING


def test_a_head_that_is_no_entry_is_a_mistake_of_the_environment(one: Machine) -> None:
    """It is no commit, so nothing could be compared with it."""
    one.environ["RECONCILER_LEDGER_HEAD"] = "--upload-pack=x"
    with pytest.raises(ConfigurationError, match="RECONCILER_LEDGER_HEAD"):
        one.memory()


# Shallow clones and worktrees


def grown(machine: Machine, by: int) -> None:
    """Many commits more, fast."""
    tip = machine.git("rev-parse", "HEAD")
    commands = [f"reset refs/heads/main\nfrom {tip}\n"]
    commands += [
        f"commit refs/heads/main\ncommitter G <g@example.com> {1_770_000_000 + n} +0000\ndata 1\nx\n" for n in range(by)
    ]
    machine.git("fast-import", "--quiet", "--force", stdin="\n".join(commands) + "\n")
    machine.git("reset", "--quiet", "--hard")


@pytest.mark.parametrize("distance", [3, 100, 700])
def test_a_shallow_clone_fetches_the_history_that_it_needs(one: Machine, machines: Machines, distance: int) -> None:
    """SPEC 7.1: CI checks out one commit; what was applied may lie far below it."""
    one.apply(first_run=True)
    grown(one, distance)
    one.people("ann")
    one.commit()
    one.push()
    two = machines.clone("two", "--depth=1")
    two.apply()
    assert deactivated(two) == {"bob"}
    assert one.apply().plan.changes == ()


def test_a_shallow_clone_of_all_branches_reads_the_whole_ledger(one: Machine, machines: Machines) -> None:
    """The ledger's branch itself is cut off after its last entry there."""
    one.begin(first_run=True).finish(fails=lambda key: "bob" in key)
    one.push()
    two = machines.clone("two", "--depth=1", "--no-single-branch")
    memory = two.memory()
    assert memory.base.standing is Standing.USABLE
    assert len(memory.base.states) == 1
    two.apply()
    assert two.entries()[-1]["complete"]


def test_what_really_is_no_ancestor_is_refused_in_a_shallow_clone_as_well(one: Machine, machines: Machines) -> None:
    """Deepening ends where history does."""
    one.git("checkout", "--quiet", "-b", "topic")
    one.people("ann", "bob", "cyd")
    one.commit()
    one.apply(first_run=True)
    one.git("checkout", "--quiet", "main")
    grown(one, 100)
    one.push()
    assert refusal(machines.clone("two", "--depth=1")).reason is LedgerReason.NOT_AN_ANCESTOR


def test_a_shallow_clone_that_cannot_be_deepened_is_refused(one: Machine, machines: Machines) -> None:
    """SPEC 7.1: where it cannot fetch what it needs, it names what to fetch."""
    one.apply(first_run=True)
    grown(one, 20)
    one.push()
    two = machines.clone("two", "--depth=1")
    two.memory()
    two = machines.clone("three", "--depth=1")
    (machines.shared / "gone").mkdir()
    (machines.shared / "HEAD").rename(machines.shared / "gone" / "HEAD")
    refused = refusal(two)
    assert refused.reason is LedgerReason.UNREACHABLE
    assert "+refs/heads/reconciler/acme:refs/reconciler/origin/acme" in str(refused.hint)


def test_a_worktree_uses_the_ledger_of_its_repository(one: Machine) -> None:
    """SPEC 7.1: nothing is checked out, and a worktree is a checkout like any other."""
    one.apply(first_run=True)
    one.git("worktree", "add", "--quiet", "-b", "topic", "../tree")
    tree = Machine(one.folder.parent / "tree", one.service, one.clock)
    tree.people("ann")
    tree.commit()
    tree.apply()
    assert deactivated(tree) == {"bob"}
    assert len(one.entries()) == 4
    assert not one.git("status", "--porcelain")


def test_the_remote_of_the_branch_decides_before_origin(one: Machine, machines: Machines) -> None:
    """SPEC 7.1: with a remote the ledger is pushed, to where the branch comes from."""
    git(machines.folder, "clone", "--quiet", "--bare", str(machines.shared), "upstream.git")
    one.git("remote", "add", "upstream", "../upstream.git")
    one.git("config", "branch.main.remote", "upstream")
    one.git("config", "branch.main.merge", "refs/heads/main")
    one.apply(first_run=True)
    assert not tip_of(one)
    assert git(machines.folder / "upstream.git", "rev-parse", "reconciler/acme") == one.git(
        "rev-parse", "reconciler/acme"
    )


def test_a_remote_that_does_not_answer_is_named_with_what_to_fetch(one: Machine, machines: Machines) -> None:
    """SPEC 7.1: planning on what happens to be here could forget what others did."""
    one.apply(first_run=True)
    machines.shared.rename(machines.folder / "gone.git")
    refused = refusal(one)
    assert refused.reason is LedgerReason.UNREACHABLE
    assert "git fetch origin +refs/heads/reconciler/acme:refs/reconciler/origin/acme" in str(refused.hint)


def test_passwords_in_the_address_of_a_remote_are_not_shown(one: Machine) -> None:
    """SPEC P11: git repeats the address in what it says."""
    one.git("remote", "set-url", "origin", "http://gina:s3cret@127.0.0.1:1/x.git")
    refused = refusal(one)
    assert refused.reason is LedgerReason.UNREACHABLE
    assert "s3cret" not in f"{refused.message}{refused.context}{refused.hint}"


# Ways on that keep the memory


def test_a_renamed_tenant_goes_on_from_its_old_ledger(one: Machine) -> None:
    """SPEC section 6: the folder and the name changed, the people did not; bob went in the same commit."""
    one.apply(first_run=True)
    one.git("mv", "desired-state/acme", "desired-state/acme-eu")
    one.tenant("acme-eu")
    one.people("ann", tenant="acme-eu")
    one.commit("renamed")
    assert refusal(one, "acme-eu").reason is LedgerReason.MISSING
    one.apply("acme-eu", continue_from=tip_of(one))
    assert deactivated(one) == {"bob"}
    attempt, _ = one.entries("acme-eu")
    assert attempt["continueFrom"] == tip_of(one)
    assert attempt["previous"] is None
    assert one.apply("acme-eu").plan.changes == ()


def test_what_failed_after_a_rename_is_still_remembered(one: Machine, machines: Machines) -> None:
    """SPEC P13: entries before the continuation are read through it, also by others, and without the old branch."""
    one.apply(first_run=True)
    old = tip_of(one)
    one.git("mv", "desired-state/acme", "desired-state/acme-eu")
    one.tenant("acme-eu")
    one.people("ann", tenant="acme-eu")
    one.commit("renamed")
    one.push()
    one.begin("acme-eu", continue_from=old).finish(fails=lambda _: True)
    one.git("push", "--quiet", "origin", ":refs/heads/reconciler/acme")
    git(machines.shared, "gc", "--quiet", "--prune=now")
    two = machines.clone("two")
    assert two.memory("acme-eu").base.known == frozenset(two.service.users)
    two.apply("acme-eu")
    assert deactivated(two) == {"bob"}


def test_a_new_address_of_the_same_directory_goes_on(one: Machine) -> None:
    """SPEC section 6: --continue-from keeps base across a new base URL."""
    one.apply(first_run=True)
    one.tenant(base_url=OTHER_URL)
    one.people("ann")
    one.commit()
    refused = refusal(one)
    assert refused.reason is LedgerReason.OTHER_TARGET
    assert f"--continue-from {tip_of(one)}" in str(refused.hint)
    one.apply(continue_from=tip_of(one))
    assert deactivated(one) == {"bob"}
    assert [entry["target"] for entry in one.entries()] == [BASE_URL, BASE_URL, OTHER_URL, OTHER_URL]
    assert one.memory().base.standing is Standing.USABLE


@pytest.mark.parametrize("how", ["squash", "force"])
def test_a_rewritten_history_goes_on(one: Machine, how: str) -> None:
    """SPEC section 6: a squash merge, or a forced main: what was applied is no ancestor any more."""
    one.git("checkout", "--quiet", "-b", "topic")
    one.people("ann", "bob", "cyd")
    one.commit()
    one.apply(first_run=True)
    if how == "squash":
        one.git("checkout", "--quiet", "main")
        one.git("merge", "--quiet", "--squash", "topic")
    else:
        one.git("checkout", "--quiet", "--orphan", "other")
    one.people("ann", "bob")
    one.commit("rewritten")
    refused = refusal(one)
    assert refused.reason is LedgerReason.NOT_AN_ANCESTOR
    assert f"--continue-from {tip_of(one)}" in str(refused.hint)
    one.apply(continue_from=tip_of(one))
    assert deactivated(one) == {"cyd"}
    assert one.apply().plan.changes == ()


def test_a_moved_root_goes_on(one: Machine) -> None:
    """The folder of the desired state moved within the repository; earlier states are read where they were."""
    one.apply(first_run=True)
    one.git("mv", "desired-state", "identity")
    one.commit()
    moved = MovedMachine(one.folder, one.service, one.clock)
    moved.people("ann")
    moved.commit()
    refused = refusal(moved)
    assert refused.reason is LedgerReason.OTHER_FOLDER
    moved.apply(continue_from=tip_of(one))
    assert deactivated(one) == {"bob"}


class MovedMachine(Machine):
    """One whose desired state is elsewhere in the repository."""

    @property
    def root(self) -> Path:
        """The root of the desired state."""
        return self.folder / "identity"


def test_a_root_that_is_the_repository_has_a_ledger_as_well(machines: Machines) -> None:
    """The root of the desired state may be that of the repository."""
    alone = machines.alone()
    for path in alone.root.iterdir():
        path.rename(alone.folder / path.name)
    alone.commit()
    flat = FlatMachine(alone.folder, alone.service, alone.clock)
    flat.apply(first_run=True)
    flat.people("ann")
    flat.commit()
    flat.apply()
    assert deactivated(flat) == {"bob"}


class FlatMachine(Machine):
    """One whose desired state is the whole repository."""

    @property
    def root(self) -> Path:
        """The root of the desired state."""
        return self.folder


def test_an_entry_to_continue_from_that_is_not_there_is_named(one: Machine) -> None:
    """It may be on a branch that was never fetched."""
    one.apply(first_run=True)
    for name in ("0" * 40, "reconciler/nowhere", "--all", ""):
        memory = one.memory(continue_from=name)
        if name:
            assert memory.obstacle is not None
            assert memory.obstacle.reason is LedgerReason.MISSING
    assert refusal(one, continue_from="HEAD").reason is LedgerReason.FORGED


def test_continuing_elsewhere_does_not_get_in_beside_an_open_run(one: Machine) -> None:
    """SPEC 7.1: whoever is at work on the branch itself is the lock, whatever the base is read from."""
    one.apply(first_run=True)
    trusted = tip_of(one)
    one.people("ann")
    one.commit()
    one.begin()
    obstacle = one.memory(continue_from=trusted).obstacle
    assert obstacle is not None
    assert obstacle.reason is LedgerReason.OPEN_ATTEMPT


def test_a_first_run_does_not_continue(one: Machine) -> None:
    """The two say opposite things."""
    one.apply(first_run=True)
    assert refusal(one, first_run=True, continue_from=tip_of(one)).reason is LedgerReason.NOT_THE_FIRST


# Forgeries


def forge(machine: Machine, tree: str, *parents: str) -> str:
    """Push a commit on top of the ledger that the reconciler did not make."""
    sha = machine.git("commit-tree", tree, *(part for parent in parents for part in ("-p", parent)), "-m", "forged")
    machine.git("push", "--quiet", "--force", "origin", f"{sha}:refs/heads/reconciler/acme")
    return sha


def tree_with(machine: Machine, *lines: str) -> str:
    """A tree of these entries, unchecked."""
    return machine.git("mktree", "--missing", stdin="".join(f"{line}\n" for line in lines))


def blob_of(machine: Machine, text: str) -> str:
    """A blob."""
    return machine.git("hash-object", "-w", "--stdin", stdin=text)


def entry_after(machine: Machine, **changes: Any) -> str:
    """The text of an entry that would fit after the tip, but for `changes`."""
    last = json.loads(machine.git("show", f"{tip_of(machine)}:entry.json"))
    return json.dumps({**last, "previous": tip_of(machine), **changes})


Forgery = Callable[[Machine], str]


def _tree_of_something(machine: Machine) -> str:
    return machine.git("rev-parse", "HEAD^{tree}")


def _one_file_more(machine: Machine) -> str:
    blob = blob_of(machine, entry_after(machine))
    return tree_with(machine, f"100644 blob {blob}\tentry.json", f"100644 blob {blob}\tnames")


def _entry_is_a_link(machine: Machine) -> str:
    return tree_with(machine, f"120000 blob {blob_of(machine, '/etc/passwd')}\tentry.json")


def _entry_can_be_run(machine: Machine) -> str:
    return tree_with(machine, f"100755 blob {blob_of(machine, entry_after(machine))}\tentry.json")


def _entry_is_a_folder(machine: Machine) -> str:
    return tree_with(machine, f"040000 tree {_tree_of_something(machine)}\tentry.json")


def _entry_is_another_repository(machine: Machine) -> str:
    return tree_with(machine, f"160000 commit {machine.git('rev-parse', 'HEAD')}\tentry.json")


def _deep(machine: Machine) -> str:
    return tree_with(machine, f"100644 blob {blob_of(machine, '[' * 200_000)}\tentry.json")


def _huge(machine: Machine) -> str:
    return tree_with(machine, f"100644 blob {blob_of(machine, ' ' * 64_000_001)}\tentry.json")


def _not_what_its_parents_are(machine: Machine) -> str:
    text = entry_after(machine, commit=machine.git("rev-parse", "HEAD~1"))
    return tree_with(machine, f"100644 blob {blob_of(machine, text)}\tentry.json")


def _many_files(machine: Machine) -> str:
    blob = blob_of(machine, "x")
    return tree_with(machine, *(f"100644 blob {blob}\t{number}" for number in range(1000)))


def _attempt_with_proof(machine: Machine) -> str:
    first = machine.git("rev-parse", f"{tip_of(machine)}~1")
    attempt = json.loads(machine.git("show", f"{first}:entry.json"))
    text = json.dumps({**attempt, "previous": tip_of(machine), "run": "20270101T000000Z-0000"})
    blob = blob_of(machine, text)
    return tree_with(machine, f"100644 blob {blob}\tentry.json", f"100644 blob {blob_of(machine, 'x')}\tusers")


@pytest.mark.parametrize(
    "forgery",
    [
        _tree_of_something,
        _one_file_more,
        _entry_is_a_link,
        _entry_can_be_run,
        _entry_is_a_folder,
        _entry_is_another_repository,
        _deep,
        _huge,
        _not_what_its_parents_are,
        _many_files,
        _attempt_with_proof,
    ],
)
def test_an_entry_that_this_tool_did_not_write_is_refused(one: Machine, forgery: Forgery) -> None:
    """SPEC 7.1: forged; and --continue-from the last good entry is the way on."""
    one.people("ann", "bob")
    one.commit()
    one.apply(first_run=True)
    good = tip_of(one)
    bad = forge(one, forgery(one), good, one.git("rev-parse", "HEAD"))
    assert refusal(one).reason is LedgerReason.FORGED
    one.people("ann")
    one.commit()
    one.apply(continue_from=good)
    assert deactivated(one) == {"bob"}
    assert one.git("rev-parse", f"{tip_of(one)}~2") == bad
    assert one.memory().base.standing is Standing.USABLE


def test_an_entry_about_another_tenant_is_refused(one: Machine) -> None:
    """A well-formed entry of somebody else's ledger does not become ours by being pushed here."""
    one.apply(first_run=True)
    text = entry_after(one, tenant="other", attempt=None)
    tree = tree_with(one, f"100644 blob {blob_of(one, text)}\tentry.json")
    forge(one, tree, tip_of(one), one.git("rev-parse", "HEAD"))
    assert refusal(one).reason is LedgerReason.OTHER_FOLDER


def test_a_desired_commit_whose_state_is_not_valid_any_more_is_refused(one: Machine) -> None:
    """SPEC section 6: a base that does not parse is none."""
    one.apply(first_run=True)
    one.write("acme/people.yaml", "kind: Users\nitems: [{nobody: here}]\n")
    bad = one.commit()
    text = entry_after(one, commit=bad, attempt=None)
    forge(one, tree_with(one, f"100644 blob {blob_of(one, text)}\tentry.json"), tip_of(one), bad)
    one.people("ann")
    one.commit()
    refused = refusal(one)
    assert refused.reason is LedgerReason.UNREADABLE
    assert "people.yaml" in str(refused.context)


def test_ids_in_a_receipt_may_be_anything(one: Machine) -> None:
    """SPEC P12: base is a set of ids; odd ones do not end the run, and mean nobody."""
    one.apply(first_run=True)
    odd = blob_of(one, "\n%zz\n%00\n../../x\n\x1b[2J\n")
    entry = blob_of(one, entry_after(one, attempt=None))
    tree = tree_with(one, f"100644 blob {entry}\tentry.json", f"100644 blob {odd}\tusers")
    forge(one, tree, tip_of(one), one.git("rev-parse", "HEAD"))
    assert one.memory().base.standing is Standing.USABLE
    assert one.plan().plan.changes == ()


def test_references_that_replace_objects_are_not_followed(one: Machine) -> None:
    """git-replace(1): a replacement would let the tip say something else than what was pushed and signed."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    tip = tip_of(one)
    one.git("replace", "--graft", tip)
    one.apply()
    assert deactivated(one) == {"bob"}


def test_branches_that_only_end_like_the_ledgers_are_not_taken_for_it(one: Machine) -> None:
    """git-ls-remote(1) matches the end of names."""
    one.git("push", "--quiet", "origin", "HEAD:refs/heads/x/refs/heads/reconciler/acme")
    assert one.memory(first_run=True).base.standing is Standing.FIRST_RUN


def test_hooks_and_file_monitors_of_a_checkout_are_not_run(one: Machine, tmp_path: Path) -> None:
    """A checkout's own configuration gets no chance to run programs."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    hooks = one.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-push", "reference-transaction", "post-checkout", "post-index-change"):
        (hooks / name).write_text(trap.read_text())
        (hooks / name).chmod(0o755)
    one.git("config", "core.fsmonitor", str(trap))
    one.apply(first_run=True)
    assert not (tmp_path / "sprung").exists()


def test_git_is_not_handed_the_secrets_of_tenants(one: Machine, tmp_path: Path) -> None:
    """SPEC P11: what git starts, such as a credential helper, has no business with them."""
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    wrapper.write_text(f'#!/bin/sh\nenv >> {tmp_path}/seen\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    one.git_variables = {
        "PATH": f"{wrapper.parent}:{git_environ(one.folder)['PATH']}",
        "CXONE_CLIENT_SECRET": "s3cret",
        "SCIM_TOKEN": "s3cret",
        "GIT_DIR": "/nowhere",
    }
    one.memory(first_run=True)
    seen = (tmp_path / "seen").read_text()
    assert "GIT_TERMINAL_PROMPT=0" in seen
    assert "s3cret" not in seen
    assert "/nowhere" not in seen


def test_without_git_a_checkout_is_not_taken_for_a_plain_folder(one: Machine, machines: Machines) -> None:
    """Git is not installed: what it would tell is not nothing."""
    one.git_variables = {"PATH": "/nonexistent"}
    refused = refusal(one)
    assert refused.reason is LedgerReason.UNREADABLE
    (one.folder / ".git").rename(machines.folder / "gone")
    assert one.memory().base.standing is Standing.UNTRACKED


def test_who_is_still_declared_is_reactivated_after_a_release(one: Machine) -> None:
    """SPEC section 6: the same person is reactivated instead of created; the ledger says that git took them out."""
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.apply()
    one.people("ann", "bob")
    one.commit()
    (change,) = one.apply().plan.changes
    assert change.action is Action.REACTIVATE
    assert one.entries()[-1]["released"] == {}
