"""How errors reach people: message, context, hint; never a traceback."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import click

from reconciler.cli.exits import Exit
from reconciler.errors import (
    AmbiguousMatch,
    DesiredStateError,
    GuardRefused,
    InvalidPlanFile,
    LedgerRefused,
    ReconcilerError,
    StalePlan,
    UsageError,
)
from reconciler.report.render import DiagnosticFormat, render_diagnostics
from reconciler.semantics.printable import printable

_EXITS: dict[type[ReconcilerError], Exit] = {
    UsageError: Exit.USAGE,
    DesiredStateError: Exit.INVALID,
    AmbiguousMatch: Exit.INVALID,
    GuardRefused: Exit.REFUSED,
    LedgerRefused: Exit.REFUSED,
    StalePlan: Exit.STALE,
    InvalidPlanFile: Exit.STALE,
}


def exit_for(error: ReconcilerError) -> Exit:
    """The exit code of an error that ended a tenant's run."""
    return next((code for family, code in _EXITS.items() if isinstance(error, family)), Exit.ERROR)


def print_error(error: ReconcilerError) -> None:
    """Message, context and hint on stderr; for invalid desired state every diagnostic."""
    if isinstance(error, DesiredStateError):
        click.echo(render_diagnostics(error.diagnostics, DiagnosticFormat.TEXT, root=error.root), err=True, nl=False)
        return
    _say(f"{click.style('error', fg='red')}: {_lines(error.message)}")
    if error.context:
        _say(_lines(error.context, "  "))
    if error.hint:
        _say(f"{click.style('hint', fg='cyan')}: {_lines(error.hint)}")


def _say(text: str) -> None:
    """A line on stderr; colors only on a terminal that wants them, which click does not know of NO_COLOR."""
    click.echo(text, err=True, color=False if os.environ.get("NO_COLOR") else None)


def _lines(text: str, indent: str = "") -> str:
    return "\n".join(indent + printable(line) for line in text.split("\n"))


def as_reconciler_error(error: Exception) -> ReconcilerError:
    """The error in the form every error is shown in. What is no error of ours is a bug, and said to be one."""
    if isinstance(error, ReconcilerError):
        return error
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ReconcilerError(
        f"internal error: {type(error).__name__}: {error}",
        context=f"at {Path(place.filename).name}:{place.lineno} in {place.name}",
        hint="this is a bug of reconciler; please report it with these lines",
    )
