"""What git granted, git takes back: whole runs with a ledger on a branch (SPEC P13, 6, 7.1; issue 4, judged 1, 3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.versioned import Versioned, git, under_version_control
from tests.cli.workplace import ADMIN, Service, Workplace, call

SALES = "g-2, members: [{user: cyd@example.com}]"
GRANTED = "g-2, membership: additive, members: [{user: cyd@example.com}, {user: dan@example.com}]"


@pytest.fixture
def desk(work: Workplace, sandbox: Service) -> Versioned:
    """The small organisation, committed and never applied."""
    work.organisation(sandbox.base_url, guards={"removal-share": {"percent": 100}, "access-loss": {"percent": 100}})
    return under_version_control(work)


def test_the_first_run_says_that_it_is_the_first(desk: Versioned, sandbox: Service) -> None:
    """Guard `no-base`: without a ledger nobody knows what git granted, unless a person says that it granted nothing."""
    for command in (("plan",), ("apply", "--yes")):
        refused = desk.work.run(*command)
        assert refused.code == 4
        assert "--first-run" in refused.out.splitlines()[0]
    assert sandbox.all("Users") == {}
    assert desk.work.run("plan", "--first-run").code == 0
    desk.apply("--first-run")
    assert desk.entries() == ["Attempt", "Receipt"]
    again = desk.work.run("apply", "--yes", "--first-run")
    assert again.code == 4
    assert "leave out --first-run" in again.out + again.err
    desk.apply()
    assert desk.entries() == ["Attempt", "Receipt", "Receipt"]


def test_who_leaves_git_loses_access(desk: Versioned, sandbox: Service) -> None:
    """Deactivated, and out of the groups; the plan says that git removed them."""
    desk.apply("--first-run")
    desk.work.edit(
        "acme/people.yaml",
        "  - {userName: bob@example.com, externalId: p-2, name: {givenName: Bob, familyName: Ray}, title: Agent}\n",
        "",
    )
    desk.work.edit("acme/groups.yaml", ", {user: bob@example.com}", "")
    desk.commit()
    [plan] = desk.work.run("plan", "--format", "json").lines
    assert [(c["key"], c["action"], c["reason"]) for c in plan["changes"]] == [
        ("User/bob@example.com", "deactivate", "removed"),
        ("Group/Support", "update", "declared"),
    ]
    desk.apply()
    assert sandbox.all("Users")["bob@example.com"]["active"] is False
    assert sandbox.member_names("Support") == {"ann@example.com"}
    assert desk.work.run("plan", "--detailed-exitcode").code == 0


def test_a_grant_of_a_run_that_failed_elsewhere_is_revoked_when_git_reverts_it(
    desk: Versioned, sandbox: Service
) -> None:
    """Issue 4, judged 1: the exact story."""
    desk.apply("--first-run")
    before = desk.work.root.joinpath("acme/groups.yaml").read_text(encoding="utf-8")
    desk.work.edit("acme/groups.yaml", SALES, GRANTED)
    desk.work.edit("acme/people.yaml", "Lee}, title: Agent", "Lee}, title: Boss")
    desk.commit("grant")
    broken = {"match": {"method": "POST", "path": "/scim/v2/Bulk", "nth": 1}, "fault": "partial-bulk"}
    faults = [{**broken, "args": {"operations": 0, "status": 400}}]
    status, _ = call(f"{sandbox.origin}/_sandbox/faults", "PUT", faults, {"Authorization": f"Bearer {ADMIN}"})
    assert status == 200
    ended = desk.work.run("apply", "--yes")
    assert ended.code == 6, ended.out
    assert desk.work.outcomes() == {"User/ann@example.com": "failed", "Group/Sales": "applied"}
    assert sandbox.member_names("Sales") == {"cyd@example.com", "dan@example.com"}
    desk.work.write("acme/groups.yaml", before.replace("g-2, members:", "g-2, membership: additive, members:"))
    desk.commit("revert")
    desk.apply()
    assert sandbox.member_names("Sales") == {"cyd@example.com"}


def test_a_run_that_was_killed_is_remembered(desk: Versioned, sandbox: Service) -> None:
    """INCIDENTS "Killed in the middle": hashicorp/terraform #20718, #24276; Azure azapi #1110.

    Its attempt is there, its receipt is not: what it may have granted is taken back all the same.
    """
    desk.apply("--first-run")
    desk.work.edit("acme/groups.yaml", SALES, GRANTED)
    desk.commit("grant")
    desk.apply()
    attempt = git(desk.remote, "rev-parse", "reconciler/acme^")  # as if the receipt never got there
    git(desk.remote, "update-ref", "refs/heads/reconciler/acme", attempt)
    git(desk.work.folder, "update-ref", "refs/heads/reconciler/acme", attempt)
    (desk.work.state / "acme" / "ledger-head").write_text(f"{attempt}\n", encoding="ascii")
    desk.work.edit("acme/groups.yaml", ", {user: dan@example.com}", "")
    desk.commit("revert")
    refused = desk.work.run("apply", "--yes")
    assert refused.code == 4
    assert "may still be at work" in refused.err
    run = git(desk.remote, "log", "-1", "--format=%s", attempt).split(" ")[1]
    assert desk.work.run("apply", "--yes", "--take-over", "20260101T000000Z-0000").code == 1
    desk.apply("--take-over", run)
    assert sandbox.member_names("Sales") == {"cyd@example.com"}


def test_another_machine_goes_on_where_the_first_one_stopped(desk: Versioned, sandbox: Service, tmp_path: Path) -> None:
    """The branch is the memory; a state directory is only a convenience."""
    desk.apply("--first-run")
    desk.work.edit("acme/groups.yaml", ", {user: bob@example.com}", "")
    desk.commit()
    other = desk.clone(tmp_path / "other")
    [plan] = other.work.run("plan", "--format", "json").lines
    assert [change["reason"] for change in plan["changes"]] == ["declared"]
    other.apply()
    assert sandbox.member_names("Support") == {"ann@example.com"}
    assert desk.work.run("plan", "--detailed-exitcode").code == 0


def test_a_dirty_tree_is_planned_and_not_applied(desk: Versioned, sandbox: Service) -> None:
    """What would be written down is a commit, and this is not it."""
    desk.apply("--first-run")
    desk.work.edit("acme/people.yaml", "title: Coach", "title: Head")
    assert desk.work.run("plan").code == 0
    refused = desk.work.run("apply", "--yes")
    assert refused.code == 4
    assert "commit it" in refused.out + refused.err
    assert sandbox.all("Users")["cyd@example.com"]["title"] == "Coach"


def test_only_revoke_and_safe_only_are_the_two_halves_of_a_plan(desk: Versioned, sandbox: Service) -> None:
    """SPEC 7.8, INCIDENTS "Hitting the removal limit": adobe-apiplatform/user-sync.py #744.

    What is held is saved as a plan that can be approved in turn.
    """
    desk.apply("--first-run")
    desk.work.edit(
        "acme/groups.yaml",
        "[{user: ann@example.com}, {user: bob@example.com}]",
        "[{user: bob@example.com}, {user: dan@example.com}]",
    )
    desk.commit()
    safe = desk.work.run("apply", "--yes", "--safe-only")
    assert safe.code == 0, safe.err
    assert sandbox.member_names("Support") == {"ann@example.com", "bob@example.com", "dan@example.com"}
    [held] = desk.work.state.glob("acme/runs/*/held-plan.json")
    assert "ann@example.com" in held.read_text(encoding="utf-8")
    desk.apply("--only", "revoke")
    assert sandbox.member_names("Support") == {"bob@example.com", "dan@example.com"}
    desk.apply()
    assert desk.work.run("apply", "--only", "revoke", "--safe-only", "--yes").code == 64


def test_only_revoke_cuts_access_although_other_documents_are_invalid(desk: Versioned, sandbox: Service) -> None:
    """SPEC 7.8: a valid document's `active: false` and narrower list count, and nobody's absence does."""
    desk.work.write("acme/late.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\ngroups: [Sales]\n")
    desk.commit("eve")
    desk.apply("--first-run")
    desk.work.write("acme/late.yaml", "kind: User\nuserName: [eve@example.com\n")  # not even YAML
    desk.work.edit("acme/people.yaml", "Ray}, title: Agent", "Ray}, title: Boss, active: false")
    desk.work.edit(
        "acme/groups.yaml", "[{user: ann@example.com}, {user: bob@example.com}]", "[{user: bob@example.com}]"
    )
    desk.commit("bob is out, and a file is broken")
    assert desk.work.run("apply", "--yes").code == 3
    revoked = desk.work.run("apply", "--yes", "--only", "revoke", "--allow", "membership-share")
    assert revoked.code == 0, revoked.out + revoked.err
    assert "late.yaml" in revoked.err
    users = sandbox.all("Users")
    assert (users["bob@example.com"]["active"], users["bob@example.com"]["title"]) == (False, "Agent")
    assert users["eve@example.com"]["active"] is True
    assert sandbox.member_names("Support") == {"bob@example.com"}
    assert sandbox.member_names("Sales") == {"cyd@example.com", "eve@example.com"}
    desk.work.write("acme/late.yaml", "")
    desk.commit("mended, without eve")
    desk.apply()
    assert sandbox.all("Users")["eve@example.com"]["active"] is False


def test_what_was_approved_is_applied_and_the_rest_is_held(desk: Versioned, sandbox: Service) -> None:
    """A sibling merge in between (SPEC 7.3): two approvals, one apply; what drifted meanwhile waits."""
    desk.apply("--first-run")
    folder = desk.work.folder
    desk.work.edit("acme/people.yaml", "title: Coach", "title: Head")
    desk.commit("one")
    assert desk.work.run("plan", "--out", folder / "one.json").code == 0
    desk.work.edit(
        "acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]"
    )
    desk.commit("two")
    assert desk.work.run("plan", "--out", folder / "two.json").code == 0
    sandbox.replace("Users", "bob@example.com", "title", "drifted")
    seals = [_seal(folder / "one.json"), _seal(folder / "two.json")]
    wrong = desk.work.run("apply", "--approved", folder / "one.json", "--expect-seal", seals[1])
    assert wrong.code == 5
    ended = desk.work.run(
        "apply",
        "--approved",
        folder / "one.json",
        "--approved",
        folder / "two.json",
        "--expect-seal",
        seals[0],
        "--expect-seal",
        seals[1],
    )
    assert ended.code == 5, ended.err
    users = sandbox.all("Users")
    assert (users["cyd@example.com"]["title"], users["bob@example.com"]["title"]) == ("Head", "drifted")
    assert sandbox.member_names("Sales") == {"cyd@example.com", "dan@example.com"}
    [held] = desk.work.state.glob("acme/runs/*/held-plan.json")
    approved = desk.work.run("apply", "--plan", held, "--expect-seal", _seal(held))
    assert approved.code == 0, approved.err
    assert sandbox.all("Users")["bob@example.com"]["title"] == "Agent"


def _seal(file: Path) -> str:
    seal: str = json.loads(file.read_text(encoding="utf-8"))["seal"]
    return seal
