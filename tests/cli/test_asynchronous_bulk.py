"""Bulk requests that become jobs, from the command line (cxone.md section 5; SPEC P5, P6, P7)."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.applier.journal import JOURNAL
from reconciler.sandbox.config import AsyncBulk
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, ScriptedService, Seen


def _is_whole(service: Service) -> bool:
    """Whether the small organisation is there, once."""
    return (
        set(service.all("Users")) == {f"{name}@example.com" for name in ("ann", "bob", "cyd", "dan")}
        and service.member_names("Support") == {"ann@example.com", "bob@example.com"}
        and service.member_names("Sales") == {"cyd@example.com"}
    )


def _asks(seen: Seen) -> bool:
    return seen.method == "GET" and "/Bulk/" in seen.path


@dataclass
class Gate:
    """A hop in front of a tenant that works off jobs; while `answer` is set, it answers questions after them.

    Jobs at paths that are `forgotten` are not found.
    """

    service: Service
    answer: Answer | None = None
    forgotten: frozenset[str] = frozenset()
    hop: ScriptedService | None = None

    def __call__(self, seen: Seen, pass_on: PassOn) -> Answer:
        """The hook."""
        if seen.path in self.forgotten:
            return Answer(404)
        if _asks(seen) and self.answer is not None:
            return self.answer
        return pass_on()

    @property
    def questions(self) -> list[str]:
        """The paths of jobs that were asked after."""
        assert self.hop is not None
        return [seen.path for seen in self.hop.seen if _asks(seen)]

    @property
    def lines(self) -> list[str]:
        """What was asked, without the words of queries."""
        assert self.hop is not None
        return [line.partition("?")[0].rpartition("/scim/v2")[2] for line in self.hop.lines]

    @property
    def submitted(self) -> int:
        """How many bulk requests arrived."""
        assert self.hop is not None
        return len([seen for seen in self.hop.seen if (seen.method, seen.path) == ("POST", "/scim/v2/Bulk")])


STUCK = Answer(200, {"id": "j", "status": "IN_PROGRESS", "errors": []})


@pytest.fixture
def gate(work: Workplace, start_sandbox: StartSandbox) -> Iterator[Gate]:
    """The small organisation, to be applied through a gate to an empty tenant that works off jobs."""
    service = start_sandbox(async_bulk=AsyncBulk())
    found = Gate(service)
    with interposed(service.origin, found) as (hop, origin):
        found.hop = hop
        work.organisation(f"{origin}/scim/v2")
        yield found


def test_jobs_are_followed_and_the_run_is_proven(work: Workplace, gate: Gate) -> None:
    """D11: 202 is decided by the answer; the waits of polling are told, and the receipt is that of any other run."""
    ended = work.run("apply", "--yes", "--log-format", "json")
    assert ended.code == 0, ended.err
    assert _is_whole(gate.service)
    assert work.receipts()[-1]["complete"]
    phases = [event["phase"] for event in ended.events if event["event"] == "phase.started"]
    assert len([phase for phase in phases if phase.startswith("waiting for job bulk-job-")]) == gate.submitted == 2
    assert work.clock.slept.count(2.0) >= 2
    assert work.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_p7_a_run_that_dies_while_a_job_runs_is_resumed(
    work: Workplace, start_sandbox: StartSandbox, number: signal.Signals
) -> None:
    """The id is on the disk before the first question. The next run asks after the job before it reads or sends."""
    service = start_sandbox(async_bulk=AsyncBulk(polls=3))
    reached, go_on = threading.Event(), threading.Event()

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if _asks(seen) and not reached.is_set():  # a third of the job is done by now
            reached.set()
            go_on.wait(60)
        return answer

    with interposed(service.origin, hook) as (hop, origin):
        work.organisation(f"{origin}/scim/v2")
        process = work.start("apply", "--yes")
        assert reached.wait(60)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        go_on.set()
        assert "Traceback" not in err
        if number is signal.SIGINT:
            assert process.returncode == 130, err
            causes = {item["key"]: item["cause"] for item in work.receipts()[-1]["outcomes"]}
            assert "may still be running" in causes["User/ann@example.com"]
            assert work.outcomes()["User/ann@example.com"] == "unknown"
            assert work.outcomes()["Group/Sales"] == "not-attempted"
        hop.seen.clear()
        ended = work.run("apply", "--yes")
        assert ended.code == 0, ended.err
        first_list = next(index for index, seen in enumerate(hop.seen) if "/Users?" in seen.path)
        asked = [index for index, seen in enumerate(hop.seen) if _asks(seen)]
        assert asked[0] < asked[1] < first_list, "the plan sees what the job did"
        sent = [json.loads(seen.body)["Operations"] for seen in hop.seen if seen.method == "POST"]
        assert {operation["path"] for operations in sent for operation in operations} == {"/Groups"}
    assert _is_whole(service)


def test_a_job_without_an_end_is_unknown_and_refuses_the_next_apply(work: Workplace, gate: Gate) -> None:
    """cxone.md section 5: a deadline leaves the job `unknown`; never is anything sent while it is open."""
    gate.answer = STUCK
    ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out
    assert "bulk-job-" in ended.out
    assert "still running after 600 seconds" in ended.out
    assert sorted(set(work.outcomes().values())) == ["not-attempted", "unknown"]
    assert gate.submitted == 1
    journal = work.state / "acme" / JOURNAL
    assert journal.stat().st_mode & 0o777 == 0o600

    planned = work.run("plan", "--format", "json")
    assert planned.code == 0
    [finding] = [item for item in planned.lines[0]["findings"] if item["code"] == "job-open"]
    assert "bulk-job-" in finding["message"]
    assert work.run("explain", "job-open").code == 0

    assert gate.hop is not None
    gate.hop.seen.clear()
    refused = work.run("apply", "--yes")
    assert refused.code == 1
    run = work.receipts()[-1]["run"]
    assert "nothing was applied" in refused.err
    assert f"of run {run} may still be running" in refused.err
    assert f"--take-over {run}" in refused.err
    assert not [line for line in gate.lines if "/Users" in line or line.startswith("POST")]
    assert len(work.receipts()) == 1

    gate.answer = None
    work.converge()
    assert _is_whole(gate.service)
    assert not [
        item for item in work.run("plan", "--format", "json").lines[0]["findings"] if item["code"] == "job-open"
    ]


def test_a_saved_plan_waits_for_open_jobs_too(work: Workplace, gate: Gate) -> None:
    """Whatever way a plan was approved."""
    saved = work.folder / "plan.json"
    assert work.run("plan", "--out", saved).code == 0
    seal = json.loads(saved.read_text(encoding="utf-8"))["seal"]
    gate.answer = STUCK
    assert work.run("apply", "--yes").code == 6
    assert work.run("apply", "--plan", saved, "--expect-seal", seal).code == 1
    assert gate.submitted == 1
    gate.answer = None
    work.converge()
    assert _is_whole(gate.service)


def test_a_job_that_the_service_has_forgotten_is_over(work: Workplace, gate: Gate) -> None:
    """404: what it did is read, and the rest is planned anew."""
    gate.answer = STUCK
    assert work.run("apply", "--yes").code == 6
    gate.answer, gate.forgotten = None, frozenset(gate.questions)
    work.converge()
    assert len(gate.forgotten) == 1
    assert _is_whole(gate.service)


def test_a_run_can_be_taken_over(work: Workplace, gate: Gate) -> None:
    """The way out where a service never ends a job: somebody knows that it is over, and says so."""
    gate.answer = STUCK
    assert work.run("apply", "--yes").code == 6
    run = work.receipts()[-1]["run"]
    mistaken = work.run("apply", "--yes", "--take-over", "20260101T000000Z-dead")
    assert mistaken.code == 1
    assert run in mistaken.err
    assert work.run("apply", "--yes", "--take-over", run).code == 6  # its own job is stuck, too: it was sent
    assert gate.submitted == 2
    gate.answer = None
    work.converge()
    assert _is_whole(gate.service)
    assert work.run("apply", "--yes", "--take-over", run).code == 1


def test_taking_over_is_for_one_tenant(work: Workplace, gate: Gate) -> None:
    """A run belongs to one."""
    work.organisation(gate.service.base_url, name="beta")
    ended = work.run("apply", "--yes", "--take-over", "20260101T000000Z-dead")
    assert ended.code == 64
    assert "acme" in ended.err


@pytest.mark.parametrize("results", [True, False], ids=["results", "no-results"])
def test_what_somebody_changed_meanwhile_is_kept_also_inside_a_job(
    work: Workplace, start_sandbox: StartSandbox, results: bool
) -> None:
    """P3: the version in an operation guards it. A managed value is a conflict, an unmanaged one is kept."""
    service = start_sandbox(async_bulk=AsyncBulk(polls=1, shows_results=results))
    work.organisation(service.base_url)
    work.converge()
    people = work.root / "acme" / "people.yaml"
    people.write_text(people.read_text(encoding="utf-8").replace("title: Agent", "title: Chief"), encoding="utf-8")

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST" and not edited:
            edited.append(seen.path)
            service.patch("Users", "ann@example.com", {"op": "replace", "path": "title", "value": "Foreign"})
            service.patch("Users", "bob@example.com", {"op": "replace", "path": "nickName", "value": "Bobby"})
        return pass_on()

    edited: list[str] = []
    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    users = service.all("Users")
    titles = {name.partition("@")[0]: user["title"] for name, user in users.items()}
    assert titles == {"ann": "Foreign", "bob": "Chief", "cyd": "Coach", "dan": "Chief"}
    assert users["bob@example.com"]["nickName"] == "Bobby"
    assert work.outcomes()["User/ann@example.com"] == "conflict"
    assert "1 rebased" in ended.out


LIES: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {
    "completed-with-errors": lambda job: {**job, "errors": [{"code": "E1", "message": "one was late"}]},
    "failed-after-all": lambda job: {**job, "status": "failed", "Operations": []},
    "every-second-result": lambda job: {**job, "Operations": _every_second(job.get("Operations"))},
    "lower-case": lambda job: {key.lower(): value for key, value in {**job, "status": "completed"}.items()},
}


def _every_second(rows: object) -> list[object]:
    return rows[::2] if isinstance(rows, list) else []


@pytest.mark.parametrize("how", LIES)
def test_p4_what_a_job_says_is_not_believed_where_it_does_not_say_all(
    work: Workplace, start_sandbox: StartSandbox, how: str
) -> None:
    """Defect P4: everything was done, and only reading tells; nothing is sent twice."""
    service = start_sandbox(async_bulk=AsyncBulk(polls=1))

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if not _asks(seen):
            return answer
        assert isinstance(answer.body, bytes)
        return Answer(200, LIES[how](json.loads(answer.body)))

    with interposed(service.origin, hook) as (hop, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
        assert len([seen for seen in hop.seen if seen.method == "POST"]) == 2
    assert ended.code == 0, ended.out + ended.err
    assert set(work.outcomes().values()) == {"applied"}
    assert _is_whole(service)


def test_p1_a_job_that_ends_with_errors_tells_why(work: Workplace, start_sandbox: StartSandbox) -> None:
    """Defect P1: the cause is in the service's words. What was committed is applied, also without results."""
    service = start_sandbox(async_bulk=AsyncBulk(polls=1, shows_results=False))

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST" and not service.all("Users"):
            service.create("Users", userName="ann@example.com", externalId="somebody-else")
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    outcomes = {item["key"]: item for item in work.receipts()[-1]["outcomes"]}
    assert outcomes["User/ann@example.com"]["outcome"] == "failed"
    assert "ended with errors: uniqueness" in outcomes["User/ann@example.com"]["cause"]
    assert outcomes["User/bob@example.com"]["outcome"] == "applied"


def test_a_job_that_commits_after_everybody_stopped_looking_is_unknown(
    work: Workplace, start_sandbox: StartSandbox
) -> None:
    """SPEC 10, late async commit: nobody guesses, nothing is sent twice, and the next run does the rest."""
    service = start_sandbox(async_bulk=AsyncBulk(late_by=40))
    work.organisation(service.base_url)
    ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    outcomes = work.outcomes()
    assert outcomes["User/ann@example.com"] == "unknown"
    assert "is not to be seen" in ended.out
    for _ in range(40):
        service.call("GET", "/Users")
    assert set(service.all("Users")) == {f"{name}@example.com" for name in ("ann", "bob", "cyd", "dan")}
    assert len([entry for entry in service.log if entry["path"].endswith("/Bulk") and entry["method"] == "POST"]) <= 2


def test_the_journal_holds_no_secret(work: Workplace, gate: Gate) -> None:
    """SPEC P11."""
    gate.answer = STUCK
    work.run("apply", "--yes")
    data = (work.state / "acme" / JOURNAL).read_bytes()
    assert b"s3cr3t" not in data
    assert Path(work.state / "acme").stat().st_mode & 0o777 == 0o700
