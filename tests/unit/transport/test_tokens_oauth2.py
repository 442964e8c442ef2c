"""Client credentials (RFC 6749 section 4.4) by cxone.md section 1, against an endpoint that is a function."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ConfigurationError, ScimUnreachable
from reconciler.model.tenant import Auth, AuthType, SecretReference
from reconciler.transport.exchange import Request, Response
from reconciler.transport.tokens import (
    BasicCredentials,
    ClientCredentials,
    TokenEndpoint,
    TokenNotObtained,
    redact,
    secret_references,
    token_source_for,
)
from tests.fakes.clock import FakeClock

URL = "https://auth.example.com/oauth/token"
SECRET = "cl1ent-s3cr3t"
OAUTH2 = Auth(
    type=AuthType.OAUTH2,
    client_id=SecretReference("CXONE_CLIENT_ID"),
    client_secret=SecretReference("CXONE_CLIENT_SECRET"),
    scopes=("scim:users:write", "scim:groups:write"),
)
ENVIRON = {"CXONE_CLIENT_ID": "acme", "CXONE_CLIENT_SECRET": SECRET}


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    """An answer of the token endpoint."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers=headers, body=encoded)


def token(number: int = 1, **more: Any) -> Response:
    """A token as RFC 6749 section 5.1 shapes it."""
    return answer({"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": 3600, **more})


@dataclass
class Endpoint:
    """Answers with the next of `answers`, the last one again and again; without any, with ever new tokens."""

    answers: list[Response] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    seen: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        """Note the request and answer it."""
        self.seen.append(request)
        if not self.answers:
            return token(len(self.seen))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def form(self) -> dict[str, list[str]]:
        """The fields of the last request."""
        return parse_qs((self.seen[-1].body or b"").decode(), strict_parsing=True, keep_blank_values=True)

    def at(self, client_auth: str = "basic") -> TokenEndpoint:
        """The endpoint as a token source sees it."""
        return TokenEndpoint(url=URL, client_auth=client_auth, send=self.send, clock=self.clock)

    def source(self, secret: str = SECRET, client_auth: str = "basic") -> ClientCredentials:
        """A token source that asks here."""
        return ClientCredentials(self.at(client_auth), "acme", secret, ("scim:users:write", "scim:groups:write"))


# --- the request -----------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_by_a_form_and_used_as_bearer() -> None:
    """cxone.md section 1: POST, form-encoded, `grant_type`, `scope` separated by spaces and never by commas."""
    endpoint = Endpoint()
    source = token_source_for(OAUTH2, ENVIRON, endpoint.at())
    assert not endpoint.seen
    assert source.header() == "Bearer token-1"
    [request] = endpoint.seen
    assert (request.method, request.url, request.idempotent) == ("POST", URL, True)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept"] == "application/json"
    assert endpoint.form == {"grant_type": ["client_credentials"], "scope": ["scim:users:write scim:groups:write"]}
    assert b"," not in (request.body or b"")


def test_without_scopes_none_are_sent() -> None:
    """An empty `scope` is an invalid one (RFC 6749 section 3.3); without it the service takes its default."""
    endpoint = Endpoint()
    ClientCredentials(endpoint.at(), "acme", SECRET).header()
    assert endpoint.form == {"grant_type": ["client_credentials"]}


@pytest.mark.parametrize(
    ("secret", "sent"), [("plain-._~", "acme:plain-._~"), ("p@ss w/ö:%+&", "acme:p%40ss+w%2F%C3%B6%3A%25%2B%26")]
)
def test_d4_basic_joins_id_and_secret_after_encoding_them(secret: str, sent: str) -> None:
    """D4 `basic`; RFC 6749 section 2.3.1 has both form-encoded first, so that a colon cannot end the id early."""
    endpoint = Endpoint()
    endpoint.source(secret).header()
    scheme, _, encoded = endpoint.seen[0].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", sent)
    assert not {"client_id", "client_secret"} & endpoint.form.keys()


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_s8_d4_a_secret_in_the_form_arrives_as_it_is(secret: str) -> None:
    """Defect S8: the secret was put into the form unescaped. `&`, `+`, `%` and letters of any script survive."""
    endpoint = Endpoint()
    endpoint.source(secret, "form").header()
    assert (endpoint.form["client_id"], endpoint.form["client_secret"]) == (["acme"], [secret])
    assert "Authorization" not in endpoint.seen[0].headers


