"""Keeps one issue for each tenant that somebody changed, without naming anybody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loop.gh import GITHUB_ACTIONS_BOT, GitHub, run_link, summarize

_SAME, _CHANGES = "0", "2"


def publish_drift(environ: Mapping[str, str]) -> int:
    """Open, update or close the issue of TENANT by what `reconciler drift` printed to PLAN and its exit code CODE."""
    tenant, code, plan = environ["TENANT"], environ.get("CODE", ""), Path(environ["PLAN"])
    if code not in {_SAME, _CHANGES}:
        summarize(environ, f"`{tenant}` could not be compared with what was applied (exit code {code or 'none'}).")
        return 1
    document = json.loads(plan.read_bytes())
    github, marker = GitHub(environ["GITHUB_REPOSITORY"]), f"<!-- reconciler drift {tenant} -->"
    issue = _open_issue(github, marker)
    if code == _SAME:
        summarize(environ, f"`{tenant}` is as it was applied.")
        if issue is not None:
            gone = f"{marker}\n`{tenant}` is as it was applied again; {run_link(environ)}."
            github.send("PATCH", f"issues/{issue}", {"state": "closed", "state_reason": "completed", "body": gone})
        return 0
    text = f"{marker}\n{_in_numbers(document)}\n{run_link(environ)}."
    summarize(environ, text)
    if issue is None:
        github.send("POST", "issues", {"title": f"reconciler: {tenant} was changed by somebody", "body": text})
    else:
        github.send("PATCH", f"issues/{issue}", {"body": text})
    return 0


def _open_issue(github: GitHub, marker: str) -> int | None:
    """The issue of a tenant: whoever else writes the marker into an issue does not get it updated or closed."""
    for issue in github.get_all("issues?state=open&per_page=100"):
        if issue["user"]["id"] == GITHUB_ACTIONS_BOT and (issue["body"] or "").startswith(marker):
            return int(issue["number"])
    return None


def _in_numbers(plan: Mapping[str, Any]) -> str:
    counts = Counter((change["action"], change["reason"]) for change in plan["changes"])
    rows = "".join(f"| {action} | {reason} | {count} |\n" for (action, reason), count in sorted(counts.items()))
    return (
        f"Somebody changed `{plan['tenant']}`: {len(plan['changes'])} changes would bring it back to what was "
        "applied last.\n\n"
        f"| Action | Reason | Changes |\n|---|---|---|\n{rows}\n"
        f"Which they are: `reconciler drift {plan['tenant']}`. Bring the tenant back by an apply that somebody "
        "approves, or write into git what should stay."
    )
