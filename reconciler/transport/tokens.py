"""Where the `Authorization` header comes from. Secrets are read once, from the mapping handed in, and never shown.

Four kinds (SPEC section 4): none, a fixed bearer token (RFC 6750), user and password (RFC 7617), and tokens that are
asked for with client credentials (RFC 6749 section 4.4; rules of use in cxone.md section 1).
"""

from __future__ import annotations

import base64
import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

from reconciler.errors import ConfigurationError, ScimMalformed, ScimUnreachable
from reconciler.messages.codec import parse_object
from reconciler.messages.error import parse_error, shorten
from reconciler.model.resource import Attributes
from reconciler.model.tenant import Auth, AuthType, SecretReference
from reconciler.transport.exchange import Request, Response

_Value = TypeVar("_Value")

FORM = "application/x-www-form-urlencoded"

_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{16,}", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_NUMBER = re.compile(r"\s*[0-9]{1,12}(\.[0-9]{1,12})?\s*")
_UNSTATED_LIFETIME = 299.0
"""Seconds a token is used whose lifetime the service does not say: the shortest one seen (cxone.md section 1)."""
_MARGIN = 60.0
_HOLD_OFF = 60.0
"""Seconds for which a refusal is believed. Asking again at once gets the same answer, or the client locked."""
_REMEMBERED = 4
"""Tokens that may still be under way, and be echoed, while newer ones are in use."""


class TokenSource(Protocol):
    """Gives the credentials for one tenant. Safe to use from several threads."""

    def header(self) -> str | None:
        """The value of the `Authorization` header, or None for no header.

        Raises ScimUnreachable or ConfigurationError where there is none to be had; never returns a stale one instead.
        """

    def refresh(self, refused: str | None) -> bool:
        """Drop credentials that the service refused, unless others took their place meanwhile.

        `refused` is the header that was sent. True if the next `header` may be a better one.
        """

    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, to be taken out of texts that the service sends."""


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without `secrets`, and without anything that looks like the value of an `Authorization` header."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _CREDENTIALS.sub(r"\1 ***", text)


class NoToken:
    """No authentication: `auth: {type: none}`."""

    def header(self) -> str | None:
        """No header."""
        return None

    def refresh(self, refused: str | None) -> bool:
        """There is nothing to refresh."""
        del refused
        return False

    def secrets(self) -> tuple[str, ...]:
        """None."""
        return ()


class BearerToken:
    """A static token (RFC 6750): `auth: {type: bearer}`. It cannot be refreshed, and its repr does not show it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def header(self) -> str | None:
        """`Bearer <token>`."""
        return f"Bearer {self._token}"

    def refresh(self, refused: str | None) -> bool:
        """A static token stays what it is."""
        del refused
        return False

    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self._token,)


class BasicCredentials:
    """User and password (RFC 7617, in UTF-8): `auth: {type: basic}`.

    Raises ConfigurationError for a user name with a colon, which the scheme cannot carry.
    """

    def __init__(self, username: str, password: str) -> None:
        if ":" in username:
            raise ConfigurationError("a user name for type basic may not contain a colon (RFC 7617 section 2)")
        self._password = password
        self._encoded = _base64(f"{username}:{password}")

    def header(self) -> str | None:
        """`Basic <base64 of user:password>`."""
        return f"Basic {self._encoded}"

    def refresh(self, refused: str | None) -> bool:
        """A password stays what it is."""
        del refused
        return False

    def secrets(self) -> tuple[str, ...]:
        """The password, in clear and as it is sent."""
        return (self._password, self._encoded)


class TokenNotObtained(ScimUnreachable):
    """The token endpoint gave no token. The request that needed it was not sent."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, maybe_sent=False, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """Where tokens are asked for: `send` reaches `url`, and needs no credentials of its own.

    `client_auth` says where the client's credentials stand (cxone.md D4): `basic`, in the `Authorization` header, or
    `form`, in the body. `clock` returns seconds that never run backwards.
    """

    url: str
    client_auth: str
    send: Callable[[Request], Response]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A token as it was given. `lifetime` in seconds, None where the answer does not say; `scopes` as granted."""

    access_token: str = field(repr=False)
    lifetime: float | None
    scopes: tuple[str, ...]
    refresh_at: float

    @property
    def header(self) -> str:
        """The value of the `Authorization` header."""
        return f"Bearer {self.access_token}"


