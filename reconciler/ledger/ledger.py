"""The branch `reconciler/<tenant>`: where its tip is, and how one entry more gets there. Pushing is the lock.

Entries are made of git's objects, without a checkout. With a remote, its branch decides: an entry counts once it is
pushed, as a fast-forward from the tip that was read, so that of two machines exactly one gets in. Without one, the
local branch decides the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.chain import ENTRY_FILE, parents_of
from reconciler.ledger.entries import Attempt, Receipt, dump_entry, dump_ids
from reconciler.ledger.git import NETWORK_SECONDS, Done, Git

_NOBODY = {"NAME": "reconciler", "EMAIL": "reconciler@localhost"}


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: `tip` is the newest entry, `remote` the one of the remote, `local` the one here."""

    tip: str | None = None
    remote: str | None = None
    local: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger of one tenant in a repository. `remote` is the name of the remote that shares it, None: local only."""

    git: Git
    tenant: str
    remote: str | None

    @property
    def branch(self) -> str:
        """The name of the branch."""
        return f"reconciler/{self.tenant}"

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def _fetched(self) -> str:
        return f"refs/reconciler/{self.remote}/{self.tenant}"

    def head(self) -> Head:
        """Where the ledger ends by now; what the remote has is fetched.

        Raises:
            LedgerRefused: the remote cannot be asked, or the local branch is not a part of its history.

        """
        local = self.git.resolve(self._ref)
        if self.remote is None:
            return Head(tip=local, local=local)
        remote = self._remote_tip()
        if remote is not None and self.git.resolve(self._fetched) != remote:
            remote = self._fetch()
        if local is None or local == remote:
            return Head(tip=remote, remote=remote, local=local)
        if remote is None:
            raise LedgerRefused(
                LedgerReason.MISSING,
                f"{self.remote} has no branch {self.branch}, and here is one",
                hint=f"if it was removed there by mistake: `git push {self.remote} {self.branch}`",
            )
        if self.git.is_ancestor(local, remote):
            return Head(tip=remote, remote=remote, local=local)
        if self.git.is_ancestor(remote, local):  # a receipt that could not be pushed goes with the next entry
            return Head(tip=local, remote=remote, local=local)
        raise LedgerRefused(
            LedgerReason.REWOUND,
            f"the branch {self.branch} here is not a part of the one of {self.remote}",
            context=f"here it ends at {local}, there at {remote}",
            hint=f"find out which is right; if it is that of {self.remote}: `git branch -D {self.branch}`",
        )

    def is_here(self, commit: str) -> bool:
        """Whether a commit is in the repository."""
        return self.git.resolve(f"{commit}^{{commit}}") is not None

    def write(self, entry: Attempt | Receipt, ids: Mapping[str, Iterable[str]]) -> str:
        """Make the commit of an entry, with its lists of ids by file name; no branch has it yet."""
        blobs = {ENTRY_FILE: dump_entry(entry), **{name: dump_ids(listed) for name, listed in ids.items()}}
        lines = [
            f"100644 blob {self.git.must('hash-object', '-w', '--stdin', stdin=data)}\t{name}"
            for name, data in sorted(blobs.items())
        ]
        tree = self.git.must("mktree", stdin="".join(f"{line}\n" for line in lines).encode())
        parents = [part for parent in parents_of(entry) for part in ("-p", parent)]
        message = f"{type(entry).__name__} {entry.run} of {entry.tenant}\n"
        return self.git.must("commit-tree", *parents, tree, stdin=message.encode(), environ=self._identity(entry.time))

    def publish(self, new: str, head: Head) -> Head:
        """Make a commit the tip, if `head` still is.

        Raises:
            LedgerRefused: somebody else was faster (MOVED), or it cannot be done at all.

        """
        if self.remote is not None:
            self._push(self.remote, new, head)
            self._update(new, head.local)  # only a copy: where it fails, the next run fetches
            return Head(tip=new, remote=new, local=new)
        if not self._update(new, head.local).ok:
            raise self._moved()
        return Head(tip=new, local=new)

    def keep(self, new: str, head: Head) -> None:
        """Make a commit the tip of the local branch only: the next run will push it."""
        self._update(new, head.local)

    def _update(self, new: str, old: str | None) -> Done:
        return self.git.run("update-ref", self._ref, new, old or "0" * len(new))

    def _push(self, remote: str, new: str, head: Head) -> None:
        done = self.git.run(
            "push",
            "--porcelain",
            "--no-verify",
            "--no-recurse-submodules",
            f"--force-with-lease={self._ref}:{head.remote or ''}",
            remote,
            f"{new}:{self._ref}",
            seconds=NETWORK_SECONDS,
        )
        if done.ok:
            return
        now = self._remote_tip()
        if now == new:
            return  # it got there, only the answer did not
        if now != head.remote:
            raise self._moved()
        raise LedgerRefused(
            LedgerReason.UNREACHABLE,
            f"{remote} does not take the ledger's branch {self.branch}",
            context=done.err or done.line,
            hint="whoever runs apply needs to push this branch, and nobody needs to force it",
        )

    def _remote_tip(self) -> str | None:
        done = self.git.run("ls-remote", "--quiet", self.remote or "", self._ref, seconds=NETWORK_SECONDS)
        if not done.ok:
            raise self._unreachable(done)
        refs = [line.split("\t") for line in done.line.split("\n")]
        return next((found[0] for found in refs if found[-1] == self._ref), None)

    def _fetch(self) -> str | None:
        done = self._run_fetch(f"+{self._ref}:{self._fetched}")
        if not done.ok:
            raise self._unreachable(done)
        return self.git.resolve(self._fetched)

    def _run_fetch(self, *arguments: str) -> Done:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        return self.git.run("fetch", *options, self.remote or "", *arguments, seconds=NETWORK_SECONDS)

    def _unreachable(self, done: Done) -> LedgerRefused:
        return LedgerRefused(
            LedgerReason.UNREACHABLE,
            f"{self.remote} cannot be asked for the ledger of {self.tenant}",
            context=done.err,
            hint=f"fetch it: `git fetch {self.remote} +{self._ref}:{self._fetched}`",
        )

    def _moved(self) -> LedgerRefused:
        return LedgerRefused(
            LedgerReason.MOVED,
            f"another run wrote to the ledger of {self.tenant} meanwhile",
            hint="run it again: what is to be done may be something else by now",
        )

    def _identity(self, time: str) -> dict[str, str]:
        dates = {"GIT_AUTHOR_DATE": time, "GIT_COMMITTER_DATE": time}
        if all(self.git.run("config", "--get", f"user.{what}").ok for what in ("name", "email")):
            return dates
        return {
            **dates,
            **{f"GIT_{role}_{what}": _NOBODY[what] for role in ("AUTHOR", "COMMITTER") for what in _NOBODY},
        }
