"""The JSON Schemas that ship with the package, and the two engines that use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.schemas import URN, SchemaError, checker, checker_of, pattern_error, schema_names, schema_text

NAMES = schema_names()
OURS = ("group", "groups", "override", "policy", "service-provider-config", "tenant", "user", "users")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "ann@example.com", "x\n", " x", "${env:SCIM_T}"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["value", "type", "user", "x"]), inner),
    max_leaves=4,
)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a schema."""
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_draft_2020_12_and_named_by_urn(name: str) -> None:
    """No host is named in any `$id`, so that no tool is tempted to fetch one."""
    schema = json.loads(schema_text(name))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == URN + name
    jsonschema.Draft202012Validator.check_schema(schema)
    checker(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_refers_to_nothing_outside_the_package(name: str) -> None:
    """SPEC section 3: no schema is ever fetched from a URL."""
    for node in nodes(json.loads(schema_text(name))):
        reference = node.get("$ref")
        if isinstance(reference, str):
            assert reference.startswith(("#", URN))


@pytest.mark.parametrize("name", OURS)
def test_every_property_is_described(name: str) -> None:
    """Editors show the descriptions to people who write YAML."""
    for node in nodes(json.loads(schema_text(name))):
        properties = node.get("properties")
        if isinstance(properties, dict) and "if" not in node:
            for key, below in properties.items():
                assert not isinstance(below, dict) or {"description", "$ref", "const"} & set(below), key


@pytest.mark.parametrize("name", OURS)
def test_every_pattern_is_explained_and_linear(name: str) -> None:
    """A pattern is no message for people; and none needs an engine that backtracks."""
    for node in nodes(json.loads(schema_text(name))):
        if isinstance(node.get("pattern"), str):
            assert "x-expected" in node, node["pattern"]
            assert pattern_error(node["pattern"]) is None


@pytest.mark.parametrize("pattern", [r"^\S+$", "^a$"])
def test_both_engines_agree_about_line_ends(pattern: str) -> None:
    """Python's `$` also matches before a last line break; a name with one must not slip through either engine."""
    found = checker_of({"pattern": pattern})
    assert not found.accepts("a\n")
    assert len(list(found.violations("a\n"))) == 1


@given(
    name=st.sampled_from(["user", "group", "policy", "service-provider-config", "tenant"]),
    data=st.data(),
)
def test_the_engines_never_disagree(name: str, data: st.DataObject) -> None:
    """What one rejects the other explains, and what it accepts has nothing to explain."""
    schema = json.loads(schema_text(name))
    properties = schema.get("properties") or schema["$defs"][name]["properties"]
    keys = st.sampled_from([*properties, "nonsense", "urn:x:y"])
    instance = data.draw(st.dictionaries(keys, VALUES, max_size=4))
    found = checker(name)
    assert found.accepts(instance) == (next(found.violations(instance), None) is None)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"type": "strnig"},
        {"pattern": "(a)\\1"},
        {"pattern": "("},
        [],
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any) -> None:
    """Remote references are refused without trying, back references because they are not linear."""
    with pytest.raises(SchemaError):
        checker_of(schema)


def test_a_pattern_cannot_be_made_to_hang() -> None:
    """The classic: exponential in a backtracking engine, linear in ours, and both engines use ours."""
    found = checker_of({"pattern": "^(a+)+$"})
    text = "a" * 5000 + "b"
    assert not found.accepts(text)
    assert len(list(found.violations(text))) == 1


def test_every_missing_and_unknown_key_is_a_violation_of_its_own() -> None:
    """So that each can be shown at a place of its own."""
    found = checker("group", "/$defs/group")
    violations = sorted((item.keyword, item.path) for item in found.violations({"a": 1, "b": 2}))
    assert violations == [("additionalProperties", ("a",)), ("additionalProperties", ("b",)), ("required", ())]
