"""Patterns in a tenant's own schemas."""

from __future__ import annotations

import pytest

from reconciler.desired.extensions import _keyword_problem, _problem, _repeats_a_repetition


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|aa)*b", "((a*)b){2,}", "(x(a?)y)+", "^(?:[a-z]+)*$"])
def test_a_repetition_of_a_repetition_is_refused(pattern: str) -> None:
    """Linear here, exponential in the editors that use the same schema."""
    assert _repeats_a_repetition(pattern)


@pytest.mark.parametrize("pattern", ["^B-[0-9]+$", "(ab)+", "[(+)*]+", r"\(a+\)+", "(a|b)", "a{2,5}b*", "(a+)b"])
def test_an_ordinary_pattern_is_fine(pattern: str) -> None:
    """Brackets in classes and behind a backslash are letters."""
    assert not _repeats_a_repetition(pattern)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "other.json"}}},
        {"$dynamicRef": "https://example.com/x"},
        {"properties": {"a": {"$id": "urn:x"}}},
        {"patternProperties": {"(a+)+": {}}},
        {"items": {"pattern": "(?=a)b"}},
    ],
)
def test_what_leads_outside_is_refused_wherever_it_stands(schema: dict[str, object]) -> None:
    """The whole schema is walked, not only its top."""
    assert _problem(schema) is not None


def test_a_schema_may_refer_to_itself_and_name_itself() -> None:
    """`$id` and `$schema` at the top are what editors want to see."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:x",
        "$ref": "#/$defs/a",
        "$defs": {"a": {}},
    }
    assert _problem(schema) is None
    assert _keyword_problem(schema, is_top=True) is None


def test_a_schema_that_is_nested_too_deep_is_refused() -> None:
    """Found without recursion."""
    schema: dict[str, object] = {}
    for _ in range(100_000):
        schema = {"not": schema}
    assert "nested" in str(_problem(schema))
