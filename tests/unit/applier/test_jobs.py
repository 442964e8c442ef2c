"""Following a job to its end, or to the end of patience (cxone.md section 5; defects P2, P3, P4)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest

from reconciler.applier.jobs import DEADLINE, Jobs
from reconciler.errors import JobOpen, ScimError, ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.messages.bulk import BulkJob, JobReport, JobState
from tests.fakes.clock import FakeClock
from tests.fakes.notes import MemoryNotes

JOB = BulkJob("bulk-job-7", "/scim/v2/Bulk/bulk-job-7")
RUNNING, COMPLETED = JobReport(state=JobState.RUNNING), JobReport(state=JobState.COMPLETED)
FAILED, GONE = JobReport(state=JobState.FAILED), JobReport(state=JobState.GONE)
AWAY = ScimUnreachable("no answer", maybe_sent=True)


@dataclass
class ScriptedJob:
    """Answers with what the script says, the last one again and again; notes when and how patiently it was asked."""

    script: Sequence[JobReport | BaseException]
    clock: FakeClock = field(default_factory=FakeClock)
    asked_at: list[float] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)
    takes: float = 0.0

    def job_report(self, job: BulkJob, longest_wait: float) -> JobReport:
        """One question."""
        assert job == JOB
        self.asked_at.append(self.clock() - 1000.0)
        self.patience.append(longest_wait)
        self.clock.now += self.takes
        answer = self.script[min(len(self.asked_at), len(self.script)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _jobs(service: ScriptedJob, notes: MemoryNotes | None = None) -> Jobs:
    return Jobs(
        service=service,
        journal=notes or MemoryNotes(),
        run="r1",
        target="https://acme.example.com/scim/v2",
        clock=service.clock,
        sleep=service.clock.sleep,
        timestamp=lambda: "2026-01-01T00:00:00Z",
        waiting=nullcontext,
    )


def test_the_waits_double_up_to_32_seconds() -> None:
    """cxone.md section 5: 2, 4, 8, 16, 32 s, and no longer than that."""
    service = ScriptedJob([*[RUNNING] * 7, COMPLETED])
    assert _jobs(service).follow(JOB) is COMPLETED
    assert service.clock.slept == [2, 4, 8, 16, 32, 32, 32, 32]


@pytest.mark.parametrize("end", [COMPLETED, FAILED])
def test_a_job_that_is_over_is_not_asked_again(end: JobReport) -> None:
    """Both words end it."""
    service = ScriptedJob([end])
    assert _jobs(service).follow(JOB) is end
    assert service.asked_at == [2.0]


def test_p2_a_job_that_stays_in_progress_is_given_up_at_the_deadline() -> None:
    """Defect P2: it was polled for ever. The last question is asked at the very end."""
    service = ScriptedJob([RUNNING])
    with pytest.raises(JobOpen, match=r"job bulk-job-7 .* still running after 600 seconds") as error:
        _jobs(service).follow(JOB)
    assert service.asked_at[-1] == DEADLINE == sum(service.clock.slept)
    assert len(service.asked_at) < 25
    assert error.value.hint


def test_the_deadline_counts_what_questions_take() -> None:
    """A service that answers slowly is not asked for longer; no question is more patient than what is left."""
    service = ScriptedJob([RUNNING], takes=100.0)
    with pytest.raises(JobOpen):
        _jobs(service).follow(JOB)
    assert service.asked_at[-1] <= DEADLINE
    left = [DEADLINE - asked for asked in service.asked_at]
    assert service.patience == pytest.approx(left)


@pytest.mark.parametrize(
    "trouble",
    [AWAY, ScimMalformed("no JSON"), *(ScimRejected(status) for status in (429, 500, 502, 503, 504))],
    ids=str,
)
def test_trouble_that_passes_is_asked_through_and_five_in_a_row_are_the_most(trouble: ScimError) -> None:
    """cxone.md section 5 and defect P2: 429 and 500 aborted it. Every answer in between starts the count anew."""
    service = ScriptedJob([trouble] * 4 + [RUNNING] + [trouble] * 4 + [COMPLETED])
    assert _jobs(service).follow(JOB) is COMPLETED
    service = ScriptedJob([RUNNING, trouble])
    with pytest.raises(JobOpen, match="does not say what became of it") as error:
        _jobs(service).follow(JOB)
    assert trouble.message in error.value.message
    assert len(service.asked_at) == 6


@pytest.mark.parametrize("status", [400, 401, 403, 418])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    """Credentials or permission: asking again does not help, and the job is not over for it."""
    service = ScriptedJob([RUNNING, ScimRejected(status, detail="no"), COMPLETED])
    with pytest.raises(JobOpen, match=str(status)):
        _jobs(service).follow(JOB)
    assert len(service.asked_at) == 2


def test_a_job_that_nobody_knows_is_over_once_that_is_certain() -> None:
    """A service may tell of a job a little before it knows it."""
    service = ScriptedJob([GONE, GONE, AWAY, GONE, RUNNING, COMPLETED])
    assert _jobs(service).follow(JOB) is COMPLETED
    service = ScriptedJob([GONE])
    assert _jobs(service).follow(JOB) is GONE
    assert service.clock.slept == [2, 4, 8, 16, 32]


def test_a_service_that_alternates_between_nonsense_is_bounded_by_the_deadline() -> None:
    """Neither count is ever reached."""
    service = ScriptedJob([GONE, AWAY] * 100)
    with pytest.raises(JobOpen, match="600 seconds"):
        _jobs(service).follow(JOB)


def test_a_job_is_noted_before_the_first_question_and_struck_out_when_it_is_over() -> None:
    """The id is persisted before polling begins (cxone.md section 5)."""
    notes = MemoryNotes()
    seen: list[list[str]] = []
    service = ScriptedJob([COMPLETED])
    asked = service.job_report

    def watched(job: BulkJob, longest_wait: float) -> JobReport:
        seen.append(list(notes.history))
        return asked(job, longest_wait)

    service.job_report = watched  # type: ignore[method-assign]
    jobs = _jobs(service, notes)
    assert jobs.see_through(JOB, ["User/ann"]) is COMPLETED
    assert seen == [["+bulk-job-7"]]
    assert notes.history == ["+bulk-job-7", "-bulk-job-7"]
    assert jobs.left_open() == ()


@pytest.mark.parametrize("script", [[RUNNING], [AWAY], [KeyboardInterrupt()]], ids=["deadline", "away", "ctrl-c"])
def test_a_job_without_an_end_stays_noted(script: list[JobReport | BaseException]) -> None:
    """The next run resumes it; never is it forgotten."""
    notes = MemoryNotes()
    jobs = _jobs(ScriptedJob(script), notes)
    with pytest.raises((JobOpen, KeyboardInterrupt)):
        jobs.see_through(JOB, ["User/ann", "Group/Team"])
    [noted] = jobs.left_open()
    assert (noted.job, noted.run, noted.keys) == (JOB, "r1", ("User/ann", "Group/Team"))
    assert notes.open_jobs("https://elsewhere.example.com") == ()


def test_the_id_of_a_job_is_told_on_one_line() -> None:
    """It comes from the service and is printed."""
    odd = BulkJob("a\x1b[31m\nb", "/Bulk/x")
    service = ScriptedJob([RUNNING])
    service.job_report = lambda job, longest_wait: RUNNING  # type: ignore[method-assign]
    with pytest.raises(JobOpen) as error:
        _jobs(service).follow(odd)
    assert error.value.message.isprintable()
