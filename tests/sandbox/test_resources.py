"""Single resources: POST, GET, PUT, DELETE (RFC 7644 sections 3.3 to 3.6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.sandbox.tenant_client import (
    ENTERPRISE_URN,
    USER_URN,
    TenantClient,
    assert_error,
    group_body,
    path_of,
    user_body,
)

ACME_URN = "urn:acme:params:scim:badge:1.0:User"


def test_creating_a_user_answers_201_with_location_etag_and_the_whole_resource(tenant: TenantClient) -> None:
    """RFC 7644 section 3.3."""
    response = tenant.post("/Users", user_body("ann@example.com", externalId="hr-1", active=True))

    user = response.json()
    assert response.status_code == 201
    assert response.headers["Content-Type"] == "application/scim+json"
    assert response.headers["Location"] == user["meta"]["location"] == f"{tenant.server.base_url}/Users/{user['id']}"
    assert response.headers["ETag"] == user["meta"]["version"]
    assert user["schemas"] == [USER_URN]
    assert (user["userName"], user["externalId"], user["active"]) == ("ann@example.com", "hr-1", True)
    assert user["meta"]["resourceType"] == "User"
    assert datetime.fromisoformat(user["meta"]["created"]) == datetime.fromisoformat(user["meta"]["lastModified"])


def test_what_was_created_can_be_read_by_its_location(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.1."""
    user = tenant.user("ann", name={"givenName": "Ann"}, emails=[{"value": "ann@example.com", "type": "work"}])

    response = tenant.get(path_of(user))

    assert response.status_code == 200
    assert response.json() == user
    assert response.headers["ETag"] == user["meta"]["version"]


def test_a_cxone_tenant_also_knows_users_by_user_name(tenant: TenantClient, rfc_tenant: TenantClient) -> None:
    """cxone.md D16: directory sync addresses users by userName; the RFC knows the id only."""
    assert tenant.user("Ann@Example.com")["id"] == tenant.get("/Users/ann@example.com").json()["id"]
    rfc_tenant.user("Ann@Example.com")
    assert_error(rfc_tenant.get("/Users/ann@example.com"), 404)


def test_attribute_names_are_read_without_regard_to_case(tenant: TenantClient) -> None:
    """RFC 7643 section 2.1."""
    user = tenant.post(
        "/Users",
        {"SCHEMAS": [USER_URN.upper()], "username": "ann", "NAME": {"GivenName": "Ann"}, "EMAILS": [{"VALUE": "a@b"}]},
    ).json()

    assert user["schemas"] == [USER_URN]
    assert user["userName"] == "ann"
    assert user["name"] == {"givenName": "Ann"}
    assert user["emails"] == [{"value": "a@b"}]


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_null_and_empty_values_are_the_same_as_absent(tenant: TenantClient, nothing: Any) -> None:
    """RFC 7643 section 2.5."""
    body = user_body(
        "ann", title=None, emails=None if nothing == {} else nothing, name=None if nothing == [] else nothing
    )

    user = tenant.post("/Users", body).json()

    assert not {"title", "emails", "name"} & user.keys()


def test_an_empty_string_is_a_value(tenant: TenantClient) -> None:
    """RFC 7643 section 2.5 lists null and the empty array as unassigned, not the empty string."""
    assert tenant.user("ann", title="")["title"] == ""


def test_read_only_attributes_in_a_body_are_ignored(rfc_tenant: TenantClient) -> None:
    """RFC 7644 section 3.3: readOnly attributes in the request body are ignored."""
    group = rfc_tenant.group("Staff")

    user = rfc_tenant.user("ann", id="mine", meta={"version": "x"}, groups=[{"value": group["id"]}])

    assert user["id"] != "mine"
    assert "groups" not in user
    assert user["meta"]["version"] != "x"


def test_unknown_attributes_are_ignored(tenant: TenantClient) -> None:
    """RFC 7644 section 3.3 leaves it to the service; this one is lenient like CXone."""
    user = tenant.user(
        "ann", shoeSize=43, name={"givenName": "Ann", "rank": "major"}, emails=[{"value": "a@b", "since": 1}]
    )

    assert "shoeSize" not in user
    assert user["name"] == {"givenName": "Ann"}
    assert user["emails"] == [{"value": "a@b"}]


def test_an_unknown_extension_is_kept_when_schemas_lists_it(tenant: TenantClient) -> None:
    """RFC 7643 section 3.3: extensions are containers under their URN, listed in `schemas`."""
    kept = tenant.user("ann", schemas=[USER_URN, ACME_URN], **{ACME_URN: {"badge": {"colors": ["red"]}, "none": None}})
    dropped = tenant.user("bob", **{ACME_URN: {"badge": 1}})

    assert kept["schemas"] == [USER_URN, ACME_URN]
    assert kept[ACME_URN] == {"badge": {"colors": ["red"]}}
    assert tenant.get(path_of(kept)).json() == kept
    assert dropped["schemas"] == [USER_URN]
    assert ACME_URN not in dropped


