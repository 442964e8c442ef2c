"""The transport against real HTTP on loopback, well-behaved and hostile."""

import gzip
import threading
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import reconciler
from reconciler.errors import ConfigurationError, ReadOnlyViolation, ScimMalformed, ScimUnreachable
from reconciler.transport.retry import RetryPolicy
from reconciler.transport.session import HttpTransport, Request, Response, RetryEvent
from reconciler.transport.tokens import NoToken
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_service import DROP, TOKEN, Answer, Seen, closed_port, scripted, transport_to

OK = Answer(body={"ok": True})


def _get(url: str, **options: Any) -> Request:
    return Request(method="GET", url=url, idempotent=True, **options)


def _post(url: str) -> Request:
    return Request(method="POST", url=url, body=b'{"a": 1}', idempotent=False)


def _put(url: str) -> Request:
    return Request(method="PUT", url=url, body=b'{"a": 1}', headers={"If-Match": 'W/"1"'}, idempotent=True)


def test_a_request_carries_credentials_and_says_who_sends_it() -> None:
    """Some services refuse requests without User-Agent (scim-rfc.md Q8, Q27)."""
    with scripted([OK]) as (service, origin), transport_to() as transport:
        response = transport.send(_get(f"{origin}/v2/Users?count=1", headers={"Accept": "application/scim+json"}))
    assert (response.status, response.body) == (200, b'{"ok": true}')
    [seen] = service.seen
    assert seen.path == "/v2/Users?count=1"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["user-agent"] == f"scim-reconciler/{reconciler.__version__}"
    assert seen.headers["accept"] == "application/scim+json"


def test_header_names_of_an_answer_are_found_in_any_case() -> None:
    """HTTP/2 gateways write them in lower case."""
    with scripted([Answer(headers={"eTAG": 'W/"1"'})]) as (_, origin), transport_to() as transport:
        assert transport.send(_get(origin)).header("ETag") == 'W/"1"'


def test_connections_are_kept_and_cookies_are_not() -> None:
    """A session cookie would tie requests together that have nothing to do with each other."""
    with scripted([Answer(headers={"Set-Cookie": "a=b"})]) as (service, origin), transport_to() as transport:
        for _ in range(5):
            transport.send(_get(origin))
    assert service.connections == 1
    assert not any("cookie" in seen.headers for seen in service.seen)


def test_surroundings_have_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a proxy variable nor a .netrc changes what is sent where."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login evil password evil\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    with scripted([OK]) as (service, origin), transport_to(tokens=NoToken()) as transport:
        assert transport.send(_get(origin)).status == 200
    assert "authorization" not in service.seen[0].headers


# --- bindings, redirects ---------------------------------------------------------------------------------------------


def test_c5_credentials_never_leave_for_a_host_that_is_not_bound() -> None:
    """Defect C5: the tenant's token was posted to a third party. Here nothing is sent at all."""
    transport = transport_to()
    with pytest.raises(ConfigurationError, match="not bound to tenant acme"):
        transport.send(_get("https://third-party.example/hook"))
    assert transport.requests == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """Credentials are not sent along, not even to the same origin (cxone.md section 2)."""
    with scripted([Answer(status=status, headers={"Location": "/elsewhere"})]) as (service, origin):
        response = transport_to().send(_get(origin + "/here"))
    assert response.status == status
    assert service.lines == ["GET /here"]


# --- read-only mode --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/Users"),
        ("PUT", "/Users/1"),
        ("PATCH", "/Users/1"),
        ("DELETE", "/Users/1"),
        ("POST", "/Bulk"),
        ("POST", "/Users?/.search"),
        ("POST", "/Users#/.search"),
        ("POST", "/.searching"),
        ("POST", "/Users/a%2F.search"),
        ("PUT", "/.search"),
        ("get", "/Users"),
    ],
)
def test_a_preview_cannot_write(method: str, path: str) -> None:
    """SPEC P1; incident github/safe-settings #551: the preview wrote. Held back before anything is sent."""
    with scripted([OK]) as (service, origin):
        transport = transport_to(read_only=True)
        with pytest.raises(ReadOnlyViolation):
            transport.send(Request(method=method, url=origin + path))
    assert service.seen == []
    assert transport.requests == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/Users"), ("HEAD", "/Users"), ("POST", "/Users/.search")])
