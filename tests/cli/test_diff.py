"""`reconciler diff`: what a change in git means, and nobody but git is asked (SPEC 5)."""

from __future__ import annotations

import pytest

from tests.cli.versioned import Versioned, git, under_version_control
from tests.cli.workplace import Service, Workplace

NOWHERE = "http://127.0.0.1:9/scim/v2"
"""Nobody listens there: whoever asked would get an error."""


@pytest.fixture
def desk(work: Workplace) -> Versioned:
    """The small organisation, committed, and a tenant that cannot be reached."""
    work.organisation(NOWHERE)
    return under_version_control(work)


def test_a_change_is_told_without_a_tenant_or_a_secret(desk: Versioned) -> None:
    """Losses first, reasons as in a plan; neither target nor digest, and nothing to apply."""
    desk.work.environ["SCIM_TOKEN"] = ""
    desk.work.edit("acme/people.yaml", "Poe}, title: Coach", "Poe}, title: Head")
    desk.work.edit("acme/groups.yaml", ", {user: bob@example.com}", ", {user: dan@example.com}")
    ended = desk.work.run("diff", "--base", "HEAD")
    assert ended.code == 0, ended.err
    commit = git(desk.work.folder, "rev-parse", "HEAD")
    assert ended.out.splitlines()[0].startswith(f"Diff for acme against {commit[:12]}: ")
    assert ended.out.index("- bob@example.com") < ended.out.index('"Coach" -> "Head"') < ended.out.index("+ dan@")
    assert "with changes that are not committed" in ended.out
    for absent in ("digest", "reconciler apply", "Target", "estimate", "requests"):
        assert absent not in ended.out
    assert desk.work.run("diff", "--base", "HEAD", "--detailed-exitcode").code == 2


def test_a_diff_as_json_cannot_be_taken_for_a_plan(desk: Versioned) -> None:
    """One object a tenant, by which nothing can be applied."""
    desk.work.edit("acme/people.yaml", "Poe}, title: Coach", "Poe}, title: Head, active: false")
    [document] = desk.work.run("diff", "--base", "HEAD", "--format", "json").lines
    assert document["subject"] == "diff"
    assert not document.keys() & {"seal", "digest", "target", "capabilities", "estimate", "inventory"}
    [change] = document["changes"]
    assert (change["key"], change["action"], change["reason"]) == ("User/cyd@example.com", "deactivate", "declared")
    assert not change.keys() & {"id", "anchor", "digest", "precondition"}
    saved = desk.work.folder / "diff.json"
    saved.write_text(desk.work.run("diff", "--base", "HEAD", "--format", "json").out, encoding="utf-8")
    assert desk.work.run("apply", "--plan", saved, "--expect-seal", f"sha256:{'0' * 64}").code == 5


def test_who_leaves_git_is_told_with_what_they_lose(desk: Versioned) -> None:
    """SPEC 3: what git stated and states no more is withdrawn."""
    line = "  - {userName: bob@example.com, externalId: p-2, name: {givenName: Bob, familyName: Ray}, title: Agent}\n"
    desk.work.edit("acme/people.yaml", line, "")
    desk.work.edit("acme/groups.yaml", ", {user: bob@example.com}", "")
    [document] = desk.work.run("diff", "--base", "HEAD", "--format", "json").lines
    assert [(c["key"], c["action"], c["reason"]) for c in document["changes"]] == [
        ("User/bob@example.com", "deactivate", "removed"),
        ("Group/Support", "update", "declared"),
    ]
    assert [(loss["user"], loss["group"]) for loss in document["access"]["losses"]] == [("bob@example.com", "Support")]


def test_nothing_is_said_about_tenants_that_stay_as_they_are(desk: Versioned) -> None:
    """Files may move as they like; a tenant that is asked for by name is always told about."""
    desk.work.organisation("http://127.0.0.1:8/scim/v2", "other")
    desk.commit()
    (desk.work.root / "acme/people.yaml").rename(desk.work.root / "acme/staff.yaml")
    quiet = desk.work.run("diff", "--base", "HEAD")
    assert quiet.out.startswith("No changes. Git says the same about every tenant")
    assert desk.work.run("diff", "--base", "HEAD", "--format", "json").out == ""
    assert "No changes. Git says the same about acme" in desk.work.run("diff", "acme", "--base", "HEAD").out
    desk.work.edit("other/people.yaml", "Poe}, title: Coach", "Poe}, title: Head")
    assert [line["tenant"] for line in desk.work.run("diff", "--base", "HEAD", "--format", "json").lines] == ["other"]


def test_a_renamed_tenant_is_compared_with_itself(desk: Versioned) -> None:
    """Paired by `scim.baseUrl` (SPEC 5)."""
    (desk.work.root / "acme").rename(desk.work.root / "apex")
    desk.work.tenant(NOWHERE, "apex")
    [document] = desk.work.run("diff", "--base", "HEAD", "--format", "json").lines
    assert (document["tenant"], document["changes"]) == ("apex", [])
    assert "called acme before" in document["findings"][0]["message"]


def test_a_tenant_that_comes_or_goes_is_told_plainly(desk: Versioned) -> None:
    """All of it is new; all of it becomes unmanaged, and nobody loses anything."""
    (desk.work.root / "acme/people.yaml").unlink()
    (desk.work.root / "acme/groups.yaml").unlink()
    (desk.work.root / "acme/tenant.yaml").unlink()
    desk.work.organisation("http://127.0.0.1:8/scim/v2", "newco")
    gone, new = desk.work.run("diff", "--base", "HEAD", "--format", "json").lines
    assert (gone["tenant"], gone["changes"], gone["summary"]["unmanaged"]) == ("acme", [], 6)
    assert "does not have this tenant any more" in gone["findings"][0]["message"]
    assert (new["tenant"], new["summary"]["create"], new["summary"]["membershipsAdded"]) == ("newco", 6, 3)


