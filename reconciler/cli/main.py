"""The command line: which commands there are, and how every error reaches the user.

Command modules are imported only when they run: `reconciler --help` costs little more than click itself.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from importlib import import_module
from itertools import pairwise
from typing import Any, NoReturn

import click

from reconciler import __version__
from reconciler.cli.exits import Exit
from reconciler.errors import UsageError

COMMANDS = {
    "validate": ("reconciler.cli.validate:validate", "Check the desired state; every problem in one run."),
    "plan": ("reconciler.cli.plan:plan", "Show what apply would do. Cannot write."),
    "diff": ("reconciler.cli.diff:diff", "Say what a change in git means. Asks no tenant."),
    "drift": ("reconciler.cli.drift:drift", "Say what somebody changed in a tenant. Cannot write."),
    "show": ("reconciler.cli.plan:show", "Render a saved plan."),
    "apply": ("reconciler.cli.apply:apply", "Make tenants equal to git, and prove it."),
    "import": ("reconciler.cli.import_:import_", "Write YAML for what is live in a tenant. Cannot write to it."),
    "explain": ("reconciler.cli.explain:explain", "Explain a code or a guard in plain words."),
    "trust": ("reconciler.cli.trust:trust", "Bind a tenant's hosts, so that credentials may go there."),
    "doctor": ("reconciler.cli.doctor:doctor", "Say what works with a tenant, what is missing, and what to do."),
    "sandbox": ("reconciler.cli.sandbox:sandbox", "The embedded tenant, for tests and demos."),
    "demo": ("reconciler.cli.demo:demo", "The whole story in a minute, against the embedded tenant."),
}
"""name -> (module:attribute, the line in `--help`, which is also the first line of the command's own help)."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconciler")
@click.option("--root", metavar="DIR", help="Folder of the desired state [desired-state, RECONCILER_ROOT].")
@click.option("--state-dir", metavar="DIR", help="Folder for runs and locks [.reconciler, RECONCILER_STATE_DIR].")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Progress and logs on stderr.")
@click.pass_context
def cli(ctx: click.Context, /, **options: str | None) -> None:
    """Keep people, groups and their access in git; make SCIM tenants equal to it, safely.

    Start with `reconciler demo`. In a repository: `validate`, `plan`, then `apply`.
    """
    ctx.obj = options


def main() -> NoReturn:
    """Run the command line and exit with a code of SPEC section 5. No exception gets past here as a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal of another encoding cannot show is spelled out
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def _interrupt(number: int, frame: Any) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does: what is in flight is accounted for."""
    del number, frame
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        outcome = cli.main(args=arguments, prog_name="reconciler", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        if _logs_are_json(arguments):
            return _report_failure(UsageError(error.format_message()), arguments)
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said, not even at interpreter shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.ERROR
    except Exception as error:  # noqa: BLE001 - the last line of defence: a traceback reaching a user is a bug
        return _report_failure(error, arguments)
    return outcome if isinstance(outcome, int) else Exit.DONE


def _report_failure(error: Exception, arguments: list[str]) -> Exit:
    """Say what ended the program before or after any tenant's run, in the form that logs were asked for."""
    from reconciler.cli.listening import report_failure

    return report_failure(error, "json" if _logs_are_json(arguments) else "text")


def _logs_are_json(arguments: list[str]) -> bool:
    """Read from the arguments themselves: what failed may be reading them."""
    return "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)
