"""What goes to stdout, to stderr, to GITHUB_OUTPUT and to the state directory (SPEC sections 5 and 7)."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.cli.listening import TerminalListener
from reconciler.schemas import checker
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen, closed_port

EVENTS = {
    "version",
    "run.started",
    "phase.started",
    "phase.finished",
    "request.retried",
    "change.outcome",
    "guard.verdict",
    "diagnostic",
    "run.finished",
}
ESCAPE = "\x1b"
_FIXED = datetime(2026, 7, 28, tzinfo=UTC)


def _no_luck(*drawn: float) -> SimpleNamespace:
    """Stands for the module `random`: these numbers come, in order."""
    numbers = iter(drawn)
    return SimpleNamespace(SystemRandom=lambda: SimpleNamespace(random=lambda: next(numbers)))


# --- formats on stdout -----------------------------------------------------------------------------------------------


def test_json_is_one_plan_a_line_for_each_tenant(work: Workplace, start_sandbox: StartSandbox) -> None:
    """SPEC section 5; every line satisfies the schema of plans, so that readers can rely on it."""
    for name in ("acme", "bolt"):
        work.organisation(start_sandbox().base_url, name)
    ended = work.run("plan", "--format", "json")
    assert [line["tenant"] for line in ended.lines] == ["acme", "bolt"]
    for line in ended.lines:
        assert checker("plan").accepts(line)
    applied = work.run("apply", "--yes", "--format", "json")
    assert [line["tenant"] for line in applied.lines] == ["acme", "bolt"]
    for line in applied.lines:
        assert checker("receipt").accepts(line)


def test_json_of_plan_show_and_the_file_are_the_same(acme: Workplace) -> None:
    """The artifact, its rendering and the log hold one and the same plan."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    path = acme.folder / "plan.json"
    printed = acme.run("plan", "--out", path, "--format", "json").lines
    assert acme.run("show", path, "--format", "json").lines == printed == [json.loads(path.read_text())]


@pytest.mark.parametrize("format_", ["text", "markdown", "json"])
def test_stdout_holds_the_result_and_nothing_else(acme: Workplace, format_: str) -> None:
    """Progress is on stderr: a pipe gets the report alone; without a terminal there is no color and no bar."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    for arguments in (("plan",), ("apply", "--yes")):
        ended = acme.run(*arguments, "--format", format_)
        assert "acme" in ended.out
        assert "loading the desired state" in ended.err
        assert "loading the desired state" not in ended.out
        assert ESCAPE not in ended.out + ended.err
        assert "\r" not in ended.out + ended.err


def test_markdown_is_a_report(acme: Workplace) -> None:
    """For the comment on a pull request."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    ended = acme.run("plan", "--format", "markdown")
    assert ended.out.startswith("#")
    assert "Chief" in ended.out
    applied = acme.run("apply", "--yes", "--format", "markdown")
    assert applied.out.startswith("#")


def test_the_same_input_prints_the_same_plan(work: Workplace, sandbox: Service) -> None:
    """P12: everything but the times, in another process with another hash seed."""
    work.organisation(sandbox.base_url)
    printed = []
    for seed in ("1", "2"):
        work.environ["PYTHONHASHSEED"] = seed
        process = work.start("plan", "--format", "json")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        printed.append({k: v for k, v in json.loads(out).items() if k not in {"createdAt", "seal"}})
    assert printed[0] == printed[1]


# --- logs on stderr --------------------------------------------------------------------------------------------------


def _check_log(err: str) -> list[dict[str, object]]:
    events = [json.loads(line) for line in err.splitlines()]
    assert {event["event"] for event in events} <= EVENTS
    assert events[0]["event"] == "version"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(event["time"])) for event in events)
    return events


