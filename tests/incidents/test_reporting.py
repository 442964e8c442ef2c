"""Incidents of what people were shown, or not: docs/incidents.md, rows about reports and logs."""

from __future__ import annotations

import json
import re
import stat
from typing import Any

import pytest

from reconciler.errors import ReportTooLong
from reconciler.model.change import Action
from reconciler.model.plan import AccessChange, Plan
from reconciler.report.render import Format, render_plan
from tests.builders import build_change, build_plan
from tests.cli.workplace import TOKEN, Service, Workplace

READABLE = pytest.mark.parametrize("format_", [Format.TEXT, Format.MARKDOWN], ids=lambda format_: format_.value)

COMMENT = 65_536
"""Characters that a comment on GitHub may have."""

# --- what is cut off, and what is not --------------------------------------------------------------------------------


def _large(removed: int) -> Plan:
    """Thousands of creates and updates, and among them some that take access away."""
    return build_plan(
        *(
            build_change(f"User/hire-{n}@x", Action.CREATE, attributes=[("title", None, "Agent" * 20)])
            for n in range(3000)
        ),
        *(build_change(f"User/upd-{n}@x", attributes=[("title", "A", "B")]) for n in range(3000)),
        *(
            build_change(f"User/off-{n}@x", Action.DEACTIVATE, attributes=[("active", True, False)])
            for n in range(removed)
        ),
        *(build_change(f"User/gone-{n}@x", Action.DELETE) for n in range(removed)),
        build_change("Group/Big", removed=[f"member-{n}@x" for n in range(removed)]),
        losses=[AccessChange(f"lost-{n}@x", "Top") for n in range(removed)],
    )


@READABLE
@pytest.mark.parametrize("removed", [1, 40, 700])
def test_a_long_report_never_loses_its_deletions(format_: Format, removed: int) -> None:
    """INCIDENTS "Comment too long": suzuki-shunsuke/tfaction #2816; tfcmt #227.

    Each of them by its name, and all of them before the first line that only adds: what is cut is never a deletion.
    """
    report = render_plan(_large(removed), format_)
    names = [f"{what}-{n}@x" for what in ("off", "gone", "member", "lost") for n in range(removed)]
    places = [report.find(name) for name in names]
    assert -1 not in places
    creates = re.search(r"Creates \(3,?000\)", report)
    assert creates is not None
    assert max(places) < creates.start()


def test_a_report_that_does_not_fit_a_comment_is_never_cut() -> None:
    """INCIDENTS "Comment too long": suzuki-shunsuke/tfaction #2816; tfcmt #227.

    Six thousand changes and forty removals of each kind fit a comment on GitHub; with seven hundred of each it is an
    error, so that the check fails, and never a comment without them.
    """
    assert "off-39@x" in render_plan(_large(40), Format.MARKDOWN, most=COMMENT)
    with pytest.raises(ReportTooLong):
        render_plan(_large(700), Format.MARKDOWN, most=COMMENT)


def test_a_plan_that_does_not_fit_a_comment_fails_the_check(acme: Workplace) -> None:
    """INCIDENTS "Comment too long": suzuki-shunsuke/tfaction #2816. Nothing to post, and an exit code that says so."""
    acme.edit("acme/groups.yaml", "[{user: ann@example.com}, {user: bob@example.com}]", "[{user: bob@example.com}]")
    path = acme.folder / "plan.json"
    assert acme.run("plan", "--out", path).code == 0
    assert "ann@example.com" in acme.run("show", path, "--format", "markdown", "--max-length", "4000").out
    ended = acme.run("show", path, "--format", "markdown", "--max-length", "300")
    assert (ended.code, ended.out) == (1, "")
    assert "300" in ended.err


# --- what nobody else should see -------------------------------------------------------------------------------------


