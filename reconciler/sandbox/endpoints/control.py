"""`/_sandbox`: what was asked, faults, a fresh start. There only when the tenant was started with an admin token."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox import faults
from reconciler.sandbox.errors import invalid_value
from reconciler.sandbox.exchange import Exchange, empty_reply
from reconciler.sandbox.faults import FaultPlan, FaultsError


def read_requests(exchange: Exchange) -> Response:
    """The request log."""
    return exchange.reply_value(exchange.service.log.to_json())


def reset(exchange: Exchange) -> Response:
    """Forget all resources, jobs, the ServiceProviderConfig and the request log; faults begin to count again."""
    exchange.service.reset()
    return empty_reply(HTTPStatus.NO_CONTENT)


def read_faults(exchange: Exchange) -> Response:
    """The faults, and how many requests each of them counted and struck."""
    return exchange.reply_value(exchange.service.faults.to_json())


def set_faults(exchange: Exchange) -> Response:
    """PUT: have these faults instead; 400 names the place and the remedy."""
    document = exchange.read_json()
    try:
        plan = faults.read_faults(document)
    except FaultsError as error:
        raise invalid_value(str(error)) from None
    exchange.service.faults.replace(plan)
    return read_faults(exchange)


def clear_faults(exchange: Exchange) -> Response:
    """DELETE: have none."""
    exchange.service.faults.replace(FaultPlan())
    return empty_reply(HTTPStatus.NO_CONTENT)
