"""What one commit of the ledger says, and its form as a file that anybody who can push may have written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.entries import Attempt, Receipt, dump_entry, dump_ids, load_entry, load_ids
from reconciler.model.plan import Selection

SHA = "0123456789abcdef0123456789abcdef01234567"
ATTEMPT = Attempt(
    run="20260302T080000Z-00ff",
    tenant="acme",
    target="https://acme.example.com/scim/v2",
    root="desired-state",
    commit=SHA,
    selection=Selection.SAFE,
    allowed={"removal-share": 3, "pending": None},
    previous=SHA[::-1],
    digests=("sha256:1", "sha256:2"),
    actor="gina",
    started="2026-03-02T08:00:00Z",
    until="2026-03-02T09:00:00Z",
    nonce="0123456789abcdef",
    takes_over="20260302T070000Z-00fe",
)
RECEIPT = Receipt(
    run=ATTEMPT.run,
    tenant="acme",
    target=ATTEMPT.target,
    root="",
    commit=SHA,
    attempt=None,
    ended="2026-03-02T08:01:00Z",
    complete=True,
    counts={axis: {"User": 1, "Group": 0} for axis in ("created", "updated", "removed")},
    released={"id-1": "2026-03-01T08:01:00Z"},
)


@pytest.mark.parametrize("entry", [ATTEMPT, RECEIPT])
def test_an_entry_is_read_as_it_was_written(entry: Attempt | Receipt) -> None:
    """The same entry gives the same bytes, and they give the same entry."""
    assert load_entry(dump_entry(entry)) == entry
    assert dump_entry(load_entry(dump_entry(entry))) == dump_entry(entry)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "pardon"},
        {"formatVersion": None},
        {"run": "../../etc"},
        {"tenant": "acme\n"},
        {"commit": "HEAD"},
        {"previous": "--upload-pack=x"},
        {"until": "tomorrow"},
        {"until": "2026-13-99T99:99:99Z"},
        {"allowed": {"removal-share": -1}},
        {"allowed": {"removal-share": True}},
        {"digests": "sha256:1"},
        {"actor": "x" * 1000},
        {"userName": "ann@example.com"},
        {"released": {}},
    ],
)
def test_an_entry_that_this_tool_would_not_write_is_refused(change: dict[str, Any]) -> None:
    """SPEC 7.1: a forged entry is refused, whatever is odd about it."""
    document = {**json.loads(dump_entry(ATTEMPT)), **change}
    with pytest.raises(LedgerRefused) as refused:
        load_entry(json.dumps(document).encode())
    assert refused.value.reason is LedgerReason.FORGED


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000],
    ids=["empty", "cut", "list", "null", "bytes", "deep-list", "deep-object", "long-number"],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    """Whoever can push can push anything."""
    with pytest.raises(LedgerRefused) as refused:
        load_entry(data)
    assert refused.value.reason is LedgerReason.FORGED


def test_an_entry_of_another_version_says_so() -> None:
    """It is not forged: a newer tool wrote it."""
    document = {**json.loads(dump_entry(ATTEMPT)), "formatVersion": "2.0", "more": 1}
    with pytest.raises(LedgerRefused, match="another version") as refused:
        load_entry(json.dumps(document).encode())
    assert refused.value.reason is LedgerReason.UNREADABLE


@given(st.frozensets(st.text(min_size=1)))
def test_lists_of_ids_hold_any_id(ids: frozenset[str]) -> None:
    """RFC 7643 section 3.1: an id is opaque; line feeds and percent signs in it end no line."""
    assert load_ids(dump_ids(ids)) == ids


def test_lists_of_ids_are_sorted_one_a_line() -> None:
    """So that git stores what changed, and a person can compare two of them."""
    assert dump_ids(["b", "a\nc", "a%"]) == b"a%0Ac\na%25\nb\n"


def test_ids_that_are_no_text_are_refused() -> None:
    """Whoever can push can push anything."""
    with pytest.raises(LedgerRefused):
        load_ids(b"\xff\n")


def test_nothing_but_the_parents_that_it_names_is_lost_in_an_entry() -> None:
    """An entry that continues elsewhere says where."""
    assert load_entry(dump_entry(replace(RECEIPT, continue_from=SHA))).continue_from == SHA
