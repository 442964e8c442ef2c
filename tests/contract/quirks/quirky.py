"""A service with a quirk of scim-rfc.md section 12: the sandbox behind a hop, which does one thing differently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.cli.workplace import Ended, Service, Workplace
from tests.fakes.interposed import Hook, PassOn, forward
from tests.fakes.scripted_service import Answer, ScriptedService, Seen

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def no_quirk(seen: Seen, pass_on: PassOn) -> Answer:
    """A service as the RFC has it."""
    return pass_on()


def refused(status: int, detail: str, scim_type: str | None = None) -> Answer:
    """An error as RFC 7644 section 3.12 shapes it."""
    told = {} if scim_type is None else {"scimType": scim_type}
    schemas = ["urn:ietf:params:scim:api:messages:2.0:Error"]
    return Answer(status, {"schemas": schemas, "status": str(status), "detail": detail, **told})


def document(message: Seen | Answer) -> Any:
    """The JSON of a request or an answer."""
    body = message.body
    return json.loads(body) if isinstance(body, bytes) else body


@dataclass(frozen=True)
class Write:
    """One thing that was asked of the service, by itself or inside a bulk request. `path` is relative to the base."""

    method: str
    path: str
    version: str | None
    body: Any

    @property
    def operations(self) -> list[dict[str, Any]]:
        """Those of a PatchOp message; none for anything else."""
        operations: list[dict[str, Any]] = self.body["Operations"] if self.method == "PATCH" else []
        return operations


@dataclass
class Quirky:
    """The small organisation, the command line before it, and the service behind it.

    `quirk` is what the service does differently from now on; `service` goes round it.
    """

    work: Workplace
    service: Service
    hop: ScriptedService
    origin: str
    quirk: Hook = no_quirk

    def current(self, seen: Seen) -> Answer:
        """The resource that a request is about as it is: what a service answers that did nothing."""
        return forward(
            Seen("GET", seen.path, {"authorization": seen.headers["authorization"]}, b""), self.service.origin
        )

    def resend(self, seen: Seen, body: Any, method: str | None = None) -> Answer:
        """Let the service do something else than it was asked for."""
        data = json.dumps(body).encode()
        headers = {**seen.headers, "content-length": str(len(data))}
        return forward(Seen(method or seen.method, seen.path, headers, data), self.service.origin)

    def settings(self, **settings: Any) -> None:
        """Write tenant.yaml."""
        self.work.tenant(f"{self.origin}/scim/v2", **settings)

    def apply(self, *options: str) -> Ended:
        """Apply what git says; what was asked before is forgotten."""
        self.hop.seen.clear()
        return self.work.run("apply", "--yes", *options)

    def plan(self) -> dict[str, Any]:
        """The plan of now."""
        ended = self.work.run("plan", "--format", "json")
        assert ended.lines, ended.err
        return ended.lines[0]

    def is_settled(self) -> bool:
        """Whether a plan finds nothing to do."""
        ended = self.work.run("plan", "--detailed-exitcode")
        assert ended.code in {0, 2}, ended.out + ended.err
        return ended.code == 0

    def converged(self) -> None:
        """Apply, without the quirk in the way: it succeeds, and nothing is left."""
        self.quirk = no_quirk
        ended = self.apply()
        assert ended.code == 0, ended.out + ended.err
        assert self.is_settled()

    @property
    def residual(self) -> list[tuple[str, str, Any, Any]]:
        """(key, path, expected, found) of what the last run found not to be as declared."""
        items = self.work.receipts()[-1]["residual"]
        return [(item["key"], item["path"], item["expected"], item["found"]) for item in items]

    def id_of(self, plural: str, name: str) -> str:
        """The id of a user or group."""
        identifier: str = self.service.all(plural)[name]["id"]
        return identifier

    @property
    def writes(self) -> list[Write]:
        """Everything that was asked since the last apply began and is no read, bulk requests taken apart."""
        return [write for seen in self.hop.seen if seen.method != "GET" for write in _taken_apart(seen)]


def _taken_apart(seen: Seen) -> Iterator[Write]:
    path = seen.path.partition("/scim/v2")[2]
    if path != "/Bulk":
        yield Write(seen.method, path, seen.headers.get("if-match"), document(seen) if seen.body else None)
        return
    for operation in document(seen)["Operations"]:
        yield Write(operation["method"], operation["path"], operation.get("version"), operation.get("data"))
