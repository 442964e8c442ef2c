"""The state directory: one lock per tenant, one folder per run, everything private (SPEC section 7)."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.errors import ConfigurationError

_DIRECTORY_MODE = 0o700
_NAMES_TRIED = 16


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of one run; `run` is its name."""

    run: str
    path: Path

    def write(self, name: str, content: bytes) -> Path:
        """Write a file in one step, readable by its owner only: nobody ever sees half of it."""
        return write_private(self.path / name, content)


def write_private(path: Path, content: bytes) -> Path:
    """Replace a file in one step, readable by its owner only.

    Raises:
        ConfigurationError: the folder cannot be written.

    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}", hint="choose another place") from error
    return path


def new_run(now: datetime, random_hex: str) -> str:
    """The name of a run: UTC stamp and four hex digits."""
    return f"{now.strftime('%Y%m%dT%H%M%SZ')}-{random_hex}"


def open_run(state_dir: Path, tenant: str, now: datetime, random_hex: Callable[[], str]) -> RunDirectory:
    """Make the folder of a new run; one that is there already is never used again.

    Raises:
        ConfigurationError: it cannot be made.

    """
    runs = state_dir / tenant / "runs"
    make_private(runs)
    for _ in range(_NAMES_TRIED):
        run = new_run(now, random_hex())
        try:
            (runs / run).mkdir(mode=_DIRECTORY_MODE)
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_make(runs / run, error) from error
        return RunDirectory(run, runs / run)
    raise ConfigurationError(f"{runs} has a run of this very second under every name that was tried")


@contextmanager
def tenant_lock(state_dir: Path, tenant: str) -> Iterator[None]:
    """Hold the machine's lock for a tenant. The system frees it when the process ends, however it ends.

    Raises:
        ConfigurationError: another run holds it, or it cannot be had at all.

    """
    folder = state_dir / tenant
    make_private(folder)
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot open the lock of {tenant}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"another apply of {tenant} is running on this machine",
                context=f"it holds {folder / 'lock'}",
                hint="wait until it ends; a crashed run frees the lock by itself",
            ) from error
        yield
    finally:
        os.close(handle)


def make_private(path: Path) -> None:
    """Make a folder and those above it, each of them private: `parents=True` would leave them to the umask.

    Raises:
        ConfigurationError: it cannot be made.

    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise _cannot_make(path, error) from error


def _cannot_make(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot make the folder {path}: {error.strerror}", hint="choose another place with --state-dir"
    )
