"""Authentication over real HTTP: tokens of the sandbox, and token endpoints that misbehave (cxone.md section 1)."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ConfigurationError, ReadOnlyViolation, ScimRejected, ScimUnreachable
from reconciler.model.dialect import Dialect, Profile
from reconciler.model.resource import Kind
from reconciler.model.tenant import Auth, AuthType, Endpoints, Limits, SecretReference, Tenant
from reconciler.sandbox.config import Client, SandboxConfig
from reconciler.sandbox.endpoints.token import _basic
from reconciler.sandbox.server import SandboxServer
from reconciler.scim.client import ScimClient
from reconciler.transport.exchange import Request, Response
from reconciler.transport.opening import open_transport
from reconciler.transport.session import HttpTransport, RetryEvent
from reconciler.transport.tokens import FORM, ClientCredentials, TokenEndpoint, TokenNotObtained
from tests.cli.workplace import call
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_service import DROP, Answer, ScriptedService, Seen, closed_port, scripted

SECRET = "cl1ent s3cr3t:+/ä"
ENVIRON = {"CXONE_CLIENT_ID": "acme", "CXONE_CLIENT_SECRET": SECRET, "SCIM_PASSWORD": "pä:ss"}
USER = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "ann",
    "name": {"givenName": "Ann", "familyName": "Lee"},
    "emails": [{"value": "ann@example.com"}],
}
SCOPES = ("scim:users:write", "scim:groups:write")
BY_CLIENT = Auth(
    type=AuthType.OAUTH2,
    client_id=SecretReference("CXONE_CLIENT_ID"),
    client_secret=SecretReference("CXONE_CLIENT_SECRET"),
    scopes=SCOPES,
)
BY_PASSWORD = Auth(type=AuthType.BASIC, username="ann", password=SecretReference("SCIM_PASSWORD"))


def tenant_at(
    origin: str, *, auth: Auth = BY_CLIENT, token_url: str | None = None, client_auth: str = "basic"
) -> Tenant:
    """A tenant whose services are all at one origin."""
    return Tenant(
        name="acme",
        profile=Profile.RFC7644,
        endpoints=Endpoints(
            base_url=f"{origin}/scim/v2",
            service_provider_config_url=f"{origin}/scim/v2/ServiceProviderConfig",
            platform_url=f"{origin}/api/v2",
            token_url=token_url or f"{origin}/oauth/token",
        ),
        auth=auth,
        limits=Limits(requests_per_minute=1_000_000),
        dialect=Dialect(client_auth=client_auth),
    )


def opened(
    tenant: Tenant,
    clock: FakeClock | None = None,
    *,
    read_only: bool = False,
    on_retry: Callable[[RetryEvent], object] | None = None,
) -> AbstractContextManager[HttpTransport]:
    """The transport of a tenant, in fake time."""
    clock = clock or FakeClock()
    return open_transport(
        tenant,
        ENVIRON,
        {},
        read_only=read_only,
        clock=clock,
        sleep=clock.sleep,
        random=lambda: 1.0,
        on_retry=on_retry,
    )


@contextmanager
def sandbox(clock: FakeClock, **settings: Any) -> Iterator[SandboxServer]:
    """An embedded tenant with one client, whose tokens live 100 seconds by `clock`."""
    clients = (Client("acme", SECRET, (*SCOPES, "scim:read")),)
    config = SandboxConfig(clients=clients, admin="admin", token_lifetime=100, clock=clock, **settings)
    with SandboxServer(config) as server:
        yield server


def asked(server: SandboxServer) -> list[str]:
    """Method and last part of the path of each request that the sandbox answered."""
    _, log = call(f"{server.origin}/_sandbox/requests", "GET", None, {"Authorization": "Bearer admin"})
    return [f"{row['method']} {row['path'].rpartition('/')[2]} {row['status']}" for row in log["requests"]]


def get(origin: str) -> Request:
    """A read."""
    return Request(method="GET", url=f"{origin}/scim/v2/Users", idempotent=True)


def put(origin: str) -> Request:
    """A write that may be repeated."""
    return Request(method="PUT", url=f"{origin}/scim/v2/Users/1", body=b"{}", idempotent=True)


def token(number: int, **more: Any) -> Answer:
    """A token as RFC 6749 section 5.1 shapes it."""
    return Answer(body={"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": 100, **more})


@contextmanager
def service(tokens: list[Answer], resources: list[Answer] | None = None) -> Iterator[tuple[ScriptedService, str]]:
    """A service with a script for its token endpoint and one for the rest; the last answers are given for ever."""
    scripts = {"/oauth/token": tokens, "": resources or [Answer(body={"ok": True})]}

    def script(seen: Seen) -> Answer:
        answers = scripts.get(seen.path, scripts[""])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with scripted(script) as running:
        yield running


# --- against the sandbox ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_auth", ["basic", "form"])
def test_d4_client_credentials_open_a_tenant(client_auth: str) -> None:
    """D4, both placements, with a secret that has to be encoded in either."""
    clock = FakeClock()
    with sandbox(clock) as server, opened(tenant_at(server.origin, client_auth=client_auth), clock) as transport:
        client = ScimClient(transport, tenant_at(server.origin).endpoints, Dialect())
        client.create(Kind.USER, USER)
        assert client.list_page(Kind.USER, 1, 10).total == 1
        assert asked(server) == ["POST token 200", "POST Users 201", "GET Users 200"]
        assert client.requests == 2, "token requests stand outside (SPEC section 6)"


def test_p7_s8_a_token_that_expires_in_mid_run_is_replaced_before() -> None:
    """Defects P7 and S8: the token was taken once although the run may outlive it. Nothing is ever answered 401."""
    clock = FakeClock()
    with sandbox(clock) as server, opened(tenant_at(server.origin), clock) as transport:
        for _ in range(4):
            assert transport.send(get(server.origin)).status == 200
            clock.now += 40
        assert asked(server) == ["POST token 200", *["GET Users 200"] * 2, "POST token 200", *["GET Users 200"] * 2]


def test_r9_a_token_that_is_revoked_in_mid_run_is_replaced_once() -> None:
    """Defect R9. The service's clock runs ahead of ours: 401, a new token, and the request once more."""
    events: list[RetryEvent] = []
    ours, theirs = FakeClock(), FakeClock()
    with sandbox(theirs) as server, opened(tenant_at(server.origin), ours, on_retry=events.append) as transport:
        client = ScimClient(transport, tenant_at(server.origin).endpoints, Dialect())
        client.list_page(Kind.USER, 1, 10)
        theirs.now += 100
        client.create(Kind.USER, USER)
        assert client.list_page(Kind.USER, 1, 10).total == 1, "what was answered 401 was not done"
        assert asked(server)[2:] == ["POST Users 401", "POST token 200", "POST Users 201", "GET Users 200"]
    assert [event.reason for event in events] == ["401"]


