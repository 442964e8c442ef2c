"""Plan files: what is written is read back, and what was touched on the way is refused (SPEC section 6, P2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from reconciler.errors import InvalidPlanFile
from reconciler.model.change import Action, Change, PreconditionKind
from reconciler.model.outcome import ApplyResult, ChangeResult, Disagreement, Outcome, Residual, ResidualCause
from reconciler.model.plan import AccessChange, GuardVerdict, Plan, Verdict
from reconciler.planfile import (
    MAX_DEPTH,
    check_plan_is_for,
    dump_plan,
    dump_receipt,
    load_plan,
    plan_to_document,
    read_plan,
    receipt_to_document,
    seal,
)
from reconciler.schemas import checker
from reconciler.semantics.canonical import MANAGER_PATH
from reconciler.semantics.digest import plan_digest
from tests.builders import TARGET, TENANT, build_change, build_plan, passed, plans, refused

Document = dict[str, Any]
Edit = Callable[[Document], object]


def a_plan() -> Plan:
    """A plan with one change of every sort that an attacker would like to touch."""
    return build_plan(
        build_change("User/jane@example.com", Action.DEACTIVATE, attributes=[("active", True, False)]),
        build_change("User/ann@example.com", Action.CREATE, attributes=[("title", None, "Agent")]),
        build_change("Group/Support", added=["ann@example.com"], removed=["jane@example.com"]),
        gains=[AccessChange("ann@example.com", "Support")],
        guards=[refused("removal-share", count=3, limit=1), passed("nesting")],
    )


def encoded(document: Document) -> bytes:
    """The document as some editor would save it."""
    return json.dumps(document, indent=4).encode()


def edited(edit: Edit, *, resealed: bool) -> bytes:
    """The file of `a_plan` after an edit, sealed again by whoever edited it or not."""
    document = json.loads(dump_plan(a_plan()))
    edit(document)
    if resealed:
        document["seal"] = seal(document)
    return encoded(document)


def refusal(data: bytes, *, expect_seal: str | None = None) -> InvalidPlanFile:
    """The refusal that reading the file ends in."""
    with pytest.raises(InvalidPlanFile) as caught:
        load_plan(data, expect_seal=expect_seal)
    return caught.value


@given(plan=plans())
def test_a_plan_is_read_back_as_it_was_written(plan: Plan) -> None:
    """Whatever text a directory holds; and the file satisfies the published schema."""
    data = dump_plan(plan)
    assert read_plan(data) == plan
    assert load_plan(data, expect_seal=plan_to_document(plan)["seal"]) == plan


def test_a_plan_file_says_which_override_let_a_guard_pass() -> None:
    """P10: it is written down; a guard that needed none says nothing of it."""
    verdict = GuardVerdict(
        id="churn", verdict=Verdict.OVERRIDDEN, detail="why", count=9, limit=5, override="acme/o.yaml:1"
    )
    plan = build_plan(guards=[verdict, passed("nesting")])
    assert read_plan(dump_plan(plan)) == plan
    first, second = plan_to_document(plan)["guards"]
    assert first["override"] == "acme/o.yaml:1"
    assert "override" not in second


@given(plan=plans())
def test_the_same_plan_gives_the_same_bytes(plan: Plan) -> None:
    """P12, and a file that is no danger on a terminal: every character in it is printable."""
    data = dump_plan(plan)
    assert data == dump_plan(read_plan(data))
    text = data.decode()
    assert text.endswith("}\n")
    assert all(character in {"\n", "\u3000"} or character.isprintable() for character in text)


def test_document_has_the_members_of_the_specification_in_their_order() -> None:
    """SPEC section 6 lists them; a reader finds them where the specification has them."""
    document = plan_to_document(a_plan())
    assert list(document) == [
        "formatVersion", "tool", "tenant", "target", "createdAt", "desired", "inventory", "capabilities", "summary",
        "changes", "access", "findings", "guards", "estimate", "digest", "seal",
    ]  # fmt: skip
    assert document["changes"][2]["attributes"] == [
        {"path": "members", "added": ["ann@example.com"], "removed": ["jane@example.com"]}
    ]
    assert document["changes"][2]["references"] == {
        "ann@example.com": "anchor-ann@example.com",
        "jane@example.com": "anchor-jane@example.com",
    }


def test_each_change_stands_on_one_line() -> None:
    """So that two plan files can be compared with diff."""
    lines = dump_plan(a_plan()).decode().splitlines()
    assert len([line for line in lines if line.startswith('    {"key": ')]) == 3


def test_an_edited_file_is_refused_by_its_seal() -> None:
    """Damage and careless edits show without anything else being known."""
    error = refusal(edited(lambda document: document.update(createdAt="2030-01-01T00:00:00Z"), resealed=False))
    assert error.message == "the plan file was changed after it was made"
    assert error.hint


def swap_id(document: Document) -> None:
    """Sends the deactivation to somebody else; ids are not covered by the digest."""
    document["changes"][0]["id"] = "id-of-the-director"


def pass_guard(document: Document) -> None:
    """Makes a refused plan look harmless."""
    document["guards"][0]["verdict"] = "pass"


def drop_loss(document: Document) -> None:
    """Hides a removal from the summary."""
    document["summary"]["membershipsRemoved"] = 0


@pytest.mark.parametrize("edit", [swap_id, pass_guard, drop_loss])
def test_an_edited_and_resealed_file_is_not_the_approved_one(edit: Edit) -> None:
    """P2: what no digest covers is covered by the seal that was approved (issue 2, criterion 6)."""
    approved = plan_to_document(a_plan())["seal"]
    data = edited(edit, resealed=True)
    assert read_plan(data) != a_plan()
    assert refusal(data, expect_seal=approved).message == "this is not the plan that was approved"


def edit_attribute(document: Document) -> None:
    """Approved as an agent, applied as an administrator."""
    document["changes"][1]["attributes"][0]["after"] = "Administrator"


def edit_members(document: Document) -> None:
    """One more member than was approved."""
    document["changes"][2]["attributes"][0]["added"].append("eve@example.com")


def edit_anchor(document: Document) -> None:
    """The same name, another person."""
    document["changes"][0]["anchor"] = "hr-0001"


def edit_reference(document: Document) -> None:
    """The same label, another person behind it."""
    document["changes"][2]["references"]["ann@example.com"] = "hr-6666"


def edit_action(document: Document) -> None:
    """A deletion approved as a deactivation."""
    document["changes"][0]["action"] = "delete"


def unguard(document: Document) -> None:
    """A blind write approved as a guarded one (P3)."""
    document["changes"][0]["precondition"] = {"kind": "unguarded", "value": None}


def edit_target(document: Document) -> None:
    """Approved for one service, applied to another."""
    document["target"] = "https://other.api.example.com/scim/v2"


def edit_tenant(document: Document) -> None:
    """Approved for one tenant, applied to another."""
    document["tenant"] = "acme-test"


@pytest.mark.parametrize(
    "edit",
    [edit_attribute, edit_members, edit_anchor, edit_reference, edit_action, unguard, edit_target, edit_tenant],
)
def test_an_edited_change_is_refused_by_its_digest(edit: Edit) -> None:
    """What a reviewer judged is covered by the digest of the change, whoever sealed the file (SPEC section 6)."""
    assert "digest" in refusal(edited(edit, resealed=True)).message


def drop_change(document: Document) -> None:
    """An approved revocation that silently does not happen."""
    del document["changes"][0]


def swap_changes(document: Document) -> None:
    """Another order of effect."""
    document["changes"].reverse()


def edit_gains(document: Document) -> None:
    """Access that nobody approved."""
    document["access"]["gains"].append({"user": "eve@example.com", "group": "Admins", "via": []})


@pytest.mark.parametrize("edit", [drop_change, swap_changes, edit_gains])
def test_other_changes_or_gains_are_refused_by_the_plan_digest(edit: Edit) -> None:
    """The digest of a plan covers its ordered changes and the access it gives (SPEC section 6)."""
    assert "its digest is not the digest of its changes" in refusal(edited(edit, resealed=True)).message


def test_two_changes_for_one_resource_are_refused() -> None:
    """Which of them was approved would be anybody's guess, even with true digests."""
    change = a_plan().changes[0]
    twice = (change, replace(change, reversible=False))
    plan = replace(a_plan(), changes=twice, digest=plan_digest([change.digest] * 2, a_plan().access.gains))
    assert "two changes for one resource" in refusal(dump_plan(plan)).message


