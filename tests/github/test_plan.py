"""plan.yml: what a pull request would do, told on the pull request (SPEC sections 5, 6 and 7.3)."""

from __future__ import annotations

import re

from tests.cli.workplace import TOKEN
from tests.github.fake_gh import BOT
from tests.github.forge import Forge


def test_a_pull_request_is_planned_and_the_next_push_updates_the_same_comment(forge: Forge) -> None:
    """One comment per tenant that the change touches, in place; a check run with the seal on each head (P2)."""
    forge.branch("people")
    forge.edit("acme/people.yaml", "title: Coach", "title: Lead")
    number = forge.open_pull()
    hub = forge.hub
    faked = "<!-- reconciler plan acme -->\nnobody planned this"
    hub.add("comments", number=number, user={"id": 99}, body=faked)
    hub.save()
    first = forge.plan(number)
    assert first.succeeded, first.log
    assert [job.name for job in first.jobs] == ["validate", "plan acme", "planned"]
    other, comment = forge.comments(number)
    assert other == faked
    assert "Creates (6)" in comment
    assert "Creates (6)" in first.job("plan acme").summary
    forge.edit("acme/people.yaml", "title: Lead", "title: Chief")
    forge.push(number)
    second = forge.plan(number)
    assert second.succeeded, second.log
    _, updated = forge.comments(number)
    assert "Chief" in updated
    assert "Lead" not in updated
    old, new = forge.hub.state["checks"]
    assert old["head_sha"] != new["head_sha"] == forge.hub.pull(str(number))["head"]["sha"]
    assert {old["conclusion"], new["conclusion"]} == {"success"}
    seals = {re.findall(r"seal: `(sha256:[0-9a-f]{64})`", check["output"]["summary"])[0] for check in (old, new)}
    assert len(seals) == 2
    assert [row["name"] for row in forge.hub.state["artifacts"]] == [old["external_id"], new["external_id"]]
    assert TOKEN not in str(forge.hub.state) + first.log + second.log


def test_only_the_step_that_plans_gets_the_secrets_of_the_tenant(forge: Forge) -> None:
    """INCIDENTS "Plan comments leak personal data and secrets": diggerhq/digger #2677; tfaction #4182.

    P11: installing packages and writing comments go without; nothing is written to the tenant (P1).
    """
    forge.branch("people")
    forge.edit("acme/people.yaml", "title: Coach", "title: Lead")
    run = forge.plan(forge.open_pull())
    given = {where.partition(" ")[2] for where, names in run.job("plan acme").secrets_in.items() if names}
    assert given == {"Plan, with a credential that can only read"}
    assert {entry["method"] for entry in forge.service.log} == {"GET"}


def test_a_pull_request_from_a_fork_gets_no_secret_and_no_plan(forge: Forge) -> None:
    """It is validated; that somebody of the repository has to push it is what the required check says by failing."""
    forge.branch("people")
    forge.edit("acme/people.yaml", "title: Coach", "title: Lead")
    number = forge.open_pull(fork=True)
    run = forge.plan(number)
    assert [(job.name, job.result) for job in run.jobs] == [
        ("validate", "success"),
        ("plan", "skipped"),
        ("planned", "failure"),
    ]
    assert "Lead" in run.job("validate").summary
    assert not any(job.secrets_in[where] for job in run.jobs for where in job.secrets_in)
    assert not forge.comments(number)
    assert not forge.service.log


def test_invalid_desired_state_is_annotated_and_not_planned(forge: Forge) -> None:
    """Every problem stands beside its line in the pull request (SPEC section 3)."""
    forge.branch("typo")
    forge.edit("acme/people.yaml", "title: Coach", "titel: Coach")
    run = forge.plan(forge.open_pull())
    assert "::error file=desired-state/acme/people.yaml,line=6" in run.job("validate").log
    assert [job.result for job in run.jobs] == ["failure", "skipped", "failure"]
    assert not forge.service.log


def test_a_change_of_no_tenant_passes_without_a_plan(forge: Forge) -> None:
    """A matrix with nothing in it would be an error, and a required check that never reports would block for ever."""
    forge.branch("readme")
    (forge.work / "README.md").write_text("hello", encoding="utf-8")
    run = forge.plan(forge.open_pull())
    assert [job.result for job in run.jobs] == ["success", "skipped", "success"]


