"""Quirks of scim-rfc.md section 12 in what services admit: AWS as a whole, rates, sizes, one writer at a time."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.scripted_service import Answer, Seen

PEOPLE = [f"p{number}@example.com" for number in range(250)]
MOST_MEMBERS = 100


def _everybody(quirky: Quirky, members: list[str]) -> None:
    """250 more people, and a group of some of them."""
    quirky.work.write("acme/more.yaml", "kind: Users\nitems:\n" + "".join(f"  - userName: {n}\n" for n in PEOPLE))
    listed = "".join(f"  - user: {name}\n" for name in members)
    quirky.work.write("acme/big.yaml", f"kind: Group\ndisplayName: Everybody\nmembers:\n{listed}")


# --- AWS IAM Identity Center -----------------------------------------------------------------------------------------


class _Aws:
    """What AWS documents, as strictly as it does; `answer` is the quirk, `broken` what a client did wrong."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def answer(self, seen: Seen, pass_on: PassOn) -> Answer:
        problem = self._problem(seen)
        if problem is None:
            return _announced_without_bulk(seen, pass_on)
        self.broken.append(f"{seen.method} {seen.path}: {problem}")
        return refused(400, f"Request is unparsable: {problem}", "invalidSyntax")

    def _problem(self, seen: Seen) -> str | None:
        if not seen.headers.get("user-agent"):
            return "no User-Agent"
        if any(path in seen.path for path in ("/Bulk", "/.search", "/Me")):
            return "not supported"
        if seen.method == "PUT" and "/Groups/" in seen.path:
            return "there is no PutGroup"
        query = parse_qs(urlsplit(seen.path).query)
        if any(not re.fullmatch(r'\w+ eq "[^"]*"( and \w+ eq "[^"]*")*', text) for text in query.get("filter", [])):
            return "filters are eq and and"
        if seen.method not in {"POST", "PATCH"}:
            return None
        body = document(seen)
        members = len(body.get("members", []))
        for operation in body.get("Operations", []):
            members += _member_changes(operation)
            if problem := _operation_problem(operation, of_group="/Groups/" in seen.path):
                return problem
        return "more than 100 membership changes" if members > MOST_MEMBERS else None


def _member_changes(operation: dict[str, Any]) -> int:
    if operation["path"] == "members":
        return len(operation.get("value", []))
    return 1 if operation["path"].startswith("members[") else 0


def _operation_problem(operation: dict[str, Any], *, of_group: bool) -> str | None:
    path = operation.get("path")
    if not path:
        return "a pathless operation"
    if not of_group:
        return None
    if path.partition("[")[0] not in {"displayName", "members", "externalId"}:
        return f"{path} of a group"
    if path.startswith("members") and operation["op"] == "replace":
        return "members are not replaced"
    return "remove all" if path == "members" and operation["op"] == "remove" else None


