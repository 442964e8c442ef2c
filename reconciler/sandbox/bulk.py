"""Bulk (RFC 7644 section 3.7): many operations in one request, each with a result of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import KINDS, KINDS_BY_ENDPOINT, ResourceKind
from reconciler.sandbox.directory import Directory
from reconciler.sandbox.errors import ScimError, invalid_syntax, invalid_value, not_found, too_large
from reconciler.sandbox.preconditions import Preconditions, entity_tag
from reconciler.sandbox.store import Record, Store

BULK_REQUEST_URN = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE_URN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"

_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_REFERENCE = "bulkId:"
_QUOTED_REFERENCE = re.compile(r'(?<=")bulkId:([^"\\]+)(?=")')
_SUCCESS = {"POST": "201", "PUT": "200", "PATCH": "200", "DELETE": "204"}


@dataclass(slots=True)
class Operation:
    """One operation of a request. `problem` says why it cannot run at all."""

    method: str
    kind: ResourceKind | None
    key: str | None
    bulk_id: str | None
    correlation: str | None
    version: str | None
    data: Any
    path: Any = None
    problem: ScimError | None = None


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A request that passed the checks on its envelope."""

    operations: list[Operation]
    fail_on_errors: int | None


@dataclass(frozen=True, slots=True)
class BreakOff:
    """Where a run stops although nothing is wrong: so many operations run, the rest gets `status`, or no result."""

    after: int
    status: int | None


