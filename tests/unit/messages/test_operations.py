"""Changes -> steps -> operations: what is sent, and in which order (SPEC 7.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.messages.operations import Names, Operation, Phase, Step, sending_for, to_operation, to_steps
from reconciler.model.change import Action, Change
from reconciler.model.dialect import Dialect, Update
from reconciler.model.plan import Capabilities
from reconciler.model.resource import ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA, LiveGroup, LiveUser, pack
from reconciler.model.tenant import Limits
from reconciler.semantics.canonical import MANAGER_PATH
from tests.builders import build_change
from tests.properties.organisations import worlds
from tests.states import World, put_dialect, tenant_for

BULK = Capabilities(bulk=True, max_operations=100, max_payload_bytes=1_000_000)
SENDING = sending_for(tenant_for(), BULK)
REPLACING = sending_for(tenant_for(dialect=put_dialect()), BULK)


def _order(*changes: Change, sending: Any = SENDING) -> list[tuple[str, str]]:
    return [(str(step.change.key), step.phase.name) for step in to_steps(changes, sending)]


def test_live_limits_can_only_lower_those_of_the_tenant() -> None:
    """SPEC section 4."""
    tenant = tenant_for(limits=Limits(bulk_operations=500, bulk_payload_bytes=1000))
    lower = sending_for(tenant, Capabilities(bulk=True, max_operations=50, max_payload_bytes=900))
    higher = sending_for(tenant, Capabilities(bulk=True, max_operations=5000, max_payload_bytes=9000))
    silent = sending_for(tenant, Capabilities(bulk=True))
    assert (lower.max_operations, lower.max_payload_bytes) == (50, 900)
    assert (higher.max_operations, higher.max_payload_bytes) == (500, 1000)
    assert (silent.max_operations, silent.max_payload_bytes) == (500, 1000)


def test_features_the_service_lacks_or_the_tenant_switches_off_are_worked_around() -> None:
    """SPEC section 4: PUT where PATCH is off, single requests where bulk is off."""
    without = sending_for(tenant_for(), Capabilities(bulk=False, patch=False, etag=False))
    assert (without.bulk, without.user_update, without.group_update) == (False, Update.PUT, Update.PUT)
    assert without.versions is False
    off = sending_for(tenant_for(dialect=Dialect(bulk="off", patch="off", etag="off")), BULK)
    assert (off.bulk, off.user_update, off.versions) == (False, Update.PUT, False)


def test_revocations_come_first_and_additions_last() -> None:
    """SPEC 7.4: groups that lose before groups that gain, also within one group."""
    changes = (
        build_change("Group/G", attributes=[("displayName", "Old", "G")], added=["ann"], removed=["bob"]),
        build_change("User/new", Action.CREATE, attributes=[("userName", None, "new")]),
        build_change("User/gone", Action.DEACTIVATE, attributes=[("active", True, False)]),
        build_change("User/less", attributes=[("roles", [{"value": "A"}, {"value": "B"}], [{"value": "A"}])]),
        build_change("User/more", attributes=[("roles", [{"value": "A"}], [{"value": "A"}, {"value": "B"}])]),
        build_change("User/off", Action.DELETE),
        build_change("ServiceProviderConfig", attributes=[("x", 1, 2)]),
    )
    assert _order(*changes) == [
        ("User/gone", "REVOKE"),
        ("User/less", "REVOKE"),
        ("Group/G", "REVOKE"),
        ("ServiceProviderConfig", "CONFIGURE"),
        ("User/more", "WRITE"),
        ("User/new", "WRITE"),
        ("Group/G", "WRITE"),
        ("Group/G", "GRANT"),
        ("User/off", "DELETE"),
    ]


def test_members_share_a_request_with_other_attributes_only_in_a_put() -> None:
    """INCIDENTS langwatch #7131: `replace` on another attribute emptied a group."""
    change = build_change("Group/G", attributes=[("externalId", None, "x")], added=["ann"], removed=["bob"])
    for step in to_steps([change], SENDING):
        assert not (step.attributes and (step.added or step.removed))
    revoke, rest = to_steps([change], REPLACING)
    assert (revoke.removed, revoke.attributes) == (("bob",), ())
    assert (rest.added, [a.path for a in rest.attributes]) == (("ann",), ["externalId"])


def _create(key: str, *, manager: str | None = None, members: tuple[str, ...] = ()) -> Change:
    name = "userName" if key.startswith("User") else "displayName"
    attributes: list[Any] = [(name, None, key.partition("/")[2])]
    if manager is not None:
        attributes.append((MANAGER_PATH, None, manager))
    change = build_change(key, Action.CREATE, attributes=attributes, added=members)
    labels = [label for label in (*members, manager) if label is not None]
    return replace(change, references=tuple((label, None) for label in sorted(set(labels))))


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.none() | st.integers(0, n - 1), min_size=n, max_size=n)))
def test_a_manager_is_never_sent_later_than_who_names_them(managers: list[int | None]) -> None:
    """Also in cycles: there the reference waits, not the person."""
    changes = [
        _create(f"User/p{number}", manager=None if manager is None else f"p{manager}")
        for number, manager in enumerate(managers)
    ]
    batches: dict[str, Any] = {}
    for step in to_steps(changes, SENDING):
        if step.phase is Phase.WRITE:
            batches[step.change.key.name] = step.batch
    assert set(batches) == {change.key.name for change in changes}
    named = 0
    for step in to_steps(changes, SENDING):
        for label in step.labels:
            assert batches[label] < step.batch
            named += 1
    assert named == sum(1 for manager in managers if manager is not None)


