"""Send operations, in bulk or one by one, and say of each what came back (SPEC 7.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from reconciler.applier.jobs import Jobs, JobService, named
from reconciler.errors import (
    PreconditionFailed,
    ScimAccepted,
    ScimError,
    ScimMalformed,
    ScimRejected,
    ScimUnreachable,
)
from reconciler.messages.bulk import (
    BulkJob,
    BulkOperation,
    BulkResult,
    JobReport,
    JobState,
    parse_bulk_response,
    to_bulk_request,
)
from reconciler.messages.chunking import Chunk, chunk, operation_bytes
from reconciler.messages.operations import Operation, Sending
from reconciler.model.resource import Attributes, Kind
from reconciler.scim.client import Written


class Answer(Enum):
    """What the service's answer to one operation means.

    NO_BULK and NO_PATCH: nothing was done, because the service does not have the way it was sent. It goes another way.
    UNKNOWN may be sent again once reading shows that it was not done. ACCEPTED and ABORTED never are, because it may
    still be done: the service took it on for later and does not say how it ended, or says that something went wrong.
    Nor is REPEATED: the client has sent it again as often as is sensible (cxone.md P3), still without a usable answer.
    """

    DONE = "done"
    STALE = "stale"
    EXISTS = "exists"
    GONE = "gone"
    REFUSED = "refused"
    NO_BULK = "no-bulk"
    NO_PATCH = "no-patch"
    BUSY = "busy"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    ABORTED = "aborted"
    REPEATED = "repeated"


_NO_BULK = frozenset({403, 404, 405, 501})
"""Answers by which a service does no bulk request, whatever it announces."""

_NO_PATCH = frozenset({405, 501})
"""Answers by which a service does no PATCH (RFC 7644 section 3.5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one operation. `id` and `version` are the resource's after it, as far as the service told."""

    operation: Operation
    answer: Answer
    id: str | None = None
    version: str | None = None
    cause: str | None = None


class Fatal(Exception):
    """Nothing more can be sent: credentials refused, the service gone. Carries the replies to what was sent."""

    def __init__(self, error: ScimError, replies: Sequence[Reply]) -> None:
        super().__init__(error.message)
        self.error = error
        self.replies = tuple(replies)


class Writer(JobService, Protocol):
    """The requests that change something, and the one that asks after a job; `ScimClient` has them."""

    def create(self, kind: Kind, body: Attributes) -> Written:
        """POST a new resource."""

    def put(self, kind: Kind, id: str, body: Attributes, version: str | None) -> Written:  # noqa: A002
        """Replace a resource."""

    def patch(self, kind: Kind, id: str, patch_message: Attributes, version: str | None) -> Written:  # noqa: A002
        """Change a resource by a PatchOp message."""

    def delete(self, kind: Kind, id: str, version: str | None) -> None:  # noqa: A002
        """Delete a resource."""

    def bulk(self, request: Attributes) -> Attributes | BulkJob:
        """Send a BulkRequest; the BulkResponse as JSON, or the job that the service took on."""


def send_all(
    operations: Sequence[Operation],
    writer: Writer,
    sending: Sending,
    jobs: Jobs,
    before: Callable[[Sequence[Operation]], None],
) -> Iterator[tuple[Reply, ...]]:
    """Send operations in order; yields the replies of each request, one per operation.

    `before` is told what is about to be sent, so that nothing is in flight that nobody knows of. A request that becomes
    a job is answered when the job is over. What a service without bulk has left undone comes last, as NO_BULK.

    Raises:
        Fatal: after a 401, or when the service cannot be reached; its replies are those of the request that failed.
        JobOpen: a job may still be running; nothing more may be sent.

    """
    patch = _Patch()
    if not sending.bulk:
        for operation in operations:
            if (known := patch.refusal(operation)) is not None:
                yield (known,)
                continue
            before((operation,))
            yield patch.noted((_send_single(operation, writer),))
        return
    limits = {"max_operations": sending.max_operations, "max_bytes": sending.max_payload_bytes}
    pieces = chunk(operations, operation_bytes, **limits)
    for number, piece in enumerate(pieces, start=1):
        yield tuple(known for operation in piece.items if (known := patch.refusal(operation)) is not None)
        rest = tuple(operation for operation in piece.items if patch.refusal(operation) is None)
        try:
            for replies in _send_chunk(Chunk(rest, piece.payload_bytes), writer, sending, jobs, before):
                yield patch.noted(replies)
        except _NoBulk as refusal:
            left = [*refusal.operations, *(operation for later in pieces[number:] for operation in later.items)]
            yield tuple(Reply(operation=o, answer=Answer.NO_BULK, cause=_in_words(refusal.error)) for o in left)
            return


class _Patch:
    """The kinds of resources that the service does no PATCH on: one refusal of each is enough."""

    def __init__(self) -> None:
        self._causes: dict[Kind, str | None] = {}

    def noted(self, replies: tuple[Reply, ...]) -> tuple[Reply, ...]:
        """The replies, after a look at them."""
        for reply in replies:
            if reply.answer is Answer.NO_PATCH:
                self._causes.setdefault(reply.operation.step.change.key.kind, reply.cause)
        return replies

    def refusal(self, operation: Operation) -> Reply | None:
        """The reply to an operation that need not be sent, or None."""
        kind = operation.step.change.key.kind
        if operation.method != "PATCH" or kind not in self._causes:
            return None
        return Reply(operation=operation, answer=Answer.NO_PATCH, cause=self._causes[kind])


class _NoBulk(Exception):
    """A service does no bulk request; `operations` are those of the chunk that were not done."""

    def __init__(self, error: ScimRejected, operations: Sequence[Operation]) -> None:
        super().__init__(error.message)
        self.error = error
        self.operations = operations


def _send_chunk(
    piece: Chunk[Operation],
    writer: Writer,
    sending: Sending,
    jobs: Jobs,
    before: Callable[[Sequence[Operation]], None],
) -> Iterator[tuple[Reply, ...]]:
    """One bulk request; halves itself where the service finds it too large or malformed, to find the one that is."""
    todo = [piece.items] if piece.items else []
    while todo:
        operations = todo.pop()
        if len(operations) == 1 and piece.payload_bytes > sending.max_payload_bytes:
            yield (_too_large(operations[0], sending),)
            continue
        before(operations)
        try:
            yield _send_bulk(operations, writer, sending, jobs)
        except ScimRejected as error:
            if error.status in _NO_BULK:
                raise _NoBulk(error, [*operations, *(one for part in reversed(todo) for one in part)]) from error
            if error.status in {400, 413, 422} and len(operations) > 1:
                middle = len(operations) // 2
                todo += [operations[middle:], operations[:middle]]
                continue
            yield _rejected(operations, error)


def _too_large(operation: Operation, sending: Sending) -> Reply:
    cause = f"too large for one request: the service takes at most {sending.max_payload_bytes} bytes"
    return Reply(operation=operation, answer=Answer.REFUSED, cause=cause)


def _send_bulk(operations: Sequence[Operation], writer: Writer, sending: Sending, jobs: Jobs) -> tuple[Reply, ...]:
    bulk_operations = [
        BulkOperation(
            bulk_id=f"op-{number}",
            method=operation.method,
            path=operation.path,
            version=operation.version,
            data=operation.data,
        )
        for number, operation in enumerate(operations, start=1)
    ]
    try:
        answer = writer.bulk(to_bulk_request(bulk_operations, sending.dialect))
    except (ScimUnreachable, ScimMalformed) as error:
        return _unanswered(operations, error)
    except ScimAccepted as accepted:
        return tuple(_accepted(operation, accepted) for operation in operations)
    if not isinstance(answer, BulkJob):
        results = parse_bulk_response(answer, bulk_operations)
        return tuple(_from_result(o, r) for o, r in zip(operations, results, strict=True))
    report = jobs.see_through(answer, [str(operation.step.change.key) for operation in operations])
    results = parse_bulk_response(report.document, bulk_operations)
    return tuple(_from_job(o, r, answer, report) for o, r in zip(operations, results, strict=True))


def _accepted(operation: Operation, accepted: ScimAccepted) -> Reply:
    return Reply(operation=operation, answer=Answer.ACCEPTED, cause=f"{accepted.message}; {accepted.hint}")


def _from_job(operation: Operation, result: BulkResult, job: BulkJob, report: JobReport) -> Reply:
    """A failure of its own counts as one; a success only in a job without any error (cxone.md section 5, P4)."""
    reply = _from_result(operation, result)
    if report.errors is not None or report.state is JobState.FAILED:
        ended = "failed" if report.state is JobState.FAILED else "ended with errors"
        doubt = Answer.ABORTED, f"{named(job)} {ended}: {report.errors or 'the service gave no reason'}"
    elif report.state is JobState.GONE:
        doubt = Answer.ACCEPTED, f"the service took {named(job)} on for later, and no longer knows of it"
    else:
        doubt = Answer.ACCEPTED, f"the service says that {named(job)} is completed, and not what became of this"
    if result.status is None or (reply.answer is Answer.DONE and doubt[0] is Answer.ABORTED):
        return replace(reply, answer=doubt[0], cause=doubt[1])
    return reply


def _from_result(operation: Operation, result: BulkResult) -> Reply:
    answer = _answer(operation, result.status, result.scim_type)
    cause = None if answer is Answer.DONE else _said(result.status, result.detail)
    return Reply(operation=operation, answer=answer, id=result.id, version=result.version, cause=cause)


def _said(status: int | None, detail: str | None) -> str:
    if status is None:
        return detail or "the service did not say what became of it"
    return f"the service answered {status}: {detail or 'no detail given'}"


def _rejected(operations: Sequence[Operation], error: ScimRejected) -> tuple[Reply, ...]:
    """The whole request was refused: every operation in it, for the same reason."""
    if error.status == 401:
        raise Fatal(error, [Reply(operation=o, answer=Answer.REFUSED, cause=_in_words(error)) for o in operations])
    answer = _after_repeats(_refusal(error.status))
    return tuple(Reply(operation=o, answer=answer, cause=_in_words(error)) for o in operations)


def _in_words(error: ScimRejected) -> str:
    """What the service said, and what to do about it where that is known."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _refusal(status: int) -> Answer:
    if status == 429:
        return Answer.BUSY
    return Answer.UNKNOWN if status >= 500 and status != 501 else Answer.REFUSED


def _unanswered(operations: Sequence[Operation], error: ScimUnreachable | ScimMalformed) -> tuple[Reply, ...]:
    """What may have arrived is resolved by reading; what certainly did not ends the run, for the service is away."""
    if isinstance(error, ScimUnreachable) and not error.maybe_sent:
        raise Fatal(error, [Reply(operation=o, answer=Answer.BUSY, cause=error.message) for o in operations])
    return tuple(Reply(operation=o, answer=Answer.UNKNOWN, cause=error.message) for o in operations)


def _send_single(operation: Operation, writer: Writer) -> Reply:
    try:
        written = _call(operation, writer)
    except ScimUnreachable as error:
        reply = _unanswered([operation], error)[0]
        return replace(reply, answer=_after_repeats(reply.answer, operation))
    except ScimMalformed as error:
        return _unanswered([operation], error)[0]
    except ScimAccepted as accepted:
        return _accepted(operation, accepted)
    except PreconditionFailed as error:
        return Reply(operation=operation, answer=Answer.STALE, cause=error.message)
    except ScimRejected as error:
        if error.status == 401:
            return _rejected([operation], error)[0]
        answer = _after_repeats(_answer(operation, error.status, error.scim_type), operation)
        return Reply(operation=operation, answer=answer, cause=_in_words(error))
    if written is None:
        return Reply(operation=operation, answer=Answer.DONE)
    return Reply(operation=operation, answer=Answer.DONE, id=written.id, version=written.version)


def _after_repeats(answer: Answer, alone: Operation | None = None) -> Answer:
    """What an answer to a whole request means, which the client has repeated where that is harmless.

    That is after 429 any request, and else one that stands `alone` and cannot do a thing twice.
    """
    if answer is Answer.BUSY:
        return Answer.REFUSED
    harmless = alone is not None and (alone.method == "DELETE" or (alone.method == "PUT" and alone.version is not None))
    return Answer.REPEATED if answer is Answer.UNKNOWN and harmless else answer


def _call(operation: Operation, writer: Writer) -> Written | None:
    kind, target = operation.step.change.key.kind, operation.target or ""
    body = operation.data or {}
    send: dict[str, Callable[[], Written | None]] = {
        "POST": lambda: writer.create(kind, body),
        "PUT": lambda: writer.put(kind, target, body, operation.version),
        "PATCH": lambda: writer.patch(kind, target, body, operation.version),
        "DELETE": lambda: writer.delete(kind, target, operation.version),
    }
    return send[operation.method]()


def _answer(operation: Operation, status: int | None, scim_type: str | None) -> Answer:
    """The retry classes of cxone.md section 5, per operation."""
    if status is None:
        return Answer.UNKNOWN
    if 200 <= status < 300 or (status == 404 and operation.method == "DELETE"):
        return Answer.DONE
    is_create = operation.method == "POST"
    taken = (scim_type or "").lower() == "uniqueness" and status in {400, 409}
    if is_create and (taken or status in {409, 412}):
        return Answer.EXISTS  # a duplicate is told as 400 by some services (scim-rfc.md Q11)
    if status in {409, 412}:
        return Answer.REFUSED if taken else Answer.STALE
    if status == 404:
        return Answer.GONE
    if status in _NO_PATCH and operation.method == "PATCH":
        return Answer.NO_PATCH
    if status == 400 and operation.method == "PATCH" and (scim_type or "").lower() == "notarget":
        return Answer.STALE  # what it wanted to remove is gone by now (scim-rfc.md section 10)
    return _refusal(status)
