"""Chunks joined are the operations in order, and no chunk exceeds a limit (issue 2, judged 4; defect R10)."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.messages.bulk import BulkOperation, to_bulk_request
from reconciler.messages.chunking import ENVELOPE_BYTES, chunk, operation_bytes
from reconciler.messages.operations import Operation, Phase, Step
from reconciler.model.dialect import PROFILES, Dialect
from reconciler.model.resource import pack
from tests.builders import build_change

_STEP = Step(build_change("User/a"), Phase.WRITE, 0)
_OPERATIONS = st.builds(
    Operation,
    step=st.just(_STEP),
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=st.text(max_size=20).map(lambda text: f"/Users/{text}"),
    target=st.none(),
    version=st.none() | st.text(max_size=10),
    data=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=80), max_size=3),
)


def _request_bytes(operations: tuple[Operation, ...], dialect: Dialect) -> int:
    bulk = [
        BulkOperation(bulk_id=f"op-{number}", method=o.method, path=o.path, version=o.version, data=o.data)
        for number, o in enumerate(operations, start=1)
    ]
    return len(pack(to_bulk_request(bulk, dialect)))


@given(st.lists(_OPERATIONS, max_size=12), st.integers(1, 5), st.integers(200, 2000), st.sampled_from(list(PROFILES)))
def test_chunks_joined_are_the_operations_and_each_fits(
    operations: list[Operation], most: int, limit: int, profile: str
) -> None:
    """The size that is counted is at least the size that is sent, in every dialect."""
    dialect = next(dialect for name, dialect in PROFILES.items() if name == profile)
    chunks = chunk(operations, operation_bytes, max_operations=most, max_bytes=limit)
    assert list(chain.from_iterable(piece.items for piece in chunks)) == operations
    for piece in chunks:
        assert 1 <= len(piece.items) <= most
        assert piece.payload_bytes <= limit or len(piece.items) == 1
        assert _request_bytes(piece.items, dialect) <= piece.payload_bytes


@given(st.lists(st.integers(0, 500), max_size=30), st.integers(1, 6), st.integers(200, 1500))
def test_a_chunk_is_cut_as_late_as_both_limits_allow(sizes: list[int], most: int, limit: int) -> None:
    """No two neighbours could have been one, so the number of requests is the least in this order."""
    chunks = chunk(sizes, lambda size: size, max_operations=most, max_bytes=limit)
    for piece, following in pairwise(chunks):
        full = len(piece.items) == most
        assert full or piece.payload_bytes + following.items[0] + 1 > limit


def test_1200_creates_are_500_500_and_200() -> None:
    """The example load of cxone.md section 5."""
    chunks = chunk(range(1200), lambda _: 10, max_operations=500, max_bytes=10_485_760)
    assert [len(piece.items) for piece in chunks] == [500, 500, 200]


def test_nothing_gives_no_chunk_and_the_envelope_counts() -> None:
    """An empty bulk request is never sent."""
    assert chunk([], lambda _: 1, max_operations=5, max_bytes=100) == ()
    (piece,) = chunk(["x"], lambda _: 7, max_operations=5, max_bytes=1000)
    assert piece.payload_bytes == ENVELOPE_BYTES + 8


def test_non_ascii_bodies_are_counted_in_bytes() -> None:
    """The limit maxPayloadSize is in bytes (RFC 7643 section 5)."""
    one = Operation(step=_STEP, method="POST", path="/Users", target=None, version=None, data={"a": "é" * 100})
    assert operation_bytes(one) - operation_bytes(replace(one, data={"a": "e" * 100})) == 100
    assert len(json.dumps(one.data, ensure_ascii=False).encode()) <= operation_bytes(one)
