"""What somebody else changes between plan and write, on services of every feature set (SPEC P3, issue 3 number 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.workplace import Ended, Service, Workplace
from tests.contract.targets import COMBINED, LISTED, TARGETS, FeatureSet, running
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen

EVERY = [*(features.on(server) for server in TARGETS for features in LISTED), *COMBINED]
LISTS = ("/Users", "/Groups", "/ServiceProviderConfig", "/ResourceTypes", "/Schemas")
Foreign = Callable[[Service], None]


@dataclass
class Office:
    """Four people and two groups, applied; `last_moment` happens right after a run has read the lists."""

    work: Workplace
    service: Service
    features: FeatureSet
    last_moment: list[Foreign] = field(default_factory=list)

    def hook(self, seen: Seen, pass_on: PassOn) -> Answer:
        """The first request that is not for a list or a discovery document is the last moment."""
        if self.last_moment and not (seen.method == "GET" and seen.path.partition("?")[0].endswith(LISTS)):
            self.last_moment.pop()(self.service)
        return pass_on()

    def edit(self) -> None:
        """Git gives Ann and Dan another title, and has Cyd in place of Bob in Support."""
        for name in ("Lee", "Fox"):
            self.work.edit(
                "acme/people.yaml", f"familyName: {name}}}, title: Agent", f"familyName: {name}}}, title: Lead"
            )
        self.work.edit("acme/groups.yaml", "{user: bob@example.com}]", "{user: cyd@example.com}]")

    def plan(self, *options: str) -> Ended:
        """The plan of now."""
        return self.work.run("plan", *options)

    @property
    def guard(self) -> str:
        """What stands before a write that is not a create."""
        return "compare" if self.features.lacks("etag") else "version"

    def user(self, name: str) -> dict[str, Any]:
        """One user, as the service has it."""
        return self.service.all("Users")[f"{name}@example.com"]


@pytest.fixture(params=EVERY, ids=str)
def office(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """An office before a service of each feature set."""
    features: FeatureSet = request.param
    with ExitStack() as stack:
        service = stack.enter_context(running(features, tmp_path))
        opened = Office(Workplace(tmp_path, monkeypatch), service, features)
        _, origin = stack.enter_context(interposed(service.origin, opened.hook))
        opened.work.organisation(service.base_url.replace(service.origin, origin))
        opened.work.converge()
        opened.edit()
        yield opened


def test_an_edit_between_plan_and_apply_is_a_conflict_and_the_plan_says_what_guards(office: Office) -> None:
    """By version where the service has them; where it has none, the plan says that changes are only compared."""
    saved = office.work.folder / "plan.json"
    ended = office.plan("--out", str(saved), "--format", "json")
    [plan] = ended.lines
    changed = ("User/ann@example.com", "User/dan@example.com", "Group/Support")
    assert {change["key"]: change["precondition"]["kind"] for change in plan["changes"]} == dict.fromkeys(
        changed, office.guard
    )
    text = office.plan().out
    assert ("Compared, not guarded by a version: 3 of 3 changes" in text) is office.features.lacks("etag")
    assert ("NO versions (ETag)" in text) is office.features.lacks("etag")

    office.service.replace("Users", "ann@example.com", "title", "Boss")
    assert office.work.run("apply", "--expect-digest", plan["digest"]).code == 5
    ended = office.work.run("apply", "--plan", saved, "--expect-seal", plan["seal"])
    assert ended.code == 5, ended.out + ended.err
    assert office.work.outcomes() == {**dict.fromkeys(changed, "applied"), "User/ann@example.com": "conflict"}
    assert office.user("ann")["title"] == "Boss"
    assert office.service.member_names("Support") == {"ann@example.com", "cyd@example.com"}


def test_edits_after_the_lists_were_read_are_not_overwritten(office: Office) -> None:
    """412, or seen by the comparison: the same attribute is a conflict, everything else is rebased on (SPEC 7.6).

    A member who joins in the last moment is not lost, whether by PATCH or by PUT (incident fleetdm/fleet#50724); the
    proof tells of her, because git does not list her.
    """
    office.last_moment.append(_meddle)
    ended = office.work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert office.last_moment == []
    assert office.work.outcomes() == {
        "User/ann@example.com": "conflict",
        "User/dan@example.com": "applied",
        "Group/Support": "applied",
    }
    assert office.user("ann")["title"] == "Boss"
    assert (office.user("dan")["title"], office.user("dan")["nickName"]) == ("Lead", "Danny")
    assert office.service.member_names("Support") == {f"{name}@example.com" for name in ("ann", "cyd", "dan")}
    residual = office.work.receipts()[-1]["residual"]
    assert [(item["key"], item["found"]) for item in residual] == [("Group/Support", "dan@example.com")]


def _meddle(service: Service) -> None:
    service.replace("Users", "ann@example.com", "title", "Boss")
    service.replace("Users", "dan@example.com", "nickName", "Danny")
    dan = service.all("Users")["dan@example.com"]["id"]
    members = service.all("Groups")["Support"]["members"]
    service.replace("Groups", "Support", "members", [*members, {"value": dan, "type": "User"}])
