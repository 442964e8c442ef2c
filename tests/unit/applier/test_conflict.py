"""approved / now / would-be -> rebase, done or conflict (SPEC 7.6, cxone.md section 6), as a pure function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.applier.conflict import WHOLE_RESOURCE, Conflict, Done, Rebase, judge
from reconciler.model.change import Action, Change, PreconditionKind
from reconciler.model.resource import ENTERPRISE_SCHEMA, LiveGroup, LiveUser, pack
from reconciler.semantics.canonical import MANAGER_PATH
from tests.builders import build_change

IDS = {"ann": "u1", "bob": "u2", "boss": "m1", "old-boss": "m2", "group:Inner": "g2"}


def _user(active: bool | None = True, **body: Any) -> LiveUser:
    stated = {} if active is None else {"active": active}
    packed = pack({"userName": "ann", **stated, **body})
    return LiveUser(id="u1", user_name="ann", external_id=None, active=active, version='"9"', body=packed)


def _group(*members: str, **body: Any) -> LiveGroup:
    packed = pack({"displayName": "G", **body})
    return LiveGroup(id="g1", display_name="G", external_id=None, version=None, body=packed, members=members)


def _title(before: Any = "old", after: Any = "new") -> Change:
    return build_change("User/ann", attributes=[("title", before, after)])


@pytest.mark.parametrize(
    ("change", "now", "verdict"),
    [
        (_title(), _user(title="old"), Rebase),
        (_title(), _user(title="old", nickName="foreign"), Rebase),
        (_title(), _user(title="new"), Done),
        (_title(), _user(title="foreign"), Conflict),
        (_title(), _user(), Conflict),
        (_title(before=None), _user(), Rebase),
        (_title(after=None), _user(), Done),
        (_title(), None, Conflict),
        (build_change("User/ann", Action.DELETE), None, Done),
        (build_change("User/ann", Action.DELETE), _user(), Rebase),
        (build_change("User/ann", Action.CREATE, attributes=[("title", None, "x")]), None, Rebase),
        (build_change("User/ann", Action.CREATE, attributes=[("title", None, "x")]), _user(title="x"), Done),
        (build_change("User/ann", Action.CREATE, attributes=[("title", None, "x")]), _user(title="y"), Conflict),
        (build_change("User/ann", attributes=[("active", True, False)]), _user(active=None), Rebase),
        (build_change("User/ann", attributes=[("active", None, False)]), _user(active=None), Rebase),
        (build_change("User/ann", attributes=[("active", None, False)]), _user(active=True), Rebase),
        (build_change("User/ann", attributes=[("active", True, False)]), _user(active=False), Done),
        (build_change("User/ann", attributes=[("active", False, True)]), _user(active=None), Done),
    ],
)
def test_one_attribute_against_what_is_there_now(change: Change, now: LiveUser | None, verdict: type) -> None:
    """As approved: go on; as wanted: done; else a conflict. A missing `active` is active (cxone.md G3)."""
    assert isinstance(judge(change, now, IDS, {}), verdict)


def test_of_a_change_only_what_is_left_is_rebased_with_the_version_just_read() -> None:
    """One attribute is as wanted already."""
    change = build_change("User/ann", attributes=[("title", "a", "b"), ("nickName", "c", "d")])
    judgement = judge(change, _user(title="b", nickName="c"), IDS, {})
    assert isinstance(judgement, Rebase)
    assert [item.path for item in judgement.change.attributes] == ["nickName"]
    assert judgement.change.precondition.value == '"9"'
    untagged = judge(change, replace(_user(title="a", nickName="c"), version=None), IDS, {})
    assert isinstance(untagged, Rebase)
    assert untagged.change.precondition.kind is PreconditionKind.COMPARE


def test_one_conflict_stops_the_whole_change_and_names_every_disagreement() -> None:
    """Half a change is none."""
    change = build_change("User/ann", attributes=[("title", "a", "b"), ("nickName", "c", "d"), ("locale", "e", "f")])
    judgement = judge(change, _user(title="x", nickName="y", locale="e"), IDS, {})
    assert isinstance(judgement, Conflict)
    found = [(d.path, d.approved, d.now, d.would_be) for d in judgement.disagreements]
    assert found == [("title", "a", "x", "b"), ("nickName", "c", "y", "d")]


def test_a_resource_that_is_gone_disagrees_as_a_whole() -> None:
    """It is not created again."""
    judgement = judge(_title(), None, IDS, {})
    assert isinstance(judgement, Conflict)
    assert [d.path for d in judgement.disagreements] == [WHOLE_RESOURCE]


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ([{"value": "a", "type": "work", "display": "foreign"}], Rebase),
        ([{"value": "A", "type": "work"}], Rebase),
        ([{"value": "a", "type": "work"}, {"value": "x"}], Conflict),
        ([], Conflict),
        ([{"value": "c"}, {"value": "b", "display": "x"}], Done),
    ],
)
def test_a_multi_valued_attribute_is_one_value(now: list[Any], verdict: type) -> None:
    """Order, case and what the service derives do not count; a value more or less does."""
    change = build_change(
        "User/ann", attributes=[("emails", [{"value": "a", "type": "work"}], [{"value": "b"}, {"value": "c"}])]
    )
    assert isinstance(judge(change, _user(emails=now), IDS, {}), verdict)


@pytest.mark.parametrize(
    ("now", "verdict", "shown"),
    [
        ("m2", Rebase, None),
        ("m1", Done, None),
        ("u2", Conflict, "bob"),
        ("zz", Conflict, "id:zz"),
        (None, Conflict, None),
    ],
)
def test_a_manager_is_judged_by_id_and_shown_by_name(now: str | None, verdict: type, shown: str | None) -> None:
    """Names may have changed meanwhile."""
    change = build_change("User/ann", attributes=[(MANAGER_PATH, "old-boss", "boss")])
    body: dict[str, Any] = {ENTERPRISE_SCHEMA: {"manager": {"value": now}}} if now else {}
    live = _user(**body)
    judgement = judge(change, live, IDS, {})
    assert isinstance(judgement, verdict)
    if isinstance(judgement, Conflict):
        assert judgement.disagreements[0].now == shown


def test_single_memberships_never_conflict() -> None:
    """One that is as wanted is done, the others still apply; foreign members stay (defect G5)."""
    change = build_change("Group/G", added=["ann", "bob"], removed=["boss", "group:Inner"])
    judgement = judge(change, _group("u1", "m1", "foreign"), IDS, {})
    assert isinstance(judgement, Rebase)
    assert (judgement.change.members.added, judgement.change.members.removed) == (("bob",), ("boss",))
    assert isinstance(judge(change, _group("u1", "u2", "foreign"), IDS, {}), Done)


def test_a_created_group_is_ours_only_with_all_its_members() -> None:
    """All that it declares must be there."""
    change = build_change("Group/G", Action.CREATE, attributes=[("displayName", None, "G")], added=["ann"])
    assert isinstance(judge(change, _group("u1"), IDS, {}), Done)
    judgement = judge(change, _group(), IDS, {})
    assert isinstance(judgement, Conflict)
    assert judgement.disagreements[0].path == "members"


def test_an_equivalence_of_the_service_is_no_conflict() -> None:
    """What was sent is stored otherwise, and that is known."""
    assert isinstance(judge(_title(), _user(title="NEW"), IDS, {"title": [("new", "NEW")]}), Done)
