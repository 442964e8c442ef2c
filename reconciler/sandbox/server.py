"""Start and stop an embedded tenant."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from waitress import wasyncore
from waitress.server import create_server

from reconciler.sandbox.app import Application
from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.exchange import SCIM_PATH
from reconciler.sandbox.service import open_service
from reconciler.sandbox.store import DataFileError

__all__ = ["DataFileError", "SandboxConfig", "SandboxServer", "serve_forever"]

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BODY_CEILING_FACTOR = 4
_WAKE_SECONDS = 1.0


class SandboxServer:
    """A running tenant: it listens when the object exists and stops at `close` or at the end of a `with` block."""

    def __init__(self, config: SandboxConfig) -> None:
        self._service = open_service(config)
        self._sockets: dict[int, Any] = {}
        try:
            listener = _listen(config)
        except BaseException:
            self._service.store.close()
            raise
        self._host, self._port = config.host, int(listener.getsockname()[1])
        self._server = _build_server(config, Application(self._service), listener, self._sockets)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def base_url(self) -> str:
        """The SCIM base URL."""
        return f"{self.origin}{SCIM_PATH}"

    def close(self) -> None:
        """Stop listening and close the database; requests being answered are finished first."""
        if self._stop.is_set():
            return
        self._server.task_dispatcher.shutdown()
        self._stop.set()
        # Waking the loop writes to a socket of its own, so nothing may be closed before the loop has ended.
        self._server.trigger.pull_trigger()
        self._thread.join()
        for channel in list(self._sockets.values()):
            channel.close()
        self._service.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            wasyncore.loop(timeout=_WAKE_SECONDS, use_poll=True, map=self._sockets, count=1)


def serve_forever(config: SandboxConfig, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` hears the base URL once the tenant listens. Main thread only."""
    stop = threading.Event()
    with _stopping(stop), SandboxServer(config) as server:
        announce(server.base_url)
        stop.wait()


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """While inside, the stop signals set the event instead of ending the process."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(config: SandboxConfig) -> socket.socket:
    """A listening socket. Waitress would leave one open behind it when the port is in use."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    return socket.create_server((config.host, config.port), family=family)


def _build_server(
    config: SandboxConfig, application: Application, listener: socket.socket, sockets: dict[int, Any]
) -> Any:
    """The waitress server. Its own body limit is only a second line: what it refuses is not answered in SCIM JSON."""
    return create_server(
        application,
        map=sockets,
        sockets=[listener],
        threads=config.threads,
        ident=None,
        max_request_body_size=max(config.max_payload * _BODY_CEILING_FACTOR, 64 * 1024 * 1024),
        inbuf_overflow=config.max_payload,
        clear_untrusted_proxy_headers=True,
    )
