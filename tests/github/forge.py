"""A repository on GitHub with a tenant behind it: what people do there, and the workflows that answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.cli.workplace import GROUPS, PEOPLE, TOKEN, Service
from tests.github.fake_gh import REPOSITORY, Hub
from tests.github.runner import Machine, Run

AUTHOR, REVIEWER = 7, 8


class Forge:
    """One repository: `work` is the clone of its author, `machine` runs its workflows."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.service = service
        self.work = folder / "work"
        remote = folder / "remote.git"
        _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
        _git(remote, "config", "uploadpack.allowAnySHA1InWant", "true")
        _git(folder, "clone", "--quiet", str(remote), str(self.work))
        self.git("checkout", "--quiet", "-B", "main")
        secrets = {"SCIM_TOKEN": TOKEN}
        self.machine = Machine(folder, remote, {f"acme-{what}": dict(secrets) for what in ("plan", "apply")})
        self.machine.variables["RECONCILER_OPTIONS"] = "--first-run"
        self.organisation()
        self.commit("the organisation")
        self.git("push", "--quiet", "origin", "main")

    @property
    def hub(self) -> Hub:
        """What GitHub keeps, as of now."""
        return Hub(self.machine.hub_file)

    def organisation(self) -> None:
        """The small organisation of four people and two groups."""
        tenant = {
            "kind": "Tenant",
            "name": "acme",
            "profile": "rfc7644",
            "scim": {"baseUrl": self.service.base_url},
            "auth": {"type": "bearer", "token": "${env:SCIM_TOKEN}"},
            "limits": {"requestsPerMinute": 60000},
            "guards": {"protected": ["group:Admins"]},
        }
        self.write("acme/tenant.yaml", json.dumps(tenant))
        self.write("acme/people.yaml", PEOPLE)
        self.write("acme/groups.yaml", GROUPS)

    def another_tenant(self) -> None:
        """A second tenant on main, which includes a shared folder and cannot be reached."""
        text = (self.work / "desired-state" / "acme" / "tenant.yaml").read_text(encoding="utf-8")
        own = {"name": "other", "scim": {"baseUrl": "https://scim.example"}, "include": ["../_shared"]}
        self.write("other/tenant.yaml", json.dumps({**json.loads(text), **own}))
        self.write("_shared/groups.yaml", "kind: Group\ndisplayName: Admins\n")
        self.commit("another tenant")
        self.git("push", "--quiet", "origin", "main")

    def write(self, name: str, text: str) -> None:
        """Write a file of the desired state."""
        path = self.work / "desired-state" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that is in a file once."""
        text = (self.work / "desired-state" / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.write(name, text.replace(old, new))

    def git(self, *arguments: str) -> str:
        """Run git in the author's clone."""
        return _git(self.work, *arguments)

    def commit(self, message: str) -> str:
        """Commit everything; the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str) -> None:
        """Begin a change, on what main is by now."""
        self.git("checkout", "--quiet", "-B", name, "main")

    def open_pull(self, *, fork: bool = False) -> int:
        """Commit, push and open a pull request for the branch that is checked out; its number."""
        hub = self.hub
        number = 1 + len(hub.state["pulls"])
        repository = "somebody/identity" if fork else REPOSITORY
        hub.state["pulls"][str(number)] = {
            "number": number,
            "user": {"id": AUTHOR},
            "merged_at": None,
            "merge_commit_sha": None,
            "head": {"ref": self.git("branch", "--show-current"), "repo": {"full_name": repository}},
            "base": {"ref": "main"},
            "commits": [],
        }
        hub.save()
        self.push(number)
        return number

    def push(self, number: int, message: str = "a change") -> str:
        """Commit, push to the branch of a pull request, and let GitHub try the merge; the new head."""
        hub = self.hub
        pull = hub.state["pulls"][str(number)]
        head = self.commit(message)
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{pull['head']['ref']}")
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "-m", f"try #{number}", head)
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{number}/merge")
        pull["try"] = self.git("rev-parse", "HEAD")
        pull["base"]["sha"] = self.git("rev-parse", "main")
        pull["head"]["sha"] = head
        self.git("checkout", "--quiet", pull["head"]["ref"])
        hub.save()
        return head

    def plan(self, number: int) -> Run:
        """What plan.yml does for the newest push of a pull request."""
        pull = self.hub.state["pulls"][str(number)]
        fork = pull["head"]["repo"]["full_name"] != REPOSITORY
        return self.machine.start("plan.yml", "pull_request", pull["try"], {"pull_request": pull}, fork=fork)

    def review(self, number: int, state: str = "APPROVED", user: int = REVIEWER, role: str = "MEMBER") -> None:
        """Review the head of a pull request."""
        hub = self.hub
        head = hub.state["pulls"][str(number)]["head"]["sha"]
        at = hub.tick()
        who = {"id": user}
        hub.add(
            "reviews", number=number, user=who, state=state, commit_id=head, author_association=role, submitted_at=at
        )
        hub.save()

    def merge(self, number: int, how: str = "squash") -> str:
        """Merge a pull request into main; the commit."""
        hub = self.hub
        pull = hub.state["pulls"][str(number)]
        self.git("checkout", "--quiet", "main")
        if how == "squash":
            self.git("merge", "--quiet", "--squash", pull["head"]["sha"])
            self.git("commit", "--quiet", "--allow-empty", "-m", f"change (#{number})")
        else:
            self.git("merge", "--quiet", "--no-ff", "-m", f"Merge #{number}", pull["head"]["sha"])
        self.git("push", "--quiet", "origin", "main")
        merged = self.git("rev-parse", "main")
        assert not self.git("status", "--porcelain")
        pull |= {"merged_at": hub.tick(), "merge_commit_sha": merged, "commits": [merged]}
        hub.save()
        return merged

    def apply(self, branch: str = "main", **inputs: str) -> Run:
        """What apply.yml does for the tip of main; with inputs somebody starts it by hand, on some branch."""
        event = "workflow_dispatch" if inputs else "push"
        payload: dict[str, Any] = {"inputs": inputs, "ref_name": branch}
        return self.machine.start("apply.yml", event, self.git("rev-parse", "main"), payload)

    def approved(self, number: int, how: str = "squash") -> Run:
        """Plan, approve and merge a pull request, and apply."""
        planned = self.plan(number)
        assert planned.succeeded, planned.log
        self.review(number)
        self.merge(number, how)
        return self.apply()

    def begin(self) -> None:
        """The first run: what git declares so far is applied, by a person."""
        number = self.change("acme/people.yaml", "title: Coach", "title: Trainer")
        run = self.approved(number)
        assert run.succeeded, run.log
        self.machine.variables.clear()

    def change(self, name: str, old: str, new: str, branch: str = "change") -> int:
        """A pull request that replaces text in one file; its number."""
        self.branch(branch)
        self.edit(name, old, new)
        return self.open_pull()

    def title(self, name: str) -> str:
        """The title that a person has in the tenant."""
        return str(self.service.all("Users")[f"{name}@example.com"].get("title", ""))

    def drift(self) -> Run:
        """What drift.yml does on its schedule."""
        return self.machine.start("drift.yml", "schedule", self.git("rev-parse", "main"), {})

    def comments(self, number: int) -> list[str]:
        """The comments on a pull request."""
        return [row["body"] for row in self.hub.comments(str(number))]


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"git {arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()
