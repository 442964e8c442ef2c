"""What the report of a plan says, and in which order (SPEC section 6)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings

from reconciler.errors import ReportTooLong
from reconciler.model.change import Action, PreconditionKind, Reason
from reconciler.model.diagnostic import Source
from reconciler.model.plan import (
    AccessChange,
    Capabilities,
    DesiredRevision,
    Finding,
    GuardVerdict,
    Inventory,
    Plan,
    Verdict,
)
from reconciler.planfile import plan_to_document
from reconciler.report.render import Format, render_plan
from tests.builders import build_change, build_plan, passed, plans, refused

READABLE = pytest.mark.parametrize("format_", [Format.TEXT, Format.MARKDOWN])


def lines_with(text: str, *words: str) -> list[str]:
    """The lines that hold all of the words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]


def in_this_order(text: str, parts: Sequence[str]) -> bool:
    """Whether all the parts are there, each after the one before."""
    return re.search(".*".join(map(re.escape, parts)), text, flags=re.DOTALL) is not None


@READABLE
def test_a_two_way_plan_says_so_first(format_: Format) -> None:
    """SPEC section 6: without a ledger there is no base, and no user or group is removed; every report says so."""
    report = render_plan(build_plan(build_change("User/a@x")), format_)
    first = report.splitlines()[0 if format_ is Format.TEXT else 2]
    assert "Two-way plan" in first
    assert "outside a git checkout" in first
    assert "no user or group is removed" in first


@READABLE
def test_outside_a_checkout_the_report_names_that_cause(format_: Format) -> None:
    """SPEC section 6: outside a git checkout there is no base either."""
    assert "outside a git checkout" in render_plan(build_plan(desired=DesiredRevision()), format_)


@READABLE
def test_a_plan_with_a_base_is_not_called_two_way(format_: Format) -> None:
    """The ledger gave a base: absence counts."""
    plan = build_plan(desired=DesiredRevision(commit="c" * 40, tree="d" * 40, dirty=True, base="b" * 40))
    report = render_plan(plan, format_)
    assert "wo-way" not in report
    assert "base" in report
    assert "not committed" in report


def test_no_changes_are_one_plain_sentence() -> None:
    """The line everybody hopes for."""
    report = render_plan(build_plan(), Format.TEXT)
    assert report.endswith("\nNo changes. acme-prod matches git (700 unchanged, 12 unmanaged).\n")
    assert "apply" not in report


@READABLE
def test_no_changes_after_an_incomplete_read_is_not_called_a_match(format_: Format) -> None:
    """P4: what was not read may be anything."""
    inventory = Inventory(users=10, groups=0, requests=3, complete=False, reason="the list changed while it was read")
    report = render_plan(build_plan(inventory=inventory), format_)
    assert "matches git" not in report
    assert "list changed while it was" in report
    assert "not read completely" in report


def mixed_plan() -> Plan:
    """Some of everything, the harmless first and the harmful last."""
    return build_plan(
        build_change("User/new@x", Action.CREATE, attributes=[("title", None, "Agent"), ("active", None, True)]),
        build_change("User/back@x", Action.REACTIVATE, attributes=[("active", False, True)]),
        build_change("User/upd@x", attributes=[("title", "A", "Lead"), ("name.givenName", "Al", "Ann")]),
        build_change("Group/Joined", added=["new@x"], source=Source("groups.yaml", 12)),
        build_change(
            "User/roleless@x", attributes=[("roles", [{"value": "Boss"}, {"value": "Agent"}], [{"value": "Agent"}])]
        ),
        build_change("Group/Left", removed=["gone@x"], source=Source("groups.yaml", 20), reason=Reason.DRIFTED),
        build_change("User/off@x", Action.DEACTIVATE, attributes=[("active", True, False)]),
        build_change("User/dead@x", Action.DELETE),
        gains=[AccessChange("new@x", "Everyone", ("Joined",))],
        losses=[AccessChange("gone@x", "Everyone", ("Left",))],
        findings=[Finding(code="protected-empty", message="nothing is protected")],
        guards=[passed("nesting")],
    )


def test_what_takes_access_away_stands_before_all_that_adds() -> None:
    """Incident: comment too long, posted without the deletions (tfaction #2816, tfcmt #227)."""
    report = render_plan(mixed_plan(), Format.TEXT)
    assert in_this_order(
        report,
        [
            "Loses access (4)",
            "User/roleless@x",
            'roles  - "Boss"',
            "Group/Left",
            "- gone@x",
            "User/off@x  deactivate",
            "active  true -> false",
            "User/dead@x  delete",
            "Memberships lost",
            "Group/Everyone: 1",
            "- gone@x (via Left)",
            "Reactivates (1)",
            "Creates (1)",
            "Updates (1)",
            "Adds members (1 in 1 group)",
            "+ new@x",
            "Memberships gained",
            "Findings",
            "protected-empty",
            "Plan: ",
            "digest sha256:",
            "reconciler apply acme-prod --expect-digest sha256:",
        ],
    )
    assert 'roles  - "Agent"' not in report