def test_a_missing_scope_is_no_reason_to_ask_for_a_token_again() -> None:
    """cxone.md section 10: 403 is permanent."""
    clock = FakeClock()
    auth = Auth(
        type=AuthType.OAUTH2, client_id="acme", client_secret=BY_CLIENT.client_secret, scopes=("scim:users:write",)
    )
    with sandbox(clock) as server, opened(tenant_at(server.origin, auth=auth), clock) as transport:
        client = ScimClient(transport, tenant_at(server.origin).endpoints, Dialect())
        with pytest.raises(ScimRejected, match="403") as refused:
            client.list_page(Kind.GROUP, 1, 10)
        assert "scopes" in (refused.value.hint or "")
        assert asked(server) == ["POST token 200", "GET Groups 403"]


def test_a_wrong_secret_is_told_and_the_tenant_is_not_asked() -> None:
    """The message is that of the token endpoint; the request counts as not sent."""
    clock = FakeClock()
    clients = (Client("acme", "another", SCOPES),)
    with (
        SandboxServer(SandboxConfig(clients=clients, admin="admin")) as server,
        opened(tenant_at(server.origin), clock) as transport,
    ):
        for _ in range(3):
            with pytest.raises(TokenNotObtained, match="401: invalid_client") as refused:
                transport.send(get(server.origin))
            assert refused.value.maybe_sent is False
        assert asked(server) == ["POST token 401"]


def test_many_threads_share_one_token() -> None:
    """cxone.md section 1: single flight; also when all of them are refused the same token."""
    ours, theirs = FakeClock(), FakeClock()
    together = threading.Barrier(6)
    statuses: list[int] = []
    with sandbox(theirs) as server, opened(tenant_at(server.origin), ours) as transport:

        def work() -> None:
            for _ in range(2):
                together.wait()
                statuses.append(transport.send(get(server.origin)).status)
                if together.wait() == 0:
                    theirs.now += 100  # every thread holds the same token, which has just expired
                together.wait()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 12
        assert asked(server).count("POST token 200") == 2


