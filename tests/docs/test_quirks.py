"""The table of quirks in docs/services.md: whole, and every row has the tests that it speaks of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import ROOT

PAGE = ROOT / "docs" / "services.md"
ROW = re.compile(r"\| Q(\d+) \|(?:[^|]*\|){2}([^|]*)\|")
TEST = re.compile(r"test_((?:q\d+_)+)")


def _rows() -> dict[int, list[Path]]:
    """The test files that each quirk's row links to."""
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if row := ROW.fullmatch(line):
            rows[int(row[1])] = [(PAGE.parent / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", row[2])]
    return rows


def _tests_in(path: Path) -> Iterator[ast.FunctionDef]:
    functions = (node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef))
    return (function for function in functions if function.name.startswith("test_"))


def _named_in(path: Path) -> set[int]:
    """The numbers in the names of a file's tests."""
    named = (TEST.match(function.name) for function in _tests_in(path))
    return {int(number) for match in named if match for number in re.findall(r"\d+", match[1])}


def _cited_in(path: Path) -> set[int]:
    """The numbers in the names or the docstrings of a file's tests."""
    texts = (ast.get_docstring(function) or "" for function in _tests_in(path))
    return _named_in(path) | {int(number) for text in texts for number in re.findall(r"\bQ(\d+)\b", text)}


def test_the_table_has_every_quirk_in_order() -> None:
    """Q1 to Q33 of scim-rfc.md section 12."""
    assert list(_rows()) == list(range(1, 34))


@pytest.mark.parametrize("number", range(1, 34), ids="Q{}".format)
def test_a_quirk_has_tests_in_every_file_that_its_row_names(number: int) -> None:
    """A row that promises what nobody tests is a wish. One test at least is named after the quirk."""
    paths = _rows()[number]
    assert any(number in _named_in(path) for path in paths)
    for path in paths:
        assert number in _cited_in(path), f"no test of Q{number} in {path.name}"


def test_a_file_that_tests_a_quirk_is_named_in_its_row() -> None:
    """Whoever adds a test of a quirk finds out here that the table speaks of it."""
    rows = _rows()
    for path in sorted((ROOT / "tests" / "contract" / "quirks").glob("test_*.py")):
        for number in _named_in(path):
            assert path in rows[number], f"Q{number} is tested in {path.name}"
