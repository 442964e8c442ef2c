"""What was approved: the plans of the pull requests that were merged since the last complete receipt.

Who approved which plan is asked of GitHub: the review, the commit it was given for, and the check run of that commit.
Comments are for reading only, and an artifact is believed as far as it has the seal of the check run.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loop.gh import GITHUB_ACTIONS_APP, GitHub, StepFailed, quoted, summarize, tell
from loop.plans import Approvable, check_name
from reconciler.errors import LedgerRefused
from reconciler.ledger.chain import read_chain
from reconciler.ledger.checkout import open_checkout
from reconciler.ledger.ledger import Ledger

_MOST_MERGES = 200
_LARGEST_PLAN = 256_000_000
_SEAL = re.compile(r"sha256:[0-9a-f]{64}")
_REVIEWERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""Anybody who can read a public repository can write a review."""


class _NotApproved(Exception):
    """A pull request was merged, and nobody approved its plan."""


@dataclass(frozen=True, slots=True)
class Merged:
    """One merged pull request that has a plan for the tenant: the plan, or why it does not count."""

    number: int
    plan: Approvable | None
    problem: str = ""


def fetch_approved(environ: Mapping[str, str]) -> int:
    """Put the approved plans into FOLDER; output how many they are, and `pulls`, which have plans.

    FOLDER/arguments has the arguments for `reconciler apply`, one a line; FOLDER/notes.json why what does not count.
    """
    github, folder = GitHub(environ["GITHUB_REPOSITORY"]), Path(environ["FOLDER"])
    folder.mkdir(parents=True, exist_ok=True)
    merged = list(_merged(github, environ)) if not environ.get("SEAL") else []
    plans = [item.plan for item in merged if item.plan is not None]
    if environ.get("SEAL"):
        plans = [_given(environ)]
    arguments = []
    for number, plan in enumerate(plans):
        file = folder / f"approved-{number}.json"
        file.write_bytes(_fetch(github, plan))
        arguments += ["--approved", str(file), "--expect-seal", plan.seal]
    (folder / "arguments").write_text("".join(f"{word}\n" for word in arguments), encoding="utf-8")
    notes = {str(item.number): item.problem for item in merged}
    (folder / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
    for item in merged:
        summarize(environ, f"- #{item.number}: {item.problem or 'approved'}")
    if not plans:
        summarize(environ, f"Nothing was approved for {environ['TENANT']} since its last complete receipt.")
    tell(environ, {"count": str(len(plans))})
    return 1 if any(item.problem for item in merged) and not plans else 0


def _given(environ: Mapping[str, str]) -> Approvable:
    """A plan that somebody approves by starting the workflow by hand: above all a held one."""
    if not _SEAL.fullmatch(environ["SEAL"]) or not environ.get("ARTIFACT"):
        raise StepFailed("a plan is approved by hand with the name of its artifact and its whole seal")
    return Approvable(environ["SEAL"], environ["ARTIFACT"])


def _merged(github: GitHub, environ: Mapping[str, str]) -> Iterator[Merged]:
    """The pull requests that were merged since the last complete receipt and touch the tenant; the oldest first."""
    commits = _commits_since_receipt(environ)
    seen: set[int] = set()
    for commit in commits:
        for found in github.get_all(f"commits/{commit}/pulls?per_page=100"):
            pull = github.get(f"pulls/{found['number']}") if found["number"] not in seen else None
            seen.add(found["number"])
            if pull is None or not pull["merged_at"] or pull["merge_commit_sha"] not in commits:
                continue
            if pull["base"]["ref"] == environ["BRANCH"]:
                yield from _judge(github, environ, pull)


def _judge(github: GitHub, environ: Mapping[str, str], pull: Mapping[str, Any]) -> Iterator[Merged]:
    head, tenant = pull["head"]["sha"], environ["TENANT"]
    path = f"commits/{head}/check-runs?check_name={quoted(check_name(tenant))}&filter=all&per_page=100"
    checks = [
        check
        for check in github.get_all(path, "check_runs")
        if check["app"]["slug"] == GITHUB_ACTIONS_APP and check["head_sha"] == head and check["completed_at"]
    ]
    if not checks:
        return  # it does not touch the tenant, or its changes are nobody's: apply holds them
    try:
        yield Merged(pull["number"], _approved(github, pull, checks, int(environ.get("APPROVALS") or "1")))
    except _NotApproved as not_approved:
        yield Merged(pull["number"], None, str(not_approved))


def _approved(github: GitHub, pull: Mapping[str, Any], checks: list[dict[str, Any]], needed: int) -> Approvable:
    """The newest plan for the commit that was merged, if it was there to be read when it was approved."""
    check = max(checks, key=lambda item: (str(item["completed_at"]), int(item["id"])))
    plan = Approvable.from_text(check["output"]["summary"] or "")
    if check["conclusion"] != "success" or plan is None:
        raise _NotApproved("the plan for the commit that was merged cannot be approved; its check run says why")
    last: dict[int, Mapping[str, Any]] = {}
    for review in github.get_all(f"pulls/{pull['number']}/reviews?per_page=100"):
        if review["user"] and review["state"] in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}:
            last[review["user"]["id"]] = review
    count = sum(
        review["state"] == "APPROVED"
        and review["commit_id"] == pull["head"]["sha"]
        and review["author_association"] in _REVIEWERS
        and user != pull["user"]["id"]
        and str(review["submitted_at"]) > str(check["completed_at"])
        for user, review in last.items()
    )
    if count < needed:
        raise _NotApproved(
            f"of {needed} approvals there are {count} that were given for the commit that was merged, "
            "after its last plan was there to be read"
        )
    return plan


def _commits_since_receipt(environ: Mapping[str, str]) -> list[str]:
    """The commits of the branch after that of the last complete receipt, the oldest first."""
    root = Path(environ["RECONCILER_ROOT"])
    try:
        checkout = open_checkout(root, environ["TENANT"], os.environ)
        if checkout is None:
            raise StepFailed(f"git does not track {root}/{environ['TENANT']}/tenant.yaml here")
        head = Ledger(git=checkout.git, tenant=environ["TENANT"], remote=checkout.remote()).head()
        chain = read_chain(checkout.git, head.tip, "9999")
    except LedgerRefused as refused:
        raise StepFailed(f"the ledger cannot be read: {refused.message}") from refused
    since = [f"^{chain.receipt.entry.commit}"] if chain.receipt is not None else []
    limit = f"--max-count={_MOST_MERGES}"
    listed = checkout.git.run("rev-list", "--first-parent", limit, checkout.commit, *since)
    if not listed.ok:
        raise StepFailed(f"git does not list what was merged: {listed.err}")
    return listed.line.split()[::-1]


def _fetch(github: GitHub, plan: Approvable) -> bytes:
    """The plan file in an artifact, believed by nobody before its seal was compared."""
    named = github.get_all(f"actions/artifacts?name={quoted(plan.artifact)}&per_page=100", "artifacts")
    there = [item for item in named if item["name"] == plan.artifact and not item["expired"]]
    if not there:
        raise StepFailed(f"the artifact {plan.artifact} is gone; plan again and approve that plan")
    newest = max(there, key=lambda item: int(item["id"]))
    try:
        with zipfile.ZipFile(io.BytesIO(github.download(f"actions/artifacts/{newest['id']}/zip"))) as archive:
            (name,) = archive.namelist()
            with archive.open(name) as file:
                return file.read(_LARGEST_PLAN)
    except (zipfile.BadZipFile, ValueError) as error:
        raise StepFailed(f"the artifact {plan.artifact} is not a plan") from error
