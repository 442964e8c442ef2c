"""HTTP itself: methods, media types, authentication, malformed bodies (RFC 7644 sections 2, 3.1, 3.8, 3.12)."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from reconciler.sandbox.app import Application
from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.service import open_service
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import USER_URN, TenantClient, assert_error, path_of, user_body


class TestAuthentication:
    """The static bearer token (RFC 7644 section 2, RFC 6750)."""

    @pytest.mark.parametrize(
        "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic c2VjcmV0", "secret", "Bearer s\u00e9cret"]
    )
    @pytest.mark.parametrize("path", ["/Users", "/ServiceProviderConfig", "/nothing"])
    def test_without_the_token_there_is_nothing_but_401(
        self, start_tenant: StartTenant, header: str | None, path: str
    ) -> None:
        """RFC 6750 section 3: with WWW-Authenticate; also for paths that do not exist."""
        tenant = start_tenant(token="secret")
        del tenant.session.headers["Authorization"]
        headers = {} if header is None else {"Authorization": header.encode()}

        response = tenant.get(path, headers=headers)

        assert_error(response, 401)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_with_the_token_it_answers(self, start_tenant: StartTenant, scheme: str) -> None:
        """RFC 9110 section 11.1: the scheme has no case."""
        tenant = start_tenant(token="secret")

        assert tenant.get("/Users", headers={"Authorization": f"{scheme} secret"}).status_code == 200

    def test_a_tenant_without_token_asks_for_none(self, tenant: TenantClient) -> None:
        """The static token is optional."""
        assert tenant.get("/Users").status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/Users/a/b", "/users", "//", "//scim/v3/Users", "//_sandbox/requests"])
def test_an_unknown_path_is_not_found(tenant: TenantClient, path: str) -> None:
    """RFC 7644 section 3.12."""
    assert_error(tenant.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/Users", "GET, HEAD, POST"),
        ("DELETE", "/Groups", "GET, HEAD, POST"),
        ("POST", "/Users/x", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", "/Bulk", "POST"),
        ("TRACE", "/Users", "GET, HEAD, POST"),
        ("BREW", "/Users", "GET, HEAD, POST"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    tenant: TenantClient, method: str, path: str, allowed: str
) -> None:
    """RFC 9110 section 15.5.6: 405 names what is allowed."""
    response = tenant.send(method, path)

    assert_error(response, 405)
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_there_is_no_me(tenant: TenantClient, method: str) -> None:
    """RFC 7644 section 3.11: 501 for a service without the alias."""
    assert_error(tenant.send(method, "/Me", {}), 501)


def test_head_answers_like_get_without_the_body(tenant: TenantClient) -> None:
    """RFC 9110 section 9.3.2."""
    user = tenant.user("ann")

    response = tenant.send("HEAD", path_of(user))

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["ETag"] == user["meta"]["version"]


def test_a_trailing_slash_does_not_matter(tenant: TenantClient) -> None:
    """Not asked by the RFC; a redirect would lose the body of a POST."""
    assert tenant.post("/Users/", user_body("ann")).status_code == 201
    assert len(tenant.find("/Users/")) == 1


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/scim+json", 201),
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("Application/SCIM+JSON", 201),
        ("", 201),
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_bodies_come_as_json(tenant: TenantClient, media_type: str, status: int) -> None:
    """RFC 7644 section 3.1: application/scim+json, and application/json should be accepted."""
    body = json.dumps(user_body("ann")).encode()

    response = tenant.send("POST", "/Users", body, headers={"Content-Type": media_type})

    assert response.status_code == status
    if status != 201:
        assert_error(response, status)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/scim+json"),
        ("application/scim+json", "application/scim+json"),
        ("application/json", "application/json"),
        ("application/scim+json, application/json", "application/scim+json"),
        ("text/html", "application/scim+json"),
    ],
)
def test_answers_come_in_the_media_type_that_is_understood(tenant: TenantClient, accept: str, media_type: str) -> None:
    """RFC 7644 section 3.8; cxone.md D7: some topics ask for application/json."""
    assert tenant.get("/Users", headers={"Accept": accept}).headers["Content-Type"] == media_type


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"userName": "a", "userName": "b"}',
        b'{"name": {"givenName": "a", "givenName": "b"}}',
        b'{"userName": "\xff"}',
        b'{"userName": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'\xef\xbb\xbf{"userName": "a"}',
        '{"userName": "a"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"a":' + b"[" * 60 + b"]" * 60 + b"}",
    ],
)
@pytest.mark.parametrize("path", ["/Users", "/Bulk", "/.search", "//api/scim/v2/ServiceProviderConfig"])
def test_what_is_no_json_object_is_refused(tenant: TenantClient, path: str, body: bytes) -> None:
    """RFC 7644 section 3.12: invalidSyntax; never a 500, whatever the body."""
    method = "PUT" if path.startswith("//") else "POST"

    assert_error(tenant.send(method, path, body), 400, "invalidSyntax")


def test_a_surrogate_pair_is_a_character(tenant: TenantClient) -> None:
    """RFC 8259 section 7."""
    body = json.dumps(user_body("\U0001f600")).encode()

    assert b"\\ud83d\\ude00" in body
    assert tenant.send("POST", "/Users", body).json()["userName"] == "\U0001f600"


def test_a_control_character_in_a_value_stays_a_value(tenant: TenantClient) -> None:
    """The mark that stands for the base URL in stored text cannot be forged."""
    user = tenant.user("ann\u0001\u0000", displayName="\u0001/Users")
    group = tenant.group("Staff", user)

    assert tenant.get(path_of(user)).json()["displayName"] == "\u0001/Users"
    assert group["members"][0]["display"] == "\u0001/Users"
    assert len(tenant.find("/Users", filter='userName eq "ann\\u0001\\u0000"')) == 1


def test_a_body_over_the_limit_is_refused(start_tenant: StartTenant) -> None:
    """RFC 9110 section 15.5.14: 413, as SCIM error."""
    tenant = start_tenant(max_payload=1000)

    error = assert_error(tenant.post("/Users", user_body("ann", title="x" * 1000)), 413)

    assert "(1000)" in error["detail"]
    assert tenant.get("/Users").status_code == 200


def test_a_chunked_body_is_read_and_measured(start_tenant: StartTenant) -> None:
    """RFC 9112 section 7.1: no Content-Length is no way around the limit."""
    tenant = start_tenant(max_payload=1000)
    headers = {"Content-Type": "application/scim+json"}
    url = f"{tenant.server.base_url}/Users"

    small = tenant.session.post(url, data=iter([json.dumps(user_body("ann")).encode()]), headers=headers, timeout=30)
    big = tenant.session.post(url, data=iter([b"[" * 600, b"]" * 600]), headers=headers, timeout=30)

    assert small.status_code == 201
    assert_error(big, 413)


@pytest.mark.parametrize("host", ["localhost", "tenant.example.com:8443", 'a"b', ""])
def test_locations_follow_the_name_the_client_uses(tenant: TenantClient, host: str) -> None:
    """RFC 7644 section 3.1: `meta.location` is where the client finds the resource; a strange name does no harm."""
    parts = urlsplit(tenant.server.base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    tenant.user("ann")
    try:
        connection.putrequest("GET", "/scim/v2/Users", skip_host=True)
        connection.putheader("Host", host.encode())
        connection.endheaders()
        response = connection.getresponse()
        shown = json.loads(response.read())
    finally:
        connection.close()

    if response.status == 200:
        assert shown["Resources"][0]["meta"]["location"].startswith("http://")
    else:
        assert (response.status, shown["status"]) == (400, "400")


def test_a_defect_of_the_tenant_is_still_a_scim_error(caplog: pytest.LogCaptureFixture) -> None:
    """RFC 7644 section 3.12: 500 with a body for the client and the traceback in the log, not the other way round."""
    service = open_service(SandboxConfig())
    service.store.close()

    response = Client(Application(service)).get("/scim/v2/Users")

    assert (response.status_code, json.loads(response.data)["status"]) == (500, "500")
    assert "closed database" not in response.text
    assert "closed database" in caplog.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_KEYS = [
    "schemas",
    "userName",
    "members",
    "Operations",
    "emails",
    "active",
    "filter",
    "method",
    "path",
    "data",
    "bulkConfig",
]
_BODIES = (
    st.binary(max_size=50)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(_KEYS), _JSON).map(
        lambda value: json.dumps({"schemas": [USER_URN], **value}).encode()
    )
)
_TARGETS = st.sampled_from(
    [
        "Users",
        "Users/x",
        "Groups",
        "Groups/x",
        "Bulk",
        ".search",
        "ServiceProviderConfig",
        "Schemas",
        "Me",
        "",
        "..",
        "%00",
    ]
)


@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]), _TARGETS, _BODIES, st.text(), st.text(max_size=8))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_request_is_answered_with_a_server_error(
    method: str, target: str, body: bytes, text: str, number: str
) -> None:
    """RFC 7644 section 3.12: whatever is sent, the answer is not a defect of ours, and errors are SCIM JSON."""
    service = open_service(SandboxConfig())
    try:
        query: dict[str, Any] = {"filter": text, "startIndex": number, "attributes": text, "sortBy": number}
        response = Client(Application(service)).open(
            f"/scim/v2/{target}",
            method=method,
            data=body,
            query_string={name: value for name, value in query.items() if value},
            content_type="application/scim+json",
            headers={"If-Match": json.dumps(number)},
        )
        assert response.status_code < 500 or response.status_code == 501
        if response.status_code >= 400:
            assert json.loads(response.data)["status"] == str(response.status_code)
    finally:
        service.store.close()
