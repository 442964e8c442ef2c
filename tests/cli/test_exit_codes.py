"""Every exit code of SPEC section 5 that exists today, and the worst of several tenants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Ended, Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen, closed_port


def test_0_done_and_nothing_to_do(work: Workplace, sandbox: Service) -> None:
    """0: applied and proven; again 0 where there is nothing to do, for every command."""
    work.organisation(sandbox.base_url)
    for arguments in ("validate", "plan", "apply --yes", "plan --detailed-exitcode", "apply --yes"):
        ended = work.run(*arguments.split())
        assert ended.code == 0, ended.out + ended.err


def test_1_an_error_and_nothing_applied(work: Workplace) -> None:
    """1: the service is not there."""
    work.organisation(f"http://127.0.0.1:{closed_port()}/scim/v2")
    assert work.run("plan").code == 1
    assert work.run("apply", "--yes").code == 1
    assert work.receipts() == []


def test_2_changes_pending_only_where_it_was_asked_for(work: Workplace, sandbox: Service) -> None:
    """2: with --detailed-exitcode only."""
    work.organisation(sandbox.base_url)
    assert work.run("plan").code == 0
    assert work.run("plan", "--detailed-exitcode").code == 2


def test_3_desired_state_is_invalid(acme: Workplace, sandbox: Service) -> None:
    """3: by itself, or because a name is neither in git nor in the tenant; nothing is written."""
    asked = sandbox.count
    acme.edit("acme/groups.yaml", "{user: cyd@example.com}", "{user: sid@example.com}")
    for arguments in (("plan",), ("apply", "--yes")):
        ended = acme.run(*arguments)
        assert ended.code == 3, ended.err
        assert "sid@example.com" in ended.err
    assert {entry["method"] for entry in sandbox.log[asked:]} <= {"GET"}
    acme.write("acme/broken.yaml", "kind: User\nuserNam: x\n")
    asked = sandbox.count
    for arguments in (("validate",), ("plan",), ("apply", "--yes")):
        ended = acme.run(*arguments)
        assert ended.code == 3, ended.err
        assert f"{acme.root}/acme/broken.yaml:2:1: error[V" in ended.out + ended.err  # a path one can open
    assert sandbox.count == asked


def test_3_two_candidates_for_one_document(acme: Workplace, sandbox: Service) -> None:
    """SPEC section 3: two live candidates, by whatever key, are an error that names both."""
    acme.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\n")
    sandbox.create("Users", userName="eva@example.com", externalId="p-5")
    sandbox.create("Users", userName="eve@example.com")
    ended = acme.run("plan")
    assert ended.code == 3, ended.out + ended.err
    assert "eva@example.com" in ended.err
    assert "eve@example.com" in ended.err


def test_4_refused_by_a_guard(acme: Workplace, sandbox: Service) -> None:
    """4: plan and apply say so alike, the plan is shown in full, and nothing is written."""
    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    asked = sandbox.count
    for arguments in (("plan",), ("apply", "--yes")):
        ended = acme.run(*arguments)
        assert ended.code == 4, ended.out + ended.err
        assert "removal-share" in ended.out
        assert "ann@example.com" in ended.out
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    assert acme.run("plan", "--detailed-exitcode").code == 4
    assert len(acme.receipts()) == 1


def test_5_something_else_than_approved(acme: Workplace) -> None:
    """5: nothing else is wrong. Conflicts are in test_conflicts, plan files in test_plan_files."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    assert acme.run("apply", "--expect-digest", "sha256:" + "0" * 64).code == 5
    assert len(acme.receipts()) == 1


def test_6_partly_applied(work: Workplace, start_sandbox: StartSandbox) -> None:
    """6: one change was refused by the service, the others went through (INCIDENTS: one 403 blocked everything)."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST" and b"bob@" in seen.body:
            return Answer(403, {"status": "403", "detail": "no licence for Bob"})
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "no licence for Bob" in ended.out
    outcomes = work.outcomes()
    assert outcomes.pop("User/bob@example.com") == "failed"
    assert outcomes.pop("Group/Support") == "failed"  # without him; it says so
    assert set(outcomes.values()) == {"applied"}
    assert set(service.all("Users")) == {"ann@example.com", "cyd@example.com", "dan@example.com"}
    work.tenant(service.base_url)
    work.converge()
    assert service.member_names("Support") == {"ann@example.com", "bob@example.com"}


def test_6_what_was_written_is_not_there(work: Workplace, start_sandbox: StartSandbox) -> None:
    """P8, Q31: a 200 without effect is no success; what is not as declared is named."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    work.converge()
    work.edit("acme/people.yaml", "title: Coach", "title: Chief")

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "PATCH":
            return Answer(204)
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    for word in ("cyd@example.com", "title", "Chief", "Coach"):
        assert word in ended.out
    [residual] = work.receipts()[-1]["residual"]
    assert (residual["key"], residual["expected"], residual["found"]) == ("User/cyd@example.com", "Chief", "Coach")
    assert not work.receipts()[-1]["complete"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "acm"),
        ("plan", "--colour"),
        ("plan", "--format", "yaml"),
        ("frobnicate",),
        ("apply", "--allow", "gravity", "--yes"),
        ("apply", "--allow", "removal-share=many", "--yes"),
        ("apply", "--allow", "nesting", "--yes"),
        ("apply", "--allow", "incomplete-inventory", "--yes"),
        ("apply", "--plan", "x.json"),
        ("apply", "--expect-seal", "x"),
        ("apply",),
        ("show",),
        ("explain", "V99999"),
    ],
    ids=" ".join,
)
def test_64_usage(acme: Workplace, sandbox: Service, arguments: tuple[str, ...]) -> None:
    """64, not click's own 2; also where nobody is there to be asked. The service is not asked anything."""
    asked = sandbox.count
    ended = acme.run(*arguments)
    assert ended.code == 64, ended.out + ended.err
    assert ended.err
    assert "Traceback" not in ended.err
    assert sandbox.count == asked