def _announced_without_bulk(seen: Seen, pass_on: PassOn) -> Answer:
    answer = pass_on()
    if not seen.path.endswith("/ServiceProviderConfig"):
        return answer
    config = document(answer)
    return Answer(200, {**config, "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0}})


def test_q8_what_aws_admits_is_never_exceeded(start: StartQuirky) -> None:
    """Q8: creates, renames, hundreds of members in and out, somebody cleared and deactivated: nothing is refused."""
    aws = _Aws()
    quirky = start(bulk=True, cursor_only=True)
    quirky.quirk = aws.answer
    _everybody(quirky, PEOPLE[:220])
    assert quirky.apply().code == 0
    assert max(_changes_of(write.body) for write in quirky.writes) == MOST_MEMBERS
    _everybody(quirky, PEOPLE[115:])
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: null, active: false")
    quirky.work.edit("acme/groups.yaml", "displayName: Support", "displayName: Help")
    quirky.work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[]")
    ended = quirky.apply("--allow=access-loss", "--allow=membership-share")
    assert ended.code == 0, ended.out + ended.err
    assert aws.broken == []
    assert quirky.service.member_names("Everybody") == set(PEOPLE[115:])
    assert quirky.is_settled()


def _changes_of(body: dict[str, Any]) -> int:
    return len(body.get("members", [])) + sum(_member_changes(operation) for operation in body.get("Operations", []))


def test_q8_what_it_costs_is_known_before(start: StartQuirky) -> None:
    """Q8, SPEC section 6: members ceil(n / N) each, also those of a create; the estimate equals what is sent."""
    quirky = start(bulk=False)
    _everybody(quirky, PEOPLE)
    plan = quirky.plan()
    assert quirky.apply().code == 0
    assert len(quirky.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    group = [write for write in quirky.writes if "/Groups" in write.path]
    assert [write.method for write in group] == ["POST", "PATCH", "PATCH"]


def test_q6_q8_members_that_never_show_end_as_a_residual_and_never_as_a_removal(start: StartQuirky) -> None:
    """Q6, Q8: AWS gets and lists groups without members, and takes additions. Who cannot be seen is named each time."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or "/Groups" not in seen.path or answer.status != 200:
            return answer
        body = document(answer)
        for row in body.get("Resources", [body]):
            row["members"] = []
        return Answer(200, body, answer.headers)

    quirky = start()
    quirky.quirk = quirk
    quirky.work.edit(
        "acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]"
    )
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert ("Group/Sales", "members", "dan@example.com", None) in quirky.residual
    assert all(operation["op"] == "add" for write in quirky.writes for operation in write.operations)
    assert quirky.service.member_names("Sales") == {"cyd@example.com", "dan@example.com"}
    assert quirky.service.member_names("Support") == {"ann@example.com", "bob@example.com"}


# --- one writer at a time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q7_one_group_has_one_writer_at_a_time(start: StartQuirky, bulk: bool) -> None:
    """Q7: INCIDENTS fleetdm/fleet#50724 lost members to an unlocked read-modify-write: one request, then the next."""
    quirky = start(bulk=bulk)
    quirky.settings(limits={"requestsPerMinute": 60000, "parallelReads": 1, "bulkPayloadBytes": 6000})
    _everybody(quirky, PEOPLE[:120])
    assert quirky.apply().code == 0
    quirky.hop.connections = 0
    _everybody(quirky, PEOPLE[60:])
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    requests = [document(seen) for seen in quirky.hop.seen if seen.method in {"POST", "PATCH"}]
    assert len(requests) >= 3
    for request in requests:
        paths = [operation["path"] for operation in request["Operations"] if "method" in operation]
        assert len(paths) == len(set(paths)), "a service may carry out a bulk request in any order"
    assert quirky.hop.connections == 1, "nothing was under way at the same time"
    assert quirky.service.member_names("Everybody") == set(PEOPLE[60:])


# --- rates and sizes -------------------------------------------------------------------------------------------------


def test_q27_a_full_minute_is_waited_out_as_the_service_asks(quirky: Quirky) -> None:
    """Q27: Slack and others say `Retry-After`; a write that was answered 429 is sent again, once, and late enough."""
    tired = iter([Answer(429, headers={"Retry-After": "61"}), Answer(429, headers={"Retry-After": "30"})])

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return next(tired, None) or pass_on() if seen.method == "PATCH" else pass_on()

    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    before = quirky.work.clock.now
    assert quirky.apply().code == 0
    assert quirky.work.clock.now - before >= 91
    assert len(quirky.writes) == 3
    assert quirky.is_settled()


def test_q27_operations_that_are_counted_inside_a_bulk_are_sent_again_alone(start: StartQuirky) -> None:
    """Q27: Peakon counts each operation of a bulk request; those answered 429 go again, the others do not."""
    quirky = start(bulk=True)
    _everybody(quirky, [])
    quirky.work.write("acme/big.yaml", "kind: Group\ndisplayName: Everybody\n")
    tired: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if not seen.path.endswith("/Bulk") or tired:
            return pass_on()
        operations = document(seen)["Operations"]
        late = operations[200:]
        tired.extend(operation["bulkId"] for operation in late)
        answer = document(quirky.resend(seen, {**document(seen), "Operations": operations[:200]}))
        busy = [{"method": "POST", "bulkId": name, "status": "429"} for name in tired]
        return Answer(200, {**answer, "Operations": [*answer["Operations"], *busy]})

    quirky.quirk = quirk
    assert quirky.apply().code == 0
    assert len([write for write in quirky.writes if write.path == "/Users"]) == 250 + 50
    assert len(quirky.service.all("Users")) == 254


def test_q27_a_body_that_is_too_large_is_sent_in_smaller_parts(start: StartQuirky) -> None:
    """Q27: Miro answers 413 above a size that it announces nowhere."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return refused(413, "at most 8000 bytes") if len(seen.body) > 8000 else pass_on()

    quirky = start(bulk=True)
    quirky.quirk = quirk
    _everybody(quirky, PEOPLE[:5])
    assert quirky.apply().code == 0
    assert quirky.is_settled()
    assert len(quirky.service.all("Users")) == 254


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q27_every_request_says_who_asks_and_users_come_before_groups(start: StartQuirky, bulk: bool) -> None:
    """Q27: GitHub wants a `User-Agent`, and users before the groups that they are in."""
    quirky = start(bulk=bulk)
    _everybody(quirky, PEOPLE[:5])
    assert quirky.apply().code == 0
    assert all(seen.headers["user-agent"].startswith("scim-reconciler/") for seen in quirky.hop.seen)
    paths = [write.path for write in quirky.writes]
    assert paths == sorted(paths, reverse=True), "/Users before /Groups"
    assert not any(b"bulkId:" in seen.body for seen in quirky.hop.seen), "Q21: references are ids, never bulkIds"
