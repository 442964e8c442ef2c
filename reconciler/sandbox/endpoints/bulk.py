"""`/Bulk` (RFC 7644 section 3.7)."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox.bulk import BULK_RESPONSE_URN, BulkRun, read_bulk
from reconciler.sandbox.errors import not_implemented
from reconciler.sandbox.exchange import Exchange


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
    if service.config.async_bulk:
        identifier = service.jobs.submit(message, exchange.base_url, service.config.async_bulk)
        location = f"{exchange.base_url}/Bulk/{identifier}"
        return exchange.reply_value({"id": identifier}, HTTPStatus.ACCEPTED, {"Location": location})
    results = BulkRun(service.directory, service.config, request, exchange.base_url).execute(service.store)
    return exchange.reply_value({"schemas": [BULK_RESPONSE_URN], "Operations": results})


def read_job(exchange: Exchange, identifier: str) -> Response:
    """GET: how far a job is; asking is what makes it go on."""
    return exchange.reply_value(exchange.service.jobs.poll(identifier))
