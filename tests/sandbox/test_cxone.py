"""What a CXone tenant does beyond the RFC (cxone.md sections 2 to 8, 10 and 11), and that no other tenant does it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from reconciler.sandbox.config import Client
from reconciler.sandbox.quirks import Quirks
from tests.fakes.clock import FakeClock
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import (
    ENTERPRISE_URN,
    PATCH_URN,
    USER_URN,
    Json,
    TenantClient,
    assert_error,
    group_body,
    path_of,
    user_body,
)

QUOTAS = "//api/v2/license/quotas"


class TestUsers:
    """Section 4."""

    @pytest.mark.parametrize("missing", ["schemas", "userName", "name", "emails"])
    def test_a_new_user_needs_four_things(self, tenant: TenantClient, rfc_tenant: TenantClient, missing: str) -> None:
        """Section 4: required by the server; RFC 7643 section 4.1 asks for two of them only."""
        body = {name: value for name, value in user_body("ann").items() if name != missing}

        assert_error(tenant.post("/Users", body), 400)
        assert rfc_tenant.post("/Users", body).status_code == (201 if missing in ("name", "emails") else 400)

    def test_a_user_who_is_there_needs_less(self, tenant: TenantClient) -> None:
        """[directory] replaces users with userName, active and externalId (R7)."""
        ann = tenant.user("ann")

        assert tenant.put(path_of(ann), {"schemas": [USER_URN], "userName": "ann", "active": False}).status_code == 200

    def test_the_schema_says_so(self, tenant: TenantClient, rfc_tenant: TenantClient) -> None:
        """RFC 7643 section 7: `required`, for whoever reads it."""

        def required(one: TenantClient) -> set[str]:
            schema = one.get(f"/Schemas/{USER_URN}").json()
            return {attribute["name"] for attribute in schema["attributes"] if attribute["required"]}

        assert required(tenant) == {"userName", "name", "emails"}
        assert required(rfc_tenant) == {"userName"}

    @pytest.mark.parametrize(("role", "is_known"), [("Agent", True), ("agent", False), ("Boss", False)])
    def test_roles_must_exist_exactly(self, start_tenant: StartTenant, role: str, *, is_known: bool) -> None:
        """Sections 4 and 10: an unknown role is a 400, on create, PUT, PATCH and in bulk."""
        tenant = start_tenant(roles=("Agent", "Supervisor"))
        ann = tenant.user("ann", roles=[{"value": "Supervisor"}])
        roles = [{"value": role}]
        operation = {"op": "replace", "path": "roles", "value": roles}

        answers = [
            tenant.post("/Users", user_body("bob", roles=roles)),
            tenant.put(path_of(ann), user_body("ann", roles=roles)),
            tenant.patch(path_of(ann), operation),
        ]
        (result,) = tenant.results(
            {"method": "POST", "path": "/Users", "bulkId": "c", "data": user_body("cyd", roles=roles)}
        )

        if is_known:
            assert [answer.status_code for answer in answers] == [201, 200, 200]
            assert result["status"] == "201"
        else:
            for answer in answers:
                assert f"'{role}'" in assert_error(answer, 400, "invalidValue")["detail"]
            assert result["status"] == "400"
            assert tenant.find("/Users") == [ann]

    def test_without_a_list_any_role_will_do(self, start_tenant: StartTenant) -> None:
        """No endpoint lists roles; RFC 7643 section 4.1.2 has no vocabulary, so another profile never looks."""
        for settings in ({"profile": "cxone"}, {"profile": "rfc7644", "roles": ("Agent",)}):
            assert start_tenant(**settings).user("ann", roles=[{"value": "Anything"}])["roles"]

    def test_a_new_user_may_name_groups_to_be_in(self, tenant: TenantClient) -> None:
        """D17: by name, or by id; the group has a new version."""
        staff, crew = tenant.group("Staff"), tenant.group("Crew")

        ann = tenant.user("ann", groups=[{"value": "Staff"}, {"value": crew["id"]}, {"value": "Staff"}])

        assert {group["display"] for group in ann["groups"]} == {"Staff", "Crew"}
        for group in (staff, crew):
            now = tenant.get(path_of(group)).json()
            assert [member["display"] for member in now["members"]] == ["ann"]
            assert now["meta"]["version"] != group["meta"]["version"]

    @pytest.mark.parametrize(
        "groups", [[{"value": "staff"}], [{"value": "Nobody"}], [{}], ["Staff"], {"value": "Staff"}]
    )
    def test_groups_that_do_not_exist_exactly_are_refused(self, tenant: TenantClient, groups: Any) -> None:
        """Sections 4 and 10: 400, and nobody is created."""
        tenant.group("Staff")

        assert_error(tenant.post("/Users", user_body("ann", groups=groups)), 400, "invalidValue")

        assert tenant.find("/Users") == []

    def test_groups_may_mean_nothing(self, start_tenant: StartTenant) -> None:
        """RFC 7643 section 4.1.2: read-only, as some tenants have it (D17)."""
        tenant = start_tenant(quirks=Quirks(ignores_inline_groups=True))

        assert "groups" not in tenant.user("ann", groups=[{"value": "Nobody"}])

    def test_groups_of_a_user_who_is_there_are_read_only(self, tenant: TenantClient) -> None:
        """RFC 7643 section 4.1.2: what was read can be sent back, and changes nothing."""
        tenant.group("Staff")
        ann = tenant.user("ann", groups=[{"value": "Staff"}])

        assert tenant.put(path_of(ann), ann).json() == ann
        assert tenant.put(path_of(ann), user_body("ann")).json()["groups"] == ann["groups"]

    @pytest.mark.parametrize("name", ["ann@example.com", "ann lee", "ann/lee+x", "a%2Fb"])
    def test_users_are_addressed_by_user_name(self, tenant: TenantClient, rfc_tenant: TenantClient, name: str) -> None:
        """D16: for every method and in bulk; without regard to case."""
        key = requests.utils.quote(name.upper(), safe="")  # type: ignore[attr-defined]
        path = f"/Users/{key}"
        ann = tenant.user(name)
        patch = {"schemas": [PATCH_URN], "Operations": [{"op": "add", "path": "title", "value": "x"}]}

        assert tenant.get(path).json() == ann
        assert tenant.put(path, user_body(name, nickName="A"), version=ann["meta"]["version"]).status_code == 200
        assert [result["status"] for result in tenant.results({"method": "PATCH", "path": path, "data": patch})] == [
            "200"
        ]
        assert tenant.get(path_of(ann)).json()["title"] == "x"
        assert tenant.delete(path).status_code == 204
        rfc_tenant.user(name)
        assert_error(rfc_tenant.get(path), 404)

    def test_patch_comes_in_the_envelope_of_the_samples(self, tenant: TenantClient, rfc_tenant: TenantClient) -> None:
        """D14: User URN in `schemas`, lower-case `operations`; P10: the RFC knows neither."""
        message = {"schemas": [USER_URN], "operations": [{"op": "replace", "path": "active", "value": False}]}

        assert tenant.send("PATCH", path_of(tenant.user("ann")), message).json()["active"] is False
        assert_error(rfc_tenant.send("PATCH", path_of(rfc_tenant.user("ann")), message), 400, "invalidSyntax")


class TestGroups:
    """Section 8."""

    @pytest.mark.parametrize("body", [{"displayName": 5}, {"displayName": ""}, {"members": "x"}])
    def test_a_broken_schema_is_unprocessable(self, tenant: TenantClient, rfc_tenant: TenantClient, body: Json) -> None:
        """Section 10 and D21: 422 for groups, where the RFC and the users of CXone have 400."""
        assert_error(tenant.post("/Groups", group_body("Staff") | body), 422, "invalidValue")
        assert_error(rfc_tenant.post("/Groups", group_body("Staff") | body), 400, "invalidValue")
        assert_error(tenant.post("/Users", user_body("ann", active="yes")), 400, "invalidValue")

    def test_groups_are_nested_three_deep_and_no_deeper(self, tenant: TenantClient, rfc_tenant: TenantClient) -> None:
        """Section 8: the chain counts every group on it, from the outermost down; 422, and nothing is stored."""

        def nest(one: TenantClient) -> requests.Response:
            inner, outer = one.group("D"), one.group("A")
            for name in ("C", "B"):
                inner = one.group(name, inner)
            return one.put(path_of(outer), group_body("A", inner))

        assert_error(nest(tenant), 422, "invalidValue")
        assert nest(rfc_tenant).status_code == 200
        assert [group["displayName"] for group in tenant.find("/Groups") if not group["members"]] == ["D", "A"]

    @pytest.mark.parametrize("verb", ["put", "patch", "bulk"])
    def test_what_is_above_a_group_counts(self, start_tenant: StartTenant, verb: str) -> None:
        """Section 8: all ancestors of the target are on the chain, so the flat list of members shows nothing (G1)."""
        tenant = start_tenant(nested_group_depth=2)
        leaf, middle = tenant.group("Leaf"), tenant.group("Middle")
        top = tenant.group("Top", middle)
        body = group_body("Middle", leaf)
        member = {"op": "add", "path": "members", "value": [{"value": leaf["id"]}]}

        if verb == "bulk":
            (result,) = tenant.results({"method": "PUT", "path": path_of(middle), "data": body})
            assert result["status"] == "422"
        else:
            response = tenant.put(path_of(middle), body) if verb == "put" else tenant.patch(path_of(middle), member)
            assert_error(response, 422, "invalidValue")
        assert tenant.get(path_of(middle)).json()["members"] == []
        assert tenant.put(path_of(top), group_body("Top")).status_code == 200
        assert tenant.put(path_of(middle), body).status_code == 200

    def test_groups_are_not_nested_in_circles(self, tenant: TenantClient) -> None:
        """Section 8: cycles are errors of their own; a circle has no end, so it is longer than any limit."""
        inner = tenant.group("Inner")
        outer = tenant.group("Outer", inner)

        assert_error(tenant.put(path_of(inner), group_body("Inner", outer)), 422, "invalidValue")


class TestLicences:
    """Section 4: E3 and E4."""

    def test_who_is_active_takes_one(self, start_tenant: StartTenant) -> None:
        """`total` and `used`; deactivation and deletion free one, a group takes none."""
        tenant = start_tenant(seats=5)
        ann, bob = tenant.user("ann"), tenant.user("bob", active=True)
        tenant.user("cyd", active=False)
        tenant.group("Staff")

        def used() -> int:
            quota = tenant.get(QUOTAS)
            assert quota.headers["Content-Type"] == "application/json"
            assert quota.json().keys() == {"total", "used"}
            assert quota.json()["total"] == 5
            number: int = quota.json()["used"]
            return number

        assert used() == 2
        tenant.put(path_of(ann), user_body("ann", active=False))
        assert used() == 1
        tenant.patch(path_of(ann), {"op": "replace", "path": "active", "value": True})
        assert used() == 2
        tenant.delete(path_of(bob))
        assert used() == 1

    def test_nobody_becomes_active_beyond_the_seats(self, start_tenant: StartTenant) -> None:
        """403 on create and on reactivation; an edit of somebody active takes none."""
        tenant = start_tenant(seats=1)
        ann, bob = tenant.user("ann"), tenant.user("bob", active=False)

        assert_error(tenant.post("/Users", user_body("cyd")), 403)
        reactivation = {"op": "replace", "path": "active", "value": True}
        assert "No licence is free" in assert_error(tenant.patch(path_of(bob), reactivation), 403)["detail"]
        assert tenant.patch(path_of(ann), {"op": "add", "path": "title", "value": "x"}).status_code == 200
        assert tenant.get(path_of(bob)).json() == bob
        assert tenant.get(QUOTAS).json() == {"total": 1, "used": 1}

    def test_a_bulk_request_stops_at_the_seats(self, start_tenant: StartTenant) -> None:
        """P6: the batch counts, in the order of its operations; what failed took none."""
        tenant = start_tenant(seats=2)
        ann = tenant.user("ann")
        creates = [
            {"method": "POST", "path": "/Users", "bulkId": name, "data": user_body(name)}
            for name in ("bob", "bob", "cyd", "dan")
        ]
        gone = {"method": "DELETE", "path": path_of(ann)}

        results = tenant.results(*creates[:3], gone, creates[3])

        assert [result["status"] for result in results] == ["201", "400", "403", "204", "201"]
        assert tenant.get(QUOTAS).json() == {"total": 2, "used": 2}

    def test_a_licence_is_released(self, start_tenant: StartTenant) -> None:
        """E4: 204, then 404; setting active false releases it by itself, unless the tenant lags."""

        def release(one: TenantClient) -> list[int]:
            ann = one.user("ann")
            one.patch(path_of(ann), {"op": "replace", "path": "active", "value": False})
            path = f"//api/v2/license/assignments/{ann['id']}"
            return [one.get(QUOTAS).json()["used"], *(one.delete(path).status_code for _ in range(2))]

        lagging = start_tenant(quirks=Quirks(keeps_licences=True))

        assert release(start_tenant()) == [0, 404, 404]
        assert release(lagging) == [1, 204, 404]
        assert lagging.get(QUOTAS).json()["used"] == 0
        assert_error(lagging.delete("//api/v2/license/assignments/nobody"), 404)

    def test_who_kept_a_licence_can_come_back(self, start_tenant: StartTenant) -> None:
        """The one that was kept is the one that is used."""
        tenant = start_tenant(seats=1, quirks=Quirks(keeps_licences=True))
        ann = tenant.user("ann")
        for active in (False, True):
            operation = {"op": "replace", "path": "active", "value": active}
            assert tenant.patch(path_of(ann), operation).status_code == 200

        assert tenant.get(QUOTAS).json()["used"] == 1

    def test_licences_survive_a_restart(self, start_tenant: StartTenant, tmp_path: Any) -> None:
        """With a data file, like everything else; a reset frees them all."""
        data, admin = str(tmp_path / "tenant.sqlite"), {"Authorization": "Bearer admin"}
        with start_tenant(data=data) as tenant:
            tenant.user("ann")
        tenant = start_tenant(data=data, admin="admin")
        assert tenant.get(QUOTAS).json()["used"] == 1
        tenant.send("POST", "//_sandbox/reset", headers=admin)
        assert tenant.get(QUOTAS).json()["used"] == 0

    @pytest.mark.parametrize(
        ("scope", "read", "release"),
        [("License.Read", 200, 403), ("License.ReadWrite", 200, 404), ("SCIM.ReadWrite", 403, 403)],
    )
    def test_scopes_decide(self, start_tenant: StartTenant, scope: str, read: int, release: int) -> None:
        """Section 1: reading and releasing have scopes of their own (P6: never requested)."""
        tenant = start_tenant(clients=(Client("id", "secret", (scope,)),))
        token = tenant.session.post(
            f"{tenant.server.origin}/oauth/token",
            data={"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"},
            timeout=10,
        ).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}

        assert tenant.get(QUOTAS, headers=headers).status_code == read
        assert tenant.send("DELETE", "//api/v2/license/assignments/x", headers=headers).status_code == release

    def test_no_other_tenant_has_licences(self, start_tenant: StartTenant) -> None:
        """RFC 7644 knows nothing of them."""
        tenant = start_tenant(profile="rfc7644", seats=0)
        tenant.user("ann")

        assert_error(tenant.get(QUOTAS), 404)
        assert_error(tenant.delete("//api/v2/license/assignments/x"), 404)


class TestBulk:
    """Section 5."""

    def test_a_result_tells_what_the_sample_reads(self, tenant: TenantClient, rfc_tenant: TenantClient) -> None:
        """D9 and D13: `id`, `path`, `detail` and `errors` beside what the RFC has."""
        good = {"method": "POST", "path": "/Users", "id": "op-1", "bulkId": "op-1", "data": user_body("ann")}
        bad = {"method": "DELETE", "path": "/Users/nobody", "id": "op-2"}

        first, second = tenant.results(good, bad)

        assert (first["id"], first["bulkId"], first["path"], first["status"]) == ("op-1", "op-1", "/Users", "201")
        assert second["errors"] == [{"detail": second["detail"], "status": 404}]
        assert second["detail"] == second["response"]["detail"]
        assert not any(result.keys() & {"path", "errors", "detail"} for result in rfc_tenant.results(good, bad))

    @pytest.mark.parametrize(("style", "shown"), [("text", "201"), ("number", 201), ("object", {"code": "201"})])
    def test_a_status_is_written_in_three_ways(self, start_tenant: StartTenant, style: str, shown: Any) -> None:
        """D12 and Q21."""
        tenant = start_tenant(quirks=Quirks(bulk_status=style))  # type: ignore[arg-type]

        (result,) = tenant.results({"method": "POST", "path": "/Users", "bulkId": "a", "data": user_body("ann")})

        assert result["status"] == shown


class TestLists:
    """Section 8, listing."""

    @pytest.mark.parametrize("path", ["/Users", "/Groups", "/"])
    def test_the_total_is_in_a_header_too(self, tenant: TenantClient, rfc_tenant: TenantClient, path: str) -> None:
        """D24: `X-Total-Results`, on every page and for /.search."""
        for name in ("ann", "bob"):
            tenant.user(name)
        tenant.group("Staff")
        total = {"/Users": "2", "/Groups": "1", "/": "3"}[path]

        assert tenant.get(path, count=1).headers["X-Total-Results"] == total
        assert tenant.get(path, cursor="", count=1).headers["X-Total-Results"] == total
        assert "X-Total-Results" not in rfc_tenant.get(path).headers

    def test_lists_are_sorted_only_where_that_is_announced(self, tenant: TenantClient) -> None:
        """RFC 7644 section 3.4.2.3; section 7: a PUT of the configuration switches it off."""
        for name in ("bob", "ann"):
            tenant.user(name, **{ENTERPRISE_URN: {"department": name}})

        def names() -> list[str]:
            return [user["userName"] for user in tenant.find("/Users", sortBy="userName")]

        assert names() == ["ann", "bob"]
        document = tenant.get("//api/scim/v2/ServiceProviderConfig").json()
        tenant.put("//api/scim/v2/ServiceProviderConfig", {**document, "sortConfig": {"supported": False}})
        assert tenant.get("/ServiceProviderConfig").json()["sort"] == {"supported": False}
        assert names() == ["bob", "ann"]


class TestRate:
    """Section 9: so many requests a minute."""

    @pytest.mark.parametrize("profile", ["cxone", "rfc7644"])
    def test_what_comes_too_early_is_told_to_wait(self, start_tenant: StartTenant, profile: str) -> None:
        """429 with `Retry-After` in seconds, by the clock of the tenant; who waits that long is answered."""
        clock = FakeClock()
        tenant = start_tenant(rate=2, clock=clock, profile=profile, admin="admin")

        assert tenant.get("/Users").status_code == 200
        clock.sleep(20)
        assert tenant.get("/Users").status_code == 200
        clock.sleep(10)
        refused = tenant.post("/Users", user_body("ann"))
        assert_error(refused, 429)
        assert refused.headers["Retry-After"] == "30"
        clock.sleep(29)
        assert tenant.get("/Users").headers["Retry-After"] == "1"
        clock.sleep(1)
        assert tenant.get("/Users").json()["totalResults"] == 0
        assert tenant.get("/Users").headers["Retry-After"] == "20"
        tenant.send("POST", "//_sandbox/reset", headers={"Authorization": "Bearer admin"})
        assert tenant.get("/Users").status_code == 200

    def test_tokens_and_control_do_not_count(self, start_tenant: StartTenant) -> None:
        """They are asked of another service, and by another person."""
        tenant = start_tenant(rate=1, admin="admin", clock=FakeClock())
        for _ in range(3):
            tenant.get("//_sandbox/requests", headers={"Authorization": "Bearer admin"})
            assert tenant.post("//oauth/token", {}).status_code == 400

        assert [tenant.get("/Users").status_code for _ in range(2)] == [200, 429]