@pytest.mark.parametrize(
    "version", ["2.0", "0.9", "10.0", "1", "1.0.0", "", "x", "1.x", "-1.0", "١.٠", 1, None, []], ids=repr
)
def test_an_unknown_major_version_is_refused(version: Any) -> None:
    """Nothing is guessed about a format that is not known (issue 2, criterion 6)."""
    error = refusal(edited(lambda document: document.update(formatVersion=version), resealed=True))
    assert "version" in error.message + (error.context or "")


def test_a_newer_minor_version_may_have_more_members() -> None:
    """A minor version only adds; what it adds is ignored, and everything else still has to be right."""

    def add(document: Document) -> None:
        document["formatVersion"] = "1.7"
        document["weather"] = "fine"
        document["changes"][0]["ticket"] = 17

    data = edited(add, resealed=True)
    assert read_plan(data) == a_plan()
    document = json.loads(data)
    del document["tenant"]
    assert "/: tenant is missing" in (refusal(encoded(document)).context or "")


def test_an_unknown_member_of_our_own_version_is_refused_with_its_place() -> None:
    """A misspelt or smuggled member is no member of version 1.0."""
    error = refusal(edited(lambda document: document["changes"][1].update(force=True), resealed=True))
    assert error.context is not None
    assert "/changes/1/force" in error.context