def test_nothing_that_is_posted_or_kept_tells_a_secret(acme: Workplace, sandbox: Service) -> None:
    """INCIDENTS "Plan comments leak personal data and secrets": diggerhq/digger #2677; tfaction #4182.

    The comment, the plan, the receipt and the logs; the files are private, and a receipt to be posted names nobody.
    """
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    path, public = acme.folder / "plan.json", acme.folder / "public.json"
    ended = [
        acme.run("plan", "--out", path, "--format", "markdown", "--log-format", "json"),
        acme.run("apply", "--yes", "--public-receipt", public, "--format", "json"),
    ]
    assert [each.code for each in ended] == [0, 0], ended[1].err
    kept = [file for file in (path, *acme.state.rglob("*")) if file.is_file()]
    texts = [each.out + each.err for each in ended] + [file.read_text(errors="replace") for file in kept]
    assert not any(TOKEN in text for text in texts)
    private = [file for file in kept if file.suffix in {".json", ".sqlite", ".ndjson"}]
    assert path in private
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
    posted = public.read_text(encoding="utf-8")
    assert json.loads(posted)["outcomes"][0]["key"].startswith("User/")
    for name in ("cyd", "example.com", "Poe", "Chief", "Coach"):
        assert name not in posted


def test_an_approval_needs_a_digest_and_no_artifact(acme: Workplace, sandbox: Service) -> None:
    """INCIDENTS "Plan comments leak personal data and secrets": diggerhq/digger #2677.

    A digest instead of an artifact that anyone can download: it is written for the pipeline, it tells nobody's name,
    and apply needs nothing else.
    """
    acme.edit("acme/people.yaml", "title: Coach", "title: Chief")
    output = acme.folder / "github-output"
    acme.environ["GITHUB_OUTPUT"] = str(output)
    assert acme.run("plan").code == 0
    told = dict(line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines())
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", told["digest"])
    assert "cyd" not in output.read_text(encoding="utf-8")
    assert acme.run("apply", "--expect-digest", told["digest"]).code == 0
    assert sandbox.all("Users")["cyd@example.com"]["title"] == "Chief"


# --- logs ------------------------------------------------------------------------------------------------------------


def test_a_ci_log_has_no_progress_bar(work: Workplace, sandbox: Service) -> None:
    """INCIDENTS "A progress bar filled the CI log": pypa/pip #13354; tqdm #1342.

    Three hundred people are a few lines more than none: no carriage return, no escape sequence, no line a page.
    """
    work.tenant(sandbox.base_url, limits={"requestsPerMinute": 60000, "pageSize": 10})
    items: list[dict[str, Any]] = [{"userName": f"p{n}@example.com", "externalId": f"{n}"} for n in range(300)]
    work.write("acme/people.yaml", json.dumps({"kind": "Users", "items": items}))
    log = work.converge().err + work.run("plan").err
    assert "\r" not in log
    assert "\x1b" not in log
    assert len(log.splitlines()) < 20, log


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_every_problem_comes_with_its_line_and_a_caret(work: Workplace, command: str) -> None:
    """INCIDENTS "Add line numbers": python-jsonschema/check-jsonschema #359.

    File, line and column of each, all in one run, the line itself and a caret under what is wrong.
    """
    work.organisation("http://127.0.0.1:9/scim/v2")
    work.write("acme/one.yaml", "kind: User\nuserName: eve@example.com\ntitel: Agent\n")
    work.write("acme/two.yaml", "kind: Users\nitems:\n  - {userName: fay@example.com, active: maybe}\n")
    ended = work.run(command)
    assert ended.code == 3
    said = ended.out + ended.err
    for place, line, wrong in (
        ("acme/one.yaml:3:1: error[V", "titel: Agent", "titel"),
        ("acme/two.yaml:3:41: error[V", "  - {userName: fay@example.com, active: maybe}", "maybe"),
    ):
        assert place in said, said
        lines = said.splitlines()
        (at,) = [number for number, shown in enumerate(lines) if shown.endswith(line)]
        caret = lines[at + 1]
        assert caret.index("^") == lines[at].index(wrong), said