def test_the_enterprise_extension_appears_in_schemas_when_it_holds_something(tenant: TenantClient) -> None:
    """RFC 7643 section 3: `schemas` names what is used."""
    used = tenant.user("ann", **{ENTERPRISE_URN: {"department": "Support", "manager": {"displayName": "Bob"}}})
    unused = tenant.user("bob", schemas=[USER_URN, ENTERPRISE_URN], **{ENTERPRISE_URN: {"department": None}})

    assert used["schemas"] == [USER_URN, ENTERPRISE_URN]
    assert used[ENTERPRISE_URN] == {"department": "Support"}  # manager.displayName is read-only
    assert unused["schemas"] == [USER_URN]


def test_a_password_is_accepted_and_never_returned(tenant: TenantClient) -> None:
    """RFC 7643 section 4.1.1: password is writeOnly and returned never."""
    created = tenant.post("/Users", user_body("ann", password="correct horse"))
    location = path_of(created.json())
    answers = [
        created,
        tenant.get(location),
        tenant.get(location, attributes="password"),
        tenant.put(location, user_body("ann", password="battery staple")),
        tenant.patch(location, {"op": "replace", "path": "password", "value": "battery staple"}),
        tenant.get("/Users"),
    ]

    assert all(answer.ok and "password" not in answer.text and "horse" not in answer.text for answer in answers)


@pytest.mark.parametrize(
    "attributes",
    [
        {"userName": None},
        {"userName": ""},
        {"userName": 7},
        {"active": "True"},
        {"active": 1},
        {"emails": {"value": "a@b"}},
        {"emails": ["a@b"]},
        {"emails": [{"value": 1}]},
        {"emails": [{"value": "a@b", "primary": "yes"}]},
        {"emails": [{"value": "a@b", "primary": True}, {"value": "c@d", "primary": True}]},
        {"name": "Ann"},
        {"name": [{"givenName": "Ann"}]},
        {"externalId": 5},
        {"profileUrl": {"value": "https://example.com"}},
        {"x509Certificates": [{"value": "not base64!"}]},
        {ENTERPRISE_URN: []},
        {ENTERPRISE_URN: {"department": {}}},
    ],
)
def test_a_value_that_does_not_fit_its_attribute_is_refused(tenant: TenantClient, attributes: dict[str, Any]) -> None:
    """RFC 7644 section 3.12: invalidValue, for POST and PUT alike."""
    user = tenant.user("bob")

    assert_error(tenant.post("/Users", user_body("ann") | attributes), 400, "invalidValue")
    assert_error(tenant.put(path_of(user), user_body("bob") | attributes), 400, "invalidValue")
    assert tenant.get(path_of(user)).json() == user


@pytest.mark.parametrize("schemas", [None, [], "x", [1], ["urn:ietf:params:scim:schemas:core:2.0:Group"], {}])
def test_a_body_that_does_not_name_its_schema_is_refused(tenant: TenantClient, schemas: Any) -> None:
    """RFC 7643 section 3: `schemas` is required and names the schema of the resource."""
    assert_error(tenant.post("/Users", user_body("ann") | {"schemas": schemas}), 400, "invalidSyntax")


def test_an_attribute_given_twice_under_different_case_is_refused(tenant: TenantClient) -> None:
    """RFC 7643 section 2.1: names differ not by case, so both would be the same attribute."""
    assert_error(tenant.post("/Users", user_body("ann", title="a", TITLE="b")), 400, "invalidSyntax")


@pytest.mark.parametrize("name", ["ANN@example.com", "ann@EXAMPLE.com"])
def test_user_names_are_unique_without_regard_to_case(tenant: TenantClient, name: str) -> None:
    """RFC 7643 section 4.1.1: userName is not case exact and unique on the server."""
    tenant.user("ann@example.com")
    bob = tenant.user("bob@example.com")

    assert_error(tenant.post("/Users", user_body(name)), 409, "uniqueness")
    assert_error(tenant.put(path_of(bob), user_body(name)), 409, "uniqueness")
    assert_error(tenant.patch(path_of(bob), {"op": "replace", "path": "userName", "value": name}), 409, "uniqueness")


def test_user_names_written_with_combining_characters_are_the_same_name(tenant: TenantClient) -> None:
    """RFC 7643 section 4.1.1 follows the PRECIS username profile, which composes characters."""
    tenant.user("ren\u00e9")

    assert_error(tenant.post("/Users", user_body("Rene\u0301")), 409, "uniqueness")


