"""The table in docs/incidents.md: whole, and every row has the tests that it names."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.console import ROOT

PAGE = ROOT / "docs" / "incidents.md"
SOURCE = ROOT.parent / "shared" / "INCIDENTS.md"
"""Where the rows come from; it lies beside the checkout, not in it."""
ROWS = 25

_CITATION = re.compile(r'INCIDENTS "([^"]+)"')
_PROJECT = re.compile(r"[\w.-]+/[\w.-]+")
_TEST = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


@dataclass(frozen=True)
class Row:
    """One incident: what happened, where it was seen, and the tests, as (file, function)."""

    incident: str
    seen_in: str
    tests: frozenset[tuple[Path, str]]


def _plain(text: str) -> str:
    """A row's words as docstrings quote them."""
    return re.sub(r'["`]', "", text)


def _cells(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ")][1:]
    return [line.strip("|").strip().split(" | ") for line in table]


def _rows() -> list[Row]:
    return [
        Row(
            cells[0],
            cells[1],
            frozenset(((PAGE.parent / link).resolve(), name) for name, link in _TEST.findall(cells[3])),
        )
        for cells in _cells(PAGE)
    ]


def _citing() -> Mapping[str, dict[tuple[Path, str], str]]:
    """The docstrings of all tests that cite an incident, by the words they cite it with."""
    found: dict[str, dict[tuple[Path, str], str]] = defaultdict(dict)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            text = ast.get_docstring(node) or "" if isinstance(node, ast.FunctionDef) else ""
            for words in _CITATION.findall(text):
                found[words][path, getattr(node, "name", "")] = text
    return found


CITING = _citing()


def test_the_table_has_every_incident() -> None:
    """As many rows as were read, each a different one; where the source is at hand, the very same."""
    rows = [(row.incident, row.seen_in) for row in _rows()]
    assert len(set(rows)) == ROWS
    if SOURCE.is_file():
        assert rows == [(cells[0], cells[1]) for cells in _cells(SOURCE)]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: _plain(row.incident)[:40])
def test_an_incident_has_the_tests_that_its_row_names_and_no_others(row: Row) -> None:
    """A promise without a test named after its incident is not kept; the test names the projects it happened to."""
    citing = {
        test: text
        for words, tests in CITING.items()
        if _plain(row.incident).startswith(words)
        for test, text in tests.items()
    }
    assert citing
    assert citing.keys() == row.tests
    projects = _PROJECT.findall(row.seen_in)
    for (_, name), text in citing.items():
        assert not projects or any(project in text for project in projects), f"{name} names none of {projects}"


def test_every_citation_is_of_a_row() -> None:
    """A row that was reworded takes its tests along."""
    incidents = [_plain(row.incident) for row in _rows()]
    for words in CITING:
        assert sum(incident.startswith(words) for incident in incidents) == 1, words
