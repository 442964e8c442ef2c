"""A whole organisation, twice: converge one revision, then the next (issue 2 number 2).

The real data lies beside the checkout, not in it; a made-up organisation of the same size is always there.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.organisations import COMMUNITY, LARGE, copy_community, write
from tests.cli.workplace import Service, Workplace

DISCOVERY = 3  # ServiceProviderConfig, ResourceTypes, Schemas
PAGE, CHUNK = 100, 500


@dataclass(frozen=True)
class Case:
    """One organisation: its tenant, what its second revision trips, and how its groups are nested when created."""

    tenant: str
    guards: tuple[str, ...]
    groups_by_level: tuple[int, ...]
    groups_granted: int


CASES = {
    "community": Case("kubernetes-sigs", ("membership-share", "update-share"), (358, 5), 63),
    "made-up": Case("acme", ("access-loss", "membership-share", "privileged-gain", "update-share"), (358, 4, 1), 73),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, work: Workplace, sandbox: Service) -> Case:
    """Both revisions under `before` and `after`, aimed at the sandbox."""
    found, work.knows_versions = CASES[request.param], False
    for revision in ("before", "after"):
        folder = work.folder / revision / found.tenant
        if request.param == "made-up":
            users, groups = LARGE.before() if revision == "before" else LARGE.after()
            gaining = groups[LARGE.losing + LARGE.changing]["displayName"]
            protected = [f"group:{gaining}"] if revision == "after" else []
            tenant = work.tenant(sandbox.base_url, guards={"protected": protected})
            write(folder, tenant, users, groups)
            continue
        if not COMMUNITY.is_dir():
            pytest.skip("the community data is not beside this checkout; the made-up organisation stands in for it")
        copy_community(revision, folder, sandbox.base_url)
    return found


def test_a_real_organisation_converges_twice(work: Workplace, sandbox: Service, case: Case) -> None:
    """Issue 2 number 2: counts, guards, requests as estimated and as the sums of SPEC section 6 say, convergence."""
    before, after = work.folder / "before", work.folder / "after"

    # The first revision, into an empty tenant.
    plan, sent = _apply(work, sandbox, before)
    assert _summary(plan) == {"create": 1090 + 363}
    reading = DISCOVERY + 1 + 1
    chunks = math.ceil(1090 / CHUNK) + sum(math.ceil(level / CHUNK) for level in case.groups_by_level)
    proof = min(1090, math.ceil(1090 / PAGE)) + min(363, math.ceil(363 / PAGE))
    assert plan["inventory"]["requests"] == reading
    assert plan["estimate"]["requests"] == chunks + proof
    assert sent == reading + chunks + proof
    assert (len(sandbox.all("Users")), len(sandbox.all("Groups"))) == (1090, 363)

    # Once more: nothing to do, and nothing is asked but what planning costs.
    asked = sandbox.count
    [plan] = work.run("plan", "--root", before, "--format", "json", "--detailed-exitcode").lines
    reading = DISCOVERY + math.ceil(1090 / PAGE) + math.ceil(363 / PAGE)
    assert plan["changes"] == []
    assert plan["estimate"]["requests"] == 0
    assert sandbox.count - asked == plan["inventory"]["requests"] == reading

    # The second revision: what it does, and every guard it trips in one refusal.
    names = set(sandbox.all("Users")), set(sandbox.all("Groups"))
    asked = sandbox.count
    refused = work.run("apply", "--root", after, "--yes", "--format", "json")
    assert refused.code == 4
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    [plan] = refused.lines
    _check_second_revision(plan)
    assert tuple(guard["id"] for guard in plan["guards"] if guard["verdict"] == "refuse") == case.guards
    assert f"refused by {', '.join(case.guards)}\n" in refused.err

    # Allowing one guard less is not enough; allowing exactly those lets it through.
    allow = [f"--allow={guard}" for guard in case.guards]
    assert work.run("plan", "--root", after, *allow[1:]).code == 4
    plan, sent = _apply(work, sandbox, after, *allow)
    updates = math.ceil((285 + 1) / CHUNK)
    chunks = math.ceil(95 / CHUNK) + updates + math.ceil(55 / CHUNK) + math.ceil(case.groups_granted / CHUNK)
    proof = min(286, math.ceil((1090 + 285) / PAGE)) + min(55 + 117, math.ceil((363 + 55) / PAGE))
    assert plan["inventory"]["requests"] == reading
    found_out = 2  # that versions are heeded: a read, and a write that must not happen (SPEC P3)
    assert plan["estimate"]["requests"] == found_out + chunks + proof
    assert sent == reading + found_out + chunks + proof

    # It converges; nobody was removed.
    [plan] = work.run("plan", "--root", after, "--format", "json").lines
    assert plan["changes"] == []
    users, groups = sandbox.all("Users"), sandbox.all("Groups")
    assert (len(users), len(groups)) == (1090 + 285, 363 + 55)
    assert names[0] <= set(users)
    assert names[1] <= set(groups)
    assert all(user["active"] for user in users.values())


def _apply(work: Workplace, sandbox: Service, root: Path, *options: str) -> tuple[dict[str, Any], int]:
    """Apply; the plan as it was carried out, and the requests the sandbox counted."""
    asked = sandbox.count
    ended = work.run("apply", "--root", root, "--yes", "--format", "json", *options)
    assert ended.code == 0, ended.err
    sent = sandbox.count - asked
    [receipt] = ended.lines
    assert receipt["complete"]
    assert {item["outcome"] for item in receipt["outcomes"]} == {"applied"}
    assert receipt["residual"] == []
    [plan] = work.state.glob(f"*/runs/{receipt['run']}/plan.json")
    [shown] = work.run("show", plan, "--format", "json").lines
    return shown, sent


def _summary(plan: dict[str, Any]) -> dict[str, int]:
    actions = ("create", "update", "deactivate", "reactivate", "delete")
    return {name: plan["summary"][name] for name in actions if plan["summary"][name]}


def _check_second_revision(plan: dict[str, Any]) -> None:
    """285 users created, 1 updated; 55 groups with 217 memberships created, 117 updated: +106 and -139 memberships."""
    counts = Counter((change["key"].partition("/")[0], change["action"]) for change in plan["changes"])
    assert counts == {("User", "create"): 285, ("User", "update"): 1, ("Group", "create"): 55, ("Group", "update"): 117}
    joined: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for change in plan["changes"]:
        for attribute in change["attributes"]:
            if attribute["path"] == "members":
                joined[change["action"]] += len(attribute["added"])
                left[change["action"]] += len(attribute["removed"])
    assert joined == {"create": 217, "update": 106}
    assert left["update"] == left.total() == 139
    assert (plan["summary"]["membershipsAdded"], plan["summary"]["membershipsRemoved"]) == (217 + 106, 139)
