"""A change is judged by the stricter of two sides, so that it cannot loosen what judges it (issue 4, judged 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cli.versioned import Versioned, git, under_version_control
from tests.cli.workplace import Ended, Service, Workplace

MAIN = ("--policy-from", "origin/main")
POLICY = "kind: Policy\nexclusive: [{name: four-eyes, groups: [Support, Sales]}]\n"
LEAVING = ("ann@example.com", "bob@example.com", "cyd@example.com")


@dataclass(frozen=True)
class PullRequest:
    """A checkout of a branch that somebody wants merged into main, which was applied."""

    versioned: Versioned
    settings: dict[str, Any]

    @property
    def work(self) -> Workplace:
        """The desk."""
        return self.versioned.work

    def set(self, **settings: Any) -> None:
        """Write tenant.yaml with other settings."""
        self.work.write("acme/tenant.yaml", json.dumps({**self.settings, **settings}))

    def suspend(self, *names: str) -> None:
        """Make people inactive in git."""
        for name in names:
            self.work.edit("acme/people.yaml", f"{{userName: {name},", f"{{active: false, userName: {name},")

    def plan(self, *options: str) -> dict[str, Any]:
        """The plan of what is committed, as an object."""
        self.versioned.commit("a pull request")
        ended = self.work.run("plan", "--format", "json", *options)
        assert ended.code in {0, 4}, ended.err
        [plan] = ended.lines
        return dict(plan)

    def override(self, guard: str, digests: list[str], **more: Any) -> None:
        """Write an Override document."""
        document = {"kind": "Override", "guard": guard, "changes": digests, "max": 3, "expires": "2999-12-31", **more}
        self.work.write("acme/overrides.yaml", json.dumps({"reason": "the site closes", **document}))


def refused(plan: dict[str, Any]) -> set[str]:
    """The guards that refuse."""
    return {guard["id"] for guard in plan["guards"] if guard["verdict"] == "refuse"}


def told(plan: dict[str, Any], code: str) -> list[str]:
    """What the findings of one code say."""
    return [finding["message"] for finding in plan["findings"] if finding["code"] == code]


@pytest.fixture
def pull(work: Workplace, sandbox: Service) -> PullRequest:
    """The small organisation with a Policy, applied from main; a branch of it is checked out."""
    work.organisation(sandbox.base_url, guards={"protected": ["dan@example.com"], "membership-share": {"percent": 40}})
    settings = json.loads(work.root.joinpath("acme/tenant.yaml").read_text(encoding="utf-8"))
    work.write("acme/policy.yaml", POLICY)
    versioned = under_version_control(work)
    versioned.apply("--first-run")
    git(work.folder, "checkout", "-q", "-b", "change")
    return PullRequest(versioned, settings)


def test_a_pull_request_that_loosens_guards_is_judged_by_the_limits_of_the_target_branch(pull: PullRequest) -> None:
    """Attack 1: a higher limit and an empty `protected`, in the change that needs them."""
    pull.suspend(*LEAVING, "dan@example.com")
    loose = {"percent": 100, "max": 1000}
    pull.set(guards={"removal-share": loose, "access-loss": loose, "membership-share": {"percent": 100}})
    plan = pull.plan(*MAIN)
    assert {"removal-share", "protected"} <= refused(plan)
    assert told(plan, "overruled") == [
        "guards.removal-share.percent: 100 here, 10 at origin/main: 10 counts",
        "guards.removal-share.max: 1000 here, 25 at origin/main: 25 counts",
        "guards.access-loss.percent: 100 here, 10 at origin/main: 10 counts",
        "guards.access-loss.max: 1000 here, 100 at origin/main: 100 counts",
        "guards.membership-share.percent: 100 here, 40 at origin/main: 40 counts",
        "guards.protected: dan@example.com not listed here, but at origin/main: protected all the same",
    ]


def test_a_pull_request_that_edits_a_policy_is_judged_by_the_policy_of_the_target_branch(pull: PullRequest) -> None:
    """Attack 2: the rule goes, and somebody gets what it excludes. Without the change of the rule it is the same."""
    pull.work.edit("acme/groups.yaml", "{user: cyd@example.com}", "{user: cyd@example.com}, {user: ann@example.com}")
    pull.work.root.joinpath("acme/policy.yaml").unlink()
    plan = pull.plan(*MAIN)
    assert "exclusive" in refused(plan)
    assert told(plan, "overruled") == ["policy four-eyes: not here, but at origin/main: it counts as it is there, too"]
    pull.work.write("acme/policy.yaml", POLICY.replace("Sales", "Agents"))
    plan = pull.plan(*MAIN)
    assert "exclusive" in refused(plan)
    assert told(plan, "overruled") == [
        "policy four-eyes: another rule here than at origin/main: it counts as it is there, too"
    ]


def test_an_override_counts_once_it_is_on_the_target_branch(pull: PullRequest, sandbox: Service) -> None:
    """Attack 3: the Override comes along with what it is to admit. Merged by itself, it does what it is for."""
    pull.suspend(*LEAVING)
    plan = pull.plan(*MAIN)
    trips = refused(plan)
    assert "removal-share" in trips
    pull.override("removal-share", [change["digest"] for change in plan["changes"]])
    plan = pull.plan(*MAIN)
    assert refused(plan) == trips
    [waiting] = told(plan, "override-waits")
    assert "acme/overrides.yaml:1 is not at origin/main" in waiting
    git(pull.work.folder, "checkout", "-q", "main")
    git(pull.work.folder, "checkout", "-q", "change", "--", "desired-state/acme/overrides.yaml")
    pull.versioned.commit("the Override by itself")
    git(pull.work.folder, "checkout", "-q", "change")
    git(pull.work.folder, "merge", "-q", "-m", "on top of main", "main")
    plan = pull.plan(*MAIN)
    assert refused(plan) == trips - {"removal-share"}
    assert told(plan, "override-waits") == []
    git(pull.work.folder, "push", "-q", "origin", "HEAD:main")
    allows = [word for guard in sorted(trips - {"removal-share"}) for word in ("--allow", guard)]
    pull.versioned.apply(*allows)
    people = sandbox.all("Users")
    assert [people[name]["active"] for name in LEAVING] == [False] * 3


def test_a_pull_request_cannot_call_itself_unmanaged(pull: PullRequest, sandbox: Service) -> None:
    """Attack 4: who was put into a group by hand stays in it only if the target branch says so, too."""
    eve = sandbox.create("Users", userName="eve@example.com", emails=[{"value": "eve@example.com"}])
    sandbox.patch("Groups", "Support", {"op": "add", "path": "members", "value": [{"value": eve["id"]}]})
    pull.set(ownership={"unmanaged": ["eve@*"]})
    plan = pull.plan(*MAIN)
    [change] = plan["changes"]
    assert [item["removed"] for item in change["attributes"] if item["path"] == "members"] == [["eve@example.com"]]
    assert told(plan, "overruled") == [
        "ownership.unmanaged: eve@* not listed at origin/main: only what is unmanaged there, too, counts"
    ]
    git(pull.work.folder, "push", "-q", "origin", "HEAD:main")
    assert pull.plan(*MAIN)["changes"] == []


def test_previously_does_not_hand_the_account_of_somebody_else_over(pull: PullRequest, sandbox: Service) -> None:
    """Attack 5: `previously` names somebody whom git never declared, or whom the target branch protects."""
    sandbox.create("Users", userName="boss@example.com", emails=[{"value": "boss@example.com"}])
    mallory = "  - {userName: mallory@example.com, previously: boss@example.com, name: {givenName: M, familyName: M}}\n"
    before = pull.work.root.joinpath("acme/people.yaml").read_text(encoding="utf-8")
    pull.work.write("acme/people.yaml", before + mallory)
    plan = pull.plan(*MAIN)
    assert "identity-reuse" in refused(plan)
    own = before.replace(
        "userName: dan@example.com, externalId: p-4", "userName: mallory@example.com, previously: dan@example.com"
    )
    pull.work.write("acme/people.yaml", own)
    pull.set(guards={})
    plan = pull.plan(*MAIN)
    assert [(change["key"], change["action"]) for change in plan["changes"]] == [("User/mallory@example.com", "update")]
    assert "protected" in refused(plan)


def test_an_apply_is_judged_by_the_last_complete_run_as_well(pull: PullRequest, sandbox: Service) -> None:
    """SPEC section 8: on the branch itself the other side is what the last receipt was made under."""
    pull.suspend(*LEAVING)
    loose = {"percent": 100, "max": 1000}
    pull.set(guards={**pull.settings["guards"], "removal-share": loose, "access-loss": loose})
    pull.versioned.commit()
    ended = pull.work.run("apply", "--yes")
    assert ended.code == 4
    assert "removal-share" in ended.err
    assert "guards.removal-share.max: 1000 here, 25 at the last complete run: 25 counts" in ended.out
    assert all(person["active"] for person in sandbox.all("Users").values())


def test_a_tenant_that_is_not_on_the_target_branch_is_judged_by_itself(pull: PullRequest) -> None:
    """A new tenant has nothing stricter beside it, and the plan says so; none of its overrides count."""
    git(pull.work.folder, "checkout", "-q", "--orphan", "empty")
    git(pull.work.folder, "commit", "-q", "--allow-empty", "-m", "before everything")
    git(pull.work.folder, "rm", "-rq", "--cached", "desired-state")
    git(pull.work.folder, "commit", "-q", "-m", "nothing here")
    git(pull.work.folder, "checkout", "-q", "-f", "change")
    pull.override("removal-share", ["sha256:" + "0" * 64])
    plan = pull.plan("--policy-from", "empty")
    [alone] = told(plan, "judged-alone")
    assert "not at empty" in alone
    assert len(told(plan, "override-waits")) == 1


def test_a_renamed_tenant_is_judged_by_what_it_was(pull: PullRequest) -> None:
    """Who moves the folder does not leave the guards behind: the tenant is found by its base URL."""
    git(pull.work.folder, "mv", "desired-state/acme", "desired-state/zenith")
    pull.work.write("zenith/tenant.yaml", json.dumps({**pull.settings, "name": "zenith", "guards": {}}))
    pull.versioned.commit("rename")
    ended = pull.work.run("plan", "zenith", "--format", "json", *MAIN)
    [plan] = ended.lines
    assert told(plan, "judged-alone") == []
    assert any("dan@example.com" in line for line in told(plan, "overruled"))


def _plan(pull: PullRequest, *options: str) -> Ended:
    return pull.work.run("plan", *options)


def test_what_cannot_judge_is_refused_in_plain_words(pull: PullRequest) -> None:
    """An unknown revision, one that looks like an option, a broken tenant.yaml there: nothing is planned without it."""
    for revision in ("origin/nowhere", "--upload-pack=x"):
        ended = _plan(pull, f"--policy-from={revision}")
        assert ended.code == 64
        assert "there is no such commit here" in ended.err
    git(pull.work.folder, "checkout", "-q", "-b", "broken")
    pull.work.write("acme/policy.yaml", "kind: Policy\nexclusive: [")
    pull.versioned.commit("broken")
    git(pull.work.folder, "checkout", "-q", "change")
    ended = _plan(pull, "--policy-from", "broken")
    assert ended.code == 1
    assert "acme/policy.yaml:" in ended.err
    assert "Traceback" not in ended.err


def test_a_plan_that_takes_too_long_is_refused(pull: PullRequest) -> None:
    """Guard `time-budget`: at one request a minute even a small change takes more than a minute."""
    pull.set(limits={"requestsPerMinute": 1})
    pull.suspend("ann@example.com")
    pull.versioned.commit()
    plan = pull.work.run("plan", "--format", "json", "--max-minutes", "1").lines[0]
    [guard] = [guard for guard in plan["guards"] if guard["id"] == "time-budget"]
    assert guard["verdict"] == "refuse"
    enough = pull.work.run("plan", "--format", "json", "--max-minutes", str(guard["count"])).lines[0]
    assert "time-budget" not in refused(enough)
