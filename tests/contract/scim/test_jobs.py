"""202 and a job, on the wire (cxone.md section 5, E5 and E6; D11): what is asked, where, and how patiently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest

from reconciler.applier.jobs import Jobs
from reconciler.errors import JobOpen, ScimAccepted, ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.messages.bulk import BulkJob, JobReport, JobState
from reconciler.model.dialect import Dialect
from reconciler.model.resource import Kind
from reconciler.scim.client import ScimClient
from tests.fakes.clock import FakeClock
from tests.fakes.listed_service import tenant
from tests.fakes.notes import MemoryNotes
from tests.fakes.scripted_service import DROP, TOKEN, Answer, ScriptedService, Seen, scripted, transport_to

JOB = BulkJob("bulk-job-1", "/v2/Bulk/bulk-job-1")
DONE = Answer(body={"id": "bulk-job-1", "status": "COMPLETED"})
RUNNING = Answer(body={"id": "bulk-job-1", "status": "IN_PROGRESS"})

Start = Callable[..., tuple[ScriptedService, ScimClient]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a scripted service; gives the service and a client for it."""
    with ExitStack() as stack:

        def run(script: Any, **options: Any) -> tuple[ScriptedService, ScimClient]:
            service, origin = stack.enter_context(scripted(script))
            transport = stack.enter_context(transport_to(**options))
            return service, ScimClient(transport, tenant(f"{origin}/v2").endpoints, Dialect())

        yield run


def _follow(client: ScimClient, clock: FakeClock, job: BulkJob = JOB) -> JobReport:
    return Jobs(
        service=client,
        journal=MemoryNotes(),
        run="r1",
        target="t",
        clock=clock,
        sleep=clock.sleep,
        timestamp=str,
        waiting=nullcontext,
    ).follow(job)


# --- where the job is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("bulk-job-1", "/v2/Bulk/bulk-job-1"),
        ("a/b?c#d", "/v2/Bulk/a%2Fb%3Fc%23d"),
        ("../../admin", "/v2/Bulk/..%2F..%2Fadmin"),
        ("ü %", "/v2/Bulk/%C3%BC%20%25"),
    ],
)
def test_d11_the_id_in_a_202_is_one_segment_of_the_path(start: Start, identifier: str, path: str) -> None:
    """`GET /Bulk/{jobId}`, whatever characters an id has."""
    service, client = start([Answer(202, {"id": identifier}), DONE])
    job = client.bulk({"Operations": []})
    assert job == BulkJob(identifier, path)
    assert isinstance(job, BulkJob)
    client.job_report(job, 0.0)
    assert service.lines == ["POST /v2/Bulk", f"GET {path}"]


def test_the_location_of_a_job_is_used_where_there_is_no_id(start: Start) -> None:
    """Relative or absolute, at this service."""
    for location in ("/v2/Bulk/j%201?x=1", "Bulk/j%201?x=1"):
        service, client = start([Answer(202, headers={"Location": location}), DONE])
        job = client.bulk({})
        assert job == BulkJob("j 1", "/v2/Bulk/j%201?x=1")
        assert isinstance(job, BulkJob)
        client.job_report(job, 0.0)
        assert service.lines[1] == "GET /v2/Bulk/j%201?x=1"


def test_the_id_is_preferred_to_a_location_of_somebody_else(start: Start) -> None:
    """A proxy may have put its own name there; credentials go nowhere but to this service (SPEC 4)."""
    _, client = start([Answer(202, {"id": "bulk-job-1"}, {"Location": "https://evil.example/steal"})])
    assert client.bulk({}) == JOB


@pytest.mark.parametrize(
    "answer",
    [
        Answer(202),
        Answer(202, b"accepted"),
        Answer(202, {"id": None}),
        Answer(202, {"id": ""}),
        Answer(202, {"id": ".."}),
        Answer(202, {"id": 7}),
        Answer(202, {"Operations": [{"bulkId": "op-1", "status": "201"}]}),
        Answer(202, b'{"id": "\\ud800"}'),
        Answer(202, headers={"Location": "https://evil.example/Bulk/1"}),
        Answer(202, headers={"Location": "//evil.example/Bulk/1"}),
        Answer(202, headers={"Location": "http://[::1/Bulk/1"}),
        Answer(202, headers={"Location": "/v2/Bulk"}),
        Answer(202, headers={"Location": "/v2/Bulk/1", "Set-Txn": "734f0614", "Preference-Applied": "respond-async"}),
    ],
    ids=str,
)
def test_a_202_that_names_no_job_here_is_accepted_for_later(start: Start, answer: Answer) -> None:
    """RFC 9967: an empty body and `Set-Txn`; a job elsewhere is none that may be asked after."""
    service, client = start([answer])
    with pytest.raises(ScimAccepted, match="202") as error:
        client.bulk({})
    assert error.value.hint
    assert len(service.seen) == 1


@pytest.mark.parametrize("verb", ["create", "put", "patch", "delete"])
def test_a_single_write_may_be_accepted_for_later_too(start: Start, verb: str) -> None:
    """RFC 9967, `asyncRequest: long`: no failure, and no success either."""
    service, client = start([Answer(202)])
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: client.create(Kind.USER, {}),
        "put": lambda: client.put(Kind.USER, "u1", {}, '"1"'),
        "patch": lambda: client.patch(Kind.USER, "u1", {}, '"1"'),
        "delete": lambda: client.delete(Kind.USER, "u1", '"1"'),
    }
    with pytest.raises(ScimAccepted):
        calls[verb]()
    assert len(service.seen) == 1


