"""Operations -> chunks: sent together in one bulk request, within a number of operations and of bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.messages.operations import Operation
from reconciler.model.resource import pack

Item = TypeVar("Item")

ENVELOPE_BYTES = 120
"""More than the JSON around the operations of a BulkRequest takes."""

_KEYS_BYTES = 160
"""More than the names of an operation's members, its method and its bulkId (sent twice in one dialect) take."""


@dataclass(frozen=True, slots=True)
class Chunk(Generic[Item]):
    """Consecutive items and the bytes that their JSON takes, envelope and commas included."""

    items: tuple[Item, ...]
    payload_bytes: int


def chunk(
    items: Iterable[Item], size_of: Callable[[Item], int], *, max_operations: int, max_bytes: int
) -> tuple[Chunk[Item], ...]:
    """The items in order, cut as late as both limits allow.

    An item that is too large by itself is a chunk of its own, recognisable by its `payload_bytes`; it cannot be sent.
    """
    chunks: list[Chunk[Item]] = []
    current: list[Item] = []
    used = ENVELOPE_BYTES
    for item in items:
        size = size_of(item) + 1
        if current and (len(current) >= max_operations or used + size > max_bytes):
            chunks.append(Chunk(tuple(current), used))
            current, used = [], ENVELOPE_BYTES
        current.append(item)
        used += size
    if current:
        chunks.append(Chunk(tuple(current), used))
    return tuple(chunks)


_VERSION_BYTES = 80
"""More than a version takes: which one a later operation on the same resource carries is not known when estimating."""


def operation_bytes(operation: Operation) -> int:
    """At least the bytes that one operation takes inside a BulkRequest, whatever the correlation dialect."""
    body = len(pack(operation.data)) if operation.data is not None else 0
    version = max(_VERSION_BYTES, len(json.dumps(operation.version))) if operation.method != "POST" else 0
    return body + len(operation.path.encode()) + version + operation.padding + _KEYS_BYTES