def test_a_mistyped_name_gets_a_suggestion(acme: Workplace) -> None:
    """Did you mean."""
    assert "did you mean acme?" in acme.run("plan", "acm").err


def test_an_approval_is_for_one_tenant(acme: Workplace, sandbox: Service) -> None:
    """A digest cannot approve two plans."""
    acme.organisation(f"{sandbox.origin}/elsewhere", "other")
    assert acme.run("apply", "--expect-digest", "sha256:" + "0" * 64).code == 64
    assert acme.run("plan", "--out", acme.folder / "plan.json").code == 64


# --- several tenants -------------------------------------------------------------------------------------------------


@pytest.fixture
def tenants(work: Workplace, start_sandbox: StartSandbox) -> Workplace:
    """Tenants whose plans end with 0, 1, 2, 3 and 4."""
    for name in ("done", "pending", "refused"):
        work.organisation(start_sandbox().base_url, name)
    work.converge("--root", str(work.root))
    work.edit("pending/people.yaml", "title: Coach", "title: Chief")
    for number in (1, 2):
        work.edit("refused/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    work.organisation(f"http://127.0.0.1:{closed_port()}/scim/v2", "dead")
    work.organisation(f"http://127.0.0.1:{closed_port()}/scim/v2", "broken")
    work.write("broken/broken.yaml", "kind: User\nuserNam: x\n")
    return work


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("done",), 0),
        (("pending", "done"), 2),
        (("refused", "pending", "done"), 4),
        (("refused", "broken", "pending"), 3),
        (("pending", "dead", "broken", "refused"), 1),
        ((), 1),
    ],
    ids=lambda value: "-".join(value) or "all" if isinstance(value, tuple) else None,
)
def test_the_worst_code_of_several_tenants_counts(tenants: Workplace, names: tuple[str, ...], code: int) -> None:
    """SPEC section 5: the first of 130, 6, 1, 3, 4, 5, 2, 0; one tenant that fails does not stop the others."""
    ended = tenants.run("plan", "--detailed-exitcode", *names)
    assert ended.code == code, ended.err
    for name in names:
        assert name in ended.out + ended.err


def test_a_tenant_that_fails_does_not_keep_others_from_being_applied(tenants: Workplace) -> None:
    """Each tenant is on its own; JSON is one object a line for those that have one."""
    ended = tenants.run("apply", "--yes", "--format", "json")
    assert ended.code == 1
    assert [line["tenant"] for line in ended.lines] == ["done", "pending", "refused"]
    assert tenants.run("plan", "pending", "--detailed-exitcode").code == 0


def test_the_program_itself_exits_with_the_code(work: Workplace, sandbox: Service) -> None:
    """What CI sees: `python -m reconciler` as a process."""
    work.organisation(sandbox.base_url)
    codes = {}
    for arguments in (("plan", "--detailed-exitcode"), ("plan", "nobody"), ("plan", "--bad-option"), ("--version",)):
        process = work.start(*arguments)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        codes[arguments] = process.returncode
    assert list(codes.values()) == [2, 64, 64, 0]


def test_the_desired_state_that_is_not_there_is_a_problem_in_words(work: Workplace, tmp_path: Path) -> None:
    """No folder, an empty folder, a file: each is said."""
    answers: list[Ended] = [work.run("validate"), work.run("plan")]
    (tmp_path / "desired-state").mkdir()
    answers += [work.run("validate"), work.run("plan")]
    for ended in answers:
        assert ended.code in {3, 64}, ended.out + ended.err
        assert ended.out + ended.err
        assert "Traceback" not in ended.err
