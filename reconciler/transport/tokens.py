"""Where the `Authorization` header comes from. Secrets are read once, from the mapping handed in, and never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from reconciler.errors import ConfigurationError
from reconciler.model.tenant import Auth, AuthType, SecretReference


class TokenSource(Protocol):
    """Gives the credentials for one tenant. Safe to use from several threads."""

    def header(self) -> str | None:
        """The value of the `Authorization` header, or None for no header."""

    def refresh(self) -> bool:
        """Drop credentials that the service refused. True if the next `header` may be a better one."""

    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, to be taken out of texts that the service sends."""


class NoToken:
    """No authentication: `auth: {type: none}`."""

    def header(self) -> str | None:
        """No header."""
        return None

    def refresh(self) -> bool:
        """There is nothing to refresh."""
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

    def refresh(self) -> bool:
        """A static token stays what it is."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self._token,)


def token_source_for(auth: Auth, environ: Mapping[str, str]) -> TokenSource:
    """The token source that tenant.yaml `auth` asks for, with its secrets taken from `environ`.

    Raises ConfigurationError naming the variable for a secret that is missing, empty, or cannot stand in a header.
    """
    match auth.type:
        case AuthType.NONE:
            return NoToken()
        case AuthType.BEARER:
            if auth.token is None:
                raise ConfigurationError("auth type bearer needs a token")
            return BearerToken(_secret(auth.token, environ))
        case (
            AuthType.OAUTH2 | AuthType.BASIC
        ):  # client credentials with single-flight refresh come here (cxone.md section 1)
            raise ConfigurationError(f"auth type {auth.type} is not supported yet", hint="use type bearer or none")


def _secret(reference: SecretReference, environ: Mapping[str, str]) -> str:
    secret = environ.get(reference.variable, "").strip()  # CI stores like to end a secret with a line feed
    if not secret:
        raise ConfigurationError(
            f"the environment variable {reference.variable} is not set",
            hint=f"export {reference.variable} with the secret that tenant.yaml names as {reference}",
        )
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise ConfigurationError(f"the environment variable {reference.variable} holds characters no token can have")
    return secret
