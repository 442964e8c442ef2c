"""README and docs are followed to the letter: what they tell to type works, and prints what they show."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.docs.console import (
    DOCUMENTS,
    ROOT,
    STARTS_WITH_SAMPLE,
    TOKEN,
    Command,
    Reader,
    blocks,
    missing,
    steps,
)

LANGUAGES = {"", "console", "json", "text", "yaml"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_every_command_of_a_document_does_what_it_says(document: Path, tmp_path: Path) -> None:
    """In order, in a folder of its own, against a sandbox of its own: exit codes and the output that is shown."""
    with contextlib.ExitStack() as cleanup:
        reader = Reader(cleanup, tmp_path)
        if STARTS_WITH_SAMPLE in document.read_text(encoding="utf-8"):
            reader.take_the_sample()
        for step in steps(document):
            reader.follow(step)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_commands_stand_only_where_they_are_run(document: Path) -> None:
    """A command in a block of another language would be shown and never tried."""
    for block in blocks(document):
        assert block.language in LANGUAGES
        if block.language != "console":
            assert not [line for line in block.text.splitlines() if line.startswith(("$ ", "reconciler "))]
        else:
            assert block.text.startswith("$ ")


def test_the_readme_leads_from_nothing_to_an_applied_change() -> None:
    """The first five minutes: serve, validate, plan, apply, change, plan again."""
    words = [step.line.split()[:2] for step in steps(ROOT / "README.md") if isinstance(step, Command)]
    told = [second for first, second in (pair for pair in words if len(pair) > 1) if first == "reconciler"]
    assert told.index("sandbox") < told.index("validate") < told.index("plan") < told.index("apply")
    assert told[-1] == "plan"


@pytest.mark.parametrize(
    ("said", "printed", "absent"),
    [
        (("one", "two"), "zero\none\n  two\n", None),
        (("two", "one"), "one\ntwo\n", "one"),
        (("run ... done",), "run 2026-01-01 is done\n", None),
        (("...", "end"), "a\nb\nend\n", None),
        (("one",), "one and more\n", "one"),
    ],
)
def test_what_a_document_shows_has_to_be_printed_in_that_order(
    said: tuple[str, ...], printed: str, absent: str | None
) -> None:
    """The check of the checks: a missing line is found, `...` stands for anything."""
    assert missing(said, printed) == absent


def test_a_document_that_promises_what_a_command_does_not_do_fails(tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    with contextlib.ExitStack() as cleanup:
        reader = Reader(cleanup, tmp_path)
        with pytest.raises(AssertionError, match="exit code 64, not 0"):
            reader.follow(Command("reconciler no-such-command", 0, ()))
        with pytest.raises(AssertionError, match="does not print: everything"):
            reader.follow(Command("reconciler --version", 0, ("everything",)))


def test_documents_are_followed_without_a_secret_of_ours(tmp_path: Path) -> None:
    """No document shows the token that the tests use, so none can rely on it."""
    assert not [document for document in DOCUMENTS if TOKEN in document.read_text(encoding="utf-8")]
