"""Quirks of scim-rfc.md section 12 that a reader meets, each over real HTTP and named after its number.

Those of paging and of cut-off members (Q6, Q9) are in tests/unit/scim/test_snapshot.py, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.dialect import Dialect
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind, LiveGroup, LiveUser, unpack
from reconciler.model.state import LiveState
from reconciler.scim.capabilities import read_capabilities
from reconciler.scim.client import ScimClient
from reconciler.scim.snapshot import read_live_state
from tests.fakes.listed_service import tenant, user
from tests.fakes.scripted_service import Answer, ScriptedService, Seen, scripted, transport_to

Start = Callable[..., tuple[ScriptedService, ScimClient]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a scripted service; gives the service and a client for it."""
    with ExitStack() as stack:

        def run(script: Any, dialect: Dialect | None = None) -> tuple[ScriptedService, ScimClient]:
            service, origin = stack.enter_context(scripted(script))
            transport = stack.enter_context(transport_to())
            return service, ScimClient(transport, tenant(f"{origin}/v2").endpoints, dialect or Dialect())

        yield run


def _listing(*rows: Any, total: int | None = None) -> Answer:
    return Answer(body={"totalResults": len(rows) if total is None else total, "Resources": list(rows)})


def _read(client: ScimClient) -> LiveState:
    return read_live_state(client, tenant(page_size=10), Capabilities(), configuration=False)


def _one_user(start: Start, **attributes: Any) -> LiveUser:
    _, client = start([Answer(body={"id": "u1", "userName": "x", **attributes})])
    found = client.get(Kind.USER, "u1")
    assert isinstance(found, LiveUser)
    return found


@pytest.mark.parametrize(("written", "meant"), [("True", True), ("true", True), ("False", False), ("FALSE", False)])
def test_q2_booleans_come_as_strings(start: Start, written: str, meant: bool) -> None:
    """AzureAD/SCIMReferenceCode#21: `"active": "False"` is an inactive user, not a truthy string."""
    found = _one_user(start, active=written, emails=[{"value": "x@y", "primary": written}])
    assert found.active is meant
    assert unpack(found.body)["emails"] == [{"value": "x@y", "primary": meant}]


@pytest.mark.parametrize("members", [None, []], ids=["absent", "empty"])
def test_q6_members_that_are_never_shown_are_unknown(start: Start, members: list[Any] | None) -> None:
    """AWS lists and gets groups with no members: users who say they are in one give it away."""
    group: dict[str, Any] = {"id": "g1", "displayName": "G"} | ({} if members is None else {"members": members})

    def script(seen: Seen) -> Answer:
        if "/Users" in seen.path:
            return _listing(user(1, groups=[{"value": "g1", "type": "direct"}]))
        return Answer(body=group) if seen.path.endswith("/g1") else _listing(group)

    _, client = start(script)
    live = _read(client)
    assert live.groups["g1"].members is None
    assert live.notes


@pytest.mark.parametrize("total", [lambda rows, start: 10, lambda rows, start: rows - start + 1], ids=["page", "rest"])
def test_q9_a_total_that_counts_something_else_is_found_out(start: Start, total: Callable[[int, int], int]) -> None:
    """wso2/product-is#13752, #13772: `totalResults` is the size of the page, or shrinks with `startIndex`."""
    rows = [user(number) for number in range(35)]

    def script(seen: Seen) -> Answer:
        if "/Groups" in seen.path:
            return _listing()
        first = int(parse_qs(urlsplit(seen.path).query)["startIndex"][0])
        return _listing(*rows[first - 1 : first + 9], total=total(35, first))

    _, client = start(script)
    live = _read(client)
    assert live.certificate(Kind.USER).complete is False


def test_q10_a_partial_match_is_no_match(start: Start) -> None:
    """wso2/product-is#6631: `O'Brien` finds `O'Brien-Smith`; each row is checked."""
    rows = [{"id": "u1", "userName": "o'brien-smith@x"}, {"id": "u2", "userName": "O'Brien@x"}]
    _, client = start([_listing(*rows)])
    assert [found.id for found in client.find(Kind.USER, "userName", "o'brien@x")] == ["u2"]


def test_q10_an_answer_that_keeps_what_it_found_proves_nothing(start: Start) -> None:
    """It says that it found three, and shows none: that is no "not there"."""
    _, client = start([_listing(total=3)])
    with pytest.raises(ScimMalformed, match="shows only a part"):
        client.find(Kind.USER, "userName", "x")


def test_q10_a_refused_filter_is_never_read_as_no_match(start: Start) -> None:
    """`invalidFilter` (scim-rfc.md section 10)."""
    _, client = start([Answer(status=400, body={"scimType": "invalidFilter", "detail": "no"})])
    with pytest.raises(ScimRejected):
        client.find(Kind.USER, "userName", "x")


def test_q10_a_value_is_quoted_and_encoded(start: Start) -> None:
    """wso2/product-is#3373, goauthentik/authentik#16677: JSON quotes, a raw plus would become a space."""
    service, client = start([_listing()])
    client.find(Kind.USER, "userName", 'a+b"c\\d@x')
    assert "+" not in service.seen[0].path
    assert parse_qs(urlsplit(service.seen[0].path).query)["filter"] == ['userName eq "a+b\\"c\\\\d@x"']


