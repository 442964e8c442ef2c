"""Bulk requests (RFC 7644 section 3.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import (
    BULK_URN,
    PATCH_URN,
    USER_URN,
    Json,
    TenantClient,
    assert_error,
    group_body,
    path_of,
    user_body,
)


def _post(name: str, **data: Any) -> Json:
    return {"method": "POST", "path": "/Users", "bulkId": name, "data": user_body(name, **data)}


def _post_group(name: str, *references: str) -> Json:
    members = [{"value": f"bulkId:{reference}"} for reference in references]
    return {"method": "POST", "path": "/Groups", "bulkId": name, "data": group_body(name, members=members)}


def _statuses(results: list[Json]) -> list[str]:
    return [result["status"] for result in results]


def _members(tenant: TenantClient) -> dict[str, list[str]]:
    """The names of the members of every group."""
    return {
        group["displayName"]: sorted(member["display"] for member in group["members"])
        for group in tenant.find("/Groups")
    }


def test_every_method_has_its_result(rfc_tenant: TenantClient) -> None:
    """RFC 7644 section 3.7: status as string, location, version, bulkId of a POST."""
    tenant = rfc_tenant
    ann, bob, cyd = (tenant.user(name) for name in ("ann", "bob", "cyd"))
    patch = {"schemas": [PATCH_URN], "Operations": [{"op": "add", "path": "title", "value": "x"}]}

    response = tenant.bulk(
        _post("dan"),
        {"method": "PUT", "path": path_of(ann), "data": user_body("ann", title="x"), "version": ann["meta"]["version"]},
        {"method": "PATCH", "path": path_of(bob), "data": patch},
        {"method": "DELETE", "path": path_of(cyd)},
    )

    users = {user["userName"]: user for user in tenant.find("/Users")}
    assert response.status_code == 200
    assert response.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]
    assert response.json()["Operations"] == [
        {
            "method": "POST",
            "bulkId": "dan",
            "location": users["dan"]["meta"]["location"],
            "version": users["dan"]["meta"]["version"],
            "status": "201",
        },
        {
            "method": "PUT",
            "location": ann["meta"]["location"],
            "version": users["ann"]["meta"]["version"],
            "status": "200",
        },
        {
            "method": "PATCH",
            "location": bob["meta"]["location"],
            "version": users["bob"]["meta"]["version"],
            "status": "200",
        },
        {"method": "DELETE", "location": cyd["meta"]["location"], "status": "204"},
    ]
    assert users.keys() == {"ann", "bob", "dan"}
    assert users["ann"]["title"] == users["bob"]["title"] == "x"


def test_the_answer_is_200_also_when_every_operation_failed(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.3: errors are in the results, with `response`; a failed POST has no location."""
    tenant.user("ann")

    taken, broken, absent = tenant.results(
        _post("ANN"),
        _post("bob", active="yes"),
        {"method": "DELETE", "path": "/Users/nobody"},
    )

    assert (taken["status"], taken["response"]["scimType"]) == ("409", "uniqueness")
    assert (broken["status"], broken["response"]["scimType"]) == ("400", "invalidValue")
    assert absent["status"] == absent["response"]["status"] == "404"
    assert absent["location"] == f"{tenant.server.base_url}/Users/nobody"
    assert "location" not in taken | broken
    assert all(
        result["response"]["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"] for result in (taken, absent)
    )


