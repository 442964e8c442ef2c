"""The services that whole runs are tried against: the sandbox and scim2-server, each in every feature set."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler.sandbox.config import AsyncBulk
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import ADMIN, TOKEN, Service, service_of
from tests.fakes.scripted_service import closed_port

URN = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """What a service can do, and announces. `off` names features of RFC 7643 section 5, the limits are its own words.

    `server` is `sandbox` or `scim2-server`; `profile` and `jobs`, which make bulk asynchronous, are the sandbox's.
    """

    name: str
    server: str = "sandbox"
    off: tuple[str, ...] = ()
    max_operations: int = 1000
    max_payload: int = 1_048_576
    max_results: int = 100
    paging: tuple[str, ...] = ("index",)
    profile: str = "rfc7644"
    jobs: AsyncBulk | None = None

    @property
    def tells_results(self) -> bool:
        """Whether a write is answered with what became of it; a job may be told to be over, and no more."""
        return self.jobs is None or (self.jobs.shows_results and not self.jobs.late_by)

    def lacks(self, feature: str) -> bool:
        """Whether the service goes without it."""
        return feature in self.off

    def on(self, server: str) -> FeatureSet:
        """The same features, had by another server."""
        return replace(self, server=server)

    def __str__(self) -> str:
        return f"{self.server}-{self.name}"


LISTED = (
    FeatureSet(name="full", paging=("index", "cursor")),
    FeatureSet(name="no-bulk", off=("bulk",)),
    FeatureSet(name="no-patch", off=("patch",)),
    FeatureSet(name="no-etag", off=("etag",)),
    FeatureSet(name="no-filter", off=("filter",)),
    FeatureSet(name="cursor-only", paging=("cursor",)),
    FeatureSet(name="tiny", max_operations=7, max_payload=4096, max_results=10),
    FeatureSet(name="no-bulk-patch-etag", off=("bulk", "patch", "etag")),
)
"""The feature sets that both targets are tried in (issue 3, "A second target in the test suite")."""

COMBINED = (
    FeatureSet(name="no-bulk-patch", off=("bulk", "patch")),
    FeatureSet(name="no-patch-etag", off=("patch", "etag")),
    FeatureSet(name="no-bulk-etag", off=("bulk", "etag")),
    FeatureSet(name="nothing", off=("bulk", "patch", "etag", "filter", "sort")),
    FeatureSet(name="nothing-by-cursor", off=("bulk", "patch", "etag", "filter"), paging=("cursor",), max_results=7),
    FeatureSet(name="tiny-no-etag", off=("etag",), max_operations=3, max_payload=3000, max_results=4),
    FeatureSet(name="one-by-one", max_operations=1, max_results=1),
)
"""Combinations as real services have them."""

OF_THE_SANDBOX = (
    FeatureSet(name="cxone", profile="cxone"),
    FeatureSet(name="jobs-with-results", jobs=AsyncBulk()),
    FeatureSet(name="jobs-without-results", jobs=AsyncBulk(shows_results=False)),
    FeatureSet(name="cxone-jobs-without-results", profile="cxone", jobs=AsyncBulk(shows_results=False)),
    FeatureSet(name="no-etag-jobs-without-results", off=("etag",), jobs=AsyncBulk(polls=3, shows_results=False)),
    FeatureSet(name="jobs-late", jobs=AsyncBulk(late_by=2)),
)
"""What the RFC has no word for; asynchronous bulk is cxone.md section 5."""

TARGETS = ("sandbox", "scim2-server")


@contextmanager
def running(features: FeatureSet, folder: Path) -> Iterator[Service]:
    """A fresh, empty service with these features; `folder` is for its files."""
    if features.server == "sandbox":
        config = SandboxConfig(
            token=TOKEN,
            admin=ADMIN,
            profile="cxone" if features.profile == "cxone" else "rfc7644",
            max_operations=features.max_operations,
            max_payload=features.max_payload,
            max_results=features.max_results,
            supports_bulk=not features.lacks("bulk"),
            supports_patch=not features.lacks("patch"),
            supports_etag=not features.lacks("etag"),
            supports_filter=not features.lacks("filter"),
            supports_sort=not features.lacks("sort"),
            supports_cursor="cursor" in features.paging,
            cursor_only=features.paging == ("cursor",),
            async_bulk=features.jobs,
        )
        with SandboxServer(config) as server:
            yield service_of(server)
        return
    announced = folder / "service-provider-config.json"
    announced.write_text(json.dumps(_announced(features)), encoding="utf-8")
    with scim2_server("--service-provider-config", str(announced)) as base_url:
        yield Service(base_url, base_url.removesuffix("/v2"))


@contextmanager
def scim2_server(*options: str) -> Iterator[str]:
    """The base URL of a fresh scim2-server. It says when it listens: knocking at its port may be answered by others."""
    program = Path(sys.executable).with_name("scim2-server")
    for _ in range(5):  # somebody else may take the port first
        port = closed_port()
        command = [str(program), "--hostname", "127.0.0.1", "--port", str(port), "--bearer-token", TOKEN, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                if process.stdout is not None and process.stdout.readline().startswith(b"Serving"):
                    yield f"http://127.0.0.1:{port}/v2"
                    return
            finally:
                process.terminate()
    raise AssertionError("scim2-server did not start")


def _announced(features: FeatureSet) -> dict[str, Any]:
    def supported(feature: str, **more: Any) -> dict[str, Any]:
        return {"supported": not features.lacks(feature), **more}

    by_cursor = "cursor" in features.paging
    return {
        "schemas": [URN],
        "patch": supported("patch"),
        "bulk": supported("bulk", maxOperations=features.max_operations, maxPayloadSize=features.max_payload),
        "filter": supported("filter", maxResults=features.max_results),
        "changePassword": supported("changePassword"),
        "sort": supported("sort"),
        "etag": supported("etag"),
        "authenticationSchemes": [
            {"type": "oauthbearertoken", "name": "OAuth Bearer Token", "description": "A bearer token"}
        ],
        **({"pagination": {"cursor": True, "index": "index" in features.paging}} if by_cursor else {}),
    }