# --- one question ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405, 410, 501])
def test_a_job_that_the_service_does_not_know_is_gone(start: Start, status: int) -> None:
    """It is over and forgotten, or the service cannot be asked at all."""
    _, client = start([Answer(status)])
    assert client.job_report(JOB, 0.0).state is JobState.GONE


@pytest.mark.parametrize("body", [b"", {"status": "COMPLETED"}, {"status": "IN_PROGRESS"}])
def test_a_job_answered_with_202_is_running(start: Start, body: Any) -> None:
    """Whatever it says of itself: 202 means later."""
    _, client = start([Answer(202, body)])
    assert client.job_report(JOB, 0.0).state is JobState.RUNNING


@pytest.mark.parametrize("answer", [Answer(), Answer(body=b"<html>"), Answer(body={}), Answer(204)], ids=str)
def test_an_answer_without_a_word_is_malformed(start: Start, answer: Answer) -> None:
    """Nobody guesses that a job is over."""
    _, client = start([answer])
    with pytest.raises(ScimMalformed):
        client.job_report(JOB, 0.0)


def test_p1_what_the_service_says_reaches_the_user_without_secrets(start: Start) -> None:
    """Defect P1: the server's words were discarded; and it may echo the token (SPEC P11)."""
    errors = [{"code": "E1", "message": f"bad token {TOKEN}"}]
    _, client = start([Answer(body={"status": "FAILED", "errors": errors}), Answer(403, {"detail": "not yours"})])
    assert client.job_report(JOB, 0.0).errors == "E1: bad token ***"
    with pytest.raises(ScimRejected, match="not yours"):
        client.job_report(JOB, 0.0)


def test_questions_after_jobs_are_not_among_the_requests(start: Start) -> None:
    """SPEC section 6: job polls stand outside."""
    service, client = start([Answer(202, {"id": "bulk-job-1"}), RUNNING, DONE, Answer(404)])
    client.bulk({})
    client.job_report(JOB, 0.0)
    client.job_report(JOB, 0.0)
    client.get(Kind.USER, "u1")
    assert (client.requests, len(service.seen)) == (2, 4)


@pytest.mark.parametrize("answer", [Answer(503), Answer(500), DROP], ids=["503", "500", "dropped"])
def test_p3_one_question_is_one_request(start: Start, answer: Answer) -> None:
    """Defect P3: nested retries multiplied. The patience is that of whoever follows the job."""
    service, client = start([answer])
    with pytest.raises((ScimRejected, ScimUnreachable)):
        client.job_report(JOB, 600.0)
    assert len(service.seen) == 1


# --- many questions --------------------------------------------------------------------------------------------------


def test_p2_errors_while_asking_do_not_abort_and_do_not_last_for_ever(start: Start) -> None:
    """Defect P2: only 502 to 504 were transient. All of them are, and so is a dropped connection."""
    clock = FakeClock()
    service, client = start([Answer(500), DROP, Answer(503), Answer(502), RUNNING, Answer(504), DONE], clock=clock)
    assert _follow(client, clock).state is JobState.COMPLETED
    assert clock.slept == [2, 4, 8, 16, 32, 32, 32]
    service, client = start([Answer(503)], clock=(clock := FakeClock()))
    with pytest.raises(JobOpen, match="503"):
        _follow(client, clock)
    assert len(service.seen) == 5


def test_retry_after_is_obeyed_while_asking(start: Start) -> None:
    """429 while polling says how long to wait, beside the waits between questions."""
    clock = FakeClock()
    _, client = start([Answer(429, headers={"Retry-After": "7"}), DONE], clock=clock)
    assert _follow(client, clock).state is JobState.COMPLETED
    assert clock.slept == [2, 7]


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(start: Start) -> None:
    """The patience with a job bounds every wait on its way."""
    clock = FakeClock()
    _, client = start([Answer(429, headers={"Retry-After": "500"})], clock=clock)
    with pytest.raises(JobOpen):
        _follow(client, clock)
    assert clock() - 1000.0 <= 600


class _Renewed:
    """A token that expires once."""

    def __init__(self) -> None:
        self.renewals = 0

    def header(self) -> str:
        """The token of now."""
        return f"Bearer {self.renewals}"

    def refresh(self, refused: str | None) -> bool:
        """A new one."""
        self.renewals += 1
        return True

    def secrets(self) -> tuple[str, ...]:
        """None to speak of."""
        return ()


def test_p7_a_token_that_expires_while_asking_is_renewed(start: Start) -> None:
    """Defects P2 and P7: a job may outlive a token; 401 aborted the polling."""
    clock, tokens = FakeClock(), _Renewed()

    def script(seen: Seen) -> Answer:
        return DONE if seen.headers["authorization"] == "Bearer 1" else Answer(401)

    service, client = start(script, clock=clock, tokens=tokens)
    assert _follow(client, clock).state is JobState.COMPLETED
    assert (tokens.renewals, len(service.seen)) == (1, 2)


def test_credentials_that_are_refused_end_the_asking(start: Start) -> None:
    """And the job is still open."""
    clock = FakeClock()
    service, client = start([Answer(401)], clock=clock)
    with pytest.raises(JobOpen, match="401"):
        _follow(client, clock)
    assert len(service.seen) == 1


def test_a_redirect_is_not_followed_after_a_job(start: Start) -> None:
    """Credentials go nowhere else."""
    clock = FakeClock()
    service, client = start([Answer(303, headers={"Location": "https://evil.example/"})], clock=clock)
    with pytest.raises(JobOpen, match="303"):
        _follow(client, clock)
    assert len(service.seen) == 1
