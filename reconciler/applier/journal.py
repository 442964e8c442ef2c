"""What is open on a service after a run that did not end well, kept in SQLite (SPEC 7.2).

It serves resuming only, and decides nothing else. The file is private: keys of changes name people.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ConfigurationError
from reconciler.messages.bulk import BulkJob

JOURNAL = "journal.sqlite"
"""Its name in the folder of a tenant."""

_FORMAT = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS open_jobs (
  target TEXT NOT NULL, path TEXT NOT NULL, id TEXT NOT NULL, run TEXT NOT NULL, submitted_at TEXT NOT NULL,
  keys TEXT NOT NULL, PRIMARY KEY (target, path)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A bulk job that is not known to be over: of which run and for which changes. `target` is the base URL."""

    job: BulkJob
    target: str
    run: str
    submitted_at: str
    keys: tuple[str, ...]


class Journal:
    """The journal of one tenant. What a method has written is on the disk when it returns.

    Every method may raise ConfigurationError: the file cannot be read or written.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with _readable():
            connection.execute("PRAGMA synchronous = EXTRA")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found == 0:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
                connection.execute("COMMIT")
            elif found != _FORMAT:
                raise ConfigurationError(
                    f"the journal was written by another version of the tool (format {found}, not {_FORMAT})",
                    hint="use that version until no job is open",
                )

    def opened(self, noted: OpenJob) -> None:
        """Note a job down."""
        job = noted.job
        row = (noted.target, job.path, job.id, noted.run, noted.submitted_at, json.dumps(noted.keys))
        with _readable():
            self._connection.execute("INSERT OR REPLACE INTO open_jobs VALUES (?, ?, ?, ?, ?, ?)", row)

    def closed(self, noted: OpenJob) -> None:
        """Strike a job out: it is over."""
        with _readable():
            self._connection.execute(
                "DELETE FROM open_jobs WHERE target = ? AND path = ?", (noted.target, noted.job.path)
            )

    def open_jobs(self, target: str) -> tuple[OpenJob, ...]:
        """The jobs at a base URL that are not known to be over, the oldest first."""
        with _readable():
            rows = self._connection.execute(
                "SELECT id, path, run, submitted_at, keys FROM open_jobs WHERE target = ? ORDER BY submitted_at, path",
                (target,),
            ).fetchall()
            return tuple(
                OpenJob(job=BulkJob(id_, path), target=target, run=run, submitted_at=at, keys=tuple(json.loads(keys)))
                for id_, path, run, at, keys in rows
            )


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """The journal in the folder of a tenant, made if it is not there, readable by its owner only.

    Raises:
        ConfigurationError: it cannot be opened, or is no journal of ours.

    """
    path = folder / JOURNAL
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigurationError(f"cannot open {path}: {error.strerror}") from error
    with _readable():
        connection = sqlite3.connect(path, isolation_level=None)
    with closing(connection):
        yield Journal(connection)


def read_open_jobs(folder: Path, target: str) -> tuple[OpenJob, ...]:
    """The open jobs in the folder of a tenant; none where there is no journal. Makes nothing."""
    if not (folder / JOURNAL).is_file():
        return ()
    with open_journal(folder) as journal:
        return journal.open_jobs(target)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise ConfigurationError(
            f"the journal cannot be read or written: {error}",
            context=f"it is the file {JOURNAL} in the tenant's folder below the state directory",
            hint="make room and give it back to its owner; remove it only if no bulk job of a run can still be running",
        ) from error