def test_a_manager_that_is_no_label_is_refused() -> None:
    """The digest looks the label up; a list there must end in a refusal, not in a traceback."""

    def edit(document: Document) -> None:
        document["changes"][1]["attributes"][0] = {"path": MANAGER_PATH, "before": None, "after": [["x"]]}

    assert "form of a plan" in refusal(edited(edit, resealed=True)).message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"null",
        b"[]",
        b"{}",
        b'"plan"',
        b'{"formatVersion": "1.0"}',
        b'{"formatVersion": NaN}',
        b'{"formatVersion": "1.0", "tenant": -Infinity}',
        b'{"formatVersion": ' + b"9" * 5000 + b"}",
        b'{"formatVersion": "1.0", "tool": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"formatVersion": "1.0", "x": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b'{"formatVersion": "1.0", "formatVersion": "1.0"}',
        b'{"formatVersion": "1.0", "x": {"id": 1, "id": 2}}',
    ],
    ids=range(19),
)
def test_what_is_no_plan_is_refused_in_words(data: bytes) -> None:
    """Never a traceback: message and hint, and a context that is fit for a terminal."""
    error = refusal(data)
    assert error.message.startswith("the plan file cannot be used: ")
    assert error.hint is not None
    assert (error.context or "").isprintable()


def test_duplicate_keys_are_named() -> None:
    """Two readers of one file must not see two plans."""
    data = dump_plan(a_plan()).replace(b'"tool": ', b'"seal": "x", "tool": ', 1)
    assert "'seal' occurs twice" in (refusal(data).context or "")


@pytest.mark.parametrize("expected", ["", "sha256:", "sha256:" + "0" * 64, "\ud800", "é"])
def test_any_other_seal_is_refused(expected: str) -> None:
    """Also one that is no seal at all."""
    assert refusal(dump_plan(a_plan()), expect_seal=expected).message == "this is not the plan that was approved"