def test_in_markdown_too_removals_stand_first() -> None:
    """A comment that is cut loses what was folded anyway, not what takes access away."""
    report = render_plan(mixed_plan(), Format.MARKDOWN)
    assert report.index("Loses access (4)") < report.index("`dead@x`" if "`dead@x`" in report else "dead@x")
    assert report.index("dead@x") < report.index("Memberships lost") < report.index("<details")
    assert '− `"Boss"`' in report


def test_each_change_names_its_source_and_reason() -> None:
    """A reviewer can open the line that asks for it."""
    report = render_plan(mixed_plan(), Format.TEXT)
    assert lines_with(report, "Group/Left", "groups.yaml:20", "drifted")
    assert lines_with(report, "User/upd@x", "people.yaml:7", "declared")


def test_attributes_are_aligned_from_before_to_after() -> None:
    """Two columns that the eye can follow."""
    report = render_plan(mixed_plan(), Format.TEXT)
    assert '      title           "A" -> "Lead"\n      name.givenName  "Al" -> "Ann"\n' in report


def test_a_multi_valued_attribute_shows_what_comes_and_goes() -> None:
    """RFC 7643 section 2.4: a set of values; what stays is not repeated."""
    before = [{"value": "a@x", "type": "work"}, {"value": "b@x"}]
    report = render_plan(
        build_plan(build_change("User/a", attributes=[("emails", before, [*before[1:], {"value": "c@x"}])])),
        Format.TEXT,
    )
    assert '      emails  - {value: "a@x", type: "work"}\n              + "c@x"\n' in report
    assert '"b@x"' not in report


@READABLE
def test_nothing_that_takes_away_is_ever_folded(format_: Format) -> None:
    """Incident: comment too long, posted without the deletions. Complete, however many there are."""
    plan = build_plan(
        build_change("Group/Big", removed=[f"member-{n}@x" for n in range(700)]),
        *(build_change(f"User/off-{n}@x", Action.DEACTIVATE, attributes=[("active", True, False)]) for n in range(700)),
        *(build_change(f"User/clear-{n}@x", attributes=[("title", "Boss", None)]) for n in range(700)),
        losses=[AccessChange(f"lost-{n}@x", "Top") for n in range(700)],
    )
    report = render_plan(plan, format_)
    for n in range(700):
        for name in (f"member-{n}@x", f"User/off-{n}@x", f"User/clear-{n}@x", f"lost-{n}@x"):
            assert name in report


@READABLE
def test_many_creates_are_told_by_numbers(format_: Format) -> None:
    """A plan of thousands fits on a screen; roles given are counted, and json has them all."""
    roles = [("roles", None, [{"value": "Agent"}])]
    plan = build_plan(
        *(
            build_change(f"User/u{n}@x", Action.CREATE, attributes=roles, source=Source("hr.yaml", n + 1))
            for n in range(5000)
        ),
        build_change("User/boss@x", Action.CREATE, source=Source("boss.yaml", 1)),
    )
    report = render_plan(plan, format_)
    assert len(report) < 5000
    assert "5,000" in report
    assert 'roles "Agent": 5,000' in report
    assert "hr.yaml" in report
    assert "User/boss@x" in report
    assert "5,001 users to create" in report
    assert len(json.loads(render_plan(plan, Format.JSON))["changes"]) == 5001


@READABLE
def test_many_creates_in_many_files_are_counted_file_by_file(format_: Format) -> None:
    """A team a file is how people lay out their folders; a file with one or two stays legible in full."""
    plan = build_plan(
        *(
            build_change(f"User/u{n}@x", Action.CREATE, source=Source(f"team-{n % 12}.yaml", n + 1), attributes=[])
            for n in range(144)
        ),
        build_change("User/boss@x", Action.CREATE, source=Source("boss.yaml", 1), attributes=[("title", None, "Boss")]),
    )
    report = render_plan(plan, format_)
    assert all(lines_with(report, "12", f"team-{n}.yaml") for n in range(12))
    assert lines_with(report, "User/boss@x", "boss.yaml:1")
    assert "u143@x" not in report


