"""`/oauth/token` and what its tokens open: RFC 6749 sections 2.3, 4.4, 5; RFC 6750 section 3; cxone.md section 1."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests

from reconciler.sandbox.authentication import ALL_SCOPES, SCOPES
from reconciler.sandbox.config import Client
from tests.fakes.clock import FakeClock
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import TenantClient, assert_error, group_body, user_body

SECRET = "s3cr:t +/ä"
DIRECTORY = Client("directory", SECRET, ("scim:users:write", "scim:groups:write"))
READER = Client("reader", "r", ("provisioning:read",))
PEOPLE = Client("people", "p", ("User.ReadWrite",))
CONFIGURATION = Client("configuration", "c", ("admin",))


@pytest.fixture
def clock() -> FakeClock:
    """The clock that tokens expire by."""
    return FakeClock()


@pytest.fixture
def oauth(start_tenant: StartTenant, clock: FakeClock) -> TenantClient:
    """A tenant with clients beside the static token, which its session does not send by itself."""
    clients = (DIRECTORY, READER, PEOPLE, CONFIGURATION)
    tenant = start_tenant(token="static-token", clients=clients, clock=clock, token_lifetime=300)
    del tenant.session.headers["Authorization"]
    return tenant


def ask(tenant: TenantClient, *, headers: Any = None, **form: Any) -> requests.Response:
    """Ask for a token."""
    return tenant.session.post(
        f"{tenant.server.origin}/oauth/token",
        data={"grant_type": "client_credentials", **form},
        headers=headers or {},
        timeout=30,
    )


def bearer(tenant: TenantClient, client: Client) -> dict[str, str]:
    """The header with a token of a client."""
    answer = ask(tenant, client_id=client.id, client_secret=client.secret)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def basic(identifier: str, secret: str) -> dict[str, str]:
    """The client's credentials as RFC 6749 section 2.3.1 wants them."""
    joined = f"{quote_plus(identifier)}:{quote_plus(secret)}"
    return {"Authorization": f"Basic {base64.b64encode(joined.encode()).decode()}"}


def assert_refused(answer: requests.Response, error: str, status: int = 400) -> None:
    """Check an error of RFC 6749 section 5.2: JSON, not to be stored, with a description."""
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


# --- asking for a token ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["basic", "form"])
def test_d4_a_client_proves_itself_by_the_header_or_by_the_form(oauth: TenantClient, placement: str) -> None:
    """D4; the answer is that of RFC 6749 section 5.1, with the client's scopes where it names none."""
    if placement == "basic":
        answer = ask(oauth, headers=basic("directory", SECRET))
    else:
        answer = ask(oauth, client_id="directory", client_secret=SECRET)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    assert len(body.pop("access_token")) >= 32
    assert body == {"token_type": "Bearer", "expires_in": 300, "scope": "scim:users:write scim:groups:write"}


def test_a_token_gets_the_scopes_that_were_asked_for(oauth: TenantClient) -> None:
    """RFC 6749 section 3.3: separated by spaces."""
    answer = ask(oauth, headers=basic("directory", SECRET), scope="scim:groups:write")
    assert answer.json()["scope"] == "scim:groups:write"
    both = ask(oauth, headers=basic("directory", SECRET), scope="scim:groups:write scim:users:write")
    assert both.json()["scope"] == "scim:groups:write scim:users:write"


@pytest.mark.parametrize("scope", ["License.Read", "scim:users:write,scim:groups:write", "", "a  b", "ä"])
def test_a_scope_the_client_does_not_have_is_refused(oauth: TenantClient, scope: str) -> None:
    """`invalid_scope`; commas do not separate (cxone.md section 1)."""
    assert_refused(ask(oauth, headers=basic("directory", SECRET), scope=scope), "invalid_scope")


