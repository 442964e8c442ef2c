"""`reconciler doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

import click

from reconciler.cli.composition import (
    chosen_tenants,
    common_options,
    for_each_tenant,
    settings_of,
    surroundings_of,
    use_color,
)
from reconciler.cli.exits import Exit
from reconciler.errors import ConfigurationError
from reconciler.reconcile.checks import Check, State
from reconciler.reconcile.doctor import Diagnosis, examine
from reconciler.reconcile.surroundings import Surroundings
from reconciler.semantics.printable import printable
from reconciler.settings import Settings

_COLORS = {State.OK: "green", State.MISSING: "yellow", State.WRONG: "red", State.SKIPPED: None}
_STATE_WIDTH = max(len(state) for state in State)


@click.command(short_help="Say what works with a tenant, what is missing, and what to do.")
@click.argument("tenant")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="`json` is one line.",
)
@common_options
def doctor(tenant: str, format_: str, **options: Any) -> int:
    """Say what works with a tenant, what is missing, and what to do.

    Looks at tenant.yaml, secrets (by name only), bound hosts, the token, what the service announces, whether users and
    groups can be read, and how the reconciler works around what the service does not have. Nothing is written. Exit
    code 0 means that a plan would work.
    """
    settings = settings_of(options)
    names = chosen_tenants(settings, (tenant,))
    surroundings, problem = _surroundings(settings)

    def work(name: str) -> Exit:
        diagnosis = examine(settings.root, name, surroundings, bindings_problem=problem)
        click.echo(_to_json(diagnosis) if format_ == "json" else _to_text(diagnosis))
        if not diagnosis.is_valid:
            return Exit.INVALID
        return Exit.DONE if diagnosis.would_plan else Exit.ERROR

    return for_each_tenant(surroundings, names, work)


def _surroundings(settings: Settings) -> tuple[Surroundings, ConfigurationError | None]:
    """The real world; bindings that cannot be read are one of the things to tell, and bind nothing."""
    try:
        return surroundings_of(settings), None
    except ConfigurationError as error:
        return surroundings_of(replace(settings, bindings_value=None, user_bindings=None)), error


def _to_json(diagnosis: Diagnosis) -> str:
    return json.dumps(
        {
            "tenant": diagnosis.tenant,
            "target": diagnosis.target,
            "wouldPlan": diagnosis.would_plan,
            "checks": [
                {
                    "subject": check.subject,
                    "state": check.state.value,
                    "says": check.says,
                    "next": check.next,
                    "needed": check.needed,
                }
                for check in diagnosis.checks
            ],
        }
    )


def _to_text(diagnosis: Diagnosis) -> str:
    checks = list(_without_repetition(diagnosis.checks))
    width = max(len(check.subject) for check in checks)
    lines = [f"{diagnosis.tenant}: {printable(diagnosis.target or 'not known')}"]
    for check in checks:
        lines += _lines(check, width)
    return "\n".join([*lines, _conclusion(diagnosis)])


def _without_repetition(checks: Iterable[Check]) -> Iterator[Check]:
    """The checks, those in a row that were skipped for one reason as one of them."""
    for (is_skipped, says), group in groupby(checks, lambda check: (check.state is State.SKIPPED, check.says)):
        alike = list(group)
        if is_skipped and len(alike) > 1:
            yield replace(alike[0], subject=f"{len(alike)} checks", says=f"{says}: {_subjects(alike)}")
        else:
            yield from alike


def _subjects(checks: Iterable[Check]) -> str:
    return ", ".join(dict.fromkeys(check.subject for check in checks))


def _lines(check: Check, width: int) -> list[str]:
    """The check on one line, and below it what to do."""
    state = check.state.value.ljust(_STATE_WIDTH)
    shown = click.style(state, fg=_COLORS[check.state]) if use_color() else state
    lines = [f"  {shown}  {check.subject.ljust(width)}  {printable(check.says)}"]
    if check.next:
        lines.append(f"  {'':{_STATE_WIDTH}}  {'':{width}}  -> {printable(check.next)}")
    return lines


def _conclusion(diagnosis: Diagnosis) -> str:
    if diagnosis.would_plan:
        return f"A plan would work: reconciler plan {diagnosis.tenant}"
    return f"A plan would not work yet: {_subjects(diagnosis.to_mend)}"
