"""Entity tags, If-Match and If-None-Match (RFC 7644 section 3.14, RFC 9110 sections 8.8.3 and 13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import Json, TenantClient, assert_error, path_of, user_body

Write = Callable[[TenantClient, Json, str], requests.Response]

WRITES: dict[str, Write] = {
    "PUT": lambda tenant, user, version: tenant.put(path_of(user), user_body("ann", title="New"), version),
    "PATCH": lambda tenant, user, version: tenant.patch(
        path_of(user), {"op": "add", "path": "title", "value": "New"}, version=version
    ),
    "DELETE": lambda tenant, user, version: tenant.delete(path_of(user), version),
}


@pytest.fixture(params=list(WRITES))
def write(request: pytest.FixtureRequest) -> Write:
    """Each of the writes that versions guard."""
    return WRITES[request.param]


def test_versions_are_strong_and_quoted(tenant: TenantClient) -> None:
    """RFC 9110 section 8.8.3: an entity tag is a quoted string, weak only with W/."""
    version = tenant.user("ann")["meta"]["version"]

    assert version[0] == version[-1] == '"'
    assert len(version) > 2


def test_a_write_with_the_current_version_goes_through(tenant: TenantClient, write: Write) -> None:
    """RFC 7644 section 3.14."""
    user = tenant.user("ann")

    assert write(tenant, user, user["meta"]["version"]).ok


@pytest.mark.parametrize("version", ['"stale"', 'W/"{0}"', "{0}", "", '"a", "b"', '"', "W/*"])
def test_a_write_with_another_version_is_refused_and_changes_nothing(
    tenant: TenantClient, write: Write, version: str
) -> None:
    """RFC 9110 section 13.1.1: If-Match compares strongly, so that even the weak form of the right tag fails."""
    user = tenant.user("ann")
    tag = user["meta"]["version"].strip('"')

    assert_error(write(tenant, user, version.format(tag)), 412)
    assert tenant.get(path_of(user)).json() == user


@pytest.mark.parametrize("version", ["*", '"stale", {0}', "{0} , W/{0}"])
def test_any_version_and_lists_of_versions_are_understood(tenant: TenantClient, write: Write, version: str) -> None:
    """RFC 9110 section 13.1.1: `*` means that the resource exists; a list needs one match."""
    user = tenant.user("ann")

    assert write(tenant, user, version.format(user["meta"]["version"])).ok


def test_two_writers_with_the_same_version_cannot_both_win(tenant: TenantClient) -> None:
    """RFC 7644 section 3.14: the lost update that versions are for."""
    user = tenant.user("ann")
    version = user["meta"]["version"]

    first = tenant.put(path_of(user), user_body("ann", title="First"), version)
    second = tenant.put(path_of(user), user_body("ann", title="Second"), version)

    assert first.status_code == 200
    assert first.headers["ETag"] != version
    assert_error(second, 412)


def test_a_resource_that_did_not_change_is_not_sent_again(tenant: TenantClient) -> None:
    """RFC 7644 section 3.14: 304 on If-None-Match, which compares weakly."""
    user = tenant.user("ann")
    version = user["meta"]["version"]

    for tag in (version, f"W/{version}", f'"x", {version}', "*"):
        response = tenant.get(path_of(user), headers={"If-None-Match": tag})
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", version)
    assert tenant.get(path_of(user), headers={"If-None-Match": '"other"'}).status_code == 200
    assert_error(tenant.get(path_of(user), headers={"If-Match": '"other"'}), 412)


def test_if_none_match_star_keeps_a_put_from_overwriting(tenant: TenantClient) -> None:
    """RFC 9110 section 13.1.2: only if nothing is there."""
    user = tenant.user("ann")

    response = tenant.send("PUT", path_of(user), user_body("ann", title="x"), headers={"If-None-Match": "*"})

    assert_error(response, 412)


def test_an_absent_resource_is_not_found_whatever_the_version(tenant: TenantClient, write: Write) -> None:
    """RFC 7644 section 3.12: 404 says more than 412."""
    assert_error(write(tenant, {"id": "nobody", "meta": {"resourceType": "User"}}, "*"), 404)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "title", "value": "Boss"},
        {"op": "add", "path": "emails", "value": [{"value": "a@b", "type": "work"}]},
        {"op": "remove", "path": "nickName"},
        {"op": "add", "value": {"title": "Boss"}},
        {"op": "remove", "path": 'emails[type eq "home"]'},
        {"op": "replace", "path": "emails", "value": [{"value": "c@d"}, {"value": "a@b", "type": "work"}]},
    ],
)
def test_a_write_without_effect_keeps_version_and_time(tenant: TenantClient, operation: dict[str, Any]) -> None:
    """RFC 7644 section 3.5.2.1: a value that is there already changes neither lastModified nor the version."""
    user = tenant.user("ann", title="Boss", emails=[{"value": "a@b", "type": "work"}, {"value": "c@d"}])

    response = tenant.patch(path_of(user), operation)

    assert response.status_code == 200
    assert response.json() == user


def test_versions_of_different_resources_are_different(tenant: TenantClient) -> None:
    """Not asked by the RFC; it shows clients that mix up versions."""
    assert tenant.user("ann")["meta"]["version"] != tenant.user("bob")["meta"]["version"]


def test_a_tenant_without_versions_shows_none_and_ignores_them(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.14: support is optional, and ServiceProviderConfig says so."""
    tenant = start_tenant(supports_etag=False)
    user = tenant.user("ann")

    response = tenant.get(path_of(user), headers={"If-None-Match": "*"})

    assert "version" not in user["meta"]
    assert response.status_code == 200
    assert "ETag" not in response.headers
    assert tenant.put(path_of(user), user_body("ann", title="x"), '"wrong"').status_code == 200
    assert tenant.get("/ServiceProviderConfig").json()["etag"] == {"supported": False}
    assert "ETag" not in tenant.get("//api/scim/v2/ServiceProviderConfig").headers
