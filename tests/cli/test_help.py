"""`reconciler --help` costs little more than click (SPEC section 11): it imports nothing that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from reconciler.cli.main import COMMANDS, cli

HEAVY = {
    "requests",
    "urllib3",
    "yaml",
    "jsonschema",
    "jsonschema_rs",
    "jinja2",
    "deepdiff",
    "rich",
    "werkzeug",
    "waitress",
}
ALLOWED = {"reconciler", "reconciler.cli", "reconciler.cli.main", "reconciler.cli.exits", "reconciler.errors"}


def _imported(*arguments: str) -> set[str]:
    """The modules a command line imports, beyond those of click."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import reconciler.cli.main as m; m.main()", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )
    lines = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("--version",)])
def test_help_imports_click_and_the_list_of_commands(arguments: tuple[str, ...]) -> None:
    """Structure, not time: what is not imported costs nothing."""
    imported = _imported(*arguments)
    assert not {name for name in imported if name.partition(".")[0] in HEAVY}
    assert {name for name in imported if name.partition(".")[0] == "reconciler"} <= ALLOWED


def test_help_lists_every_command_with_its_own_first_line() -> None:
    """The list is written by hand so that nothing is imported; it must say what the commands say."""
    shown = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for name, (_, line) in COMMANDS.items():
        assert f"{name} {line}" in shown
        help_ = CliRunner().invoke(cli, [name, "--help"])
        assert help_.exit_code == 0
        assert line.rstrip(".") in " ".join(help_.output.split())


@pytest.mark.parametrize("module", ["validate", "explain", "plan", "apply"])
def test_a_command_does_not_load_what_only_servers_need(module: str) -> None:
    """Each command imports what it uses; the sandbox is no part of the others."""
    code = f"import reconciler.cli.{module}, sys; print({{'waitress', 'werkzeug', 'rich'}} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "set()"
