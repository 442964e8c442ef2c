"""The desired state of an earlier commit, straight from git's objects, is the one that a checkout would have."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.desired.parser import load_desired_state
from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger import trees
from reconciler.ledger.git import Git
from reconciler.ledger.trees import extract, tree_of
from reconciler.model.state import Standing
from tests.contract.ledger.machines import Machine, Machines, git_environ


@pytest.fixture
def alone(machines: Machines) -> Machine:
    """A repository that nobody shares."""
    return machines.alone()


def git_in(machine: Machine) -> Git:
    """Git as the ledger runs it."""
    return Git(machine.root, git_environ(machine.folder))


def extracted(machine: Machine, into: Path, commit: str = "HEAD") -> list[str]:
    """What a commit's desired state consists of, once it is written out."""
    into.mkdir()
    extract(git_in(machine), tree_of(git_in(machine), machine.git("rev-parse", commit), "desired-state"), into)
    return sorted(str(path.relative_to(into)) for path in into.rglob("*") if not path.is_dir() or path.is_symlink())


def raw_tree(machine: Machine, entries: Sequence[tuple[str, str, str]]) -> str:
    """A tree of (mode, name, id), as git would never write it."""
    data = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries)
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "--literally", "-w", "--stdin"],
        cwd=machine.folder,
        input=data,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def blob(machine: Machine, text: str) -> str:
    """A blob."""
    return machine.git("hash-object", "-w", "--stdin", stdin=text)


def test_a_state_is_loaded_as_from_a_checkout(alone: Machine, tmp_path: Path) -> None:
    """The same loader gives the same values, with includes, links, and schemas of extensions."""
    alone.tenant(include=["../_shared/more"])
    alone.write("_shared/more/people.yaml", json.dumps({"kind": "User", "userName": "cyd@example.com"}))
    (alone.root / "acme" / "again.yaml").symlink_to("../_shared/more/people.yaml")
    alone.write("acme/schemas/urn_example_x.json", json.dumps({"type": "object"}))
    alone.write("acme/README.md", "not read")
    alone.write("acme/.hidden/people.yaml", "not read")
    alone.commit()
    names = extracted(alone, tmp_path / "out")
    assert names == [
        "_shared/more/people.yaml",
        "acme/again.yaml",
        "acme/people.yaml",
        "acme/schemas/urn_example_x.json",
        "acme/tenant.yaml",
    ]
    assert (tmp_path / "out" / "acme" / "again.yaml").is_symlink()
    there, here = load_desired_state(tmp_path / "out", "acme"), load_desired_state(alone.root, "acme")
    assert there == here
    assert there.desired is not None
    assert len(there.desired.users) == 3


def test_attributes_hide_nothing_and_change_nothing(alone: Machine, tmp_path: Path) -> None:
    """gitattributes(5): export-ignore hides files from `git archive`, and filters change what is checked out."""
    text = (alone.root / "acme" / "people.yaml").read_text()
    attributes = "*.yaml export-ignore export-subst ident eol=crlf\npeople.yaml filter=trap\n"
    (alone.folder / ".gitattributes").write_text(attributes)
    alone.commit()
    alone.git("config", "filter.trap.smudge", f"touch {tmp_path}/sprung")
    assert "acme/people.yaml" in extracted(alone, tmp_path / "out")
    assert (tmp_path / "out" / "acme" / "people.yaml").read_text() == text
    assert not (tmp_path / "sprung").exists()


def test_a_link_that_leads_out_is_judged_as_in_a_checkout(alone: Machine, tmp_path: Path) -> None:
    """It is written as it is, and the loader does not follow it."""
    (alone.root / "acme" / "passwd.yaml").symlink_to("/etc/passwd")
    (alone.root / "acme" / "up").symlink_to("../../..")
    alone.commit()
    extracted(alone, tmp_path / "out")
    there, here = load_desired_state(tmp_path / "out", "acme"), load_desired_state(alone.root, "acme")
    assert [item.code for item in there.diagnostics] == [item.code for item in here.diagnostics]
    assert there.desired is None


@pytest.mark.parametrize("name", ["..", ".", "", "../x.yaml", "a/../../x.yaml", "/x.yaml", "a//x.yaml"])
@pytest.mark.parametrize("mode", ["100644", "120000"])
def test_names_that_lead_out_of_a_tree_are_refused(alone: Machine, tmp_path: Path, name: str, mode: str) -> None:
    """A tree may be made by hand; what is written is below the folder or not at all."""
    tree = raw_tree(alone, [(mode, name, blob(alone, "x"))])
    (tmp_path / "out").mkdir()
    with pytest.raises(LedgerRefused) as refused:
        extract(git_in(alone), tree, tmp_path / "out")
    assert refused.value.reason is LedgerReason.UNREADABLE
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "x.yaml").exists()


