"""What of a live resource git may state: by the rules of documents, and so that it compares as equal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.desired.extensions import ExtensionSchema
from reconciler.desired.screening import Screen, Screened
from reconciler.model.dialect import Profile
from reconciler.model.resource import ENTERPRISE_SCHEMA, Kind, pack
from reconciler.model.tenant import People, Tenant
from reconciler.schemas import checker_of
from tests.states import tenant_for

URN = "urn:acme:scim:schemas:1.0:Badge"
CXONE = tenant_for(profile=Profile.CXONE)


def screened(tenant: Tenant | None = None, **attributes: Any) -> Screened:
    """A live user, looked at."""
    body = pack({"userName": "ann", **attributes})
    return Screen(tenant or tenant_for(), {}).screen(Kind.USER, body)


def stated(**attributes: Any) -> dict[str, Any]:
    """What git may state of a live user besides the name; nothing is left out."""
    found = screened(**attributes)
    assert found.document is not None
    assert found.left_out == ()
    return {name: value for name, value in found.document.items() if name != "userName"}


def test_attributes_come_in_the_order_of_the_schema() -> None:
    """Whatever order a service has (SPEC P12); `enterprise` and other extensions last."""
    live = {URN: {"b": 1, "a": 2}, ENTERPRISE_SCHEMA: {"department": "x"}, "active": True, "name": {"familyName": "b"}}
    live["name"] = {"familyName": "Lee", "givenName": "Ann"}
    found = stated(**live, externalId="p-1", title="Agent")
    assert json.dumps(found) == json.dumps(
        {
            "externalId": "p-1",
            "name": {"givenName": "Ann", "familyName": "Lee"},
            "title": "Agent",
            "active": True,
            ENTERPRISE_SCHEMA: {"department": "x"},
            URN: {"a": 2, "b": 1},
        }
    )


def test_what_the_service_sets_or_derives_is_not_stated() -> None:
    """scim-rfc.md section 3: `display`, `$ref`, the manager's displayName; false is what an absent `primary` means."""
    live: dict[str, Any] = {
        "schemas": ["urn:x"],
        "emails": [{"value": "a@b.c", "display": "A", "$ref": "x", "primary": False}],
        ENTERPRISE_SCHEMA: {"manager": {"value": "u7", "displayName": "Boss"}},
        "title": "",
        "name": {},
    }
    found = screened(**live)
    assert found.document == {"userName": "ann", "emails": [{"value": "a@b.c"}]}
    assert found.manager == "u7"
    assert found.left_out == ()


def test_multi_valued_attributes_are_sets_in_one_order() -> None:
    """The primary value first; an element that is there twice counts once (RFC 7643 section 2.4)."""
    mobile, work = {"value": "+1", "type": "mobile"}, {"value": "+2", "type": "work", "primary": True}
    assert stated(phoneNumbers=[mobile, work, mobile]) == {"phoneNumbers": [work, mobile]}
    assert stated(phoneNumbers=[work, mobile]) == {"phoneNumbers": [work, mobile]}


@pytest.mark.parametrize(
    ("attributes", "left", "path"),
    [
        ({"emails": [{"value": "nobody"}]}, {}, "emails"),
        ({"addresses": [{"country": "usa", "locality": "X"}]}, {"addresses": [{"locality": "X"}]}, "addresses.country"),
        ({"addresses": [{"country": "usa"}]}, {}, "addresses"),
        ({"name": {"givenName": 7, "familyName": "Lee"}}, {"name": {"familyName": "Lee"}}, "name.givenName"),
        ({"title": 7}, {}, "title"),
        ({"title": "\ud800"}, {}, "title"),
        ({"active": "maybe"}, {}, "active"),
        ({"roles": [{"value": "A", "primary": True}, {"value": "B", "primary": True}]}, None, "roles.primary"),
        ({"roles": [{"value": "A", "type": "x"}, {"value": "A", "type": "X"}]}, {}, "roles"),
        ({"x-unknown": 1}, {}, "x-unknown"),
        ({"name": {"nick": "A", "givenName": "Ann"}}, {"name": {"givenName": "Ann"}}, "name.nick"),
        ({ENTERPRISE_SCHEMA: {"floor": 3}}, {}, f"{ENTERPRISE_SCHEMA}:floor"),
        ({URN: {"a": 2**63, "b": 1}}, {URN: {"b": 1}}, f"{URN}:a"),
        ({URN: {"a.b": 1, "c": 2}}, {URN: {"c": 2}}, f"{URN}:a.b"),
        ({URN: {"2fa": True, "c": 2}}, {URN: {"c": 2}}, f"{URN}:2fa"),
        ({URN: {"a": {"b": {"c": "e\u0301"}}, "d": 1}}, {URN: {"d": 1}}, f"{URN}:a"),
        ({URN: "text"}, {}, URN),
        ({"urn:with blank:x": {"a": 1}}, {}, "urn:with blank:x"),
    ],
)
def test_what_does_not_fit_is_left_out_alone(attributes: Any, left: Any, path: str) -> None:
    """The smallest part that is wrong goes, with a reason; the rest is still declared."""
    found = screened(**attributes)
    assert found.document is not None
    assert [item[0] for item in found.left_out] == [path]
    assert all(why for _, why in found.left_out)
    if left is not None:
        assert found.document == {"userName": "ann", **left}
    else:
        assert [element.get("primary") for element in found.document["roles"]] == [True, None]


