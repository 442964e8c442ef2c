"""A plan file that is not the approved plan is refused, and nothing is sent (SPEC P2, issue 2 number 6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.semantics.document import seal
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace

Edit = Callable[[dict[str, Any]], None]


def _planned(work: Workplace) -> tuple[Path, dict[str, Any]]:
    """A saved plan of two title changes, and its content."""
    work.edit("acme/people.yaml", "Bob, familyName: Ray}, title: Agent", "Bob, familyName: Ray}, title: Lead")
    work.edit("acme/people.yaml", "Dan, familyName: Fox}, title: Agent", "Dan, familyName: Fox}, title: Lead")
    path = work.folder / "plan.json"
    planned = work.run("plan", "--out", path)
    assert planned.code == 0, planned.err
    return path, json.loads(path.read_text(encoding="utf-8"))


def _swap_ids(document: dict[str, Any]) -> None:
    first, second = document["changes"]
    first["id"], second["id"] = second["id"], first["id"]


def _swap_anchors(document: dict[str, Any]) -> None:
    first, second = document["changes"]
    first["anchor"], second["anchor"] = second["anchor"], first["anchor"]


def _promote(document: dict[str, Any]) -> None:
    document["changes"][0]["attributes"][0]["after"] = "Director"


def _grant(document: dict[str, Any]) -> None:
    attribute = {"path": "roles", "before": None, "after": [{"value": "Administrator"}]}
    document["changes"][0]["attributes"].append(attribute)


def _unguard(document: dict[str, Any]) -> None:
    document["changes"][0]["precondition"] = {"kind": "unguarded", "value": None}


def _another_version(document: dict[str, Any]) -> None:
    document["changes"][0]["precondition"]["value"] = 'W/"1"'


def _drop_a_change(document: dict[str, Any]) -> None:
    del document["changes"][1]


def _repeat_a_change(document: dict[str, Any]) -> None:
    document["changes"].append(document["changes"][0])


def _pass_every_guard(document: dict[str, Any]) -> None:
    for guard in document["guards"]:
        guard.update(verdict="overridden", count=0)


def _another_target(document: dict[str, Any]) -> None:
    document["target"] = "http://127.0.0.1:1/scim/v2"


def _another_tenant(document: dict[str, Any]) -> None:
    document["tenant"] = "acme-prod"


def _next_major_version(document: dict[str, Any]) -> None:
    document["formatVersion"] = "2.0"


def _no_version(document: dict[str, Any]) -> None:
    del document["formatVersion"]


def _another_seal(document: dict[str, Any]) -> None:
    document["seal"] = "sha256:" + "0" * 64


def _delete_instead(document: dict[str, Any]) -> None:
    document["changes"][0].update(action="delete", attributes=[])


EDITS: list[Edit] = [
    _swap_ids,
    _swap_anchors,
    _promote,
    _grant,
    _unguard,
    _another_version,
    _drop_a_change,
    _repeat_a_change,
    _pass_every_guard,
    _another_target,
    _another_tenant,
    _next_major_version,
    _no_version,
    _another_seal,
    _delete_instead,
]


@pytest.mark.parametrize("resealed", [False, True], ids=["as-edited", "sealed-again"])
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_").replace("_", "-"))
def test_an_edited_plan_is_refused_and_nothing_is_sent(
    acme: Workplace, sandbox: Service, edit: Edit, resealed: bool
) -> None:
    """P2: whatever is edited, and even where the file is sealed again, the approved seal gives it away."""
    path, document = _planned(acme)
    approved = document["seal"]
    edit(document)
    if resealed and edit is not _another_seal:
        document["seal"] = seal(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    before = sandbox.count
    ended = acme.run("apply", "acme", "--plan", path, "--expect-seal", approved)
    assert ended.code == 5, ended.out + ended.err
    assert sandbox.count == before
    assert ended.err.startswith("error: ")
    assert ended.out == ""


@pytest.mark.parametrize("edit", [_promote, _grant, _drop_a_change, _swap_anchors, _delete_instead, _another_target])
def test_a_forged_seal_does_not_help_a_forged_change(acme: Workplace, sandbox: Service, edit: Edit) -> None:
    """Where the approved seal is forged as well, the digests of the changes still have to be those of their content."""
    path, document = _planned(acme)
    edit(document)
    document["seal"] = seal(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    before = sandbox.count
    ended = acme.run("apply", "acme", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 5, ended.out + ended.err
    assert sandbox.count == before


@pytest.mark.parametrize("edit", [_swap_ids, _another_version, _pass_every_guard])
def test_ids_versions_and_verdicts_are_never_taken_from_a_file(acme: Workplace, sandbox: Service, edit: Edit) -> None:
    """P2: what no digest covers is not believed: it is found again, and each change reaches who it was made for."""
    path, document = _planned(acme)
    edit(document)
    document["seal"] = seal(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    ended = acme.run("apply", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 0, ended.out + ended.err
    titles = {name: user["title"] for name, user in sandbox.all("Users").items()}
    assert titles == {
        "ann@example.com": "Agent",
        "bob@example.com": "Lead",
        "cyd@example.com": "Coach",
        "dan@example.com": "Lead",
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"plan", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[]", "no JSON object"),
        (b"{}", "formatVersion"),
        (b'{"formatVersion": "1.0"}', "missing"),
        (b'{"formatVersion": "1.0", "formatVersion": "1.0"}', "duplicate key"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested too deeply"),
        (b"9" * 5000, "number"),
        (b'{"formatVersion": NaN}', "not JSON"),
    ],
    ids=["empty", "cut", "text", "binary", "list", "nothing", "half", "twice", "deep", "long-number", "nan"],
)
@pytest.mark.parametrize("command", ["show", "apply"])
def test_what_is_no_plan_is_refused_in_words(
    acme: Workplace, sandbox: Service, command: str, content: bytes, says: str
) -> None:
    """No traceback, whatever the file holds."""
    path = acme.folder / "plan.json"
    path.write_bytes(content)
    before = sandbox.count
    seal_arguments = ("--expect-seal", "sha256:" + "0" * 64) if command == "apply" else ()
    ended = acme.run(*(("show", path) if command == "show" else ("apply", "--plan", path)), *seal_arguments)
    assert ended.code == 5, ended.err
    assert says in ended.err
    assert "internal error" not in ended.err
    assert sandbox.count == before


def test_a_plan_cut_anywhere_is_refused(acme: Workplace) -> None:
    """A download that broke off."""
    path, _ = _planned(acme)
    content = path.read_bytes()
    for end in range(0, len(content) - 2, max(1, len(content) // 40)):
        path.write_bytes(content[:end])
        assert acme.run("show", path).code == 5


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_a_plan_that_cannot_be_read_is_a_usage_error(acme: Workplace, what: str) -> None:
    """64: the command line names something that is not there."""
    path = acme.folder / ("plan.json" if what == "missing" else ".")
    ended = acme.run("show", path)
    assert ended.code == 64, ended.err
    assert "cannot read" in ended.err


def test_a_huge_file_is_not_read(acme: Workplace) -> None:
    """Two gigabytes of nothing, which cost no disk, cost no memory either."""
    path = acme.folder / "plan.json"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    ended = acme.run("show", path)
    assert ended.code == 5, ended.err
    assert "too large" in ended.err


def test_a_plan_for_another_root_is_refused(acme: Workplace, start_sandbox: StartSandbox, tmp_path: Path) -> None:
    """A tenant of the same name elsewhere is another target: nothing of it is touched, nobody is asked."""
    path, document = _planned(acme)
    other = start_sandbox()
    elsewhere = Workplace(tmp_path / "elsewhere", acme.monkeypatch)
    elsewhere.organisation(other.base_url)
    ended = elsewhere.run("apply", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 5, ended.err
    assert "another target" in ended.err
    assert other.count == 0


def test_a_plan_for_a_tenant_that_is_not_here_names_it(acme: Workplace, sandbox: Service) -> None:
    """The plan's own tenant is used where none is named."""
    path, document = _planned(acme)
    (acme.root / "acme").rename(acme.root / "acme-two")
    acme.edit("acme-two/tenant.yaml", '"name": "acme"', '"name": "acme-two"')
    before = sandbox.count
    assert acme.run("apply", "acme-two", "--plan", path, "--expect-seal", document["seal"]).code == 5
    ended = acme.run("apply", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 64
    assert "acme-two" in ended.err
    assert sandbox.count == before


def test_an_approval_is_complete_or_refused(acme: Workplace, sandbox: Service) -> None:
    """A plan without its seal, and a seal without its plan, approve nothing."""
    path, document = _planned(acme)
    before = sandbox.count
    assert acme.run("apply", "--plan", path).code == 64
    assert acme.run("apply", "--expect-seal", document["seal"]).code == 64
    assert sandbox.count == before


def test_a_plan_applied_twice_writes_once(acme: Workplace, sandbox: Service) -> None:
    """scim-rfc.md section 14, 2: applying a plan twice performs zero writes the second time."""
    path, document = _planned(acme)
    assert acme.run("apply", "--plan", path, "--expect-seal", document["seal"]).code == 0
    before = sandbox.count
    ended = acme.run("apply", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 0, ended.out + ended.err
    assert {entry["method"] for entry in sandbox.log[before:]} == {"GET"}
    assert set(acme.outcomes().values()) == {"applied"}


def test_a_saved_plan_is_judged_by_the_guards_as_it_was_when_made(work: Workplace, sandbox: Service) -> None:
    """What guards count shares of must not shrink on the way through a file."""
    people = "".join(f"  - {{userName: u{n:02}@example.com, externalId: p-{n}, active: true}}\n" for n in range(60))
    work.tenant(sandbox.base_url)
    work.write("acme/people.yaml", f"kind: Users\nitems:\n{people}")
    work.converge()
    for number in (3, 4, 5):
        work.edit("acme/people.yaml", f"externalId: p-{number}, active: true", f"externalId: p-{number}, active: false")
    path = work.folder / "plan.json"
    planned = work.run("plan", "--out", path)
    assert planned.code == 0, planned.out
    ended = work.run("apply", "--plan", path, "--expect-seal", json.loads(path.read_text())["seal"])
    assert ended.code == 0, ended.out + ended.err
    assert sum(not user["active"] for user in sandbox.all("Users").values()) == 3


def test_guards_judge_a_saved_plan_by_the_tenant_of_now(work: Workplace, sandbox: Service) -> None:
    """SPEC 7.3: guards run again on exactly what is executed: what was protected meanwhile is refused, exit code 4."""
    work.organisation(sandbox.base_url)
    work.converge()
    path, document = _planned(work)
    work.edit("acme/people.yaml", "externalId: p-3, ", "externalId: p-3, active: false, ")
    work.run("plan", "--out", path)
    document = json.loads(path.read_text())
    work.tenant(sandbox.base_url, guards={"protected": ["cyd@example.com"]})
    before = sandbox.count
    ended = work.run("apply", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 4, ended.out + ended.err
    assert "protected" in ended.err
    assert {entry["method"] for entry in sandbox.log[before:]} == {"GET"}


def test_show_renders_what_plan_printed(acme: Workplace) -> None:
    """The reviewer of an artifact sees what the author saw."""
    path, _ = _planned(acme)
    printed = acme.run("plan", "--format", "markdown").out
    shown = acme.run("show", path, "--format", "markdown").out
    assert "bob@example.com" in shown
    lines = [line for line in printed.splitlines() if "Lead" in line]
    assert lines
    assert all(line in shown for line in lines)