@READABLE
def test_who_is_created_inactive_loses_nothing(format_: Format) -> None:
    """There was no access to lose: the section that reviewers read first stays for those who do."""
    plan = build_plan(build_change("User/new@x", Action.CREATE, attributes=[("active", None, False)]))
    report = render_plan(plan, format_)
    assert "Loses access" not in report
    assert lines_with(report, "active", "false")


def test_many_members_are_shortened_and_many_groups_counted_by_file() -> None:
    """Additions only."""
    big = build_change("Group/Big", added=[f"m{n:03}@x" for n in range(500)], source=Source("a.yaml", 1))
    many = [build_change(f"Group/g{n}", added=["m@x", "n@x"], source=Source("b.yaml", n + 1)) for n in range(300)]
    report = render_plan(build_plan(big, *many), Format.TEXT)
    assert in_this_order(
        report,
        ["Adds members (1,100 in 301 groups)", "m000@x", "... and 490 more", "300 groups in b.yaml", "600 memberships"],
    )
    assert "m499@x" not in report


def test_many_updates_are_counted_by_attribute() -> None:
    """Unless one of them takes something away, which stays listed."""
    updates = [build_change(f"User/u{n}@x", attributes=[("title", "A", "B")]) for n in range(500)]
    cleared = build_change("User/cleared@x", attributes=[("title", "A", None)])
    report = render_plan(build_plan(*updates, cleared), Format.TEXT)
    assert in_this_order(report, ["User/cleared@x", '"A" -> (none)', "500 users in people.yaml", "title: 500"])
    assert "User/u9@x" not in report


def test_gains_are_shortened_except_those_of_protected_groups() -> None:
    """A reviewer of privileged access sees every name."""
    gains = [AccessChange(f"{group}-{n}@x", group) for group in ("Agents", "Supervisors") for n in range(100)]
    report = render_plan(
        build_plan(build_change("Group/Agents"), gains=gains),
        Format.TEXT,
        protected=["group:supervisors", "role:Admin"],
    )
    assert "Group/Agents: 100" in report
    assert "... and 95 more" in report
    assert "Agents-99@x" not in report
    assert "Group/Supervisors (protected): 100" in report
    assert all(f"Supervisors-{n}@x" in report for n in range(100))


@READABLE
def test_a_refusing_guard_names_the_option_that_admits_exactly_this(format_: Format) -> None:
    """P10: guards name themselves and are overridden one at a time; the plan is rendered in full all the same."""
    plan = replace(
        mixed_plan(),
        guards=(
            refused("removal-share", count=3, limit=1, detail="3 of 20 users"),
            refused("drifted-reactivation"),
            passed("nesting"),
        ),
    )
    report = render_plan(plan, format_)
    assert lines_with(report, "removal-share", "3 of 20 users", "3 planned, 1 admitted")
    assert "--allow removal-share=3" in report
    assert lines_with(report, f"--expect-digest {plan.digest} --allow removal-share=3 --allow drifted-reactivation")
    assert "RECONCILER_ALLOW" in report
    assert "User/dead@x" in report


@READABLE
@pytest.mark.parametrize("guard", ["incomplete-inventory", "nesting"])
def test_a_guard_without_override_offers_none(format_: Format, guard: str) -> None:
    """SPEC section 8: no override."""
    report = render_plan(
        replace(mixed_plan(), guards=(refused(guard, count=1), refused("access-loss", count=9))), format_
    )
    assert "nothing lets it through" in report
    assert f"--allow {guard}" not in report
    assert "reconciler apply" not in report


@READABLE
@pytest.mark.parametrize("cure", ["--first-run", "--continue-from 0123"])
def test_no_base_offers_what_cures_it_and_never_allow(format_: Format, cure: str) -> None:
    """SPEC section 8: a missing ledger asks for --first-run, everything else for a person's look at the ledger."""
    detail = f"the ledger is not what it was: `apply {cure}`"
    report = render_plan(replace(mixed_plan(), guards=(refused("no-base", detail=detail),)), format_)
    assert ("nothing lets it through" in report) is (cure != "--first-run")
    assert "--allow no-base" not in report


@READABLE
@pytest.mark.parametrize("code", ["configuration", "pending", "members-unreadable"])
def test_what_is_not_as_git_says_is_not_called_a_match(format_: Format, code: str) -> None:
    """Asserted drift, people who are still to come, members nobody can see: nothing to do, yet no match."""
    report = render_plan(build_plan(findings=[Finding(code=code, message="it differs")]), format_)
    assert "matches git" not in report
    assert "not all is as git says" in report
    assert "matches git" in render_plan(build_plan(findings=[Finding(code="cosmetic", message="case")]), format_)


