"""`reconciler drift`: what somebody changed in the tenant since git was applied (SPEC 5)."""

from __future__ import annotations

import pytest

from tests.cli.versioned import Versioned, under_version_control
from tests.cli.workplace import Service, Workplace


@pytest.fixture
def desk(work: Workplace, sandbox: Service) -> Versioned:
    """The small organisation, committed and applied."""
    work.organisation(sandbox.base_url)
    versioned = under_version_control(work)
    versioned.apply("--first-run")
    return versioned


def test_what_somebody_changed_is_told_and_what_git_changed_is_not(desk: Versioned, sandbox: Service) -> None:
    """From what git said to what is there; `plan` would go the other way. Nothing is written."""
    sandbox.replace("Users", "cyd@example.com", "title", "Boss")
    bob = sandbox.all("Users")["bob@example.com"]["id"]
    sandbox.patch("Groups", "Support", {"op": "remove", "path": f'members[value eq "{bob}"]'})
    desk.work.edit("acme/people.yaml", "Fox}, title: Agent", "Fox}, title: Head")
    desk.commit()
    asked = sandbox.count
    ended = desk.work.run("drift", "--detailed-exitcode")
    assert ended.code == 2, ended.err
    assert ended.out.startswith("Drift of acme since commit ")
    assert ended.out.index("- bob@example.com") < ended.out.index('title  "Coach" -> "Boss"')
    assert "Drift: 1 user and 1 group updated, 1 membership removed; " in ended.out
    assert "dan@example.com" not in ended.out
    for absent in ("digest", "reconciler apply", "estimate", "Guards"):
        assert absent not in ended.out
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    [document] = desk.work.run("drift", "--format", "json").lines
    assert (document["subject"], document["target"]) == ("drift", sandbox.base_url)
    assert [(c["key"], c["reason"]) for c in document["changes"]] == [
        ("User/cyd@example.com", "drifted"),
        ("Group/Support", "drifted"),
    ]
    assert not document.keys() & {"seal", "digest", "guards", "estimate"}


def test_a_tenant_that_nobody_touched_has_no_drift(desk: Versioned) -> None:
    """Exit code 0, and whatever is wrong with the files as they are now does not matter."""
    desk.work.edit("acme/people.yaml", "title: Coach", "title: Coach, nickname: C")
    ended = desk.work.run("drift", "--detailed-exitcode")
    assert ended.code == 0, ended.err
    assert "No drift. acme is as git said at" in ended.out


def test_who_git_took_out_and_somebody_brought_back_is_told(desk: Versioned, sandbox: Service) -> None:
    """Unmanaged by now, and yet nobody in git wanted it."""
    line = "  - {userName: dan@example.com, externalId: p-4, name: {givenName: Dan, familyName: Fox}, title: Agent}\n"
    desk.work.edit("acme/people.yaml", line, "")
    desk.commit()
    desk.apply()
    assert "No drift." in desk.work.run("drift").out
    sandbox.replace("Users", "dan@example.com", "active", value=True)
    ended = desk.work.run("drift")
    assert "Drift: 1 user reactivated" in ended.out, ended.out + ended.err


def test_without_a_memory_there_is_no_drift_to_tell(work: Workplace, sandbox: Service) -> None:
    """The error says what to do instead."""
    work.organisation(sandbox.base_url)
    outside = work.run("drift")
    assert (outside.code, "`reconciler plan` compares" in outside.err) == (1, True)
    under_version_control(work)
    never = work.run("drift")
    assert (never.code, "--first-run" in never.err) == (4, True), never.err
