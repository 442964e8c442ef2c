"""ServiceProviderConfig, ResourceTypes and Schemas (RFC 7643 sections 5 to 8, RFC 7644 section 4), in both shapes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import ENTERPRISE_URN, GROUP_URN, USER_URN, Json, TenantClient, assert_error

CORE = "urn:ietf:params:scim:schemas:core:2.0:"
CXONE_PATH = "//api/scim/v2/ServiceProviderConfig"


def test_the_configuration_tells_what_the_tenant_can(start_tenant: StartTenant) -> None:
    """RFC 7643 section 5."""
    full = start_tenant(max_operations=7, max_payload=4096, max_results=9).get("/ServiceProviderConfig").json()
    bare = start_tenant(
        supports_bulk=False, supports_patch=False, supports_etag=False, supports_filter=False, supports_sort=False
    )

    assert full["schemas"] == [f"{CORE}ServiceProviderConfig"]
    assert full["bulk"] == {"supported": True, "maxOperations": 7, "maxPayloadSize": 4096}
    assert full["filter"] == {"supported": True, "maxResults": 9}
    assert all(full[name] == {"supported": True} for name in ("patch", "sort", "etag"))
    assert full["changePassword"] == {"supported": False}
    assert {"type", "name", "description"} <= full["authenticationSchemes"][0].keys()
    assert full["meta"]["resourceType"] == "ServiceProviderConfig"
    config = bare.get("/ServiceProviderConfig").json()
    assert not any(config[name]["supported"] for name in ("bulk", "patch", "etag", "filter", "sort"))


def test_the_resource_types_are_users_and_groups(tenant: TenantClient) -> None:
    """RFC 7643 section 6."""
    users, groups = tenant.find("/ResourceTypes")

    assert (users["name"], users["endpoint"], users["schema"]) == ("User", "/Users", USER_URN)
    assert users["schemaExtensions"] == [{"schema": ENTERPRISE_URN, "required": False}]
    assert (groups["name"], groups["endpoint"], groups["schema"]) == ("Group", "/Groups", GROUP_URN)
    assert tenant.get("/ResourceTypes/User").json() == users
    assert_error(tenant.get("/ResourceTypes/Widget"), 404)


def test_the_schemas_are_complete_and_readable_by_urn(tenant: TenantClient) -> None:
    """RFC 7643 sections 7 and 8.7."""
    schemas = {schema["id"]: schema for schema in tenant.find("/Schemas")}

    assert schemas.keys() == {
        USER_URN,
        GROUP_URN,
        ENTERPRISE_URN,
        *(f"{CORE}{name}" for name in ("ServiceProviderConfig", "ResourceType", "Schema")),
    }
    for urn, schema in schemas.items():
        assert schema["schemas"] == [f"{CORE}Schema"]
        assert tenant.get(f"/Schemas/{urn}").json() == schema
    assert_error(tenant.get("/Schemas/urn:nothing"), 404)


def _all_attributes(attributes: list[Json]) -> list[Json]:
    return [found for item in attributes for found in (item, *_all_attributes(item.get("subAttributes", [])))]


def test_every_attribute_definition_has_its_characteristics(tenant: TenantClient) -> None:
    """RFC 7643 section 7; no complex attribute inside another one (erratum 8415)."""
    for schema in tenant.find("/Schemas"):
        for attribute in _all_attributes(schema["attributes"]):
            wanted = {"name", "type", "multiValued", "description", "required", "mutability", "returned"}
            simple = attribute["type"] not in ("complex", "boolean")
            assert wanted | ({"caseExact", "uniqueness"} if simple else set()) <= attribute.keys()
            assert ("subAttributes" in attribute) is (attribute["type"] == "complex")
            assert ("referenceTypes" in attribute) is (attribute["type"] == "reference")
            assert attribute["description"]
        if schema["id"] != f"{CORE}Schema":
            nested = [sub for item in schema["attributes"] for sub in item.get("subAttributes", [])]
            assert all(sub["type"] != "complex" for sub in nested)


@pytest.mark.parametrize(
    ("urn", "names"),
    [
        (
            USER_URN,
            """
            userName name displayName nickName profileUrl title userType preferredLanguage locale timezone active
            password emails phoneNumbers ims photos addresses groups entitlements roles x509Certificates
            """,
        ),
        (GROUP_URN, "displayName members"),
        (ENTERPRISE_URN, "employeeNumber costCenter organization division department manager"),
    ],
)
def test_the_schemas_define_the_attributes_of_the_rfc(tenant: TenantClient, urn: str, names: str) -> None:
    """RFC 7643 section 8.7.1."""
    schema = tenant.get(f"/Schemas/{urn}").json()

    assert [attribute["name"] for attribute in schema["attributes"]] == names.split()


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"])
def test_discovery_ignores_paging_and_refuses_filters_and_writes(tenant: TenantClient, path: str) -> None:
    """RFC 7644 section 4: paging and sorting are ignored, a filter is 403; there is nothing but GET."""
    assert tenant.get(path, startIndex=2, count=0, sortBy="name").json() == tenant.get(path).json()
    assert_error(tenant.get(path, filter='name eq "User"'), 403)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = tenant.send(method, path, {})
        assert_error(response, 405)
        assert "GET" in response.headers["Allow"]


class TestWritableConfiguration:
    """ServiceProviderConfig in the shape of CXone (cxone.md section 7)."""

    def test_it_is_the_document_of_the_topic(self, tenant: TenantClient) -> None:
        """Fields and values of cxone.md section 7; the etag has quotes in the header and none in the body."""
        response = tenant.get(CXONE_PATH)

        document = response.json()
        assert response.headers["ETag"] == f'"{document["etag"]}"'
        assert document["productName"] == "NICE CXone Identity Gateway"
        assert document["schemasSupported"] == [USER_URN, GROUP_URN, ENTERPRISE_URN]
        assert document["bulkConfig"] == {"supported": True, "maxOperations": 1000, "maxPayloadSize": 10485760}
        assert document["filterConfig"] == {"supported": True, "maxResults": 100}
        assert document["authenticationSchemes"][0]["type"] == "oauthClient"
        assert tenant.get(CXONE_PATH, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304

    def test_a_put_is_read_back_as_it_was_sent(self, tenant: TenantClient) -> None:
        """Whole-document replace; verified when the GET equals what was sent apart from `etag`."""
        before = tenant.get(CXONE_PATH)
        document = {**before.json(), "supportEmail": "help@example.com", "productName": "Other"}

        response = tenant.put(CXONE_PATH, document, before.headers["ETag"])

        after = tenant.get(CXONE_PATH)
        assert response.status_code == 200
        assert response.headers["ETag"] == after.headers["ETag"] != before.headers["ETag"]
        assert {**after.json(), "etag": ""} == {**document, "etag": ""}

    def test_a_put_of_the_same_document_keeps_the_etag(self, tenant: TenantClient) -> None:
        """RFC 9110 section 8.8.3: same content, same tag."""
        before = tenant.get(CXONE_PATH)

        assert tenant.put(CXONE_PATH, before.json()).headers["ETag"] == before.headers["ETag"]

    def test_a_stale_etag_is_refused(self, tenant: TenantClient) -> None:
        """cxone.md C3: unconditional overwriting is a defect; here the guard works."""
        before = tenant.get(CXONE_PATH)
        tenant.put(CXONE_PATH, {**before.json(), "productName": "Meanwhile"})

        assert_error(tenant.put(CXONE_PATH, before.json(), before.headers["ETag"]), 412)
        assert tenant.get(CXONE_PATH).json()["productName"] == "Meanwhile"

    def test_limits_hold_from_then_on_and_show_in_the_other_shape(self, tenant: TenantClient) -> None:
        """RFC 7643 section 5 and cxone.md section 7 describe one tenant."""
        document = tenant.get(CXONE_PATH).json()
        document["bulkConfig"] = {"supported": True, "maxOperations": 1, "maxPayloadSize": 2000}
        document["filterConfig"] = {"supported": True, "maxResults": 1}
        for name in ("ann", "bob"):
            tenant.user(name)

        tenant.put(CXONE_PATH, document)

        rfc = tenant.get("/ServiceProviderConfig").json()
        assert rfc["bulk"] == document["bulkConfig"]
        assert rfc["filter"] == document["filterConfig"]
        assert len(tenant.find("/Users")) == 1
        delete = {"method": "DELETE", "path": "/Users/ann"}
        assert "maxOperations (1)" in assert_error(tenant.bulk(delete, delete), 413)["detail"]

    @pytest.mark.parametrize(("name", "refused"), [("bulkConfig", "/Bulk"), ("filterConfig", "/Users?filter=title+pr")])
    def test_a_feature_can_be_switched_off(self, tenant: TenantClient, name: str, refused: str) -> None:
        """RFC 7644 section 3.12: 501 for what the configuration denies."""
        tenant.put(CXONE_PATH, {**tenant.get(CXONE_PATH).json(), name: {"supported": False}})

        method = "POST" if refused == "/Bulk" else "GET"
        assert_error(tenant.send(method, refused, {"Operations": []} if method == "POST" else None), 501)

    @pytest.mark.parametrize(
        "change",
        [
            {"schemas": []},
            {"schemas": None},
            {"schemas": [USER_URN]},
            {"schemas": [f"{CORE}ServiceProviderConfig", USER_URN]},
            {"productName": None},
            {"vendorName": 5},
            {"supportEmail": []},
            {"schemasSupported": None},
            {"schemasSupported": [USER_URN, "urn:acme:other"]},
            {"schemasSupported": [1]},
            {"authenticationSchemes": []},
            {"authenticationSchemes": None},
            {"authenticationSchemes": ["x"]},
            {"authenticationSchemes": [{"name": "x"}]},
            {"authenticationSchemes": [{"type": "oauthClient"}]},
            {"bulkConfig": None},
            {"bulkConfig": {"supported": "yes"}},
            {"bulkConfig": {"supported": True}},
            {"bulkConfig": {"supported": True, "maxOperations": 0, "maxPayloadSize": 1}},
            {"bulkConfig": {"supported": True, "maxOperations": 5001, "maxPayloadSize": 1}},
            {"bulkConfig": {"supported": True, "maxOperations": "5", "maxPayloadSize": 1}},
            {"bulkConfig": {"supported": True, "maxOperations": 5, "maxPayloadSize": 0}},
            {"filterConfig": {"supported": True, "maxResults": 0}},
            {"filterConfig": {"supported": True, "maxResults": 1001}},
            {"filterConfig": {"supported": True, "maxResults": True}},
            {"sortConfig": "yes"},
            {"changePasswordConfig": {}},
        ],
    )
    def test_an_invalid_document_is_refused_and_changes_nothing(self, tenant: TenantClient, change: Json) -> None:
        """cxone.md section 7, validation before PUT."""
        before = tenant.get(CXONE_PATH).json()

        assert_error(tenant.put(CXONE_PATH, {**before, **change}), 400)
        assert tenant.get(CXONE_PATH).json() == before

    @pytest.mark.parametrize("limits", [(1, 1), (5000, 1000)])
    def test_the_ends_of_the_allowed_ranges_are_allowed(self, tenant: TenantClient, limits: tuple[int, int]) -> None:
        """cxone.md section 9."""
        document: dict[str, Any] = tenant.get(CXONE_PATH).json()
        document["bulkConfig"] = {"supported": True, "maxOperations": limits[0], "maxPayloadSize": 1}
        document["filterConfig"] = {"supported": True, "maxResults": limits[1]}

        assert tenant.put(CXONE_PATH, document).status_code == 200

    def test_it_is_there_for_cxone_alone_and_only_read_and_replaced(
        self, tenant: TenantClient, rfc_tenant: TenantClient
    ) -> None:
        """RFC 7644 section 4 knows GET on `/ServiceProviderConfig` only."""
        assert_error(rfc_tenant.get(CXONE_PATH), 404)
        for method in ("POST", "PATCH", "DELETE"):
            assert_error(tenant.send(method, CXONE_PATH, {}), 405)