@READABLE
def test_people_who_are_still_to_come_are_counted(format_: Format) -> None:
    """`people: external`: whoever reads one line knows that something waits; groups are told, not counted."""
    told = [
        Finding(code="pending", message="members stay", key="Group/Team"),
        Finding(code="pending", message="not in the tenant yet", key="User/eve"),
        Finding(code="pending", message="externalId hr-9 is not in the tenant yet"),
    ]
    assert lines_with(render_plan(build_plan(findings=told), format_), "unchanged", "2 users pending")
    assert "pending" not in render_plan(build_plan(), format_)


@READABLE
def test_many_findings_of_one_code_are_told_by_number(format_: Format) -> None:
    """Thousands of people who are to come bury nothing; the other codes are still all there, and JSON has everyone."""
    many = [Finding(code="pending", message="not in the tenant yet", key=f"User/p{n:03}") for n in range(1000)]
    plan = build_plan(findings=[*many, Finding(code="no-protected", message="nothing is protected")])
    report = render_plan(plan, format_)
    assert len(lines_with(report, "not in the tenant yet")) == 20
    assert lines_with(report, "pending", "and 980 more")
    assert lines_with(report, "nothing is protected")
    assert len(lines_with(report, "1,000 users pending")) == 1
    assert len(json.loads(render_plan(plan, Format.JSON))["findings"]) == 1001
    few = build_plan(findings=many[:40])
    assert len(lines_with(render_plan(few, format_), "not in the tenant yet")) == 40


@READABLE
def test_a_guard_that_refuses_an_empty_plan_is_shown(format_: Format) -> None:
    """`empty-desired` may refuse where nothing would be done; that is no match with git."""
    report = render_plan(build_plan(guards=[refused("empty-desired", detail="git declares no users")]), format_)
    assert "git declares no users" in report
    assert "matches git" not in report


@READABLE
def test_an_overridden_guard_stays_visible(format_: Format) -> None:
    """P10: an override is written down."""
    guard = GuardVerdict(id="access-loss", verdict=Verdict.OVERRIDDEN, detail="9 users", count=9, limit=5)
    report = render_plan(replace(mixed_plan(), guards=(guard,)), format_)
    assert "verridden" in report
    assert lines_with(report, "access-loss", "9 users", "9 planned, 5 admitted")


@READABLE
def test_what_an_override_in_git_admits_needs_no_option(format_: Format) -> None:
    """The command to type repeats `--allow` only for what nothing in git lets through."""
    by_git = GuardVerdict(
        id="access-loss", verdict=Verdict.OVERRIDDEN, detail="9 users", count=9, limit=5, override="acme/o.yaml:1"
    )
    by_option = GuardVerdict(id="churn", verdict=Verdict.OVERRIDDEN, detail="60 users", count=60, limit=50)
    report = render_plan(replace(mixed_plan(), guards=(by_git, by_option)), format_)
    assert "--allow churn=60" in report
    assert "--allow access-loss" not in report


@READABLE
def test_unguarded_changes_are_said_loudly(format_: Format) -> None:
    """P3: plan and report name the kind of guard each change has; an unguarded one is never a silent gap."""
    plan = build_plan(
        build_change("User/a@x", attributes=[("title", "A", "B")], guard=PreconditionKind.UNGUARDED),
        build_change("User/b@x", attributes=[("title", "A", "B")], guard=PreconditionKind.COMPARE),
        build_change("User/c@x", attributes=[("title", "A", "B")]),
    )
    report = render_plan(plan, format_)
    assert lines_with(report, "UNGUARDED", "1 of 3 changes")
    assert lines_with(report, "User/b@x", "read and compared before writing")
    assert len(lines_with(report, "User/a@x", "UNGUARDED")) + len(lines_with(report, "UNGUARDED: nothing stops")) == 1


def test_an_irreversible_change_says_so() -> None:
    """What cannot be undone deserves a second look."""
    report = render_plan(build_plan(build_change("User/a@x", Action.DELETE, reversible=False)), Format.TEXT)
    assert lines_with(report, "User/a@x", "cannot be undone")


def test_the_next_command_names_the_saved_plan_and_its_seal() -> None:
    """SPEC section 7: `--plan FILE --expect-seal S`; the file name is quoted for a shell."""
    plan = mixed_plan()
    report = render_plan(plan, Format.TEXT, saved_as="out dir/plan.json")
    assert report.endswith(
        f"apply acme-prod --plan 'out dir/plan.json' --expect-seal {plan_to_document(plan)['seal']}\n"
    )