def test_what_tenants_share_touches_those_that_include_it(forge: Forge) -> None:
    """SPEC section 4: `include` pulls a folder in, so its changes are the tenant's own."""
    forge.another_tenant()
    forge.branch("shared")
    forge.write("_shared/groups.yaml", "kind: Group\ndisplayName: Admins\nexternalId: g-9\n")
    run = forge.plan(forge.open_pull())
    assert run.job("validate").outputs == {"tenants": '["other"]'}


def test_a_plan_that_cannot_be_made_is_told_and_cannot_be_approved(forge: Forge) -> None:
    """The tenant is not reachable: the comment says so, and the check run on the head fails without a seal."""
    forge.another_tenant()
    forge.branch("shared")
    forge.write("_shared/groups.yaml", "kind: Group\ndisplayName: Admins\nexternalId: g-9\n")
    number = forge.open_pull()
    run = forge.plan(number)
    assert [job.result for job in run.jobs] == ["success", "failure", "failure"]
    (comment,) = forge.comments(number)
    assert "There is no plan: the exit code was 1" in comment
    (check,) = forge.hub.state["checks"]
    assert check["conclusion"] == "failure"
    assert "seal" not in check["output"]["summary"]
    assert not forge.hub.state["artifacts"]


def test_a_plan_that_a_guard_refuses_is_shown_in_full_and_fails(forge: Forge) -> None:
    """SPEC section 8: a refused plan is still rendered; branch protection sees a failed check."""
    forge.branch("admins")
    forge.write("acme/admins.yaml", "kind: Group\ndisplayName: Admins\nmembers: [{user: ann@example.com}]\n")
    number = forge.open_pull()
    run = forge.plan(number)
    assert [job.result for job in run.jobs] == ["success", "failure", "failure"]
    (comment,) = forge.comments(number)
    assert "privileged-gain" in comment
    assert "A guard refuses this plan" in comment
    assert forge.hub.state["checks"][0]["conclusion"] == "failure"
    assert forge.hub.comments(str(number))[0]["user"] == BOT


def test_a_pull_request_does_not_take_the_protection_away_that_judges_it(forge: Forge) -> None:
    """Issue 4, judged 4: guards, policies and overrides are those of the target branch, where it is the stricter."""
    forge.branch("admins")
    forge.write("acme/admins.yaml", "kind: Group\ndisplayName: Admins\nmembers: [{user: ann@example.com}]\n")
    forge.edit("acme/tenant.yaml", '"guards": {"protected": ["group:Admins"]}', '"guards": {}')
    number = forge.open_pull()
    assert not forge.plan(number).succeeded
    (comment,) = forge.comments(number)
    assert "privileged-gain" in comment
    assert "`group:Admins` not listed here, but at `origin/main:` protected all the same" in comment


def test_a_pull_request_that_loosens_its_own_guards_is_judged_by_those_of_main(forge: Forge) -> None:
    """SPEC section 8: protected lists are read at the target branch as well, and the stricter wins."""
    forge.branch("admins")
    forge.edit("acme/tenant.yaml", "group:Admins", "group:Nobody")
    forge.write("acme/admins.yaml", "kind: Group\ndisplayName: Admins\nmembers: [{user: ann@example.com}]\n")
    number = forge.open_pull()
    run = forge.plan(number)
    assert not run.succeeded
    assert "privileged-gain" in forge.comments(number)[0]


def test_a_comment_too_long_is_folded_but_never_without_its_deletions(forge: Forge) -> None:
    """INCIDENTS "Comment too long": suzuki-shunsuke/tfaction #2816; tfcmt #227.

    What only adds is counted, and a comment that GitHub takes is posted.
    """
    forge.branch("many")
    rows = "".join(f"  - {{userName: 'person-{number}@example.com', title: '{'T' * 300}'}}\n" for number in range(90))
    forge.write("acme/many.yaml", f"kind: Users\nitems:\n{rows}")
    number = forge.open_pull()
    run = forge.plan(number)
    assert run.succeeded, run.log
    (comment,) = forge.comments(number)
    assert len(comment) < 65_536
    assert "Creates (96)" in comment
