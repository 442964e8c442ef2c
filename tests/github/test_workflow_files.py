"""The files below .github: what runs there is what was reviewed, and it may do no more than it has to."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.github.runner import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "reconciler" / "action.yml"
EACH = pytest.mark.parametrize("file", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
WRITES = {
    ("apply.yml", "apply"): {"contents", "pull-requests"},
    ("drift.yml", "drift"): {"issues"},
    ("plan.yml", "plan"): {"checks", "pull-requests"},
}
"""What the token of a job may write; everything else is read or nothing."""


def load(file: Path) -> dict[Any, Any]:
    """One workflow or action as plain values."""
    loaded: dict[Any, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every job of every workflow: the file, its name, and the job."""
    for file in WORKFLOWS:
        for name, job in load(file)["jobs"].items():
            yield file.name, name, job


def test_zizmor_finds_nothing() -> None:
    """Template injection, credentials left behind, permissions that are too wide, actions that are not pinned."""
    program = Path(sys.executable).parent / "zizmor"
    done = subprocess.run(
        [program, "--offline", "--quiet", "--no-progress", str(ROOT / ".github")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_the_file_is_as_the_schema_says(file: Path) -> None:
    """GitHub ignores a workflow that it does not understand, and nobody would be told."""
    schema = "vendor.github-actions" if file == ACTION else "vendor.github-workflows"
    program = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [program, "--builtin-schema", schema, str(file)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_every_action_is_pinned_to_a_commit(file: Path) -> None:
    """A tag can be moved to other code, a full commit id cannot; `$/` is the commit that runs."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if "uses:" in line:
            pinned = re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
            assert pinned or line.endswith("uses: $/.github/actions/reconciler"), line


def test_an_action_has_one_version_everywhere() -> None:
    """Otherwise an update is easily forgotten in one place."""
    text = "".join(file.read_text(encoding="utf-8") for file in [*WORKFLOWS, ACTION])
    used = set(re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})", text))
    assert len({name for name, _ in used}) == len(used)


def test_a_job_may_write_only_what_it_is_there_for() -> None:
    """No permission is granted to a whole workflow, except to read the code."""
    for file in WORKFLOWS:
        assert load(file)["permissions"] in ({}, {"contents": "read"})
    granted = {
        (file, name): {what for what, level in job.get("permissions", {}).items() if level == "write"}
        for file, name, job in jobs()
    }
    assert {where: what for where, what in granted.items() if what} == WRITES


def test_no_checkout_leaves_a_credential_behind() -> None:
    """Whatever runs later in the job could use it. Git asks `gh` in the steps that need it."""
    for file, name, job in jobs():
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts), (file, name)


def test_secrets_are_given_only_to_steps_that_run_the_tool_on_a_tenant() -> None:
    """Not to jobs, not to actions of others, not to what installs packages or writes comments."""
    for file, name, job in jobs():
        assert "secrets." not in str({**job, "steps": []}), (file, name)
        for step in job["steps"]:
            if "secrets." in str(step):
                assert set(step) <= {"id", "name", "if", "env", "run"}
                assert re.search(r'"\$BIN/reconciler" (plan|apply|drift) ', step["run"]), (file, name)


def test_no_value_of_a_stranger_is_put_into_a_script() -> None:
    """A title or a branch name can be a command; values arrive as variables."""
    scripts = [step["run"] for _, _, job in jobs() for step in job["steps"] if "run" in step]
    scripts += [step["run"] for step in load(ACTION)["runs"]["steps"] if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_no_workflow_runs_code_of_a_fork_with_rights() -> None:
    """`pull_request_target` and `workflow_run` have the secrets of the repository, whoever sent the change."""
    for file in WORKFLOWS:
        assert not {"pull_request_target", "workflow_run"} & set(load(file)[True])
