"""PATCH (RFC 7644 section 3.5.2)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import USER
from reconciler.sandbox.directory import Directory
from reconciler.sandbox.errors import ScimError
from reconciler.sandbox.rendering import Renderer
from reconciler.sandbox.store import Store
from tests.sandbox.tenant_client import (
    ENTERPRISE_URN,
    GROUP_URN,
    PATCH_URN,
    USER_URN,
    TenantClient,
    assert_error,
    path_of,
    user_body,
)

Json = dict[str, Any]

ACME_URN = "urn:acme:params:scim:badge:1.0:User"
WORK = {"value": "a@work", "type": "work", "primary": True}
HOME = {"value": "a@home", "type": "home"}
OTHER = {"value": "a@other", "type": "other"}
BEFORE: Json = {
    "userName": "ann",
    "title": "Boss",
    "name": {"givenName": "Ann", "familyName": "Lee"},
    "emails": [WORK, HOME],
    "active": True,
    ENTERPRISE_URN: {"department": "Support", "manager": {"value": "m-1"}},
}


def _op(op: str, path: str | None = None, value: Any = ...) -> Json:
    operation = {"op": op, "path": path, "value": value}
    return {name: item for name, item in operation.items() if item is not None and item is not ...} | (
        {"value": None} if value is None else {}
    )


def _without(*names: str) -> Json:
    return {name: value for name, value in BEFORE.items() if name not in names}


def _patched(tenant: TenantClient, *operations: Json) -> Json:
    """The attributes of a user like BEFORE after a PATCH, as the answer shows them and as they are stored."""
    user = tenant.post("/Users", {"schemas": [USER_URN], **BEFORE}).json()
    response = tenant.patch(path_of(user), *operations)
    assert response.status_code == 200, response.text
    shown: Json = response.json()
    assert tenant.get(path_of(user)).json() == shown
    return {name: value for name, value in shown.items() if name not in ("id", "schemas", "meta")}


CASES: dict[str, tuple[Json, Json]] = {
    # Single values: add and replace set, remove clears.
    "add a value": (_op("add", "nickName", "A"), {**BEFORE, "nickName": "A"}),
    "add replaces a single value": (_op("add", "title", "CEO"), {**BEFORE, "title": "CEO"}),
    "replace a value": (_op("replace", "title", "CEO"), {**BEFORE, "title": "CEO"}),
    "replace of an absent value adds": (_op("replace", "nickName", "A"), {**BEFORE, "nickName": "A"}),
    "replace with null clears": (_op("replace", "title", None), _without("title")),
    "remove a value": (_op("remove", "title"), _without("title")),
    "remove an absent value": (_op("remove", "nickName"), BEFORE),
    "replace a boolean": (_op("replace", "active", value=False), {**BEFORE, "active": False}),
    "operation and attribute in any case": (_op("REPLACE", "TITLE", "CEO"), {**BEFORE, "title": "CEO"}),
    "core attribute by URN": (_op("Replace", f"{USER_URN}:title", "CEO"), {**BEFORE, "title": "CEO"}),
    "null as value of remove": (_op("remove", "title", None), _without("title")),
    # Complex values: what is given is set, the rest stays.
    "replace a sub-attribute": (
        _op("replace", "name.givenName", "Anna"),
        {**BEFORE, "name": {"givenName": "Anna", "familyName": "Lee"}},
    ),
    "add a sub-attribute": (
        _op("add", "name.middleName", "B"),
        {**BEFORE, "name": {**BEFORE["name"], "middleName": "B"}},
    ),
    "replace a complex value": (
        _op("replace", "name", {"givenName": "Anna"}),
        {**BEFORE, "name": {"givenName": "Anna", "familyName": "Lee"}},
    ),
    "null inside a complex value": (
        _op("replace", "name", {"givenName": None}),
        {**BEFORE, "name": {"familyName": "Lee"}},
    ),
    "remove a sub-attribute": (_op("remove", "name.givenName"), {**BEFORE, "name": {"familyName": "Lee"}}),
    "remove a complex value": (_op("remove", "name"), _without("name")),
    # Multi-valued attributes as a whole.
    "add appends": (_op("add", "emails", [OTHER]), {**BEFORE, "emails": [WORK, HOME, OTHER]}),
    "add takes a single element too": (_op("add", "emails", OTHER), {**BEFORE, "emails": [WORK, HOME, OTHER]}),
    "add of what is there": (_op("add", "emails", [HOME, OTHER]), {**BEFORE, "emails": [WORK, HOME, OTHER]}),
    "add to nothing": (_op("add", "roles", [{"value": "Agent"}]), {**BEFORE, "roles": [{"value": "Agent"}]}),
    "add merges the same value": (
        _op("add", "emails", [{**HOME, "display": "Home"}]),
        {**BEFORE, "emails": [WORK, {**HOME, "display": "Home"}]},
    ),
    "add of values without value": (
        _op("add", "addresses", [{"locality": "Ulm"}, {"locality": "Ulm"}]),
        {**BEFORE, "addresses": [{"locality": "Ulm"}]},
    ),
    "replace chosen values with nothing": (_op("replace", 'emails[type eq "home"]', {}), {**BEFORE, "emails": [WORK]}),
    "a new primary takes the mark": (
        _op("add", "emails", [{**OTHER, "primary": True}]),
        {**BEFORE, "emails": [{**WORK, "primary": False}, HOME, {**OTHER, "primary": True}]},
    ),
    "replace replaces all": (_op("replace", "emails", [OTHER]), {**BEFORE, "emails": [OTHER]}),
    "replace with an empty array clears": (_op("replace", "emails", []), _without("emails")),
    "remove removes all": (_op("remove", "emails"), _without("emails")),
    # Value filters.
    "replace chosen values": (_op("replace", 'emails[type eq "home"]', OTHER), {**BEFORE, "emails": [WORK, OTHER]}),
    "replace a sub-attribute of chosen values": (
        _op("replace", 'emails[type eq "home"].value', "new@home"),
        {**BEFORE, "emails": [WORK, {**HOME, "value": "new@home"}]},
    ),
    "add to chosen values": (
        _op("add", 'emails[value ew "home"]', {"display": "Home"}),
        {**BEFORE, "emails": [WORK, {**HOME, "display": "Home"}]},
    ),
    "primary of a chosen value": (
        _op("replace", 'emails[type eq "home"].primary', value=True),
        {**BEFORE, "emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
    ),
    "remove chosen values": (_op("remove", 'emails[type eq "home"]'), {**BEFORE, "emails": [WORK]}),
    "remove the last value": (_op("remove", "emails[value pr]"), _without("emails")),
    "remove what is not there": (_op("remove", 'emails[type eq "fax"]'), BEFORE),
    "remove a sub-attribute of chosen values": (
        _op("remove", 'emails[type eq "home"].type'),
        {**BEFORE, "emails": [WORK, {"value": "a@home"}]},
    ),
    "a sub-attribute of all values": (
        _op("replace", "emails.display", "Mail"),
        {**BEFORE, "emails": [{**WORK, "display": "Mail"}, {**HOME, "display": "Mail"}]},
    ),
    "a sub-attribute of no values starts one": (
        _op("add", "phoneNumbers.value", "1"),
        {**BEFORE, "phoneNumbers": [{"value": "1"}]},
    ),
    # Extensions.
    "replace in an extension": (
        _op("replace", f"{ENTERPRISE_URN}:department", "Sales"),
        {**BEFORE, ENTERPRISE_URN: {**BEFORE[ENTERPRISE_URN], "department": "Sales"}},
    ),
    "replace below an extension": (
        _op("replace", f"{ENTERPRISE_URN.upper()}:MANAGER.VALUE", "m-2"),
        {**BEFORE, ENTERPRISE_URN: {"department": "Support", "manager": {"value": "m-2"}}},
    ),
    "remove in an extension": (
        _op("remove", f"{ENTERPRISE_URN}:manager"),
        {**BEFORE, ENTERPRISE_URN: {"department": "Support"}},
    ),
    "add to a whole extension": (
        _op("add", ENTERPRISE_URN, {"division": "D"}),
        {**BEFORE, ENTERPRISE_URN: {**BEFORE[ENTERPRISE_URN], "division": "D"}},
    ),
    "remove a whole extension": (_op("remove", ENTERPRISE_URN), _without(ENTERPRISE_URN)),
    "an extension nobody defined": (_op("add", f"{ACME_URN}:badge", 7), {**BEFORE, ACME_URN: {"badge": 7}}),
    "a whole extension nobody defined": (
        _op("add", value={ACME_URN: {"badge": 7}, "title": "CEO"}),
        {**BEFORE, "title": "CEO", ACME_URN: {"badge": 7}},
    ),
    "schemas follows from the content": (_op("add", "schemas", [ACME_URN]), BEFORE),
    "the core schema as an object": (
        _op("replace", value={USER_URN: {"title": "CEO", "active": False}}),
        {**BEFORE, "title": "CEO", "active": False},
    ),
    "the core schema as a path": (_op("add", USER_URN.lower(), {"title": "CEO"}), {**BEFORE, "title": "CEO"}),
    "a core attribute with its URN as a name": (
        _op("replace", value={f"{USER_URN}:name": {"givenName": "Anna"}}),
        {**BEFORE, "name": {"givenName": "Anna", "familyName": "Lee"}},
    ),
    # Without path.
    "several attributes at once": (
        _op("replace", value={"title": "CEO", "NAME": {"givenName": "Anna"}, "emails": [OTHER]}),
        {**BEFORE, "title": "CEO", "name": {"givenName": "Anna", "familyName": "Lee"}, "emails": [OTHER]},
    ),
    "add several attributes": (
        _op("add", value={"title": None, "emails": [OTHER]}),
        {**_without("title"), "emails": [WORK, HOME, OTHER]},
    ),
    "paths as names": (
        _op(
            "replace",
            value={
                "name.givenName": "Anna",
                f"{ENTERPRISE_URN}:department": "Sales",
                'emails[type eq "home"].value': "x",
            },
        ),
        {
            **BEFORE,
            "name": {"givenName": "Anna", "familyName": "Lee"},
            "emails": [WORK, {**HOME, "value": "x"}],
            ENTERPRISE_URN: {**BEFORE[ENTERPRISE_URN], "department": "Sales"},
        },
    ),
    "an extension as an object": (
        _op("replace", value={ENTERPRISE_URN: {"department": "Sales"}}),
        {**BEFORE, ENTERPRISE_URN: {**BEFORE[ENTERPRISE_URN], "department": "Sales"}},
    ),
    "unknown attributes are ignored": (_op("add", value={"shoeSize": 43, "schemas": []}), BEFORE),
}


@pytest.mark.parametrize("name", list(CASES))
def test_patch(tenant: TenantClient, name: str) -> None:
    """RFC 7644 sections 3.5.2.1 to 3.5.2.3."""
    operation, after = CASES[name]

    assert _patched(tenant, operation) == after


REFUSED: dict[str, tuple[Json, str]] = {
    "no operation": ({"path": "title", "value": "x"}, "invalidSyntax"),
    "an unknown operation": (_op("move", "title", "x"), "invalidSyntax"),
    "remove without path": (_op("remove"), "noTarget"),
    "remove without path but with value": (_op("remove", value={"title": "x"}), "noTarget"),
    "add without value": (_op("add", "title"), "invalidValue"),
    "replace without value": (_op("replace", "title"), "invalidValue"),
    "no path and no object": (_op("add", value="x"), "invalidValue"),
    "a path that is no text": ({"op": "add", "path": 5, "value": "x"}, "invalidPath"),
    "an unknown attribute": (_op("add", "shoeSize", 43), "invalidPath"),
    "an unknown sub-attribute": (_op("add", "name.rank", "x"), "invalidPath"),
    "an unknown sub-attribute of values": (_op("add", "emails.rank", "x"), "invalidPath"),
    "a sub-attribute of a simple value": (_op("add", "title.sub", "x"), "invalidPath"),
    "an unknown attribute of a known extension": (_op("add", f"{ENTERPRISE_URN}:rank", "x"), "invalidPath"),
    "an unknown core attribute by URN": (_op("add", f"{USER_URN}:rank", "x"), "invalidPath"),
    "a filter on a single value": (_op("replace", 'name[givenName eq "Ann"]', {}), "invalidPath"),
    "a filter on an extension": (_op("remove", f'{ENTERPRISE_URN}[department eq "x"]'), "invalidPath"),
    "a broken filter": (_op("remove", "emails[type eq home]"), "invalidPath"),
    "an open filter": (_op("remove", 'emails[type eq "home"'), "invalidPath"),
    "two sub-attributes": (_op("remove", 'emails[type eq "home"].value.x'), "invalidPath"),
    "something after the path": (_op("remove", "title x"), "invalidPath"),
    "an array index": (_op("remove", "emails[0]"), "invalidPath"),
    "a filter without match": (_op("replace", 'emails[type eq "fax"].value', "x"), "noTarget"),
    "a replace without match": (_op("replace", 'emails[type eq "fax"]', OTHER), "noTarget"),
    "an add without match": (_op("add", 'emails[type eq "fax"]', OTHER), "noTarget"),
    "the id": (_op("replace", "id", "x"), "mutability"),
    "the id without path": (_op("replace", value={"id": "x"}), "mutability"),
    "meta": (_op("replace", "meta.version", "x"), "mutability"),
    "schemas": (_op("remove", "schemas"), "mutability"),
    "the core schema": (_op("remove", USER_URN), "mutability"),
    "the groups of a user": (_op("add", "groups", [{"value": "x"}]), "mutability"),
    "a read-only sub-attribute": (_op("add", f"{ENTERPRISE_URN}:manager.displayName", "x"), "mutability"),
    "a required attribute": (_op("remove", "userName"), "mutability"),
    "a required attribute by null": (_op("replace", "userName", None), "mutability"),
    "a required attribute by nothing": (_op("replace", "userName", ""), "invalidValue"),
    "a value of the wrong type": (_op("replace", "active", "True"), "invalidValue"),
    "an element of the wrong type": (_op("add", "emails", ["a@b"]), "invalidValue"),
    "a sub-attribute of the wrong type": (_op("replace", "name.givenName", {}), "invalidValue"),
    "an extension of the wrong type": (_op("add", ENTERPRISE_URN, "x"), "invalidValue"),
    "an undefined extension of the wrong type": (_op("add", value={f"{ENTERPRISE_URN}": 1}), "invalidValue"),
    "two primary values": (
        _op("replace", "emails", [{**WORK, "primary": True}, {**HOME, "primary": True}]),
        "invalidValue",
    ),
    "all values primary": (_op("replace", "emails.primary", value=True), "invalidValue"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_refused_operation_undoes_the_whole_patch(tenant: TenantClient, name: str) -> None:
    """RFC 7644 section 3.5.2: atomic; when one operation fails, the resource stays as it was."""
    operation, scim_type = REFUSED[name]
    user = tenant.post("/Users", {"schemas": [USER_URN], **BEFORE}).json()

    assert_error(tenant.patch(path_of(user), _op("replace", "title", "CEO"), operation), 400, scim_type)
    assert tenant.get(path_of(user)).json() == user


def test_operations_see_what_earlier_ones_did(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.2: applied in the order given."""
    after = _patched(
        tenant,
        _op("remove", "emails"),
        _op("add", "emails", [OTHER]),
        _op("replace", 'emails[type eq "other"].value', "new"),
        _op("add", "nickName", "A"),
        _op("replace", "nickName", "B"),
    )

    assert after == {**BEFORE, "emails": [{**OTHER, "value": "new"}], "nickName": "B"}


