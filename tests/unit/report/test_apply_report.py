"""What the report of a run says: every change has its outcome, and success is proven (P6, P8)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.loader import parse
from reconciler.model.change import Action
from reconciler.model.outcome import ApplyResult, ChangeResult, Disagreement, Outcome, Residual, ResidualCause
from reconciler.planfile import receipt_to_document
from reconciler.report.render import Format, render_apply
from reconciler.report.values import identity
from tests.builders import TARGET, TENANT, build_change, build_plan

READABLE = pytest.mark.parametrize("format_", [Format.TEXT, Format.MARKDOWN])


def result_of(
    *results: ChangeResult, residual: tuple[Residual, ...] = (), proven: bool = True, interrupted: bool = False
) -> ApplyResult:
    """The result of a run."""
    return ApplyResult(
        run="20250102T030405Z-1a2b",
        tenant=TENANT,
        target=TARGET,
        commit=None,
        digest="sha256:" + "0" * 64,
        started="2025-01-02T03:04:05Z",
        ended="2025-01-02T03:04:09Z",
        results=results,
        residual=residual,
        proven=proven,
        requests=3,
        interrupted=interrupted,
    )


def report_of(result: ApplyResult, format_: Format = Format.TEXT) -> str:
    """Its report."""
    return render_apply(result, build_plan(*(item.change for item in result.results)), format_)


APPLIED = ChangeResult(change=build_change("User/a@x", Action.CREATE), outcome=Outcome.APPLIED, id="1")
CONFLICT = ChangeResult(
    change=build_change("User/b@x"),
    outcome=Outcome.CONFLICT,
    disagreements=(Disagreement("title", "Agent", "Lead", "Senior Agent"),),
)


def test_a_proven_run_ends_with_the_proof_and_nothing_left_to_do() -> None:
    """P8: the touched resources were read again and re-plan to nothing."""
    report = report_of(result_of(APPLIED))
    assert "Applied: 1 user created" in report
    assert "Proven: 1 resource read again, 0 differences" in report
    assert report.endswith("acme-prod matches what was approved. Nothing is left to do.\n")


@READABLE
def test_a_conflict_shows_approved_now_and_would_be(format_: Format) -> None:
    """SPEC 7.6: reported as approved / now / would-be and left alone."""
    report = report_of(result_of(APPLIED, CONFLICT), format_).replace("`", "")
    lines = [" ".join(line.replace("- ", "").split()) for line in report.splitlines()]
    at = lines.index("title")
    assert lines[at + 1 : at + 4] == ['approved "Agent"', 'now "Lead"', 'would be "Senior Agent"']
    assert "1 applied, 1 in conflict" in report
    assert "reconciler plan acme-prod" in report


@READABLE
def test_every_change_that_was_not_applied_is_named_with_its_cause(format_: Format) -> None:
    """Incident: "62 changes applied", one had landed (octodns #985, #963)."""
    failed = [
        ChangeResult(change=build_change(f"User/f{n}@x", Action.CREATE), outcome=Outcome.FAILED, cause="quota exceeded")
        for n in range(500)
    ]
    unknown = ChangeResult(
        change=build_change("User/u@x", Action.CREATE), outcome=Outcome.UNKNOWN, cause="no answer came"
    )
    skipped = ChangeResult(change=build_change("Group/g"), outcome=Outcome.NOT_ATTEMPTED, cause="waits for a create")
    report = report_of(result_of(*failed, APPLIED, skipped, unknown), format_)
    assert all(f"User/f{n}@x" in report for n in range(500))
    assert report.count("quota exceeded") == 1
    assert report.index("no answer came") < report.index("quota exceeded") < report.index("waits for a create")
    assert "1 applied, 500 failed, 1 not attempted, 1 unknown" in report
    assert "may or may not have arrived" in report


@READABLE
def test_a_residual_is_no_success(format_: Format) -> None:
    """P8: what reads differently after apply is shown, declared against read."""
    cause, advice = ResidualCause.NOT_STORED, "do not declare it"
    residual = Residual(key="User/a@x", path="title", expected="Agent", found=None, cause=cause, advice=advice)
    report = report_of(result_of(APPLIED, residual=(residual,)), format_)
    assert "1 resource read again, 1 difference" in report
    for word in ("(none)", "not-stored", "do not declare it"):
        assert word in report
    assert "Nothing is left" not in report
    assert "tenant.yaml" not in report


def _rewritten(sent: object, stored: object, path: str = "title", key: str = "User/a@x") -> Residual:
    return Residual(
        key=key,
        path=path,
        expected=sent,
        found=stored,
        cause=ResidualCause.REWRITTEN,
        advice="add its line to equivalences",
        equivalences={path: ((sent, stored),)},
    )


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


@given(pairs=st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=4), known=st.tuples(PLAIN, PLAIN))
def test_the_block_to_paste_is_read_back_as_the_pairs_it_stands_for(
    pairs: list[tuple[object, object]], known: tuple[object, object]
) -> None:
    """SPEC section 4: whatever the texts hold, tenant.yaml then says exactly what was sent and what was stored."""
    residual = tuple(_rewritten(sent, stored) for sent, stored in pairs)
    told = replace(result_of(APPLIED, residual=residual), equivalences={"userType": (known,)})
    lines = report_of(told).splitlines()
    start = lines.index("equivalences:")
    parsed = parse("\n".join(lines[start : lines.index("", start)]))
    assert not parsed.faults
    [document] = parsed.documents
    read = {
        path: {(identity(pair["sent"]), identity(pair["stored"])) for pair in listed}
        for path, listed in document.value["equivalences"].items()
    }
    assert read == {
        "userType": {(identity(known[0]), identity(known[1]))},
        "title": {(identity(sent), identity(stored)) for sent, stored in pairs},
    }