def test_every_line_of_the_json_log_parses(acme: Workplace) -> None:
    """SPEC section 5: NDJSON with those event names."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    events = _check_log(acme.run("apply", "--yes", "--log-format", "json").err)
    names = [event["event"] for event in events]
    assert names[:2] == ["version", "run.started"]
    assert names[-1] == "run.finished"
    assert (events[-1]["tenant"], events[-1]["exit"]) == ("acme", 0)
    assert names.count("phase.started") == names.count("phase.finished") > 0
    [outcome] = [event for event in events if event["event"] == "change.outcome"]
    assert (outcome["key"], outcome["outcome"]) == ("User/cyd@example.com", "applied")


def test_the_json_log_option_works_before_the_command_too(acme: Workplace) -> None:
    """Options of the group hold for every command."""
    _check_log(acme.run("--log-format", "json", "plan").err)


def test_errors_are_diagnostics_in_the_json_log(acme: Workplace, sandbox: Service) -> None:
    """Nothing on stderr is plain text then, however the run ends."""
    assert acme.run("plan", "nobody", "--log-format", "json").events[-1]["code"] == "usage"
    usage = acme.run("plan", "--colour", "--log-format=json")
    assert (usage.code, _check_log(usage.err)[-1]["event"]) == (64, "diagnostic")

    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    refused = _check_log(acme.run("apply", "--yes", "--log-format", "json").err)
    assert [e["guard"] for e in refused if e["event"] == "guard.verdict"] == ["removal-share", "membership-share"]
    assert [e["code"] for e in refused if e["event"] == "diagnostic"] == ["guard-refused"]
    assert refused[-1]["exit"] == 4

    acme.write("acme/broken.yaml", "kind: User\nuserNam: x\n---\nkind: Nothing\n")
    invalid = _check_log(acme.run("plan", "--log-format", "json").err)
    found = [event for event in invalid if event["event"] == "diagnostic"]
    assert len(found) > 1
    assert all(str(event["code"]).startswith("V") and event["file"] and event["line"] for event in found)

    (acme.root / "acme" / "broken.yaml").unlink()
    acme.tenant(f"http://127.0.0.1:{closed_port()}/scim/v2")
    dead = _check_log(acme.run("plan", "--log-format", "json").err)
    assert [e["code"] for e in dead if e["event"] == "diagnostic"] == ["scim-unreachable"]
    assert {e["event"] for e in dead} >= {"request.retried"}
    assert (dead[-1]["event"], dead[-1]["exit"]) == ("run.finished", 1)


def test_a_conflict_in_the_json_log(acme: Workplace, sandbox: Service) -> None:
    """Each change ends once, with its outcome and cause."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST":
            sandbox.replace("Users", "cyd@example.com", "title", "Director")
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        acme.tenant(f"{origin}/scim/v2")
        ended = acme.run("apply", "--yes", "--log-format", "json")
    assert ended.code == 5
    outcomes = [event for event in _check_log(ended.err) if event["event"] == "change.outcome"]
    assert [(event["key"], event["outcome"]) for event in outcomes] == [("User/cyd@example.com", "conflict")]


def test_each_of_several_tenants_has_its_name_in_the_log(work: Workplace, start_sandbox: StartSandbox) -> None:
    """An error says whose it is."""
    work.organisation(f"http://127.0.0.1:{closed_port()}/scim/v2", "acme")
    work.organisation(start_sandbox().base_url, "bolt")
    err = work.run("plan").err
    assert err.index("--- acme") < err.index("error: ") < err.index("--- bolt")
    work.tenant(start_sandbox().base_url, "acme")
    assert "---" not in work.run("plan", "bolt").err


# --- terminals -------------------------------------------------------------------------------------------------------


