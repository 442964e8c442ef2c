"""Defects of the sample code (cxone.md section 12) that only show over a whole run, each test named after its number.

The others have theirs where the code is: tokens and retries in tests/contract/scim, bulk answers in
tests/unit/messages, rounds and outcomes in tests/unit/applier, pages in tests/unit/scim.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.scripted_service import DROP, Answer, Seen

PEOPLE = [f"p{number}@example.com" for number in range(30)]


def _promoted(quirky: Quirky) -> Quirky:
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Lead")
    return quirky


def _hired(quirky: Quirky) -> Quirky:
    users = "".join(f"  - {{userName: {name}, externalId: {name}}}\n" for name in PEOPLE)
    quirky.work.write("acme/more.yaml", f"kind: Users\nitems:\n{users}")
    return quirky


@pytest.mark.parametrize("status", [400, 403, 409, 412, 413, 422, 429, 500, 501, 503])
@pytest.mark.parametrize("where", ["request", "bulk request", "operation in bulk"])
def test_p1_an_error_tells_the_status_and_the_words_of_the_service(start: StartQuirky, where: str, status: int) -> None:
    """Defect P1: the format wrapped a nil error and dropped both. In text, in the log and in the receipt."""
    error = refused(status, "no licence left")

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "GET" or where != "operation in bulk":
            return pass_on() if seen.method == "GET" else error
        told = {"status": str(status), "response": error.body}
        return Answer(200, {"Operations": [{**operation, **told} for operation in document(seen)["Operations"]]})

    quirky = start(bulk="bulk" in where)
    quirky.quirk = quirk
    ended = _promoted(quirky).apply()
    assert ended.code in {1, 5, 6}, ended.out + ended.err
    causes = {item["cause"] for item in quirky.work.receipts()[-1]["outcomes"]}
    for text in (ended.out, ended.err, *causes):
        assert str(status) in text
        assert "no licence left" in text
        assert "None" not in text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
@pytest.mark.parametrize("path", ["/Users", "/Groups"])
def test_p1_g2_a_read_that_fails_is_told_as_what_it_is(quirky: Quirky, path: str, status: int) -> None:
    """Defects P1, G2: 401, 429 and 5xx of a look-up were reported as "not found"; here the run ends with the status."""
    quirky.quirk = lambda seen, pass_on: refused(status, "as you see") if f"{path}?" in seen.path else pass_on()
    quirky.work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {group: Support}]")
    ended = quirky.apply()
    assert ended.code == 1, ended.out + ended.err
    assert f"answered {status}" in ended.err
    assert "as you see" in ended.err
    assert "not found" not in ended.err
    assert quirky.writes == []


@pytest.mark.parametrize("member", ["user: sid@example.com", "group: Suport", "externalId: p-99"])
def test_g2_every_member_is_checked_before_anything_is_written(quirky: Quirky, member: str) -> None:
    """Defect G2: group members were not checked at all. A name that is nobody is an error with its place."""
    quirky.work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", f"[{{user: cyd@example.com}}, {{{member}}}]")
    ended = _promoted(quirky).apply()
    assert ended.code == 3, ended.out + ended.err
    assert member.partition(": ")[2] in ended.err
    assert "groups.yaml:4" in ended.err
    assert quirky.writes == []


@pytest.mark.parametrize("answer", [Answer(503), DROP], ids=["503", "dropped"])
@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
@pytest.mark.parametrize("carried_out", [False, True])
def test_p3_a_write_is_looked_up_before_it_is_sent_again_and_retries_do_not_multiply(
    start: StartQuirky, answer: Answer, bulk: bool, carried_out: bool
) -> None:
    """Defect P3: blind replays of POST made duplicates, and retries inside retries made dozens of them."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "GET":
            return pass_on()
        if carried_out:
            pass_on()
        return answer

    quirky = start(bulk=bulk)
    quirky.quirk = quirk
    quirky.work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\n")
    ended = quirky.apply()
    assert ended.code == (0 if carried_out else 6), ended.out + ended.err
    methods = [seen.method for seen in quirky.hop.seen]
    writes = [number for number, method in enumerate(methods) if method != "GET"]
    assert len(writes) == (1 if carried_out else 3)
    assert all("GET" in methods[one:other] for one, other in pairwise(writes))
    assert list(quirky.service.all("Users")).count("eve@example.com") == carried_out


@pytest.mark.parametrize(
    ("verb", "bulk", "answer", "times"),
    [
        ("patch", False, Answer(503), 3),
        ("put", False, Answer(503), 4),
        ("put", False, DROP, 4),
        ("put", False, Answer(429), 11),
        ("patch", False, Answer(429), 11),
        ("patch", True, Answer(429), 11),
    ],
)
def test_p3_retries_inside_retries_do_not_multiply(
    start: StartQuirky, verb: str, bulk: bool, answer: Answer, times: int
) -> None:
    """Defect P3 (D23): three repeats of what is harmless, ten after 429, three rounds of what is not."""
    quirky = start(bulk=bulk)
    quirky.settings(dialect={"userUpdate": verb})
    quirky.quirk = lambda seen, pass_on: pass_on() if seen.method == "GET" else answer
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    ended = quirky.apply()
    assert ended.code in {1, 6}, ended.out + ended.err
    assert len([seen for seen in quirky.hop.seen if seen.method != "GET"]) == times
    [outcome] = quirky.work.outcomes().values()
    assert outcome == ("failed" if answer.status == 429 else "unknown")