# --- the life of a token ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "used_for"),
    [(3600, 3540), (299, 239), (120, 60), (90, 45), (1, 0.5), ("1800", 1740), (3600.0, 3540), (10**30, 10**12 - 60)],
)
def test_d6_a_token_is_replaced_before_it_expires(expires_in: object, used_for: float) -> None:
    """D6 and cxone.md section 1: at `expires_in - min(60, expires_in / 2)`; 299 s leaves 239 s usable."""
    endpoint = Endpoint([token(1, expires_in=expires_in), token(2)], FakeClock(0.0))
    source = endpoint.source()
    assert source.header() == "Bearer token-1"
    endpoint.clock.now = used_for - 0.25
    assert source.header() == "Bearer token-1"
    endpoint.clock.now = used_for
    assert source.header() == "Bearer token-2"
    assert len(endpoint.seen) == 2


@pytest.mark.parametrize("expires_in", [None, 0, -1, True, "soon", "", [], {}, "1e9", 1.5e308 * 10])
def test_a_lifetime_that_is_none_counts_as_the_shortest_seen(expires_in: object) -> None:
    """RFC 6749 section 5.1 only recommends `expires_in`. 299 s are the shortest of cxone.md section 1."""
    body = json.dumps({"access_token": "token-1", "expires_in": expires_in}).replace("Infinity", "1e999")
    endpoint = Endpoint([answer(body.encode()), token(2)], FakeClock(0.0))
    source = endpoint.source()
    assert source.grant().lifetime is None
    endpoint.clock.now = 238.9
    assert source.header() == "Bearer token-1"
    endpoint.clock.now = 239.0
    assert source.header() == "Bearer token-2"


def test_a_token_that_was_refused_is_replaced() -> None:
    """cxone.md section 10: 401 means a new token."""
    endpoint = Endpoint()
    source = endpoint.source()
    assert source.refresh(source.header()) is True
    assert source.header() == "Bearer token-2"


def test_a_token_is_not_dropped_because_an_older_one_was_refused() -> None:
    """Of two threads that were refused the same token, only the first makes a new one necessary."""
    endpoint = Endpoint()
    source = endpoint.source()
    refused = source.header()
    assert source.refresh(refused)
    assert source.header() == "Bearer token-2"
    assert source.refresh(refused)
    assert source.header() == "Bearer token-2"
    assert len(endpoint.seen) == 2


def test_many_threads_ask_for_one_token() -> None:
    """Defect S8, cxone.md section 1: single flight. The first asks, the others wait for what it gets."""
    threads_waiting = threading.Barrier(8)
    endpoint = Endpoint()
    source = endpoint.source()
    got: list[str | None] = []

    def work() -> None:
        threads_waiting.wait()
        got.append(source.header())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["Bearer token-1"] * 8
    assert len(endpoint.seen) == 1


# --- no token --------------------------------------------------------------------------------------------------------


def test_s8_an_expired_token_is_never_used_in_place_of_a_new_one() -> None:
    """Defect S8: the expired token was returned next to the error. Here there is the error, each time."""
    endpoint = Endpoint([token(1, expires_in=100), answer({"error": "server_error"}, 503)])
    source = endpoint.source()
    source.header()
    endpoint.clock.now += 100
    for _ in range(3):
        with pytest.raises(TokenNotObtained, match="answered 503"):
            source.header()


def test_the_next_token_is_asked_for_after_a_failure_that_may_pass() -> None:
    """A 503 says nothing about the credentials."""
    source = Endpoint([answer(b"", 503), token(2)]).source()
    with pytest.raises(TokenNotObtained):
        source.header()
    assert source.header() == "Bearer token-2"