@given(worlds())
def test_what_is_referenced_is_never_sent_later(world: World) -> None:
    """EXAMPLES section 7: everything a step names is there, or was created in an earlier batch."""
    plan = world.plan()
    steps = to_steps(plan.changes, sending_for(world.tenant, world.capabilities))
    created = {str(c.key).split("/", 1)[1]: c for c in plan.changes if c.action is Action.CREATE}
    sent: dict[str, Any] = {}
    for step in steps:
        if step.change.action is Action.CREATE and step.phase is Phase.WRITE:
            sent[str(step.change.key)] = step.batch
    for step in steps:
        for label in step.labels:
            name = label.removeprefix("group:")
            if name in created and dict(step.change.references).get(label) is None:
                assert sent[str(created[name].key)] < step.batch


def test_nested_created_groups_go_children_first() -> None:
    """A chain longer than the recursion limit is no problem."""
    changes = [_create(f"Group/g{n:05}", members=(f"group:g{n + 1:05}",) if n < 2999 else ()) for n in range(3000)]
    steps = to_steps(changes, SENDING)
    assert [step.change.key.name for step in steps] == [f"g{n:05}" for n in reversed(range(3000))]


@given(st.permutations(["a", "b", "c"]))
def test_a_name_never_waits_for_a_manager(order: list[str]) -> None:
    """Whoever has the name has to free it first; of a cycle only the manager can come later."""
    changes = {
        "a": _create("User/a"),
        "b": build_change("User/b", attributes=[("userName", "a", "b")]),
        "c": build_change("User/c", attributes=[("userName", "b", "c"), (MANAGER_PATH, None, "a")]),
    }
    steps = to_steps([changes[name] for name in order], SENDING)
    assert [(step.change.key.name, [a.path for a in step.attributes]) for step in steps] == [
        ("c", ["userName"]),
        ("b", ["userName"]),
        ("a", ["userName"]),
        ("c", [MANAGER_PATH]),
    ]


def test_a_display_name_of_a_user_frees_no_user_name() -> None:
    """Only names by which others can be known are waited for."""
    changes = (
        build_change("User/a", attributes=[("displayName", "b", "x")]),
        build_change("User/b", attributes=[("userName", "c", "b")]),
        build_change("User/d", attributes=[("userName", "b", "d")]),
    )
    levels = {step.change.key.name: step.level for step in to_steps(changes, SENDING)}
    assert levels == {"a": 0, "b": 1, "d": 0}


def _operation(step: Step, live: LiveUser | LiveGroup | None, sending: Any = SENDING, **ids: str) -> Operation:
    names = Names(ids, lambda id_: id_.startswith("g"))
    return to_operation(step, live, names, sending, version='W/"1"' if live else None)


def _live_user(**body: Any) -> LiveUser:
    return LiveUser(id="u/1", user_name="ann", external_id=None, active=None, version='W/"1"', body=pack(body))


def test_a_create_lists_the_schemas_it_uses_and_nothing_read_only() -> None:
    """RFC 7643 section 3."""
    change = _create("User/ann", manager="boss")
    (step,) = to_steps([replace(change, references=(("boss", "hr"),))], SENDING)
    operation = _operation(step, None, boss="u9")
    assert (operation.method, operation.path, operation.version) == ("POST", "/Users", None)
    assert operation.data == {
        "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
        "userName": "ann",
        ENTERPRISE_SCHEMA: {"manager": {"value": "u9"}},
    }


def test_a_put_of_a_user_always_states_active() -> None:
    """A PUT without it reactivates on some services (scim-rfc.md Q20); ids are one path segment."""
    step = Step(
        build_change("User/ann"), Phase.WRITE, 0, build_change("User/a", attributes=[("title", 1, 2)]).attributes
    )
    operation = _operation(step, _live_user(userName="ann", schemas=[USER_SCHEMA, "urn:x:y"], nick="n"), REPLACING)
    assert (operation.method, operation.path, operation.version) == ("PUT", "/Users/u%2F1", 'W/"1"')
    assert operation.data == {
        "schemas": [USER_SCHEMA, "urn:x:y"],
        "userName": "ann",
        "nick": "n",
        "title": 2,
        "active": True,
    }


@pytest.mark.parametrize(("member_type", "expected"), [("send", {"type": "Group"}), ("omit", {})])
def test_a_put_of_a_group_keeps_the_members_it_does_not_change(member_type: str, expected: dict[str, str]) -> None:
    """Defect G5; `type` is explicit on each member unless the dialect omits it (cxone.md section 8)."""
    live = LiveGroup(
        id="g1",
        display_name="G",
        external_id="x",
        version="1",
        body=pack({"displayName": "G", "externalId": "x"}),
        members=("a", "b", "g2"),
    )
    sending = sending_for(tenant_for(dialect=replace(put_dialect(), member_type=member_type)), BULK)
    step = Step(build_change("Group/G"), Phase.GRANT, 0, added=("new", "twice"), removed=("bob",))
    operation = _operation(step, live, sending, new="c", bob="b", twice="a")
    user = {"type": "User"} if member_type == "send" else {}
    assert operation.data == {
        "schemas": [GROUP_SCHEMA],
        "displayName": "G",
        "externalId": "x",
        "members": [{"value": "a", **user}, {"value": "g2", **expected}, {"value": "c", **user}],
    }


def test_a_delete_carries_the_version_and_no_body() -> None:
    """RFC 7644 section 3.6."""
    (step,) = to_steps([build_change("User/ann", Action.DELETE)], SENDING)
    operation = _operation(step, _live_user())
    assert (operation.method, operation.data, operation.version) == ("DELETE", None, 'W/"1"')
