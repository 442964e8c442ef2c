"""Machines that reconcile one tenant from one repository: clones, a bare repository between them, and a service."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

from reconciler.desired.parser import load_desired_state
from reconciler.model.outcome import ApplyResult, ChangeResult, Outcome
from reconciler.model.plan import Plan, Selection
from reconciler.model.state import DesiredState, LiveState
from reconciler.model.tenant import Tenant
from reconciler.planner.planner import build_plan
from reconciler.reconcile.memory import Memory, MemoryOptions, open_memory
from reconciler.reconcile.rundir import tenant_lock
from reconciler.reconcile.surroundings import Listener, Surroundings
from tests.fakes.directory_service import DirectoryService
from tests.states import World

START = datetime(2026, 3, 2, 8, 0, 0, tzinfo=UTC)
BASE_URL = "https://acme.example.com/scim/v2"


@dataclass
class WallClock:
    """UTC wall time that passes when a test says so."""

    now: datetime = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def passes(self, **how_long: float) -> None:
        """Let time pass."""
        self.now += timedelta(**how_long)

    def stamp(self, **later: float) -> str:
        """The time, or one that comes later, as RFC 3339."""
        return (self.now + timedelta(**later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def git(folder: Path, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None) -> str:
    """What git prints; the test fails if git does."""
    done = subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **git_environ(folder), **(environ or {})},
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def git_environ(folder: Path) -> dict[str, str]:
    """Variables that keep the person's own configuration of git out of a test."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "Gina Git",
        "GIT_AUTHOR_EMAIL": "gina@example.com",
        "GIT_COMMITTER_NAME": "Gina Git",
        "GIT_COMMITTER_EMAIL": "gina@example.com",
    }