@pytest.mark.parametrize(
    "headers",
    [
        basic("directory", "wrong"),
        basic("nobody", SECRET),
        basic("", ""),
        {"Authorization": "Basic no-base64!"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Bearer static-token"},
        {},
    ],
    ids=range(8),
)
def test_who_is_no_client_gets_no_token(oauth: TenantClient, headers: dict[str, str]) -> None:
    """`invalid_client` is 401 and names the scheme (RFC 6749 section 5.2)."""
    answer = ask(oauth, headers=headers)
    assert_refused(answer, "invalid_client", 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_a_wrong_secret_in_the_form_is_refused(oauth: TenantClient) -> None:
    """As in the header."""
    assert_refused(ask(oauth, client_id="directory", client_secret="x"), "invalid_client", 401)
    assert_refused(ask(oauth, client_id="directory"), "invalid_client", 401)


def test_other_grants_are_not_supported(oauth: TenantClient) -> None:
    """RFC 6749 section 5.2, for a client that proved itself."""
    answer = ask(oauth, headers=basic("directory", SECRET), grant_type="password")
    assert_refused(answer, "unsupported_grant_type")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"scope=a", "application/x-www-form-urlencoded"),
        (b"grant_type=", "application/x-www-form-urlencoded"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"grant_type=\xff", "application/x-www-form-urlencoded"),
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"grant_type=client_credentials&client_secret=x", "application/x-www-form-urlencoded"),
    ],
    ids=range(7),
)
def test_a_malformed_request_is_refused(oauth: TenantClient, body: bytes, content_type: str) -> None:
    """`invalid_request`: missing, repeated and unreadable parameters, no form, two ways to prove oneself."""
    headers = {**basic("directory", SECRET), "Content-Type": content_type}
    answer = oauth.session.post(f"{oauth.server.origin}/oauth/token", data=body, headers=headers, timeout=30)
    assert_refused(answer, "invalid_request")


def test_a_form_beyond_all_measure_is_refused(oauth: TenantClient) -> None:
    """Nobody has a scope of 64 KiB."""
    assert_refused(ask(oauth, scope="x" * 70_000), "invalid_request", 413)


def test_tokens_are_asked_for_by_post_only(oauth: TenantClient) -> None:
    """RFC 6749 section 3.2."""
    assert oauth.get("//oauth/token").status_code == 405


# --- using a token ---------------------------------------------------------------------------------------------------


def test_a_token_opens_the_tenant_until_it_expires(oauth: TenantClient, clock: FakeClock) -> None:
    """401 from the second on at which it ends, with `invalid_token` (RFC 6750 section 3.1)."""
    headers = bearer(oauth, DIRECTORY)
    clock.now += 299
    assert oauth.get("/Users", headers=headers).status_code == 200
    clock.now += 1
    refused = oauth.get("/Users", headers=headers)
    assert_error(refused, 401)
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert oauth.get("/Users", headers=bearer(oauth, DIRECTORY)).status_code == 200


@pytest.mark.parametrize("header", ["Bearer made-up", "Bearer ", "Basic c3RhdGljLXRva2Vu", "static-token"])
def test_what_was_not_issued_opens_nothing(oauth: TenantClient, header: str) -> None:
    """A client's id and secret are good for the token endpoint only."""
    assert_error(oauth.get("/Users", headers={"Authorization": header}), 401)
    assert_error(oauth.get("/Users"), 401)


def test_the_static_token_works_beside_the_clients(oauth: TenantClient) -> None:
    """SPEC section 10; it may do everything."""
    headers = {"Authorization": "Bearer static-token"}
    assert oauth.send("POST", "/Users", user_body("ann"), headers=headers).status_code == 201
    assert oauth.get("//api/scim/v2/ServiceProviderConfig", headers=headers).status_code == 200


def test_with_clients_and_no_static_token_nothing_is_open(start_tenant: StartTenant) -> None:
    """The default of no authentication ends where somebody registers a client."""
    tenant = start_tenant(clients=(READER,))
    assert_error(tenant.get("/Users"), 401)
    assert tenant.get("/Users", headers=bearer(tenant, READER)).status_code == 200


def test_a_tenant_without_clients_gives_no_tokens(tenant: TenantClient) -> None:
    """The endpoint is there, as the profile says, and knows nobody."""
    assert_refused(ask(tenant, client_id="", client_secret=""), "invalid_client", 401)


# --- scopes ----------------------------------------------------------------------------------------------------------


