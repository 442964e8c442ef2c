"""Operations -> BulkRequest, BulkResponse -> one result per operation (RFC 7644 section 3.7); jobs (cxone.md 5)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from reconciler.errors import ScimMalformed
from reconciler.messages.codec import id_in_location, parse_object
from reconciler.messages.error import shorten
from reconciler.model.dialect import Dialect
from reconciler.model.resource import Attributes

BULK_REQUEST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"

_ERRORS_SHOWN = 10
_STATUS = re.compile(r"\s*([1-5]\d\d)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOperation:
    """One operation of a bulk request.

    `path` is relative to the base URL, ids in it percent-encoded. `data` of a PATCH is a whole PatchOp message (erratum
    5050), of a DELETE nothing. `version` guards PUT, PATCH and DELETE and is sent byte for byte.
    """

    bulk_id: str
    method: str
    path: str
    version: str | None = None
    data: Attributes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What the service said about one operation. `status` None means that it said nothing: the outcome is unknown.

    `id` is the resource's, as far as it is told. `resource` is the resource after a success, as returned.
    """

    bulk_id: str
    status: int | None = None
    id: str | None = None
    version: str | None = None
    location: str | None = None
    detail: str | None = None
    scim_type: str | None = None
    resource: Attributes | None = None


@dataclass(frozen=True, slots=True)
class BulkJob:
    """A bulk request that the service took on for later (202). `id` is for people.

    `path` asks after it: the path of a URL at the origin of the service, query included.
    """

    id: str
    path: str


class JobState(Enum):
    """How far a job is. GONE: the service knows nothing of it (any more)."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    GONE = "gone"


_TERMINAL = {"completed": JobState.COMPLETED, "failed": JobState.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What the service says of a job: `errors` in its words, None where it reports none.

    `document` is for `parse_bulk_response`, which finds the results of the operations in it as far as there are any.
    """

    state: JobState
    errors: str | None = None
    document: Attributes = field(default_factory=dict)


def to_bulk_operation(operation: BulkOperation, dialect: Dialect) -> Attributes:
    """One element of `Operations`. Every one carries a bulkId, to match results by; the RFC asks it of POST only."""
    message: Attributes = {
        "method": operation.method,
        "bulkId": operation.bulk_id,
        "path": dialect.bulk_path + operation.path,
    }
    if dialect.bulk_correlation == "both":
        message["id"] = operation.bulk_id  # cxone.md D9
    if operation.version:
        message["version"] = operation.version
    if operation.data is not None:
        message["data"] = operation.data
    return message


def to_bulk_request(operations: Sequence[BulkOperation], dialect: Dialect) -> Attributes:
    """A BulkRequest. `failOnErrors` is absent, so that the service does as much as it can (cxone.md D10)."""
    return {
        "schemas": [BULK_REQUEST_SCHEMA],
        "Operations": [to_bulk_operation(operation, dialect) for operation in operations],
    }


def parse_bulk_response(document: Mapping[str, Any], operations: Sequence[BulkOperation]) -> tuple[BulkResult, ...]:
    """One result per operation, in the order of `operations`.

    Results are matched by `bulkId` or `id`, else by the resource in `location`, never by position. What is missing, or
    contradicts itself, has status None (cxone.md R1, R2). Statuses are read as number, string or `{code}`, details in
    every shape of cxone.md D13.
    """
    by_id = {operation.bulk_id: operation for operation in operations}
    by_resource = _by_resource(operations)
    results: dict[str, BulkResult] = {}
    for row in _rows(document):
        operation = _operation_of(row, by_id, by_resource)
        if operation is None:
            continue
        result = _result(row, operation)
        earlier = results.get(operation.bulk_id)
        if earlier is not None and earlier.status != result.status:
            result = BulkResult(bulk_id=operation.bulk_id, detail="the service gave two different results")
        results[operation.bulk_id] = result
    return tuple(results.get(o.bulk_id) or BulkResult(bulk_id=o.bulk_id) for o in operations)


def parse_job(document: Mapping[str, Any]) -> JobReport:
    """What a job says of itself (cxone.md E6, D25): COMPLETED and FAILED in any case end it, any other word does not.

    A document without a word that holds results is one of a job that is completed.

    Raises ScimMalformed for what says neither.
    """
    fields = _folded(document)
    word = fields.get("status")
    if isinstance(word, str) and word.strip():
        state = _TERMINAL.get(word.strip().lower(), JobState.RUNNING)
    elif isinstance(fields.get("operations"), list):
        state = JobState.COMPLETED
    else:
        raise ScimMalformed("the service does not say how far the job is")
    return JobReport(state=state, errors=_job_errors(fields.get("errors")), document=dict(document))


