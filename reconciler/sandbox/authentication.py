"""Who may ask for what: bearer tokens (RFC 6750, RFC 7644 section 2), those issued to clients, and their scopes."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from reconciler.sandbox.config import Client, SandboxConfig
from reconciler.sandbox.errors import ScimError

_READ_METHODS = frozenset({"GET", "HEAD"})
_EVERYTHING = frozenset({"SCIM.ReadWrite"})
_READ_ALL = frozenset({"scim:read", "provisioning:read", "provisioning:write"})

SCOPES = {
    ("Users", "write"): _EVERYTHING | {"User.ReadWrite", "scim:users:write"},
    ("Groups", "write"): _EVERYTHING | {"scim:groups:write", "provisioning:write"},
    ("Users", "read"): _EVERYTHING | _READ_ALL | {"User.ReadWrite", "scim:users:write"},
    ("Groups", "read"): _EVERYTHING | _READ_ALL | {"scim:groups:write"},
    ("ServiceProviderConfig", "write"): frozenset({"admin", "scim:write"}),
    ("licences", "read"): frozenset({"License.Read", "License.ReadWrite"}),
    ("licences", "write"): frozenset({"License.ReadWrite"}),
}
"""(what, access) -> the scopes of which one is enough: the union of the five vocabularies of cxone.md section 1."""

ALL_SCOPES = tuple(sorted(frozenset().union(*SCOPES.values())))


@dataclass(frozen=True, slots=True)
class Access:
    """What the sender of a request may do; `scopes` None means everything."""

    scopes: frozenset[str] | None = None

    def check(self, what: str, access: str) -> None:
        """Raise 403 unless the scopes allow `access` (`read` or `write`) to `what`; a name without scopes is free."""
        wanted = SCOPES.get((what, access), frozenset())
        if self.scopes is None or not wanted or self.scopes & wanted:
            return
        scope = " ".join(sorted(wanted))
        raise ScimError(
            HTTPStatus.FORBIDDEN,
            f"The token may not {access} {what}: one of these scopes is needed: {scope}",
            headers={"WWW-Authenticate": f'Bearer realm="scim", error="insufficient_scope", scope="{scope}"'},
        )

    def check_request(self, method: str, path: str) -> None:
        """The same for a request, by its path below the base URL; bulk requests are checked by their operations."""
        is_read = method in _READ_METHODS or (method == "POST" and path.endswith("/.search"))
        first = path.strip("/").partition("/")[0]
        for what in ("Users", "Groups") if first in {"", ".search"} else (first,):
            self.check(what, "read" if is_read else "write")

    def check_operations(self, operations: Iterable[object]) -> None:
        """The same for the operations of a bulk request, by their paths. What has no path is refused elsewhere."""
        for operation in operations:
            path = operation.get("path") if isinstance(operation, dict) else None
            if isinstance(path, str):
                for what in ("Users", "Groups"):
                    if what in path:
                        self.check(what, "write")


FULL_ACCESS = Access()


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, what it allows, and the time it ends, by the clock of the tenant."""

    text: str = field(repr=False)
    scopes: tuple[str, ...]
    ends: float


class Tokens:
    """The tokens that were issued to clients; gone when the tenant stops. Safe to use from several threads."""

    def __init__(self, config: SandboxConfig) -> None:
        self._clock: Callable[[], float] = config.clock
        self._lifetime = config.token_lifetime
        self._clients = {client.id: client for client in config.clients}
        self._lock = threading.Lock()
        self._issued: dict[str, IssuedToken] = {}

    def client(self, identifier: str, secret: str) -> Client | None:
        """The client with this id and secret."""
        client = self._clients.get(identifier)
        right = hmac.compare_digest(secret.encode(), (client.secret if client else "").encode())
        return client if right else None

    def issue(self, scopes: tuple[str, ...]) -> IssuedToken:
        """A new token; those that have ended are forgotten."""
        now = self._clock()
        token = IssuedToken(secrets.token_urlsafe(32), scopes, now + self._lifetime)
        with self._lock:
            self._issued = {text: old for text, old in self._issued.items() if old.ends > now}
            self._issued[token.text] = token
        return token

    def find(self, text: str) -> IssuedToken | None:
        """The token, if it was issued and has not ended."""
        with self._lock:
            token = self._issued.get(text)
        return token if token is not None and self._clock() < token.ends else None


def authenticate(header: str | None, config: SandboxConfig, tokens: Tokens) -> Access:
    """What the sender of this `Authorization` header may do; 401 where that is nobody.

    The static token opens everything, and so does nothing at all where the tenant has neither it nor clients.
    """
    if config.token is None and not config.clients:
        return FULL_ACCESS
    given = _bearer(header)
    if given is not None and config.token is not None and hmac.compare_digest(given.encode(), config.token.encode()):
        return FULL_ACCESS
    issued = None if given is None else tokens.find(given)
    if issued is None:
        raise _unauthorized(header)
    return Access(frozenset(issued.scopes))


def check_bearer(header: str | None, token: str) -> None:
    """Raise 401 unless the Authorization header carries `token`."""
    given = _bearer(header)
    if given is None or not hmac.compare_digest(given.encode(), token.encode()):
        raise _unauthorized(header)


def _bearer(header: str | None) -> str | None:
    scheme, _, given = (header or "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def _unauthorized(header: str | None) -> ScimError:
    problem = "The bearer token is wrong or has expired" if header else "A bearer token is required"
    error = ', error="invalid_token"' if header else ""
    return ScimError(HTTPStatus.UNAUTHORIZED, problem, headers={"WWW-Authenticate": f'Bearer realm="scim"{error}'})
