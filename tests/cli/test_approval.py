"""Who says yes, and to what (SPEC 7.3, section 8)."""

from __future__ import annotations

import pytest

from tests.cli.workplace import Service, Workplace

LOSS = "[{user: ann@example.com}, {user: bob@example.com}]"


def _writes(sandbox: Service, asked: int) -> list[str]:
    return [entry["method"] for entry in sandbox.log[asked:] if entry["method"] != "GET"]


@pytest.mark.parametrize("typed", ["n\n", "\n", "no\n", "acme\nn\n"])
def test_anything_but_yes_writes_nothing(acme: Workplace, sandbox: Service, typed: str) -> None:
    """The plan is shown, the answer is no, nothing is sent and no receipt pretends otherwise."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    asked = sandbox.count
    ended = acme.run("apply", typed=typed)
    assert ended.code == 1, ended.out + ended.err
    assert "Chief" in ended.out
    assert "nothing was written" in ended.err
    assert _writes(sandbox, asked) == []
    assert len(acme.receipts()) == 1


def test_yes_applies_what_was_shown(acme: Workplace, sandbox: Service) -> None:
    """Where nobody loses anything, y is enough."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    ended = acme.run("apply", typed="y\n")
    assert ended.code == 0, ended.out + ended.err
    assert sandbox.all("Users")["cyd@example.com"]["title"] == "Chief"


@pytest.mark.parametrize("typed", ["y\n", "yes\n", "ACME\n", "acme-prod\n", "\n"])
def test_where_somebody_loses_something_yes_is_not_enough(acme: Workplace, sandbox: Service, typed: str) -> None:
    """SPEC 7.3: typing the tenant's name when anyone loses anything."""
    acme.edit("acme/groups.yaml", LOSS, "[{user: ann@example.com}]")
    asked = sandbox.count
    ended = acme.run("apply", typed=typed)
    assert ended.code == 1, ended.out + ended.err
    assert "Type acme to apply" in ended.err
    assert _writes(sandbox, asked) == []


def test_the_name_of_the_tenant_lets_a_loss_through(acme: Workplace, sandbox: Service) -> None:
    """Typed as it is written."""
    acme.edit("acme/groups.yaml", LOSS, "[{user: ann@example.com}]")
    ended = acme.run("apply", typed="acme\n")
    assert ended.code == 0, ended.out + ended.err
    assert sandbox.member_names("Support") == {"ann@example.com"}


@pytest.mark.parametrize("attribute", ["roles", "entitlements"])
def test_a_role_that_goes_is_a_loss(work: Workplace, sandbox: Service, attribute: str) -> None:
    """A loss is not only a group: y is not enough, and a pipeline hears `destructive`."""
    person = "kind: User\nuserName: ann@example.com\nexternalId: p-1\n"
    work.tenant(sandbox.base_url)
    work.write("acme/ann.yaml", f"{person}{attribute}: [{{value: Agent}}, {{value: Coach}}]\n")
    work.converge()
    work.write("acme/ann.yaml", f"{person}{attribute}: [{{value: Agent}}]\n")
    work.environ["GITHUB_OUTPUT"] = str(work.folder / "github-output")
    assert work.run("plan").code == 0
    assert "destructive=true" in (work.folder / "github-output").read_text()
    assert work.run("apply", typed="y\n").code == 1
    assert work.run("apply", typed="acme\n").code == 0


def test_a_refused_plan_is_not_even_asked_about(acme: Workplace, sandbox: Service) -> None:
    """All guards before the first question and the first write."""
    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    asked = sandbox.count
    ended = acme.run("apply", typed="acme\n")
    assert ended.code == 4
    assert "Type acme" not in ended.err
    assert _writes(sandbox, asked) == []


def test_nothing_to_do_is_not_asked_about(acme: Workplace) -> None:
    """No question without a change."""
    ended = acme.run("apply", typed="")
    assert ended.code == 0, ended.err


def test_the_end_of_input_at_the_question_is_an_interruption(acme: Workplace, sandbox: Service) -> None:
    """Ctrl-D or a closed terminal is no yes."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    asked = sandbox.count
    ended = acme.run("apply", typed="")
    assert ended.code == 130, ended.err
    assert _writes(sandbox, asked) == []


def test_without_a_terminal_an_approval_is_needed(acme: Workplace, sandbox: Service) -> None:
    """64 before anything is read: a pipeline that forgot to approve finds out at once."""
    asked = sandbox.count
    ended = acme.run("apply")
    assert ended.code == 64
    assert "--expect-digest" in ended.err
    assert sandbox.count == asked


def test_an_expected_digest_applies_exactly_that_plan(acme: Workplace, sandbox: Service) -> None:
    """The pipeline: plan, approve the digest, apply."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    digest = acme.run("plan", "--format", "json").lines[0]["digest"]
    assert acme.run("apply", "--expect-digest", digest).code == 0
    assert acme.receipts()[-1]["digest"] == digest


def test_a_digest_pasted_with_other_characters_is_stale_and_no_bug(acme: Workplace) -> None:
    """Chats turn quotes and dashes into others."""
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    ended = acme.run("apply", "--expect-digest", "\u201csha256:abc\u201d")
    assert ended.code == 5
    assert "not the one that was approved" in ended.err
    assert "internal error" not in ended.err


# --- --allow ---------------------------------------------------------------------------------------------------------


def _two_deactivations(work: Workplace) -> None:
    for number in (3, 4):
        work.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: ann@example.com}]")


def test_allow_admits_up_to_its_number(acme: Workplace, sandbox: Service) -> None:
    """P10: one guard at a time, and no more than was said."""
    _two_deactivations(acme)
    assert acme.run("plan").code == 4
    assert acme.run("plan", "--allow", "removal-share=1").code == 4
    assert acme.run("plan", "--allow", "access-loss").code == 4
    planned = acme.run("plan", "--allow", "removal-share=2")
    assert planned.code == 0, planned.out
    assert "removal-share" in planned.out
    assert acme.run("apply", "--yes", "--allow", "removal-share=2").code == 0
    assert sum(user["active"] for user in sandbox.all("Users").values()) == 2


def test_a_pipeline_cannot_allow_what_its_settings_do_not(acme: Workplace, sandbox: Service) -> None:
    """SPEC section 8: under CI=true only the guards that RECONCILER_ALLOW names."""
    _two_deactivations(acme)
    acme.environ["CI"] = "true"
    asked = sandbox.count
    ended = acme.run("apply", "--yes", "--allow", "removal-share")
    assert ended.code == 64, ended.err
    assert "RECONCILER_ALLOW" in ended.err
    assert sandbox.count == asked
    acme.environ["RECONCILER_ALLOW"] = "access-loss"
    assert acme.run("apply", "--yes", "--allow", "removal-share").code == 64
    acme.environ["RECONCILER_ALLOW"] = "access-loss, removal-share"
    assert acme.run("apply", "--yes", "--allow", "removal-share").code == 0


def test_an_override_holds_for_one_run(acme: Workplace) -> None:
    """The next plan is judged as always."""
    _two_deactivations(acme)
    acme.converge("--allow", "removal-share")
    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    assert acme.run("apply", "--yes").code == 4