@dataclass
class Machine:
    """One checkout with a state directory of its own. All machines of a test share the service and the time."""

    folder: Path
    service: DirectoryService
    clock: WallClock
    runs: int = 0
    environ: dict[str, str] = field(default_factory=dict)
    git_variables: dict[str, str] = field(default_factory=dict)
    allowed: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The root of the desired state."""
        return self.folder / "desired-state"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.folder.parent / f"{self.folder.name}.state"

    def git(self, *arguments: str, **more: Any) -> str:
        """Run git in the checkout."""
        return git(self.folder, *arguments, **more)

    def write(self, name: str, text: str) -> None:
        """Write a file below the root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def tenant(self, name: str = "acme", base_url: str = BASE_URL, **settings: Any) -> None:
        """Write tenant.yaml."""
        document = {
            "kind": "Tenant",
            "name": name,
            "profile": "rfc7644",
            "scim": {"baseUrl": base_url},
            "auth": {"type": "none"},
            "guards": {g: {"percent": 100} for g in ("removal-share", "access-loss", "update-share")},
            **settings,
        }
        self.write(f"{name}/tenant.yaml", json.dumps(document))

    def people(self, *names: str, tenant: str = "acme", **attributes: Any) -> None:
        """Declare exactly these users."""
        items = [
            {"userName": f"{n}@example.com", "externalId": f"p-{n}", "name": {"familyName": n}, **attributes}
            for n in names
        ]
        self.write(f"{tenant}/people.yaml", json.dumps({"kind": "Users", "items": items}))

    def commit(self, message: str = "change") -> str:
        """Commit everything; the commit."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(self, *options: str) -> None:
        """Push the branch that is checked out."""
        self.git("push", "--quiet", *options, "origin", "HEAD:main")

    def pull(self) -> None:
        """Get what others pushed."""
        self.git("fetch", "--quiet", "origin", "main")
        self.git("reset", "--quiet", "--hard", "FETCH_HEAD")

    def load(self, tenant: str = "acme") -> tuple[Tenant, DesiredState]:
        """What git declares here."""
        loaded = load_desired_state(self.root, tenant, environ=self.environ)
        assert loaded.tenant is not None, loaded.diagnostics
        assert loaded.desired is not None, loaded.diagnostics
        return loaded.tenant, loaded.desired

    def memory(self, tenant: str = "acme", **options: Any) -> Memory:
        """What this machine remembers now."""
        described, desired = self.load(tenant)
        surroundings = Surroundings(
            environ=self.environ,
            bindings={},
            clock=lambda: 0.0,
            now=self.clock,
            sleep=lambda _: None,
            random=Random(str(self.folder)).random,
            listener=cast("Listener", None),
            tool="reconciler test",
        )
        variables = {**git_environ(self.folder), **self.git_variables}
        chosen = MemoryOptions(state_dir=self.state, environ=variables, actor="gina", **options)
        return open_memory(self.root, described, desired, surroundings, chosen)

    def plan(self, tenant: str = "acme", **options: Any) -> Started:
        """Read and plan; nothing is written yet."""
        described, desired = self.load(tenant)
        with tenant_lock(self.state, tenant):
            memory = self.memory(tenant, **options)
        world = World(service=self.service, desired=desired, tenant=described)
        live = world.read()
        plan = build_plan(
            world.inputs(
                live=live,
                base=memory.base,
                revision=memory.revision,
                selection=options.get("selection", Selection.ALL),
                allowed=self.allowed,
                created_at=self.clock.stamp(),
            )
        )
        assert not plan.refused_by, plan.refused_by
        self.runs += 1
        run = f"{self.clock.now.strftime('%Y%m%dT%H%M%SZ')}-{self.runs:04x}"
        return Started(self, run, memory, world, plan, live)

    def begin(self, tenant: str = "acme", **options: Any) -> Started:
        """Plan, and write the attempt if there is something to do."""
        return self.plan(tenant, **options).begin()

    def apply(self, tenant: str = "acme", **options: Any) -> Started:
        """A whole run."""
        started = self.begin(tenant, **options)
        started.finish()
        return started

    def entries(self, tenant: str = "acme") -> list[dict[str, Any]]:
        """What the entries of the shared ledger say, the oldest first."""
        tip = self.git("ls-remote", "origin", f"refs/heads/reconciler/{tenant}").split("\t")[0]
        found: list[dict[str, Any]] = []
        while tip:
            self.git("fetch", "--quiet", "origin", tip)
            found.insert(0, json.loads(self.git("show", f"{tip}:entry.json")))
            tip = found[0]["previous"]
        return found


@dataclass
class Started:
    """A run: planned, and maybe begun."""

    machine: Machine
    run: str
    memory: Memory
    world: World
    plan: Plan
    live: LiveState

    def begin(self) -> Started:
        """Say that the changes are about to be sent, if there are any."""
        if self.plan.changes:
            self.memory.begin(self.run, self.plan, self.machine.clock.stamp(hours=1))
        return self

    def send(self, fails: Callable[[str], bool] = lambda _: False) -> ApplyResult:
        """Send the changes; those whose key `fails` picks are refused by the service, and not sent."""
        wanted = [change for change in self.plan.changes if not fails(str(change.key))]
        run = self.world.apply(self.plan, self.live, changes=wanted)
        missed = [
            ChangeResult(change=change, outcome=Outcome.FAILED, cause="refused")
            for change in self.plan.changes
            if fails(str(change.key))
        ]
        return ApplyResult(
            run=self.run,
            tenant=self.world.tenant.name,
            target=self.world.tenant.target,
            commit=self.plan.desired.commit,
            digest=self.plan.digest,
            started=self.machine.clock.stamp(),
            ended=self.machine.clock.stamp(),
            results=(*run.applied.results, *missed),
            residual=run.residual,
            proven=True,
        )

    def finish(self, fails: Callable[[str], bool] = lambda _: False) -> ApplyResult:
        """Send, prove, and write the receipt."""
        result = self.send(fails)
        self.memory.end(self.plan, self.live, result)
        return result


@dataclass
class Machines:
    """Makes machines that share a bare repository."""

    folder: Path
    service: DirectoryService = field(default_factory=DirectoryService)
    clock: WallClock = field(default_factory=WallClock)

    @property
    def shared(self) -> Path:
        """The bare repository."""
        return self.folder / "shared.git"

    def first(self) -> Machine:
        """A machine with a tenant of two people, pushed."""
        git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.shared))
        machine = self.alone("one")
        machine.git("remote", "add", "origin", str(self.shared))
        machine.push()
        return machine

    def alone(self, name: str = "alone", *options: str) -> Machine:
        """A machine with a repository that nobody shares."""
        machine = Machine(self.folder / name, self.service, self.clock)
        machine.folder.mkdir()
        machine.git("init", "--quiet", "--initial-branch=main", *options)
        machine.tenant()
        machine.people("ann", "bob")
        machine.commit("first")
        return machine

    def clone(self, name: str, *options: str) -> Machine:
        """Another machine."""
        git(self.folder, "clone", "--quiet", *options, self.shared.as_uri(), name)
        return Machine(self.folder / name, self.service, self.clock)
