"""Quirks of scim-rfc.md section 12 in how services spell what they answer, where a whole run depends on it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.scripted_service import Answer, Seen

EMAILS = "emails: [{value: c@example.com, type: work, primary: true}, {value: d@example.com, type: home}]"


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = body.get("Resources", [body])
    return rows


def _with_emails(quirky: Quirky, **tenant: Any) -> Quirky:
    quirky.settings(**tenant)
    quirky.work.edit("acme/people.yaml", "title: Coach", f"title: Coach, {EMAILS}")
    assert quirky.apply().code == 0
    return quirky


@pytest.mark.parametrize("verb", ["patch", "put"])
def test_q2_booleans_that_come_as_strings_go_as_booleans(quirky: Quirky, verb: str) -> None:
    """Q2: AzureAD/SCIMReferenceCode#21. No update because of the spelling, and what is written is JSON."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or "/Users" not in seen.path:
            return answer
        body = document(answer)
        for row in _rows(body):
            row["active"] = str(row["active"])
            for email in row.get("emails", []):
                email["primary"] = str(email.get("primary", False))
        return Answer(answer.status, body, answer.headers)

    _with_emails(quirky, dialect={"userUpdate": verb}).quirk = quirk
    assert quirky.is_settled()
    quirky.work.edit("acme/people.yaml", "value: d@example.com", "value: e@example.com")
    assert quirky.apply().code == 0
    [write] = quirky.writes
    emails = write.body["emails"] if verb == "put" else write.operations[0]["value"]
    assert {email["value"]: email.get("primary", False) for email in emails} == {
        "c@example.com": True,
        "e@example.com": False,
    }
    assert verb == "patch" or write.body["active"] is True
    assert quirky.is_settled()


def test_q19_a_primary_that_is_lost_on_read_is_a_residual_and_no_endless_update(quirky: Quirky) -> None:
    """Q19: wso2/product-is#7304. Said by name; the run ends after one write."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or "/Users" not in seen.path:
            return answer
        body = document(answer)
        for email in (email for row in _rows(body) for email in row.get("emails", [])):
            email.pop("primary", None)
        return Answer(answer.status, body, answer.headers)

    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "title: Coach", f"title: Coach, {EMAILS}")
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert [(key, path) for key, path, _, _ in quirky.residual] == [("User/cyd@example.com", "emails")]
    assert len(quirky.writes) == 1


def test_q19_at_most_one_primary_is_written(quirky: Quirky) -> None:
    """Q19: wso2/product-is#10033 lets two be primary. Git says which one is, and only that one is sent as such."""
    two = [{"value": v, "type": t, "primary": True} for v, t in (("c@example.com", "work"), ("d@example.com", "home"))]

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        body = document(answer) if seen.method == "GET" and "/Users" in seen.path and not quirky.writes else {}
        for row in _rows(body):
            if row.get("userName") == "cyd@example.com":
                row["emails"] = two
        return Answer(answer.status, body, answer.headers) if body else answer

    _with_emails(quirky).quirk = quirk
    quirky.work.edit("acme/people.yaml", "d@example.com, type: home", "d@example.com, type: other")
    assert quirky.apply().code == 0
    [write] = quirky.writes
    [operation] = write.operations
    assert [email["value"] for email in operation["value"] if email.get("primary")] == ["c@example.com"]


def test_q21_results_are_read_in_whatever_shape_they_come(start: StartQuirky) -> None:
    """Q21: wso2/product-is#16110: `status` as `{code}`, `response` as JSON text; here also upper-case names."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if not seen.path.endswith("/Bulk"):
            return answer
        rows = document(answer)["Operations"]
        odd = [{**row, "status": {"code": int(row["status"])}} for row in rows if "response" not in row]
        odd += [
            {**row, "status": {"code": row["status"]}, "response": json.dumps(row["response"])}
            for row in rows
            if "response" in row
        ]
        return Answer(200, {"OPERATIONS": [{name.upper(): value for name, value in row.items()} for row in odd]})

    quirky = start(bulk=True)
    quirky.quirk = quirk
    quirky.service.create("Users", userName="taken@example.com", externalId="theirs")
    quirky.work.write(
        "acme/new.yaml",
        "kind: Users\nitems:\n"
        "  - {userName: eve@example.com, externalId: n-1}\n"
        "  - {userName: taken@example.com, externalId: n-2}\n",
    )
    ended = quirky.apply("--allow=identity-reuse")
    assert ended.code == 5, ended.out + ended.err
    outcomes = quirky.work.outcomes()
    assert outcomes == {"User/eve@example.com": "applied", "User/taken@example.com": "conflict"}


def test_q21_a_bulk_request_relies_on_nothing_that_services_do_differently(start: StartQuirky) -> None:
    """Q21: wso2/charon#393: no `bulkId:` references, no `failOnErrors`; a group comes after the people in it."""
    quirky = start(bulk=True)
    quirky.work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\ngroups: [Sales, New]\n")
    quirky.work.write("acme/new.yaml", "kind: Group\ndisplayName: New\n")
    assert quirky.apply().code == 0
    requests = [document(seen) for seen in quirky.hop.seen if seen.path.endswith("/Bulk")]
    assert all(set(request) == {"schemas", "Operations"} for request in requests)
    assert not any("bulkId:" in json.dumps(request) for request in requests)
    assert quirky.service.member_names("New") == {"eve@example.com"}


def test_q21_an_operation_answered_200_that_did_nothing_is_found_by_reading_back(start: StartQuirky) -> None:
    """Q21: wso2/product-is#3947 answers 200 to operations that it could not read."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if not seen.path.endswith("/Bulk"):
            return pass_on()
        results = [
            {"method": o["method"], "bulkId": o["bulkId"], "location": f"/scim/v2{o['path']}", "status": "200"}
            for o in document(seen)["Operations"]
        ]
        return Answer(200, {"Operations": results})

    quirky = start(bulk=True)
    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert quirky.residual == [("User/cyd@example.com", "title", "Chief", "Coach")]


@pytest.mark.parametrize("accepted", ["application/scim+json", "application/json"])
def test_q22_the_media_type_that_a_service_takes_is_sent(quirky: Quirky, accepted: str) -> None:
    """Q22: indigo-iam/iam#1285 takes scim+json only, the default; `dialect: {mediaType: ...}` serves the others."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.body and seen.headers["content-type"].partition(";")[0] != accepted:
            return refused(415, "unsupported media type")
        return pass_on()

    quirky.quirk = quirk
    if accepted != "application/scim+json":
        quirky.settings(dialect={"mediaType": accepted})
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\n")
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert quirky.is_settled()
