"""Services that mean harm, over whole runs: bounded memory and patience, a clear error, the right exit code.

Issue 3 number 5. What the reading of one list bears is in ../scim/test_hostile_service.py.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import TOKEN, Service, Workplace, service_of
from tests.fakes.interposed import PassOn, forward, interposed
from tests.fakes.scripted_service import Answer, Seen, scripted

MEGABYTE = 1024 * 1024
MEMORY = 1024 * 1024
"""Kilobytes of address space that a run may take, threads and libraries included."""

DEEP = b'{"Operations": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A desk with an empty folder."""
    return Workplace(tmp_path, monkeypatch)


def gigabyte() -> Iterator[bytes]:
    """A body that begins like a list and does not end for long."""
    yield b'HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{"totalResults": 1, "Resources": [{"id": "'
    piece = b"x" * MEGABYTE
    for _ in range(1024):
        yield piece


def no_rows() -> Answer:
    """An empty list."""
    return Answer(body={"totalResults": 0, "Resources": []})


# --- reading ---------------------------------------------------------------------------------------------------------


def _confined(work: Workplace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process that may not take more memory than `MEMORY`, nor all day."""
    command = ["sh", "-c", f'ulimit -v {MEMORY}; exec "$0" "$@"', sys.executable, "-m", "reconciler", *arguments]
    environment = {**os.environ, **work.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def bomb() -> Answer:
    """A gigabyte, sixteen times the same megabytes behind gzip."""
    return Answer(body=gzip.compress(b" " * (64 * MEGABYTE)) * 16, headers={"Content-Encoding": "gzip"})


BODIES: Mapping[str, tuple[Callable[[], Answer], str]] = {
    "gigabyte": (lambda: Answer(pieces=gigabyte), "larger than"),
    "bomb": (bomb, "larger than"),
    "error": (lambda: Answer(status=403, body=b"x" * (80 * MEGABYTE)), "larger than"),
    "values": (lambda: Answer(body=b'{"Resources": [' + b"{}," * 13_000_000 + b"{}]}"), "values"),
}
"""A body, and what is said about it."""


@pytest.mark.parametrize("where", ["/Users", "/ServiceProviderConfig"])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_without_measure_costs_bounded_memory(work: Workplace, name: str, where: str) -> None:
    """Exit 1 and one message; discovery is done without, and says so."""
    answer, says = BODIES[name][0](), BODIES[name][1]
    with scripted(lambda seen: answer if where in seen.path else no_rows()) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = _confined(work, "plan", "acme")
    assert "Traceback" not in ended.stderr
    assert "internal error" not in ended.stderr
    if where == "/ServiceProviderConfig":
        assert ended.returncode == 0, ended.stderr
        assert "ServiceProviderConfig cannot be read: defaults of the profile are used" in ended.stdout
    else:
        assert ended.returncode == 1, ended.stderr
        assert says in ended.stderr


def _people(number: int) -> list[dict[str, Any]]:
    return [{"id": f"u{n}", "userName": f"somebody{n}@example.com", "active": True} for n in range(number)]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ({"totalResults": 40, "Resources": _people(10)}, "says it has 40 users and listed 10"),
        ({"totalResults": 10, "Resources": _people(10), "nextCursor": "again"}, "twice"),
        (
            {"totalResults": 2, "Resources": [{"id": "u1", "userName": "a"}, {"id": "u1", "userName": "b"}]},
            "two different users under one id",
        ),
    ],
    ids=["first-page-for-ever", "one-cursor-for-ever", "duplicate-ids"],
)
def test_a_list_that_contradicts_itself_refuses_creates(work: Workplace, page: dict[str, Any], says: str) -> None:
    """Exit 4 by name of the guard, after a bounded number of requests."""
    with scripted(lambda seen: Answer(body=page) if "/Users" in seen.path else no_rows()) as (service, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("plan")
    assert ended.code == 4, ended.out + ended.err
    assert "REFUSED incomplete-inventory" in ended.out
    assert says in ended.out
    assert len(service.seen) < 60


@pytest.mark.parametrize("where", ["/Users", "/ServiceProviderConfig"])
def test_a_service_that_drips_is_given_up(work: Workplace, where: str) -> None:
    """A byte a minute; each request has a deadline as a whole, and its repeats have an end."""

    def drip() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(1000):
            work.clock.now += 60
            yield b" "

    with scripted(lambda seen: Answer(pieces=drip) if where in seen.path else no_rows()) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("plan")
    assert ended.code == 1, ended.out + ended.err
    assert "was lost" in ended.err or "in time" in ended.err


# --- writing ---------------------------------------------------------------------------------------------------------


def _strangers() -> bytes:
    rows = [{"method": "POST", "bulkId": f"x{n}", "status": "201", "location": f"/x/Users/{n}"} for n in range(50_000)]
    return json.dumps({"Operations": rows}).encode()


AFTER: Mapping[str, Answer] = {
    "gigabyte": Answer(pieces=gigabyte),
    "deep": Answer(body=DEEP),
    "html": Answer(body=b"<html>Thank you!</html>", headers={"Content-Type": "text/html"}),
    "nothing": Answer(body=b""),
    "wrong-type": Answer(body=b"[]"),
    "strangers": Answer(body=_strangers()),
    "not-compressed": Answer(body=b"{}", headers={"Content-Encoding": "gzip"}),
    "odd-success": Answer(status=206, body=b"{}"),
    "garbage": Answer(raw=b"\x00\x01\x02 what?\r\n\r\n"),
}
"""What a service answers that has carried out what it was asked."""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], Service]]:
    """Starts a sandbox, with bulk or without."""
    running: list[SandboxServer] = []

    def run(bulk: bool) -> Service:
        server = SandboxServer(SandboxConfig(token=TOKEN, profile="rfc7644", supports_bulk=bulk))
        running.append(server)
        return service_of(server.__enter__())

    yield run
    for server in running:
        server.__exit__(None, None, None)


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
@pytest.mark.parametrize("name", AFTER)
def test_a_hostile_answer_to_a_write_is_resolved_by_reading(
    work: Workplace, start: Callable[[bool], Service], name: str, bulk: bool
) -> None:
    """P5, P6: nothing is believed and nothing sent twice; the run ends proven, or says what it does not know."""
    service = start(bulk)
    hostile: list[Seen] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method == "GET" or len(hostile) == 2:
            return answer
        hostile.append(seen)
        return AFTER[name]

    with interposed(service.origin, hook) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
        assert ended.code in {0, 6}, ended.out + ended.err
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err
        assert len(hostile) == 2
        assert "conflict" not in work.outcomes().values()
        assert len(service.all("Users")) == 4  # by name: nobody is there twice
        again = work.run("apply", "--yes")
        assert again.code == 0, again.out + again.err
        assert work.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_write_that_is_redirected_elsewhere_goes_nowhere(
    work: Workplace, start: Callable[[bool], Service], status: int, bulk: bool
) -> None:
    """The other host hears nothing, not even the method; the change fails and says where it was sent."""
    service = start(bulk)
    with scripted([no_rows()]) as (elsewhere, other):

        def hook(seen: Seen, pass_on: PassOn) -> Answer:
            if seen.method == "GET":
                return pass_on()
            return Answer(status=status, headers={"Location": f"{other}{seen.path}"})

        with interposed(service.origin, hook) as (_, origin):
            work.organisation(f"{origin}/scim/v2")
            ended = work.run("apply", "--yes")
        assert elsewhere.seen == []
    assert ended.code == 1, ended.out + ended.err
    assert f"redirects to {other}" in ended.out
    assert service.all("Users") == {}


def test_a_write_whose_answer_drips_is_given_up_and_resolved(work: Workplace, start: Callable[[bool], Service]) -> None:
    """It may have arrived: it is looked for, and found."""
    service = start(False)
    dripped: list[Seen] = []

    def drip() -> Iterator[bytes]:
        yield b"HTTP/1.1 201 Created\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(1000):
            work.clock.now += 60
            yield b" "

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method == "GET" or dripped:
            return answer
        dripped.append(seen)
        return Answer(pieces=drip)

    with interposed(service.origin, hook) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert dripped
    assert len(service.all("Users")) == 4


# --- ids -------------------------------------------------------------------------------------------------------------

ODD = 'a/b?c#d "e" \\f\' %2e%2e é '
"""What every id of the service begins with: slashes, quotes, a backslash, blanks, what looks encoded."""


def _outward(value: Any, key: str = "") -> Any:
    """What the service says, with odd ids."""
    if isinstance(value, dict):
        return {name: _outward(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_member(item) if key in {"members", "groups"} else _outward(item) for item in value]
    if key == "id":
        return ODD + value
    if key in {"location", "$ref"}:
        head, _, last = value.rpartition("/")
        return f"{head}/{quote(ODD + last, safe='')}"
    return value


def _member(item: dict[str, Any]) -> dict[str, Any]:
    return {**_outward(item), "value": ODD + item["value"]}


def _inward(value: Any) -> Any:
    """What the service is asked, with its own ids: in bodies, in filters of PATCH paths, in paths of bulk."""
    if isinstance(value, dict):
        return {name: _inward(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_inward(item) for item in value]
    if isinstance(value, str):
        spelled = (quote(ODD, safe=""), json.dumps(ODD)[1:-1], ODD)
        for text in spelled:
            value = value.replace(text, "")
    return value


def _odd_ids(seen: Seen, origin: str) -> Seen:
    path = seen.path.replace(quote(ODD, safe=""), "")
    assert quote(ODD, safe="")[:4] not in path, f"an id is more than one segment in {seen.path}"
    body = json.dumps(_inward(json.loads(seen.body))).encode() if seen.body else b""
    headers = {**seen.headers, "content-length": str(len(body))} if body else seen.headers
    return Seen(seen.method, path, headers, body)


@pytest.mark.parametrize("verb", ["patch", "put"])
@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
def test_ids_with_slashes_and_quotes_are_written_to_as_they_are(
    work: Workplace, start: Callable[[bool], Service], bulk: bool, verb: str
) -> None:
    """In paths, in bodies, in the filter of a PATCH path, in `Location`: two revisions converge."""
    service = start(bulk)

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = forward(_odd_ids(seen, service.origin), service.origin)
        headers = {n: _outward(v, "location") if n.lower() == "location" else v for n, v in answer.headers.items()}
        if not answer.body or seen.path.endswith(("Config", "ResourceTypes", "Schemas")):
            return Answer(answer.status, answer.body, headers)
        assert isinstance(answer.body, bytes)
        return Answer(answer.status, _outward(json.loads(answer.body)), headers)

    with interposed(service.origin, hook) as (_, origin):
        work.organisation(f"{origin}/scim/v2", dialect={"userUpdate": verb, "groupUpdate": verb})
        work.converge()
        assert work.run("plan", "--detailed-exitcode").code == 0
        work.edit("acme/people.yaml", "familyName: Lee}, title: Agent", "familyName: Lee}, title: Lead")
        work.edit("acme/groups.yaml", "{user: bob@example.com}]", "{user: dan@example.com}]")
        work.converge()
        assert work.run("plan", "--detailed-exitcode").code == 0
    assert service.all("Users")["ann@example.com"]["title"] == "Lead"
    assert service.member_names("Support") == {"ann@example.com", "dan@example.com"}
