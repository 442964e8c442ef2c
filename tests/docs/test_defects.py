"""Every defect of the sample code (cxone.md section 12) that can come back by now has a test that cites its number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.console import ROOT

DEFECTS = [
    *(f"P{number}" for number in (1, 2, 3, 4, 5, 7, 10)),
    "S8",
    *(f"R{number}" for number in range(1, 11)),
    *(f"C{number}" for number in range(1, 8)),
    *(f"G{number}" for number in range(1, 11)),
]


def _cited() -> Iterator[str]:
    """The numbers behind the word `defect`, in the same sentence, in the docstrings of tests and of their files."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef)]
        text = "\n\n".join(ast.get_docstring(node) or "" for node in documented)
        for sentence in re.findall(r"[Dd]efects?\b(.*?)(?:\.\s|\n\n|$)", text, re.DOTALL):
            yield from re.findall(r"\b[PSRCG]\d+\b", sentence)
            for letter, first, last in re.findall(r"\b([PSRCG])(\d+) to \1(\d+)\b", sentence):
                yield from (f"{letter}{number}" for number in range(int(first), int(last)))


CITED = frozenset(_cited())


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_cited_by_a_test(defect: str) -> None:
    """Whoever looks for the number finds the test that fails when the defect is back."""
    assert defect in CITED
