"""A workplace under version control: a repository with a bare one as its remote."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cli.workplace import Ended, Workplace

_AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints; it has to succeed."""
    done = subprocess.run(
        ["git", *_AUTHOR, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Versioned:
    """A workplace whose desired state is committed, and pushed to a remote that several clones share."""

    work: Workplace
    remote: Path

    def commit(self, message: str = "change") -> str:
        """Commit and push all there is; the new commit."""
        git(self.work.folder, "add", "desired-state")
        git(self.work.folder, "commit", "-q", "--allow-empty", "-m", message)
        git(self.work.folder, "push", "-q", "origin", "HEAD")
        return git(self.work.folder, "rev-parse", "HEAD")

    def clone(self, folder: Path, *options: str) -> Versioned:
        """The same desired state on another machine, which has a state directory of its own."""
        git(folder.parent, "clone", "-q", *options, f"file://{self.remote}", str(folder))
        return replace(self, work=replace(self.work, folder=folder, environ=dict(self.work.environ)))

    def apply(self, *options: str) -> Ended:
        """Apply without asking; the test goes on only if that succeeds."""
        return self.work.converge(*options)

    def entries(self, tenant: str = "acme") -> list[str]:
        """The subjects of the ledger's entries on the remote, the oldest first."""
        log = git(self.remote, "log", "--first-parent", "--reverse", "--format=%s", f"reconciler/{tenant}")
        return [line.split(" ")[0] for line in log.splitlines() if line.startswith(("Attempt", "Receipt"))]


def under_version_control(work: Workplace) -> Versioned:
    """Put a workplace under version control; its first commit holds what is there."""
    remote = work.folder.parent / f"{work.folder.name}-remote.git"
    git(work.folder.parent, "init", "-q", "--bare", "-b", "main", str(remote))
    git(work.folder, "init", "-q", "-b", "main")
    git(work.folder, "remote", "add", "origin", f"file://{remote}")
    versioned = Versioned(work, remote)
    git(work.folder, "add", "desired-state")
    git(work.folder, "commit", "-q", "-m", "first")
    git(work.folder, "push", "-q", "-u", "origin", "main")
    return versioned
