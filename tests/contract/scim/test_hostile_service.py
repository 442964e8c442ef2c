"""Services that mean harm, over real HTTP: bounded time and memory, and a clear error or an incomplete certificate.

Never a smaller live state (SPEC P4), and never a traceback. What a body may do to the transport alone is in
test_transport.py.
"""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from reconciler.errors import ScimError, ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.model.dialect import Dialect
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind
from reconciler.model.state import LiveState
from reconciler.scim.client import ScimClient
from reconciler.scim.snapshot import read_live_state
from tests.cli.workplace import Workplace
from tests.fakes.clock import FakeClock
from tests.fakes.listed_service import tenant, user
from tests.fakes.scripted_service import Answer, ScriptedService, Seen, scripted, transport_to

MEGABYTE = 1024 * 1024
LIMIT = 64 * MEGABYTE
"""What the transport lets through of one answer."""

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


def _read(client: ScimClient, **options: Any) -> LiveState:
    return read_live_state(client, tenant(page_size=10), Capabilities(), configuration=False, **options)


def _listing(*rows: Any, total: object = None, **more: Any) -> Answer:
    document = {"totalResults": len(rows) if total is None else total, "Resources": list(rows), **more}
    return Answer(body=json.dumps(document).encode())


def _users_only(answer: Answer) -> Callable[[Seen], Answer]:
    """The answer for users, and no groups."""
    return lambda seen: answer if "/Users" in seen.path else _listing()


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_gigabyte_is_cut_early(start: Start) -> None:
    """Neither announced nor streamed without end does it fill the memory; the rest is never received."""
    sent = [0]

    def gigabyte() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n" + b'{"Resources": [{"id": "'
        piece = b"x" * MEGABYTE
        for _ in range(1024):
            yield piece
            sent[0] += 1

    _, client = start([Answer(pieces=gigabyte)])
    tracemalloc.start()
    try:
        with pytest.raises(ScimMalformed, match="larger than"):
            client.list_page(Kind.USER, 1, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * LIMIT
    assert sent[0] < 128


def test_a_gigabyte_behind_gzip_is_cut_early(start: Start) -> None:
    """One megabyte on the wire."""
    bomb = gzip.compress(b" " * (128 * MEGABYTE), compresslevel=9)
    _, client = start([Answer(body=bomb, headers={"Content-Encoding": "gzip"})])
    with pytest.raises(ScimMalformed, match="larger than"):
        client.list_page(Kind.USER, 1, 10)


def test_a_page_that_drips_is_given_up(start: Start) -> None:
    """A byte every minute would take a century; each attempt has a deadline as a whole."""
    clock = FakeClock()

    def drip() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(1000):
            clock.now += 60
            yield b" "

    _, client = start([Answer(pieces=drip)], clock=clock)
    with pytest.raises(ScimUnreachable, match="in time"):
        client.list_page(Kind.USER, 1, 10)


@pytest.mark.parametrize(
    "body",
    [
        b'{"totalResults": 1, "Resources": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"totalResults": 1, "Resources": [{"id": "u1", "name": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_002 + b"]}",
        b"[" * 1_000_000,
    ],
    ids=["arrays", "objects", "unclosed"],
)
def test_json_that_is_nested_too_deep_is_malformed(start: Start, body: bytes) -> None:
    """Ten thousand levels and more."""
    _, client = start([Answer(body=body)])
    with pytest.raises(ScimMalformed):
        _read(client)


@pytest.mark.parametrize("depth", [100, 300, 450, 600, 900, 950, 990])
@pytest.mark.parametrize("place", ["name", "vendor", "members", "meta", "groups"])
def test_any_depth_is_read_or_malformed(start: Start, depth: int, place: str) -> None:
    """What the JSON parser just about reads may be too deep for everything behind it."""
    nest = b'{"a":' * depth + b"1" + b"}" * depth
    row = b'{"id": "x1", "userName": "x", "displayName": "x", "%s": [%s]}' % (place.encode(), nest)
    _, client = start([Answer(body=b'{"totalResults": 1, "Resources": [' + row + b"]}")])
    try:
        live = _read(client)
    except ScimMalformed:
        return
    assert (len(live.users), len(live.groups)) == (1, 1)


@pytest.mark.parametrize("piece", [b"{},", b"[],", b"0,", b'"",', b'{"":0},'])
def test_many_small_values_do_not_fill_the_memory(start: Start, piece: bytes) -> None:
    """Three bytes on the wire, seventy in memory: an answer has a bound of values, too."""
    count = 40 * MEGABYTE // len(piece)
    _, client = start([Answer(body=b'{"totalResults": 1, "Resources": [' + piece * count + b"{}]}")])
    tracemalloc.start()
    try:
        with pytest.raises(ScimMalformed):
            client.list_page(Kind.USER, 1, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LIMIT


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"<!doctype html><title>Sign in</title>", "text/html"),
        (b"<?xml version='1.0'?><Users/>", "application/xml"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
        (b"", "application/scim+json"),
        (b"null", "application/json"),
        (b'"nobody"', "application/json"),
    ],
    ids=["html", "xml", "png", "nothing", "null", "string"],
)
def test_a_success_that_is_no_list_is_malformed(start: Start, body: bytes, media_type: str) -> None:
    """Incident awslabs/ssosync #194: with status 200, and yet not "nobody is there"."""
    _, client = start([Answer(body=body, headers={"Content-Type": media_type})])
    with pytest.raises(ScimMalformed):
        _read(client)


