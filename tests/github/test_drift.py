"""drift.yml: one issue for each tenant that somebody changed, and reverts that take back what git granted."""

from __future__ import annotations

from tests.github.forge import Forge


def test_drift_is_found_updated_and_closed(forge: Forge) -> None:
    """One issue: opened, updated in place, closed when it is as it was; nobody is named in it."""
    forge.begin()
    assert forge.drift().succeeded
    assert not forge.hub.state["issues"]
    forge.service.patch("Users", "ann@example.com", {"op": "replace", "path": "title", "value": "Boss"})
    hub = forge.hub
    faked = {"body": "<!-- reconciler drift acme -->\nmine", "number": 5, "state": "open"}
    hub.add("issues", user={"id": 99}, **faked)
    hub.save()
    run = forge.drift()
    assert run.succeeded, run.log
    other, issue = forge.hub.state["issues"]
    assert ": 1 changes would" in issue["body"]
    assert "| update | drifted | 1 |" in issue["body"]
    assert "example.com" not in issue["body"]
    assert "Boss" not in issue["body"]
    forge.service.patch("Users", "bob@example.com", {"op": "replace", "path": "title", "value": "Boss"})
    assert forge.drift().succeeded
    other, issue = forge.hub.state["issues"]
    assert ": 2 changes would" in issue["body"]
    assert other["body"] == faked["body"]
    for name in ("ann", "bob"):
        forge.service.patch("Users", f"{name}@example.com", {"op": "replace", "path": "title", "value": "Agent"})
    assert forge.drift().succeeded
    other, issue = forge.hub.state["issues"]
    assert (other["state"], issue["state"]) == ("open", "closed")


def test_a_revert_takes_back_what_was_granted(forge: Forge) -> None:
    """P13: the pull request that reverts another removes what that one gave, because the ledger remembers it."""
    forge.begin()
    grant = forge.change("acme/people.yaml", "title: Trainer}", "title: Trainer, roles: [{value: Coach}]}", "grant")
    run = forge.approved(grant)
    assert run.succeeded, run.log
    assert forge.service.all("Users")["cyd@example.com"]["roles"]
    forge.branch("revert")
    forge.git("revert", "--no-commit", "HEAD")
    number = forge.open_pull()
    run = forge.approved(number)
    assert run.succeeded, run.log
    assert "Loses access" in forge.comments(number)[0]
    assert not forge.service.all("Users")["cyd@example.com"].get("roles")