@given(st.tuples(*[st.text(st.characters(exclude_categories=["C"]), min_size=1)] * 2))
def test_d4_basic_is_understood_by_whoever_reads_the_rfc(pair: tuple[str, str]) -> None:
    """RFC 6749 section 2.3.1, written by one end and read by the other, which share no code: any script, any sign."""
    sent: list[Request] = []

    def send(request: Request) -> Response:
        sent.append(request)
        return Response(status=200, headers={}, body=b'{"access_token": "t"}')

    endpoint = TokenEndpoint(url="http://127.0.0.1/oauth/token", client_auth="basic", send=send, clock=FakeClock())
    ClientCredentials(endpoint, *pair).header()
    assert _basic(sent[0].headers["Authorization"]) == pair


# --- where credentials go --------------------------------------------------------------------------------------------


def test_c5_each_credential_goes_to_its_own_endpoint_only() -> None:
    """Defect C5. The secret is never sent to SCIM, and the token never to the token endpoint."""
    with service([token(1), token(2)]) as (seen, origin), opened(tenant_at(origin, client_auth="form")) as transport:
        transport.send(get(origin))
        assert transport.token_source.refresh("Bearer token-1")
        transport.send(put(origin))
    tokens = [request for request in seen.seen if request.path == "/oauth/token"]
    others = [request for request in seen.seen if request.path != "/oauth/token"]
    assert [request.headers["authorization"] for request in others] == ["Bearer token-1", "Bearer token-2"]
    assert not any("cl1ent" in f"{request.headers} {request.body!r}" for request in others)
    assert not any("authorization" in request.headers for request in tokens)
    assert parse_qs(tokens[0].body.decode())["client_secret"] == [SECRET]


def test_a_token_is_not_asked_of_a_host_that_is_not_bound() -> None:
    """SPEC section 4: the client's secret goes only to bound origins, whatever tenant.yaml says."""
    with service([token(1)]) as (seen, origin):
        tenant = tenant_at(origin, token_url="https://auth.evil.example/oauth/token")
        with opened(tenant) as transport, pytest.raises(ConfigurationError, match="not bound to tenant acme"):
            transport.send(get(origin))
        insecure = tenant_at(origin, token_url="http://auth.example.com/oauth/token")
        with opened(insecure) as transport, pytest.raises(ConfigurationError, match="not HTTPS"):
            transport.send(get(origin))
    assert seen.seen == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_of_the_token_endpoint_is_not_followed(status: int) -> None:
    """cxone.md section 2: with credentials, never."""
    with service([Answer(status=status, headers={"Location": "/elsewhere"})]) as (seen, origin):
        with opened(tenant_at(origin)) as transport, pytest.raises(TokenNotObtained, match=str(status)):
            transport.send(get(origin))
        assert seen.lines == ["POST /oauth/token"]


def test_p1_a_preview_may_ask_for_a_token_and_for_nothing_else() -> None:
    """SPEC P1: exactly the configured token request passes; the transport of the tenant itself does not send it."""
    with service([token(1)]) as (seen, origin), opened(tenant_at(origin), read_only=True) as transport:
        assert transport.send(get(origin)).status == 200
        form = {"Content-Type": FORM}
        for url, headers in ((f"{origin}/oauth/token", form), (f"{origin}/scim/v2/Users", form)):
            with pytest.raises(ReadOnlyViolation):
                transport.send(Request(method="POST", url=url, headers=headers, body=b"a=b"))
    assert seen.lines == ["POST /oauth/token", "GET /scim/v2/Users"]


@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("POST", "/scim/v2/Users", FORM),
        ("POST", "/oauth/token/", FORM),
        ("POST", "/oauth/token?a=b", FORM),
        ("POST", "/oauth/token", "application/scim+json"),
        ("PUT", "/oauth/token", FORM),
        ("DELETE", "/oauth/token", FORM),
    ],
)
def test_p1_the_connection_for_tokens_lets_nothing_else_through(method: str, path: str, content_type: str) -> None:
    """SPEC P1, also of a command that may write: its second connection may not."""
    with service([token(1)]) as (seen, origin), opened(tenant_at(origin)) as transport:
        source = transport.token_source
        assert isinstance(source, ClientCredentials)
        with pytest.raises(ReadOnlyViolation):
            source._endpoint.send(
                Request(method=method, url=origin + path, headers={"Content-Type": content_type}, body=b"a=b")
            )
    assert seen.seen == []


def test_the_token_is_taken_out_of_what_a_service_echoes() -> None:
    """SPEC P11."""
    echo = Answer(status=400, body={"detail": "bad token token-1 of cl1ent s3cr3t:+/ä", "status": "400"})
    with service([token(1)], [echo]) as (_, origin), opened(tenant_at(origin)) as transport:
        client = ScimClient(transport, tenant_at(origin).endpoints, Dialect())
        with pytest.raises(ScimRejected) as refused:
            client.list_page(Kind.USER, 1, 1)
    assert refused.value.detail == "bad token *** of ***"


