"""Q23, Q25 and Q30 of scim-rfc.md section 12: reads that fail or fall short, and what is gone already."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from reconciler.model.dialect import Dialect
from reconciler.model.resource import Kind
from reconciler.scim.client import ScimClient
from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.listed_service import tenant
from tests.fakes.scripted_service import DROP, Answer, Seen, scripted, transport_to


def _shrinking(quirky: Quirky) -> Quirky:
    """Git takes Ann out of Support, which is authoritative, and adds a person."""
    quirky.work.edit("acme/groups.yaml", "{user: ann@example.com}, ", "")
    quirky.work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\n")
    return quirky


@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(403), Answer(200, b'{"totalResults": 4, "Reso'), Answer(200, b"<html>busy</html>"), DROP],
    ids=["500", "403", "cut off", "html", "dropped"],
)
@pytest.mark.parametrize("page", ["/Users?startIndex=3", "/Groups?"], ids=["second page of users", "groups"])
def test_q23_a_page_that_cannot_be_read_ends_the_run_before_any_write(
    start: StartQuirky, answer: Answer, page: str
) -> None:
    """Q23: INCIDENTS awslabs/ssosync#278, #194, #234: a part was taken for the whole, and people deleted."""
    quirky = _shrinking(start(max_results=2, supports_cursor=False))
    quirky.quirk = lambda seen, pass_on: answer if page in seen.path else pass_on()
    ended = quirky.apply()
    assert ended.code == 1, ended.out + ended.err
    assert any(page in line for line in quirky.hop.lines)
    assert quirky.writes == []
    assert "Traceback" not in ended.err


def _leaves_out(name: str, *, counted: bool) -> Callable[[Seen, PassOn], Answer]:
    """A list of users without one of them, whose total counts them or not."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or "/Users?" not in seen.path:
            return answer
        body = document(answer)
        rows = [row for row in body["Resources"] if row["userName"] != name]
        return Answer(200, {**body, "Resources": rows, "totalResults": len(rows) + counted})

    return quirk


def test_q23_a_member_whom_an_incomplete_list_does_not_show_stays(quirky: Quirky) -> None:
    """Q23, SPEC P4: he resolves to nobody, and the list says that it is short of one: absence is not inferred."""
    quirky.work.edit("acme/groups.yaml", ", {user: bob@example.com}", "")
    quirky.quirk = _leaves_out("bob@example.com", counted=True)
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.write("acme/people.yaml", _without(quirky, "bob@example.com"))
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert quirky.service.member_names("Support") == {"ann@example.com", "bob@example.com"}
    assert quirky.service.all("Users")["cyd@example.com"]["title"] == "Chief"
    quirky.quirk = lambda seen, pass_on: pass_on()
    assert not quirky.is_settled(), "read completely, he is known, and leaves the group"


def _without(quirky: Quirky, name: str) -> str:
    text = (quirky.work.root / "acme" / "people.yaml").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if name not in line)


def test_q23_nobody_is_deleted_or_deactivated_because_git_or_a_list_does_not_show_them(quirky: Quirky) -> None:
    """Q23: the file is gone; without a ledger nothing says that git ever had them, and nobody is removed."""
    quirky.work.write("acme/people.yaml", _without(quirky, "dan@example.com"))
    assert quirky.apply().code == 0
    assert quirky.writes == []
    assert quirky.service.all("Users")["dan@example.com"]["active"] is True


@pytest.mark.parametrize("status", [204, 200, 404])
def test_q25_a_delete_of_what_is_gone_is_done(status: int) -> None:
    """Q25: slashdevops/idp-scim-sync#104: 404 was fatal. RFC 7644 section 3.6 answers 204; some answer 200."""
    with scripted([Answer(status)]) as (service, origin), transport_to() as transport:
        client = ScimClient(transport, tenant(f"{origin}/v2").endpoints, Dialect())
        client.delete(Kind.USER, "u/1", 'W/"1"')
    assert service.lines == ["DELETE /v2/Users/u%2F1"]


def test_q25_an_update_of_what_is_gone_is_a_conflict_and_not_fatal(quirky: Quirky) -> None:
    """Q25: live state decides: somebody deleted Cyd since the plan; she is not created anew, and the rest goes on."""
    gone: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "GET" and not gone:
            gone.append(quirky.id_of("Users", "cyd@example.com"))
            quirky.service.call("DELETE", f"/Users/{gone[0]}")
        return pass_on()

    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Lead")
    ended = quirky.apply()
    assert ended.code == 5, ended.out + ended.err
    assert quirky.work.outcomes() == {"User/cyd@example.com": "conflict", "User/dan@example.com": "applied"}
    assert "cyd@example.com" not in quirky.service.all("Users")


def test_q30_a_bulk_that_failed_in_part_and_answered_500_is_looked_at_first(start: StartQuirky) -> None:
    """Q30: valon-technologies/gestalt#3162: half of it is there, and a blind retry would be answered 409."""
    quirky = start(bulk=True)
    failed: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if not seen.path.endswith("/Bulk") or failed:
            return pass_on()
        request = document(seen)
        failed.extend(operation["bulkId"] for operation in request["Operations"][1:])
        quirky.resend(seen, {**request, "Operations": request["Operations"][:1]})
        return refused(500, "something went wrong")

    quirky.quirk = quirk
    users = "".join(f"  - {{userName: new{number}@example.com, externalId: n-{number}}}\n" for number in range(3))
    quirky.work.write("acme/new.yaml", f"kind: Users\nitems:\n{users}")
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    sent = [write.body["externalId"] for write in quirky.writes]
    assert sorted(sent) == ["n-0", "n-1", "n-1", "n-2", "n-2"], "what was there was not sent again"
    assert len(quirky.service.all("Users")) == 7


def test_q30_errors_of_any_shape_end_in_a_sentence(quirky: Quirky) -> None:
    """Q30: Metatavu/keycloak-scim-server#101, tuist/tuist#11688: the words of the service, in the report of the run."""
    page = b"<html><head><style>b{}</style></head><body><h1>Not now</h1><p>call 555</p></body></html>"
    quirky.quirk = lambda seen, pass_on: Answer(400, page) if seen.method == "PATCH" else pass_on()
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    ended = quirky.apply("--format", "json")
    assert ended.code == 1
    [outcome] = json.loads(ended.out)["outcomes"]
    assert outcome["cause"] == "the service answered 400: Not now call 555"