@pytest.mark.parametrize(("tenant", "target"), [("acme-test", TARGET), (TENANT, "https://other.example.com/scim/v2")])
def test_a_plan_for_somebody_else_is_refused(tenant: str, target: str) -> None:
    """A plan knows its target and is good for no other."""
    with pytest.raises(InvalidPlanFile, match="made for another"):
        check_plan_is_for(a_plan(), tenant=tenant, target=target)


def test_a_plan_for_this_target_is_welcome() -> None:
    """The same tenant at the same base URL."""
    check_plan_is_for(a_plan(), tenant=TENANT, target=TARGET)


# The receipt of a run.


def a_result() -> ApplyResult:
    """One of every outcome, and something that did not read back."""
    deactivated, created, group = a_plan().changes
    failed: Change = build_change("User/eve@example.com", Action.CREATE, guard=PreconditionKind.ABSENT)
    return ApplyResult(
        run="20250102T030405Z-1a2b",
        tenant=TENANT,
        target=TARGET,
        commit="c" * 40,
        digest=a_plan().digest,
        started="2025-01-02T03:04:05Z",
        ended="2025-01-02T03:04:09Z",
        results=(
            ChangeResult(change=deactivated, outcome=Outcome.APPLIED, version='W/"4"'),
            ChangeResult(change=created, outcome=Outcome.APPLIED, id="u-77"),
            ChangeResult(
                change=group,
                outcome=Outcome.CONFLICT,
                disagreements=(Disagreement("displayName", "Support", "Jane's team", "Support"),),
            ),
            ChangeResult(change=failed, outcome=Outcome.FAILED, cause="400 for eve@example.com"),
        ),
        residual=(
            Residual(
                key="User/ann@example.com",
                path='emails[value eq "ann@example.com"].type',
                expected="work",
                found="ann@home.example",
                cause=ResidualCause.REWRITTEN,
                advice="write it in git as the service has it",
                equivalences={"emails.value": (("ann@example.com", "ann@home.example"),)},
            ),
        ),
        proven=True,
    )


@pytest.mark.parametrize("public", [False, True])
def test_a_receipt_satisfies_its_schema(public: bool) -> None:
    """Both kinds are what schemas/receipt.schema.json describes (SPEC section 7)."""
    document = json.loads(dump_receipt(a_result(), public=public))
    assert list(checker("receipt").violations(document)) == []
    assert [outcome["outcome"] for outcome in document["outcomes"]] == ["applied", "applied", "conflict", "failed"]
    assert document["complete"] is False


def test_a_receipt_tells_what_became_of_each_change() -> None:
    """Ids learned at creation and the three sides of a conflict included."""
    outcomes = receipt_to_document(a_result(), public=False)["outcomes"]
    assert outcomes[1]["id"] == "u-77"
    assert outcomes[0] == {
        "key": "User/jane@example.com",
        "id": a_plan().changes[0].id,
        "action": "deactivate",
        "outcome": "applied",
        "version": 'W/"4"',
        "cause": None,
    }
    assert outcomes[2]["cause"] == 'displayName: approved "Support", now "Jane\'s team", would be "Support"'


def test_a_public_receipt_names_nobody() -> None:
    """P11; incident: plan comments leak personal data, and anyone can download the artifact (digger #2677)."""
    data = dump_receipt(a_result(), public=True)
    for name in (b"jane", b"ann", b"eve", b"Support", b"home.example"):
        assert name.lower() not in data.lower()
    outcomes = json.loads(data)["outcomes"]
    assert outcomes[1]["key"] == "User/u-77"
    assert outcomes[3]["key"] == "User/#4"
    [residual] = json.loads(data)["residual"]
    assert residual == {
        "key": "User/u-77",
        "path": "emails",
        "expected": None,
        "found": None,
        "equivalences": {},
        "cause": "rewritten",
        "advice": "write it in git as the service has it",
    }