class ClientCredentials:
    """OAuth 2.0 client credentials: `auth: {type: oauth2}`. One token for all threads, asked for by one of them.

    A token is replaced a minute before it expires, or after half its life if that is less than two minutes, and when
    the service refuses it (cxone.md section 1). While no token can be had, every request fails; none is sent with a
    token that has expired (cxone.md S8). What the endpoint refuses is believed for a minute.

    With `basic`, id and secret are form-encoded before they are joined, as RFC 6749 section 2.3.1 asks. Services that
    do not decode them understand ids and secrets of letters, digits, `-`, `.`, `_` and `~`; for others take `form`.
    """

    def __init__(
        self, endpoint: TokenEndpoint, client_id: str, client_secret: str, scopes: tuple[str, ...] = ()
    ) -> None:
        self._endpoint = endpoint
        self._id = client_id
        self._secret = client_secret
        self._scopes = scopes
        self._basic = _base64(f"{quote_plus(client_id)}:{quote_plus(client_secret)}")
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._given: tuple[str, ...] = ()
        self._refusal: tuple[float, str, str | None] | None = None

    def header(self) -> str | None:
        """`Bearer <token>`, of a token that is good for a while. Raises as `grant`."""
        return self.grant().header

    def grant(self) -> Grant:
        """The current token, or a new one.

        Raises:
            TokenNotObtained: the endpoint refuses, or its answer holds no token.
            ScimUnreachable: the endpoint does not answer.
            ConfigurationError: its host is not bound to the tenant.

        """
        with self._lock:  # whoever comes second finds what the first one was given
            if self._grant is None or self._endpoint.clock() >= self._grant.refresh_at:
                self._grant = None
                self._grant = self._ask()
                self._given = (*self._given, self._grant.access_token)[-_REMEMBERED:]
            return self._grant

    def refresh(self, refused: str | None) -> bool:
        """Drop the token that was refused; one that another thread got meanwhile stays."""
        with self._lock:
            if self._grant is not None and self._grant.header == refused:
                self._grant = None
        return True

    def secrets(self) -> tuple[str, ...]:
        """The client's secret, as it is and as it is sent, and the tokens given so far."""
        return (self._secret, quote_plus(self._secret), self._basic, *self._given)

    def _ask(self) -> Grant:
        self._check_refusal()
        try:
            response = self._endpoint.send(self._request())
        except ScimMalformed as error:
            raise TokenNotObtained(f"no token from {self._host}: {error.message}") from None
        if response.status != 200:
            raise self._refused(response)
        return self._read_grant(response)

    def _request(self) -> Request:
        form = {"grant_type": "client_credentials"}
        headers = {"Accept": "application/json", "Content-Type": FORM}
        if self._scopes:
            form["scope"] = " ".join(self._scopes)
        if self._endpoint.client_auth == "form":
            form |= {"client_id": self._id, "client_secret": self._secret}
        else:
            headers["Authorization"] = f"Basic {self._basic}"
        # Idempotent: a token that was lost on its way harms nobody.
        return Request(
            method="POST", url=self._endpoint.url, headers=headers, body=urlencode(form).encode(), idempotent=True
        )

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            until, message, hint = self._refusal
            if self._endpoint.clock() < until:
                raise TokenNotObtained(message, hint=hint)

    def _refused(self, response: Response) -> TokenNotObtained:
        said = f": {detail}" if (detail := self._detail(response)) else ""
        message = f"no token from {self._host}: it answered {response.status}{said}"
        hint = _hint(response, self._endpoint.client_auth)
        if 400 <= response.status < 500 and response.status != 429:
            self._refusal = (self._endpoint.clock() + _HOLD_OFF, message, hint)
        return TokenNotObtained(message, hint=hint)

    def _detail(self, response: Response) -> str:
        """`error` and `error_description` (RFC 6749 section 5.2), or whatever the body says."""
        body = redact(response.body.decode("utf-8", "replace"), self.secrets()).encode()
        code, said = _error_code(body), parse_error(body).detail
        return redact(": ".join(dict.fromkeys(filter(None, (code, said)))), self.secrets())

    def _read_grant(self, response: Response) -> Grant:
        """The token in a successful answer (RFC 6749 section 5.1), of which nothing else is ever shown."""
        try:
            document = parse_object(response.body)
        except ScimMalformed:
            raise self._no_grant("its answer is no JSON object") from None
        token, type_, scope = (document.get(name) for name in ("access_token", "token_type", "scope"))
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            code = _error_code(response.body)
            raise self._no_grant(f"its answer holds no usable access_token{f' ({code})' if code else ''}")
        if type_ is not None and (not isinstance(type_, str) or type_.strip().lower() != "bearer"):
            raise self._no_grant("its token is not of type Bearer, and no other type is understood")
        lifetime = _lifetime(document.get("expires_in"))
        good_for = _UNSTATED_LIFETIME if lifetime is None else lifetime
        return Grant(
            access_token=token,
            lifetime=lifetime,
            scopes=tuple(scope.split()) if isinstance(scope, str) else self._scopes,
            # Counted from the answer: the margin is longer than any answer takes, and the request may have waited.
            refresh_at=self._endpoint.clock() + good_for - min(_MARGIN, good_for / 2),
        )

    def _no_grant(self, why: str) -> TokenNotObtained:
        return TokenNotObtained(f"no token from {self._host}: {why}", hint="look at tokenUrl in tenant.yaml")

    @property
    def _host(self) -> str:
        parts = urlsplit(self._endpoint.url)
        return f"{parts.netloc}{parts.path}"