def test_a_preview_may_read(method: str, path: str) -> None:
    """GET, HEAD and queries by POST (RFC 7644 section 3.4.3)."""
    with scripted([OK]) as (service, origin):
        assert transport_to(read_only=True).send(Request(method=method, url=origin + path)).status == 200
    assert service.lines == [f"{method} {path}"]


# --- retries ---------------------------------------------------------------------------------------------------------


def test_c1_a_retry_sends_the_whole_body_again() -> None:
    """Defect C1: attempts 2 and 3 sent an empty body."""
    with scripted([Answer(status=503), DROP, OK]) as (service, origin):
        assert transport_to().send(_put(origin)).status == 200
    assert [seen.body for seen in service.seen] == [b'{"a": 1}'] * 3
    assert {seen.headers["if-match"] for seen in service.seen} == {'W/"1"'}


@pytest.mark.parametrize("failure", [DROP, *(Answer(status=status) for status in (500, 502, 503, 504))], ids=str)
def test_p5_a_post_that_may_have_arrived_is_not_sent_twice(failure: Answer) -> None:
    """SPEC P5; defect P3: replays created duplicates."""
    with scripted([failure, OK]) as (service, origin):
        transport = transport_to()
        if failure is DROP:
            with pytest.raises(ScimUnreachable) as lost:
                transport.send(_post(origin))
            assert lost.value.maybe_sent is True
        else:
            assert transport.send(_post(origin)).status == failure.status
    assert len(service.seen) == 1
    assert transport.retries == 0


def test_a_post_that_certainly_never_left_is_sent_again() -> None:
    """Nobody listens: nothing can have arrived."""
    clock = FakeClock()
    events: list[RetryEvent] = []
    with pytest.raises(ScimUnreachable) as lost:
        transport_to(clock=clock, events=events).send(_post(f"http://127.0.0.1:{closed_port()}/Users?filter=secret"))
    assert lost.value.maybe_sent is False
    assert clock.slept == [2, 4, 8]
    assert [event.attempt for event in events] == [1, 2, 3]
    assert {event.path for event in events} == {"/Users"}


def test_the_last_answer_of_a_failing_service_is_returned() -> None:
    """Three repeats, then the answer is handed over with its body, for the report."""
    with scripted([Answer(status=503, body=b"down")]) as (service, origin):
        transport = transport_to()
        assert transport.send(_get(origin)).body == b"down"
    assert (len(service.seen), transport.requests, transport.retries) == (4, 1, 3)


def test_a_429_is_waited_for_whatever_the_request() -> None:
    """Nothing was done, so even a POST is sent again; the wait is everybody's (incident: okta provider #2166)."""
    clock = FakeClock()
    answers = [Answer(status=429, headers={"Retry-After": "17"}), Answer(status=429), OK]
    with scripted(answers) as (service, origin):
        assert transport_to(clock=clock).send(_post(origin)).status == 200
    assert clock.now == 1000 + 17 + 4
    assert len(service.seen) == 3


def test_a_retry_after_date_is_measured_by_the_services_clock() -> None:
    """The `Date` of the same answer is its now."""
    clock = FakeClock()
    head = [
        "HTTP/1.1 429 Too Many Requests",
        "Date: Sun, 06 Nov 2094 08:49:37 GMT",
        "Retry-After: Sun, 06 Nov 2094 08:49:45 GMT",
        "Connection: close",
    ]
    raw = "\r\n".join([*head, "Content-Length: 0", "", ""]).encode()
    with scripted([Answer(raw=raw), OK]) as (_, origin):
        assert transport_to(clock=clock).send(_get(origin)).status == 200
    assert clock.now == 1008


def test_g4_endless_429_ends_with_an_answer() -> None:
    """Defect G4: after three 429 the request returned nothing and the caller crashed."""
    clock = FakeClock()
    with scripted([Answer(status=429, headers={"Retry-After": "soon"})]) as (service, origin):
        assert transport_to(clock=clock).send(_get(origin)).status == 429
    assert len(service.seen) == 11
    assert clock.now - 1000 <= 600


def test_a_service_that_asks_for_hours_is_not_waited_for() -> None:
    """The run ends with the 429 in place of hanging until tomorrow."""
    with scripted([Answer(status=429, headers={"Retry-After": "7200"})]) as (service, origin):
        assert transport_to().send(_get(origin)).status == 429
    assert len(service.seen) == 1


