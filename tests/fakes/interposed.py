"""A real HTTP hop between the reconciler and a service: it lets requests through, and at the right moment does not."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.fakes.scripted_service import Answer, ScriptedService, Seen, scripted

PassOn = Callable[[], Answer]
"""Sends the request to the service behind and returns what it answered; may be called more than once, or never."""

Hook = Callable[[Seen, PassOn], Answer]
"""Decides what becomes of one request."""

_HOP_BY_HOP = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "date", "server"})


@contextmanager
def interposed(origin: str, hook: Hook | None = None) -> Iterator[tuple[ScriptedService, str]]:
    """A hop in front of `origin`, with what it saw, and its own origin. Requests pass one at a time."""

    def script(seen: Seen) -> Answer:
        def pass_on() -> Answer:
            return forward(seen, origin)

        return hook(seen, pass_on) if hook is not None else pass_on()

    with scripted(script) as (service, own_origin):
        yield service, own_origin


def forward(seen: Seen, origin: str) -> Answer:
    """Send a request on as it is."""
    parts = urlsplit(origin)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        headers = {name: value for name, value in seen.headers.items() if name != "connection"}
        connection.request(seen.method, seen.path, seen.body or None, headers)
        response = connection.getresponse()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
        return Answer(status=response.status, body=response.read(), headers=kept)
    finally:
        connection.close()
