"""Access over people whom somebody else creates, on services of every feature set (SPEC 1, 3, 4: people external)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.organisations import COMMUNITY, SMALL, Json, write
from tests.cli.workplace import Ended, Service, Workplace
from tests.contract.targets import LISTED, OF_THE_SANDBOX, TARGETS, FeatureSet, running

EVERY = [features.on(server) for server in TARGETS for features in LISTED] + [*OF_THE_SANDBOX]
BOTH = [LISTED[0].on(server) for server in TARGETS]

Revision = tuple[list[Json], list[Json]]


@dataclass(frozen=True)
class Story:
    """HR's people and git's groups meet in one tenant."""

    work: Workplace
    service: Service

    def hires(self, users: Sequence[Json]) -> None:
        """HR puts people into the tenant, by ways of its own."""
        root = self._root("people", users, (), "managed")
        self.work.converge("--root", str(root))

    def overlay(self, users: Sequence[Json], groups: Sequence[Json]) -> Path:
        """What git declares: groups, and maybe the access of some people."""
        return self._root("overlay", users, groups, "external")

    def applies(self, root: Path) -> Json:
        """Apply, guards let through by name, and plan again: the plan that says 0 changes."""
        [plan] = self.work.run("plan", "--root", root, "--format", "json").lines
        assert {change["action"] for change in plan["changes"] if change["key"].startswith("User/")} <= {"update"}
        allow = [f"--allow={guard['id']}" for guard in plan["guards"] if guard["verdict"] == "refuse"]
        self._ends_well(self.work.run("apply", "--root", root, "--yes", *allow))
        ended = self.work.run("plan", "--root", root, "--format", "json", "--detailed-exitcode")
        self._ends_well(ended)
        [again] = ended.lines
        assert again["changes"] == []
        left: Json = again
        return left

    def people(self) -> dict[str, Any]:
        """What git must not touch: everything of everybody but access, and what the service says about them."""
        return {
            name: {key: value for key, value in row.items() if key not in {"roles", "groups", "meta"}}
            for name, row in self.service.all("Users").items()
        }

    def memberships(self) -> dict[str, set[str]]:
        """Who is in each group."""
        users, groups = self.service.all("Users"), self.service.all("Groups")
        names = {row["id"]: name for rows in (users, groups) for name, row in rows.items()}
        return {group: {names[member["value"]] for member in row.get("members") or ()} for group, row in groups.items()}

    def _root(self, name: str, users: Sequence[Json], groups: Sequence[Json], people: str) -> Path:
        number = sum(1 for _ in self.work.folder.glob("revision-*"))
        root = self.work.folder / f"revision-{number}-{name}"
        write(root / "acme", self.work.tenant(self.service.base_url, people=people), users, groups)
        return root

    @staticmethod
    def _ends_well(ended: Ended) -> None:
        assert ended.code == 0, ended.out + ended.err


def _wanted(groups: Sequence[Json]) -> dict[str, set[str]]:
    return {
        group["displayName"]: {member.get("user") or member["group"] for member in group["members"]} for group in groups
    }


def _pending(plan: Json) -> set[str]:
    keys = (finding["key"] for finding in plan["findings"] if finding["code"] == "pending")
    return {key.removeprefix("User/") for key in keys if key.startswith("User/")}


def _two_revisions(story: Story, before: Revision, after: Revision) -> None:
    """Groups of two revisions over people who come later than git names them."""
    users, groups = before
    named = {member["user"] for group in groups for member in group["members"] if "user" in member}
    there, late = [u for n, u in enumerate(users) if n % 7], [u for n, u in enumerate(users) if n % 7 == 0]
    late_names = {user["userName"] for user in late} & named
    assert late_names

    story.hires(there)
    people = story.people()
    plan = story.applies(story.overlay([], groups))
    assert _pending(plan) == late_names
    assert story.people() == people
    present = {user["userName"] for user in there} | set(_wanted(groups))
    assert story.memberships() == {name: members & present for name, members in _wanted(groups).items()}

    story.hires(late)
    people = story.people()
    assert _pending(story.applies(story.overlay([], groups))) == set()
    assert story.memberships() == _wanted(groups)

    before_that = story.memberships()
    users, groups = after
    arriving = [user for user in users if user["userName"] not in people]
    root = story.overlay([], groups)
    plan = story.applies(root)
    waiting = {user["userName"] for user in arriving}
    assert _pending(plan) == {name for members in _wanted(groups).values() for name in members} & waiting
    now = story.memberships()
    for name, members in _wanted(groups).items():
        surplus = before_that.get(name, set()) - members if members & waiting else set()
        assert now[name] == (members - waiting) | surplus, name
    assert story.people() == people

    story.hires(arriving)
    plan = story.applies(root)
    assert _pending(plan) == set()
    now = story.memberships()
    assert {name: now[name] for name in _wanted(groups)} == _wanted(groups)
    assert people.items() <= story.people().items()


@pytest.mark.parametrize("features", EVERY, ids=str)
def test_groups_over_people_of_others_converge_and_wait_for_who_is_to_come(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC 3 and 4: 0 changes after each apply, pending names told, surplus members kept meanwhile, nobody touched."""
    with running(features, tmp_path) as service:
        _two_revisions(Story(Workplace(tmp_path, monkeypatch), service), SMALL.before(), SMALL.after())


@pytest.mark.parametrize("features", BOTH, ids=str)
def test_the_groups_of_a_real_organisation_converge_over_people_of_others(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both revisions of the community, the groups only, over 1,090 people of whom one in seven comes late."""
    if not COMMUNITY.is_dir():
        pytest.skip("the community data is not beside this checkout; the made-up organisation stands in for it")
    with running(features, tmp_path) as service:
        story = Story(Workplace(tmp_path, monkeypatch), service)
        _two_revisions(story, _community("before"), _community("after"))


def _community(revision: str) -> Revision:
    folder = COMMUNITY / revision / "kubernetes-sigs"
    users, groups = (
        [item for file in sorted((folder / kind).glob("*.yaml")) for item in yaml.safe_load(file.read_text())["items"]]
        for kind in ("users", "groups")
    )
    return users, groups


@pytest.mark.parametrize("features", BOTH, ids=str)
def test_access_is_given_over_whatever_else_a_person_has(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC P9: full user documents over people of others write roles and nothing else, and say that they do."""
    users, _ = SMALL.before()
    with running(features, tmp_path) as service:
        story = Story(Workplace(tmp_path, monkeypatch), service)
        story.hires(users[:20])
        people = story.people()
        declared = [{**user, "title": "as git says", "roles": [{"value": "Agent"}]} for user in users[:21]]
        root = story.overlay(declared, ())
        valid = story.work.run("validate", "--root", root)
        assert valid.code == 0
        assert "warning[V310]" in valid.out + valid.err
        plan = story.applies(root)
        assert _pending(plan) == {users[20]["userName"]}
        assert story.people() == people
        held = {name: row.get("roles") or () for name, row in service.all("Users").items()}
        assert {name: [role["value"] for role in roles] for name, roles in held.items()} == {
            name: ["Agent"] for name in people
        }
        declared[0]["active"] = False
        refused = story.work.run("plan", "--root", story.overlay(declared, ()))
        assert refused.code == 3
        assert "nobody is deactivated from here" in refused.err