@pytest.mark.parametrize(
    "media_type", ["text/html", "application/octet-stream", "", "application/json; charset=utf-16"]
)
def test_q22_a_list_under_a_wrong_media_type_is_read(start: Start, media_type: str) -> None:
    """scim-rfc.md section 13: the body decides."""
    answer = Answer(body=b'{"totalResults": 1, "Resources": [{"id": "u1"}]}', headers={"Content-Type": media_type})
    _, client = start(_users_only(answer))
    assert list(_read(client).users) == ["u1"]


# --- rows and numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "resources",
    ['"everybody"', "12", "true", '["u1"]', "[null]", "[[]]", "[{}]", '[{"id": null}]', '[{"id": ""}]', '[{"id": {}}]'],
)
def test_rows_that_are_no_resources_are_an_error(start: Start, resources: str) -> None:
    """Leaving them out would make the state smaller."""
    _, client = start([Answer(body=f'{{"totalResults": 1, "Resources": {resources}}}'.encode())])
    with pytest.raises(ScimMalformed):
        _read(client)


@pytest.mark.parametrize("total", ["-3", '"many"', '"NaN"', "null", "1e400", "[]", "1.5", "9" * 400, "true", '""'])
def test_a_total_that_is_no_number_is_incomplete_or_an_error(start: Start, total: str) -> None:
    """Never complete, and everything that came is kept."""
    body = f'{{"totalResults": {total}, "Resources": [{{"id": "u1"}}]}}'.encode()
    _, client = start(_users_only(Answer(body=body)))
    try:
        live = _read(client)
    except ScimMalformed:
        return
    assert list(live.users) == ["u1"]
    assert live.certificate(Kind.USER).complete is False


@pytest.mark.parametrize("total", ["NaN", "Infinity", "-Infinity"])
def test_a_total_that_json_does_not_know_is_malformed(start: Start, total: str) -> None:
    """RFC 8259 section 6: there is no such number."""
    _, client = start([Answer(body=f'{{"totalResults": {total}, "Resources": []}}'.encode())])
    with pytest.raises(ScimMalformed):
        _read(client)


def test_a_total_as_a_string_is_a_number(start: Start) -> None:
    """scim-rfc.md section 13."""
    _, client = start(_users_only(_listing(user(1), total="1")))
    assert _read(client).certificate(Kind.USER).complete


def test_duplicate_ids_are_incomplete(start: Start) -> None:
    """Two people under one id: neither of them is dropped without a word."""
    _, client = start(_users_only(_listing(user(1), {**user(1), "userName": "x"}, total=1)))
    live = _read(client)
    assert live.certificate(Kind.USER).complete is False
    assert "under one id" in str(live.certificate(Kind.USER).reason)