def test_problems_of_both_sides_are_told_with_their_side(desk: Versioned) -> None:
    """Exit code 3, and every diagnostic says whether it is about now or about then."""
    desk.work.edit("acme/people.yaml", "title: Coach", "title: Coach, nickname: C")
    desk.commit("broken")
    desk.work.edit("acme/people.yaml", "nickname: C", "nicknames: C")
    ended = desk.work.run("diff", "--base", "HEAD")
    assert ended.code == 3
    assert f"{desk.work.root}/acme/people.yaml:6" in ended.err
    assert "HEAD:desired-state/acme/people.yaml:6" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--base", "nowhere"), 64, "there is no such commit"),
        (("--base", "--output=x"), 64, "there is no such commit"),
        (("--base", "HEAD", "acmee"), 64, "did you mean acme?"),
        ((), 64, "--base"),
    ],
)
def test_what_cannot_be_compared_is_said(desk: Versioned, arguments: tuple[str, ...], code: int, said: str) -> None:
    """Nothing is guessed."""
    ended = desk.work.run("diff", *arguments)
    assert (ended.code, said in ended.err) == (code, True), ended.err


def test_outside_of_git_there_is_nothing_to_compare_with(work: Workplace) -> None:
    """The message says what to do instead."""
    work.organisation(NOWHERE)
    ended = work.run("diff", "--base", "HEAD")
    assert ended.code == 1
    assert "in no git checkout" in ended.err


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{kind: Policy, exclusive: [{name: two, roles: [Maker, Checker]}]}", "Policy documents change what judges"),
        (
            "{kind: Override, guard: removal-share, changes: ['sha256:%s'], max: 1, expires: '2026-12-31', reason: x}",
            "Override documents change what judges",
        ),
        ("{kind: Group, displayName: Empty, members: []}", "lists all its members from now on"),
    ],
)
def test_what_changes_no_resource_is_told_all_the_same(desk: Versioned, document: str, told: str) -> None:
    """What judges plans, and what only the tenant knows the effect of, is not passed over in silence."""
    desk.work.write("acme/empty.yaml", "{kind: Group, displayName: Empty}\n")
    desk.commit()
    desk.work.write("acme/empty.yaml" if "Empty" in document else "acme/more.yaml", document.replace("%s", "0" * 64))
    ended = desk.work.run("diff", "--base", "HEAD")
    assert (ended.code, told in ended.out) == (0, True), ended.out + ended.err
    assert "No changes. Git says the same about acme" in ended.out


def test_a_root_that_is_not_there_is_an_error_and_no_empty_state(desk: Versioned) -> None:
    """A wrong --root must not read as 'git gave everything up'."""
    ended = desk.work.run("diff", "--base", "HEAD", "--root", desk.work.folder / "nowhere")
    assert (ended.code, "is not there" in ended.err) == (3, True), ended.err
    (desk.work.root / "acme/tenant.yaml").unlink()
    assert desk.work.run("diff", "--base", "HEAD").code == 3


def test_a_repository_may_be_the_root_itself(desk: Versioned) -> None:
    """Problems of then are named as git names the file."""
    root = desk.work.root
    git(root, "init", "-q", "-b", "main")
    desk.work.edit("acme/people.yaml", "title: Coach", "title: Coach, nickname: C")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "broken")
    desk.work.edit("acme/people.yaml", ", nickname: C", "")
    assert "HEAD:acme/people.yaml:6" in desk.work.run("diff", "--base", "HEAD").err


def test_settings_that_would_loosen_guards_are_told(desk: Versioned) -> None:
    """A change of tenant.yaml changes no resource, and is judged by what was there before (SPEC 8)."""
    desk.work.tenant(NOWHERE, guards={"removal-share": {"percent": 100}}, ownership={"users": "all"})
    ended = desk.work.run("diff", "--base", "HEAD")
    assert ended.code == 0, ended.err
    assert "tenant.yaml changes: guards, ownership" in ended.out


def test_a_diff_says_what_the_plan_says_where_nobody_touched_the_tenant(work: Workplace, sandbox: Service) -> None:
    """One planner makes both: the same people, actions, reasons, values and access."""
    work.organisation(sandbox.base_url)
    desk = under_version_control(work)
    desk.apply("--first-run")
    work.edit("acme/people.yaml", "userName: ann@example.com,", "userName: ann.lee@example.com,")
    work.edit("acme/people.yaml", "Poe}, title: Coach", "Poe}, roles: [{value: Head}], groups: [Support]")
    work.edit("acme/people.yaml", "Fox}, title: Agent", "Fox}, title: Agent, active: false")
    work.edit("acme/groups.yaml", "user: ann@example.com", "user: ann.lee@example.com")
    work.edit("acme/groups.yaml", "- {displayName: Sales,", "- {displayName: Sellers,")
    desk.commit()
    [diff] = work.run("diff", "--base", "HEAD~1", "--format", "json").lines
    [plan] = work.run("plan", "--format", "json").lines
    assert len(plan["changes"]) == 5
    for document in (diff, plan):
        document["findings"] = [item["code"] for item in document["findings"]]
        document["guards"] = [(item["id"], item["verdict"]) for item in document["guards"]]
    for name in ("summary", "access", "findings", "guards", "tenant"):
        assert diff[name] == plan[name], name
    told = ("key", "action", "reason", "source", "attributes")
    assert [[c[name] for name in told] for c in diff["changes"]] == [
        [c[name] for name in told] for c in plan["changes"]
    ]
