"""How errors reach people: message, context, hint; never a traceback."""

from __future__ import annotations

import os
import traceback

import click

from reconciler.cli.exits import Exit
from reconciler.errors import (
    DesiredStateError,
    GuardRefused,
    InvalidPlanFile,
    ReconcilerError,
    StalePlan,
    UsageError,
)
from reconciler.report.render import DiagnosticFormat, render_diagnostics
from reconciler.semantics.printable import printable

_EXITS: dict[type[ReconcilerError], Exit] = {
    UsageError: Exit.USAGE,
    DesiredStateError: Exit.INVALID,
    GuardRefused: Exit.REFUSED,
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
    click.echo(f"{click.style('error', fg='red')}: {_lines(error.message)}", err=True)
    if error.context:
        click.echo(_lines(error.context, "  "), err=True)
    if error.hint:
        click.echo(f"{click.style('hint', fg='cyan')}: {_lines(error.hint)}", err=True)


def _lines(text: str, indent: str = "") -> str:
    return "\n".join(indent + printable(line) for line in text.split("\n"))


def report_failure(error: Exception) -> Exit:
    """Print what ended the program. What is no error of ours is a bug, and said to be one."""
    if isinstance(error, ReconcilerError):
        print_error(error)
        return exit_for(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    click.echo(f"error: internal error: {type(error).__name__}: {printable(str(error))}", err=True)
    click.echo(f"  at {os.path.basename(place.filename)}:{place.lineno} in {place.name}", err=True)  # noqa: PTH119
    click.echo("hint: this is a bug of reconciler; please report it with these lines", err=True)
    return Exit.ERROR