def test_a_value_that_is_named_like_a_secret_is_not_offered_to_paste() -> None:
    """P11: the report of a run goes into logs."""
    report = report_of(result_of(APPLIED, residual=(_rewritten("s3cret", "S3CRET", path="apiToken"),)))
    assert "s3cret" not in report.lower()
    assert "(hidden)" in report


@READABLE
def test_what_happened_to_many_alike_is_told_once_and_counted(format_: Format) -> None:
    """A service that drops an attribute drops it of everybody: the advice is one, and some examples do."""
    residual = tuple(_rewritten("Agent", "agent", key=f"User/u{number}@x") for number in range(2_000))
    report = report_of(result_of(APPLIED, residual=residual), format_)
    assert "2,000 users" in report
    assert report.count("add its line to equivalences") == 1
    assert report.count('{sent: "Agent", stored: "agent"}') == 1
    assert "all of them in the receipt" in report
    assert len(report.splitlines()) < 100


def test_the_block_to_paste_has_an_end() -> None:
    """A service that makes something else of everybody's name is cured in git, not by a hundred thousand pairs."""
    residual = tuple(_rewritten(f"Agent {number}", f"agent {number}") for number in range(1_500))
    report = report_of(result_of(APPLIED, residual=residual))
    assert report.count("{sent: ") == 1_000
    assert "# and 500 more, all of them in the receipt" in report


@READABLE
def test_an_unproven_run_says_so(format_: Format) -> None:
    """Nobody guesses that it worked."""
    report = report_of(result_of(APPLIED, proven=False, interrupted=True), format_)
    assert "Not proven" in report
    assert "nterrupted" in report
    assert "Nothing is left" not in report


@READABLE
def test_a_rebased_change_is_named(format_: Format) -> None:
    """SPEC 7.6: what does not touch managed attributes is rebased, and the report says whose values were kept."""
    rebased = ChangeResult(change=build_change("User/r@x"), outcome=Outcome.APPLIED, rebased=True)
    report = report_of(result_of(rebased), format_)
    assert "1 rebased" in report
    assert "User/r@x" in report
    assert "their values were kept" in report


def test_json_is_the_receipt_on_one_line() -> None:
    """SPEC section 7."""
    result = result_of(APPLIED, CONFLICT)
    line = render_apply(result, build_plan(), Format.JSON)
    assert line.count("\n") == 1
    assert json.loads(line) == receipt_to_document(result, public=False)
    assert "a@x" not in render_apply(result, build_plan(), Format.JSON, public=True)
