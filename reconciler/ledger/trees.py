"""The desired state of a commit, straight from git's objects: no checkout, and no attribute that could hide a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.git import Git, GitObject

MOST_FILES = 1_000_000
MOST_BYTES = 2_000_000_000
"""Of all files together."""

_LARGEST_FILE = 64_000_000
_LONGEST_LINK = 4096
_REGULAR = frozenset({"100644", "100755"})
_LINK = "120000"


class _File(NamedTuple):
    mode: str
    blob: str
    path: str


def tree_of(git: Git, commit: str, root: str) -> str:
    """The tree that a commit has at a folder, which is relative to the repository's root.

    Raises:
        LedgerRefused: it has none, or is not there.

    """
    tree = git.resolve(f"{commit}:{root}" if root else f"{commit}^{{tree}}")
    if tree is None or git.run("cat-file", "-t", tree).line != "tree":
        raise LedgerRefused(
            LedgerReason.UNREADABLE,
            f"the commit {commit} has no folder {root or '/'} with a desired state",
            hint=f"if the commit is not here, fetch it: `git fetch REMOTE {commit}`",
        )
    return tree


def extract(git: Git, tree: str, into: Path) -> None:
    """Write what a loader may want of a tree into an empty folder of our own: YAML files, schemas, and links as links.

    Raises:
        LedgerRefused: names lead elsewhere, or there is too much of it.

    """
    found = [file for file in _listed(git, tree) if _is_wanted(file)]
    files = [file for file in found if file.mode in _REGULAR]
    links = [file for file in found if file.mode == _LINK]
    if len(found) > MOST_FILES:
        raise _odd(f"it has {len(found):,} files, at most {MOST_FILES:,} are read")
    names = {link.path for link in links}
    if any(parent in names for link in links for parent in _folders_of(link.path)):
        raise _odd("a name in it is a link and a folder at once")
    total = 0
    with git.objects() as objects:
        for file, blob in zip(files, objects.read_all([f.blob for f in files], _LARGEST_FILE), strict=True):
            data = _data(blob, file)
            total += len(data)
            if total > MOST_BYTES:
                raise _odd(f"it has more than {MOST_BYTES:,} bytes")
            _write(into / file.path, data)
        # Links come last, and none below another: nothing is ever written through one.
        for file, blob in zip(links, objects.read_all([f.blob for f in links], _LONGEST_LINK), strict=True):
            _link(into / file.path, _data(blob, file))


def _listed(git: Git, tree: str) -> list[_File]:
    done = git.run("ls-tree", "-r", "-z", "--full-tree", tree)
    if not done.ok:
        raise LedgerRefused(LedgerReason.UNREADABLE, f"git cannot list the tree {tree}", context=done.err)
    files = []
    for record in done.out.split(b"\0")[:-1]:
        about, _, path = record.partition(b"\t")
        mode, _, blob = about.decode("ascii").split()
        files.append(_File(mode, blob, os.fsdecode(path)))
    return files


def _folders_of(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def _is_wanted(file: _File) -> bool:
    """Whether a loader would look at it. What is hidden is passed over, as the loader does.

    Raises:
        LedgerRefused: its path leads out of the tree.

    """
    *folders, name = file.path.split("/")
    if not all((*folders, name)) or {".", ".."} & {*folders, name}:
        raise _odd("it has a name that leads out of it")
    if any(part.startswith(".") for part in (*folders, name)):
        return False
    if file.mode == _LINK:
        return True
    is_schema = name.endswith(".json") and "schemas" in folders
    return file.mode in _REGULAR and (is_schema or name.lower().endswith((".yaml", ".yml")))


def _data(blob: GitObject | None, file: _File) -> bytes:
    if blob is None:
        raise LedgerRefused(
            LedgerReason.UNREADABLE,
            f"a file of an earlier desired state is not here: {file.path}",
            hint="fetch it, or `git fsck` tells whether the repository is damaged",
        )
    if blob.kind != "blob":
        raise _odd(f"{file.path} is a {blob.kind}")
    return blob.data


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(data)
    except OSError as error:
        raise _odd(f"{path.name} cannot be written: {error.strerror}") from error


def _link(path: Path, target: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.fsdecode(target))
    except (OSError, ValueError) as error:
        raise _odd(f"the link {path.name} cannot be made") from error


def _odd(why: str) -> LedgerRefused:
    return LedgerRefused(LedgerReason.UNREADABLE, "an earlier desired state cannot be read from git", context=why)
