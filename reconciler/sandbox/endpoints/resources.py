"""`/Users` and `/Groups`: single resources and lists (RFC 7644 sections 3.3 to 3.6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from http import HTTPStatus

from werkzeug.wrappers import Response

from reconciler.sandbox.definitions import KINDS, ResourceKind
from reconciler.sandbox.errors import not_implemented
from reconciler.sandbox.exchange import Exchange, empty_reply
from reconciler.sandbox.faults import Fault
from reconciler.sandbox.listing import Query, read_query, read_search
from reconciler.sandbox.preconditions import entity_tag

_ALL = tuple(KINDS.values())


def list_resources(exchange: Exchange, kind: ResourceKind | None = None) -> Response:
    """GET on an endpoint, or on the base URL for all kinds."""
    return _list(exchange, _kinds(kind), read_query(exchange.request.args))


def search(exchange: Exchange, kind: ResourceKind | None = None) -> Response:
    """POST to `/.search`, the list request that keeps names out of URLs (RFC 7644 section 3.4.3)."""
    return _list(exchange, _kinds(kind), read_search(exchange.read_object()))


def read(exchange: Exchange, kind: ResourceKind, key: str) -> Response:
    """GET on a resource; 304 when If-None-Match names its version."""
    service = exchange.service
    with service.store.lock:
        record = service.directory.read(kind, key)
        tag = entity_tag(record.version)
        if exchange.preconditions.is_not_modified(tag):
            return empty_reply(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
        return exchange.reply_record(record)


def create(exchange: Exchange, kind: ResourceKind) -> Response:
    """POST on an endpoint."""
    payload = exchange.read_object()
    with exchange.service.store.lock:
        return exchange.reply_record(exchange.service.directory.create(kind, payload), HTTPStatus.CREATED)


def replace(exchange: Exchange, kind: ResourceKind, key: str) -> Response:
    """PUT on a resource."""
    payload = exchange.read_object()
    with exchange.service.store.lock:
        return exchange.reply_record(exchange.service.directory.replace(kind, key, payload, exchange.preconditions))


def patch(exchange: Exchange, kind: ResourceKind, key: str) -> Response:
    """PATCH on a resource; answered with the whole resource."""
    message = exchange.read_object()
    with exchange.service.store.lock:
        return exchange.reply_record(exchange.service.directory.patch(kind, key, message, exchange.preconditions))


def delete(exchange: Exchange, kind: ResourceKind, key: str) -> Response:
    """DELETE on a resource."""
    exchange.service.directory.delete(kind, key, exchange.preconditions)
    return empty_reply(HTTPStatus.NO_CONTENT)


def _kinds(kind: ResourceKind | None) -> Sequence[ResourceKind]:
    return _ALL if kind is None else (kind,)


def _list(exchange: Exchange, kinds: Sequence[ResourceKind], query: Query) -> Response:
    service = exchange.service
    with service.store.lock:
        limits = service.provider.limits
        if query.filter is not None and not limits.supports_filter:
            raise not_implemented("filter")
        if not limits.supports_sort:
            query = dataclasses.replace(query, sort_by=None)
        text, total = service.lister.render_list(
            kinds, query, exchange.renderer, limits.max_results, shift=_shift(exchange)
        )
        headers = {"X-Total-Results": str(total)} if service.config.is_cxone else {}
        return exchange.reply(text, headers=headers)


def _shift(exchange: Exchange) -> int:
    """By how many rows the page is not where it should be."""
    args = exchange.struck_by(Fault.SHIFTING_PAGES)
    if args is None or exchange.strike is None:
        return 0
    by: int = exchange.strike.chance.choice((-2, -1, 1, 2)) if args["by"] is None else args["by"]
    return by
