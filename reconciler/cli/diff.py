"""`reconciler diff`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.composition import (
    FORMATS,
    common_options,
    for_each_tenant,
    settings_of,
    surroundings_of,
    use_color,
)
from reconciler.cli.exits import Exit
from reconciler.reconcile.diff import diff_tenant, open_earlier, pair_tenants
from reconciler.report.render import Format, render_plan
from reconciler.report.view import Subject


@click.command(short_help="Say what a change in git means. Asks no tenant.")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option("--base", metavar="REV", required=True, help="The commit to compare with, for example origin/main.")
@click.option(
    "--format", "format_", type=FORMATS, default="text", show_default=True, help="`json` is one line a tenant."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@common_options
def diff(tenants: tuple[str, ...], base: str, format_: str, detailed_exitcode: bool, **options: Any) -> int:
    """Say what a change in git means. Asks no tenant.

    Compares the files as they are now with those of a commit: who gains and who loses what, and which guards a plan of
    it would meet. Needs no network and no credentials, so that it is safe for pull requests of anybody.
    """
    settings = settings_of(options)
    surroundings = surroundings_of(settings)
    with open_earlier(settings.root, base, settings.git_environ) as earlier:
        pairs = pair_tenants(settings.root, earlier, tenants, settings.environ)
        silent: list[str] = []

        def work(name: str) -> Exit:
            compared = diff_tenant(settings.root, name, pairs[name], earlier, surroundings)
            if not (tenants or compared.says_something):
                silent.append(name)
                return Exit.DONE
            text = render_plan(
                compared.plan,
                Format(format_),
                color=use_color(),
                subject=Subject.DIFF,
                protected=compared.protected,
            )
            click.echo(text, nl=False)
            return Exit.CHANGES if compared.plan.changes and detailed_exitcode else Exit.DONE

        code = for_each_tenant(surroundings, tuple(pairs), work)
        if len(silent) == len(pairs) and format_ != Format.JSON:
            click.echo(f"No changes. Git says the same about every tenant as at {earlier.commit[:12]}.")
        return code
