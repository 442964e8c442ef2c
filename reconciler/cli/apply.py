"""`reconciler apply`."""

from __future__ import annotations

import os
import sys
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
from reconciler.cli.failures import exit_for
from reconciler.cli.plan import read_plan_file
from reconciler.errors import UsageError
from reconciler.model.outcome import ApplyResult, Outcome
from reconciler.model.plan import Plan
from reconciler.model.tenant import Tenant
from reconciler.planfile import dump_receipt, load_plan
from reconciler.reconcile.apply import ApplyEnd, ApplyOptions, Refused, apply_approved, apply_tenant
from reconciler.reconcile.rundir import write_private
from reconciler.report.render import Format, render_apply, render_plan


@click.command(short_help="Make tenants equal to git, and prove it.")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option("--yes", is_flag=True, help="Apply without asking.")
@click.option("--expect-digest", metavar="D", help="Apply only if the plan of now has this digest.")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Apply this saved plan, as far as it fits.")
@click.option(
    "--approved",
    "approved_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Plan anew, and apply what this plan approves and is still the same. May be repeated.",
)
@click.option(
    "--expect-seal", "seals", multiple=True, metavar="S", help="The seal of each --plan or --approved, in their order."
)
@click.option("--take-over", metavar="RUN", default="", help="Do not wait for what RUN left open: it is over.")
@click.option("--format", "format_", type=FORMATS, default="text", show_default=True, help="`json` is the receipt.")
@click.option("--public-receipt", type=click.Path(path_type=Path), help="Save a receipt that names nobody.")
@memory_options
@common_options
def apply(  # noqa: PLR0917 - one parameter an option
    tenants: tuple[str, ...],
    yes: bool,
    expect_digest: str | None,
    plan_file: Path | None,
    approved_files: tuple[Path, ...],
    seals: tuple[str, ...],
    take_over: str,
    format_: str,
    public_receipt: Path | None,
    **options: Any,
) -> int:
    """Make tenants equal to git, and prove it.

    Plans, judges the plan by every guard, asks (or takes an approval by --expect-digest or --plan), writes with a
    version guard on every change, reads back what it touched and plans again: only then is it a success. Exit codes:
    4 a guard refused, 5 not what was approved or a conflict, 6 partly applied.
    """
    settings = settings_of(options)
    surroundings = surroundings_of(settings)
    saved, approved = _approvals(plan_file, approved_files, seals)
    if (saved or approved) and not tenants:
        tenants = tuple({plan.tenant for plan in (*saved, *approved)})
    names = chosen_tenants(settings, tenants)
    if (saved or approved or expect_digest is not None or public_receipt is not None) and len(names) != 1:
        raise UsageError("an approval is for one tenant", hint=f"name one of: {', '.join(names)}")
    if take_over and len(names) != 1:
        raise UsageError("--take-over is for one tenant", hint=f"name one of: {', '.join(names)}")
    if public_receipt is not None and not os.access(public_receipt.parent, os.W_OK):
        raise UsageError(f"cannot write {public_receipt}", hint="choose another place before anything is applied")
    decided = bool(yes or expect_digest is not None or saved or approved)
    if not decided and not sys.stdin.isatty():
        raise UsageError(
            "nobody is there to ask: standard input is no terminal",
            hint="approve with --expect-digest D, or with --plan or --approved FILE --expect-seal S; or say --yes",
        )
    apply_options = ApplyOptions(
        memory=memory_of(settings, options, take_over=take_over),
        expect_digest=expect_digest,
        approved=approved,
        confirm=(lambda _plan, _tenant: True) if decided else _ask,
    )

    def work(name: str) -> Exit:
        try:
            if saved:
                end = apply_approved(settings.root, name, saved[0], surroundings, apply_options)
            else:
                end = apply_tenant(settings.root, name, surroundings, apply_options)
        except Refused as refused:
            protected = refused.tenant.guards.protected
            shown = render_plan(
                refused.plan, Format(format_), color=use_color(), protected=protected, options=settings.typed
            )
            click.echo(shown, nl=False)
            surroundings.listener.failed(refused.cause)
            return exit_for(refused.cause)
        if end.directory is not None and settings.log_format == "text" and Format(format_) is Format.TEXT:
            click.echo(f"Receipt: {end.directory / 'receipt.json'}", err=True)
        if end.held is not None:
            click.echo(f"Held, waiting for an approval of its own: {end.held}", err=True)
        return _report(end, Format(format_), public_receipt, settings.typed)

    return for_each_tenant(surroundings, names, work)


def _approvals(
    plan_file: Path | None, approved_files: tuple[Path, ...], seals: tuple[str, ...]
) -> tuple[tuple[Plan, ...], tuple[Plan, ...]]:
    """The saved plan and the approved ones, each proven to be the one that was approved.

    Raises:
        UsageError: there is not one seal for each of them.
        InvalidPlanFile: a file is not the plan with its seal.

    """
    files = approved_files if plan_file is None else (plan_file,)
    if plan_file is not None and approved_files:
        raise UsageError(
            "--plan and --approved exclude each other",
            context="--plan carries out a saved plan, --approved the plan of now as far as it was approved",
            hint="leave one of them out",
        )
    if len(files) != len(seals):
        raise UsageError(
            "--plan and --approved need a seal each",
            context="the seal is what makes sure that the file is the plan that was approved",
            hint="say --expect-seal S for each file, in their order; `reconciler show PLAN` ends with the seal",
        )
    plans = tuple(load_plan(read_plan_file(file), expect_seal=seal) for file, seal in zip(files, seals, strict=True))
    return (plans, ()) if plan_file is not None else ((), plans)


def _report(end: ApplyEnd, format_: Format, public_receipt: Path | None, typed: tuple[str, ...]) -> Exit:
    if end.result is None:
        click.echo("Not confirmed: nothing was written.", err=True)
        return Exit.ERROR
    click.echo(render_apply(end.result, end.plan, format_, color=use_color(), options=typed), nl=False)
    if public_receipt is not None:
        write_private(public_receipt, dump_receipt(end.result, public=True))
    return exit_of(end.result)


def exit_of(result: ApplyResult) -> Exit:
    """The exit code of a run that was carried out."""
    outcomes = {item.outcome for item in result.results if not item.held}
    if result.interrupted:
        return Exit.INTERRUPTED
    if result.complete:
        return Exit.DONE
    wrote = Outcome.APPLIED in outcomes
    if Outcome.UNKNOWN in outcomes or result.residual or (wrote and not result.proven):
        return Exit.PARTLY
    if Outcome.FAILED in outcomes:
        return Exit.PARTLY if wrote else Exit.ERROR
    if Outcome.NOT_ATTEMPTED in outcomes and Outcome.CONFLICT not in outcomes:
        return Exit.PARTLY if wrote else Exit.ERROR
    if Outcome.CONFLICT in outcomes or any(item.held for item in result.results):
        return Exit.STALE
    return Exit.PARTLY if wrote else Exit.ERROR


def _ask(made: Plan, tenant: Tenant) -> bool:
    """Show the plan and ask; typing the tenant's name when anyone loses anything (SPEC 7.3)."""
    click.echo(render_plan(made, Format.TEXT, color=use_color(), protected=tenant.guards.protected), nl=False)
    if not takes_access(made):
        return click.confirm(f"Apply these changes to {tenant.name}?", err=True)
    typed: str = click.prompt(
        f"Somebody loses access. Type {tenant.name} to apply", default="", show_default=False, err=True
    )
    return typed.strip() == tenant.name