def test_a_look_up_needs_neither_index_nor_count(start: Start) -> None:
    """RFC 9865: a service that pages by cursor only refuses `startIndex`, and one may refuse the count."""
    refused = Answer(status=400, body={"scimType": "invalidCount", "detail": "count must be at most 10"})
    service, client = start([refused, _listing(user(1))])
    assert client.find(Kind.USER, "userName", "user1@example.com")
    assert not any("startIndex" in line for line in service.lines)
    assert ["count=" in line for line in service.lines] == [True, False]


def test_q19_strings_and_objects_are_mixed_in_one_attribute(start: Start) -> None:
    """wso2/product-is#7304: e-mails as plain strings beside objects; `primary` may be lost or given twice (#10033)."""
    emails = ["a@x", {"value": "b@x", "primary": "true"}, {"value": "c@x", "primary": True}, None, ""]
    body = unpack(_one_user(start, emails=emails).body)
    assert body["emails"] == [{"value": "a@x"}, {"value": "b@x", "primary": True}, {"value": "c@x", "primary": True}]


@pytest.mark.parametrize(
    "configuration",
    [
        {"bulk": {"supported": False}, "patch": {"supported": True}, "filter": {"supported": True}},
        {"bulk": {"supported": False, "maxOperations": None}, "patch": {"supported": "true"}, "filter": {}},
        {"BULK": {"Supported": "False"}, "Patch": {"SUPPORTED": True}},
    ],
)
def test_q21_limits_that_are_omitted_switch_nothing_off(start: Start, configuration: dict[str, Any]) -> None:
    """goauthentik/authentik#25057: a strict parser failed on the limits, and PATCH and filter went off with it."""
    _, client = start(lambda seen: Answer(body=configuration if "Config" in seen.path else {"Resources": []}))
    capabilities = read_capabilities(client, tenant())
    assert (capabilities.bulk, capabilities.patch, capabilities.filter) == (False, True, True)
    assert (capabilities.max_operations, capabilities.max_payload_bytes, capabilities.max_results) == (None, None, None)


@pytest.mark.parametrize("accepted", ["application/json", "application/scim+json"])
def test_q22_both_media_types_are_offered(start: Start, accepted: str) -> None:
    """wso2/product-is#3374, indigo-iam/iam#1285: one answered 406 to scim+json, others take nothing else."""

    def script(seen: Seen) -> Answer:
        offered = {part.split(";")[0].strip() for part in seen.headers["accept"].split(",")}
        return _listing() if accepted in offered else Answer(status=406)

    _, client = start(script)
    assert client.list_page(Kind.USER, 1, 10).total == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"Internal problem, call 555", "Internal problem, call 555"),
        (b"<html><body><h1>Bad Gateway</h1></body></html>", "Bad Gateway"),
        (b'{"detail": [{"loc": ["query", "count"], "msg": "too large"}]}', "too large (query.count)"),
        (b'{"status": 400, "message": "no"}', "no"),
        (b"\xff\xfe", "no detail given|\ufffd"),
        (b"", "no detail given"),
    ],
    ids=["text", "html", "fastapi", "numeric", "bytes", "empty"],
)
def test_q30_errors_that_are_not_json_are_told(start: Start, body: bytes, says: str) -> None:
    """Metatavu/keycloak-scim-server#101, tuist/tuist#11688: the words of the service, whatever their wrapping."""
    _, client = start([Answer(status=400, body=body)])
    with pytest.raises(ScimRejected) as rejected:
        client.list_page(Kind.USER, 1, 10)
    assert rejected.value.status == 400
    assert any(word in rejected.value.message for word in says.split("|"))


def test_q33_names_come_in_lower_case(start: Start) -> None:
    """ICE Mortgage docs: matching of member names is case-insensitive, from the list to the cursor in it."""
    asked: list[str] = []

    def script(seen: Seen) -> Answer:
        if "/Groups" in seen.path:
            group = {"ID": "g1", "displayname": "G", "MEMBERS": [{"Value": "u1"}]}
            return Answer(body=json.dumps({"totalresults": 1, "resources": [group]}).encode())
        asked.append(seen.path)
        row: dict[str, Any] = {"ID": f"u{len(asked)}", "username": "x", "ACTIVE": False, "EMAILS": [{"VALUE": "x@y"}]}
        more = {"nextcursor": "c2"} if len(asked) == 1 else {}
        document: dict[str, Any] = {"totalresults": "2", "resources": [row], **more}
        return Answer(body=json.dumps(document).encode())

    _, client = start(script)
    live = _read(client)
    assert live.certificate(Kind.USER).complete
    assert [found.active for found in live.users.values()] == [False, False]
    assert unpack(live.users["u1"].body)["emails"] == [{"value": "x@y"}]
    found = live.groups["g1"]
    assert isinstance(found, LiveGroup)
    assert (found.display_name, found.members) == ("G", ("u1",))
