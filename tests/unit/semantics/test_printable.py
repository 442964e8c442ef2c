"""Text from outside made safe to look at (P11 and incident: values rendered unescaped)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.semantics.printable import escape_json, printable
from tests.builders import NAMES


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Jane Smith", "Jane Smith"),
        ("Jürgen Groß", "Jürgen Groß"),
        ("山田\u3000太郎", "山田\u3000太郎"),
        ("DOMAIN\\jane", "DOMAIN\\jane"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u202eevil", "\\u202eevil"),
        ("a\u200bb\u00adc\ufeff", "a\\u200bb\\xadc\\ufeff"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("no\u00a0break", "no\\xa0break"),
        ("\U000e0041\ud800", "\\U000e0041\\ud800"),
        ("\u3164\u2800", "\\u3164\\u2800"),
    ],
    ids=ascii,
)
def test_what_cannot_be_seen_is_shown_by_its_code_point(text: str, shown: str) -> None:
    """Control characters, overrides, joiners and blanks are spelled out; letters of any language stay."""
    assert printable(text) == shown


@given(text=NAMES | st.text(st.characters(exclude_categories=[])))
def test_printable_text_is_one_line_and_stays_as_it_is(text: str) -> None:
    """So that it may be applied twice without harm."""
    shown = printable(text)
    assert shown.replace("\u3000", "").isprintable()
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@given(value=st.recursive(NAMES, lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner), max_leaves=5))
def test_escaped_json_means_the_same(value: object) -> None:
    """Astral characters included, which JSON spells as two."""
    text = escape_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert text.replace("\u3000", "").isprintable()
