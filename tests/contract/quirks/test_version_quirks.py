"""Q14 of scim-rfc.md section 12: versions that are told and not meant (RFC 7644 section 3.14), over whole runs."""

from __future__ import annotations

import re

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.scripted_service import Answer, Seen


def _promoted(quirky: Quirky) -> Quirky:
    """Git gives Cyd and Dan a new title, and Sales another member."""
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Lead")
    quirky.work.edit(
        "acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]"
    )
    return quirky


@pytest.mark.parametrize("verb", ["patch", "put"])
def test_q14_tags_that_never_match_are_found_out_and_compared_instead(quirky: Quirky, verb: str) -> None:
    """Q14: apache/directory-scimple#541: weak tags never match. 412 for the tag that a fresh GET shows again."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return Answer(412) if "if-match" in seen.headers else pass_on()

    quirky.quirk = quirk
    quirky.settings(dialect={"userUpdate": verb, "groupUpdate": verb})
    ended = _promoted(quirky).apply()
    assert ended.code == 0, ended.out + ended.err
    for path in {write.path for write in quirky.writes}:
        assert [write.version is None for write in quirky.writes if write.path == path] == [False, True]
        lines = [line.removeprefix("GET /scim/v2") for line in quirky.hop.lines]
        assert path in lines, "compared before the write without a tag"
    assert quirky.is_settled()


def test_q14_a_foreign_write_is_noticed_where_tags_never_match(quirky: Quirky) -> None:
    """Q14: the comparison that stands in for the tag finds what somebody else changed, and it is kept."""
    edited: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if "if-match" not in seen.headers:
            return pass_on()
        if not edited:
            edited.append(seen.path)
            quirky.service.replace("Users", "cyd@example.com", "title", "Director")
        return Answer(412)

    quirky.quirk = quirk
    ended = _promoted(quirky).apply()
    assert ended.code == 5, ended.out + ended.err
    assert quirky.service.all("Users")["cyd@example.com"]["title"] == "Director"
    assert quirky.service.all("Users")["dan@example.com"]["title"] == "Lead"


@pytest.mark.parametrize("where", ["header", "meta"])
def test_q14_a_version_is_used_wherever_it_is_told(quirky: Quirky, where: str) -> None:
    """Q14: the tag is in the header, in `meta.version`, or in one of both only; it is sent back byte for byte."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or answer.status != 200:
            return answer
        body = document(answer)
        if where == "header":
            for row in body.get("Resources", [body]):
                row.get("meta", {}).pop("version", None)
            return Answer(200, body, answer.headers)
        return Answer(200, body, {name: value for name, value in answer.headers.items() if name.lower() != "etag"})

    quirky.quirk = quirk
    ended = _promoted(quirky).apply()
    assert ended.code == 0, ended.out + ended.err
    versions = [write.version for write in quirky.writes]
    assert len(versions) == 3
    assert all(re.fullmatch(r'W/"[^"]+"|"[^"]+"', version or "") for version in versions)
    if where == "header":  # lists carry no header: each resource is read again, and compared, right before its write
        assert len([line for line in quirky.hop.lines if re.search(r"GET .*/(Users|Groups)/", line)]) >= 3


def test_q14_without_any_version_each_write_is_compared_and_the_plan_says_so(start: StartQuirky) -> None:
    """Q14: jelhub/scimgateway#157: no tags at all. Nothing empty is sent in their place."""
    quirky = _promoted(start(supports_etag=False))
    plan = quirky.plan()
    assert {change["precondition"]["kind"] for change in plan["changes"]} == {"compare"}
    assert quirky.apply().code == 0
    assert not any("if-match" in seen.headers for seen in quirky.hop.seen)


def test_q14_a_conflict_told_as_409_is_judged_as_one(quirky: Quirky) -> None:
    """Q14, RFC 7644 table 8: a version mismatch may be 409, too; a name that is taken is none."""
    conflicts: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if "if-match" in seen.headers and "/Users" in seen.path and not conflicts:
            conflicts.append(seen.path)
            name = next(n for n, row in quirky.service.all("Users").items() if seen.path.endswith(row["id"]))
            quirky.service.replace("Users", name, "nickName", "N")
            return refused(409, "the resource was modified by another request")
        return pass_on()

    quirky.quirk = quirk
    ended = _promoted(quirky).apply()
    assert ended.code == 0, ended.out + ended.err
    assert conflicts
    assert quirky.is_settled()
