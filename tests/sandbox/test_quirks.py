"""Services that cannot hold what git declares, for contract tests (scim-rfc.md section 12)."""

from __future__ import annotations

from typing import Any

from reconciler.sandbox.quirks import Quirks
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import Json, TenantClient, group_body, path_of, user_body

REPLACE = {"op": "replace", "path": "title"}


def _members(tenant: TenantClient, group: Json) -> Any:
    """Whom the group shows, by itself and in a list."""
    shown = [tenant.get(path_of(group)).json(), *tenant.find("/Groups")]
    return [[member["display"] for member in one["members"]] if "members" in one else None for one in shown]


def test_user_names_are_lower_cased(start_tenant: StartTenant) -> None:
    """Q12: on create, PUT and PATCH; what came back altered once does so for ever."""
    tenant = start_tenant(quirks=Quirks(lower_cases_user_names=True))
    ann = tenant.user("Ann@Example.com")

    assert ann["userName"] == "ann@example.com"
    assert tenant.put(path_of(ann), user_body("ANN@Example.com")).json() == ann
    patched = tenant.patch(path_of(ann), {"op": "replace", "path": "userName", "value": "Bob@Example.com"})
    assert patched.json()["userName"] == "bob@example.com"


def test_attributes_are_dropped(start_tenant: StartTenant) -> None:
    """Accepted with success, and not kept, in bulk either."""
    tenant = start_tenant(quirks=Quirks(drops_external_id=True, drops=("title",)))
    body = user_body("ann", externalId="x", title="Chief", nickName="An")

    tenant.results({"method": "POST", "path": "/Users", "bulkId": "1", "data": body})

    (ann,) = tenant.find("/Users")
    assert ann.keys() & {"externalId", "title", "nickName"} == {"nickName"}
    assert "title" not in tenant.patch(path_of(ann), {**REPLACE, "value": "Chief"}).json()
    assert "externalId" not in tenant.group("Staff", externalId="g")


def test_what_is_dropped_is_asked_for_all_the_same(start_tenant: StartTenant) -> None:
    """A tenant may demand what it does not keep (cxone.md section 4)."""
    tenant = start_tenant(quirks=Quirks(drops=("emails",)))

    assert "emails" not in tenant.user("ann")


def test_values_are_rewritten(start_tenant: StartTenant) -> None:
    """Q12: at any path of the core, a sub-attribute or a whole value, in one value or in many."""
    rewrites = (("name.givenName", str.title), ("emails.value", str.lower), ("title", str.strip))
    tenant = start_tenant(quirks=Quirks(rewrites=rewrites))

    ann = tenant.user("A", name={"givenName": "ann", "familyName": "lee"}, emails=[{"value": "A@B.c"}], title=" x ")

    assert ann["name"] == {"givenName": "Ann", "familyName": "lee"}
    assert (ann["emails"], ann["title"], ann["userName"]) == ([{"value": "a@b.c"}], "x", "A")


def test_members_are_hidden(start_tenant: StartTenant) -> None:
    """Q6: never shown, not shown in lists, always shown as none, or cut off; they are there all the same."""
    expected = {
        Quirks(): [["ann", "bob"], ["ann", "bob"]],
        Quirks(hides_members=True): [None, None],
        Quirks(hides_members_in_lists=True): [["ann", "bob"], None],
        Quirks(empties_members=True): [[], []],
        Quirks(truncates_members=1): [["ann"], ["ann"]],
    }
    for quirks, shown in expected.items():
        tenant = start_tenant(quirks=quirks, profile="rfc7644")
        ann = tenant.user("ann")
        group = tenant.group("Staff", ann, tenant.user("bob"))

        assert _members(tenant, group) == shown
        assert tenant.get(path_of(ann)).json()["groups"][0]["value"] == group["id"]


def test_groups_of_users_are_hidden(start_tenant: StartTenant) -> None:
    """RFC 7643 section 4.1.2 has `groups`; many services do not."""
    tenant = start_tenant(quirks=Quirks(hides_groups=True))
    ann = tenant.user("ann")
    tenant.group("Staff", ann)

    assert "groups" not in tenant.get(path_of(ann)).json()