def test_a_patch_that_ends_where_it_began_changes_no_version(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.2: the result counts."""
    user = tenant.user("ann", title="Boss")

    response = tenant.patch(path_of(user), _op("remove", "title"), _op("add", "title", "Boss"))

    assert response.json() == user


def test_an_extension_named_in_a_path_appears_in_schemas(tenant: TenantClient) -> None:
    """RFC 7644 section 3.5.2: a qualified path adds its URN; when the extension empties, it goes."""
    user = tenant.user("ann")
    path = f"{ENTERPRISE_URN}:department"

    added = tenant.patch(path_of(user), _op("add", path, "Support")).json()
    removed = tenant.patch(path_of(user), _op("remove", path)).json()

    assert added["schemas"] == [USER_URN, ENTERPRISE_URN]
    assert removed["schemas"] == [USER_URN]
    assert ENTERPRISE_URN not in removed


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"schemas": [PATCH_URN]},
        {"schemas": [PATCH_URN], "Operations": []},
        {"schemas": [PATCH_URN], "Operations": {}},
        {"schemas": [PATCH_URN], "Operations": ["x"]},
        {"schemas": [USER_URN], "Operations": [_op("remove", "title")]},
        {"Operations": [_op("remove", "title")]},
        {"schemas": [PATCH_URN], "operations": [_op("remove", "title")]},
    ],
)
def test_a_malformed_message_is_refused(rfc_tenant: TenantClient, message: Json) -> None:
    """RFC 7644 section 3.5.2: `schemas` names PatchOp, `Operations` is an array with at least one element."""
    user = rfc_tenant.user("ann", title="x")

    assert_error(rfc_tenant.send("PATCH", path_of(user), message), 400, "invalidSyntax")


def test_the_envelope_of_the_cxone_samples_is_understood(tenant: TenantClient) -> None:
    """cxone.md D14: User URN and lower-case `operations`."""
    user = tenant.user("ann", active=True)
    message = {"schemas": [USER_URN], "operations": [{"op": "replace", "path": "active", "value": False}]}

    assert tenant.send("PATCH", path_of(user), message).json()["active"] is False


class TestMembers:
    """Members of groups: elements are added and removed, never changed (RFC 7643 section 4.2)."""

    def _names(self, tenant: TenantClient, group: Json) -> list[str]:
        return sorted(member["display"] for member in tenant.get(path_of(group)).json()["members"])

    def test_members_are_added_one_by_one_or_many_at_once(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.5.2.1; who is a member already stays one."""
        ann, bob, cyd = (tenant.user(name) for name in ("ann", "bob", "cyd"))
        group = tenant.group("Staff", ann)

        tenant.patch(
            path_of(group), _op("add", "members", [{"value": ann["id"]}, {"value": bob["id"], "type": "User"}])
        )
        tenant.patch(path_of(group), _op("add", "members", {"value": cyd["id"]}))

        assert self._names(tenant, group) == ["ann", "bob", "cyd"]

    @pytest.mark.parametrize(
        "path", ['members[value eq "{bob}"]', 'members[display eq "bob"]', 'MEMBERS[VALUE EQ "{bob}"]']
    )
    def test_a_member_is_removed_by_filter(self, tenant: TenantClient, path: str) -> None:
        """RFC 7644 section 3.5.2.2."""
        ann, bob = tenant.user("ann"), tenant.user("bob")
        group = tenant.group("Staff", ann, bob)
        operation = _op("remove", path.format(bob=bob["id"]))

        first = tenant.patch(path_of(group), operation)
        second = tenant.patch(path_of(group), operation)

        assert self._names(tenant, group) == ["ann"]
        assert first.headers["ETag"] != group["meta"]["version"]
        assert second.headers["ETag"] == first.headers["ETag"]

    @pytest.mark.parametrize(
        "operation",
        [_op("remove", "members"), _op("replace", "members", []), _op("remove", "members", [{"value": "x"}])],
    )
    def test_without_filter_everybody_goes(self, tenant: TenantClient, operation: Json) -> None:
        """RFC 7644 section 3.5.2.2: no filter means all values, also when a client adds a value (scim-rfc.md Q3)."""
        group = tenant.group("Staff", tenant.user("ann"), tenant.user("bob"))

        tenant.patch(path_of(group), operation)

        assert self._names(tenant, group) == []

    def test_replace_sets_exactly_the_given_members(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.5.2.3."""
        ann, bob, cyd = (tenant.user(name) for name in ("ann", "bob", "cyd"))
        group = tenant.group("Staff", ann, bob)

        tenant.patch(path_of(group), _op("replace", "members", [{"value": bob["id"]}, {"value": cyd["id"]}]))

        assert self._names(tenant, group) == ["bob", "cyd"]

    def test_a_member_is_replaced_by_filter(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.5.2.3: the values that satisfy the filter give way to the new one."""
        ann, bob, cyd = (tenant.user(name) for name in ("ann", "bob", "cyd"))
        group = tenant.group("Staff", ann, bob)
        path = f'members[value eq "{ann["id"]}" or value eq "{bob["id"]}"]'

        tenant.patch(path_of(group), _op("replace", path, {"value": cyd["id"]}))

        assert self._names(tenant, group) == ["cyd"]

    def test_operations_on_members_follow_each_other(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.5.2: sequential, and no new version when the end is the beginning."""
        ann, bob = tenant.user("ann"), tenant.user("bob")
        group = tenant.group("Staff", ann)
        out, back = _op("remove", f'members[value eq "{ann["id"]}"]'), _op("add", "members", [{"value": ann["id"]}])
        new = _op("add", "members", [{"value": bob["id"]}])
        away = _op("remove", f'members[value eq "{bob["id"]}"]')

        assert tenant.patch(path_of(group), out, back, new, away).json() == group
        assert tenant.patch(path_of(group), _op("remove", "members"), back).json() == group
        assert tenant.patch(path_of(group), new, _op("remove", "members"), new, away).json()["members"] == []

    def test_a_pathless_object_may_carry_members_and_the_own_id(self, tenant: TenantClient) -> None:
        """scim-rfc.md Q4: group push sends id, displayName and members without path."""
        ann = tenant.user("ann")
        group = tenant.group("Staff")
        value = {"id": group["id"], "displayName": "Crew", "members": [{"value": ann["id"]}]}

        changed = tenant.patch(path_of(group), _op("replace", value=value)).json()

        assert changed["displayName"] == "Crew"
        assert [member["value"] for member in changed["members"]] == [ann["id"]]

    def test_another_attribute_leaves_the_members_alone(self, tenant: TenantClient) -> None:
        """langwatch/langwatch#7131: a replace that does not name members emptied the group."""
        group = tenant.group("Staff", tenant.user("ann"))

        tenant.patch(path_of(group), _op("replace", "displayName", "Crew"), _op("add", "externalId", "g-1"))

        assert self._names(tenant, group) == ["ann"]

    @pytest.mark.parametrize(
        ("operation", "scim_type"),
        [
            (_op("add", "members", [{"value": "nobody"}]), "invalidValue"),
            (_op("replace", "members", [{"value": "nobody"}]), "invalidValue"),
            (_op("add", "members", ["nobody"]), "invalidValue"),
            (_op("replace", "members.value", "x"), "mutability"),
            (_op("replace", "members[value pr].display", "x"), "mutability"),
            (_op("add", "members[value pr]", {"display": "x"}), "mutability"),
            (_op("replace", 'members[value eq "nobody"]', {"value": "nobody"}), "noTarget"),
            (_op("remove", "displayName"), "mutability"),
        ],
    )
    def test_what_members_do_not_allow_is_refused(self, tenant: TenantClient, operation: Json, scim_type: str) -> None:
        """RFC 7643 section 4.2: sub-attributes are immutable; RFC 7644 section 3.12; cxone.md D21."""
        status = 422 if scim_type == "invalidValue" else 400
        group = tenant.group("Staff", tenant.user("ann"))

        response = tenant.patch(
            path_of(group), _op("replace", "displayName", "Crew"), _op("remove", "members"), operation
        )

        if scim_type == "noTarget":
            assert_error(tenant.patch(path_of(group), operation), 400, scim_type)
        assert_error(response, status, scim_type)
        assert tenant.get(path_of(group)).json() == group

    def test_users_have_no_members(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.12: invalidPath."""
        assert_error(tenant.patch(path_of(tenant.user("ann")), _op("remove", "members")), 400, "invalidPath")

    def test_an_answer_may_leave_out_the_members(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.9: big groups are not repeated with every small change."""
        group = tenant.group("Staff", tenant.user("ann"))
        message = {"schemas": [PATCH_URN], "Operations": [_op("replace", "displayName", "Crew")]}

        answer = tenant.send("PATCH", path_of(group), message, excludedAttributes="members").json()

        assert answer["schemas"] == [GROUP_URN]
        assert "members" not in answer


def test_a_tenant_without_patch_says_so(start_tenant: Any) -> None:
    """RFC 7644 section 3.12: 501; PUT is still there."""
    tenant = start_tenant(supports_patch=False)
    user = tenant.user("ann")

    assert_error(tenant.patch(path_of(user), _op("add", "title", "x")), 501)
    assert tenant.results({"method": "PATCH", "path": path_of(user), "data": {}})[0]["status"] == "501"
    assert tenant.put(path_of(user), user_body("ann", title="x")).status_code == 200


_PATHS = st.sampled_from(
    [
        None,
        "id",
        "meta",
        "meta.version",
        "schemas",
        "groups",
        "groups[value pr]",
        "userName",
        "name",
        "name.givenName",
        "emails",
        "emails.value",
        'emails[type eq "work"]',
        'emails[type eq "work"].primary',
        "active",
        "password",
        "members",
        ENTERPRISE_URN,
        f"{ENTERPRISE_URN}:manager",
        f"{ENTERPRISE_URN}:manager.displayName",
        f"{ACME_URN}:badge",
        ACME_URN,
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "ann", "work", "a@work"])
_NAMES = st.sampled_from(
    [
        "value",
        "type",
        "primary",
        "givenName",
        "emails",
        "id",
        "meta",
        "userName",
        "name.givenName",
        ENTERPRISE_URN,
        ACME_URN,
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)
_OPERATIONS = st.lists(
    st.builds(_op, st.sampled_from(["add", "replace", "remove"]), _PATHS, _VALUES), min_size=1, max_size=4
)


@given(_OPERATIONS)
def test_no_patch_touches_what_is_read_only_and_a_new_version_means_new_content(operations: list[Json]) -> None:
    """RFC 7644 section 3.5.2: readOnly stays, failures change nothing, the version changes exactly with the content."""
    config = SandboxConfig()
    store = Store(None)
    try:
        directory = Directory(store, config)
        renderer = Renderer(store, config, "http://localhost")
        record = directory.create(USER, {"schemas": [USER_URN], **BEFORE})
        before = json.loads(renderer.render(record))
        message = {"schemas": [PATCH_URN], "Operations": copy.deepcopy(operations)}
        after, problem = before, None
        try:
            after = json.loads(renderer.render(directory.patch(USER, record.id, message)))
        except ScimError as error:
            problem = error
        assert problem is None or problem.status in (400, 409)
        stored = directory.read(USER, record.id)
        assert json.loads(renderer.render(stored)) == after
        for name in ("id", "groups"):
            assert after.get(name) == before.get(name)
        assert {**after["meta"], "lastModified": 0, "version": 0} == {**before["meta"], "lastModified": 0, "version": 0}
        content = [{**shown, "meta": None} for shown in (before, after)]
        assert (content[0] == content[1]) is (before["meta"]["version"] == after["meta"]["version"])
        assert "password" not in after
    finally:
        store.close()
