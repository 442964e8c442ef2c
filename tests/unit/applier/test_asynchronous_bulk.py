"""Carrying out a plan on a service that makes a job of every bulk request (cxone.md sections 5 and 12; D11, D13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import ConfigurationError, ScimAccepted, ScimUnreachable
from reconciler.messages.bulk import JobReport, JobState, parse_job
from reconciler.model.outcome import Outcome
from reconciler.model.resource import Attributes, DesiredGroup, DesiredUser, Kind
from tests.fakes.directory_service import DirectoryService, Fault, Told
from tests.states import (
    World,
    applied,
    capabilities_of,
    desired_group,
    desired_state,
    desired_user,
    put_dialect,
    tenant_for,
)

APPLIED, CONFLICT, FAILED = Outcome.APPLIED, Outcome.CONFLICT, Outcome.FAILED
NOT_ATTEMPTED, UNKNOWN = Outcome.NOT_ATTEMPTED, Outcome.UNKNOWN
ERRORS = [{"code": "E7", "message": "the directory was busy"}]


def _tells(word: str, *, results: bool, errors: object = (), polls: int = 1) -> Told:
    """A job that is in progress for some questions, and then says this for ever."""

    def told(number: int, answer: Attributes) -> JobReport:
        if number < polls:
            return parse_job({"id": "j", "status": "IN_PROGRESS"})
        shown = {"Operations": answer["Operations"]} if results else {}
        return parse_job({"id": "j", "status": word, "errors": list(errors) if errors else [], **shown})  # type: ignore[call-overload]

    return told


WITH_RESULTS = _tells("COMPLETED", results=True, polls=3)
WITHOUT_RESULTS = _tells("completed", results=False, polls=2)


def _hiring(job: Told | None, **service: Any) -> World:
    """A boss, somebody who works for her, a nested team: every batch needs the ids of the one before."""
    found = DirectoryService(job=job, **service)
    documents: list[DesiredUser | DesiredGroup] = [
        desired_user("boss", externalId="hr-1"),
        desired_user("eve", externalId="hr-2", enterprise={"manager": {"userName": "boss"}}),
        desired_group("Team", externalId="t", members=[{"user": "eve"}]),
        desired_group("Unit", externalId="u", members=[{"group": "Team"}]),
    ]
    return World(found, desired_state(*documents), capabilities=capabilities_of(found))


def _promoted(job: Told | None, **service: Any) -> World:
    """Two users get another title; a nickname is not managed."""
    found = DirectoryService(job=job, **service)
    found.add_user("u1", "ann", title="old", nickName="Annie")
    found.add_user("u2", "bob", title="old")
    users = [desired_user("ann", title="new"), desired_user("bob", title="new")]
    return World(found, desired_state(*users), capabilities=capabilities_of(found))


FLAVOURS: list[dict[str, Any]] = [{}, {"versions": False}, {"tells_ids": False}]


@pytest.mark.parametrize("put", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: "-".join(flavour) or "plain")
@pytest.mark.parametrize("job", [WITH_RESULTS, WITHOUT_RESULTS], ids=["results", "no-results"])
def test_later_batches_get_the_ids_that_earlier_jobs_made(job: Told, flavour: dict[str, Any], put: bool) -> None:
    """By their results, or by reading; a job is over before the next request is sent, and nothing is there twice."""
    world = _hiring(job, **flavour)
    world = replace(world, tenant=tenant_for(dialect=put_dialect())) if put else world
    assert applied(world.run())
    assert (len(world.service.users), len(world.service.groups)) == (2, 2)
    assert world.service.members_of("Unit") == {"group:Team"}
    assert len([1 for method, _, _ in world.service.sent if method == "POST"]) == 4
    jobs = len(world.service.bulk_sizes)
    assert world.notes.history == [f"{sign}bulk-job-{n}" for n in range(1, jobs + 1) for sign in "+-"]
    assert world.run().plan.changes == ()


def test_questions_after_jobs_stand_outside_the_estimate() -> None:
    """SPEC section 6: with results a job costs what a synchronous answer costs."""
    world = _hiring(WITH_RESULTS)
    run = world.run()
    assert run.requests == run.plan.estimate.requests
    assert world.service.polls == 3 * len(world.service.bulk_sizes)
    assert world.clock.slept == [2, 4, 8] * len(world.service.bulk_sizes)


@pytest.mark.parametrize("word", ["COMPLETED", "FAILED"])
def test_p4_what_a_job_leaves_out_is_not_counted_as_success(word: str) -> None:
    """Defect P4: `COMPLETED` counted for everybody. Read back: what is there is applied, what is not is not."""
    world = _promoted(_tells(word, results=False))
    world.service.faults = {1: Fault(missing="before")}  # the service forgets Ann
    run = world.run()
    ann = UNKNOWN if word == "COMPLETED" else FAILED
    assert run.outcomes == {"User/ann": ann, "User/bob": APPLIED}
    assert "job bulk-job-1" in (run.result("User/ann").cause or "")
    assert run.result("User/bob").cause is None
    assert not run.result("User/bob").rebased
    assert len(world.service.bulk_sizes) == 1, "what a job may still do is never sent again"


@pytest.mark.parametrize("results", [True, False])
@pytest.mark.parametrize("word", ["COMPLETED", "FAILED"])
def test_a_job_with_errors_is_read_back_whatever_else_it_says(word: str, results: bool) -> None:
    """cxone.md section 5: the parts that were committed are applied, and the errors are the cause of the others."""
    world = _promoted(_tells(word, results=results, errors=ERRORS))
    world.service.faults = {1: Fault(missing="before")}
    run = world.run()
    assert run.outcomes == {"User/ann": FAILED, "User/bob": APPLIED}
    ended = "failed" if word == "FAILED" else "ended with errors"
    assert run.result("User/ann").cause == f"job bulk-job-1 {ended}: E7: the directory was busy"
    reads = [line for line in world.service.log[world.service.log.index("POST /Bulk") :] if line.startswith("GET")]
    assert reads
    assert len(world.service.bulk_sizes) == 1


def test_a_lying_result_inside_a_job_with_errors_is_found() -> None:
    """201 for an operation, an error for the job: only reading tells."""

    def told(number: int, answer: Attributes) -> JobReport:
        rows = [{**row, "status": "200"} for row in answer["Operations"]]
        return parse_job({"status": "COMPLETED", "errors": ERRORS, "Operations": rows})

    world = _promoted(told)
    world.service.faults = {1: Fault(refuse=(500, None))}
    assert world.run().outcomes == {"User/ann": FAILED, "User/bob": APPLIED}


@pytest.mark.parametrize("results", [True, False])
def test_a_create_of_a_failed_job_is_never_sent_twice(results: bool) -> None:
    """Defect P3: blind repeats made duplicates. Group names need not be unique, so nothing else would stop it."""
    world = _hiring(_tells("FAILED", results=results, errors=ERRORS))
    world.service.fault_for = lambda number, method, path: Fault(missing="before" if path == "/Groups" else None)
    run = world.run()
    assert run.outcomes["User/boss"] is run.outcomes["User/eve"] is APPLIED
    assert run.outcomes["Group/Team"] is FAILED
    assert [path for method, path, _ in world.service.sent if method == "POST"].count("/Groups") <= 2


def test_a_job_that_commits_late_is_seen_at_a_later_look() -> None:
    """COMPLETED, and yet not to be seen at once (SPEC 10, late async commit): looked for three times, sent once."""
    world = _hiring(WITHOUT_RESULTS)
    looks = iter(range(100))
    find, listed = world.service.find, world.service.list_page

    def late_find(kind: Kind, attribute: str, value: str) -> Any:
        return find(kind, attribute, value) if next(looks) > 2 else ()

    def late_list(kind: Kind, start_index: int, count: int, filter: str | None = None) -> Any:  # noqa: A002
        page = listed(kind, start_index, count, filter)
        return replace(page, resources=[], total=0) if world.service.sent and next(looks) <= 2 else page

    world.service.find, world.service.list_page = late_find, late_list  # type: ignore[method-assign]
    run = world.run()
    assert run.outcomes["User/boss"] is APPLIED
    assert len([path for method, path, _ in world.service.sent if (method, path) == ("POST", "/Users")]) == 2


@pytest.mark.parametrize("job", [WITH_RESULTS, WITHOUT_RESULTS], ids=["results", "no-results"])
def test_a_foreign_write_is_kept_or_rebased_also_inside_a_job(job: Told) -> None:
    """SPEC 7.6: a managed attribute is a conflict, an unmanaged one is kept; a stale version may be sent again."""
    world = _promoted(job)

    def between(service: DirectoryService) -> None:
        service.edit("u1", title="foreign")
        service.edit("u2", nickName="Bobby")

    run = world.run(between)
    assert run.outcomes == {"User/ann": CONFLICT, "User/bob": APPLIED}
    assert run.result("User/bob").rebased
    assert (world.service.users["u2"]["title"], world.service.users["u2"]["nickName"]) == ("new", "Bobby")
    assert world.service.users["u1"]["title"] == "foreign"


def test_a_create_of_somebody_else_is_not_adopted() -> None:
    """409 inside a job, and 409 that a job does not tell of (SPEC 3)."""
    for job in (WITH_RESULTS, WITHOUT_RESULTS):
        world = _hiring(job)
        run = world.run(lambda service: service.add_user("foreign", "boss", title="somebody else"))
        assert run.outcomes["User/boss"] is CONFLICT
        assert "externalId" not in world.service.users["foreign"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (lambda: parse_job({"status": "IN_PROGRESS"}), "still running after 600 seconds"),
        (lambda: _raise(ScimUnreachable("no answer from the service", maybe_sent=True)), "no answer from the service"),
    ],
    ids=["deadline", "away"],
)
def test_a_job_without_an_end_is_unknown_and_nothing_more_is_sent(script: Callable[[], JobReport], said: str) -> None:
    """cxone.md section 5: the job is `unknown`, says so with its id, and stays noted for the next run."""
    world = _hiring(lambda number, answer: script())
    live = world.read()
    run = world.send(world.plan(live=live), live)
    assert run.outcomes == {
        "User/boss": UNKNOWN,
        "User/eve": NOT_ATTEMPTED,
        "Group/Team": NOT_ATTEMPTED,
        "Group/Unit": NOT_ATTEMPTED,
    }
    cause = run.result("User/boss").cause or ""
    assert "job bulk-job-1" in cause
    assert said in cause
    assert len(world.service.bulk_sizes) == 1
    [noted] = world.jobs().left_open()
    assert (noted.job.id, noted.keys) == ("bulk-job-1", ("User/boss",))


def _raise(error: BaseException) -> JobReport:
    raise error


def test_ctrl_c_while_a_job_runs_is_unknown_and_noted() -> None:
    """SPEC P6, exit code 130: what is in the job may still be carried out."""
    world = _hiring(lambda number, answer: _raise(KeyboardInterrupt()))
    run = world.run()
    assert run.applied.interrupted
    assert run.outcomes["User/boss"] is UNKNOWN
    assert run.outcomes["Group/Team"] is NOT_ATTEMPTED
    assert "job bulk-job-1 may still be running" in (run.result("User/boss").cause or "")
    assert [noted.job.id for noted in world.jobs().left_open()] == ["bulk-job-1"]


def test_an_interruption_without_a_job_does_not_speak_of_one() -> None:
    """The sentence is for those whom it concerns."""
    world = _hiring(None)
    world.service.faults = {1: Fault(interrupt="before")}
    assert world.run().result("User/boss").cause == "the run was interrupted"


def test_a_job_that_the_service_forgets_is_resolved_by_reading() -> None:
    """What is there is applied; what is not is unknown, and not sent again."""
    world = _promoted(lambda number, answer: JobReport(state=JobState.GONE))
    world.service.faults = {1: Fault(missing="before")}
    run = world.run()
    assert run.outcomes == {"User/ann": UNKNOWN, "User/bob": APPLIED}
    assert "no longer knows of it" in (run.result("User/ann").cause or "")
    assert world.notes.open_jobs(world.tenant.target) == ()


@pytest.mark.parametrize("bulk", [True, False])
@pytest.mark.parametrize("done", [True, False])
def test_a_202_without_a_job_is_resolved_by_reading(bulk: bool, done: bool) -> None:
    """RFC 9967: nothing to ask after it by. Done already: applied. Not to be seen: unknown, and never sent again."""
    world = _promoted(None, bulk_supported=bulk)
    name = "bulk" if bulk else "patch"
    send = getattr(world.service, name)

    def accepted(*arguments: Any) -> Any:
        if done:
            send(*arguments)
        else:
            world.service.log.append("write")
        raise ScimAccepted("the service answered 202", hint="look again")

    setattr(world.service, name, accepted)
    run = world.run()
    assert set(run.outcomes.values()) == {APPLIED if done else UNKNOWN}
    assert len(world.service.writes) == (1 if bulk else 2)


def test_a_journal_that_cannot_be_written_ends_the_run_and_not_the_report() -> None:
    """The disk is full: what was sent is unknown, and every change has its outcome."""
    world = _hiring(WITH_RESULTS)

    def full(noted: object) -> None:
        raise ConfigurationError("the journal cannot be read or written: the disk is full")

    world.notes.opened = full  # type: ignore[method-assign]
    run = world.run()
    assert run.outcomes["User/boss"] is UNKNOWN
    assert "the disk is full" in (run.result("User/boss").cause or "")