def test_a_service_without_versions_or_bulk_is_told() -> None:
    """SPEC section 4: features that the service does not have are worked around, and the plan says which way."""
    capabilities = Capabilities(bulk=False, etag=False, patch=False, notes=("groups are read one by one",))
    report = render_plan(build_plan(capabilities=capabilities), Format.TEXT)
    assert lines_with(report, "no bulk", "no PATCH", "NO versions")
    assert "groups are read one by one" in report


@READABLE
@pytest.mark.parametrize("path", ["password", "urn:example:2.0:User:apiToken", "clientSecret"])
def test_values_of_attributes_named_like_secrets_are_hidden(format_: Format, path: str) -> None:
    """P11, as a second net: no secret belongs in a plan in the first place."""
    change = build_change(
        "User/a@x", attributes=[(path, "old-hunter", "new-hunter"), ("x", None, {path.rpartition(":")[2]: "hunter"})]
    )
    report = render_plan(build_plan(change), format_)
    assert "hunter" not in report
    assert "(hidden)" in report


def test_a_flag_is_no_secret() -> None:
    """RFC 7643 section 5: changePassword.supported is a configuration option worth reviewing."""
    change = build_change("ServiceProviderConfig/", attributes=[("changePassword.supported", True, False)])
    assert "changePassword.supported  true -> false" in render_plan(build_plan(change), Format.TEXT)


def test_long_values_are_shortened_for_people_and_whole_in_json() -> None:
    """Beginning, end and length tell two long values apart."""
    change = build_change("User/a@x", attributes=[("title", None, "a" * 4000 + "end")])
    report = render_plan(build_plan(change), Format.TEXT)
    assert len(max(report.splitlines(), key=len)) < 300
    assert 'aend" (4,005 characters)' in report
    assert "a" * 4000 in render_plan(build_plan(change), Format.JSON)


def test_color_is_styling_only() -> None:
    """Without it the same text; and what takes access away is red."""
    plain, colored = (render_plan(mixed_plan(), Format.TEXT, color=color) for color in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert "\x1b[1;31m- gone@x\x1b[0m" in colored


@settings(max_examples=60)
@given(plan=plans())
def test_no_value_can_paint_on_the_terminal_or_fake_a_line(plan: Plan) -> None:
    """Incident: attribute values rendered unescaped. Control characters, overrides and line breaks are spelled out."""
    report = render_plan(plan, Format.TEXT)
    assert all(line.replace("\u3000", "").isprintable() for line in report.split("\n"))
    styled = render_plan(plan, Format.TEXT, color=True)
    assert re.sub(r"\x1b\[(?:0|1;31|33|32|1|2)m", "", styled) == report


@settings(max_examples=60)
@given(plan=plans())
def test_json_is_the_sealed_document_on_one_line(plan: Plan) -> None:
    """SPEC section 5: one object per tenant, one per line."""
    line = render_plan(plan, Format.JSON)
    assert line.count("\n") == 1
    assert line[:-1].replace("\u3000", "").isprintable()
    assert json.loads(line) == plan_to_document(plan)


@READABLE
def test_a_report_that_does_not_fit_counts_what_only_adds(format_: Format) -> None:
    """INCIDENTS "Comment too long": suzuki-shunsuke/tfaction #2816; tfcmt #227.

    Shorter and shorter, and what takes something away is in all of them.
    """
    creates = [build_change(f"User/new-{number}@x", attributes=[("title", None, "T" * 90)]) for number in range(90)]
    gone = [
        build_change(f"User/gone-{number}@x", action=Action.DEACTIVATE, attributes=[("active", True, False)])
        for number in range(30)
    ]
    plan = build_plan(*creates, *gone)
    whole = render_plan(plan, format_)
    short = render_plan(plan, format_, most=len(whole) - 1)
    assert len(short) < len(whole)
    assert all(f"gone-{number}@x" in short for number in range(30))
    assert render_plan(plan, format_, most=len(whole)) == whole


@READABLE
def test_a_report_that_never_fits_is_an_error_and_not_cut(format_: Format) -> None:
    """INCIDENTS "Comment too long": suzuki-shunsuke/tfaction #2816; tfcmt #227.

    Deletions are complete, or the check fails.
    """
    gone = [
        build_change(f"User/gone-{number}@x", action=Action.DEACTIVATE, attributes=[("active", True, False)])
        for number in range(60)
    ]
    with pytest.raises(ReportTooLong) as caught:
        render_plan(build_plan(*gone), format_, most=500)
    assert "room for 500" in caught.value.message
