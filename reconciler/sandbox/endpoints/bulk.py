"""`/Bulk` (RFC 7644 section 3.7)."""

from __future__ import annotations

from werkzeug.wrappers import Response

from reconciler.sandbox.bulk import BULK_RESPONSE_URN, BulkRun, read_bulk
from reconciler.sandbox.errors import not_implemented
from reconciler.sandbox.exchange import Exchange


def run(exchange: Exchange) -> Response:
    """POST: run all operations and answer 200, also when some or all of them failed."""
    service = exchange.service
    limits = service.provider.limits
    if not limits.supports_bulk:
        raise not_implemented("Bulk")
    message = exchange.read_object(limits.max_payload, "maxPayloadSize")
    operations = message.get("Operations")
    exchange.operations = len(operations) if isinstance(operations, list) else 0
    exchange.access.check_operations(operations if isinstance(operations, list) else ())
    request = read_bulk(message, limits.max_operations, lenient=service.config.is_cxone)
    results = BulkRun(service.directory, service.config, request, exchange.base_url).execute(service.store)
    return exchange.reply_value({"schemas": [BULK_RESPONSE_URN], "Operations": results})