@pytest.mark.parametrize("below", ["100644", "120000"])
def test_nothing_is_written_through_a_link(alone: Machine, tmp_path: Path, below: str) -> None:
    """A name that is a link and a folder at once would lead elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    folder = raw_tree(alone, [(below, "x.yaml", blob(alone, "x"))])
    tree = raw_tree(alone, [("120000", "a", blob(alone, str(tmp_path / "elsewhere"))), ("40000", "a", folder)])
    (tmp_path / "out").mkdir()
    with pytest.raises(LedgerRefused):
        extract(git_in(alone), tree, tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_that_is_there_twice_is_refused(alone: Machine, tmp_path: Path) -> None:
    """Which of the two would be read would be chance."""
    one, two = blob(alone, "one"), blob(alone, "two")
    tree = raw_tree(alone, [("100644", "x.yaml", one), ("100644", "x.yaml", two)])
    (tmp_path / "out").mkdir()
    with pytest.raises(LedgerRefused):
        extract(git_in(alone), tree, tmp_path / "out")


def test_a_state_with_a_file_that_is_not_there_is_refused(alone: Machine, tmp_path: Path) -> None:
    """A damaged or partial repository must not read as a smaller state (SPEC P4)."""
    tree = raw_tree(alone, [("100644", "x.yaml", "0123456789" * 4)])
    (tmp_path / "out").mkdir()
    with pytest.raises(LedgerRefused) as refused:
        extract(git_in(alone), tree, tmp_path / "out")
    assert "x.yaml" in refused.value.message


def test_submodules_are_passed_over(alone: Machine, tmp_path: Path) -> None:
    """They are other repositories; the loader of a checkout that has none sees nothing either."""
    tree = raw_tree(alone, [("160000", "sub.yaml", alone.git("rev-parse", "HEAD"))])
    (tmp_path / "out").mkdir()
    extract(git_in(alone), tree, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_too_much_is_refused(alone: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit cannot fill the disk."""
    for limit, number in (("MOST_FILES", 1), ("MOST_BYTES", 10)):
        (tmp_path / limit).mkdir()
        with monkeypatch.context() as patched:
            patched.setattr(trees, limit, number)
            with pytest.raises(LedgerRefused):
                extract(git_in(alone), tree_of(git_in(alone), "HEAD", "desired-state"), tmp_path / limit)


def test_a_file_beyond_all_limits_is_never_held(alone: Machine, tmp_path: Path) -> None:
    """One blob of 64 MB; the loader would not read it either."""
    tree = raw_tree(alone, [("100644", "x.yaml", blob(alone, " " * 64_000_001))])
    (tmp_path / "out").mkdir()
    with pytest.raises(LedgerRefused) as refused:
        extract(git_in(alone), tree, tmp_path / "out")
    assert "64,000,001 bytes" in str(refused.value.context)


def test_a_folder_that_a_commit_does_not_have_is_refused(alone: Machine) -> None:
    """The root moved, or is a file there."""
    for root in ("nowhere", "desired-state/acme/tenant.yaml"):
        with pytest.raises(LedgerRefused) as refused:
            tree_of(git_in(alone), alone.git("rev-parse", "HEAD"), root)
        assert refused.value.reason is LedgerReason.UNREADABLE


def test_many_small_files_are_read_in_one_go(alone: Machine, tmp_path: Path) -> None:
    """More than fit into a pipe at once, so that neither side waits for the other for ever."""
    for number in range(2500):
        alone.write(f"acme/people/{number}.yaml", json.dumps({"kind": "User", "userName": f"u{number}@example.com"}))
    alone.commit()
    assert len(extracted(alone, tmp_path / "out")) == 2502
    loaded = load_desired_state(tmp_path / "out", "acme")
    assert loaded.desired is not None
    assert len(loaded.desired.users) == 2502


def test_a_partial_clone_gets_the_files_it_needs(one: Machine, machines: Machines) -> None:
    """git-clone(1) --filter: blobs come when they are asked for."""
    git_options = ("uploadpack.allowFilter", "true")
    one.git("config", "--file", str(machines.shared / "config"), *git_options)
    one.apply(first_run=True)
    one.people("ann")
    one.commit()
    one.push()
    two = machines.clone("two", "--filter=blob:none")
    assert two.memory().base.standing is Standing.USABLE
    two.apply()
    assert sorted(user["active"] for user in one.service.users.values()) == [False, True]


def test_a_repository_of_sha256_has_a_ledger_as_well(machines: Machines) -> None:
    """git-init(1) --object-format."""
    alone = machines.alone("sha256", "--object-format=sha256")
    alone.apply(first_run=True)
    alone.people("ann")
    alone.commit()
    alone.apply()
    assert sorted(user["active"] for user in alone.service.users.values()) == [False, True]
