"""A real HTTP service on loopback that does exactly what a test tells it, well-behaved or not."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reconciler.transport.limiter import RateLimiter
from reconciler.transport.session import HttpTransport, RetryEvent
from reconciler.transport.tokens import BearerToken, TokenSource
from tests.fakes.clock import FakeClock

TOKEN = "s3cr3t-t0ken-of-the-tenant"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to answer. `raw` is written as it is, in place of everything else; the connection is closed after it.

    So are `pieces`, one after the other, until the client has had enough.
    """

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    pieces: Callable[[], Iterator[bytes]] | None = None


DROP = Answer(raw=b"")
"""Close the connection without a word."""


class ScriptedService:
    """Answers with what the script returns; `seen` keeps every request in order of arrival."""

    def __init__(self, script: Callable[[Seen], Answer]) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._script = script
        self._lock = threading.Lock()

    def answer(self, seen: Seen) -> Answer:
        """Note the request, ask the script."""
        with self._lock:
            self.seen.append(seen)
            return self._script(seen)

    @property
    def lines(self) -> list[str]:
        """Method and path of each request."""
        return [f"{seen.method} {seen.path}" for seen in self.seen]


@contextmanager
def scripted(script: Callable[[Seen], Answer] | list[Answer]) -> Iterator[tuple[ScriptedService, str]]:
    """The service and its origin; a list of answers is given out in order, the last one again and again."""
    if isinstance(script, list):
        answers = list(script)
        script = lambda _: answers.pop(0) if len(answers) > 1 else answers[0]  # noqa: E731
    service = ScriptedService(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement

        def setup(self) -> None:
            service.connections += 1
            super().setup()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = service.answer(Seen(self.command, self.path, headers, body))
            if answer.pieces is not None:
                self.close_connection = True
                with suppress(OSError):
                    for piece in answer.pieces():
                        self.wfile.write(piece)
                return
            if answer.raw is not None:
                self.wfile.write(answer.raw)
                self.close_connection = True
                return
            payload = json.dumps(answer.body).encode() if isinstance(answer.body, dict) else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if answer.status != 204 and self.command != "HEAD":
                with suppress(ConnectionError):  # the client may have had enough
                    self.wfile.write(payload)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def transport_to(
    *,
    clock: FakeClock | None = None,
    tokens: TokenSource | None = None,
    read_only: bool = False,
    events: list[RetryEvent] | None = None,
    **options: Any,
) -> HttpTransport:
    """A transport for tests: time is fake, the jitter is always the whole wait, and nothing limits the rate."""
    clock = clock or FakeClock()
    return HttpTransport(
        "acme",
        {},
        tokens or BearerToken(TOKEN),
        RateLimiter(1_000_000, clock=clock, sleep=clock.sleep),
        read_only=read_only,
        clock=clock,
        sleep=clock.sleep,
        random=lambda: 1.0,
        on_retry=None if events is None else events.append,
        **options,
    )
