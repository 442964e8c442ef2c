"""`/Bulk` (RFC 7644 section 3.7)."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox.bulk import BULK_RESPONSE_URN, BreakOff, BulkRun, read_bulk
from reconciler.sandbox.config import AsyncBulk
from reconciler.sandbox.errors import not_implemented
from reconciler.sandbox.exchange import Exchange
from reconciler.sandbox.faults import Fault


def run(exchange: Exchange) -> Response:
    """POST: run all operations and answer 200, also when some or all of them failed; or take them on with 202."""
    service = exchange.service
    limits = service.provider.limits
    if not limits.supports_bulk:
        raise not_implemented("Bulk")
    message = exchange.read_object(limits.max_payload, "maxPayloadSize")
    operations = message.get("Operations")
    exchange.operations = len(operations) if isinstance(operations, list) else 0
    exchange.access.check_operations(operations if isinstance(operations, list) else ())
    request = read_bulk(message, limits.max_operations, lenient=service.config.is_cxone)
    break_off = _break_off(exchange, len(request.operations))
    if service.config.async_bulk:
        way = _way(exchange, service.config.async_bulk)
        identifier = service.jobs.submit(message, exchange.base_url, way, break_off)
        location = f"{exchange.base_url}/Bulk/{identifier}"
        return exchange.reply_value({"id": identifier}, HTTPStatus.ACCEPTED, {"Location": location})
    run = BulkRun(service.directory, service.config, request, exchange.base_url, break_off=break_off)
    run.execute(service.store)
    return exchange.reply_value({"schemas": [BULK_RESPONSE_URN], "Operations": list(run.results.values())})


def _way(exchange: Exchange, way: AsyncBulk) -> AsyncBulk:
    late = exchange.struck_by(Fault.LATE_ASYNC_COMMIT)
    return way if late is None else replace(way, late_by=late["requests"])


def _break_off(exchange: Exchange, count: int) -> BreakOff | None:
    partial = exchange.struck_by(Fault.PARTIAL_BULK)
    if partial is None:
        return None
    return BreakOff(count // 2 if partial["operations"] is None else partial["operations"], partial["status"])


def read_job(exchange: Exchange, identifier: str) -> Response:
    """GET: how far a job is; asking is what makes it go on."""
    return exchange.reply_value(exchange.service.jobs.poll(identifier))