@pytest.mark.parametrize("name", ["a\x07", " ann", "x" * 513, 7, "\ud800", ""])
def test_who_has_no_usable_name_is_left_out(name: Any) -> None:
    """A name that git could not write names nobody."""
    found = screened(userName=name)
    assert found.document is None
    assert found.left_out[-1][0] == ""


def test_who_would_never_be_created_is_left_out() -> None:
    """V307: CXone needs an address and a name; over people from elsewhere nothing is created (cxone.md section 4)."""
    complete = {"emails": [{"value": "a@b.c"}], "name": {"givenName": "Ann"}}
    assert screened(CXONE, **complete).document is not None
    assert screened(CXONE, emails=complete["emails"]).left_out == (("", "an attribute that CXone needs (V307)"),)
    external = tenant_for(profile=Profile.CXONE, people=People.EXTERNAL)
    assert screened(external, emails=complete["emails"]).document is not None


def test_schemas_of_the_tenant_are_heeded() -> None:
    """An extension has to fit the schema that the tenant keeps for it."""
    schema = checker_of({"type": "object", "properties": {"badge": {"type": "string"}}})
    screen = Screen(tenant_for(), {URN.casefold(): ExtensionSchema(schema, "acme/schemas/badge.json")})
    found = screen.screen(Kind.USER, pack({"userName": "ann", URN: {"badge": 7, "floor": 3}}))
    assert found.document == {"userName": "ann", URN: {"floor": 3}}
    assert [path for path, _ in found.left_out] == [f"{URN}:badge"]


def test_values_that_the_service_is_known_to_rewrite_are_stated_as_stored() -> None:
    """`equivalences`: what is live compares as equal to itself."""
    tenant = tenant_for(equivalences={"title": (("Agent", "AGENT"),)})
    assert screened(tenant, title="AGENT").document == {"userName": "ann", "title": "AGENT"}


def test_what_is_too_large_for_a_file_is_left_out() -> None:
    """It could not be read again."""
    assert screened(photos=[{"value": "x" * 2_000_000}]).document is not None
    assert screened(photos=[{"value": "x" * 7_000_000}]).left_out[-1] == ("", "it is too large for a file")


def test_only_what_is_asked_for_is_looked_at() -> None:
    """An overlay states roles; whatever else is odd about a person is nobody's business."""
    body = pack({"userName": "ann", "title": 7, "roles": [{"value": "Agent"}], "externalId": "p-1"})
    screen = Screen(tenant_for(), {})
    found = screen.screen(Kind.USER, body, only=frozenset({"userName", "roles", "externalId"}))
    assert found.document == {"userName": "ann", "externalId": "p-1", "roles": [{"value": "Agent"}]}
    assert found.left_out == ()
    without = screen.screen(Kind.USER, body, only=frozenset({"userName"}), without=frozenset({"externalId"}))
    assert without.document == {"userName": "ann"}


def test_a_configuration_keeps_the_shape_it_has() -> None:
    """cxone.md D27: `etag` is a version there and a feature in the RFC; fields of the service's own are left out."""
    screen = Screen(CXONE, {})
    cxone = {"productName": "X", "etag": "abc", "bulkConfig": {"supported": True, "maxOperations": 10}, "weather": "ok"}
    found = screen.screen(Kind.SERVICE_PROVIDER_CONFIG, pack(cxone))
    assert found.document == {"productName": "X", "bulkConfig": {"supported": True, "maxOperations": 10}}
    assert [path for path, _ in found.left_out] == ["weather"]
    rfc = screen.screen(Kind.SERVICE_PROVIDER_CONFIG, pack({"etag": {"supported": True}, "meta": {}, "schemas": ["x"]}))
    assert rfc.document == {"etag": {"supported": True}}


def test_odd_people_do_not_change_what_is_said_of_the_next() -> None:
    """A screen keeps nothing from one resource to the next."""
    screen = Screen(tenant_for(), {})
    first = screen.screen(Kind.USER, pack({"userName": "ann", "title": 7}))
    assert screen.screen(Kind.USER, pack({"userName": "ann", "title": 7})) == first
    assert screen.screen(Kind.USER, pack({"userName": "bob", "title": "x"})).left_out == ()
