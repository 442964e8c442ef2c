"""The checkout that the desired state lies in: repository, commit, and whether the files are those of the commit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.git import Git
from reconciler.model.plan import DesiredRevision

_READ = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A repository that tracks desired state. `root` is relative to it, "" where they are the same."""

    git: Git
    root: str
    revision: DesiredRevision

    @property
    def commit(self) -> str:
        """The commit that is checked out."""
        return self.revision.commit or ""

    def remote(self) -> str | None:
        """The remote that shares the ledger: that of the branch that is checked out, else origin, else the only one."""
        branch = self.git.run("symbolic-ref", "--quiet", "--short", "HEAD").line
        configured = self.git.run("config", "--get", f"branch.{branch}.remote").line if branch else ""
        known = self.git.run("remote").line.split("\n")
        if configured in known and configured:
            return configured
        if "origin" in known:
            return "origin"
        return known[0] if len(known) == 1 and known[0] else None


def open_checkout(root: Path, tenant: str, environ: Mapping[str, str]) -> Checkout | None:
    """The checkout whose git tracks the tenant's tenant.yaml, or None where there is none.

    Raises:
        LedgerRefused: there is a repository, and git cannot tell.

    """
    whole = open_root(root, environ)
    if whole is None:
        return None
    name = os.path.relpath(os.path.realpath(root / tenant), os.path.realpath(root))
    if not whole.git.run("ls-files", "--error-unmatch", "--", f"{name}/tenant.yaml").ok:
        return None
    path = f"{whole.root}/{name}" if whole.root else name
    return replace(whole, revision=replace(whole.revision, tree=whole.git.resolve(f"{whole.commit}:{path}")))


def open_root(root: Path, environ: Mapping[str, str]) -> Checkout | None:
    """The checkout that the root of the desired state lies in, whatever of it git tracks, or None where there is none.

    Raises:
        LedgerRefused: there is a repository, and git cannot tell.

    """
    top_folder = Path(os.path.realpath(root))
    git = Git(top_folder, environ)
    found = git.run("rev-parse", "--show-toplevel")
    if not found.ok:
        if not any((parent / ".git").exists() for parent in (top_folder, *top_folder.parents)):
            return None
        raise LedgerRefused(
            LedgerReason.UNREADABLE,
            "the folder is in a git checkout, and git does not tell anything about it",
            context=found.err,
            hint="what git says above tells what to mend; a checkout of another user needs `git config --global --add "
            "safe.directory FOLDER`",
        )
    commit = git.resolve("HEAD^{commit}")
    if commit is None:
        return None
    prefix = git.must("rev-parse", "--show-prefix").rstrip("/")
    return Checkout(git=git, root=prefix, revision=DesiredRevision(commit=commit, dirty=_is_dirty(git)))


def _is_dirty(git: Git) -> bool:
    """Whether anything below the root is not as in the commit: also what git ignores, or was told not to look at."""
    changed = git.run("status", "--porcelain", "-z", "--untracked-files=all", "--ignored=traditional", "--", ".")
    unseen = git.run("ls-files", "-v", "-z", "--", ".")
    if not changed.ok or not unseen.ok:
        return True
    if any(not record.startswith(b"H ") for record in unseen.out.split(b"\0")[:-1]):
        return True
    records = changed.out.decode("utf-8", "surrogateescape").split("\0")[:-1]
    return any(not record.startswith("!! ") or _may_be_read(record[3:]) for record in records)


def _may_be_read(name: str) -> bool:
    """Whether a loader may look at a file that git ignores."""
    return name.lower().endswith(_READ) and not any(part.startswith(".") for part in name.split("/"))
