"""Diagnostics as what a reader needs to see: the place, the source line with a caret, and help. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.report.values import in_words, many
from reconciler.semantics.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticView:
    """One diagnostic; `caret` is the line below the excerpt, aligned on terminals."""

    place: str
    severity: str
    code: str
    message: str
    excerpt: str
    caret: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsView:
    """All diagnostics in order, and their count in words."""

    items: tuple[DiagnosticView, ...]
    summary: str
    example: str


_EXCERPT_WIDTH = 160
_SECRET_IN_YAML = re.compile(
    r"""(?P<name>["']?[\w-]*(?:passw|secret|token|credential|api_?key|private_?key)(?![\w-]*url)[\w-]*["']?\s*:\s+)(?P<value>[^\s].*)""",
    re.IGNORECASE,
)
_FROM_ENVIRONMENT = re.compile(r"""["']?\$\{env:[A-Z0-9_]+\}["']?""")


def build_diagnostics_view(diagnostics: Sequence[Diagnostic], *, root: str) -> DiagnosticsView:
    """The diagnostics with the source line and a caret that points at the place, also below wide characters.

    `root` stands before every file name, so that the place can be opened from where the reader is.
    """
    counts = Counter(item.severity for item in diagnostics)
    files = len({item.file for item in diagnostics})
    told = [many(counts[severity], severity.value) for severity in Severity if counts[severity]]
    summary = f"{in_words(told)} in {many(files, 'file')}" if told else "no problems found"
    return DiagnosticsView(
        items=tuple(_diagnostic(item, root) for item in diagnostics),
        summary=summary,
        example=printable(diagnostics[0].code) if diagnostics else "",
    )


def diagnostic_to_document(item: Diagnostic, *, root: str) -> dict[str, Any]:
    """One diagnostic as a JSON object; `excerpt` is masked like everywhere."""
    return {
        "code": item.code,
        "severity": item.severity.value,
        "message": item.message,
        "file": _joined(root, item.file),
        "line": item.line,
        "column": item.column,
        "width": item.width,
        "excerpt": None if item.excerpt is None else mask_line(item.excerpt),
        "help": item.help,
    }


def mask_line(line: str) -> str:
    """A YAML line with the value behind a key named like a secret replaced by asterisks, its length kept."""
    found = _SECRET_IN_YAML.search(line)
    if found is None or _FROM_ENVIRONMENT.match(found["value"]):
        return line
    return line[: found.start("value")] + "*" * len(found["value"])


def _diagnostic(item: Diagnostic, root: str) -> DiagnosticView:
    excerpt, caret = _excerpt(item) if item.excerpt is not None and item.column > 0 else (item.excerpt or "", "")
    place = [_joined(root, item.file), *(str(number) for number in (item.line, item.column) if number)]
    return DiagnosticView(
        place=printable(":".join(place)),
        severity=item.severity.value,
        code=printable(item.code),
        message=printable(item.message),
        excerpt=excerpt if caret else printable(mask_line(excerpt)),
        caret=caret,
        help=printable(item.help or ""),
    )


def _excerpt(item: Diagnostic) -> tuple[str, str]:
    """The source line, cut to a window around the place, and the caret line below it."""
    line = mask_line((item.excerpt or "").rstrip("\r\n"))
    start = min(item.column - 1, len(line))
    cut = 0 if start < _EXCERPT_WIDTH else start - _EXCERPT_WIDTH // 2
    lead, tail = ("…" if cut else ""), ("…" if len(line) > cut + _EXCERPT_WIDTH else "")
    shown = line[cut : cut + _EXCERPT_WIDTH]
    before = lead + printable(shown[: start - cut])
    marked = printable(shown[start - cut : start - cut + max(1, item.width)])
    return lead + printable(shown) + tail, " " * _columns(before) + "^" * max(1, _columns(marked))


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _joined(root: str, file: str) -> str:
    return f"{root.rstrip('/')}/{file}" if root else file
