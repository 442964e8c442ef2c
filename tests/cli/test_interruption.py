"""Signals, kills and two runs at once (SPEC P6, P7)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable

import pytest

from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import DROP, Answer, Seen


def _is_whole(service: Service) -> bool:
    """Whether the small organisation is there, once."""
    return (
        set(service.all("Users")) == {f"{name}@example.com" for name in ("ann", "bob", "cyd", "dan")}
        and service.member_names("Support") == {"ann@example.com", "bob@example.com"}
        and service.member_names("Sales") == {"cyd@example.com"}
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("when", ["before-send", "after-commit"])
@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
def test_a_run_that_is_ended_by_a_signal_can_be_run_again(
    work: Workplace, start_sandbox: StartSandbox, number: signal.Signals, when: str, bulk: bool
) -> None:
    """P7: same end state, no duplicate, nothing lost; 130 and a receipt unless the process was killed outright."""
    service = start_sandbox(supports_bulk=bulk)
    work.organisation(service.base_url)
    reached, go_on = threading.Event(), threading.Event()
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "GET":
            return pass_on()
        writes.append(seen.path)
        if len(writes) != 2:
            return pass_on()
        answer = pass_on() if when == "after-commit" else DROP
        reached.set()
        go_on.wait(30)
        return answer

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        process = work.start("apply", "--yes")
        assert reached.wait(60)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        go_on.set()
    assert "Traceback" not in err
    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert work.receipts() == []
    else:
        assert process.returncode == 130, err
        [receipt] = work.receipts()
        outcomes = [item["outcome"] for item in receipt["outcomes"]]
        assert len(outcomes) == 6
        assert set(outcomes) <= {"applied", "unknown", "not-attempted", "failed"}
        assert "unknown" in outcomes  # what was in flight
        assert not receipt["complete"]
    work.tenant(service.base_url)
    work.converge()
    assert _is_whole(service)
    assert work.run("plan", "--detailed-exitcode").code == 0


def test_an_interruption_while_reading_writes_nothing(work: Workplace, sandbox: Service) -> None:
    """130, and no receipt of a run that did nothing."""
    work.organisation(sandbox.base_url)

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if "/Groups" in seen.path:
            os.kill(process.pid, signal.SIGINT)
        return pass_on()

    with interposed(sandbox.origin, hook) as (hop, origin):
        work.tenant(f"{origin}/scim/v2")
        process = work.start("apply", "--yes")
        _, err = process.communicate(timeout=60)
        assert {seen.method for seen in hop.seen} == {"GET"}
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert work.receipts() == []


def test_two_applies_at_once_are_one(work: Workplace, sandbox: Service) -> None:
    """SPEC 7.2: a lock per tenant on the machine; the second one says who is in the way and writes nothing."""
    work.organisation(sandbox.base_url)
    reached, go_on = threading.Event(), threading.Event()

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "GET" and not reached.is_set():
            reached.set()
            go_on.wait(30)
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        first = work.start("apply", "--yes")
        assert reached.wait(60)
        second = work.run("apply", "--yes")
        go_on.set()
        first.communicate(timeout=60)
    assert first.returncode == 0
    assert second.code == 1
    assert "another apply of acme is running" in second.err
    assert len(work.receipts()) == 1
    assert _is_whole(sandbox)


def test_the_lock_of_a_crashed_run_is_free(acme: Workplace) -> None:
    """The file stays, the lock does not: nothing has to be cleaned up by hand."""
    lock = acme.state / "acme" / "lock"
    assert lock.is_file()
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert acme.run("apply", "--yes").code == 1
        assert acme.run("plan").code == 0  # reading needs no lock
    assert acme.run("apply", "--yes").code == 0


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
@pytest.mark.parametrize("fault", ["lost-answer", "lost-request", "500-after", "500-before", "cut-answer"])
def test_a_lost_answer_does_nothing_twice(work: Workplace, start_sandbox: StartSandbox, bulk: bool, fault: str) -> None:
    """P5: an unknown outcome is resolved by reading; the run ends converged, each resource is there once."""
    service = start_sandbox(supports_bulk=bulk)
    work.organisation(service.base_url)
    creates: list[bytes] = []
    faulty: list[int] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "GET":
            return pass_on()
        creates.append(seen.body)
        if faulty:
            return pass_on()
        faulty.append(1)
        if fault in {"lost-request", "500-before"}:
            return DROP if fault == "lost-request" else Answer(500, b"<html>oops</html>")
        answer = pass_on()
        if fault == "cut-answer":
            assert isinstance(answer.body, bytes)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer.body)
            return Answer(raw=head + answer.body[: len(answer.body) // 2])
        return DROP if fault == "lost-answer" else Answer(500, b"<html>oops</html>")

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert faulty
    assert ended.code == 0, ended.out + ended.err
    assert _is_whole(service)
    assert set(work.outcomes().values()) == {"applied"}


def test_a_service_that_dies_in_the_middle_leaves_an_honest_receipt(
    work: Workplace, start_sandbox: StartSandbox
) -> None:
    """P6: applied, unknown and not attempted are told apart; 6; a rerun converges."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        writes.extend([seen.path] if seen.method != "GET" else [])
        return pass_on() if len(writes) < 3 else DROP

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "Traceback" not in ended.err
    outcomes = work.outcomes()
    assert outcomes["User/ann@example.com"] == outcomes["User/bob@example.com"] == "applied"
    assert outcomes["User/cyd@example.com"] == "unknown"
    assert outcomes["Group/Support"] == "not-attempted"
    work.tenant(service.base_url)
    work.converge()
    assert _is_whole(service)