def test_a_put_merges(start_tenant: StartTenant) -> None:
    """Q20: what the body leaves out stays, at every depth, and nobody leaves a group."""
    tenant = start_tenant(quirks=Quirks(merges_on_put=True))
    ann = tenant.user("ann", name={"givenName": "Ann", "familyName": "Lee"}, title="Chief")
    bob = tenant.user("bob")
    group = tenant.group("Staff", ann, externalId="g")

    user = tenant.put(path_of(ann), user_body("ann", name={"givenName": "Anna"}, title=None)).json()
    tenant.put(path_of(group), group_body("Staff", bob))

    assert (user["name"], user["title"]) == ({"givenName": "Anna", "familyName": "Lee"}, "Chief")
    assert _members(tenant, group) == [["ann", "bob"]] * 2
    assert tenant.get(path_of(group)).json()["externalId"] == "g"


def test_a_put_leaves_the_members_alone(start_tenant: StartTenant) -> None:
    """Q31: 200 without effect; the rest of the body counts."""
    tenant = start_tenant(quirks=Quirks(ignores_members_on_put=True))
    ann = tenant.user("ann")
    group = tenant.group("Staff", ann)

    assert tenant.put(path_of(group), group_body("Team", members=[])).status_code == 200

    assert _members(tenant, group) == [["ann"]] * 2
    assert tenant.find("/Groups")[0]["displayName"] == "Team"


def test_a_put_without_active_reactivates(start_tenant: StartTenant) -> None:
    """Q20; a PUT that states `active` is taken at its word."""
    tenant = start_tenant(quirks=Quirks(reactivates_on_put=True))
    ann = tenant.user("ann", active=False)

    assert tenant.put(path_of(ann), user_body("ann", active=False)).json()["active"] is False
    assert tenant.put(path_of(ann), user_body("ann")).json()["active"] is True
    group = tenant.group("Staff")
    assert "active" not in tenant.put(path_of(group), group_body("Staff")).json()


def test_members_cannot_be_removed_by_patch(start_tenant: StartTenant) -> None:
    """Q3: answered 200; adding works."""
    tenant = start_tenant(quirks=Quirks(ignores_member_removals=True))
    ann, bob = tenant.user("ann"), tenant.user("bob")
    group = tenant.group("Staff", ann)

    response = tenant.patch(
        path_of(group),
        {"op": "remove", "path": f'members[value eq "{ann["id"]}"]'},
        {"op": "add", "path": "members", "value": [{"value": bob["id"]}]},
    )

    assert response.status_code == 200
    assert _members(tenant, group) == [["ann", "bob"]] * 2


def test_versions_are_shown_and_never_checked(start_tenant: StartTenant) -> None:
    """Q14: a stale version goes through, by header and in bulk, and for the configuration."""
    tenant = start_tenant(quirks=Quirks(ignores_if_match=True))
    ann = tenant.user("ann")
    stale = '"stale"'

    assert tenant.get(path_of(ann)).headers["ETag"] == ann["meta"]["version"]
    assert tenant.patch(path_of(ann), {**REPLACE, "value": "x"}, version=stale).status_code == 200
    provider = "//api/scim/v2/ServiceProviderConfig"
    assert tenant.put(provider, tenant.get(provider).json(), version=stale).status_code == 200
    deletion = {"method": "DELETE", "path": path_of(ann), "version": stale}
    assert [result["status"] for result in tenant.results(deletion)] == ["204"]


def test_filters_are_ignored(start_tenant: StartTenant) -> None:
    """Q10: everything is shown, and counted."""
    tenant = start_tenant(quirks=Quirks(ignores_filters=True))
    tenant.user("ann")
    tenant.user("bob")

    listed = tenant.get("/Users", filter='userName eq "nobody"').json()

    assert (listed["totalResults"], len(listed["Resources"])) == (2, 2)
