"""Who may ask: the static bearer token, and the token of `/_sandbox` (RFC 6750, RFC 7644 section 2)."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from reconciler.sandbox.errors import ScimError


def check_bearer(header: str | None, token: str | None) -> None:
    """Raise 401 unless the Authorization header carries `token`; None asks for nothing."""
    if token is None:
        return
    scheme, _, given = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        problem = "The bearer token is wrong" if header else "A bearer token is required"
        error = ', error="invalid_token"' if header else ""
        raise ScimError(HTTPStatus.UNAUTHORIZED, problem, headers={"WWW-Authenticate": f'Bearer realm="scim"{error}'})
