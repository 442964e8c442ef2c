"""The composition root: options and environment become settings, surroundings and a loop over tenants."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from reconciler import __version__
from reconciler.cli.exits import Exit, worst
from reconciler.cli.failures import exit_for
from reconciler.cli.listening import listener_for
from reconciler.desired.parser import collector_paused
from reconciler.desired.roots import check_root, list_tenants
from reconciler.errors import DesiredStateError, ReconcilerError, UsageError
from reconciler.messages.operations import narrows
from reconciler.model.change import Action
from reconciler.model.diagnostic import Severity
from reconciler.model.plan import Plan, Selection
from reconciler.planner.guards import OVERRIDABLE
from reconciler.reconcile.memory import MemoryOptions
from reconciler.reconcile.surroundings import Surroundings
from reconciler.report.render import Format
from reconciler.semantics.nearest import nearest
from reconciler.settings import Settings, parse_allowed, read_settings
from reconciler.transport.hosts import load_bindings

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = click.Choice([format_.value for format_ in Format])


def common_options(command: Command) -> Command:
    """`--root`, `--state-dir` and `--log-format`, also after the command's name."""
    for option in (
        click.option("--log-format", type=click.Choice(["text", "json"]), help="Progress and logs on stderr."),
        click.option(
            "--state-dir", metavar="DIR", help="Folder for runs and locks [.reconciler, RECONCILER_STATE_DIR]."
        ),
        click.option("--root", metavar="DIR", help="Folder of the desired state [desired-state, RECONCILER_ROOT]."),
    ):
        command = option(command)
    return command


def memory_options(command: Command) -> Command:
    """Which part of the plan is meant, and what is to be known of the ledger; see `memory_of`."""
    for option in (
        click.option("--first-run", is_flag=True, help="Git was never applied to this tenant: there is no ledger yet."),
        click.option(
            "--continue-from",
            metavar="ENTRY",
            default="",
            help="Go on from this entry of a ledger, whatever came after.",
        ),
        click.option("--safe-only", is_flag=True, help="Hold back what takes anything away, and what depends on it."),
        click.option("--only", type=click.Choice(["revoke"]), help="Nothing but what takes access away."),
        click.option(
            "--max-minutes",
            type=click.IntRange(min=1),
            metavar="N",
            help="Refuse what is estimated to take longer than N minutes to apply.",
        ),
        click.option("--allow", multiple=True, metavar="GUARD[=N]", help="Let one guard admit up to N, in this run."),
    ):
        command = option(command)
    return command


def memory_of(settings: Settings, options: dict[str, Any], *, take_over: str = "") -> MemoryOptions:
    """The options of `memory_options`, taken out of `options`.

    Raises:
        UsageError: they contradict each other, or a guard cannot be let through.

    """
    only, safe_only = options.pop("only"), options.pop("safe_only")
    if only and safe_only:
        raise UsageError("--only revoke and --safe-only are the two halves of a plan", hint="leave one of them out")
    return MemoryOptions(
        state_dir=settings.state_dir,
        environ=settings.git_environ,
        selection=Selection.REVOKE if only else Selection.SAFE if safe_only else Selection.ALL,
        allowed=parse_allowed(options.pop("allow"), OVERRIDABLE, settings),
        first_run=options.pop("first_run"),
        max_minutes=options.pop("max_minutes"),
        continue_from=options.pop("continue_from"),
        take_over=take_over,
        actor=settings.actor,
    )


def settings_of(options: dict[str, Any]) -> Settings:
    """Settings for the current command; takes the common options out of `options`."""
    group = click.get_current_context().find_root().obj or {}
    chosen = {name: options.pop(name, None) or group.get(name) for name in ("root", "state_dir", "log_format")}
    return read_settings(os.environ, **chosen)


def surroundings_of(settings: Settings) -> Surroundings:
    """The real world."""
    return Surroundings(
        environ=settings.environ,
        bindings=load_bindings(settings.bindings_value, settings.user_bindings),
        clock=time.monotonic,
        now=_now,
        sleep=time.sleep,
        random=random.SystemRandom().random,
        listener=listener_for(settings.log_format, _now),
        tool=f"reconciler {__version__}",
    )


def _now() -> datetime:
    return datetime.now(UTC)


def use_color() -> bool:
    """Whether stdout is a terminal that wants color (https-free convention: NO_COLOR)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def chosen_tenants(settings: Settings, names: Iterable[str]) -> tuple[str, ...]:
    """The tenants named, or all there are.

    Raises:
        DesiredStateError: the root itself is not as it should be.
        UsageError: a name that no folder has.

    """
    problems = [item for item in check_root(settings.root, settings.environ) if item.severity is Severity.ERROR]
    if problems:
        raise DesiredStateError(problems, root=str(settings.root))
    return tenants_named(settings, names)


def tenants_named(settings: Settings, names: Iterable[str]) -> tuple[str, ...]:
    """The tenants named, or all there are; nothing is said about the root.

    Raises:
        UsageError: a name that no folder has.

    """
    known = list_tenants(settings.root)
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in known:
            close = nearest(name, known)
            raise UsageError(
                f"there is no tenant {name} in {settings.root}",
                context=f"tenants there: {', '.join(known)}" if known else "no folder there has a tenant.yaml",
                hint=f"did you mean {close}?" if close else "the name of a tenant is the name of its folder",
            )
    return chosen or known


def takes_access(plan: Plan) -> bool:
    """Whether anybody loses anything by a plan: a membership, a role, an entitlement, or being active."""
    return bool(plan.access.losses) or any(
        change.action in {Action.DEACTIVATE, Action.DELETE}
        or change.members.removed
        or any(narrows(attribute) for attribute in change.attributes)
        for change in plan.changes
    )


def for_each_tenant(surroundings: Surroundings, names: Sequence[str], work: Callable[[str], Exit]) -> Exit:
    """Run `work` for every tenant; one that fails does not stop the others. The worst exit code counts."""
    exits: list[Exit] = []
    with collector_paused():  # a run makes hardly any cycles; looking for them costs an eighth of a plan
        for name in names:
            exits.append(_run_one(surroundings, name, len(names), work))
            if exits[-1] is Exit.INTERRUPTED:
                break
    return worst(exits)


def _run_one(surroundings: Surroundings, name: str, of: int, work: Callable[[str], Exit]) -> Exit:
    listener = surroundings.listener
    listener.run_started(name, of)
    code = Exit.ERROR
    try:
        code = work(name)
    except ReconcilerError as error:
        listener.failed(error)
        code = exit_for(error)
    except (click.Abort, KeyboardInterrupt):
        listener.failed(ReconcilerError("interrupted"))
        code = Exit.INTERRUPTED
    finally:
        listener.run_finished(name, int(code))
    return code
