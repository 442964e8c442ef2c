"""The journal on a real disk (SPEC 7.2): private, kept across processes, and honest about damage."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.applier.journal import JOURNAL, OpenJob, open_journal, read_open_jobs
from reconciler.errors import ConfigurationError
from reconciler.messages.bulk import BulkJob

TARGET = "https://acme.example.com/scim/v2"


def _job(number: int, target: str = TARGET) -> OpenJob:
    return OpenJob(
        job=BulkJob(f'j"{number}', f"/scim/v2/Bulk/j%22{number}"),
        target=target,
        run="20260101T000000Z-0001",
        submitted_at=f"2026-01-01T00:00:0{number}Z",
        keys=("User/ann", "Group/Größe"),
    )


def test_a_job_is_there_for_the_next_process_until_it_is_struck_out(tmp_path: Path) -> None:
    """What is noted is on the disk when the call returns, the oldest first."""
    with open_journal(tmp_path) as journal:
        for number in (2, 1):
            journal.opened(_job(number))
            journal.opened(_job(number))
    assert read_open_jobs(tmp_path, TARGET) == (_job(1), _job(2))
    with open_journal(tmp_path) as journal:
        journal.closed(_job(1))
        journal.closed(_job(1))
        assert journal.open_jobs(TARGET) == (_job(2),)


def test_jobs_are_those_of_one_service(tmp_path: Path) -> None:
    """Another base URL is another service, which knows nothing of them."""
    with open_journal(tmp_path) as journal:
        journal.opened(_job(1))
        journal.opened(_job(1, "https://other.example.com/scim/v2"))
        journal.closed(_job(1))
    assert read_open_jobs(tmp_path, TARGET) == ()
    assert len(read_open_jobs(tmp_path, "https://other.example.com/scim/v2")) == 1


def test_the_journal_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """SPEC section 7: 0600, whatever the umask; keys of changes name people."""
    before = os.umask(0)
    try:
        with open_journal(tmp_path):
            assert (tmp_path / JOURNAL).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_reading_makes_nothing(tmp_path: Path) -> None:
    """A preview leaves no trace where nothing was applied."""
    assert read_open_jobs(tmp_path, TARGET) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_is_none_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    """Never taken for an empty one: a job may be running."""
    (tmp_path / JOURNAL).write_bytes(b"this is no database at all, and long enough to be seen as none" * 20)
    with pytest.raises(ConfigurationError, match="journal") as error:
        read_open_jobs(tmp_path, TARGET)
    assert error.value.hint
    (tmp_path / JOURNAL).unlink()
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(ConfigurationError, match="cannot open"), open_journal(tmp_path):
        pass


def test_a_journal_of_another_version_is_not_touched(tmp_path: Path) -> None:
    """What a newer tool noted is not guessed at."""
    with open_journal(tmp_path) as journal:
        journal.opened(_job(1))
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigurationError, match="another version") as error, open_journal(tmp_path):
        pass
    assert error.value.hint


def test_a_damaged_row_is_an_error(tmp_path: Path) -> None:
    """No traceback, and no job that is silently left out."""
    with open_journal(tmp_path) as journal:
        journal.opened(_job(1))
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as connection:
        connection.execute("UPDATE open_jobs SET keys = '[half'")
        connection.commit()
    with pytest.raises(ConfigurationError, match="journal"):
        read_open_jobs(tmp_path, TARGET)
