"""Runs our workflows on this machine: every `run:` line for real, with a fake `gh`, a real remote and a sandbox.

What GitHub itself does is played here: events, the matrix, conditions, environments with their secrets, permissions of
the token, checkouts and artifacts. An expression, action or key that is not known is an error.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.github.expressions import Contexts
from tests.github.fake_gh import REPOSITORY, Hub

ROOT = Path(__file__).parents[2]
ACTIONS = {"actions/checkout", "actions/setup-python", "actions/upload-artifact"}
_JOB_KEYS = {
    *("name", "needs", "if", "runs-on", "timeout-minutes", "permissions", "outputs", "steps", "strategy"),
    *("environment", "env", "concurrency"),
}
_STEP_KEYS = {"id", "name", "if", "uses", "with", "env", "run", "shell"}


@dataclass
class Job:
    """How a job ended."""

    name: str
    result: str = "success"
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets_in: dict[str, set[str]] = field(default_factory=dict)
    """Which secrets a step's environment was given, by the step's place and name."""


@dataclass
class Run:
    """How a workflow ended: its jobs in order, those of a matrix by the name they are shown with."""

    jobs: list[Job]

    @property
    def succeeded(self) -> bool:
        """Whether no job failed."""
        return all(job.result in {"success", "skipped"} for job in self.jobs)

    def job(self, name: str) -> Job:
        """The job that is shown with a name."""
        return next(job for job in self.jobs if job.name == name)

    @property
    def log(self) -> str:
        """All that was printed."""
        return "\n".join(f"--- {job.name}: {job.result}\n{job.log}" for job in self.jobs)


@dataclass
class Machine:
    """Where workflows run. `environments` have secrets, `variables` are the repository's own."""

    folder: Path
    remote: Path
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def hub_file(self) -> Path:
        """What the fake `gh` keeps."""
        return self.folder / "hub.json"

    def start(self, workflow: str, event: str, sha: str, payload: Mapping[str, Any], *, fork: bool = False) -> Run:
        """Run a workflow for an event, on a commit. With `fork` it comes from one: no secrets, a token that reads."""
        document = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text(encoding="utf-8"))
        number = next(self.numbers)
        github = {
            "event": payload,
            "event_name": event,
            "repository": REPOSITORY,
            "sha": sha,
            "token": "a-token-of-a-job",
            "run_id": str(number),
            "run_attempt": "1",
            "server_url": "https://github.example",
            "ref_name": payload.get("ref_name", "main"),
        }
        return _Workflow(self, document, github, payload.get("inputs", {}), fork=fork).run()


class _Workflow:
    def __init__(
        self, machine: Machine, document: Mapping[Any, Any], github: dict[str, Any], inputs: Any, *, fork: bool
    ) -> None:
        self.machine = machine
        self.document = document
        self.github = github
        self.inputs = inputs
        self.fork = fork
        self.done: dict[str, list[Job]] = {}

    def run(self) -> Run:
        assert github_event_is_named(self.document, self.github["event_name"])
        for name, job in self.document["jobs"].items():
            assert set(job) <= _JOB_KEYS, set(job) - _JOB_KEYS
            self.done[name] = self._jobs(name, job)
        return Run([job for jobs in self.done.values() for job in jobs])

    def _jobs(self, name: str, job: Mapping[str, Any]) -> list[Job]:
        needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        needs = {other: self._needed(other) for other in needed}
        values = {
            "github": self.github,
            "needs": needs,
            "inputs": self.inputs,
            "vars": self.machine.variables,
            "env": self.document.get("env", {}),
        }
        failed = any(need["result"] != "success" for need in needs.values())
        if not Contexts(values, has_failed=failed).condition(job.get("if")):
            return [Job(name, "skipped")]
        matrix = job.get("strategy", {}).get("matrix", {})
        rows = {key: Contexts(values).anything(listed) for key, listed in matrix.items()}
        assert all(rows.values()), "GitHub refuses a matrix with nothing in it"
        return [
            self._job(job, {**values, "matrix": dict(zip(rows, cell, strict=True))}, name)
            for cell in itertools.product(*rows.values())
        ]

    def _needed(self, name: str) -> dict[str, Any]:
        results = {job.result for job in self.done[name]}
        result = next(each for each in ("failure", "skipped", "success") if each in results)
        return {"result": result, "outputs": {k: v for job in self.done[name] for k, v in job.outputs.items()}}

    def _job(self, job: Mapping[str, Any], values: dict[str, Any], name: str) -> Job:
        contexts = Contexts({**values, "secrets": {}, "steps": {}, "runner": {}})
        done = Job(contexts.text(job.get("name", name)))
        environment = contexts.text(job.get("environment", {}).get("name", ""))
        secrets = {} if self.fork else self.machine.environments.get(environment, {})
        granted = self.document["permissions"] if job.get("permissions") is None else job["permissions"]
        permissions = {key: "read" if self.fork else level for key, level in granted.items()}
        env = {key: contexts.text(str(text)) for key, text in {**values["env"], **job.get("env", {})}.items()}
        place = _Place(self, done, permissions, env)
        everything = {
            **values,
            "secrets": secrets,
            "steps": done.steps,
            "runner": {"temp": str(place.temp)},
            "env": env,
        }
        place.steps(job["steps"], everything, done.steps)
        outputs = Contexts(everything).text
        done.outputs = {key: outputs(text) for key, text in job.get("outputs", {}).items()}
        done.summary = place.summary.read_text(encoding="utf-8") if place.summary.exists() else ""
        return done


