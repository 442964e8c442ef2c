"""`reconciler drift`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.composition import (
    FORMATS,
    chosen_tenants,
    common_options,
    for_each_tenant,
    settings_of,
    surroundings_of,
    use_color,
)
from reconciler.cli.exits import Exit
from reconciler.reconcile.drift import drift_tenant
from reconciler.reconcile.memory import MemoryOptions
from reconciler.report.render import Format, render_plan
from reconciler.report.view import Subject


@click.command(short_help="Say what somebody changed in a tenant. Cannot write.")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option(
    "--format", "format_", type=FORMATS, default="text", show_default=True, help="`json` is one line a tenant."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is drift.")
@common_options
def drift(tenants: tuple[str, ...], format_: str, detailed_exitcode: bool, **options: Any) -> int:
    """Say what somebody changed in a tenant. Cannot write.

    Compares the tenant with what git declared at the last complete run, of which the ledger knows. What git changed
    since then is not drift; `plan` shows both.
    """
    settings = settings_of(options)
    surroundings = surroundings_of(settings)
    memory = MemoryOptions(state_dir=settings.state_dir, environ=settings.git_environ)

    def work(name: str) -> Exit:
        found, tenant = drift_tenant(settings.root, name, surroundings, memory)
        text = render_plan(
            found,
            Format(format_),
            color=use_color(),
            subject=Subject.DRIFT,
            protected=tenant.guards.protected,
        )
        click.echo(text, nl=False)
        return Exit.CHANGES if found.changes and detailed_exitcode else Exit.DONE

    return for_each_tenant(surroundings, chosen_tenants(settings, tenants), work)