def _at_a_terminal(work: Workplace, *arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and all output of the program at a real pseudo-terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", *arguments],
        env={**os.environ, **work.environment(), "TERM": "xterm-256color", "COLUMNS": "100", **environ},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    pieces = []
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(leader)
    return process.wait(timeout=60), b"".join(pieces).decode("utf-8", "replace")


def test_a_terminal_gets_color_and_its_cursor_back(acme: Workplace, sandbox: Service) -> None:
    """The bar hides the cursor while it moves; at the end, also after an error, it is shown again."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    code, out = _at_a_terminal(acme, "plan")
    assert code == 0
    assert f"{ESCAPE}[3" in out
    assert out.count(f"{ESCAPE}[?25l") == out.count(f"{ESCAPE}[?25h")

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        return Answer(403) if "/Groups" in seen.path else pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        acme.tenant(f"{origin}/scim/v2")
        code, out = _at_a_terminal(acme, "plan")
    assert code == 1
    assert f"{ESCAPE}[?25l" in out
    assert out.count(f"{ESCAPE}[?25l") == out.count(f"{ESCAPE}[?25h")


def test_a_part_within_a_part_is_named_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits ten minutes for a job sees what is waited for."""
    monkeypatch.setenv("TERM", "xterm-256color")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        listener = TerminalListener(stream)
        listener.phase_started("applying", 2)
        listener.phase_started("waiting for job 7")
        waiting = os.read(leader, 65536).decode()
        listener.phase_finished("it is over")
        after = os.read(leader, 65536).decode()
        listener.phase_finished("2 of 2 changes ended")
        listener.run_finished("acme", 0)
    os.close(leader)
    assert "waiting for job 7" in waiting
    assert after.rindex("applying") > after.rindex("waiting for job 7: it is over")


def test_no_color_means_none_on_a_terminal_too(acme: Workplace) -> None:
    """https://no-color.org, also for errors."""
    colors = re.compile(rf"{ESCAPE}\[[0-9;]*m")
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    _, out = _at_a_terminal(acme, "plan", NO_COLOR="1")
    assert "Chief" in out
    assert not re.search(rf"{ESCAPE}\[(3[0-9]|9[0-9]|38;[0-9;]*)m", out), colors.findall(out)
    _, out = _at_a_terminal(acme, "plan", "nobody", NO_COLOR="1")
    assert "error: there is no tenant" in out
    assert not colors.findall(out)


# --- GITHUB_OUTPUT ---------------------------------------------------------------------------------------------------


def test_github_output_gets_what_later_steps_need(acme: Workplace) -> None:
    """SPEC section 5: `changes`, `destructive`, `digest`, `seal`."""
    output = acme.folder / "github-output"
    acme.environ["GITHUB_OUTPUT"] = str(output)
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    path = acme.folder / "plan.json"
    acme.run("plan", "--out", path)
    document = json.loads(path.read_text())
    values = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert values == {
        "changes": "1",
        "destructive": "false",
        "digest": document["digest"],
        "seal": document["seal"],
    }
    output.unlink()
    acme.edit("acme/groups.yaml", "[{user: ann@example.com}, {user: bob@example.com}]", "[{user: ann@example.com}]")
    acme.run("plan")
    values = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert (values["changes"], values["destructive"]) == ("2", "true")
    assert acme.run("apply", "--expect-digest", values["digest"]).code == 0


def test_github_output_that_cannot_be_written_is_said_in_words(acme: Workplace) -> None:
    """No internal error."""
    acme.environ["GITHUB_OUTPUT"] = str(acme.folder / "nowhere" / "output")
    ended = acme.run("plan")
    assert ended.code == 1, ended.err
    assert "GITHUB_OUTPUT" in ended.err
    assert "internal error" not in ended.err


# --- files -----------------------------------------------------------------------------------------------------------


def test_everything_in_the_state_directory_is_private(acme: Workplace) -> None:
    """SPEC section 7: 0600, folders 0700, whatever the umask; the saved plan as well."""
    previous = os.umask(0)
    try:
        acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
        acme.run("plan", "--out", acme.folder / "plan.json")
        acme.converge("--public-receipt", str(acme.folder / "receipt.json"))
    finally:
        os.umask(previous)
    paths = [acme.state, *acme.state.rglob("*"), acme.folder / "plan.json", acme.folder / "receipt.json"]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_run_leaves_its_plan_and_its_receipt(acme: Workplace) -> None:
    """SPEC section 7: runs/<run>/{plan,receipt}.json; the name of a run is a UTC stamp and four hex digits."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    acme.converge()
    runs = sorted((acme.state / "acme" / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", run.name)
        assert {file.name for file in run.iterdir()} == {"plan.json", "receipt.json"}
        receipt = json.loads((run / "receipt.json").read_text())
        assert checker("receipt").accepts(receipt)
        assert receipt["complete"]
        assert receipt["run"] == run.name
        assert receipt["digest"] == json.loads((run / "plan.json").read_text())["digest"]


def test_two_runs_within_a_second_do_not_share_a_folder(acme: Workplace) -> None:
    """Stamp and luck may be the same; a receipt is never written over another one."""
    acme.monkeypatch.setattr("reconciler.cli.composition.random", _no_luck(0.5, 0.5, 0.25))
    acme.monkeypatch.setattr("reconciler.cli.composition._now", lambda: _FIXED)
    acme.converge()
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    acme.run("apply", "--yes")
    assert len(acme.receipts()) == 3


def test_a_public_receipt_names_nobody(acme: Workplace) -> None:
    """SPEC section 7: keys are replaced by ids."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    path = acme.folder / "receipt.json"
    acme.converge("--public-receipt", str(path))
    text = path.read_text()
    assert "example.com" not in text
    assert "Chief" not in text
    assert json.loads(text)["outcomes"][0]["key"].startswith("User/")


def test_a_state_directory_that_cannot_be_written_stops_before_anything_is_sent(
    acme: Workplace, sandbox: Service
) -> None:
    """Nothing is written to the tenant that could not be written down."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    (acme.folder / "file").write_text("")
    asked = sandbox.count
    ended = acme.run("apply", "--yes", "--state-dir", acme.folder / "file")
    assert ended.code == 1, ended.err
    assert "cannot make the folder" in ended.err
    assert {entry["method"] for entry in sandbox.log[asked:]} <= {"GET"}


def test_a_plan_that_cannot_be_saved_is_said_in_words(acme: Workplace, tmp_path: Path) -> None:
    """The folder is not there."""
    ended = acme.run("plan", "--out", tmp_path / "nowhere" / "plan.json")
    assert ended.code == 1, ended.err
    assert "cannot write" in ended.err
    assert "internal error" not in ended.err


def test_whoever_reads_only_the_first_line_gets_no_traceback(acme: Workplace) -> None:
    """`reconciler explain | head -1`."""
    process = acme.start("explain")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_a_public_receipt_that_cannot_be_written_stops_before_anything_is_sent(
    acme: Workplace, sandbox: Service
) -> None:
    """Exit code 1 means that nothing was applied, so it must not come after the writes."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    asked = sandbox.count
    ended = acme.run("apply", "--yes", "--public-receipt", acme.folder / "nowhere" / "receipt.json")
    assert ended.code == 64, ended.err
    assert sandbox.count == asked


def test_a_receipt_that_cannot_be_kept_is_no_success(acme: Workplace, sandbox: Service) -> None:
    """The result is told all the same, and 6 says that something was written."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "GET":
            shutil.rmtree(acme.state / "acme" / "runs")
        return pass_on()

    with interposed(sandbox.origin, hook) as (_, origin):
        acme.tenant(f"{origin}/scim/v2")
        ended = acme.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "1 applied" in ended.out
    assert "cannot write" in ended.err


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8"])
def test_a_terminal_of_another_encoding_spells_out_what_it_cannot_show(acme: Workplace, encoding: str) -> None:
    """No error while the report is printed, which for apply would come after the writes."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Köchin 日本 😀")
    acme.environ["PYTHONIOENCODING"] = encoding
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "plan"],
        env={**os.environ, **acme.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    expected = "日本" if encoding == "utf-8" else "\\u65e5\\u672c"
    assert expected in out.decode(encoding)
