"""`reconciler plan` and `reconciler show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.composition import (
    FORMATS,
    chosen_tenants,
    common_options,
    for_each_tenant,
    memory_of,
    memory_options,
    settings_of,
    surroundings_of,
    takes_access,
    use_color,
)
from reconciler.cli.exits import Exit
from reconciler.errors import ConfigurationError, InvalidPlanFile, UsageError
from reconciler.model.plan import Plan
from reconciler.planfile import dump_plan, plan_to_document, read_plan
from reconciler.reconcile.plan import plan_tenant
from reconciler.reconcile.rundir import write_private
from reconciler.report.render import Format, render_plan
from reconciler.settings import Settings

MAX_PLAN_BYTES = 1 << 30


@click.command(short_help="Show what apply would do. Cannot write.")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the sealed plan, for one tenant.")
@click.option(
    "--format", "format_", type=FORMATS, default="text", show_default=True, help="`json` is one line a tenant."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.option(
    "--policy-from",
    metavar="REV",
    help="Judge by guards, policies and overrides of this commit, too: on a pull request, those of its target branch.",
)
@memory_options
@common_options
def plan(
    tenants: tuple[str, ...],
    out: Path | None,
    format_: str,
    detailed_exitcode: bool,
    policy_from: str | None,
    **options: Any,
) -> int:
    """Show what apply would do. Cannot write.

    Reads git, the ledger and the tenant, compares, and judges the result by every guard. The connection it uses lets
    no request through that could change anything. Exit code 4 means that a guard refuses.
    """
    settings = settings_of(options)
    surroundings = surroundings_of(settings)
    memory = memory_of(settings, options)
    names = chosen_tenants(settings, tenants)
    if out is not None and len(names) != 1:
        raise UsageError("--out saves the plan of one tenant", hint=f"name one of: {', '.join(names)}")

    def work(name: str) -> Exit:
        made, tenant = plan_tenant(settings.root, name, surroundings, memory, policy_from)
        if out is not None:
            write_private(out, dump_plan(made))
        saved_as = str(out) if out is not None else None
        protected = tenant.guards.protected
        text = render_plan(
            made, Format(format_), color=use_color(), protected=protected, saved_as=saved_as, options=settings.typed
        )
        click.echo(text, nl=False)
        _tell_github(made, settings)
        if made.refused_by:
            return Exit.REFUSED
        return Exit.CHANGES if made.changes and detailed_exitcode else Exit.DONE

    return for_each_tenant(surroundings, names, work)


def _tell_github(made: Plan, settings: Settings) -> None:
    """`changes`, `destructive`, `digest` and `seal` for later steps of a workflow (SPEC section 5)."""
    if settings.github_output is None:
        return
    values = {
        "changes": len(made.changes),
        "destructive": str(takes_access(made)).lower(),
        "digest": made.digest,
        "seal": plan_to_document(made)["seal"],
    }
    try:
        with settings.github_output.open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())
    except OSError as error:
        raise ConfigurationError(f"cannot write the file that GITHUB_OUTPUT names: {error.strerror}") from error


@click.command(short_help="Render a saved plan.")
@click.argument("file", type=click.Path(path_type=Path), metavar="PLAN")
@click.option("--format", "format_", type=FORMATS, default="text", show_default=True)
@click.option(
    "--max-length", type=click.IntRange(min=1), metavar="N", help="At most N characters: count more, list less."
)
def show(file: Path, format_: str, max_length: int | None) -> int:
    """Render a saved plan.

    Checks that the file is whole and unchanged, then shows it as `plan` did. Needs no network and no desired state.
    With --max-length, what takes something away is still complete, or the exit code is 1 and nothing is shown.
    """
    made = read_plan(read_plan_file(file))
    text = render_plan(made, Format(format_), color=use_color(), saved_as=str(file), most=max_length)
    click.echo(text, nl=False)
    return Exit.DONE


def read_plan_file(file: Path) -> bytes:
    """The bytes of a plan file.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        InvalidPlanFile: it is larger than any plan.

    """
    try:
        if file.stat().st_size > MAX_PLAN_BYTES:
            raise InvalidPlanFile(f"{file} is too large to be a plan")
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="`reconciler plan --out FILE` saves a plan"
        ) from error
