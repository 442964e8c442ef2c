"""Places and excerpts: exact to the column, and never with a secret in them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.codes import Code
from reconciler.desired.places import Finding, Path, find_spots, masked, place
from reconciler.model.diagnostic import Severity

KEYS = st.text("abcé_", min_size=2, max_size=6)
LEAVES = st.text("xyz é\n:#'\"", max_size=12) | st.integers(-99, 99) | st.booleans() | st.none()
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


def spots_by_compose(text: str) -> dict[tuple[int, Path], tuple[int, int]]:
    """Line and column of every value, as PyYAML's own composer knows them."""
    found: dict[tuple[int, Path], tuple[int, int]] = {}

    def visit(number: int, path: Path, node: yaml.Node) -> None:
        found[number, path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                visit(number, (*path, key.value), value)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                visit(number, (*path, index), value)

    for number, root in enumerate(yaml.compose_all(text, Loader=yaml.CSafeLoader)):
        visit(number, (), root)
    return found


@given(
    documents=st.lists(st.dictionaries(KEYS, DATA, max_size=4), min_size=1, max_size=3),
    flow=st.sampled_from([True, False, None]),
)
def test_places_are_those_of_pyyamls_composer(documents: list[Any], flow: bool | None) -> None:
    """Every value of every document, in every style, at the line and column that PyYAML's node marks have."""
    text = yaml.safe_dump_all(documents, default_flow_style=flow, allow_unicode=True, explicit_start=True)
    expected = spots_by_compose(text)
    wanted: dict[int, list[Path]] = {}
    for number, path in expected:
        wanted.setdefault(number, []).append(path)
    spots = find_spots(text, wanted)
    assert {at: (value.line, value.column) for at, (_, value) in spots.items()} == expected


def test_a_key_and_its_value_have_places_of_their_own() -> None:
    """An unknown key is shown at the key, a wrong value at the value."""
    spots = find_spots("a:\n  - b:   c\n", {0: [("a", 0, "b")]})
    key, value = spots[0, ("a", 0, "b")]
    assert (key.line, key.column, key.width) == (2, 5, 1)
    assert (value.line, value.column, value.width) == (2, 10, 1)


def test_keys_that_are_collections_do_not_shift_places() -> None:
    """The walk stays in step where a key is no scalar."""
    spots = find_spots("? [a, {b: c}]\n: [d]\ne: f\n? x\n: y\n", {0: [("e",), ("x",)]})
    assert spots[0, ("e",)][1].line == 3
    assert spots[0, ("x",)][1].line == 5


def test_what_is_reached_through_an_alias_is_shown_at_the_alias() -> None:
    """The nearest thing that is really written there."""
    finding = Finding(code=Code.WRONG_TYPE, message="m", file="f", document=0, paths=(("b", 0, "c"),))
    (diagnostic,) = place([finding], lambda _: "a: &x [{c: d}]\nb: *x\n")
    assert (diagnostic.line, diagnostic.column, diagnostic.width, diagnostic.excerpt) == (2, 4, 2, "b: *x")


def test_the_first_path_that_is_there_exactly_is_the_place() -> None:
    """A value from `defaults` is shown in the defaults, one of the item in the item."""
    text = "defaults: {active: x}\nitems:\n  - {title: y}\n"
    paths = (("items", 0, "active"), ("defaults", "active"))
    (diagnostic,) = place(
        [Finding(code=Code.WRONG_TYPE, message="m", file="f", document=0, paths=paths)], lambda _: text
    )
    assert (diagnostic.line, diagnostic.column) == (1, 20)


def test_findings_come_out_sorted_and_once() -> None:
    """The same problem found for every item that shares a default is one diagnostic."""
    findings = [
        Finding(code=Code.SYNTAX, message=message, file=file, line=1, column=1)
        for file, message in [("b", "x"), ("a", "x"), ("b", "x")]
    ]
    assert [(item.file, item.severity) for item in place(findings, lambda _: None)] == [
        ("a", Severity.ERROR),
        ("b", Severity.ERROR),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password: hunter2", "password: ***"),
        ('  clientSecret: "hunter2"  # old', "  clientSecret: ***  # old"),
        ("{type: bearer, token: hunter2, x: y}", "{type: bearer, token: ***, x: y}"),
        ("{token: 'hunter2, still'}", "{token: ***}"),
        ("- api_key: hunter2,{a}#b", "- api_key: ***"),
        ("auth: {type: bearer, tokne: hunter2}", "auth: {type: bearer, tokne: ***}"),
        (
            "auth: {type: oauth2, whatever: hunter2, clientId: app}",
            "auth: {type: oauth2, whatever: ***, clientId: app}",
        ),
        ('auth: {token: "hunter2', "auth: {token: ***"),
        ("baseUrl: https://admin:hunter2@example.com/v2", "baseUrl: https://***@example.com/v2"),
        ('token: "${env:SCIM_TOKEN}"', 'token: "${env:SCIM_TOKEN}"'),
        ("tokenUrl: https://example.com/token", "tokenUrl: https://example.com/token"),
        ("userName: ann@example.com", "userName: ann@example.com"),
        ("token:", "token:"),
    ],
)
def test_a_secret_is_not_shown(text: str, shown: str) -> None:
    """SPEC P11: a line is shown without what stands behind a key that speaks of secrets."""
    assert masked([text], 0) == shown


