"""`/oauth/token`: tokens for registered clients (RFC 6749 sections 4.4 and 5; cxone.md section 1)."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_plus

from werkzeug.wrappers import Response

from reconciler.sandbox.authentication import Tokens
from reconciler.sandbox.config import Client
from reconciler.sandbox.exchange import JSON, Exchange
from reconciler.sandbox.wire import encode_json

TOKEN_PATH = "/oauth/token"  # noqa: S105 -- a path

_FORM = "application/x-www-form-urlencoded"
_BODY_CEILING = 65_536
_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class _Refusal(Exception):
    """An error of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def issue(exchange: Exchange) -> Response:
    """POST: a token for a client that proves itself by the `Authorization` header or by the form, not by both."""
    try:
        form = _read_form(exchange)
        client = _authenticate(exchange, form)
        scopes = _scopes(form, client)
    except _Refusal as refusal:
        body = encode_json({"error": refusal.error, "error_description": refusal.description})
        headers = dict(_NOT_STORED)
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Basic realm="oauth"'
        return Response(body, refusal.status, headers, content_type=JSON)
    token = exchange.service.tokens.issue(scopes)
    answer = {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": exchange.service.config.token_lifetime,
        "scope": " ".join(token.scopes),
    }
    return Response(encode_json(answer), HTTPStatus.OK, _NOT_STORED, content_type=JSON)


def _read_form(exchange: Exchange) -> dict[str, str]:
    request = exchange.request
    if request.mimetype != _FORM:
        raise _Refusal("invalid_request", f"Send {_FORM}")
    if (request.content_length or 0) > _BODY_CEILING:
        raise _Refusal("invalid_request", "The form is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        pairs = parse_qsl(request.get_data(cache=False).decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise _Refusal("invalid_request", "The form is not UTF-8") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Refusal("invalid_request", "A parameter is there twice")
    if not form.get("grant_type"):
        raise _Refusal("invalid_request", "The parameter grant_type is missing")
    return form


def _authenticate(exchange: Exchange, form: dict[str, str]) -> Client:
    header = exchange.request.headers.get("Authorization")
    if header is not None and "client_secret" in form:
        raise _Refusal("invalid_request", "The client may prove itself in one way only")
    given = _basic(header) if header is not None else (form.get("client_id", ""), form.get("client_secret", ""))
    tokens: Tokens = exchange.service.tokens
    client = tokens.client(*given) if given is not None else None
    if client is None:
        raise _Refusal("invalid_client", "The client is unknown, or its secret is wrong", HTTPStatus.UNAUTHORIZED)
    if form["grant_type"] != "client_credentials":
        raise _Refusal("unsupported_grant_type", "The only grant here is client_credentials")
    return client


def _basic(header: str) -> tuple[str, str] | None:
    """Id and secret, each form-encoded before they were joined (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        identifier, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        return (unquote_plus(identifier, errors="strict"), unquote_plus(secret, errors="strict")) if colon else None
    except (binascii.Error, ValueError):
        return None


def _scopes(form: dict[str, str], client: Client) -> tuple[str, ...]:
    """What was asked for, all of which the client may have; or all it may have."""
    if "scope" not in form:
        return client.scopes
    asked = tuple(dict.fromkeys(form["scope"].split(" ")))
    if unknown := [scope for scope in asked if scope not in client.scopes]:
        raise _Refusal("invalid_scope", f"The client may not have the scope {unknown[0][:100]!r}")
    return asked