def test_a_failed_operation_leaves_the_others_alone(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7: without failOnErrors the service does as much as it can."""
    assert _statuses(tenant.results(_post("ann"), _post("ANN"), _post("bob"))) == ["201", "409", "201"]
    assert [user["userName"] for user in tenant.find("/Users")] == ["ann", "bob"]


@pytest.mark.parametrize(("limit", "ran"), [(1, 2), (2, 4), (3, 5)])
def test_fail_on_errors_ends_the_run_and_the_rest_is_missing(tenant: TenantClient, limit: int, ran: int) -> None:
    """RFC 7644 section 3.7.3: after that many errors nothing more is processed or returned."""
    tenant.user("taken")
    operations = [_post("a"), _post("taken"), _post("b"), _post("Taken"), _post("c")]

    results = tenant.results(*operations, failOnErrors=limit)

    assert _statuses(results) == ["201", "409", "201", "409", "201"][:ran]
    assert len(tenant.find("/Users")) == 1 + _statuses(results).count("201")


def test_a_stale_version_is_a_412_in_the_result(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7: `version` guards an operation as If-Match guards a request."""
    ann, bob = tenant.user("ann"), tenant.user("bob")
    tenant.put(path_of(ann), user_body("ann", title="meanwhile"))
    patch = {"schemas": [PATCH_URN], "Operations": [{"op": "add", "path": "title", "value": "x"}]}

    results = tenant.results(
        {"method": "PUT", "path": path_of(ann), "version": ann["meta"]["version"], "data": user_body("ann")},
        {"method": "PATCH", "path": path_of(ann), "version": ann["meta"]["version"], "data": patch},
        {"method": "DELETE", "path": path_of(ann), "version": ann["meta"]["version"]},
        {"method": "PATCH", "path": path_of(ann), "version": "", "data": patch},
        {"method": "DELETE", "path": path_of(bob), "version": bob["meta"]["version"]},
    )

    assert _statuses(results) == ["412", "412", "412", "412", "204"]
    assert tenant.get(path_of(ann)).json()["title"] == "meanwhile"


def test_the_version_in_a_result_is_the_one_a_later_write_needs(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.3."""
    (created,) = tenant.results(_post("ann"))
    path = created["location"].removeprefix(tenant.server.base_url)

    assert tenant.put(path, user_body("ann", title="x"), created["version"]).status_code == 200


def test_references_reach_back_and_forward(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.2: bulkId stands for the id of what another operation creates, wherever that one stands."""
    results = tenant.results(
        _post_group("Outer", "Inner", "ann"),
        _post("ann"),
        _post_group("Inner", "bob"),
        _post("bob"),
    )

    assert [result["bulkId"] for result in results] == ["Outer", "ann", "Inner", "bob"]
    assert _statuses(results) == ["201"] * 4
    assert _members(tenant) == {"Outer": ["Inner", "ann"], "Inner": ["bob"]}


def test_references_work_in_paths_filters_and_patches(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.2: also where an operation goes to."""
    group = tenant.group("Staff")
    add = {"schemas": [PATCH_URN], "Operations": [{"op": "add", "path": "members", "value": [{"value": "bulkId:ann"}]}]}
    remove = {"schemas": [PATCH_URN], "Operations": [{"op": "remove", "path": 'members[value eq "bulkId:bob"]'}]}
    title = {"schemas": [PATCH_URN], "Operations": [{"op": "add", "path": "title", "value": "Boss"}]}

    results = tenant.results(
        {"method": "PATCH", "path": path_of(group), "data": add},
        _post("ann"),
        {"method": "PATCH", "path": path_of(group), "data": json.loads(json.dumps(add).replace("ann", "bob"))},
        _post("bob"),
        {"method": "PATCH", "path": path_of(group), "data": remove},
        {"method": "PATCH", "path": "/Users/bulkId:ann", "data": title},
    )

    assert _statuses(results) == ["200", "201", "200", "201", "200", "200"]
    assert _members(tenant) == {"Staff": ["ann"]}
    assert tenant.find("/Users", filter='userName eq "ann"')[0]["title"] == "Boss"


def test_a_chain_of_references_may_be_longer_than_any_stack(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.7.2; each group waits for the next one."""
    tenant = start_tenant(max_operations=3000, profile="rfc7644")
    length = 2000
    operations = [_post_group(f"g{number}", f"g{number + 1}") for number in range(length)]

    results = tenant.results(*operations, _post_group(f"g{length}"))

    assert set(_statuses(results)) == {"201"}


def test_a_circle_of_references_ends_in_409(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.1: circular references are attempted and may fail with 409; the others go through."""
    results = tenant.results(_post_group("A", "B"), _post_group("B", "C"), _post_group("C", "A"), _post("ann"))

    assert _statuses(results) == ["409", "409", "409", "201"]
    assert tenant.find("/Groups") == []


def test_an_operation_that_refers_to_itself_ends_in_409(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.1."""
    assert _statuses(tenant.results(_post_group("A", "A"))) == ["409"]


def test_what_refers_to_a_failed_operation_fails(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7.2: there is no id to put in."""
    tenant.user("ann")

    results = tenant.results(_post_group("Staff", "ann"), _post("ann"), _post_group("Lost", "nobody"))

    assert _statuses(results) == ["409", "409", "400"]
    assert "'nobody'" in results[2]["response"]["detail"]
    assert tenant.find("/Groups") == []


def test_a_bulk_id_used_twice_counts_once(tenant: TenantClient) -> None:
    """RFC 7644 section 3.7: bulkId is unique within a request."""
    results = tenant.results(_post("a"), {**_post("b"), "bulkId": "a"})

    assert _statuses(results) == ["201", "400"]


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"method": "GET", "path": "/Users/x"}, "400"),
        ({"method": "POST", "path": "/Users", "bulkId": "x"}, "400"),
        ({"method": "POST", "path": "/Users", "bulkId": "x", "data": []}, "400"),
        ({"method": "POST", "path": "/Users/x", "bulkId": "x", "data": {}}, "400"),
        ({"method": "POST", "path": "/Users", "data": {}}, "400"),
        ({"method": "PUT", "path": "/Users", "data": {}}, "400"),
        ({"method": "PUT", "path": "/Users/x"}, "400"),
        ({"method": "DELETE", "path": "Users/x"}, "400"),
        ({"method": "DELETE"}, "400"),
        ({"method": "DELETE", "path": 7}, "400"),
        ({"method": "DELETE", "path": "/Widgets/x"}, "404"),
        ({"method": "DELETE", "path": "/Users/x/y"}, "404"),
        ({"method": "DELETE", "path": "/Users/x", "version": 5}, "400"),
        ({"path": "/Users/x"}, "400"),
        ({}, "400"),
    ],
)
def test_a_malformed_operation_fails_alone(tenant: TenantClient, operation: Json, status: str) -> None:
    """RFC 7644 section 3.7.3: each operation has its own status."""
    assert _statuses(tenant.results(operation, _post("ann"))) == [status, "201"]


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"Operations": None},
        {"Operations": {}},
        {"Operations": ["x"]},
        {"operations": []},
        {"Operations": [], "failOnErrors": 0},
        {"Operations": [], "failOnErrors": "1"},
        {"Operations": [], "failOnErrors": True},
        {"Operations": [], "schemas": [USER_URN]},
        {"Operations": [], "schemas": BULK_URN},
    ],
)
def test_a_malformed_envelope_is_refused(tenant: TenantClient, envelope: Json) -> None:
    """RFC 7644 section 3.7; capital O is required (cxone.md section 5)."""
    assert_error(tenant.post("/Bulk", {"schemas": [BULK_URN], **envelope}), 400)


def test_cxone_takes_a_request_without_schemas_and_correlates_by_id(
    tenant: TenantClient, rfc_tenant: TenantClient
) -> None:
    """cxone.md D9, D10 and D8: `id` is echoed, `schemas` may be absent, the path may carry its prefix."""
    operation = {"id": "op-1", "method": "POST", "path": "/scim/v2/Users", "data": user_body("ann")}

    results = tenant.post("/Bulk", {"Operations": [operation]}).json()["Operations"]

    assert [(result["id"], result["status"]) for result in results] == [("op-1", "201")]
    assert_error(rfc_tenant.post("/Bulk", {"Operations": [operation]}), 400, "invalidSyntax")
    operation["path"] = "/Users"
    assert _statuses(rfc_tenant.results(operation)) == ["400"]  # bulkId is required there
    operation["bulkId"] = "b-1"
    assert _statuses(rfc_tenant.results({**operation, "path": "/scim/v2/Users"})) == ["404"]
    (both,) = rfc_tenant.results(operation)
    assert (both["id"], both["bulkId"], both["status"]) == ("op-1", "b-1", "201")


def test_paths_are_percent_encoded_like_any_url(tenant: TenantClient) -> None:
    """RFC 3986 section 2.1; a userName as key (cxone.md D16) has an `@`, and may have a blank."""
    tenant.user("ann lee@example.com")
    operation = {"bulkId": "b-1", "method": "DELETE", "path": "/Users/ann%20lee%40example.com"}

    assert _statuses(tenant.results(operation)) == ["204"]


def test_more_operations_than_allowed_are_refused_whole(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.7.4: 413 that names the limit."""
    tenant = start_tenant(max_operations=2)

    error = assert_error(tenant.bulk(_post("a"), _post("b"), _post("c")), 413)

    assert "maxOperations (2)" in error["detail"]
    assert tenant.find("/Users") == []
    assert _statuses(tenant.results(_post("a"), _post("b"))) == ["201", "201"]


def test_a_bigger_payload_than_allowed_is_refused_whole(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.7.4."""
    tenant = start_tenant(max_payload=500)

    error = assert_error(tenant.bulk(_post("a", title="x" * 500)), 413)

    assert "maxPayloadSize (500)" in error["detail"]
    assert _statuses(tenant.results(_post("a"))) == ["201"]


def test_a_tenant_without_bulk_says_so(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.12: 501."""
    tenant = start_tenant(supports_bulk=False)

    assert_error(tenant.bulk(_post("a")), 501)
    assert tenant.get("/ServiceProviderConfig").json()["bulk"]["supported"] is False


def test_a_tenant_without_versions_gives_none(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.14."""
    tenant = start_tenant(supports_etag=False)

    assert "version" not in tenant.results(_post("a"))[0]


def test_a_thousand_users_and_their_groups_load_in_one_request_each(tenant: TenantClient) -> None:
    """cxone.md section 7: a tenant takes 1000 operations."""
    users = tenant.results(*(_post(f"user-{number}") for number in range(1000)))
    ids = [{"id": result["location"].rpartition("/")[2]} for result in users]
    groups = [
        {"method": "POST", "path": "/Groups", "bulkId": f"g{start}", "data": group_body(f"g{start}", *ids[start::10])}
        for start in range(10)
    ]

    assert set(_statuses(tenant.results(*groups))) == {"201"}
    assert [len(names) for names in _members(tenant).values()] == [100] * 10
    assert tenant.get("/Users", count=0).json()["totalResults"] == 1000