def _status(tenant: TenantClient, client: Client, method: str, path: str, body: Any = None) -> int:
    return tenant.send(method, path, body, headers=bearer(tenant, client)).status_code


@pytest.mark.parametrize(
    ("client", "method", "path", "status"),
    [
        (DIRECTORY, "POST", "/Users", 201),
        (DIRECTORY, "POST", "/Groups", 201),
        (DIRECTORY, "GET", "/Users", 200),
        (DIRECTORY, "GET", "/", 200),
        (DIRECTORY, "PUT", "//api/scim/v2/ServiceProviderConfig", 403),
        (READER, "GET", "/Users", 200),
        (READER, "GET", "/Groups", 200),
        (READER, "POST", "/Users/.search", 200),
        (READER, "POST", "/.search", 200),
        (READER, "POST", "/Users", 403),
        (READER, "PUT", "/Users/1", 403),
        (READER, "PATCH", "/Groups/1", 403),
        (READER, "DELETE", "/Groups/1", 403),
        (READER, "DELETE", "/Users/.search", 403),
        (PEOPLE, "POST", "/Users", 201),
        (PEOPLE, "GET", "/Groups", 403),
        (PEOPLE, "POST", "/Groups", 403),
        (PEOPLE, "POST", "/.search", 403),
        (PEOPLE, "GET", "/", 403),
        (CONFIGURATION, "GET", "/Users", 403),
        (CONFIGURATION, "GET", "//api/scim/v2/ServiceProviderConfig", 200),
        (CONFIGURATION, "GET", "/ResourceTypes", 200),
    ],
    ids=lambda value: value.id if isinstance(value, Client) else str(value).replace("//", "/"),
)
def test_d5_a_token_opens_what_its_scopes_name(
    oauth: TenantClient, client: Client, method: str, path: str, status: int
) -> None:
    """D5: each of the vocabularies of cxone.md section 1 opens its own part; 403 elsewhere."""
    if path.endswith(".search"):
        body: Any = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
    else:
        body = {"POST": user_body("ann") if path == "/Users" else group_body("g")}.get(method)
    assert _status(oauth, client, method, path, body) == status


def test_a_missing_scope_is_named(oauth: TenantClient) -> None:
    """RFC 6750 section 3.1: 403, `insufficient_scope`, and the scopes of which one would do."""
    refused = oauth.send("POST", "/Groups", group_body("g"), headers=bearer(oauth, READER))
    assert_error(refused, 403)
    challenge = refused.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert "provisioning:write" in challenge
    assert "scim:groups:write" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/Groups", "/scim/v2/Groups", "/Groups/1"])
def test_a_bulk_request_needs_the_scopes_of_its_operations(oauth: TenantClient, path: str) -> None:
    """Bulk is no way around them; nothing of the request is done."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "1", "data": user_body("ann")},
        {"method": "DELETE" if path.endswith("1") else "POST", "path": path, "bulkId": "2", "data": group_body("g")},
    ]
    urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
    assert _status(oauth, PEOPLE, "POST", "/Bulk", {"schemas": [urn], "Operations": operations}) == 403
    assert _status(oauth, PEOPLE, "POST", "/Bulk", {"schemas": [urn], "Operations": operations[:1]}) == 200
    users = oauth.get("/Users", headers=bearer(oauth, PEOPLE)).json()
    assert users["totalResults"] == 1


@pytest.mark.parametrize("scope", ALL_SCOPES)
def test_every_scope_of_the_vocabularies_opens_something(start_tenant: StartTenant, scope: str) -> None:
    """And the union of them opens everything."""
    assert any(scope in wanted for wanted in SCOPES.values())
    everything = Client("all", "a", ALL_SCOPES)
    tenant = start_tenant(clients=(everything, Client("one", "o", (scope,))))
    assert tenant.get("/ResourceTypes", headers=bearer(tenant, Client("one", "o", ()))).status_code == 200
    assert _status(tenant, everything, "POST", "/Users", user_body("ann")) == 201


def test_secrets_are_not_in_the_repr_of_the_settings(oauth: TenantClient) -> None:
    """Logs and tracebacks show reprs."""
    assert SECRET not in repr(oauth.config)
