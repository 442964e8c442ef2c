"""The table of promises in the README: whole, and each promise has a test of its number."""

from __future__ import annotations

import re

from tests.docs.console import ROOT

PROMISES = list(range(1, 14))


def test_every_promise_has_a_row_and_a_test_of_its_number() -> None:
    """P1 to P13 of SPEC section 2; whoever breaks one finds out by its name."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tests = (ROOT / "tests" / "cli" / "test_promises.py").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^\| P(\d+) \|", readme, re.MULTILINE)] == PROMISES
    named = re.findall(r'^def test_p(\d+)_\w+\([^"]*"""SPEC P(\d+)\b', tests, re.MULTILINE)
    assert [(int(name), int(cited)) for name, cited in named] == [(number, number) for number in PROMISES]
