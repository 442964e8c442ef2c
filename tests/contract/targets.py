"""The services that whole runs are tried against: the sandbox in several feature sets, and scim2-server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.sandbox.config import AsyncBulk
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import ADMIN, TOKEN, Service, service_of
from tests.fakes.scripted_service import closed_port

URN = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"


@dataclass(frozen=True)
class FeatureSet:
    """What a service can do. `server` is `sandbox` or `scim2-server`; `off` names RFC 7643 section 5 features."""

    server: str
    off: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How tests call it."""
        return "-".join((self.server, *(f"no-{feature}" for feature in self.off), *map(_word, self.settings.values())))

    @property
    def tells_results(self) -> bool:
        """Whether a write is answered with what became of it; a job may be told to be over, and no more."""
        job = self.settings.get("async_bulk")
        return job is None or (job.shows_results and not job.late_by)


def _word(setting: Any) -> str:
    if not isinstance(setting, AsyncBulk):
        return str(setting)
    late = f"-late-by-{setting.late_by}" if setting.late_by else ""
    return f"jobs-{'with' if setting.shows_results else 'without'}-results{late}"


SANDBOXES = (
    FeatureSet("sandbox"),
    FeatureSet("sandbox", settings={"profile": "cxone"}),
    FeatureSet("sandbox", off=("bulk",)),
    FeatureSet("sandbox", off=("patch",)),
    FeatureSet("sandbox", off=("etag",)),
    FeatureSet("sandbox", off=("bulk", "patch")),
    FeatureSet("sandbox", off=("bulk", "patch", "etag")),
    FeatureSet("sandbox", off=("filter", "sort")),
    FeatureSet("sandbox", settings={"max_operations": 7, "max_results": 10}),
    FeatureSet("sandbox", off=("cursor",)),
    FeatureSet("sandbox", settings={"cursor_only": True, "max_results": 10}),
    FeatureSet("sandbox", settings={"async_bulk": AsyncBulk()}),
    FeatureSet("sandbox", settings={"async_bulk": AsyncBulk(shows_results=False)}),
    FeatureSet("sandbox", settings={"async_bulk": AsyncBulk(shows_results=False), "profile": "cxone"}),
    FeatureSet("sandbox", off=("etag",), settings={"async_bulk": AsyncBulk(polls=3, shows_results=False)}),
    FeatureSet("sandbox", settings={"async_bulk": AsyncBulk(late_by=2)}),
)
SCIM2_SERVERS = (
    FeatureSet("scim2-server"),
    FeatureSet("scim2-server", off=("bulk",)),
    FeatureSet("scim2-server", off=("bulk", "patch")),
    FeatureSet("scim2-server", off=("etag",)),
)


@contextmanager
def running(features: FeatureSet, folder: Path) -> Iterator[Service]:
    """A fresh, empty service with these features; `folder` is for its files."""
    if features.server == "sandbox":
        switches = {f"supports_{feature}": False for feature in features.off}
        config = SandboxConfig(
            **{"token": TOKEN, "admin": ADMIN, "profile": "rfc7644", **switches, **features.settings}
        )
        with SandboxServer(config) as server:
            yield service_of(server)
        return
    announced = folder / "service-provider-config.json"
    announced.write_text(json.dumps(_announced(features.off)), encoding="utf-8")
    port, silent = closed_port(), subprocess.DEVNULL
    options = ["--hostname", "127.0.0.1", "--port", str(port), "--bearer-token", TOKEN]
    options += ["--service-provider-config", str(announced)]
    program = Path(sys.executable).with_name("scim2-server")
    with subprocess.Popen([program, *options], stdout=silent, stderr=silent) as process:
        try:
            while not _listens(port):
                assert process.poll() is None, "scim2-server did not start"
            yield Service(f"http://127.0.0.1:{port}/v2", f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def _announced(off: tuple[str, ...]) -> dict[str, Any]:
    def supported(feature: str, **more: Any) -> dict[str, Any]:
        return {"supported": feature not in off, **more}

    return {
        "schemas": [URN],
        "patch": supported("patch"),
        "bulk": supported("bulk", maxOperations=1000, maxPayloadSize=10_485_760),
        "filter": supported("filter", maxResults=200),
        "changePassword": supported("changePassword"),
        "sort": supported("sort"),
        "etag": supported("etag"),
        "authenticationSchemes": [
            {"type": "oauthbearertoken", "name": "OAuth Bearer Token", "description": "A bearer token"}
        ],
    }


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