def test_a_refusal_is_believed_for_a_minute() -> None:
    """A thousand requests must not become a thousand wrong passwords; a long run may still recover."""
    endpoint = Endpoint([answer({"error": "invalid_client"}, 401), token(2)])
    source = endpoint.source()
    for _ in range(5):
        with pytest.raises(TokenNotObtained, match="invalid_client"):
            source.header()
    assert len(endpoint.seen) == 1
    endpoint.clock.now += 60
    assert source.header() == "Bearer token-2"


def test_a_request_without_a_token_was_not_sent() -> None:
    """So that apply says "not attempted" of a change, and not "unknown" (SPEC P6)."""
    with pytest.raises(ScimUnreachable) as failed:
        Endpoint([answer(b"", 400)]).source().header()
    assert failed.value.maybe_sent is False


@pytest.mark.parametrize(
    ("response", "told", "hint"),
    [
        (
            answer({"error": "invalid_client", "error_description": "No such client"}, 401),
            "answered 401: invalid_client: No such client",
            "clientAuth: form",
        ),
        (answer({"error": "invalid_scope", "error_description": "x"}, 400), "invalid_scope: x", "auth.scopes"),
        (answer({"error": "unauthorized_client"}, 400), "answered 400: unauthorized_client", "client_credentials"),
        (answer(b"<html><h1>Forbidden</h1></html>", 403), "answered 403: Forbidden", "clientSecret"),
        (answer(b"", 404), "answered 404", "tokenUrl"),
        (answer(b"busy", 503), "answered 503: busy", "later"),
        (answer(b"", 302, location="https://login.example/x?y"), "answered 302", "redirects to https://login.example;"),
        (answer({"error": {"code": 7}}, 400), "answered 400", "clientSecret"),
    ],
)
def test_a_refusal_says_why_and_what_to_look_at(response: Response, told: str, hint: str) -> None:
    """RFC 6749 section 5.2: `error` and `error_description`; others say it in their own way."""
    with pytest.raises(TokenNotObtained) as failed:
        Endpoint([response]).source().header()
    assert told in failed.value.message
    assert hint in (failed.value.hint or "")
    assert "auth.example.com/oauth/token" in failed.value.message


def test_a_secret_in_an_error_is_not_shown() -> None:
    """SPEC P11: whatever way the service echoes it."""
    secret = 'geh"eim/+ö'
    sent = Endpoint()
    sent.source(secret).header()
    basic = sent.seen[0].headers["Authorization"]
    echo = f"{secret} and {basic} and geh%22eim%2F%2B%C3%B6"
    with pytest.raises(TokenNotObtained) as failed:
        Endpoint([answer({"error": secret, "error_description": echo}, 401)]).source(secret).header()
    assert failed.value.message.endswith("401: ***: *** and Basic *** and ***")


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (answer(b"access_token=abc&token_type=bearer"), "no JSON object"),
        (answer(b"<html>Please log in</html>"), "no JSON object"),
        (answer(b"[" * 10_000), "no JSON object"),
        (answer(b""), "no JSON object"),
        (answer([{"access_token": "abc"}]), "no JSON object"),
        (answer({"token": "abc"}), "no usable access_token"),
        (answer({"access_token": ""}), "no usable access_token"),
        (answer({"access_token": 7}), "no usable access_token"),
        (answer({"access_token": "abc\r\nX: y"}), "no usable access_token"),
        (answer({"access_token": "a b"}), "no usable access_token"),
        (answer({"error": "access_denied"}), r"no usable access_token \(access_denied\)"),
        (answer({"access_token": "abc", "token_type": "mac"}), "not of type Bearer"),
        (answer({"access_token": "abc", "token_type": 1}), "not of type Bearer"),
    ],
)
def test_an_answer_without_a_usable_token_is_an_error_that_shows_nothing_of_it(response: Response, told: str) -> None:
    """Not JSON, no token, a token that could break out of the header, a type that asks for more than sending it."""
    with pytest.raises(TokenNotObtained, match=told) as failed:
        Endpoint([response]).source().header()
    assert "abc" not in failed.value.message


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", None])
def test_the_token_type_is_read_without_case(token_type: str | None) -> None:
    """RFC 6749 section 5.1; services that leave it out mean Bearer."""
    source = Endpoint([token(1, token_type=token_type)]).source()
    assert source.header() == "Bearer token-1"


