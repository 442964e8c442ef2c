"""Start and stop an embedded tenant."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from waitress.server import create_server

from reconciler.sandbox.app import Application
from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.exchange import SCIM_PATH
from reconciler.sandbox.service import open_service
from reconciler.sandbox.store import DataFileError

__all__ = ["DataFileError", "SandboxConfig", "SandboxServer", "serve_forever"]

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BODY_CEILING_FACTOR = 4


class SandboxServer:
    """A running tenant: it listens when the object exists and stops at `close` or at the end of a `with` block."""

    def __init__(self, config: SandboxConfig) -> None:
        self._service = open_service(config)
        self._sockets: dict[int, Any] = {}
        try:
            self._server = _listen(config, Application(self._service), self._sockets)
        except BaseException:
            self._service.store.close()
            raise
        self._host, self._port = config.host, int(self._server.effective_port)
        self._is_closed = False
        self._thread = threading.Thread(target=self._server.run, name="sandbox", daemon=True)
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
        if self._is_closed:
            return
        self._is_closed = True
        self._server.task_dispatcher.shutdown()
        # The loop ends when it has no socket left; closing them in its own thread leaves it nothing half open.
        self._server.trigger.pull_trigger(self._close_sockets)
        self._thread.join()
        self._service.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _close_sockets(self) -> None:
        for channel in list(self._sockets.values()):
            channel.close()


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


def _listen(config: SandboxConfig, application: Application, sockets: dict[int, Any]) -> Any:
    """The waitress server. Its own body limit is only a second line: what it refuses is not answered in SCIM JSON."""
    return create_server(
        application,
        map=sockets,
        host=config.host,
        port=config.port,
        threads=config.threads,
        ident=None,
        max_request_body_size=max(config.max_payload * _BODY_CEILING_FACTOR, 64 * 1024 * 1024),
        inbuf_overflow=config.max_payload,
        clear_untrusted_proxy_headers=True,
    )
