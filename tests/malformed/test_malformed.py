"""Malformed input gives a diagnostic with a place, never a traceback, never a secret (SPEC section 3).

Each file in `cases` is one case; its name is the test id. What goes wrong in the field becomes a new file:

    # what the case is about
    expect V110 acme/users.yaml:3:1          every diagnostic there is, errors and (`warning V...`) warnings
    hidden hunter2                           a text that may appear in no message, help or excerpt
    === acme/users.yaml                      a file below the root, with its content
    === acme/latin1.yaml escaped             the same with backslash escapes, for bytes that are no text
    === acme/big.yaml repeat 11000000        the content so many times over
    === acme/link.yaml link ../../outside    a symbolic link
    === acme/pipe.yaml fifo                  a named pipe; `folder` makes a folder

Where a case has no acme/tenant.yaml it gets a plain one. Paths that start with ../ lie outside the root.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.desired.codes import CODES
from reconciler.desired.parser import check_root, load_desired_state
from reconciler.model.diagnostic import Diagnostic, Severity

CASES = sorted(Path(__file__).with_name("cases").glob("*.case"))
TENANT = """\
kind: Tenant
name: acme
profile: rfc7644
scim: {baseUrl: "https://scim.example.com/v2"}
auth: {type: bearer, token: "${env:SCIM_TOKEN}"}
"""


@dataclass
class Case:
    """What a case file says."""

    expected: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    files: list[tuple[str, str, str]] = field(default_factory=list)


def read_case(path: Path) -> Case:
    """The case in a file."""
    case = Case()
    content: list[str] | None = None
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("=== "):
            name, _, what = line[4:].partition(" ")
            content = []
            case.files.append((name, what, ""))
        elif content is not None:
            content.append(line)
            name, what, _ = case.files[-1]
            case.files[-1] = (name, what, "\n".join(content))
        elif line.startswith(("expect ", "warning ")):
            case.expected.append(" ".join(line.split()[:3]))
        elif line.startswith("hidden "):
            case.hidden.append(line.removeprefix("hidden "))
        else:
            assert not line or line.startswith("#"), f"{path.name}: {line}"
    return case


def build(case: Case, root: Path) -> None:
    """The files of a case, below a root."""
    root.mkdir()
    if not any(name.startswith("acme/tenant.yaml") or name == "no-tenant" for name, _, _ in case.files):
        (root / "acme").mkdir()
        (root / "acme" / "tenant.yaml").write_text(TENANT, encoding="utf-8")
    for name, what, content in case.files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        word, _, argument = what.partition(" ")
        match word:
            case "link":
                path.symlink_to(argument)
            case "fifo":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "escaped":
                path.write_bytes(content.encode("latin-1").decode("unicode_escape").encode("latin-1"))
            case "repeat":
                path.write_text(content.rstrip("\n") * int(argument), encoding="utf-8")
            case _:
                path.write_text(content, encoding="utf-8")


def shown(item: Diagnostic) -> str:
    """A diagnostic as the case files write it."""
    word = "expect" if item.severity is Severity.ERROR else "warning"
    place = f"{item.file}:{item.line}:{item.column}" if item.line else item.file
    return f"{word} {item.code} {place}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_malformed_input_is_diagnosed_at_its_place(path: Path, tmp_path: Path) -> None:
    """Exactly the expected diagnostics, each explained, each with its source line, nothing hidden in any of them."""
    case = read_case(path)
    root = tmp_path / "root"
    build(case, root)
    loaded = load_desired_state(root, "acme")
    diagnostics = (*check_root(root), *loaded.diagnostics)
    assert sorted(map(shown, diagnostics)) == sorted(case.expected), "\n".join(map(str, diagnostics))
    assert (loaded.desired is None) == bool(loaded.errors)
    for item in diagnostics:
        assert item.code in CODES
        assert "Traceback" not in item.message
        words = f"{item.message}\n{item.help}\n{item.excerpt}"
        assert str(tmp_path) not in words
        for secret in case.hidden:
            assert secret not in words
        if item.excerpt is not None and not case.hidden:
            text = (root / item.file).read_bytes().decode("utf-8", "replace")
            assert item.excerpt in text
            assert item.column - 1 + item.width <= len(item.excerpt) + 1


def test_there_are_at_least_fifty_cases() -> None:
    """The issue asks for fifty; each has a comment that says what it is about."""
    assert len(CASES) >= 50
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in CASES)


def test_every_code_is_met_by_a_case_or_a_unit_test() -> None:
    """No code without something that shows it: those that need no file layout are tested in tests/unit/desired."""
    met = {line.split()[1] for path in CASES for line in read_case(path).expected}
    elsewhere = {"V100", "V211"}
    assert met | elsewhere == set(CODES)
