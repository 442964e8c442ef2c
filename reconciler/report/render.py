"""Reports as text, Markdown, HTML and JSON: jinja2 templates with escaping for each format.

Escaping is on by default and cannot be forgotten: every value that a template prints passes its environment's escape,
unless a filter of this module made it. Templates are `templates/<report>.txt`, `.md` and `.html`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reconciler.errors import ReportTooLong
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.outcome import ApplyResult
from reconciler.model.plan import Plan
from reconciler.report.diagnostics import build_diagnostics_view, diagnostic_to_document
from reconciler.report.view import Folding, Subject, build_apply_view, build_plan_view
from reconciler.semantics.document import comparison_to_document, plan_to_document, receipt_to_document, to_json_line
from reconciler.semantics.printable import printable


class Format(StrEnum):
    """How plans and results are shown. JSON is one object on one line, HTML a page that needs nothing else."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


class DiagnosticFormat(StrEnum):
    """How diagnostics are shown. JSON is one object a line; GITHUB are workflow commands that annotate the files."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


_FOLDING = {
    Format.TEXT: Folding(),
    # What Markdown lists may hide in <details>, so it folds later.
    Format.MARKDOWN: Folding(creates=100, updates=200, memberships=100, members=50, access=20, residuals=50, width=200),
    # A page of its own has room.
    Format.HTML: Folding(
        creates=1000, updates=1000, memberships=500, members=200, access=100, residuals=200, width=400
    ),
}
_TIGHTER = (
    Folding(creates=20, updates=20, memberships=20, members=10, access=5, findings=10, residuals=10, width=100),
    Folding(creates=0, updates=0, memberships=0, few=0, members=2, access=2, findings=4, residuals=4, width=60),
)
"""For places that take only so much text: more is counted and less listed. What takes something away stays whole."""


def render_plan(
    plan: Plan,
    format: Format,  # noqa: A002 - the word of the option
    *,
    color: bool = False,
    subject: Subject = Subject.PLAN,
    protected: Iterable[str] = (),
    saved_as: str | None = None,
    options: Sequence[str] = (),
    most: int | None = None,
) -> str:
    """The plan as a report, ending with a line break; JSON is the plan document, sealed.

    `color` styles text with ANSI sequences. `protected` are the protected entries of tenant.yaml: gains of those groups
    are always listed. `saved_as` is the file the plan was saved as; the report then names it in the next command, and
    repeats the `options` that were typed. `most` is how many characters there is room for: what only adds is then
    counted instead of listed as far as that takes; JSON is never shortened. A diff or drift (`subject`) is made of a
    plan and is none, also not as JSON: the document has neither digest nor seal, and nothing can be applied by it.

    Raises:
        ReportTooLong: what has to be said takes more room.

    """
    if format is Format.JSON:
        document = plan_to_document(plan) if subject is Subject.PLAN else comparison_to_document(plan, subject.value)
        return _fitting([to_json_line(document) + "\n"], most)
    seal = plan_to_document(plan)["seal"] if saved_as is not None else None

    def rendered(folding: Folding) -> str:
        view = build_plan_view(
            plan,
            folding=folding,
            subject=subject,
            protected=protected,
            saved_as=saved_as,
            seal=seal,
            options=options,
        )
        return _render("plan", format, {"plan": view}, color=color)

    return _fitting(map(rendered, (_FOLDING[format], *_TIGHTER)), most)


def _fitting(reports: Iterable[str], most: int | None) -> str:
    """The first report there is room for."""
    least = 0
    for report in reports:
        if most is None or len(report) <= most:
            return report
        least = len(report)
    raise ReportTooLong(least, most or 0)


def render_apply(
    result: ApplyResult,
    plan: Plan,
    format: Format,  # noqa: A002 - the word of the option
    *,
    color: bool = False,
    public: bool = False,
    options: Sequence[str] = (),
) -> str:
    """What became of a plan, ending with a line break; JSON is the receipt, with `public` one that names nobody."""
    if format is Format.JSON:
        return to_json_line(receipt_to_document(result, public=public)) + "\n"
    view = build_apply_view(result, plan, folding=_FOLDING[format], options=options)
    return _render("apply", format, {"run": view}, color=color)


def render_diagnostics(
    diagnostics: Sequence[Diagnostic],
    format: DiagnosticFormat,  # noqa: A002 - the word of the option
    *,
    color: bool = False,
    root: str = "",
) -> str:
    """The diagnostics in the order given; nothing for an empty list, except in text.

    `root` is the path of the desired state as the reader would type it; it is put before every file name.
    """
    match format:
        case DiagnosticFormat.JSON:
            return "".join(f"{to_json_line(diagnostic_to_document(item, root=root))}\n" for item in diagnostics)
        case DiagnosticFormat.GITHUB:
            return "".join(f"{_workflow_command(diagnostic_to_document(item, root=root))}\n" for item in diagnostics)
        case DiagnosticFormat.TEXT:
            view = build_diagnostics_view(diagnostics, root=root)
            return _render("diagnostics", Format.TEXT, {"diagnostics": view}, color=color)


def _render(report: str, format: Format, values: Mapping[str, Any], *, color: bool) -> str:  # noqa: A002 - same
    match format:
        case Format.MARKDOWN:
            text = _markdown_environment().get_template(f"{report}.md").render(values)
            # No value holds a line break, so these are the templates' own, left by conditions that did not hold.
            return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"
        case Format.HTML:
            return _html_environment().get_template(f"{report}.html").render(values)
        case _:
            return _text_environment(color=color).get_template(f"{report}.txt").render(values)


def _environment(escape: Callable[[object], Markup]) -> Environment:
    """An environment in which everything printed is escaped by `escape`, unless it is Markup.

    jinja2's own escaping is that of HTML; it leaves Markup alone, and `finalize` runs before it.
    """
    return Environment(
        loader=PackageLoader("reconciler.report"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else escape(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


# Text: values are printable already (view); making them so again costs little and holds for every template to come.
_STYLES = {"danger": "1;31", "warn": "33", "good": "32", "strong": "1", "dim": "2"}


def _text_environment(*, color: bool) -> Environment:
    environment = _environment(_plain)
    for name, style in _STYLES.items():
        environment.filters[name] = partial(_styled, style=style if color else "")
    return environment


def _plain(value: object) -> Markup:
    return Markup(printable(str(value)))  # noqa: S704 - Markup is jinja2's word for "escaped", here for a terminal


def _styled(value: object, *, style: str) -> Markup:
    text = value if isinstance(value, Markup) else _plain(value)
    return Markup(f"\x1b[{style}m{text}\x1b[0m") if style and text else text  # noqa: S704 - same


# HTML: values are text of elements and never of attributes; the one style sheet is named in the policy by its hash.
def _html_environment() -> Environment:
    environment = _environment(_text_of_an_element)
    style = environment.get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    environment.globals["style"] = Markup(style)  # noqa: S704 - a file of this package
    environment.globals["style_hash"] = Markup(f"sha256-{digest}")  # noqa: S704 - a digest
    return environment


def _text_of_an_element(value: object) -> Markup:
    if isinstance(value, int):
        return Markup(f"{value:,}")  # noqa: S704 - digits
    return escape(printable(str(value)))


# Markdown: a value is a code span, in which nothing is HTML, a link, an image, a mention or an issue number. Sentences
# keep their words and put everything that is not plainly a word into a code span.
_WORD = re.compile(
    r"""\(?["']?[A-Za-z]+(?:-[A-Za-z]+)*(?:'[a-z]{1,2})?["']?\)?[.,;:?]?|[0-9]{1,3}(?:,[0-9]{3})*[%,;:]?"""
)


def _markdown_environment() -> Environment:
    environment = _environment(_code)
    environment.filters["prose"] = _prose
    environment.filters["fenced"] = _fenced
    return environment


def _code(value: object) -> Markup:
    """A value as a code span that it cannot leave (CommonMark section 6.1); numbers as they are."""
    if isinstance(value, int):
        return Markup(f"{value:,}")  # noqa: S704 - digits
    text = printable(str(value))
    if not text.strip():  # no code span can be empty, or be seen when blank
        return Markup(f'`"{text}"`')  # noqa: S704 - spaces
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markup(f"{fence}{pad}{text}{pad}{fence}")  # noqa: S704 - the fence is longer than any inside


def _fenced(lines: Iterable[str]) -> Markup:
    """Lines of YAML as a code block that they cannot leave (CommonMark section 4.5)."""
    text = "\n".join(printable(line) for line in lines)
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return Markup(f"{fence}yaml\n{text}\n{fence}")  # noqa: S704 - the fence is longer than any inside


def _prose(value: object) -> Markup:
    """A sentence with everything in it that is not plainly a word or a number as a code span."""
    words = [word if _WORD.fullmatch(word) else _code(word) for word in printable(str(value)).split()]
    # A list item with nothing in it would turn the line above into a heading (CommonMark section 4.3).
    return Markup(" ".join(words or [_code("")]))  # noqa: S704 - words have no markup in them, code is escaped


# GitHub workflow commands, with the escaping of @actions/core: of messages, and of properties.
_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_MESSAGE, ":": "%3A", ",": "%2C"}


def _workflow_command(item: Mapping[str, Any]) -> str:
    place = {"file": item["file"], "line": item["line"], "col": item["column"], "title": item["code"]}
    properties = ",".join(f"{name}={_escaped(str(value), _PROPERTY)}" for name, value in place.items() if value)
    message = "\n".join(printable(part) for part in (item["message"], item["help"] and f"help: {item['help']}") if part)
    return f"::{item['severity']} {properties}::{_escaped(message, _MESSAGE)}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)
