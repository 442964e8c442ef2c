"""Runs git: fixed arguments, never a shell, no prompt, no hook, and no say for variables that point elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from reconciler.errors import LedgerReason, LedgerRefused

_CONFIGURATION = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "fetch.prune=false",
    "gc.auto=0",
    "gpg.ssh.program=ssh-keygen",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
)
_ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "COMMON_DIR", "INDEX_FILE", "PREFIX", "NAMESPACE", "SHALLOW_FILE", "GRAFT_FILE"),
        *("OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "QUARANTINE_PATH", "REPLACE_REF_BASE", "EXTERNAL_DIFF"),
        *("LITERAL_PATHSPECS", "GLOB_PATHSPECS", "NOGLOB_PATHSPECS", "ICASE_PATHSPECS"),
    )
)
"""Variables that make git look at another repository than the one it is run in: a hook that runs us has them set."""

_SECRETS = ("CXONE_", "SCIM_", "RECONCILER_")
_ALWAYS = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
_PASSWORD = re.compile(r"://[^/@\s]+@")
_LOCAL_SECONDS = 120
NETWORK_SECONDS = 600
_PART = 1_000_000
_WINDOW = 500  # requests under way; few enough to fit into a pipe while git waits for us to read


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and its exit code; 127 where git is not there, 124 where it took too long."""

    code: int
    out: bytes
    err: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    @property
    def line(self) -> str:
        """What it printed, as one text without the newline at the end."""
        return self.out.decode("utf-8", "replace").rstrip("\n")


@dataclass(frozen=True, slots=True)
class GitObject:
    """A commit, tree, blob or tag as git stores it. The kind of one that is too large says so, and it has no data."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one folder. `environ` are the variables that it runs with; secrets of tenants are not among them."""

    folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
        config: Sequence[str] = (),
        seconds: float = _LOCAL_SECONDS,
    ) -> Done:
        """Run one command to its end. Never raises for what git has to say."""
        try:
            process = self._start(arguments, config, environ or {}, subprocess.PIPE)
        except OSError as error:
            return Done(127, b"", f"git cannot be run: {error.strerror}")
        try:
            out, err = process.communicate(stdin, seconds)
        except subprocess.TimeoutExpired:
            return Done(124, b"", f"git {arguments[0]} did not end within {seconds:.0f} seconds")
        finally:
            _end(process)
        return Done(process.returncode, out, _PASSWORD.sub("://", err.decode("utf-8", "replace")).strip())

    def must(self, *arguments: str, stdin: bytes = b"") -> str:
        """What a command prints that fails only where the repository is damaged, full or not ours.

        Raises:
            LedgerRefused: it failed.

        """
        done = self.run(*arguments, stdin=stdin)
        if not done.ok:
            raise LedgerRefused(
                LedgerReason.UNREADABLE, f"git {arguments[0]} failed", context=done.err, hint="mend the repository"
            )
        return done.line

    def resolve(self, name: str) -> str | None:
        """The object that a name means, or None."""
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return done.line if done.ok else None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether one commit is another or comes before it, as far as the history is here."""
        return self.run("merge-base", "--is-ancestor", older, newer).ok

    @contextmanager
    def objects(self) -> Iterator[Objects]:
        """A reader of objects, good within the block."""
        try:
            process = self._start(("cat-file", "--batch"), (), {}, subprocess.DEVNULL)
        except OSError as error:
            raise LedgerRefused(LedgerReason.UNREADABLE, f"git cannot be run: {error.strerror}") from error
        try:
            yield Objects(process)
        finally:
            _end(process)

    def _start(
        self, arguments: Sequence[str], config: Sequence[str], environ: Mapping[str, str], stderr: int
    ) -> subprocess.Popen[bytes]:
        options = (part for setting in (*_CONFIGURATION, *config) for part in ("-c", setting))
        kept = {k: v for k, v in self.environ.items() if k not in _ELSEWHERE and not k.startswith(_SECRETS)}
        return subprocess.Popen(
            ["git", *options, *arguments],
            cwd=self.folder,
            env={**kept, **_ALWAYS, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # no terminal to ask at, and what git starts ends with it
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever happened: neither git nor what it started goes on."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class Objects:
    """Reads objects by id, one `git cat-file --batch` for all of them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
        self._requests: IO[bytes] = process.stdin
        self._answers: IO[bytes] = process.stdout

    def read(self, identifier: str, most: int) -> GitObject | None:
        """One object; see `read_all`."""
        return next(self.read_all([identifier], most))

    def read_all(self, identifiers: Sequence[str], most: int) -> Iterator[GitObject | None]:
        """The objects in their order, None for each that is not there; no more than `most` bytes are kept of any.

        Raises:
            LedgerRefused: git broke off.

        """
        for start in range(0, len(identifiers), _WINDOW):
            window = identifiers[start : start + _WINDOW]
            try:
                self._requests.write("".join(f"{identifier}\n" for identifier in window).encode())
                self._requests.flush()
            except OSError as error:
                raise _broken() from error
            for _ in window:
                yield self._answer(most)

    def _answer(self, most: int) -> GitObject | None:
        rest = self._answers.readline().split()[1:]
        if rest == [b"missing"]:
            return None
        if len(rest) != 2:
            raise _broken()
        kind, size = rest[0].decode("ascii", "replace"), int(rest[1])
        if size > most:
            self._skip(size + 1)
            return GitObject(f"{kind} of {size:,} bytes", b"")
        data = self._answers.read(size + 1)
        if len(data) != size + 1:
            raise _broken()
        return GitObject(kind, data[:-1])

    def _skip(self, size: int) -> None:
        while size > 0:
            part = len(self._answers.read(min(size, _PART)))
            if not part:
                raise _broken()
            size -= part


def _broken() -> LedgerRefused:
    return LedgerRefused(
        LedgerReason.UNREADABLE, "git stopped while objects were read", hint="`git fsck` tells whether one is damaged"
    )