def test_a_request_that_may_have_arrived_once_stays_so() -> None:
    """Sent and lost, then the service is gone: the last attempt never left, the first may have been carried out."""
    with ExitStack() as stack:
        service, origin = stack.enter_context(scripted([DROP]))

        class EndOfTheService(FakeClock):
            def sleep(self, seconds: float) -> None:
                stack.close()
                super().sleep(seconds)

        with pytest.raises(ScimUnreachable) as lost:
            transport_to(clock=EndOfTheService()).send(_put(origin))
    assert "cannot connect" in lost.value.message
    assert lost.value.maybe_sent is True
    assert len(service.seen) == 1


def test_after_five_failed_requests_nothing_more_is_sent() -> None:
    """The breaker of cxone.md section 10; what was held back was certainly not sent."""
    clock = FakeClock()
    with scripted([Answer(status=503)]) as (service, origin):
        transport = transport_to(clock=clock)
        for _ in range(5):
            transport.send(_post(origin))
        with pytest.raises(ScimUnreachable) as held:
            transport.send(_post(origin))
        assert held.value.maybe_sent is False
        assert len(service.seen) == 5
        clock.now += 60
        assert transport.send(_post(origin)).status == 503


class _Renewable:
    """A token source whose first token has expired."""

    def __init__(self) -> None:
        self.tokens = ["old", "new"]

    def header(self) -> str:
        return f"Bearer {self.tokens[0]}"

    def refresh(self, refused: str | None) -> bool:
        self.tokens.pop(0)
        return bool(self.tokens)

    def secrets(self) -> tuple[str, ...]:
        return tuple(self.tokens)


def test_r9_a_refused_token_is_renewed_once() -> None:
    """Defect R9: the refresh on 401 was described and not implemented. Even a POST was not carried out on 401."""
    by_token = {"Bearer old": Answer(status=401), "Bearer new": OK}
    with scripted(lambda seen: by_token[seen.headers["authorization"]]) as (service, origin):
        transport = transport_to(tokens=_Renewable())
        assert transport.send(_post(origin)).status == 200
    assert [seen.body for seen in service.seen] == [b'{"a": 1}'] * 2
    assert (transport.requests, transport.retries) == (1, 1)


def test_a_refused_static_token_is_not_tried_again() -> None:
    """It would be refused again, and some services lock accounts."""
    with scripted([Answer(status=401)]) as (service, origin):
        assert transport_to().send(_get(origin)).status == 401
    assert len(service.seen) == 1


# --- hostile answers -------------------------------------------------------------------------------------------------


def _raw(head: bytes, body: bytes = b"") -> Answer:
    return Answer(raw=b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)


def test_a_body_over_the_limit_is_refused_while_it_comes() -> None:
    """Memory is not filled by a service gone mad."""
    with (
        scripted([Answer(body=b"x" * 200_000)]) as (_, origin),
        pytest.raises(ScimMalformed, match="larger than 100000"),
    ):
        transport_to(max_body_bytes=100_000).send(_get(origin))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_decompression_bomb_is_refused_while_it_unfolds(encoding: str) -> None:
    """Fifty megabytes in fifty kilobytes: the limit counts what comes out."""
    bomb = gzip.compress(bytes(50_000_000)) if encoding == "gzip" else zlib.compress(bytes(50_000_000))
    answer = Answer(body=bomb, headers={"Content-Encoding": encoding})
    with scripted([answer]) as (_, origin), pytest.raises(ScimMalformed, match="larger than"):
        transport_to(max_body_bytes=1_000_000).send(_get(origin))


def test_a_compressed_answer_is_read() -> None:
    """Lists are asked for compressed."""
    answer = Answer(body=gzip.compress(b'{"ok": 1}'), headers={"Content-Encoding": "gzip"})
    with scripted([answer]) as (_, origin):
        assert transport_to().send(_get(origin)).body == b'{"ok": 1}'


def test_a_compression_that_is_none_is_malformed() -> None:
    """And not retried: it would come again."""
    with (
        scripted([Answer(body=b"plain", headers={"Content-Encoding": "gzip"})]) as (service, origin),
        pytest.raises(ScimMalformed, match="not compressed"),
    ):
        transport_to().send(_get(origin))
    assert len(service.seen) == 1