def test_user_and_password_are_sent_by_basic_authentication() -> None:
    """RFC 7617 in UTF-8; no token is asked for, and a 401 is final."""
    with (
        service([token(1)], [Answer(status=401)]) as (seen, origin),
        opened(tenant_at(origin, auth=BY_PASSWORD)) as transport,
    ):
        assert transport.send(get(origin)).status == 401
    assert seen.lines == ["GET /scim/v2/Users"]
    scheme, _, encoded = seen.seen[0].headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "ann:pä:ss")


# --- token endpoints that misbehave ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "waited"),
    [(Answer(status=503), 2.0), (Answer(status=429, headers={"Retry-After": "7"}), 7.0), (DROP, 2.0)],
    ids=["503", "429", "dropped"],
)
def test_a_token_request_is_repeated_like_a_read(first: Answer, waited: float) -> None:
    """The retry classes of cxone.md section 10: a token that was lost on its way harms nobody."""
    clock = FakeClock()
    with service([first, token(1)]) as (seen, origin), opened(tenant_at(origin), clock) as transport:
        assert transport.send(get(origin)).status == 200
        assert transport.requests == 1
    assert seen.lines == ["POST /oauth/token"] * 2 + ["GET /scim/v2/Users"]
    assert sum(clock.slept) == waited


def test_a_new_token_that_is_refused_too_ends_it() -> None:
    """cxone.md section 10: one retry, then the 401 is the answer."""
    with (
        service([token(1), token(2), token(3)], [Answer(status=401)]) as (seen, origin),
        opened(tenant_at(origin)) as transport,
    ):
        assert transport.send(get(origin)).status == 401
    assert seen.lines == ["POST /oauth/token", "GET /scim/v2/Users"] * 2


def test_an_attempt_after_a_long_wait_takes_the_token_of_then() -> None:
    """Expiry inside one request: the token of the first attempt is no good 500 seconds later."""
    clock = FakeClock()
    busy = Answer(status=429, headers={"Retry-After": "500"})
    with (
        service([token(1), token(2)], [busy, Answer()]) as (seen, origin),
        opened(tenant_at(origin), clock) as transport,
    ):
        assert transport.send(put(origin)).status == 200
    sent = [request.headers["authorization"] for request in seen.seen if request.method == "PUT"]
    assert sent == ["Bearer token-1", "Bearer token-2"]


def test_p6_a_write_that_may_have_arrived_stays_unknown_when_no_token_can_be_had_to_repeat_it() -> None:
    """SPEC P6: the failure is about the token, and the outcome is about the first attempt."""
    clock = FakeClock()
    with service([token(1, expires_in=3), Answer(status=400)], [DROP]) as (_, origin):
        with opened(tenant_at(origin), clock) as transport, pytest.raises(TokenNotObtained) as failed:
            transport.send(put(origin))
        assert failed.value.maybe_sent is True
        with opened(tenant_at(origin), clock) as transport, pytest.raises(TokenNotObtained) as failed:
            transport.send(put(origin))
        assert failed.value.maybe_sent is False


def test_a_token_endpoint_that_is_away_is_named() -> None:
    """And the service itself is not asked."""
    with service([token(1)]) as (seen, origin):
        nobody = f"127.0.0.1:{closed_port()}"
        tenant = tenant_at(origin, token_url=f"http://{nobody}/oauth/token")
        with opened(tenant) as transport, pytest.raises(ScimUnreachable, match=re.escape(nobody)) as failed:
            transport.send(put(origin))
    assert failed.value.maybe_sent is False
    assert seen.seen == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(body=b"x" * 2_000_000), "larger than"),
        (Answer(body=b'{"access_token":' + b"[" * 100_000), "no JSON object"),
        (Answer(body=b"\x1f\x8b broken", headers={"Content-Encoding": "gzip"}), "not compressed as it says"),
        (Answer(body=b"<html>Log in</html>", headers={"Content-Type": "text/html"}), "no JSON object"),
        (Answer(status=204), "answered 204"),
    ],
    ids=["too large", "too deep", "broken gzip", "html", "empty"],
)
def test_a_hostile_token_endpoint_costs_little_and_ends_in_a_clear_error(answer: Answer, told: str) -> None:
    """Bounded memory, no traceback, and the request was not sent."""
    with (
        service([answer]) as (_, origin),
        opened(tenant_at(origin)) as transport,
        pytest.raises(TokenNotObtained, match=told) as failed,
    ):
        transport.send(get(origin))
    assert failed.value.maybe_sent is False
