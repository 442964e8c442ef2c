"""The table of disagreements in docs/services.md: whole, and every row has a test of its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.console import ROOT

TESTS = ROOT / "tests" / "contract" / "dialects" / "test_disagreements.py"
NOT_YET = {29, 30, 31, 34}
"""Licences, alerts and webhooks."""


def _rows(page: Path) -> list[int]:
    return [int(number) for number in re.findall(r"^\| D(\d+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)]


def test_every_disagreement_has_a_row_and_every_row_a_test() -> None:
    """D1 to D34 of cxone.md section 11; a row that promises what nobody tests is a wish."""
    functions = (
        node for node in ast.parse(TESTS.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    )
    named = (re.match(r"test_((?:d\d+_)+)", function.name) for function in functions)
    tested = {int(number) for match in named if match for number in re.findall(r"\d+", match[1])}
    rows = _rows(ROOT / "docs" / "services.md")
    assert rows == sorted(set(range(1, 35)) - NOT_YET)
    assert set(rows) == tested