def test_p4_r5_a_chunk_that_fails_is_no_success_and_stops_no_other(start: StartQuirky) -> None:
    """Defects P4, R5: a failed chunk was skipped with `continue`, and the process still exited 0."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return refused(402, "not these") if b"p17@example.com" in seen.body else pass_on()

    quirky = start(bulk=True, max_operations=10)
    quirky.quirk = quirk
    ended = _hired(quirky).apply()
    assert ended.code == 6, ended.out + ended.err
    outcomes = Counter(quirky.work.outcomes().values())
    assert outcomes == {"applied": 20, "failed": 10}
    assert len(quirky.service.all("Users")) == 4 + 20
    assert "10 failed: the service answered 402: not these" in ended.out


def test_r1_an_error_that_decodes_to_no_operations_is_no_success(start: StartQuirky) -> None:
    """Defect R1: a 401 or 500 whose JSON decodes to zero operations was reported as success."""
    quirky = start(bulk=True)
    quirky.quirk = lambda seen, pass_on: pass_on() if seen.method == "GET" else Answer(500, {"Operations": []})
    ended = _promoted(quirky).apply()
    assert ended.code == 6, ended.out + ended.err
    assert set(quirky.work.outcomes().values()) == {"unknown"}


def test_r2_an_operation_that_the_answer_leaves_out_is_read_and_not_believed(start: StartQuirky) -> None:
    """Defect R2: what was missing from an answer was treated as successful. One of the two was not carried out."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if not seen.path.endswith("/Bulk"):
            return pass_on()
        request = document(seen)
        quirky.resend(seen, {**request, "Operations": request["Operations"][:1]})
        return Answer(200, {"Operations": []})

    quirky = start(bulk=True)
    quirky.quirk = quirk
    ended = _hired(quirky).apply()
    assert ended.code == 6, ended.out + ended.err
    outcomes = Counter(quirky.work.outcomes().values())
    there = len(quirky.service.all("Users")) - 4
    assert outcomes == {"applied": there, "unknown": len(PEOPLE) - there}
    assert there == 3, "one a round"


def test_r3_what_is_refused_for_good_is_sent_once(start: StartQuirky) -> None:
    """Defect R3: all failures were retried, and one that never succeeds used up the tries of its whole chunk."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if not seen.path.endswith("/Bulk"):
            return answer
        rows = document(answer)["Operations"]
        sent = {operation["bulkId"]: operation for operation in document(seen)["Operations"]}
        for row in rows:
            if "p3@" in json.dumps(sent[row["bulkId"]]):
                row.update({"status": "429"} if not tired else {})
                tired.append(row["bulkId"])
            if "p5@" in json.dumps(sent[row["bulkId"]]):
                row.update({"status": "422", "response": {"status": "422", "detail": "no"}})
        return Answer(200, {"Operations": rows})

    tired: list[str] = []
    quirky = start(bulk=True)
    quirky.quirk = quirk
    ended = _hired(quirky).apply()
    times = Counter(write.body["userName"] for write in quirky.writes)
    assert {name for name, count in times.items() if count > 1} == {"p3@example.com"}
    assert quirky.work.outcomes()["User/p5@example.com"] == "failed", ended.out


def test_r4_there_is_a_wait_before_each_round(quirky: Quirky) -> None:
    """Defect R4: between rounds there was no wait at all. 2 s and 4 s."""
    quirky.quirk = lambda seen, pass_on: pass_on() if seen.method == "GET" else Answer(503)
    before = list(quirky.work.clock.slept)
    _promoted(quirky).apply()
    waits = [wait for wait in quirky.work.clock.slept[len(before) :] if wait > 0]
    assert len(waits) >= 2
    assert waits[0] <= 2.0
    assert waits[1] <= 4.0


def test_g9_logs_and_digests_hold_no_membership(quirky: Quirky) -> None:
    """Defect G9: the "hash" was the whole payload in base64. Digests are SHA-256, and the log names the group only."""
    quirky.work.edit(
        "acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]"
    )
    dan = quirky.id_of("Users", "dan@example.com")
    plan = quirky.plan()
    digests = [plan["digest"], plan["seal"], *(change["digest"] for change in plan["changes"])]
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests)
    ended = quirky.apply("--log-format", "json")
    assert ended.code == 0
    assert "Group/Sales" in ended.err
    for text in ("dan@example.com", "cyd@example.com", dan):
        assert text not in ended.err


def test_g10_consistency_is_measured_and_not_a_constant(quirky: Quirky) -> None:
    """Defect G10: the rate was 1.0 or 0.0 by hand. What is missing is counted from a read-back, member by member."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PATCH":
            return pass_on()
        sent: dict[str, Any] = document(seen)
        [addition] = sent["Operations"]
        return quirky.resend(seen, {**sent, "Operations": [{**addition, "value": addition["value"][:1]}]})

    quirky.quirk = quirk
    people = "[{user: cyd@example.com}, {user: dan@example.com}, {user: ann@example.com}]"
    quirky.work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", people)
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert quirky.residual == [("Group/Sales", "members", "dan@example.com", None)]
    assert not quirky.work.receipts()[-1]["complete"]