class _Place:
    """The machine of one job."""

    def __init__(self, workflow: _Workflow, job: Job, permissions: Mapping[str, str], env: dict[str, str]) -> None:
        self.workflow = workflow
        self.machine = workflow.machine
        self.job = job
        self.permissions = permissions
        self.env = env
        number = sum(1 for _ in self.machine.folder.glob("job-*"))
        self.folder = self.machine.folder / f"job-{number}"
        self.temp = self.folder / "temp"
        self.workspace = self.folder / "workspace"
        self.summary = self.folder / "summary.md"
        for folder in (self.temp, self.workspace):
            folder.mkdir(parents=True)
        self.tools = self.machine.folder / "tools"
        if not self.tools.exists():
            _make_tools(self.tools)
        tool = self.machine.folder / "reconciler-tool"
        if tool.exists():  # installing it once a story, by the first job, is enough
            (self.temp / "reconciler-tool").symlink_to(tool)

    def steps(self, steps: Sequence[Mapping[str, Any]], values: dict[str, Any], told: dict[str, Any]) -> None:
        for number, step in enumerate(steps):
            assert set(step) <= _STEP_KEYS, set(step) - _STEP_KEYS
            contexts = Contexts({**values, "steps": told}, has_failed=self.job.result != "success")
            if not contexts.condition(step.get("if")):
                continue
            where = f"{len(self.job.secrets_in)} {step.get('name', step.get('uses', number))}"
            before = set(contexts.read)
            env = {key: contexts.text(str(text)) for key, text in step.get("env", {}).items()}
            given = {name for name in contexts.read - before if name.startswith("secrets.")}
            self.job.secrets_in[where] = given
            inputs = {key: contexts.text(str(text)) for key, text in step.get("with", {}).items()}
            outputs: dict[str, str] = {}
            if "run" in step:
                assert "${{" not in step["run"], "values go into `run:` by way of `env:`"
                code = self._script(step["run"], env, outputs)
            else:
                code = self._action(step["uses"], inputs, env, contexts, outputs)
            if code != 0:
                self.job.result = "failure"
            if "id" in step:
                told[step["id"]] = {"outputs": outputs, "outcome": "success" if code == 0 else "failure"}

    def _script(self, script: str, env: Mapping[str, str], outputs: dict[str, str]) -> int:
        output = self.temp / "github-output"
        output.write_text("", encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.workspace,
            env={**self._environment(output), **self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.job.log += f"$ {script}\n{done.stdout}{done.stderr}[exit {done.returncode}]\n"
        outputs |= dict(line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines())
        tool, kept = self.temp / "reconciler-tool", self.machine.folder / "reconciler-tool"
        if tool.is_dir() and not kept.exists():
            kept.symlink_to(tool)
        return done.returncode

    def _environment(self, output: Path) -> dict[str, str]:
        github = self.workflow.github
        return {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "CI": "true",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_WORKSPACE": str(self.workspace),
            **{f"GITHUB_{name.upper()}": github[name] for name in ("repository", "sha", "run_id", "server_url")},
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "FAKE_GH": str(self.machine.hub_file),
            "FAKE_GH_PERMISSIONS": json.dumps(self.permissions),
            "PIP_NO_INDEX": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def _action(
        self, uses: str, inputs: dict[str, str], env: Mapping[str, str], contexts: Contexts, outputs: dict[str, str]
    ) -> int:
        if uses.startswith("$/"):
            return self._composite(ROOT / uses.removeprefix("$/"), inputs, env, outputs)
        name, _, _ = uses.partition("@")
        assert name in ACTIONS, f"no action {name} is known here"
        match name:
            case "actions/checkout":
                self._check_out(inputs)
            case "actions/setup-python":
                outputs["python-path"] = str(self.tools / "python")
            case _:
                return self._upload(inputs)
        return 0

    def _composite(self, folder: Path, given: dict[str, str], env: Mapping[str, str], outputs: dict[str, str]) -> int:
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        assert set(given) <= set(action["inputs"]), f"{set(given) - set(action['inputs'])} is no input"
        inputs = {name: given.get(name, spec.get("default", "")) for name, spec in action["inputs"].items()}
        github = {**self.workflow.github, "action_path": str(folder)}
        told: dict[str, Any] = {}
        values = {"inputs": inputs, "github": github, "env": env, "runner": {"temp": str(self.temp)}}
        before = self.job.result
        self.job.result = "success"
        self.steps(action["runs"]["steps"], values, told)
        after, self.job.result = self.job.result, before
        told_outside = Contexts({**values, "steps": told})
        outputs |= {name: told_outside.text(spec["value"]) for name, spec in action.get("outputs", {}).items()}
        return 0 if after == "success" else 1

    def _check_out(self, inputs: Mapping[str, str]) -> None:
        assert inputs.get("persist-credentials") == "False", "a checkout leaves no credential behind"
        depth = inputs.get("fetch-depth", "1")
        wanted = inputs.get("ref") or self.workflow.github["sha"]
        refs = ["+refs/heads/*:refs/remotes/origin/*"] if depth == "0" else [f"--depth={depth}"]
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", self.machine.remote.as_uri())
        self.git("fetch", "--quiet", "--no-tags", "origin", *([] if depth == "0" else refs), wanted)
        if depth == "0":
            self.git("fetch", "--quiet", "--no-tags", "origin", *refs)
        self.git("checkout", "--quiet", "--detach", wanted)

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.workspace, check=True, capture_output=True, timeout=60)

    def _upload(self, inputs: Mapping[str, str]) -> int:
        path = Path(inputs["path"])
        assert int(inputs["retention-days"]) <= 30
        if not path.exists():
            return 1
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.write(path, path.name)
        hub = Hub(self.machine.hub_file)
        text = b64encode(data.getvalue()).decode()
        hub.add("artifacts", name=inputs["name"], expired=False, zip=text, created_at=hub.tick())
        hub.save()
        return 0


def github_event_is_named(document: Mapping[Any, Any], event: str) -> bool:
    """Whether a workflow wants an event; YAML 1.1 reads the key `on` as true."""
    return event in document[True]


def _make_tools(folder: Path) -> None:
    """`gh`, and the Python that setup-python gives: its environments find the packages of the one that tests run in."""
    folder.mkdir()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    gh = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "{ROOT}/tests/github/fake_gh.py" "$@"\n'
    python = f"""#!/bin/sh
set -e
[ "$1 $2 $3" = "-m venv --clear" ]
"{sys.executable}" -m venv --without-pip "$4"
echo "{sysconfig.get_path("purelib")}" > "$4/lib/{version}/site-packages/locked.pth"
"""
    for name, text in (("gh", gh), ("python", python)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
