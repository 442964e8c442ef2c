"""The name that was probably meant."""

from __future__ import annotations

from reconciler.desired.violations import nearest
from reconciler.semantics.nearest import Nearest


def test_the_nearest_of_many_names_is_found() -> None:
    """A slip in the middle or at the end; the domain that all share counts for nothing."""
    names = Nearest(
        f"{given}.{family}@example.com" for given in ("ann", "bob", "cyd") for family in ("lee", "smith", "okafor")
    )
    assert names.to("ann.smiht@example.com") == "ann.smith@example.com"
    assert names.to("Bob.Okafr@example.com") == "bob.okafor@example.com"
    assert names.to("zz@example.com") is None


def test_only_so_many_questions_are_answered() -> None:
    """A file with ten thousand wrong names gets its errors; the guesses stop where they cost more than they help."""
    names = Nearest(["Support"])
    answers = [names.to("Suport") for _ in range(300)]
    assert answers[0] == "Support"
    assert answers[-1] is None


def test_case_alone_is_a_near_miss() -> None:
    """Attribute names are spelled exactly; the commonest slip is case."""
    assert nearest("USERNAME", ["userName", "name"]) == "userName"
    assert nearest("colour", ["userName", "name"]) is None
