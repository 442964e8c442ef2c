"""Somebody changes the tenant between plan and apply, or between plan and write (SPEC P3, 7.6)."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen


def _seal(work: Workplace) -> str:
    seal: str = json.loads((work.folder / "plan.json").read_text())["seal"]
    return seal


def _plan_and_let(work: Workplace, *, approve: str = "--plan") -> tuple[str, ...]:
    """Plan two title changes and a membership; the arguments that apply exactly that."""
    work.edit("acme/people.yaml", "Bob, familyName: Ray}, title: Agent", "Bob, familyName: Ray}, title: Lead")
    work.edit("acme/people.yaml", "Dan, familyName: Fox}, title: Agent", "Dan, familyName: Fox}, title: Lead")
    work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]")
    planned = work.run("plan", "--out", work.folder / "plan.json")
    assert planned.code == 0, planned.err
    return (approve, str(work.folder / "plan.json"), "--expect-seal", _seal(work))


@pytest.mark.parametrize("format_", ["text", "markdown"])
def test_a_foreign_write_to_a_managed_attribute_is_a_conflict_and_nothing_is_overwritten(
    acme: Workplace, sandbox: Service, format_: str
) -> None:
    """Issue 2, 3: that change ends as conflict, exit code 5, approved / now / would-be shown, all else applied."""
    approval = _plan_and_let(acme)
    sandbox.replace("Users", "bob@example.com", "title", "Director")
    ended = acme.run("apply", *approval, "--format", format_)
    assert ended.code == 5, ended.out + ended.err
    assert sandbox.all("Users")["bob@example.com"]["title"] == "Director"
    assert sandbox.all("Users")["dan@example.com"]["title"] == "Lead"
    assert sandbox.member_names("Sales") == {"cyd@example.com", "dan@example.com"}
    for word in ("approved", "now", "would be", "Agent", "Director", "Lead", "bob@example.com"):
        assert word in ended.out, ended.out
    assert acme.outcomes() == {
        "User/bob@example.com": "conflict",
        "User/dan@example.com": "applied",
        "Group/Sales": "applied",
    }


def test_a_foreign_write_to_an_unmanaged_attribute_is_kept_and_the_change_goes_through(
    acme: Workplace, sandbox: Service
) -> None:
    """Issue 2, 3: rebased, exit 0, the foreign value kept (SPEC P9)."""
    approval = _plan_and_let(acme)
    sandbox.replace("Users", "bob@example.com", "nickName", "Bobby")
    ended = acme.run("apply", *approval)
    assert ended.code == 0, ended.out + ended.err
    bob = sandbox.all("Users")["bob@example.com"]
    assert (bob["title"], bob["nickName"]) == ("Lead", "Bobby")


def test_a_foreign_membership_beside_ours_is_kept(acme: Workplace, sandbox: Service) -> None:
    """Single memberships do not conflict: what was approved is added, what came meanwhile stays."""
    approval = _plan_and_let(acme)
    ann = sandbox.all("Users")["ann@example.com"]["id"]
    sandbox.patch("Groups", "Sales", {"op": "add", "path": "members", "value": [{"value": ann}]})
    ended = acme.run("apply", *approval)
    assert ended.code == 0, ended.out + ended.err
    assert sandbox.member_names("Sales") == {"ann@example.com", "cyd@example.com", "dan@example.com"}


def test_a_resource_that_went_away_since_the_approval_is_a_conflict(acme: Workplace, sandbox: Service) -> None:
    """Never recreated: an update that was approved is not a create."""
    approval = _plan_and_let(acme)
    sandbox.call("DELETE", f"/Users/{sandbox.all('Users')['bob@example.com']['id']}")
    ended = acme.run("apply", *approval)
    assert ended.code == 5, ended.out + ended.err
    assert "bob@example.com" not in sandbox.all("Users")
    assert acme.outcomes()["User/bob@example.com"] == "conflict"
    assert acme.outcomes()["Group/Sales"] == "applied"


def test_somebody_elses_create_is_not_adopted(acme: Workplace, sandbox: Service) -> None:
    """SPEC section 3: an approved create never becomes a change to somebody else."""
    acme.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\ntitle: Agent\n")
    acme.run("plan", "--out", acme.folder / "plan.json")
    sandbox.create("Users", userName="eve@example.com", title="Visitor")
    ended = acme.run("apply", "--plan", acme.folder / "plan.json", "--expect-seal", _seal(acme))
    assert ended.code == 5, ended.out + ended.err
    eve = sandbox.all("Users")["eve@example.com"]
    assert (eve["title"], eve.get("externalId")) == ("Visitor", None)


@pytest.mark.parametrize("approve", ["digest", "yes"])
def test_a_digest_of_yesterday_is_stale(acme: Workplace, sandbox: Service, approve: str) -> None:
    """SPEC 7.3: with --expect-digest the re-made plan must have it, else exit 5 and nothing is written."""
    acme.edit("acme/people.yaml", "Bob, familyName: Ray}, title: Agent", "Bob, familyName: Ray}, title: Lead")
    digest = acme.run("plan", "--format", "json").lines[0]["digest"]
    sandbox.replace("Users", "bob@example.com", "title", "Director")
    before = sandbox.count
    if approve == "yes":  # a person who says yes to the plan of now gets what it says
        assert acme.run("apply", "--yes").code == 0
        assert sandbox.all("Users")["bob@example.com"]["title"] == "Lead"
        return
    ended = acme.run("apply", "--expect-digest", digest)
    assert ended.code == 5, ended.out + ended.err
    assert "Director" in ended.out  # the plan of now is shown
    assert {entry["method"] for entry in sandbox.log[before:]} == {"GET"}
    assert sandbox.all("Users")["bob@example.com"]["title"] == "Director"


# --- between plan and write, inside one apply ------------------------------------------------------------------------

FEATURES = {
    "bulk": {},
    "no-bulk": {"supports_bulk": False},
    "no-patch": {"supports_bulk": False, "supports_patch": False},
    "bulk-put": {"supports_patch": False},
    "no-etag": {"supports_bulk": False, "supports_etag": False},
}


@pytest.mark.parametrize("features", FEATURES)
def test_a_write_of_somebody_else_in_the_last_moment_is_not_lost(
    work: Workplace, start_sandbox: StartSandbox, features: str
) -> None:
    """P3, R6, G5: a version that is stale by now is judged, not overwritten."""
    service = start_sandbox(**FEATURES[features])
    work.organisation(service.base_url)
    work.converge()
    work.edit("acme/people.yaml", "Bob, familyName: Ray}, title: Agent", "Bob, familyName: Ray}, title: Lead")
    work.edit("acme/people.yaml", "Ann, familyName: Lee}, title: Agent", "Ann, familyName: Lee}, title: Lead")
    done: list[int] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        is_write = seen.method != "GET"
        is_reread = seen.method == "GET" and "/Users/" in seen.path
        if (is_write or is_reread) and not done:
            done.append(1)
            service.replace("Users", "bob@example.com", "title", "Director")
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert done
    assert ended.code == 5, ended.out + ended.err
    assert work.outcomes() == {"User/ann@example.com": "applied", "User/bob@example.com": "conflict"}
    users = service.all("Users")
    assert (users["ann@example.com"]["title"], users["bob@example.com"]["title"]) == ("Lead", "Director")


@pytest.mark.parametrize("features", FEATURES)
def test_a_last_moment_write_to_something_else_is_rebased_on(
    work: Workplace, start_sandbox: StartSandbox, features: str
) -> None:
    """SPEC 7.6: what does not touch managed attributes is rebased and goes through, in at most three rounds."""
    service = start_sandbox(**FEATURES[features])
    work.organisation(service.base_url)
    work.converge()
    work.edit("acme/people.yaml", "Bob, familyName: Ray}, title: Agent", "Bob, familyName: Ray}, title: Lead")
    done: list[int] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        is_reread = seen.method == "GET" and "/Users/" in seen.path
        if (seen.method != "GET" or is_reread) and not done:
            done.append(1)
            service.replace("Users", "bob@example.com", "nickName", "Bobby")
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert done
    assert ended.code == 0, ended.out + ended.err
    bob = service.all("Users")["bob@example.com"]
    assert (bob["title"], bob["nickName"]) == ("Lead", "Bobby")


def test_a_resource_that_changes_before_every_write_ends_as_a_conflict(work: Workplace, sandbox: Service) -> None:
    """At most three rounds, then conflict (cxone.md section 6); R6 recursed without limit."""
    work.organisation(sandbox.base_url)
    work.converge()
    work.edit("acme/people.yaml", "Bob, familyName: Ray}, title: Agent", "Bob, familyName: Ray}, title: Lead")
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "GET":
            writes.append(seen.path)
            sandbox.replace("Users", "bob@example.com", "nickName", f"Bob {len(writes)}")
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 5, ended.out + ended.err
    assert len(writes) == 3
    assert sandbox.all("Users")["bob@example.com"]["title"] == "Agent"


def test_what_would_give_access_nobody_approved_is_held_and_the_exit_code_says_not_approved(
    acme: Workplace, sandbox: Service
) -> None:
    """SPEC section 5: 5 is also "not approved", where nothing else went wrong; the rest is applied and proven."""
    acme.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {group: Support}]")
    acme.edit("acme/people.yaml", "Dan, familyName: Fox}, title: Agent", "Dan, familyName: Fox}, title: Lead")
    planned = acme.run("plan", "--out", acme.folder / "plan.json")
    assert planned.code == 0, planned.out
    new = sandbox.create("Users", userName="new@example.com", active=True)["id"]
    sandbox.patch("Groups", "Support", {"op": "add", "path": "members", "value": [{"value": new}]})
    ended = acme.run("apply", "--plan", acme.folder / "plan.json", "--expect-seal", _seal(acme))
    assert ended.code == 5, ended.out + ended.err
    assert acme.outcomes() == {"Group/Sales": "not-attempted", "User/dan@example.com": "applied"}
    assert sandbox.member_names("Sales") == {"cyd@example.com"}
