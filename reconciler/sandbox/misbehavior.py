"""What a fault does to the request it strikes. Three of them are left to the handlers, which know lists and bulk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from waitress.channel import ClientDisconnected
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from reconciler.sandbox.definitions import GROUP, KINDS_BY_ENDPOINT, USER, ResourceKind
from reconciler.sandbox.errors import ScimError, too_many_requests
from reconciler.sandbox.exchange import SCIM_PATH, Exchange
from reconciler.sandbox.faults import Fault, Strike
from reconciler.sandbox.matching import Lookup
from reconciler.sandbox.schema import fold
from reconciler.sandbox.store import Record
from reconciler.sandbox.wire import decode_object, encode_json

Dropped = ClientDisconnected
"""Raised out of the application it makes the server hang up without an answer."""

_READ_METHODS = ("GET", "HEAD")


class _Undone(Exception):
    """Ends a transaction whose result is told and not kept."""


def misbehave(exchange: Exchange, strike: Strike, answer: Callable[[], Response]) -> Response:
    """The answer to a struck request; `answer` is what would have been done about it."""
    match strike.fault:
        case Fault.DROP_BEFORE_SEND:
            raise Dropped
        case Fault.DROP_AFTER_COMMIT:
            with suppress(ScimError, HTTPException):
                answer()
            raise Dropped
        case Fault.TOO_MANY_REQUESTS:
            raise _too_many_requests(strike)
        case Fault.SERVER_ERROR:
            return _server_error(strike, answer)
        case Fault.SLOW:
            exchange.service.config.sleep(strike.args["seconds"])
            return answer()
        case Fault.TRUNCATED_PAGE:
            return _truncated(answer(), strike)
        case Fault.WRONG_TOTAL_RESULTS:
            return _with_wrong_total(answer(), strike)
        case Fault.MISSING_BULK_RESULTS:
            return _without_some_results(answer(), strike)
        case Fault.LYING_SUCCESS:
            return _undone(exchange, answer)
        case Fault.FOREIGN_EDIT:
            return _with_foreign_edit(exchange, strike, answer)
        case Fault.SHIFTING_PAGES | Fault.PARTIAL_BULK | Fault.LATE_ASYNC_COMMIT:
            return answer()


def _too_many_requests(strike: Strike) -> ScimError:
    seconds = strike.args["retryAfter"]
    if seconds is not None and strike.args["asDate"]:
        return too_many_requests(format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True))
    return too_many_requests(None if seconds is None else str(seconds))


def _server_error(strike: Strike, answer: Callable[[], Response]) -> Response:
    if strike.args["committed"]:
        with suppress(ScimError, HTTPException):
            answer()
    status = strike.args["status"]
    if strike.args["html"]:
        return Response(f"<html><body><h1>{status}</h1></body></html>", status, content_type="text/html")
    raise ScimError(status, "The directory is not available")


def _truncated(response: Response, strike: Strike) -> Response:
    """With fewer rows than it says, or broken off in the middle of the body."""
    if strike.args["rows"] is not None:
        return _changed(response, "Resources", lambda rows: rows[: strike.args["rows"]])
    body = response.get_data()
    kept = len(body) // 2 if strike.args["bytes"] is None else strike.args["bytes"]

    def parts() -> Iterator[bytes]:
        yield body[:kept]
        raise Dropped

    headers = {**response.headers, "Content-Length": str(len(body))}
    return Response(parts(), response.status, headers)


def _with_wrong_total(response: Response, strike: Strike) -> Response:
    return _changed(response, "totalResults", lambda total: max(0, total + strike.args["by"]))


def _without_some_results(response: Response, strike: Strike) -> Response:
    """In the answer to a bulk request, or in that of a finished job."""

    def thinned(results: list[Any]) -> list[Any]:
        missing = set(strike.chance.sample(range(len(results)), min(len(results), strike.args["count"])))
        return [result for index, result in enumerate(results) if index not in missing]

    return _changed(response, "Operations", thinned)


def _changed(response: Response, name: str, change: Callable[[Any], Any]) -> Response:
    """The answer with one member of its object changed; one without that member stays as it is."""
    value = json.loads(response.get_data() or b"null")
    if isinstance(value, dict) and name in value:
        response.set_data(encode_json({**value, name: change(value[name])}))
    return response


def _undone(exchange: Exchange, answer: Callable[[], Response]) -> Response:
    """What was done is told and then forgotten."""
    service = exchange.service
    response = Response()
    with suppress(_Undone), service.store.transaction():
        response = answer()
        raise _Undone
    service.reload()
    return response


def _with_foreign_edit(exchange: Exchange, strike: Strike, answer: Callable[[], Response]) -> Response:
    """Somebody else edits what the request is about: after it is read, or before it is written."""
    if _is_read(exchange):
        response = answer()
        _edit(exchange, strike)
        return response
    _edit(exchange, strike)
    return answer()


def _edit(exchange: Exchange, strike: Strike) -> None:
    directory, store = exchange.service.directory, exchange.service.store
    with store.lock:
        candidates = _edited(exchange, strike)
        if not candidates:
            return
        try:
            directory.edit(strike.chance.choice(candidates), strike.args["operations"])
        except ScimError as error:
            detail = f"The foreign edit of the faults cannot be made: {error.detail}"
            raise ScimError(HTTPStatus.INTERNAL_SERVER_ERROR, detail) from error


def _edited(exchange: Exchange, strike: Strike) -> Sequence[Record]:
    """Of which resources one is edited: the named one, else those the request goes to, else those of its endpoint."""
    store = exchange.service.store
    for kind, column, name in ((USER, "user_name", "user"), (GROUP, "display_name", "group")):
        if (wanted := strike.args[name]) is not None:
            return store.records(store.lookup(kind, [Lookup(column, fold(wanted))]))
    aims = [aim for path in _paths(exchange) if (aim := _aim(path)) is not None]
    found = []
    for kind, key in aims:
        with suppress(ScimError):
            found.append(exchange.service.directory.read(kind, key))
    if not found and _is_read(exchange):
        endpoint = exchange.request.path.removeprefix(SCIM_PATH).removesuffix("/.search")
        return store.records(store.roster([kind for kind in KINDS_BY_ENDPOINT.values() if kind.endpoint == endpoint]))
    return found


def _is_read(exchange: Exchange) -> bool:
    return exchange.request.method in _READ_METHODS or exchange.request.path.endswith("/.search")


def _paths(exchange: Exchange) -> list[str]:
    path = exchange.request.path.removeprefix(SCIM_PATH)
    if path != "/Bulk":
        return [path]
    with suppress(ScimError):
        operations = decode_object(exchange.request.get_data()).get("Operations")
        if isinstance(operations, list):
            return [str(operation.get("path")) for operation in operations if isinstance(operation, dict)]
    return []


def _aim(path: str) -> tuple[ResourceKind, str] | None:
    """The resource that a path like `/Users/{id}` names."""
    endpoint, _, key = path.removeprefix(SCIM_PATH)[1:].partition("/")
    kind = KINDS_BY_ENDPOINT.get(f"/{endpoint}")
    return (kind, key) if kind is not None and key else None
