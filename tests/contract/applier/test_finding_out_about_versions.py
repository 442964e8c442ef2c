"""Versions that a service shows and does not heed are found out by the first write, not believed (SPEC P3, Q14)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.quirks import Quirks
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import TOKEN, Workplace, service_of
from tests.contract.quirks.quirky import Quirky
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen

Start = Callable[..., Quirky]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a service with the small organisation in it, of which nobody knows yet whether it heeds versions."""
    with ExitStack() as stack:

        def run(quirks: Quirks | None = None, **settings: Any) -> Quirky:
            config = SandboxConfig(**{"token": TOKEN, "profile": "rfc7644", "quirks": quirks or Quirks(), **settings})
            service = service_of(stack.enter_context(SandboxServer(config)))

            def hook(seen: Seen, pass_on: PassOn) -> Answer:
                return behind.quirk(seen, pass_on)

            hop, origin = stack.enter_context(interposed(service.origin, hook))
            work = Workplace(tmp_path, monkeypatch, knows_versions=False)
            behind = Quirky(work, service, hop, origin)
            work.organisation(f"{origin}/scim/v2")
            work.converge()
            return behind

        yield run


def _promoted(quirky: Quirky) -> Quirky:
    """Git gives three people a new title, and Sales another member."""
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.edit("acme/people.yaml", "familyName: Lee}, title: Agent", "familyName: Lee}, title: Lead")
    quirky.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Lead")
    quirky.work.edit(
        "acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]"
    )
    return quirky


def _remembered(quirky: Quirky) -> dict[str, str]:
    """What is known for the next run, by the way of sending."""
    paths = quirky.work.state.glob("acme/cache/versions.json")
    return {way: found["versions"] for path in paths for way, found in json.loads(path.read_text("utf-8")).items()}


def _notes(quirky: Quirky) -> str:
    return " ".join(quirky.work.receipts()[-1]["notes"])


BULK = pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
VERBS = pytest.mark.parametrize("verb", ["patch", "put"])


@BULK
@VERBS
def test_q14_versions_that_are_heeded_are_tried_once_and_then_believed(start: Start, bulk: bool, verb: str) -> None:
    """One write carries a version that cannot match, and is refused; it is counted, and no later run does it again."""
    quirky = start(supports_bulk=bulk)
    quirky.settings(dialect={"userUpdate": verb, "groupUpdate": verb})
    _promoted(quirky)
    plan = quirky.plan()
    assert {change["precondition"]["kind"] for change in plan["changes"]} == {"version"}
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert _remembered(quirky) == {"bulk" if bulk else "single": "heeded"}
    assert _notes(quirky) == ""
    sent = [write.path for write in quirky.writes]
    assert len(sent) == 5
    assert sent[0] in sent[1:]
    assert len(quirky.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    assert quirky.is_settled()
    quirky.work.edit("acme/people.yaml", "title: Chief", "title: Coach")
    again = quirky.plan()
    assert quirky.apply().code == 0
    assert len(quirky.writes) == 1
    assert len(quirky.hop.seen) == again["inventory"]["requests"] + again["estimate"]["requests"]


@BULK
@VERBS
def test_q14_versions_that_are_ignored_are_found_out_and_everything_is_compared(
    start: Start, bulk: bool, verb: str
) -> None:
    """Q14: apache/directory-scimple#534. The write that tells was compared; so is the rest, and every later run."""
    quirky = start(Quirks(ignores_if_match=True), supports_bulk=bulk)
    quirky.settings(dialect={"userUpdate": verb, "groupUpdate": verb})
    _promoted(quirky)
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert _remembered(quirky) == {"bulk" if bulk else "single": "ignored"}
    assert "does not heed them" in _notes(quirky)
    assert [write.version is not None for write in quirky.writes] == [True, False, False, False]
    for write in quirky.writes:
        assert f"GET /scim/v2{write.path}" in quirky.hop.lines
    assert quirky.is_settled()
    quirky.work.edit("acme/people.yaml", "title: Chief", "title: Coach")
    plan = quirky.plan()
    assert {change["precondition"]["kind"] for change in plan["changes"]} == {"compare"}
    assert any("does not heed" in note for note in plan["capabilities"]["notes"])
    assert quirky.apply().code == 0
    assert [write.version for write in quirky.writes] == [None]
    assert len(quirky.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]


@BULK
def test_a_foreign_edit_is_not_overwritten_by_the_write_that_finds_out(start: Start, bulk: bool) -> None:
    """INCIDENTS, P3: somebody else writes after the plan was made; the service would let any version overwrite it."""
    quirky = _promoted(start(Quirks(ignores_if_match=True), supports_bulk=bulk))
    edited: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if "/Groups" in seen.path and not edited:  # everything was read but the groups
            edited.append(seen.path)
            for name in ("ann@example.com", "cyd@example.com"):
                quirky.service.replace("Users", name, "title", "Director")
        return pass_on()

    quirky.quirk = quirk
    ended = quirky.apply()
    assert ended.code == 5, ended.out + ended.err
    titles = {name: row["title"] for name, row in quirky.service.all("Users").items()}
    assert (titles["ann@example.com"], titles["cyd@example.com"]) == ("Director", "Director")
    assert titles["dan@example.com"] == "Lead"
    outcomes = quirky.work.outcomes()
    assert (outcomes["User/ann@example.com"], outcomes["User/cyd@example.com"]) == ("conflict", "conflict")


def test_a_service_that_refuses_the_form_of_the_tag_is_compared_and_nothing_fails(start: Start) -> None:
    """What a 400 means nobody knows: the change is sent again without a version, right after a comparison."""
    quirky = _promoted(start(supports_bulk=False))
    quirky.quirk = lambda seen, pass_on: Answer(400) if "if-match" in seen.headers else pass_on()
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert _remembered(quirky) == {}
    assert "could not be found out" in _notes(quirky)
    assert [write.version is not None for write in quirky.writes] == [True, False, False, False, False]
    assert quirky.is_settled()


def test_an_answer_that_gets_lost_is_looked_up_and_the_rest_is_compared(start: Start) -> None:
    """P5: the write that finds out is resolved by reading like any other, and nothing is taken for granted."""
    quirky = _promoted(start(supports_bulk=False))
    lost: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if "if-match" in seen.headers and not lost:
            lost.append(seen.path)
            return Answer(502)
        return pass_on()

    quirky.quirk = quirk
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert _remembered(quirky) == {}
    assert "could not be found out" in _notes(quirky)
    assert quirky.is_settled()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"single": 1}', '{"single": {"versions": "certainly"}}', "old"])
def test_what_is_remembered_is_read_with_suspicion(start: Start, damage: str) -> None:
    """A file that is damaged, of another service, or older than thirty days means: try again."""
    quirky = _promoted(start(supports_bulk=False))
    assert quirky.apply().code == 0
    [path] = quirky.work.state.glob("acme/cache/*")
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    assert set(found) == {"single"}
    old = text.replace(found["single"]["found"], "2001-01-01T00:00:00Z")
    path.write_text(old if damage == "old" else damage, encoding="utf-8")
    quirky.work.edit("acme/people.yaml", "title: Chief", "title: Coach")
    assert quirky.apply().code == 0
    assert json.loads(path.read_text(encoding="utf-8"))["single"]["versions"] == "heeded"


def test_a_service_without_versions_is_not_tried(start: Start) -> None:
    """Nothing to find out: the plan says that each change is compared."""
    quirky = _promoted(start(supports_etag=False))
    assert quirky.apply().code == 0
    assert _remembered(quirky) == {}
    assert {write.version for write in quirky.writes} == {None}
