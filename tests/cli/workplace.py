"""A desk to work at: a folder of desired state, a tenant to reconcile, and the command line run for real.

Commands run in this process through the same `run` that the program uses, so that a test is fast; `start` runs the
program as a process of its own where signals, terminals or exit codes of the shell are what matters.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import pytest
from click.testing import CliRunner

from reconciler.cli.main import run
from reconciler.sandbox.server import SandboxServer
from tests.fakes.clock import FakeClock

TOKEN = "s3cr3t-t0ken-of-the-tenant"
ADMIN = "adm1n-t0ken-of-the-sandbox"

PEOPLE = """\
kind: Users
defaults: {active: true}
items:
  - {userName: ann@example.com, externalId: p-1, name: {givenName: Ann, familyName: Lee}, title: Agent}
  - {userName: bob@example.com, externalId: p-2, name: {givenName: Bob, familyName: Ray}, title: Agent}
  - {userName: cyd@example.com, externalId: p-3, name: {givenName: Cyd, familyName: Poe}, title: Coach}
  - {userName: dan@example.com, externalId: p-4, name: {givenName: Dan, familyName: Fox}, title: Agent}
"""
GROUPS = """\
kind: Groups
items:
  - {displayName: Support, externalId: g-1, members: [{user: ann@example.com}, {user: bob@example.com}]}
  - {displayName: Sales, externalId: g-2, members: [{user: cyd@example.com}]}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each line of stdout as a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Each line of stderr as a JSON object."""
        return [json.loads(line) for line in self.err.splitlines()]


@dataclass(frozen=True)
class Service:
    """A SCIM service seen from the side: what somebody else does there, and what it was asked."""

    base_url: str
    origin: str

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one request; `path` is relative to the base URL."""
        return call(f"{self.base_url}{path}", method, body, {"Authorization": f"Bearer {TOKEN}", **(headers or {})})

    def all(self, plural: str) -> dict[str, dict[str, Any]]:
        """Every `Users` or `Groups` resource by its name."""
        rows: list[dict[str, Any]] = []
        total, query = 1, "startIndex=1&count=100"
        while len(rows) < total:
            status, page = self.call("GET", f"/{plural}?{query}")
            if status in {400, 501}:  # it pages by cursor only, and in pages of its own
                _, page = self.call("GET", f"/{plural}")
            rows, total = rows + page.get("Resources", []), page["totalResults"]
            cursor = page.get("nextCursor")
            query = f"startIndex={len(rows) + 1}&count=100" if cursor is None else f"cursor={cursor}"
        found = {row.get("userName") or row["displayName"]: row for row in rows}
        assert len(found) == total, f"names are not unique among {plural}"
        return found

    def patch(self, plural: str, name: str, *operations: dict[str, Any]) -> None:
        """What somebody else changes in the tenant."""
        identifier = self.all(plural)[name]["id"]
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}
        status, answer = self.call("PATCH", f"/{plural}/{identifier}", body)
        assert status in {200, 204}, answer

    def create(self, plural: str, **attributes: Any) -> dict[str, Any]:
        """What somebody else creates in the tenant."""
        body = {"schemas": [f"urn:ietf:params:scim:schemas:core:2.0:{plural.removesuffix('s')}"], **attributes}
        status, answer = self.call("POST", f"/{plural}", body)
        assert status == 201, answer
        created: dict[str, Any] = answer
        return created

    def replace(self, plural: str, name: str, path: str, value: Any) -> None:
        """What somebody else replaces in the tenant, by a PUT: not every service has PATCH."""
        resource = self.all(plural)[name]
        status, answer = self.call("PUT", f"/{plural}/{resource['id']}", {**resource, path: value})
        assert status == 200, answer

    def member_names(self, group: str) -> set[str]:
        """Who is in a group."""
        names = {row["id"]: name for plural in ("Users", "Groups") for name, row in self.all(plural).items()}
        return {names[member["value"]] for member in self.all("Groups")[group].get("members", [])}

    @property
    def log(self) -> list[dict[str, Any]]:
        """What the sandbox was asked, in order."""
        status, answer = call(f"{self.origin}/_sandbox/requests", "GET", None, {"Authorization": f"Bearer {ADMIN}"})
        assert status == 200
        entries: list[dict[str, Any]] = answer["requests"]
        return entries

    @property
    def count(self) -> int:
        """How many requests the sandbox answered so far."""
        _, answer = call(f"{self.origin}/_sandbox/requests", "GET", None, {"Authorization": f"Bearer {ADMIN}"})
        total: int = answer["total"]
        return total