def test_endless_pages_are_given_up(start: Start) -> None:
    """Ten new users a page, for ever, whatever page is asked for."""
    made = iter(range(10**9))

    def script(_: Seen) -> Answer:
        return _listing(*(user(next(made)) for _ in range(10)), total=10**12)

    service, client = start(script)
    with pytest.raises(ScimMalformed, match="without end"):
        _read(client, most_rows=500)
    assert len(service.seen) < 100


def test_endless_cursors_are_given_up(start: Start) -> None:
    """A cursor that nobody asked for, and always another one."""
    made = iter(range(10**9))

    def script(_: Seen) -> Answer:
        number = next(made)
        return _listing(user(number), total=10**12, nextCursor=f"c{number}")

    service, client = start(script)
    with pytest.raises(ScimMalformed, match="without end"):
        _read(client, most_rows=200)
    assert len(service.seen) < 300


@pytest.mark.parametrize("next_cursor", [7, True, {"a": 1}, ["x"], "\ud800", 'a"&count=1&startIndex=9#', "x" * 5000])
def test_a_cursor_is_sent_back_as_it_came_or_ends_the_list(start: Start, next_cursor: object) -> None:
    """Encoded: no cursor adds a parameter of its own."""

    def script(seen: Seen) -> Answer:
        query = parse_qs(urlsplit(seen.path).query)
        if "/Users" not in seen.path or "cursor" in query:
            return _listing(user(2), total=2) if "/Users" in seen.path else _listing()
        return Answer(body=json.dumps({"totalResults": 2, "Resources": [user(1)], "nextCursor": next_cursor}).encode())

    service, client = start(script)
    try:
        _read(client)
    except ScimError:
        return
    asked = [parse_qs(urlsplit(line.split(" ")[1]).query) for line in service.lines]
    for query in asked:
        assert query.get("cursor", [str(next_cursor)]) == [str(next_cursor)]
        assert query["count"] == ["10"]


IDS = [
    *("a/b", "../Groups/g1", "..", "a?b=c#d", 'q"uote', "q'uote", "a\\b", "bulkId:1", "http://evil.example/", "%2e%2e"),
    *("tab\tnew\nline", "\x00", "\x1b[31m", "\ud800", " ", "ü€😀", "x" * 3000),
]


@pytest.mark.parametrize("identifier", IDS, ids=ascii)
def test_an_id_stays_one_segment_of_the_path_or_is_refused(start: Start, identifier: str) -> None:
    """Whatever a service calls its resources, a request for one of them goes to that one or nowhere."""
    service, client = start([Answer(body=json.dumps({"id": identifier, "userName": "x"}).encode())])
    try:
        client.get(Kind.USER, identifier)
        client.delete(Kind.USER, identifier, None)
    except ScimMalformed:
        assert service.seen == []
        return
    for line in service.lines:
        path = line.split(" ", 1)[1]
        assert path.startswith("/v2/Users/")
        assert path.count("/") == 3
        assert unquote(path.rpartition("/")[2]) == identifier


# --- through the command line ----------------------------------------------------------------------------------------


