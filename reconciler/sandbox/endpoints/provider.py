"""`/api/scim/v2/ServiceProviderConfig`: the document as CXone shows it and takes it."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox.exchange import Exchange, empty_reply


def read(exchange: Exchange) -> Response:
    """GET with ETag; 304 when If-None-Match names it."""
    provider = exchange.service.provider
    with exchange.service.store.lock:
        if exchange.preconditions.is_not_modified(provider.tag):
            return empty_reply(HTTPStatus.NOT_MODIFIED, {"ETag": provider.tag})
        return _reply_document(exchange)


def replace(exchange: Exchange) -> Response:
    """PUT of the whole document; what it says about limits holds from the next request on."""
    document = exchange.read_object()
    with exchange.service.store.lock:
        exchange.service.provider.replace(document, exchange.preconditions)
        return _reply_document(exchange)


def _reply_document(exchange: Exchange) -> Response:
    provider = exchange.service.provider
    headers = {"ETag": provider.tag} if exchange.service.config.supports_etag else {}
    return exchange.reply_value(provider.to_cxone(), headers=headers)