def call(url: str, method: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
    """Status and JSON of one request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/scim+json", **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def service_of(server: SandboxServer) -> Service:
    """A running sandbox, seen from the side."""
    return Service(server.base_url, server.origin)


@dataclass
class Workplace:
    """A folder with desired state and the commands run in it.

    `knows_versions`: an earlier run has found out that the service heeds versions, as it is after the first one.
    """

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    knows_versions: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The root of the desired state."""
        return self.folder / "desired-state"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.folder / "state"

    def write(self, name: str, text: str) -> Path:
        """Write a file below the root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def tenant(self, base_url: str, name: str = "acme", **settings: Any) -> dict[str, Any]:
        """Write tenant.yaml and return what it says; `settings` override its top-level keys (JSON is YAML)."""
        document = {
            "kind": "Tenant",
            "name": name,
            "profile": "rfc7644",
            "scim": {"baseUrl": base_url},
            "auth": {"type": "bearer", "token": "${env:SCIM_TOKEN}"},
            "limits": {"requestsPerMinute": 60000},
            **settings,
        }
        self.write(f"{name}/tenant.yaml", json.dumps(document))
        if self.knows_versions:
            self.know_versions(name, base_url)
        return document

    def know_versions(self, tenant: str, base_url: str) -> None:
        """Remember that a service heeds versions."""
        found = {"target": base_url, "versions": "heeded", "found": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        cache = self.state / tenant / "cache"
        for folder in (self.state, cache.parent, cache):
            folder.mkdir(mode=0o700, exist_ok=True)
        path = cache / "versions.json"
        path.write_text(json.dumps({"single": found, "bulk": found}), encoding="utf-8")
        path.chmod(0o600)

    def organisation(self, base_url: str, name: str = "acme", **settings: Any) -> None:
        """The small organisation: four people, two groups."""
        self.tenant(base_url, name, **settings)
        self.write(f"{name}/people.yaml", PEOPLE)
        self.write(f"{name}/groups.yaml", GROUPS)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file that is there once."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """The variables of every command."""
        return {
            "SCIM_TOKEN": TOKEN,
            "RECONCILER_ROOT": str(self.root),
            "RECONCILER_STATE_DIR": str(self.state),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            **self.environ,
        }

    def run(self, *arguments: str | Path, typed: str | None = None) -> Ended:
        """Run a command in this process. `typed` is what a person at the terminal types; None: nobody is there.

        Nothing waits: the clock that limits rates and spaces retries is a fake one.
        """
        fake_time = SimpleNamespace(monotonic=self.clock, sleep=self.clock.sleep)
        self.monkeypatch.setattr("reconciler.cli.composition.time", fake_time)
        with CliRunner().isolation(input=typed, env=self.environment()) as (out, err, _):
            sys.stdin.isatty = lambda: typed is not None  # type: ignore[method-assign]
            code = run([str(argument) for argument in arguments])
            sys.stdout.flush()
            sys.stderr.flush()
            return Ended(int(code), out.getvalue().decode(), err.getvalue().decode())

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start the program as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *map(str, arguments)],
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def converge(self, *options: str) -> Ended:
        """Apply without asking; the test goes on only if that succeeds."""
        ended = self.run("apply", "--yes", *options)
        assert ended.code == 0, ended.out + ended.err
        return ended

    def receipts(self, tenant: str = "acme") -> list[dict[str, Any]]:
        """Every receipt, the oldest first."""
        files = sorted((self.state / tenant / "runs").glob("*/receipt.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text(encoding="utf-8")) for path in files]

    def outcomes(self, tenant: str = "acme") -> dict[str, str]:
        """Outcome by key in the newest receipt."""
        return {item["key"]: item["outcome"] for item in self.receipts(tenant)[-1]["outcomes"]}


def members_of(rows: Sequence[dict[str, Any]], path: str = "members") -> dict[str, Any]:
    """The membership attribute of each change that has one."""
    return {row["key"]: item for row in rows for item in row["attributes"] if item["path"] == path}
