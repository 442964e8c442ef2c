"""Shows a plan on its pull request: a comment to read, and a check run that holds what apply will believe."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from loop.gh import GitHub, run_link, summarize

MOST = 60_000
"""GitHub takes 65,536 characters; the rest is for what stands around the report."""

_FACT = re.compile(r"^- (seal|artifact): `([\w:.-]+)`$", re.MULTILINE)
_REFUSED = 4


@dataclass(frozen=True, slots=True)
class Approvable:
    """What a check run says of a plan: the seal that stands for it, and the artifact that holds it."""

    seal: str
    artifact: str

    def to_text(self) -> str:
        """As a check run says it."""
        return f"- seal: `{self.seal}`\n- artifact: `{self.artifact}`\n"

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """What a check run says, or None where it says nothing that can be approved."""
        facts = dict(_FACT.findall(text))
        return cls(facts["seal"], facts["artifact"]) if facts.keys() == {"seal", "artifact"} else None


def check_name(tenant: str) -> str:
    """The name of the check run of a tenant."""
    return f"reconciler plan: {tenant}"


def publish_plan(environ: Mapping[str, str]) -> int:
    """Comment and check run for the plan in PLAN, which ended with the exit code CODE; 1 if it cannot be approved."""
    tenant, plan = environ["TENANT"], Path(environ["PLAN"])
    report, problem = _report(plan, environ.get("CODE", ""))
    link = run_link(environ)
    about = f"For {environ['HEAD_SHA']}, merged into {environ['BASE_SHA']}; {link}."
    summarize(environ, report or f"### Plan for {tenant}\n\n{problem}")
    github = GitHub(environ["GITHUB_REPOSITORY"])
    shown = "\n\n".join(part for part in (report, problem and f"**{problem}**", about) if part)
    github.put_comment(int(environ["PULL"]), f"<!-- reconciler plan {tenant} -->", shown)
    document: dict[str, Any] = json.loads(plan.read_bytes()) if report else {}
    facts = Approvable(document["seal"], environ["ARTIFACT"]).to_text() if report else ""
    digest = f"- digest: `{document['digest']}`\n" if report else ""
    output = {
        "title": problem or f"{len(document['changes'])} changes",
        "summary": f"{digest}{facts}\n{problem or 'Approving the pull request from now on approves this plan.'}",
    }
    check = {
        "name": check_name(tenant),
        "head_sha": environ["HEAD_SHA"],
        "status": "completed",
        "conclusion": "failure" if problem else "success",
        "external_id": environ["ARTIFACT"],
        "output": output,
    }
    github.send("POST", "check-runs", check)
    return 1 if problem else 0


def _report(plan: Path, code: str) -> tuple[str, str]:
    """The plan in Markdown, "" where there is none to show; and what is wrong with it, ""."""
    if code not in {"0", str(_REFUSED)} or not plan.exists():
        return "", f"There is no plan: the exit code was {code or 'none'}, and the log says why"
    command = ["show", plan.name, "--format", "markdown", "--max-length", str(MOST)]
    program = [sys.executable, "-I", "-m", "reconciler"]
    done = subprocess.run([*program, *command], cwd=plan.parent, capture_output=True, check=False)
    if done.returncode != 0:
        print(done.stderr.decode("utf-8", "replace"), file=sys.stderr)  # noqa: T201 - for the log
        return "", "The plan cannot be shown in full here, so it cannot be approved; the log says why"
    return done.stdout.decode(), "A guard refuses this plan" if code == str(_REFUSED) else ""