def token_source_for(auth: Auth, environ: Mapping[str, str], endpoint: TokenEndpoint | None = None) -> TokenSource:
    """The token source that tenant.yaml `auth` asks for, with its secrets taken from `environ`.

    `endpoint` is needed for type oauth2 only; nothing is asked of it before the first `header`. Raises
    ConfigurationError naming the variable for a secret that is missing, empty, or cannot be sent.
    """
    match auth.type:
        case AuthType.NONE:
            return NoToken()
        case AuthType.BEARER:
            token = read_secret(_required(auth.token, "token", auth), environ).strip()
            if not _TOKEN.fullmatch(token):
                raise ConfigurationError(
                    f"the environment variable {_variable(auth.token)} holds characters no token can have"
                )
            return BearerToken(token)
        case AuthType.BASIC:
            return BasicCredentials(
                _read_text(auth.username, "username", auth, environ),
                read_secret(_required(auth.password, "password", auth), environ),
            )
        case AuthType.OAUTH2:
            return ClientCredentials(
                _required(endpoint, "tokenUrl", auth),
                _read_text(auth.client_id, "clientId", auth, environ),
                read_secret(_required(auth.client_secret, "clientSecret", auth), environ),
                auth.scopes,
            )


def secret_references(auth: Auth) -> tuple[SecretReference, ...]:
    """The environment variables that `auth` needs, each once."""
    named = (auth.token, auth.username, auth.password, auth.client_id, auth.client_secret)
    return tuple(dict.fromkeys(item for item in named if isinstance(item, SecretReference)))


def read_secret(reference: SecretReference, environ: Mapping[str, str]) -> str:
    """The secret itself, without a line end behind it, as CI stores like to have one.

    Raises ConfigurationError, which names the variable and not what it holds.
    """
    secret = environ.get(reference.variable, "").rstrip("\r\n")
    if not secret.strip():
        raise ConfigurationError(
            f"the environment variable {reference.variable} is not set",
            hint=f"export {reference.variable} with the secret that tenant.yaml names as {reference}",
        )
    if not secret.isprintable():
        raise ConfigurationError(f"the environment variable {reference.variable} holds characters that cannot be sent")
    return secret


def _read_text(value: SecretReference | str | None, name: str, auth: Auth, environ: Mapping[str, str]) -> str:
    return read_secret(value, environ) if isinstance(value, SecretReference) else _required(value, name, auth)


def _required(value: _Value | None, name: str, auth: Auth) -> _Value:
    if value is None:
        raise ConfigurationError(f"auth type {auth.type} needs a {name}")
    return value


def _variable(reference: SecretReference | None) -> str:
    return "" if reference is None else reference.variable


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _error_code(body: bytes) -> str | None:
    try:
        document: Attributes = parse_object(body)
    except ScimMalformed:
        return None
    code = document.get("error")
    return shorten(code) if isinstance(code, str) else None


def _lifetime(value: object) -> float | None:
    """`expires_in` as seconds; None for what is missing, no number, or no time at all."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, int):
        value = float(min(max(value, 0), 10**12))
    if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
        return None
    return value


def _hint(response: Response, client_auth: str) -> str:
    code = _error_code(response.body)
    if 300 <= response.status < 400:
        target = urlsplit(response.header("location") or "")
        where = f"{target.scheme}://{target.netloc}" if target.netloc else "another path"
        return f"it redirects to {where}; credentials are not sent along: correct tokenUrl in tenant.yaml"
    if response.status == 429 or response.status >= 500:
        return "the token service is busy or out of order; run the command again later"
    if code == "invalid_scope":
        return "the client may not have these scopes: look at auth.scopes in tenant.yaml"
    if code in {"unauthorized_client", "unsupported_grant_type"}:
        return "the client has to be allowed the grant client_credentials, at the service"
    if response.status in {404, 405}:
        return "look at tokenUrl in tenant.yaml"
    other = "basic" if client_auth == "form" else "form"
    return f"look at clientId and clientSecret; some services want them as `dialect: {{clientAuth: {other}}}`"
