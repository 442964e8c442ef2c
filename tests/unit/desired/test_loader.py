"""YAML text to plain values: what is read, what is refused, and where."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.desired import loader
from reconciler.desired.codes import Code
from reconciler.desired.loader import decode, parse, resolve_plain

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029\ufeff"), max_size=20)
"""Without the breaks of Unicode, which PyYAML's dumper writes as they are and folds when it reads them."""

KEYS = st.text("abcdefgXYZ_-$ .é", min_size=2, max_size=8)
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.decimals(-1000, 1000, places=3).map(float)
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def only_value(text: str) -> Any:
    """The value of a text that holds one document without faults."""
    parsed = parse(text)
    assert parsed.faults == []
    (document,) = parsed.documents
    return document.value


def faults(text: str) -> list[tuple[Code, int, int]]:
    """Code, line and column of every fault."""
    return [(fault.code, fault.line, fault.column) for fault in parse(text).faults]


@pytest.mark.parametrize("libyaml", [True, False])
@given(data=st.dictionaries(KEYS, DATA, max_size=5), flow=st.sampled_from([True, False, None]))
def test_what_pyyaml_writes_is_read_back(data: dict[str, Any], flow: bool | None, libyaml: bool) -> None:
    """On what JSON can hold, the loader gives what went into PyYAML's dumper, in every style of writing it."""
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    parsed = parse(text, libyaml=libyaml)
    assert [document.value for document in parsed.documents] == [data]


@given(st.text(max_size=300) | st.text("{}[]:,-&*!|>'\"%@`#? \n\tab01", max_size=200))
@settings(max_examples=400)
def test_no_text_makes_the_loader_raise(text: str) -> None:
    """Whatever is in a file, the answer is documents and faults, the same with and without libyaml."""
    checked, fault = decode(text.encode("utf-8", "surrogatepass"))
    if fault is not None:
        assert fault.line > 0
        return
    fast, slow = parse(checked), parse(checked, libyaml=False)
    for parsed in (fast, slow):
        assert parsed.complete or parsed.faults
        json.dumps([document.value for document in parsed.documents])


