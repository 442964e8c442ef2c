"""Tells the pull requests what became of their plans, without naming anybody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from loop.gh import GitHub, run_link, summarize, tell


def publish_receipt(environ: Mapping[str, str]) -> int:
    """One comment on each pull request that was judged; output `held`, the plan of what waits, if anything does."""
    tenant, folder = environ["TENANT"], Path(environ["FOLDER"])
    notes_file = folder / "notes.json"
    notes: dict[str, str] = json.loads(notes_file.read_bytes()) if notes_file.exists() else {}
    told = "\n\n".join((_outcome(folder / "receipt.json", environ.get("CODE", "")), run_link(environ)))
    held = max((Path(environ["RECONCILER_STATE_DIR"]) / tenant / "runs").glob("*/held-plan.json"), default=None)
    if held is not None:
        tell(environ, {"held": str(held)})
        told = f"{told}\n\n{_held(held, environ['HELD_ARTIFACT'])}"
    summarize(environ, told)
    github = GitHub(environ["GITHUB_REPOSITORY"])
    for number, problem in notes.items():
        text = f"Nothing of this plan was applied: {problem}." if problem else told
        github.put_comment(int(number), f"<!-- reconciler apply {tenant} -->", f"### Apply of `{tenant}`\n\n{text}")
    return 0


def _outcome(file: Path, code: str) -> str:
    """The receipt in numbers."""
    if not file.exists():
        return f"**Nothing was applied** (exit code {code or 'none'}); the log says why."
    receipt = json.loads(file.read_bytes())
    counts = Counter((item["outcome"], item["action"]) for item in receipt["outcomes"])
    rows = "".join(f"| {outcome} | {action} | {count} |\n" for (outcome, action), count in sorted(counts.items()))
    table = f"| Outcome | Action | Changes |\n|---|---|---|\n{rows}" if rows else "There was nothing to change.\n"
    state = "**Complete and proven.**" if receipt["complete"] else "**Not complete.**"
    left = f" {len(receipt['residual'])} attributes read differently afterwards." if receipt["residual"] else ""
    return f"{state}{left} Run `{receipt['run']}`, commit {receipt['commit']}.\n\n{table}"


def _held(held: Path, artifact: str) -> str:
    """What to do about what waits."""
    plan = json.loads(held.read_bytes())
    return (
        f"**{len(plan['changes'])} changes wait for an approval of their own.** They are in the artifact "
        f"`{artifact}`; `reconciler show` renders it. To approve them, start the workflow `apply` by hand with that "
        f"name and the seal `{plan['seal']}`, or make a pull request that is planned anew."
    )
