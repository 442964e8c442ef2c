"""The branch `reconciler/<tenant>`: where its tip is, and how one entry more gets there. Pushing is the lock.

Entries are made of git's objects, without a checkout. With a remote, its branch decides: an entry counts once it is
pushed, as a fast-forward from the tip that was read, so that of two machines exactly one gets in. Without one, the
local branch decides the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.chain import ENTRY_FILE, parents_of
from reconciler.ledger.entries import Attempt, Receipt, dump_entry, dump_ids
from reconciler.ledger.git import NETWORK_SECONDS, Done, Git

_SIGNED = ("gpg.format=ssh", "log.showSignature=false", *(f"gpg.{of}program=false" for of in ("", "openpgp.", "x509.")))
"""Signatures are those of ssh keys; whom a key ring of PGP or X.509 trusts was not asked for."""

_ALL = 2**31 - 1
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOBODY = {"NAME": "reconciler", "EMAIL": "reconciler@localhost"}


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: `tip` is the newest entry, `remote` the one of the remote, `local` the one here."""

    tip: str | None = None
    remote: str | None = None
    local: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger of one tenant in a repository.

    `remote` is the name of the remote that shares it, None: local only. `signers` is a file of allowed signers as ssh
    knows it; with it every entry needs a signature by one of them, None: none does.
    """

    git: Git
    tenant: str
    remote: str | None
    signers: Path | None = None

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

    def find(self, name: str) -> str | None:
        """The commit that a person named, fetched if need be; None where there is none."""
        found = self.git.resolve(f"{name}^{{commit}}")
        if found is None and self.remote is not None and _COMMIT.fullmatch(name):
            self._run_fetch(name)
            found = self.git.resolve(f"{name}^{{commit}}")
        return found

    def deepen(self, by: int) -> bool:
        """Fetch more of the history that a shallow clone cuts off; False where there is no more to be had.

        Raises:
            LedgerRefused: the remote does not give it.

        """
        if self.git.run("rev-parse", "--is-shallow-repository").line != "true" or self.remote is None:
            return False
        cuts = self.git.folder / self.git.must("rev-parse", "--git-path", "shallow")
        before = cuts.read_bytes()
        done = self._run_fetch("--stdin", f"--deepen={min(by, _ALL)}", stdin=before)
        if not done.ok:
            raise LedgerRefused(
                LedgerReason.UNREACHABLE,
                f"{self.remote} does not give the history that this shallow clone lacks",
                context=done.err,
                hint=f"fetch it: `git fetch --unshallow {self.remote}`",
            )
        return not cuts.exists() or cuts.read_bytes() != before

    def check_signed(self, entries: Sequence[str]) -> None:
        """Every entry must be signed by an allowed signer, where signers are demanded at all.

        Raises:
            LedgerRefused: one is not.

        """
        if self.signers is None:
            return
        config = (*_SIGNED, f"gpg.ssh.allowedSignersFile={self.signers}")
        listed = "".join(f"{sha}\n" for sha in entries).encode()
        done = self.git.run("log", "--no-walk", "--format=%H %G?", "--stdin", stdin=listed, config=config)
        good = {line.removesuffix(" G") for line in done.line.split("\n") if line.endswith(" G")}
        for sha in entries:
            if sha not in good:
                raise LedgerRefused(
                    LedgerReason.UNSIGNED,
                    f"the entry {sha} of the ledger has no good signature by an allowed signer",
                    context=f"allowed are those in {self.signers}",
                    hint="find out who wrote it; `apply --continue-from ENTRY` goes on from an entry that you trust",
                )

    def write(self, entry: Attempt | Receipt, ids: Mapping[str, Iterable[str]]) -> str:
        """Make the commit of an entry, with its lists of ids by file name; no branch has it yet.

        Raises:
            LedgerRefused: git cannot write it, or not sign it although signatures are demanded.

        """
        blobs = {ENTRY_FILE: dump_entry(entry), **{name: dump_ids(listed) for name, listed in ids.items()}}
        lines = [
            f"100644 blob {self.git.must('hash-object', '-w', '--stdin', stdin=data)}\t{name}"
            for name, data in sorted(blobs.items())
        ]
        tree = self.git.must("mktree", stdin="".join(f"{line}\n" for line in lines).encode())
        parents = [part for parent in parents_of(entry) for part in ("-p", parent)]
        message = f"{type(entry).__name__} {entry.run} of {entry.tenant}\n".encode()
        signed = () if self.signers is None else ("-S",)
        identity = self._identity(entry.time)
        done = self.git.run("commit-tree", *signed, *parents, tree, stdin=message, environ=identity, config=_SIGNED)
        if not done.ok:
            raise LedgerRefused(
                LedgerReason.UNREADABLE if self.signers is None else LedgerReason.UNSIGNED,
                "git cannot make an entry of the ledger",
                context=done.err,
                hint="mend what git complains about"
                if self.signers is None
                else "entries have to be signed: `git config user.signingKey FILE` names the ssh key to sign with",
            )
        self.check_signed([done.line])
        return done.line

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

    def _run_fetch(self, *arguments: str, stdin: bytes = b"") -> Done:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        return self.git.run("fetch", *options, self.remote or "", *arguments, stdin=stdin, seconds=NETWORK_SECONDS)

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
