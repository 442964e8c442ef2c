"""Groups, their members, and the groups of users (RFC 7643 sections 4.1.2 and 4.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.tenant_client import GROUP_URN, TenantClient, assert_error, group_body, path_of


def test_members_are_completed_with_type_reference_and_name(tenant: TenantClient) -> None:
    """RFC 7643 section 4.2 and 2.4: value, $ref, type, display."""
    ann = tenant.user("ann", displayName="Ann Lee")
    bob = tenant.user("bob")
    inner = tenant.group("Inner")

    outer = tenant.group("Outer", ann, bob, inner)

    assert outer["members"] == [
        {"value": ann["id"], "$ref": ann["meta"]["location"], "display": "Ann Lee", "type": "User"},
        {"value": bob["id"], "$ref": bob["meta"]["location"], "display": "bob", "type": "User"},
        {"value": inner["id"], "$ref": inner["meta"]["location"], "display": "Inner", "type": "Group"},
    ]
    assert tenant.get(path_of(outer)).json() == outer


def test_the_name_of_a_member_follows_the_member_unless_the_client_gave_one(tenant: TenantClient) -> None:
    """RFC 7643 section 4.2: sub-attributes of members are immutable, so a given display stays."""
    ann, bob = tenant.user("ann"), tenant.user("bob")
    members = [{"value": ann["id"]}, {"value": bob["id"], "display": "Bobby"}]
    group = tenant.group("Staff", members=members)

    for user in (ann, bob):
        tenant.patch(path_of(user), {"op": "add", "path": "displayName", "value": "New"})

    assert [member["display"] for member in tenant.get(path_of(group)).json()["members"]] == ["New", "Bobby"]


def test_a_member_may_be_named_by_its_reference_alone(tenant: TenantClient) -> None:
    """RFC 7643 section 2.4: $ref is the URI of the member."""
    ann = tenant.user("ann")

    group = tenant.group("Staff", members=[{"$ref": f"../Users/{ann['id']}"}])

    assert [member["value"] for member in group["members"]] == [ann["id"]]


@pytest.mark.parametrize(
    "members",
    [
        [{"value": "nobody"}],
        [{"value": ""}],
        [{}],
        ["nobody"],
        {"value": "nobody"},
        [{"value": 5}],
        [{"value": "nobody", "type": 5}],
    ],
)
def test_members_that_are_not_there_are_refused_by_name(
    tenant: TenantClient, rfc_tenant: TenantClient, members: Any
) -> None:
    """cxone.md section 10 and D21: a member that does not exist is a validation error, of which CXone makes 422."""
    body = group_body("Staff", members=members)
    assert_error(rfc_tenant.post("/Groups", body), 400, "invalidValue")

    error = assert_error(tenant.post("/Groups", body), 422, "invalidValue")

    assert members != [{"value": "nobody"}] or "'nobody'" in error["detail"]
    assert tenant.find("/Groups") == []


def test_a_member_of_the_wrong_type_is_refused(tenant: TenantClient) -> None:
    """RFC 7643 section 4.2: `type` is User or Group, and has to be right."""
    ann = tenant.user("ann")

    assert_error(
        tenant.post("/Groups", group_body("S", members=[{"value": ann["id"], "type": "Group"}])), 422, "invalidValue"
    )
    assert tenant.group("S", members=[{"value": ann["id"], "type": "user"}])["members"][0]["type"] == "User"


def test_a_group_cannot_be_its_own_member(tenant: TenantClient) -> None:
    """Nothing in the RFC needs it, and every reader of nested groups would have to guard against it."""
    group = tenant.group("Staff")

    assert_error(tenant.put(path_of(group), group_body("Staff", group)), 422, "invalidValue")


def test_a_group_replaced_without_members_is_refused_by_cxone_and_emptied_by_the_rfc(
    tenant: TenantClient, rfc_tenant: TenantClient
) -> None:
    """cxone.md section 8: missing `members` gives 422. RFC 7644 section 3.5.1: omitted means cleared."""
    bodies = []
    for one in (tenant, rfc_tenant):
        group = one.group("Staff", one.user("ann"))
        bodies.append(one.put(path_of(group), {"schemas": [GROUP_URN], "displayName": "Staff"}))

    assert_error(bodies[0], 422)
    assert bodies[1].status_code == 200
    assert "members" not in bodies[1].json()


def test_an_empty_group_says_so_in_cxone(tenant: TenantClient, rfc_tenant: TenantClient) -> None:
    """RFC 7643 section 2.5: absent and [] are the same; both ways have to be understood by clients."""
    assert tenant.group("Staff")["members"] == []
    assert "members" not in rfc_tenant.group("Staff")


def test_users_know_their_direct_and_indirect_groups(tenant: TenantClient) -> None:
    """RFC 7643 section 4.1.2: `groups` is computed, type direct or indirect; direct wins when both hold."""
    ann = tenant.user("ann")
    inner = tenant.group("Inner", ann)
    middle = tenant.group("Middle", inner)
    outer = tenant.group("Outer", middle, ann)

    groups = {group["display"]: group for group in tenant.get(path_of(ann)).json()["groups"]}

    assert {name: group["type"] for name, group in groups.items()} == {
        "Inner": "direct",
        "Middle": "indirect",
        "Outer": "direct",
    }
    assert groups["Middle"]["value"] == middle["id"]
    assert groups["Middle"]["$ref"] == middle["meta"]["location"]
    assert tenant.find("/Users")[0]["groups"] == list(groups.values())
    assert outer["members"][1]["value"] in (ann["id"], middle["id"])


def test_groups_that_contain_each_other_are_listed_once(tenant: TenantClient) -> None:
    """A live tenant may hold a cycle; reading it has to end."""
    ann = tenant.user("ann")
    one = tenant.group("One", ann)
    two = tenant.group("Two", one)
    tenant.patch(path_of(one), {"op": "add", "path": "members", "value": [{"value": two["id"]}]})

    groups = tenant.get(path_of(ann)).json()["groups"]

    assert [(group["display"], group["type"]) for group in groups] == [("One", "direct"), ("Two", "indirect")]


@pytest.mark.parametrize("member_is_group", [False, True])
def test_deleting_a_member_takes_it_out_of_its_groups_and_changes_their_version(
    tenant: TenantClient, member_is_group: bool
) -> None:
    """RFC 7643 section 4.2: members are resources; what is gone is no member, and the group's content changed."""
    member = tenant.group("Inner") if member_is_group else tenant.user("ann")
    group = tenant.group("Staff", member)
    bystander = tenant.group("Other")

    tenant.delete(path_of(member))

    changed = tenant.get(path_of(group)).json()
    assert changed["members"] == []
    assert changed["meta"]["version"] != group["meta"]["version"]
    assert tenant.get(path_of(bystander)).json() == bystander


def test_deleting_a_group_takes_it_from_its_users_and_leaves_their_version(tenant: TenantClient) -> None:
    """RFC 7643 section 4.1.2: `groups` is computed. Decided here: a version covers what a PUT can state."""
    ann = tenant.user("ann")
    group = tenant.group("Staff", ann)

    tenant.delete(path_of(group))

    assert tenant.get(path_of(ann)).json() == ann


def test_members_given_twice_are_one_member(tenant: TenantClient) -> None:
    """RFC 7643 section 2.4: no repetition of the same value."""
    ann = tenant.user("ann")

    assert len(tenant.group("Staff", ann, ann)["members"]) == 1


def test_a_group_put_with_the_same_members_in_another_order_changes_nothing(tenant: TenantClient) -> None:
    """RFC 7643 section 4.2: members is a set."""
    ann, bob = tenant.user("ann"), tenant.user("bob")
    group = tenant.group("Staff", ann, bob)

    assert tenant.put(path_of(group), group_body("Staff", bob, ann)).json() == group
