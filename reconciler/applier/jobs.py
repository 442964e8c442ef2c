"""Follow asynchronous bulk jobs to their end (cxone.md section 5, D11, P2; SPEC 7.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from reconciler.applier.journal import OpenJob
from reconciler.errors import JobOpen, ScimError, ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.messages.bulk import BulkJob, JobReport, JobState
from reconciler.messages.error import shorten

DEADLINE = 600.0
"""Seconds that one job is waited for."""

MOST_FAILURES = 5
"""How many questions in a row may fail, or find nothing, before that is believed."""

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 32.0
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


class JobService(Protocol):
    """What following a job needs of a service; `ScimClient` has it."""

    def job_report(self, job: BulkJob, longest_wait: float) -> JobReport:
        """How far a job is; one question."""


class Notes(Protocol):
    """Where open jobs are kept; `Journal` does, beyond the end of the process."""

    def opened(self, noted: OpenJob) -> None:
        """Note a job down."""

    def closed(self, noted: OpenJob) -> None:
        """Strike a job out."""

    def open_jobs(self, target: str) -> tuple[OpenJob, ...]:
        """The jobs at a base URL that are not known to be over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Follows the jobs of one run, and keeps note of those that are not known to be over.

    `clock` runs forwards, in seconds; `timestamp` is RFC 3339 in UTC. `waiting` is entered for as long as a job is
    waited for, so that somebody can be told.
    """

    service: JobService
    journal: Notes
    run: str
    target: str
    clock: Callable[[], float]
    sleep: Callable[[float], object]
    timestamp: Callable[[], str]
    waiting: Callable[[BulkJob], AbstractContextManager[object]]

    def see_through(self, job: BulkJob, keys: Sequence[str]) -> JobReport:
        """Note the job down, wait until it is over, and strike it out.

        Raises:
            JobOpen: it may still be running; it stays in the journal.
            ConfigurationError: the journal cannot be written.

        """
        noted = OpenJob(job=job, target=self.target, run=self.run, submitted_at=self.timestamp(), keys=tuple(keys))
        self.journal.opened(noted)
        report = self.follow(job)
        self.journal.closed(noted)
        return report

    def left_open(self) -> tuple[OpenJob, ...]:
        """The jobs of this run that are not known to be over."""
        return tuple(noted for noted in self.journal.open_jobs(self.target) if noted.run == self.run)

    def follow(self, job: BulkJob) -> JobReport:
        """Wait until a job is over. The report is COMPLETED, FAILED or GONE, never RUNNING.

        That the service does not know the job is believed only when it says so several times in a row: some services
        know a job a little later than they tell of it.

        Raises:
            JobOpen: the service does not say that it is over, within the deadline or at all.

        """
        with self.waiting(job):
            return self._follow(job)

    def _follow(self, job: BulkJob) -> JobReport:
        end = self.clock() + DEADLINE
        wait, failures, missing = _FIRST_WAIT, 0, 0
        while (left := end - self.clock()) > 0:
            self.sleep(min(wait, left))
            wait = min(2 * wait, _LONGEST_WAIT)
            try:
                report = self.service.job_report(job, longest_wait=max(0.0, end - self.clock()))
            except (ScimUnreachable, ScimMalformed, ScimRejected) as error:
                failures, missing = failures + 1, 0
                if failures == MOST_FAILURES or not _passes(error):
                    raise _open(job, f"the service does not say what became of it: {error.message}") from error
                continue
            if report.state in {JobState.COMPLETED, JobState.FAILED}:
                return report
            failures, missing = 0, missing + 1 if report.state is JobState.GONE else 0
            if missing == MOST_FAILURES:
                return report
        raise _open(job, f"it is still running after {DEADLINE:.0f} seconds")


def _passes(error: ScimError) -> bool:
    """Whether asking again may help: the service is busy, away, or answers nonsense for a moment."""
    return not isinstance(error, ScimRejected) or error.status in _TRANSIENT


def named(job: BulkJob) -> str:
    """How people are told of a job: by its id on one line."""
    return f"job {shorten(job.id) or shorten(job.path)}"


def _open(job: BulkJob, why: str) -> JobOpen:
    return JobOpen(
        f"the service took {named(job)} on for later, and {why}",
        hint="what is in it may still be carried out; the next apply asks after it before it does anything else",
    )
