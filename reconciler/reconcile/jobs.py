"""Bulk jobs that earlier runs left to the service: nothing is planned or sent before they are over (SPEC P5, 7.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.applier.jobs import Jobs, named
from reconciler.applier.journal import Journal, OpenJob, read_open_jobs
from reconciler.errors import ConfigurationError, JobOpen
from reconciler.messages.bulk import BulkJob
from reconciler.model.plan import Finding
from reconciler.model.tenant import Tenant
from reconciler.reconcile.connection import Connection
from reconciler.report.values import many


def jobs_of(connection: Connection, journal: Journal, run: str) -> Jobs:
    """What follows the jobs of a run."""
    surroundings = connection.surroundings

    @contextmanager
    def waiting(job: BulkJob) -> Iterator[None]:
        detail = "it may still be running"
        surroundings.listener.phase_started(f"waiting for {named(job)}")
        try:
            yield
            detail = "it is over"
        finally:
            surroundings.listener.phase_finished(detail)

    return Jobs(
        service=connection.client,
        journal=journal,
        run=run,
        target=connection.tenant.target,
        clock=surroundings.clock,
        sleep=surroundings.sleep,
        timestamp=surroundings.timestamp,
        waiting=waiting,
    )


def settle_open_jobs(journal: Journal, connection: Connection, take_over: str, open_run: str) -> None:
    """Wait until every job of an earlier run is over; those of the run `take_over` are struck out without a question.

    `open_run` is the run of which the ledger has an open attempt, "" none.

    Raises:
        JobOpen: one may still be running.
        ConfigurationError: the run to take over left nothing open.

    """
    noted = journal.open_jobs(connection.tenant.target)
    runs = {job.run for job in noted} | ({open_run} if open_run else set())
    if take_over and take_over not in runs:
        raise ConfigurationError(
            f"the run {take_over} left nothing open",
            context=f"open is what these runs left: {', '.join(sorted(runs))}" if runs else None,
            hint="leave out --take-over",
        )
    for job in noted:
        if job.run != take_over:
            _follow(jobs_of(connection, journal, job.run), job)
        journal.closed(job)


def _follow(jobs: Jobs, noted: OpenJob) -> None:
    try:
        jobs.follow(noted.job)
    except JobOpen as error:
        raise JobOpen(
            f"nothing was applied, because {named(noted.job)} of run {noted.run} may still be running",
            context=f"{error.message}; it holds {many(len(noted.keys), 'change')}, sent at {noted.submitted_at}",
            hint="run apply again when the service has carried it out; if you know that it never will, add "
            f"--take-over {noted.run}",
        ) from error


def open_job_findings(tenant: Tenant, state_dir: Path) -> tuple[Finding, ...]:
    """What a plan has to say of jobs that may still change what it was made from."""
    return tuple(
        Finding(
            code="job-open",
            message=f"{named(noted.job)} of run {noted.run} may still be running on the service: what it does is not "
            "in this plan, and apply waits for it before it plans again",
        )
        for noted in read_open_jobs(state_dir / tenant.name, tenant.target)
    )
