"""A whole organisation as two commits: who is not in the second one any more loses access (issue 4, judged 2)."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.organisations import COMMUNITY, LARGE, copy_community, write
from tests.cli.versioned import under_version_control
from tests.cli.workplace import Service, Workplace

TRIPPED = {
    "community": {"removal-share", "membership-share", "update-share"},
    "made-up": {"removal-share", "access-loss", "membership-share", "update-share"},
}


@pytest.mark.parametrize("organisation", TRIPPED)
def test_the_second_commit_also_deactivates_who_left(work: Workplace, sandbox: Service, organisation: str) -> None:
    """231 people; one refusal names every guard; allowing exactly those lets it through; then nothing is left."""
    if organisation == "community" and not COMMUNITY.is_dir():
        pytest.skip("the community data is not beside this checkout; the made-up organisation stands in for it")
    folder = work.root / ("kubernetes-sigs" if organisation == "community" else "acme")
    _write(folder, work, sandbox, "before", organisation)
    desk = under_version_control(work)
    desk.apply("--first-run")
    shutil.rmtree(folder)
    _write(folder, work, sandbox, "after", organisation)
    desk.commit("the second revision")

    refused = work.run("apply", "--yes", "--format", "json")
    assert refused.code == 4
    [plan] = refused.lines
    counts = Counter((change["key"].partition("/")[0], change["action"]) for change in plan["changes"])
    assert counts["User", "deactivate"] == 231
    assert counts["User", "create"] == 285
    assert {c["reason"] for c in plan["changes"] if c["action"] == "deactivate"} == {"removed"}
    assert not [change["reason"] for change in plan["changes"] if change["reason"] in {"drifted", "both"}]
    tripped = tuple(guard["id"] for guard in plan["guards"] if guard["verdict"] == "refuse")
    assert set(tripped) == TRIPPED[organisation]
    assert f"refused by {', '.join(tripped)}\n" in refused.err

    allow = [f"--allow={guard}" for guard in tripped]
    for missing in range(len(allow)):
        assert work.run("plan", *allow[:missing], *allow[missing + 1 :]).code == 4
    desk.apply(*allow)
    users = sandbox.all("Users")
    assert len(users) == 1090 + 285
    assert sum(1 for user in users.values() if user["active"] is False) == 231
    [plan] = work.run("plan", "--format", "json").lines
    assert plan["changes"] == []


def _write(folder: Path, work: Workplace, sandbox: Service, revision: str, organisation: str) -> None:
    if organisation == "community":
        copy_community(revision, folder, sandbox.base_url)
        return
    users, groups = LARGE.before() if revision == "before" else LARGE.after()
    tenant = work.tenant(sandbox.base_url)
    shutil.rmtree(folder)
    write(folder, tenant, users, groups)
