"""Schema violations in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.desired.codes import Code
from reconciler.desired.violations import Explained, explain
from reconciler.schemas import checker_of

ANY_OF = {
    "type": "object",
    "properties": {
        "badge": {
            "anyOf": [
                {"type": "string", "pattern": "^B-[0-9]+$"},
                {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}},
            ]
        }
    },
}


def explained(schema: Any, instance: Any) -> list[Explained]:
    """All violations of an instance in words."""
    found = checker_of(schema)
    assert not found.accepts(instance)
    return list(explain(found.violations(instance)))


def test_of_several_branches_the_best_fitting_one_is_explained() -> None:
    """To hear that no schema fits helps nobody; what is wrong with the branch the author probably meant does."""
    (wrong_number,) = explained(ANY_OF, {"badge": {"number": "x"}})
    assert (wrong_number.code, wrong_number.path) == (Code.WRONG_TYPE, ("badge", "number"))
    (wrong_text,) = explained(ANY_OF, {"badge": "17"})
    assert (wrong_text.code, wrong_text.path) == (Code.WRONG_FORM, ("badge",))


@pytest.mark.parametrize(
    ("schema", "instance", "code"),
    [
        ({"not": {"required": ["x"]}}, {"x": 1}, Code.NOT_ALLOWED),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, Code.DOES_NOT_FIT),
        ({"contains": {"const": 1}}, [2], Code.DOES_NOT_FIT),
        ({"exclusiveMinimum": 3}, 3, Code.OUT_OF_BOUNDS),
        ({"multipleOf": 5}, 3, Code.OUT_OF_BOUNDS),
        ({"maxItems": 1}, [1, 2], Code.WRONG_COUNT),
        ({"uniqueItems": True}, [1, 2, 1], Code.LISTED_TWICE),
        ({"maxLength": 2}, "abc", Code.WRONG_FORM),
        ({"propertyNames": {"pattern": "^a"}}, {"b": 1}, Code.WRONG_FORM),
        ({"const": 1}, "1", Code.NOT_ALLOWED),
        (False, 1, Code.DOES_NOT_FIT),
    ],
)
def test_every_keyword_has_words(schema: Any, instance: Any, code: Code) -> None:
    """A tenant's own schema of an extension may use any keyword of draft 2020-12."""
    assert [item.code for item in explained(schema, instance)] == [code]


def test_what_is_wrong_is_said_without_jargon() -> None:
    """No "is not of type", no pointer, no repr."""
    (item,) = explained({"properties": {"title": {"type": ["string", "null"]}}}, {"title": 12})
    assert item.message == "`title` is text, but `12` without quotes is a number"
    assert item.help == 'quote it: "12"'
