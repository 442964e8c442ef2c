"""`reconciler validate`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.composition import common_options, settings_of, tenants_named, use_color
from reconciler.cli.exits import Exit
from reconciler.desired.roots import check_root
from reconciler.reconcile.validate import validate_tenants
from reconciler.report.render import DiagnosticFormat, render_diagnostics


@click.command(short_help="Check the desired state; every problem in one run.")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option(
    "--format",
    "format_",
    type=click.Choice([item.value for item in DiagnosticFormat]),
    default="text",
    show_default=True,
    help="`github` annotates the files of a pull request.",
)
@common_options
def validate(tenants: tuple[str, ...], format_: str, **options: Any) -> int:
    """Check the desired state; every problem in one run.

    Reads YAML only: no network, no secrets. Exit code 3 means that something is wrong.
    """
    settings = settings_of(options)
    problems = check_root(settings.root, settings.environ)
    names = tenants_named(settings, tenants)
    report = validate_tenants(settings.root, names, settings.environ, problems)
    format_chosen = DiagnosticFormat(format_)
    text = render_diagnostics(report.diagnostics, format_chosen, color=use_color(), root=str(settings.root))
    click.echo(text, nl=False)
    if format_chosen is DiagnosticFormat.TEXT and not report.has_errors:
        click.echo(report.summary)
    return Exit.INVALID if report.has_errors else Exit.DONE