def test_external_ids_are_unique_within_a_kind(tenant: TenantClient) -> None:
    """The sandbox's decision: two live owners of one externalId are a defect that a service should not let in."""
    tenant.user("ann", externalId="x-1")
    tenant.group("Staff", externalId="x-1")

    assert_error(tenant.post("/Users", user_body("bob", externalId="x-1")), 409, "uniqueness")
    assert_error(tenant.post("/Groups", group_body("Other", externalId="x-1")), 409, "uniqueness")
    assert tenant.post("/Users", user_body("bob", externalId="X-1")).status_code == 201  # externalId is case exact


def test_group_names_are_unique_in_cxone_and_free_in_the_rfc(tenant: TenantClient, rfc_tenant: TenantClient) -> None:
    """RFC 7643 section 4.2 has no uniqueness for displayName; CXone finds groups by exact name (cxone.md section 4)."""
    tenant.group("Staff")
    rfc_tenant.group("Staff")

    assert_error(tenant.post("/Groups", group_body("STAFF")), 409, "uniqueness")
    assert rfc_tenant.post("/Groups", group_body("Staff")).status_code == 201


def test_a_resource_may_keep_its_own_unique_values(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.1: a PUT with the same userName is no conflict with itself."""
    user = tenant.user("ann", externalId="x-1")

    changed = tenant.put(path_of(user), user_body("ANN", externalId="x-1"))

    assert changed.status_code == 200
    assert changed.json()["userName"] == "ANN"


def test_put_replaces_everything_and_clears_what_it_leaves_out(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.1: omitted readWrite attributes are cleared; id and meta in the body are ignored."""
    user = tenant.user(
        "ann", externalId="x-1", title="Boss", active=True, **{ENTERPRISE_URN: {"department": "Support"}}
    )

    body = {"schemas": [USER_URN], "userName": "ann", "nickName": "A", "id": "other", "meta": {"version": "x"}}
    response = tenant.put(path_of(user), body)

    replaced = response.json()
    assert response.status_code == 200
    assert replaced == {
        "schemas": [USER_URN],
        "id": user["id"],
        "userName": "ann",
        "nickName": "A",
        "meta": {
            **user["meta"],
            "lastModified": replaced["meta"]["lastModified"],
            "version": response.headers["ETag"],
        },
    }
    assert replaced["meta"]["version"] != user["meta"]["version"]


def test_put_of_what_was_read_changes_nothing(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.1: the representation that was read is a valid body, and nothing in it is new."""
    user = tenant.user("ann", emails=[{"value": "a@b", "type": "work"}, {"value": "c@d", "type": "home"}])
    group = tenant.group("Staff", user)
    before = tenant.get(path_of(user)).json()

    assert tenant.put(path_of(user), before).json() == before
    assert tenant.put(path_of(user), {**before, "emails": before["emails"][::-1]}).json() == before
    assert tenant.put(path_of(group), group).json() == group


def test_put_never_creates(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.1."""
    assert_error(tenant.put("/Users/nobody", user_body("ann")), 404)
    assert tenant.find("/Users") == []


def test_a_deleted_resource_is_gone_for_every_operation(tenant: TenantClient) -> None:
    """RFC 7644 section 3.6: 204, afterwards 404, and its names are free again under a new id."""
    user = tenant.user("ann", externalId="x-1")
    location = path_of(user)

    response = tenant.delete(location)

    assert response.status_code == 204
    assert response.content == b""
    assert "Content-Type" not in response.headers
    assert_error(tenant.get(location), 404)
    assert_error(tenant.put(location, user_body("ann")), 404)
    assert_error(tenant.patch(location, {"op": "replace", "path": "active", "value": True}), 404)
    assert_error(tenant.delete(location), 404)
    assert tenant.find("/Users") == []
    assert tenant.user("ann", externalId="x-1")["id"] != user["id"]


def test_a_user_is_no_group(tenant: TenantClient) -> None:
    """RFC 7644 section 3.2: an id belongs to one endpoint."""
    user = tenant.user("ann")

    assert_error(tenant.get(f"/Groups/{user['id']}"), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_answers_to_writes_honour_attributes(tenant: TenantClient, method: str) -> None:
    """RFC 7644 section 3.9."""
    user = tenant.user("ann", title="Boss")
    path = "/Users" if method == "POST" else path_of(user)
    patch = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "remove", "path": "title"}],
    }
    body = patch if method == "PATCH" else user_body("bob")

    response = tenant.send(method, path, body, attributes="userName")

    assert response.json().keys() == {"schemas", "id", "userName"}