@pytest.mark.parametrize(
    "truncated",
    [
        _raw(b"Content-Length: 100", b'{"Resources": []'),
        _raw(b"Transfer-Encoding: chunked", b"10\r\n{"),
        _raw(b"Transfer-Encoding: chunked", b"2\r\n{}\r\n"),
        _raw(b"Transfer-Encoding: chunked", b"zz\r\n{}"),
        Answer(raw=b"HTTP/1.1 2"),
        Answer(raw=b"nonsense\r\n\r\n"),
        DROP,
    ],
    ids=["length", "chunk", "no-last-chunk", "chunk-size", "status-line", "no-http", "dropped"],
)
def test_a_truncated_answer_is_asked_for_again_and_never_taken_for_whole(truncated: Answer) -> None:
    """Incident awslabs/ssosync #194: a short read looked like nobody was there."""
    with scripted([truncated, OK]) as (service, origin):
        assert transport_to().send(_get(origin)).body == b'{"ok": true}'
    assert len(service.seen) == 2


def test_an_answer_that_drips_is_given_up() -> None:
    """Every read succeeds in time, and yet the answer never ends: the deadline is for the whole."""
    clock = FakeClock()

    def drip(_: Seen) -> Answer:
        clock.now += 1000
        return Answer(body=b"x" * 1000)

    with scripted(drip) as (service, origin), pytest.raises(ScimUnreachable, match="in time"):
        transport_to(clock=clock, deadline=300.0).send(_get(origin))
    assert len(service.seen) == 4


def test_a_silent_service_times_out() -> None:
    """The read timeout ends the wait; the request may have been carried out."""
    release = threading.Event()

    def silence(_: Seen) -> Answer:
        release.wait(10)
        return OK

    with scripted(silence) as (_, origin):
        with pytest.raises(ScimUnreachable) as lost:
            transport_to(timeout=(5.0, 0.05)).send(_post(origin))
        release.set()
    assert lost.value.maybe_sent is True
    assert "in time" in lost.value.message


def _texts(error: BaseException) -> str:
    return f"{error!r} {error} {getattr(error, '__dict__', '')} {error.__cause__!r} {error.__suppress_context__}"


@pytest.mark.parametrize("answer", [DROP, Answer(raw=b"nonsense\r\n\r\n")], ids=["dropped", "no-http"])
def test_p11_no_error_shows_a_secret_or_a_filter(answer: Answer) -> None:
    """SPEC P11: the texts of the HTTP libraries quote whole URLs; ours do not."""
    with scripted([answer]) as (_, origin), pytest.raises(ScimUnreachable) as lost:
        transport_to(policy=RetryPolicy(transient=0)).send(
            _get(f"{origin}/Users?filter=userName%20eq%20%22jane%22", headers={"If-Match": "x"})
        )
    assert TOKEN not in _texts(lost.value)
    assert "jane" not in _texts(lost.value)


def test_p11_reprs_keep_headers_and_bodies_to_themselves() -> None:
    """They hold personal data, and a log line easily holds a repr."""
    request = Request(method="PUT", url="https://a.example", headers={"X": "hidden"}, body=b"hidden")
    response = Response(status=200, headers={"x": "hidden"}, body=b"hidden")
    assert "hidden" not in repr(request) + repr(response)


def test_p11_what_a_service_echoes_is_redacted() -> None:
    """An error page may quote the request."""
    transport = transport_to()
    assert transport.redact(f"bad token {TOKEN}!") == "bad token ***!"
    assert transport.redact("Authorization: Basic dXNlcjpwYXNzd29yZA==") == "Authorization: Basic ***"
    assert transport.redact("the bearer token has expired") == "the bearer token has expired"


def test_threads_share_one_transport() -> None:
    """Requests are counted once each, and no connection serves two at a time."""
    with scripted(lambda seen: Answer(body=seen.path.encode())) as (service, origin):
        transport = transport_to()
        mismatches: list[str] = []

        def work(name: int) -> None:
            for number in range(25):
                path = f"/{name}/{number}"
                if transport.send(_get(origin + path)).body != path.encode():
                    mismatches.append(path)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert mismatches == []
    assert transport.requests == len(service.seen) == 100
    assert service.connections <= 4
    assert isinstance(transport, HttpTransport)
