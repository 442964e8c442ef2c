"""PatchOp messages in the smallest common subset (RFC 7644 section 3.5.2; scim-rfc.md section 7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.messages.patch import PATCH_SCHEMA, to_patch
from reconciler.model.change import AttributeChange
from reconciler.model.dialect import Dialect
from reconciler.model.resource import ENTERPRISE_SCHEMA, USER_SCHEMA, Kind


def _operation(path: str, after: Any, live: dict[str, Any] | None = None) -> dict[str, Any]:
    (operation,) = to_patch(Kind.USER, [AttributeChange(path, None, after)], live or {}, Dialect())["Operations"]
    assert isinstance(operation, dict)
    return operation


@pytest.mark.parametrize(
    ("path", "after", "live", "expected"),
    [
        ("title", "x", {}, {"op": "add", "path": "title", "value": "x"}),
        ("title", "x", {"title": "y"}, {"op": "replace", "path": "title", "value": "x"}),
        ("title", None, {"title": "y"}, {"op": "remove", "path": "title"}),
        ("active", False, {"active": True}, {"op": "replace", "path": "active", "value": False}),
        (
            "name.givenName",
            "A",
            {"name": {"givenName": "B"}},
            {"op": "replace", "path": "name.givenName", "value": "A"},
        ),
        (
            f"{ENTERPRISE_SCHEMA}:department",
            "Sales",
            {},
            {"op": "add", "path": f"{ENTERPRISE_SCHEMA}:department", "value": "Sales"},
        ),
        ("emails", [], {"emails": [{"value": "a"}]}, {"op": "remove", "path": "emails"}),
        (
            "emails",
            [{"value": "a"}],
            {"emails": [{"value": "a", "type": "work"}, {"value": "b"}]},
            {"op": "replace", "path": "emails", "value": [{"value": "a", "type": "work"}]},
        ),
    ],
)
def test_one_attribute_is_one_operation(path: str, after: Any, live: dict[str, Any], expected: dict[str, Any]) -> None:
    """Lower-case op, always a path, JSON booleans, arrays whole, removal instead of null (Q15, Q16)."""
    assert _operation(path, after, live) == expected


def test_members_are_removed_one_by_one_before_any_is_added() -> None:
    """One value filter per remove, and no `value` on it: strict servers would empty the group (scim-rfc.md Q3)."""
    message = to_patch(Kind.GROUP, [], {}, Dialect(), removed=["1", 'a"b\\'], added=[{"value": "2", "type": "User"}])
    assert message["schemas"] == [PATCH_SCHEMA]
    assert message["Operations"] == [
        {"op": "remove", "path": 'members[value eq "1"]'},
        {"op": "remove", "path": 'members[value eq "a\\"b\\\\"]'},
        {"op": "add", "path": "members", "value": [{"value": "2", "type": "User"}]},
    ]


def test_a_message_is_json_without_nulls() -> None:
    """`null` is refused by many services (scim-rfc.md Q15)."""
    emails = AttributeChange("emails", None, [{"value": "a", "type": None}])
    message = to_patch(Kind.USER, [emails], {}, Dialect())
    assert "null" not in json.dumps(message)


def test_the_legacy_envelope_is_that_of_the_provisioning_topic() -> None:
    """cxone.md D14: the schema of the resource, lower-case `operations`; what is in them stays the same."""
    deactivation = AttributeChange("active", True, False)
    assert to_patch(Kind.USER, [deactivation], {"active": True}, Dialect(patch="legacy")) == {
        "schemas": [USER_SCHEMA],
        "operations": [{"op": "replace", "path": "active", "value": False}],
    }


@pytest.mark.parametrize("patch", ["rfc", "legacy"])
def test_op_is_spelt_as_the_service_wants_it(patch: str) -> None:
    """scim-rfc.md Q1: lower case everywhere but where only capitals are accepted."""
    dialect = Dialect(patch=patch, op_case="capitalized")
    title = AttributeChange("title", "x", None)
    message = to_patch(Kind.GROUP, [title], {"title": "x"}, dialect, removed=["1"], added=[{"value": "2"}])
    operations = message["operations" if patch == "legacy" else "Operations"]
    assert [operation["op"] for operation in operations] == ["Remove", "Remove", "Add"]