def test_a_retry_after_is_waited_for_and_seen(work: Workplace, sandbox: Service) -> None:
    """429 is not a failure: the run waits as long as the service asks for, says so, and goes on."""
    work.organisation(sandbox.base_url)
    refused: list[int] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST" and not refused:
            refused.append(1)
            return Answer(429, headers={"Retry-After": "17"})
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes", "--log-format", "json")
    assert ended.code == 0, ended.err
    retried = [event for event in ended.events if event["event"] == "request.retried"]
    assert [(event["reason"], event["wait"]) for event in retried] == [("429", 17.0)]
    assert sum(work.clock.slept) >= 17
    assert json.dumps(retried).find("example.com") == -1


def _without_every_second_result(answer: Answer) -> Answer:
    assert isinstance(answer.body, bytes)
    document = json.loads(answer.body)
    return Answer(answer.status, {**document, "Operations": document["Operations"][::2]})


def _with_a_failure_that_was_none(answer: Answer) -> Answer:
    assert isinstance(answer.body, bytes)
    document = json.loads(answer.body)
    document["Operations"][0].update(status="500", response={"status": "500", "detail": "late"})
    return Answer(answer.status, document)


BULK_ANSWERS: dict[str, Callable[[Answer], Answer]] = {
    "results-missing": _without_every_second_result,
    "false-failure": _with_a_failure_that_was_none,
    "no-json": lambda _: Answer(200, b"OK"),
    "a-job": lambda _: Answer(202, {"id": "bulk-job-1"}),
    "nothing": lambda answer: Answer(200, {"schemas": []}),
}


@pytest.mark.parametrize("how", BULK_ANSWERS)
def test_a_bulk_answer_that_does_not_say_all_is_completed_by_reading(
    work: Workplace, sandbox: Service, how: str
) -> None:
    """R1, R2: an operation without a result is unknown until it was read; nothing is sent twice."""
    work.organisation(sandbox.base_url)

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        return BULK_ANSWERS[how](answer) if seen.path.endswith("/Bulk") else answer

    with interposed(sandbox.origin, hook) as (hop, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
        assert len([seen for seen in hop.seen if seen.method == "POST"]) == 2
    assert ended.code == 0, ended.out + ended.err
    assert set(work.outcomes().values()) == {"applied"}
    assert _is_whole(sandbox)


@pytest.mark.parametrize(("largest", "code"), [(1, 0), (2, 0), (0, 1)])
def test_413_halves_a_chunk_until_it_fits(work: Workplace, sandbox: Service, largest: int, code: int) -> None:
    """R10 and cxone.md section 10: a single operation that is too large is permanent."""
    work.organisation(sandbox.base_url)

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.path.endswith("/Bulk") and len(json.loads(seen.body)["Operations"]) > largest:
            return Answer(413, {"status": "413", "detail": f"at most {largest}"})
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == code, ended.out + ended.err
    assert set(work.outcomes().values()) == {"applied" if code == 0 else "failed"}


def test_credentials_that_expire_in_the_middle_stop_the_run(work: Workplace, start_sandbox: StartSandbox) -> None:
    """cxone.md section 10: 401 stops the run; what was not sent is told from what failed."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        writes.extend([seen.path] if seen.method != "GET" else [])
        return Answer(401) if len(writes) > 2 else pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert len(writes) == 3
    outcomes = list(work.outcomes().values())
    assert [outcomes.count(each) for each in ("applied", "failed", "not-attempted")] == [2, 1, 3]


def test_a_run_that_cannot_be_proven_is_no_success(work: Workplace, sandbox: Service) -> None:
    """P8: everything was sent, nothing could be read again: 6, and it is said."""
    work.organisation(sandbox.base_url)
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        writes.extend([seen.path] if seen.method != "GET" else [])
        return Answer(500) if len(writes) == 2 and seen.method == "GET" else pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "Not proven" in ended.out
    assert not work.receipts()[-1]["complete"]
