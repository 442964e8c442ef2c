"""`reconciler demo`: the story is told to its end, checks itself, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.demo import ACTS, SEEN, Part, Teller, excerpt
from reconciler.cli.demo_stage import DATA, TENANT, DemoFailed, Stage, sample, staged
from reconciler.cli.exits import Exit
from reconciler.cli.failures import exit_for
from reconciler.cli.main import cli, run
from reconciler.model.resource import Kind
from reconciler.sandbox.server import SandboxConfig, SandboxServer

Run = Callable[[list[str]], int]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that can be looked at afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_story_is_told_to_its_end(temporary: Path) -> None:
    """Issue 2: validate, plan, apply, proof, drift, a conflict, a refused mass deactivation; each step is checked."""
    before, folder = dict(os.environ), Path.cwd()
    told = CliRunner().invoke(cli, ["demo"], standalone_mode=False, catch_exceptions=False)
    assert told.return_value == Exit.DONE
    for words in (
        "acme-prod: 60 users and 12 groups in",
        "REFUSED privileged-gain",
        "Applied: 60 users and 12 groups created",
        "No changes. acme-prod matches git",
        '"Sales" -> "Customer Care"',
        "1 in conflict: somebody else changed the same; nothing of theirs was overwritten",
        'approved  "Quality Lead"',
        'now       "Quality Manager"',
        'would be  "Head of Quality"',
        "REFUSED removal-share",
        "(exit code 4)",
        "(exit code 5)",
        "What you have just seen",
    ):
        assert words in told.output
    assert "\x1b" not in told.output
    assert "Traceback" not in told.output
    assert not list(temporary.iterdir())
    assert (dict(os.environ), Path.cwd()) == (before, folder)


def test_the_story_says_what_to_type_next() -> None:
    """It ends with a command, not with an end."""
    told = CliRunner().invoke(cli, ["demo"], standalone_mode=False).output
    assert told.rstrip().splitlines()[-1].endswith("reconciler sandbox serve")
    assert all(re.sub(r"\s+", " ", item) in re.sub(r"\s+", " ", told) for item in SEEN)
    assert max(len(line) for line in told.splitlines() if not line.startswith("  ")) <= 100


def test_settings_of_the_user_and_of_a_pipeline_have_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A demo in a pipeline neither fails because of CI=true nor writes into the outputs of the workflow."""
    outputs = tmp_path / "outputs"
    for name, value in {
        "CI": "true",
        "GITHUB_OUTPUT": str(outputs),
        "RECONCILER_ROOT": "/nowhere",
        "RECONCILER_STATE_DIR": "/nowhere",
        "RECONCILER_BINDINGS": "not a binding",
        "SCIM_TOKEN": "the-user's-own",
        "XDG_CONFIG_HOME": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(cli, ["demo"], standalone_mode=False).return_value == Exit.DONE
    assert not outputs.exists()
    assert os.environ["SCIM_TOKEN"] == "the-user's-own"


def test_what_is_kept_can_be_gone_on_with(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --keep the folder and the data stay, and the commands that are told lead back to them."""
    told = CliRunner().invoke(cli, ["demo", "--keep"], standalone_mode=False).output
    (folder,) = temporary.iterdir()
    change, serve, plan = [line.strip()[2:] for line in told.splitlines() if line.startswith("  $ ")][-3:]
    assert shlex.split(change.partition(";")[0]) == ["cd", str(folder)]
    assert plan.endswith(f"reconciler plan {TENANT}")
    port, token = re.search(r"--port (\d+) ", serve), re.search(r"SCIM_TOKEN=(\S+)", change)
    assert port is not None
    assert token is not None
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SCIM_TOKEN", token[1])
    with SandboxServer(SandboxConfig(port=int(port[1]), token=token[1], data=DATA)):
        assert run(["plan", TENANT, "--detailed-exitcode"]) == Exit.DONE


@pytest.mark.parametrize(
    ("code", "expected", "says", "problem"),
    [
        (Exit.ERROR, Exit.DONE, "", "exit code 1, not 0"),
        (Exit.DONE, Exit.REFUSED, "", "exit code 0, not 4"),
        (Exit.DONE, Exit.DONE, "what nobody said", "it does not say 'what nobody said'"),
    ],
)
def test_a_step_that_is_not_as_told_ends_the_demo(
    code: Exit, expected: Exit, says: str, problem: str, temporary: Path
) -> None:
    """Exit code 1 with what was wrong; a demo that always succeeds would show nothing."""
    with pytest.raises(DemoFailed, match=re.escape(problem)) as failed, staged(lambda _: code, keep=False) as stage:
        Teller(stage).run("reconciler validate", exit_=expected, says=says)
    assert exit_for(failed.value) == Exit.ERROR
    assert not list(temporary.iterdir())


def test_the_story_notices_when_something_was_overwritten() -> None:
    """The state of the tenant is looked at, not only what commands say about it."""

    def overwriting(arguments: list[str]) -> int:
        code = run(arguments)
        if "--expect-seal" in arguments:
            title = {"op": "replace", "path": "title", "value": "Head of Quality"}
            stage.foreign_write(Kind.USER, "helena.vasquez@example.com", title)
        return code

    with ExitStack() as cleanup:
        stage = cleanup.enter_context(staged(overwriting, keep=False))
        with pytest.raises(DemoFailed, match="what somebody else wrote was overwritten"):
            play(stage)


def play(stage: Stage) -> None:
    """The whole story on a stage."""
    teller = Teller(stage)
    for act in ACTS:
        act(stage, teller)


def test_an_interrupted_command_interrupts_the_demo(temporary: Path) -> None:
    """Ctrl-C within a command is not mistaken for its answer."""
    with pytest.raises(KeyboardInterrupt), staged(lambda _: Exit.INTERRUPTED, keep=False) as stage:
        stage.run("reconciler validate")
    assert not list(temporary.iterdir())


def test_an_edit_that_finds_nothing_to_edit_is_a_defect() -> None:
    """The sample tenant and the story are changed together or not at all."""
    with staged(lambda _: 0, keep=False) as stage, pytest.raises(DemoFailed, match="does not say 'no such words'"):
        stage.edit("acme-prod/tenant.yaml", "no such words", "")


def test_the_sample_is_the_one_of_the_repository() -> None:
    """In a checkout; what the wheel carries is tested with the wheel."""
    assert (sample() / TENANT / "tenant.yaml").is_file()


def command(folder: Path) -> subprocess.Popen[str]:
    """A demo of its own process, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", "demo"],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_demos_at_once_do_not_meet(temporary: Path) -> None:
    """Each has a port, a folder and a tenant of its own."""
    with command(temporary) as one, command(temporary) as other:
        told = [process.communicate() for process in (one, other)]
    assert [(one.returncode, told[0][1]), (other.returncode, told[1][1])] == [(0, ""), (0, "")]
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(temporary: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle of the story: no folder, no process, no traceback, exit code 130."""
    with command(temporary) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("2. "):
                process.send_signal(number)
                break
        _, problems = process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert problems.strip() == "interrupted"
    assert not list(temporary.iterdir())


LINES = ["head", "", "Creates", "  one", "  two", "  three", "  four", "Guards", "  refused", "", "end"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((Part("Guards"),), ["[7 lines left out]", "", "Guards", "  refused", "", "end"]),
        (
            (Part("head", 1), Part("Guards", 2)),
            ["head", "", "[6 lines left out]", "", "Guards", "  refused", "", "end"],
        ),
        ((Part("Creates", 2), Part("not there"), Part("  four")), ["head", "", *LINES[2:]]),
        ((Part("head"),), LINES),
    ],
)
def test_of_long_outputs_the_parts_that_matter_are_shown(parts: tuple[Part, ...], expected: list[str]) -> None:
    """What is left out is said; a line or two are not worth saying it."""
    assert excerpt(LINES, parts) == expected


def test_color_does_not_hide_where_a_part_begins() -> None:
    """On a terminal headings are styled."""
    assert excerpt(["a", "b", "c", "d", "\x1b[1mGuards\x1b[0m"], [Part("Guards")])[-1] == "\x1b[1mGuards\x1b[0m"