def _job_errors(value: object) -> str | None:
    """The `errors` of a job, at most the first ten: `{code, message}` (cxone.md D13), or whatever is there instead."""
    listed = value if isinstance(value, list) else [value]
    texts = [text for text in map(_job_error, listed[:_ERRORS_SHOWN]) if text]
    more = len(listed) - _ERRORS_SHOWN
    if any(listed[_ERRORS_SHOWN:]):
        texts.append(f"and {more} more")
    return shorten("; ".join(dict.fromkeys(texts))) or ("not said which" if any(listed) else None)


def _job_error(error: object) -> str:
    fields = _folded(error) if isinstance(error, dict) else {"message": error}
    said = (fields.get("code"), _first_text(fields.get("message"), fields.get("detail"), fields.get("description")))
    return ": ".join(str(part) for part in said if isinstance(part, str | int) and str(part).strip())


def _rows(document: Mapping[str, Any]) -> list[Attributes]:
    listed = _folded(document).get("operations")
    rows = listed if isinstance(listed, list) else [listed]
    return [_folded(row) for row in rows if isinstance(row, dict)]


def _folded(document: Mapping[str, Any]) -> Attributes:
    """Names in lower case, because their case is no matter (RFC 7643 section 2.1)."""
    return {key.lower(): value for key, value in document.items()}


def _by_resource(operations: Sequence[BulkOperation]) -> dict[str, BulkOperation]:
    """Operations by the resource they address, where only one does."""
    times = Counter(operation.path for operation in operations)
    return {
        _last_segments(operation.path): operation
        for operation in operations
        if operation.method != "POST" and times[operation.path] == 1
    }


def _last_segments(path: str) -> str:
    return "/".join(path.partition("?")[0].rstrip("/").split("/")[-2:])


def _operation_of(
    row: Attributes, by_id: Mapping[str, BulkOperation], by_resource: Mapping[str, BulkOperation]
) -> BulkOperation | None:
    method = row.get("method")
    for key in ("bulkid", "id"):
        name = row.get(key)
        operation = by_id.get(name) if isinstance(name, str) else None
        if operation is not None and _same_method(method, operation):
            return operation
    if row.get("bulkid") is not None or not isinstance(row.get("location"), str):
        return None
    operation = by_resource.get(_last_segments(row["location"]))
    return operation if operation is not None and _same_method(method, operation) else None


def _same_method(method: object, operation: BulkOperation) -> bool:
    return not isinstance(method, str) or method.upper() == operation.method


def _result(row: Attributes, operation: BulkOperation) -> BulkResult:
    status = _status(row.get("status"))
    response = _response(row.get("response"))
    location = row.get("location") if isinstance(row.get("location"), str) else None
    result = BulkResult(bulk_id=operation.bulk_id, status=status, location=location)
    if status is None or status >= 300:
        scim_type = _first_text(_folded(response).get("scimtype"), row.get("scimtype"))
        return replace(result, scim_type=scim_type, detail=_detail(row, response), id=_addressed(operation))
    meta = response.get("meta")
    return replace(
        result,
        id=_first_text(response.get("id")) or id_in_location(location) or _addressed(operation),
        version=_first_text(row.get("version"), meta.get("version") if isinstance(meta, dict) else None),
        resource=response or None,
    )


def _status(value: object) -> int | None:
    if isinstance(value, dict):
        value = _folded(value).get("code")
    match = _STATUS.match(str(value)) if isinstance(value, int | str) else None
    return int(match.group(1)) if match else None


def _response(value: object) -> Attributes:
    """`response` as an object, also where it is one written out as a string (scim-rfc.md Q21)."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return parse_object(value)
        except ScimMalformed:
            return {"detail": value}
    if isinstance(value, str):
        return {"detail": value}
    return value if isinstance(value, dict) else {}


def _detail(row: Attributes, response: Attributes) -> str | None:
    said = [row.get("detail"), _folded(response).get("detail")]
    errors = row.get("errors") or _folded(response).get("errors")
    for error in errors if isinstance(errors, list) else [errors]:
        if isinstance(error, dict):
            fields = _folded(error)
            said += [fields.get("detail"), fields.get("message"), fields.get("description")]
        else:
            said.append(error)
    status = row.get("status")
    if isinstance(status, dict):
        said.append(_folded(status).get("description"))
    texts = dict.fromkeys(text for text in said if isinstance(text, str) and text.strip())
    return shorten("; ".join(texts))


def _first_text(*values: object) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)


def _addressed(operation: BulkOperation) -> str | None:
    return None if operation.method == "POST" else id_in_location(operation.path)
