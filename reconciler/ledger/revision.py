"""Which git revision a folder is at. Git's own configuration of a checkout gets no chance to run programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from reconciler.model.plan import DesiredRevision

_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.untrackedCache=false")
_TIMEOUT = 30


def read_revision(folder: Path) -> DesiredRevision:
    """Commit, tree of the folder and whether it differs from them; all None where git does not track `tenant.yaml`."""
    if _git(folder, "ls-files", "--error-unmatch", "tenant.yaml") is None:
        return DesiredRevision()
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return DesiredRevision()
    status = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".")
    return DesiredRevision(commit=commit, tree=_git(folder, "rev-parse", "HEAD:./"), dirty=status != "")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails or is not there: no revision is a state, not an error."""
    try:
        done = subprocess.run(
            ["git", *_QUIET, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