@pytest.mark.parametrize(
    ("scope", "granted"),
    [("a b", ("a", "b")), ("", ()), (None, ("scim:users:write", "scim:groups:write")), (["a"], None)],
)
def test_the_scopes_are_those_that_were_granted(scope: object, granted: tuple[str, ...] | None) -> None:
    """RFC 6749 section 5.1: `scope` is there where it differs from what was asked for."""
    asked = ("scim:users:write", "scim:groups:write")
    assert Endpoint([token(1, scope=scope)]).source().grant().scopes == (asked if granted is None else granted)


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_nothing_secret_is_in_a_repr() -> None:
    """Logs and tracebacks show reprs."""
    endpoint = Endpoint()
    source = endpoint.source()
    shown = f"{source!r} {source.grant()!r} {endpoint.seen[0]!r} {BasicCredentials('ann', SECRET)!r}"
    assert SECRET not in shown
    assert "token-1" not in shown


def test_tokens_given_are_taken_out_of_texts_also_when_newer_ones_are_in_use() -> None:
    """A request that is still under way may be answered with an echo of the token before."""
    source = Endpoint().source()
    old = source.header()
    source.refresh(old)
    source.header()
    assert redact("token-1 token-2 token-3", source.secrets()) == "*** *** token-3"


def test_a_longer_secret_is_taken_out_before_a_shorter_one_inside_it() -> None:
    """Else its rest would stay."""
    assert redact("abcdef", ("cd", "abcdef", "")) == "***"


def test_basic_credentials_are_user_and_password_in_utf_8() -> None:
    """RFC 7617 section 2.1; the password may hold colons and blanks, and loses only a line end."""
    auth = Auth(type=AuthType.BASIC, username="ann", password=SecretReference("SCIM_PASSWORD"))
    source = token_source_for(auth, {"SCIM_PASSWORD": "pä ss:word \n"})
    header = source.header() or ""
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "ann:pä ss:word "
    assert source.refresh(header) is False
    assert redact(f"{header} pä ss:word ", source.secrets()) == "Basic *** ***"


def test_a_user_name_with_a_colon_is_refused() -> None:
    """RFC 7617 section 2: the service would take the rest of it for the password."""
    auth = Auth(type=AuthType.BASIC, username=SecretReference("SCIM_USER"), password=SecretReference("SCIM_PASSWORD"))
    with pytest.raises(ConfigurationError, match="colon"):
        token_source_for(auth, {"SCIM_USER": "a:b", "SCIM_PASSWORD": "c"})


@pytest.mark.parametrize("missing", ENVIRON)
def test_a_missing_variable_of_the_client_is_named(missing: str) -> None:
    """The reader learns what to export."""
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    with pytest.raises(ConfigurationError, match=f"{missing} is not set"):
        token_source_for(OAUTH2, environ, Endpoint().at())


@pytest.mark.parametrize("secret", ["a\x00b", "a\x1bb", "a\udc80b"])
def test_a_secret_that_cannot_be_sent_is_refused_unseen(secret: str) -> None:
    """Bytes of the environment that are no text included."""
    with pytest.raises(ConfigurationError, match="CXONE_CLIENT_SECRET holds") as refused:
        token_source_for(OAUTH2, {**ENVIRON, "CXONE_CLIENT_SECRET": secret}, Endpoint().at())
    assert secret not in str(refused.value)


@pytest.mark.parametrize("auth", [Auth(type=type_) for type_ in AuthType if type_ is not AuthType.NONE], ids=str)
def test_what_an_auth_type_needs_is_named(auth: Auth) -> None:
    """The schema says it first; nothing is half supported where it did not."""
    with pytest.raises(ConfigurationError, match=f"auth type {auth.type} needs a "):
        token_source_for(auth, {})


def test_the_variables_an_auth_needs_are_known_without_reading_them() -> None:
    """What doctor lists."""
    assert [item.variable for item in secret_references(OAUTH2)] == list(ENVIRON)
    assert secret_references(Auth(type=AuthType.NONE)) == ()