@given(st.binary(max_size=200))
def test_no_bytes_make_the_loader_raise(data: bytes) -> None:
    """Bytes that are no UTF-8 get a place, never a traceback."""
    text, fault = decode(data)
    if fault is None:
        assert text.encode("utf-8") == data
        parse(text)
    else:
        assert fault.line >= 1
        assert fault.column >= 1


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("false", False),
        ("0", 0), ("-7", -7), ("4711", 4711), ("2.50", 2.5), ("-0.5", -0.5),
        ("9223372036854775807", 2**63 - 1),
        ("Ann", "Ann"), ("yesterday", "yesterday"), ("north", "north"), ("1.2.3.4", "1.2.3.4"), ("2024-01", "2024-01"),
        ("12 Main St", "12 Main St"), ("-", "-"), (".", "."), ("0x", "0x"), ("nullable", "nullable"), ("1e", "1e"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_one_thing(plain: str, value: object) -> None:
    """The core schema of YAML 1.2 (section 10.3.2), in its plainest spelling."""
    assert resolve_plain(plain) == value
    assert type(resolve_plain(plain)) is type(value)


@pytest.mark.parametrize(
    "plain",
    [
        "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N",
        "True", "TRUE", "False", "FALSE", "Null", "NULL", "012", "0o17", "0x1F", "0b101", "1_000", "+5", "-0",
        "1e3", "1.5e-3", ".5", "5.", ".inf", "-.Inf", ".nan", "12:30", "12:30:00", "190:20:30.15",
        "2024-01-02", "2024-1-2", "2024-01-02T03:04:05Z",
    ],
)  # fmt: skip
def test_plain_scalars_that_readers_do_not_agree_about_are_refused(plain: str) -> None:
    """SPEC section 3: whatever YAML 1.1 or 1.2 reads as something else than the other has to be quoted."""
    with pytest.raises(ValueError, match=re.escape(plain)):
        resolve_plain(plain)
    assert faults(f"a: {plain}") == [(Code.AMBIGUOUS, 1, 4)]
    assert only_value(f'a: "{plain}"') == {"a": plain}
    assert only_value(f"a: '{plain}'") == {"a": plain}


@given(st.from_regex(r"[-+.0-9:_xobeETZ ]{1,12}|[yYnNoOfFtTuUlLeEsSaAr~]{1,5}", fullmatch=True))
@example("---")
def test_nothing_that_pyyaml_takes_for_another_type_passes_as_text(plain: str) -> None:
    """The incident behind it: a country NO, a version 1.10, a time 12:30 that arrive as something else."""
    try:
        (theirs,) = yaml.safe_load(f"- {plain}")  # by itself `---` would be the mark of a document
    except (yaml.YAMLError, ValueError):
        return
    try:
        ours = resolve_plain(plain.strip())
    except (ValueError, OverflowError):
        return
    if not isinstance(theirs, dict | list):
        assert type(ours) is type(theirs)
        assert ours == theirs


def test_an_alias_shares_what_its_anchor_marks() -> None:
    """Within limits anchors and aliases are ordinary YAML; nothing is copied."""
    value = only_value("a: &x [1, {b: c}]\nd: *x\ne: &y text\nf: *y\n")
    assert value == {"a": [1, {"b": "c"}], "d": [1, {"b": "c"}], "e": "text", "f": "text"}
    assert value["a"] is value["d"]


def test_an_anchor_that_is_used_often_is_fine() -> None:
    """A team of a thousand may share one list of roles; the limit is there for what grows by itself."""
    items = "\n".join(f"- {{userName: u{number}, roles: *agent}}" for number in range(1000))
    value = only_value(f"first: &agent [{{value: Agent}}]\nitems:\n{items}\n")
    assert len(value["items"]) == 1000


def test_a_bomb_is_stopped_before_it_is_expanded() -> None:
    """A billion laughs: nine levels of nine aliases. It stops at the fifth, with ten thousand values counted."""
    levels = "".join(
        f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]\n"
        for below, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    parsed = parse(f"a: &a [{', '.join('x' * 9)}]\n{levels}")
    assert [fault.code for fault in parsed.faults] == [Code.TOO_MANY_NODES]
    assert not parsed.complete
    assert parsed.documents == []


def test_too_many_values_in_one_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on keys and values of the whole file, not of a document."""
    monkeypatch.setattr(loader, "MAX_NODES", 100)
    assert [fault.code for fault in parse("---\n[a, b, c, d]\n" * 30).faults] == [Code.TOO_MANY_NODES]
    assert parse("---\n[a, b, c, d]\n" * 10).faults == []


def test_depth_is_counted_through_aliases() -> None:
    """An alias at the bottom of one tower must not put a second tower on it."""
    tower = "[" * 20 + "x" + "]" * 20
    assert faults(f"a: &a {tower}\nb: {'[' * 20}*a{']' * 20}\n") == [(Code.TOO_DEEP, 2, 24)]


def test_reading_stops_at_a_syntax_error_and_says_so() -> None:
    """Documents before it are kept; `complete` tells that there may have been others."""
    parsed = parse("a: 1\n---\nb: [\n---\nc: 3\n")
    assert [document.value for document in parsed.documents] == [{"a": 1}]
    assert not parsed.complete


def test_empty_documents_are_left_out_but_counted() -> None:
    """A file of comments is fine, and numbers stay those of the file."""
    parsed = parse("# nothing\n---\n---\na: 1\n---\n~\n---\nb: 2\n")
    assert [(document.number, document.line, document.value) for document in parsed.documents] == [
        (1, 4, {"a": 1}),
        (3, 8, {"b": 2}),
    ]
    assert parse("").documents == []


def test_lines_of_items_are_kept() -> None:
    """Each user's source is the line of its item, however the list is written."""
    (document,) = parse("kind: Users\nitems:\n  - {a: 1}\n\n  -\n    a: 2\n  - x\nother: [[1], 2]\n").documents
    assert document.entry_lines == {"items": [3, 6, 7], "other": [8, 8]}


@pytest.mark.parametrize("libyaml", [True, False])
def test_a_faulty_key_drops_its_value_and_nothing_else(libyaml: bool) -> None:
    """One fault does not hide the rest of the document."""
    parsed = parse("1: {a: b}\n? [x]\n: [z]\nc: d\nc: {e: f}\n*z : 1\ng: h\n", libyaml=libyaml)
    assert [document.value for document in parsed.documents] == [{"c": "d", "g": "h"}]
    assert [fault.code for fault in parsed.faults] == [
        Code.KEY_NOT_TEXT,
        Code.KEY_NOT_TEXT,
        Code.DUPLICATE_KEY,
        Code.BAD_ALIAS,
        Code.KEY_NOT_TEXT,
    ]


@pytest.mark.parametrize(
    "text", ["a: 'b", "a: [b", "a: {b", "\ta: b", "a: b: c", "a: @b", "- a\nb: c", 'a: "\\q"', "%YAML 3.0\n--- a"]
)
def test_both_scanners_complain_about_the_same_line(text: str) -> None:
    """Where PyYAML was built without libyaml, people see the same code at the same line."""
    fast, slow = parse(text).faults, parse(text, libyaml=False).faults
    assert [(fault.code, fault.line) for fault in fast] == [(fault.code, fault.line) for fault in slow]


def test_bytes_that_are_no_text_have_a_place() -> None:
    """Line and column in characters, not in bytes, after text that needs several bytes a character."""
    _, fault = decode("a: é\nb: ü".encode() + b"\xff")
    assert fault is not None
    assert (fault.code, fault.line, fault.column) == (Code.NOT_UTF8, 2, 5)
    assert "byte 11" in fault.message


def test_line_breaks_are_counted_as_libyaml_does() -> None:
    """CR LF, CR, and the breaks of Unicode: a place must not drift in files from elsewhere."""
    for line_break in ("\n", "\r\n", "\r", "\u2028", "\x85"):
        (fault,) = parse(f"a: 1{line_break}b: 2{line_break}c: yes").faults
        assert fault.line == len(loader.LINE_BREAK.split(f"a: 1{line_break}b: 2{line_break}c: yes"))
