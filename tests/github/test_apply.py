"""apply.yml: what was approved on a merged pull request is applied, and nothing else (SPEC P2 and 7.3)."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode, b64encode

import pytest

from tests.github.forge import AUTHOR, Forge
from tests.github.runner import Run


def _assert_nothing_was_applied(forge: Forge, run: Run) -> None:
    assert not forge.service.all("Users")
    assert not run.succeeded
    assert not forge.git("ls-remote", "origin", "refs/heads/reconciler/acme")


def test_open_approve_merge_apply(forge: Forge) -> None:
    """The whole way: planned, approved, merged by squash, applied, the ledger pushed, and told without names."""
    number = forge.change("acme/people.yaml", "title: Coach", "title: Lead")
    run = forge.approved(number)
    assert run.succeeded, run.log
    assert forge.title("cyd") == "Lead"
    assert forge.service.member_names("Support") == {"ann@example.com", "bob@example.com"}
    told = forge.comments(number)[-1]
    assert "Complete and proven" in told
    assert "| applied | create | 6 |" in told
    assert "example.com" not in told
    assert "Support" not in told
    assert forge.git("ls-remote", "origin", "refs/heads/reconciler/acme")
    given = {where.partition(" ")[2] for where, names in run.job("apply acme").secrets_in.items() if names}
    assert given == {"Apply what was approved and is still the same"}
    again = forge.apply()
    assert again.succeeded, again.log
    assert "Nothing was approved" in again.job("apply acme").summary


def test_a_sibling_that_was_merged_in_between_does_not_void_an_approval(forge: Forge) -> None:
    """Two pull requests, planned side by side and merged one after the other: one run applies both (SPEC 7.3)."""
    forge.begin()
    first = forge.change("acme/people.yaml", "title: Trainer", "title: Lead", "first")
    second = forge.change("acme/groups.yaml", "{user: cyd@example.com}", "{user: dan@example.com}", "second")
    for number in (first, second):
        planned = forge.plan(number)
        assert planned.succeeded, planned.log
        forge.review(number)
    forge.merge(first, "merge")
    forge.merge(second)
    run = forge.apply()
    assert run.succeeded, run.log
    assert forge.title("cyd") == "Lead"
    assert forge.service.member_names("Sales") == {"dan@example.com"}
    assert all("Complete and proven" in forge.comments(number)[-1] for number in (first, second))


def test_what_was_changed_again_without_an_approval_is_held_and_can_be_approved_in_turn(forge: Forge) -> None:
    """SPEC 7.3: the rest is the held plan; its artifact and its seal approve it, given by hand."""
    forge.begin()
    number = forge.change("acme/people.yaml", "title: Trainer", "title: Lead")
    forge.edit("acme/groups.yaml", "{user: cyd@example.com}", "{user: dan@example.com}")
    forge.push(number)
    assert forge.plan(number).succeeded
    forge.review(number)
    forge.merge(number)
    forge.merge(forge.change("acme/people.yaml", "title: Lead", "title: Chief", "late"))
    run = forge.apply()
    assert not run.succeeded
    assert forge.title("cyd") == "Trainer"
    assert forge.service.member_names("Sales") == {"dan@example.com"}
    told = forge.comments(number)[-1]
    assert "1 changes wait for an approval of their own" in told
    assert "cyd" not in told
    (held,) = [row for row in forge.hub.state["artifacts"] if row["name"].startswith("reconciler-held-acme-")]
    seal = json.loads(_unpacked(held["zip"]))["seal"]
    assert f"`{held['name']}`" in told
    assert f"`{seal}`" in told
    by_hand = forge.apply(tenant="acme", artifact=held["name"], seal=seal)
    assert by_hand.succeeded, by_hand.log
    assert forge.title("cyd") == "Chief"


def test_who_is_not_created_as_approved_is_held_with_their_memberships(forge: Forge) -> None:
    """On a first run most changes are creates: the rest of them goes through (SPEC 7.3)."""
    number = forge.change("acme/people.yaml", "title: Coach", "title: Lead")
    assert forge.plan(number).succeeded
    forge.review(number)
    forge.merge(number)
    forge.merge(forge.change("acme/people.yaml", "title: Lead", "title: Chief", "late"))
    run = forge.apply()
    assert not run.succeeded
    assert forge.service.all("Users").keys() == {f"{name}@example.com" for name in ("ann", "bob", "dan")}
    assert not forge.service.member_names("Sales")


def test_an_edited_artifact_is_not_applied(forge: Forge) -> None:
    """INCIDENTS "The plan that was applied": runatlantis/atlantis #6529, #1122, #2390.

    Whoever can replace the artifact cannot change the seal in the check run.
    """
    number = forge.change("acme/people.yaml", "title: Coach", "title: Lead")
    assert forge.plan(number).succeeded
    forge.review(number)
    forge.merge(number)
    hub = forge.hub
    (artifact,) = hub.state["artifacts"]
    edited = _unpacked(artifact["zip"]).replace(b"Lead", b"Boss")
    assert edited != _unpacked(artifact["zip"])
    artifact["zip"] = _packed(edited)
    hub.save()
    _assert_nothing_was_applied(forge, forge.apply())
    assert "Nothing was applied" in forge.comments(number)[-1]


def test_an_edited_comment_changes_nothing(forge: Forge) -> None:
    """The seal is that of the check run: a comment is for reading only, also one by the bot."""
    number = forge.change("acme/people.yaml", "title: Coach", "title: Lead")
    assert forge.plan(number).succeeded
    hub = forge.hub
    hub.state["comments"][0]["body"] += "\n- seal: `sha256:" + "0" * 64 + "`\n- artifact: `mine`\n"
    hub.save()
    forge.review(number)
    forge.merge(number)
    run = forge.apply()
    assert run.succeeded, run.log
    assert forge.title("cyd") == "Lead"


@pytest.mark.parametrize("again", ["planned", "not planned"])
def test_an_approval_of_an_older_push_approves_nothing(forge: Forge, again: str) -> None:
    """INCIDENTS "The plan that was applied": runatlantis/atlantis #6529, #1122, #2390.

    A reviewer's old approval, and a plan for a head that was not merged (P2).
    """
    number = forge.change("acme/people.yaml", "title: Coach", "title: Lead")
    assert forge.plan(number).succeeded
    forge.review(number)
    forge.edit("acme/people.yaml", "title: Lead", "title: Boss")
    forge.push(number)
    if again == "planned":
        assert forge.plan(number).succeeded
    forge.merge(number)
    run = forge.apply()
    if again == "planned":
        _assert_nothing_was_applied(forge, run)
        assert "of 1 approvals there are 0" in forge.comments(number)[-1]
    else:
        assert not forge.service.all("Users")
        assert "Nothing was approved" in run.job("apply acme").summary


@pytest.mark.parametrize("who", ["the author", "a stranger", "somebody too early", "somebody who took it back"])
def test_an_approval_that_does_not_count_approves_nothing(forge: Forge, who: str) -> None:
    """Of oneself, of somebody without a role here, of what could not be read yet, and one that was taken back."""
    number = forge.change("acme/people.yaml", "title: Coach", "title: Lead")
    if who == "somebody too early":
        forge.review(number)
    assert forge.plan(number).succeeded
    match who:
        case "the author":
            forge.review(number, user=AUTHOR)
        case "a stranger":
            forge.review(number, role="NONE")
        case "somebody who took it back":
            forge.review(number)
            forge.review(number, "CHANGES_REQUESTED")
    forge.merge(number)
    _assert_nothing_was_applied(forge, forge.apply())
    assert "of 1 approvals there are 0" in forge.comments(number)[-1]


def test_what_was_pushed_without_a_pull_request_is_not_applied(forge: Forge) -> None:
    """Nobody approved it, so it waits for a pull request."""
    run = forge.apply()
    assert not forge.service.all("Users")
    assert "Nothing was approved" in run.job("apply acme").summary


def test_started_by_hand_on_another_branch_nothing_is_applied(forge: Forge) -> None:
    """What is on that branch was not merged, whatever plan is named for it."""
    run = forge.apply(branch="change", tenant="acme", artifact="reconciler-plan-acme-1-1", seal="sha256:" + "0" * 64)
    assert {job.result for job in run.jobs} == {"skipped"}
    assert not forge.service.log


def _unpacked(text: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(b64decode(text))) as archive:
        return archive.read(archive.namelist()[0])


def _packed(plan: bytes) -> str:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("plan.json", plan)
    return b64encode(data.getvalue()).decode()
