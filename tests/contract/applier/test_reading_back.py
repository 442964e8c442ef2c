"""What is read to prove a write, where a service does not show, count or find everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.workplace import PEOPLE, Service, Workplace
from tests.contract.targets import TARGETS, FeatureSet, running
from tests.fakes.interposed import Hook, PassOn, interposed
from tests.fakes.scripted_service import DROP, Answer, ScriptedService, Seen

FULL = FeatureSet(name="by-index")
NO_BULK = FeatureSet(name="no-bulk", off=("bulk",))
SEARCHLESS = FeatureSet(name="no-bulk-filter", off=("bulk", "filter"))


@dataclass(frozen=True)
class Office:
    """A desk before an empty service, which a hook may change on the way."""

    work: Workplace
    service: Service
    hop: ScriptedService

    def apply_as_estimated(self) -> None:
        """Plan and apply: exactly what was estimated is sent, and nothing is left."""
        [plan] = self.work.run("plan", "--format", "json").lines
        self.hop.seen.clear()
        ended = self.work.run("apply", "--yes")
        assert ended.code == 0, ended.out + ended.err
        assert len(self.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
        assert self.work.run("plan", "--detailed-exitcode").code == 0


Open = Callable[..., Office]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens an office before a service with these features."""
    with ExitStack() as stack:

        def run(features: FeatureSet, hook: Hook | None = None) -> Office:
            service = stack.enter_context(running(features, tmp_path))
            hop, origin = stack.enter_context(interposed(service.origin, hook))
            work = Workplace(tmp_path, monkeypatch)
            work.organisation(service.base_url.replace(service.origin, origin))
            return Office(work, service, hop)

        yield run


@pytest.mark.parametrize("server", TARGETS)
def test_groups_without_any_member_are_proven_by_their_list(office: Open, server: str) -> None:
    """No group shows members, and none should: the list is believed, and costs what was estimated."""
    at = office(FULL.on(server))
    groups = "\n".join(f"  - {{displayName: group-{number}, externalId: g-{number}}}" for number in range(30))
    at.work.write("acme/groups.yaml", f"kind: Groups\nitems:\n{groups}\n")
    at.apply_as_estimated()
    at.work.edit("acme/groups.yaml", "externalId: g-7}", "externalId: g-7b}")
    at.apply_as_estimated()


@pytest.mark.parametrize("server", TARGETS)
def test_members_that_a_list_hides_are_looked_for_group_by_group(office: Open, server: str) -> None:
    """The list of the proof shows nobody, although somebody was added: each group is read by itself (P8)."""

    def silent(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or not seen.path.partition("?")[0].endswith("/Groups"):
            return answer
        body = json.loads(answer.body if isinstance(answer.body, bytes) else b"{}")
        for row in body.get("Resources", []):
            row.pop("members", None)
        return Answer(answer.status, body, answer.headers)

    at = office(FULL.on(server), silent)
    ended = at.work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert at.work.run("plan", "--detailed-exitcode").code == 0
    assert at.service.member_names("Support") == {"ann@example.com", "bob@example.com"}


@pytest.mark.parametrize("server", TARGETS)
def test_a_tenant_that_never_counts_can_be_filled(office: Open, server: str) -> None:
    """Without `totalResults`: nobody is there twice over and behind the end, so that everybody may be created (P4)."""
    uncounted: list[str] = []

    def silent(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or not seen.path.partition("?")[0].endswith(("/Users", "/Groups")):
            return answer
        uncounted.append(seen.path)
        body = json.loads(answer.body if isinstance(answer.body, bytes) else b"{}")
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "x-total-results"}
        return Answer(answer.status, {key: body[key] for key in body if key != "totalResults"}, headers)

    at = office(FULL.on(server), silent)
    at.apply_as_estimated()
    assert uncounted
    at.work.edit("acme/people.yaml", "familyName: Lee}, title: Agent", "familyName: Lee}, title: Lead")
    ended = at.work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert len(at.service.all("Users")) == 4


@pytest.mark.parametrize("server", TARGETS)
@pytest.mark.parametrize("before", [True, False], ids=["lost-request", "lost-answer"])
@pytest.mark.parametrize("features", [NO_BULK, SEARCHLESS], ids=lambda features: features.name)
def test_p5_a_lost_create_is_found_also_where_nothing_can_be_looked_up(
    office: Open, server: str, features: FeatureSet, before: bool
) -> None:
    """By its externalId or name, else in the list; each is there once."""
    lost: list[Seen] = []

    def lose(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "POST" or lost:
            return pass_on()
        lost.append(seen)
        if not before:
            pass_on()
        return DROP

    at = office(features.on(server), lose)
    ended = at.work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert lost
    assert set(at.work.outcomes().values()) == {"applied"}
    assert len(at.service.all("Users")) == PEOPLE.count("userName")
    assert at.work.run("plan", "--detailed-exitcode").code == 0
