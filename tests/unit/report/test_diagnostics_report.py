"""Diagnostics with file, line, column and caret (incident: "add line numbers", open for years)."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.report.render import DiagnosticFormat, render_diagnostics
from tests.builders import NAMES

UNKNOWN_KEY = Diagnostic(
    code="V012",
    severity=Severity.ERROR,
    message='unknown key "usrName"',
    file="acme/people.yaml",
    line=3,
    column=5,
    width=7,
    excerpt="  - usrName: jane\n",
    help="did you mean userName?",
)


def test_text_shows_the_place_the_line_a_caret_and_help() -> None:
    """SPEC section 3: `file:line:col: error[Vnnn] message`, the source line with a caret, and a help line."""
    assert render_diagnostics([UNKNOWN_KEY], DiagnosticFormat.TEXT, root="desired-state/") == (
        'desired-state/acme/people.yaml:3:5: error[V012] unknown key "usrName"\n'
        "      - usrName: jane\n"
        "        ^^^^^^^\n"
        "  help: did you mean userName?\n"
        "\n"
        "1 error in 1 file; `reconciler explain V012` tells more about a code\n"
    )


def test_a_whole_file_has_no_line() -> None:
    """Line 0 means the whole file: a missing tenant.yaml has no line to point at."""
    whole = Diagnostic(code="V001", severity=Severity.WARNING, message="empty", file="a.yaml")
    assert render_diagnostics([whole], DiagnosticFormat.TEXT).startswith("a.yaml: warning[V001] empty\n\n1 warning")


def test_no_diagnostics_are_one_sentence_or_nothing() -> None:
    """Machines get no line at all."""
    assert render_diagnostics([], DiagnosticFormat.TEXT) == "No problems found.\n"
    assert render_diagnostics([], DiagnosticFormat.JSON) == render_diagnostics([], DiagnosticFormat.GITHUB) == ""


@pytest.mark.parametrize(
    ("excerpt", "column", "width", "marked"),
    [
        ("名前: x", 5, 1, "x"),
        ("a\tb: x", 3, 1, "b"),
        ("e\u0301e: x", 5, 1, " "),
        ("\x1b[31m: x", 8, 1, "x"),
        ("x" * 500 + "HERE" + "y" * 500, 501, 4, "HERE"),
        ("short", 99, 1, ""),
    ],
)
def test_the_caret_points_at_the_place_below_any_text(excerpt: str, column: int, width: int, marked: str) -> None:
    """Wide, combining and escaped characters before the place move the caret as they move the text."""
    item = Diagnostic(
        code="V1", severity=Severity.ERROR, message="m", file="f", line=1, column=column, width=width, excerpt=excerpt
    )
    _, line, caret, *_ = render_diagnostics([item], DiagnosticFormat.TEXT).splitlines()
    columns = "".join(
        character * 2 if character in "名前" else "" if character == "\u0301" else character for character in line
    )
    assert columns[caret.index("^") : caret.rindex("^") + 1].strip("\u0301") == marked
    assert len(line) < 200


@pytest.mark.parametrize(
    "line",
    [
        "  token: hunter2-hunter2",
        'auth: {type: bearer, token: "hunter2"}',
        "clientSecret:    hunter2 # hunter2",
        "'password': hunter2",
        "apiKey: hunter2",
    ],
)
@pytest.mark.parametrize("format_", list(DiagnosticFormat))
def test_a_secret_in_clear_is_not_repeated(line: str, format_: DiagnosticFormat) -> None:
    """P11: a literal secret is an error, and its report must not be the leak."""
    item = Diagnostic(code="V1", severity=Severity.ERROR, message="secret", file="f", line=1, column=3, excerpt=line)
    assert "hunter2" not in render_diagnostics([item], format_)


def test_a_reference_to_a_secret_is_shown() -> None:
    """The name of a variable is what the author needs to see."""
    excerpt = 'token: "${env:SCIM_TOKEN}"'
    item = Diagnostic(code="V1", severity=Severity.ERROR, message="m", file="f", line=1, column=3, excerpt=excerpt)
    assert excerpt in render_diagnostics([item], DiagnosticFormat.TEXT)
    url = Diagnostic(
        code="V1", severity=Severity.ERROR, message="m", file="f", line=1, column=3, excerpt="tokenUrl: http://x"
    )
    assert "tokenUrl: http://x" in render_diagnostics([url], DiagnosticFormat.TEXT)


def test_github_annotations_escape_messages_and_properties() -> None:
    """GitHub's workflow commands: % CR LF in messages, : and , in properties too."""
    item = Diagnostic(
        code="V1", severity=Severity.WARNING, message="100%", file="a,b:c.yaml", line=2, column=1, help="less"
    )
    line = render_diagnostics([item], DiagnosticFormat.GITHUB)
    assert line == "::warning file=a%2Cb%3Ac.yaml,line=2,col=1,title=V1::100%25%0Ahelp: less\n"


DIAGNOSTICS = st.lists(
    st.builds(
        Diagnostic,
        code=NAMES.filter(bool),
        severity=st.sampled_from(Severity),
        message=NAMES,
        file=NAMES.filter(bool),
        line=st.integers(0, 99),
        column=st.integers(0, 99),
        width=st.integers(0, 99),
        excerpt=st.none() | NAMES,
        help=st.none() | NAMES,
    ),
    max_size=3,
)


@settings(max_examples=60)
@given(items=DIAGNOSTICS)
def test_no_diagnostic_can_fake_another(items: list[Diagnostic]) -> None:
    """One line each for machines, printable lines for people, whatever a file holds."""
    github = render_diagnostics(items, DiagnosticFormat.GITHUB).split("\n")[:-1]
    assert len(github) == len(items)
    assert all(re.fullmatch(r"::(error|warning) [^:]*::.*", line) for line in github)
    documents = [json.loads(line) for line in render_diagnostics(items, DiagnosticFormat.JSON).split("\n")[:-1]]
    assert [document["message"] for document in documents] == [item.message for item in items]
    text = render_diagnostics(items, DiagnosticFormat.TEXT)
    assert all(line.replace("\u3000", "").isprintable() for line in text.split("\n"))
