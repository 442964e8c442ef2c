"""`/api/v2/license`: the quota, and the release of a licence (cxone.md section 2, E3 and E4)."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox.exchange import JSON, Exchange, empty_reply
from reconciler.sandbox.wire import encode_json


def read_quota(exchange: Exchange) -> Response:
    """GET: how many licences there are, and how many are assigned."""
    exchange.access.check("licences", "read")
    with exchange.service.store.lock:
        return Response(encode_json(exchange.service.licences.quota()), content_type=JSON)


def release(exchange: Exchange, identifier: str) -> Response:
    """DELETE: take the licence from a user; 404 where there is none to take."""
    exchange.access.check("licences", "write")
    with exchange.service.store.transaction():
        exchange.service.licences.release(identifier)
    return empty_reply(HTTPStatus.NO_CONTENT)