class _State(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def read_bulk(message: Mapping[str, Any], max_operations: int, *, lenient: bool) -> BulkRequest:
    """The request in a body; raises 413 naming `maxOperations` when there are more.

    `lenient` is CXone: `schemas` may be absent, and `id` may stand for `bulkId`.
    """
    schemas = message.get("schemas")
    if (schemas is not None or not lenient) and (not isinstance(schemas, list) or BULK_REQUEST_URN not in schemas):
        raise invalid_syntax(f"schemas does not name {BULK_REQUEST_URN}")
    raw = message.get("Operations")
    if not isinstance(raw, list):
        raise invalid_syntax("Operations is required and must be an array")
    if len(raw) > max_operations:
        raise too_large(f"{len(raw)} operations exceed maxOperations ({max_operations})")
    return BulkRequest([_read_operation(item, lenient=lenient) for item in raw], _read_fail_on_errors(message))


def _read_fail_on_errors(message: Mapping[str, Any]) -> int | None:
    limit = message.get("failOnErrors")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise invalid_value("failOnErrors must be an integer above 0")
    return limit


def _read_operation(item: Any, *, lenient: bool) -> Operation:
    if not isinstance(item, dict):
        raise invalid_syntax("Operations holds objects")
    operation = Operation(
        method=str(item.get("method")).upper(),
        kind=None,
        key=None,
        bulk_id=_text(item, "bulkId"),
        correlation=_text(item, "id"),
        version=None,
        data=item.get("data"),
        path=item.get("path"),
    )
    try:
        _check_operation(operation, lenient=lenient)
        operation.version = _read_version(item.get("version"))
    except ScimError as problem:
        operation.problem = problem
    return operation


def _check_operation(operation: Operation, *, lenient: bool) -> None:
    if operation.method not in _METHODS:
        raise invalid_syntax(f"method must be POST, PUT, PATCH or DELETE, not {operation.method[:100]!r}")
    operation.kind, operation.key = _read_path(operation.path, lenient=lenient)
    is_post = operation.method == "POST"
    if is_post is not (operation.key is None):
        raise invalid_syntax(f"{operation.method} does not go to {operation.path[:200]!r}")
    if is_post and operation.bulk_id is None and (operation.correlation is None or not lenient):
        raise invalid_syntax("bulkId is required for POST")
    if operation.method != "DELETE" and not isinstance(operation.data, dict):
        raise invalid_syntax(f"data is required for {operation.method} and must be an object")


def _read_path(path: Any, *, lenient: bool) -> tuple[ResourceKind, str | None]:
    """The kind and the key in `/Users` or `/Users/{id}`, percent-encoded as in any URL.

    `lenient` tolerates the prefix `/scim/v2` (cxone.md D8).
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise invalid_syntax("path is required and starts with /")
    endpoint, _, key = path.removeprefix("/scim/v2" if lenient else "")[1:].partition("/")
    kind = KINDS_BY_ENDPOINT.get(f"/{endpoint}")
    if kind is None or "/" in key:
        raise not_found(f"There is no endpoint {path[:200]!r}")
    return kind, unquote(key) or None


def _read_version(raw: Any) -> str | None:
    """A version that is no text must not turn into an unguarded write."""
    if raw is not None and not isinstance(raw, str):
        raise invalid_syntax("version must be a string")
    return raw


def _text(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) and value else None


class BulkRun:
    """One request being executed: which operations ran, and which id each bulkId stands for.

    `results` are those of the operations that ran before, by their place in the request: the run goes on behind them.
    `break_off` is a fault.
    """

    def __init__(
        self,
        directory: Directory,
        config: SandboxConfig,
        request: BulkRequest,
        base_url: str,
        results: Mapping[int, Mapping[str, Any]] = MappingProxyType({}),
        *,
        break_off: BreakOff | None = None,
    ) -> None:
        self._directory = directory
        self._config = config
        self._request = request
        self._base_url = base_url
        self._break_off = break_off
        self._states = [_State.WAITING] * len(request.operations)
        self._results: dict[int, dict[str, Any]] = {}
        self._owners: dict[str, int] = {}
        self._ids: dict[str, str] = {}
        self._errors = 0
        for index, operation in enumerate(request.operations):
            if operation.method == "POST" and operation.bulk_id and operation.problem is None:
                self._register(operation, operation.bulk_id, index)
        for index, result in results.items():
            self._restore(index, result)

    @property
    def results(self) -> dict[int, dict[str, Any]]:
        """The results by place in the request, in the client's order; what did not run is absent."""
        return dict(sorted(self._results.items()))

    def execute(self, store: Store, until: int | None = None) -> None:
        """Run operations in one transaction, until so many have run, or all."""
        wanted = len(self._states) if until is None else until
        with store.transaction():
            for index in range(len(self._states)):
                if self._is_over() or len(self._results) >= wanted:
                    break
                self._run_with_dependencies(index)
        if self._break_off and self._break_off.status and self._is_broken_off():
            self._answer_the_rest(self._break_off.status)

    def _restore(self, index: int, result: Mapping[str, Any]) -> None:
        operation = self._request.operations[index]
        self._results[index] = dict(result)
        if is_failure(result):
            self._states[index] = _State.FAILED
            self._errors += 1
            return
        self._states[index] = _State.DONE
        if operation.bulk_id and operation.method == "POST":
            self._ids[operation.bulk_id] = result["location"].rpartition("/")[2]

    def _register(self, operation: Operation, bulk_id: str, index: int) -> None:
        if bulk_id in self._owners:
            operation.problem = invalid_value(f"bulkId {bulk_id[:100]!r} is used twice")
        else:
            self._owners[bulk_id] = index

    def _is_over(self) -> bool:
        limit = self._request.fail_on_errors
        return (limit is not None and self._errors >= limit) or self._is_broken_off()

    def _is_broken_off(self) -> bool:
        return self._break_off is not None and len(self._results) >= self._break_off.after

    def _answer_the_rest(self, status: int) -> None:
        for index, state in enumerate(self._states):
            if state not in (_State.DONE, _State.FAILED):
                self._fail(index, ScimError(status, "The service stopped before it came to this operation"))

    def _run_with_dependencies(self, start: int) -> None:
        """Depth first: a POST runs before what refers to its bulkId. Loop and stack, since chains can be long."""
        stack = [start]
        while stack and not self._is_over():
            index = stack[-1]
            if self._states[index] in (_State.DONE, _State.FAILED):
                stack.pop()
                continue
            self._states[index] = _State.RUNNING
            waiting = self._unresolved(index)
            circular = [owner for owner in waiting if self._states[owner] is _State.RUNNING]
            if circular:
                self._fail(index, _circular(self._request.operations[index]))
            elif waiting:
                stack.append(waiting[0])
            else:
                self._run(index)

    def _unresolved(self, index: int) -> list[int]:
        """The operations whose result this one needs and that did not run yet."""
        owners = (self._owners.get(name) for name in _references(self._request.operations[index]))
        return [
            owner for owner in owners if owner is not None and self._states[owner] in (_State.WAITING, _State.RUNNING)
        ]

    def _run(self, index: int) -> None:
        operation = self._request.operations[index]
        try:
            if operation.problem:
                raise operation.problem
            if operation.kind is None:
                raise invalid_syntax("path is required")
            self._resolve(operation)
            record = self._perform(operation, operation.kind)
        except ScimError as error:
            self._fail(index, error)
            return
        if operation.bulk_id and operation.method == "POST":
            self._ids[operation.bulk_id] = record.id
        self._states[index] = _State.DONE
        self._results[index] = self._success(operation, record)

    def _perform(self, operation: Operation, kind: ResourceKind) -> Record:
        guard = Preconditions(if_match=operation.version)
        key = operation.key or ""
        match operation.method:
            case "POST":
                return self._directory.create(kind, operation.data)
            case "PUT":
                return self._directory.replace(kind, key, operation.data, guard)
            case "PATCH":
                return self._directory.patch(kind, key, operation.data, guard)
            case _:
                return self._directory.delete(kind, key, guard)

    def _resolve(self, operation: Operation) -> None:
        """Put ids in the place of bulkIds; one that stands for nothing created makes the operation fail."""
        ids = {name: self._resolved(name) for name in _references(operation)}
        if not ids:
            return
        if operation.key and operation.key.startswith(_REFERENCE):
            operation.key = ids[operation.key.removeprefix(_REFERENCE)]
        operation.data = _substituted(operation.data, ids)

    def _resolved(self, bulk_id: str) -> str:
        if bulk_id in self._ids:
            return self._ids[bulk_id]
        if bulk_id in self._owners:
            raise ScimError(HTTPStatus.CONFLICT, f"The operation with bulkId {bulk_id[:100]!r} failed")
        raise invalid_value(f"No POST of this request has the bulkId {bulk_id[:100]!r}")

    def _fail(self, index: int, error: ScimError) -> None:
        operation = self._request.operations[index]
        self._states[index] = _State.FAILED
        self._errors += 1
        result = self._correlated(operation)
        if operation.kind and operation.key:
            result["location"] = self._location(operation.kind, operation.key)
        result |= {"status": self._status(str(int(error.status))), "response": error.to_json()}
        if self._config.is_cxone:
            result |= {"detail": error.detail, "errors": [{"detail": error.detail, "status": int(error.status)}]}
        self._results[index] = result

    def _success(self, operation: Operation, record: Record) -> dict[str, Any]:
        result = self._correlated(operation)
        result["location"] = self._location(KINDS[record.kind], record.id)
        if operation.method != "DELETE" and self._config.supports_etag:
            result["version"] = entity_tag(record.version)
        return {**result, "status": self._status(_SUCCESS[operation.method])}

    def _status(self, code: str) -> Any:
        match self._config.quirks.bulk_status:
            case "number":
                return int(code)
            case "object":
                return {"code": code}
            case _:
                return code

    def _correlated(self, operation: Operation) -> dict[str, Any]:
        result: dict[str, Any] = {"method": operation.method}
        if operation.bulk_id:
            result["bulkId"] = operation.bulk_id
        if operation.correlation:
            result["id"] = operation.correlation
        if self._config.is_cxone:
            result["path"] = operation.path
        return result

    def _location(self, kind: ResourceKind, key: str) -> str:
        return f"{self._base_url}{kind.endpoint}/{key}"


def is_failure(result: Mapping[str, Any]) -> bool:
    """Whether an operation with this result changed nothing."""
    return "response" in result


def _circular(operation: Operation) -> ScimError:
    """RFC 7644 section 3.7.1: a circular reference that cannot be resolved is answered 409."""
    return ScimError(HTTPStatus.CONFLICT, f"bulkId {operation.bulk_id!r} refers to itself in a circle")


def _references(operation: Operation) -> list[str]:
    """The bulkIds an operation refers to, in its path and in its data."""
    names = [operation.key.removeprefix(_REFERENCE)] if operation.key and operation.key.startswith(_REFERENCE) else []
    for _, _, text in _strings(operation.data):
        if text.startswith(_REFERENCE):
            names.append(text.removeprefix(_REFERENCE))
        elif _REFERENCE in text:
            names.extend(_QUOTED_REFERENCE.findall(text))
    return list(dict.fromkeys(names))


def _substituted(data: Any, ids: Mapping[str, str]) -> Any:
    """`data`, changed in place: every reference replaced, also inside the filter of a PATCH path."""
    for container, key, text in list(_strings(data)):
        if text.startswith(_REFERENCE):
            container[key] = ids[text.removeprefix(_REFERENCE)]
        elif _REFERENCE in text:
            container[key] = _QUOTED_REFERENCE.sub(lambda match: ids[match[1]], text)
    return data


def _strings(data: Any) -> Iterator[tuple[Any, Any, str]]:
    """All strings in a JSON value with their place; loop and stack, since a body may be nested deep."""
    stack = [data]
    while stack:
        value = stack.pop()
        if not isinstance(value, (dict, list)):
            continue
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, str):
                yield value, key, item
            else:
                stack.append(item)