def _plan(work: Workplace, script: Any) -> tuple[int, str, str]:
    with scripted(script) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        ended = work.run("plan", "--log-format", "json")
    assert "Traceback" not in ended.err
    assert "internal error" not in ended.err
    return ended.code, ended.out, ended.err


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A desk with an empty folder."""
    return Workplace(tmp_path, monkeypatch)


_DEEP = b'{"totalResults": 1, "Resources": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"}), "not JSON"),
        (Answer(body=_DEEP), "too deep"),
        (Answer(body=b'{"totalResults": 1, "Resources": ["u1"]}'), "no resource"),
        (Answer(body=b'{"totalResults": 1, "Resources": [{"userName": "x"}]}'), "without `id`"),
        (Answer(body=b'{"totalResults": NaN, "Resources": []}'), "not JSON"),
        (Answer(body=b"\xff\xfe\xfa"), "not UTF-8"),
        (Answer(body=b"plain text", headers={"Content-Encoding": "gzip"}), "not compressed as it says"),
        (Answer(status=418, body=b"\x1b[2J\x00<b>I'm a teapot</b>"), "teapot"),
        (Answer(status=500, body=b"[" * 70_000), "500"),
        (Answer(status=204), "means nothing"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n{}"), "connection"),
        (Answer(status=400, body={"scimType": "tooMany", "detail": "too many"}), "paging: cursor"),
    ],
    ids=[
        "html",
        "deep",
        "strings",
        "no-id",
        "nan",
        "utf-8",
        "gzip",
        "teapot",
        "brackets",
        "nothing",
        "headers",
        "many",
    ],
)
def test_a_hostile_list_ends_a_plan_with_an_error(work: Workplace, answer: Answer, says: str) -> None:
    """Exit 1, one message in plain words, no traceback, no control characters."""
    code, out, err = _plan(work, lambda seen: answer if "/Users" in seen.path else _listing())
    assert code == 1, out + err
    assert says in err
    assert "\x1b" not in out + err
    assert "\x00" not in out + err


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_is_not_followed(work: Workplace, status: int) -> None:
    """cxone.md section 2: the other host hears nothing, and the message says where it was."""
    with scripted([_listing()]) as (elsewhere, other):
        answer = Answer(status=status, headers={"Location": f"{other}/scim/v2/Users?token=x"})
        code, _, err = _plan(work, lambda seen: answer if "/Users" in seen.path else _listing())
        assert elsewhere.seen == []
    assert code == 1
    assert f"redirects to {other};" in err


@pytest.mark.parametrize("total", ["-1", "99999999999999999999", '"x"', "null"])
def test_a_lie_about_the_total_refuses_creates(work: Workplace, total: str) -> None:
    """Exit 4: the guard, by its name; everything that was listed is in the plan."""
    body = f'{{"totalResults": {total}, "Resources": [{{"id": "u1", "userName": "ann@example.com"}}]}}'.encode()
    code, out, err = _plan(work, lambda seen: Answer(body=body) if "/Users" in seen.path else _listing())
    assert code == 4, out + err
    assert "NOT read completely" in out
    assert "REFUSED incomplete-inventory" in out


def test_odd_ids_do_not_break_a_plan(work: Workplace) -> None:
    """Slashes, quotes, control characters, half a surrogate pair: in a list, as members, in the output."""
    rows = [{"id": id_, "userName": f"{id_[:50]}@x", "active": True} for id_ in IDS]
    crowd = {"id": "g/1", "displayName": "Support", "members": [{"value": id_} for id_ in IDS]}
    script = lambda seen: _listing(*rows) if "/Users" in seen.path else _listing(crowd)  # noqa: E731
    code, out, err = _plan(work, script)
    assert code in {0, 1, 4}, out + err
    assert "\x1b" not in out + err
    assert "\x00" not in out + err


def test_a_hostile_discovery_is_done_without(work: Workplace) -> None:
    """Deep JSON, wrong types and nonsense where the capabilities should be: the lists decide."""
    documents = iter([_DEEP, b'{"Resources": 7}', b"[]", b"<html>"])

    def script(seen: Seen) -> Answer:
        if "/Users" in seen.path or "/Groups" in seen.path:
            return _listing()
        return Answer(body=next(documents, b"nonsense"))

    code, out, err = _plan(work, script)
    assert code == 0, out + err


def test_a_rejection_shows_what_the_service_said_and_nothing_else() -> None:
    """`ScimRejected` is one printable line, however large the error body is."""
    with scripted([Answer(status=400, body=b'{"detail": "' + b"x" * MEGABYTE + b'"}')]) as (_, origin):
        client = ScimClient(transport_to(), tenant(f"{origin}/v2").endpoints, Dialect())
        with pytest.raises(ScimRejected) as rejected:
            client.list_page(Kind.USER, 1, 10)
    assert len(rejected.value.message) < 500