@pytest.mark.parametrize(
    "text",
    [
        "token: |\n  hunter2",
        "auth:\n  token:\n    hunter2",
        "token: >-\n  first line\n\n  hunter2",
        "auth:\n  whatever:\n    - hunter2",
        "auth: {type: bearer, token:\n  hunter2}",
        "notifications:\n  - url: x\n    secret:\n      hunter2",
        'auth:\n  token: "first\n    hunter2"',
    ],
)
def test_a_secret_on_a_line_of_its_own_is_not_shown(text: str) -> None:
    """Block text, folded text and lists below such a key are hidden as well."""
    lines = text.split("\n")
    assert "hunter2" not in masked(lines, len(lines) - 1)


def test_a_message_does_not_repeat_what_the_excerpt_hides() -> None:
    """A fault about the value itself quotes it; under a secret key it must not."""
    finding = Finding(
        code=Code.AMBIGUOUS, message="`0777` is unclear", help='quote it: "0777"', file="f", line=1, column=8, width=4
    )
    (diagnostic,) = place([finding], lambda _: "token: 0777")
    assert "0777" not in f"{diagnostic}"
    assert (diagnostic.column, diagnostic.width, diagnostic.excerpt) == (8, 3, "token: ***")


def test_a_caret_behind_something_hidden_has_no_excerpt() -> None:
    """The column stays that of the file; a line in which it would point elsewhere is not shown."""
    finding = Finding(code=Code.UNKNOWN_KEY, message="m", file="f", document=0, paths=(("b",),), on_key=True)
    (diagnostic,) = place([finding], lambda _: "{token: hunter2, b: c}")
    assert (diagnostic.column, diagnostic.excerpt) == (18, None)


def test_many_findings_on_one_long_line_are_placed_without_its_excerpt() -> None:
    """A file that a tool wrote on one line: places, no excerpts, secrets hidden in words all the same."""
    text = "{" + ", ".join(f"key{number}: v" for number in range(5_000)) + ", token: 0777}"
    findings = [
        Finding(code=Code.WRONG_TYPE, message="m", file="f", document=0, paths=((f"key{number}",),))
        for number in range(5_000)
    ]
    column = text.index("0777") + 1
    findings.append(Finding(code=Code.AMBIGUOUS, message="`0777` is unclear", file="f", line=1, column=column, width=4))
    diagnostics = place(findings, lambda _: text)
    assert len(diagnostics) == 5_001
    assert {item.excerpt for item in diagnostics} == {None}
    assert diagnostics[-1].message == "`***` is unclear"
