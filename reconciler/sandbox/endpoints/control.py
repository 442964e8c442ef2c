"""`/_sandbox`: what was asked, and a fresh start. There only when the tenant was started with an admin token."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox.exchange import Exchange, empty_reply


def read_requests(exchange: Exchange) -> Response:
    """The request log."""
    return exchange.reply_value(exchange.service.log.to_json())


def reset(exchange: Exchange) -> Response:
    """Forget all resources, the ServiceProviderConfig and the request log."""
    exchange.service.reset()
    return empty_reply(HTTPStatus.NO_CONTENT)
