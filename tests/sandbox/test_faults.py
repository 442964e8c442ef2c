"""Faults on demand (SPEC section 10): what each of them does to a request, and which requests it strikes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sandbox.config import AsyncBulk
from reconciler.sandbox.faults import Fault, FaultPlan, Faults, FaultsError, parse_faults, read_faults
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import Json, TenantClient, assert_error, path_of, user_body

ADMIN = {"Authorization": "Bearer admin"}
FAULTS = "//_sandbox/faults"


def _plan(fault: str, *, match: Json | None = None, seed: int = 1, **args: Any) -> FaultPlan:
    return read_faults({"seed": seed, "faults": [{"match": match or {}, "fault": fault, "args": args}]})


def _struck(tenant: TenantClient, fault: str, *, match: Json | None = None, **args: Any) -> None:
    """From now on the tenant has this one fault."""
    rule = {"match": match or {}, "fault": fault, "args": args}
    response = tenant.send("PUT", FAULTS, {"seed": 1, "faults": [rule]}, headers=ADMIN)
    assert response.status_code == 200, response.text


def _names(tenant: TenantClient) -> list[str]:
    """Who is there, read without faults."""
    tenant.send("DELETE", FAULTS, headers=ADMIN)
    return [user["userName"] for user in tenant.find("/Users")]


def _post(name: str) -> Json:
    return {"method": "POST", "path": "/Users", "bulkId": name, "data": user_body(name)}


@pytest.fixture
def tenant(start_tenant: StartTenant) -> TenantClient:
    """A tenant whose faults can be set."""
    return start_tenant(admin="admin")


class TestWhatTheyDo:
    """One test a fault, over real HTTP."""

    @pytest.mark.parametrize(("fault", "committed"), [("drop-before-send", []), ("drop-after-commit", ["ann"])])
    def test_the_connection_is_dropped(self, tenant: TenantClient, fault: str, committed: list[str]) -> None:
        """cxone.md section 10: the outcome is unknown to the client, before and after the commit alike."""
        _struck(tenant, fault, match={"method": "POST"})

        with pytest.raises(requests.ConnectionError):
            tenant.post("/Users", user_body("ann"))

        assert _names(tenant) == committed
        log = tenant.get("//_sandbox/requests", headers=ADMIN).json()["requests"]
        assert [(entry["status"], entry.get("fault")) for entry in log] == [(0, fault), (200, None)]

    @pytest.mark.parametrize(("seconds", "header"), [(7, "7"), (0, "0"), (None, None)])
    def test_too_many_requests(self, tenant: TenantClient, seconds: int | None, header: str | None) -> None:
        """429 with Retry-After in seconds, or without (D22); nothing is done."""
        _struck(tenant, "429", match={"method": "POST"}, retryAfter=seconds)

        response = tenant.post("/Users", user_body("ann"))

        assert_error(response, 429)
        assert response.headers.get("Retry-After") == header
        assert _names(tenant) == []

    def test_too_many_requests_until_a_date(self, tenant: TenantClient) -> None:
        """RFC 9110 section 10.2.3: Retry-After may be a date."""
        _struck(tenant, "429", retryAfter=3600, asDate=True)

        header = tenant.get("/Users").headers["Retry-After"]

        assert parsedate_to_datetime(header) > datetime.now(UTC)

    @pytest.mark.parametrize("committed", [False, True])
    def test_the_service_fails(self, tenant: TenantClient, *, committed: bool) -> None:
        """5xx, whether or not it did what was asked (P3: never replayed blindly)."""
        _struck(tenant, "5xx", match={"method": "POST"}, status=502, committed=committed)

        assert_error(tenant.post("/Users", user_body("ann")), 502)

        assert _names(tenant) == (["ann"] if committed else [])

    def test_the_service_fails_in_html(self, tenant: TenantClient) -> None:
        """Q30: errors that are not JSON."""
        _struck(tenant, "5xx", html=True)

        response = tenant.get("/Users")

        assert (response.status_code, response.headers["Content-Type"]) == (503, "text/html")

    def test_an_answer_is_slow(self, start_tenant: StartTenant) -> None:
        """It waits and then answers as ever; the wait is handed in, so nobody has to sleep."""
        waits: list[float] = []
        tenant = start_tenant(faults=_plan("slow", seconds=2.5), sleep=waits.append)

        assert tenant.get("/Users").status_code == 200
        assert waits == [2.5]

    def test_a_page_is_broken_off(self, tenant: TenantClient) -> None:
        """The connection ends in the middle of the body."""
        tenant.user("ann")
        _struck(tenant, "truncated-page", match={"path": "/scim/v2/Users"})

        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            tenant.get("/Users")

    def test_a_page_has_fewer_rows_than_it_says(self, tenant: TenantClient) -> None:
        """G8: who advances by what was asked for skips rows."""
        for name in ("ann", "bob", "cyd"):
            tenant.user(name)
        _struck(tenant, "truncated-page", rows=1)

        page = tenant.get("/Users").json()

        assert (len(page["Resources"]), page["itemsPerPage"], page["totalResults"]) == (1, 3, 3)

    @pytest.mark.parametrize(("by", "second"), [(1, ["dan"]), (-1, ["bob", "cyd"])])
    def test_pages_shift_while_they_are_read(self, tenant: TenantClient, by: int, second: list[str]) -> None:
        """INCIDENTS: rows twice, rows never; the numbers look right."""
        for name in ("ann", "bob", "cyd", "dan"):
            tenant.user(name)
        _struck(tenant, "shifting-pages", match={"path": "/scim/v2/Users", "nth": 2}, by=by)

        pages = [tenant.get("/Users", startIndex=start, count=2).json() for start in (1, 3)]

        assert [[user["userName"] for user in page["Resources"]] for page in pages] == [["ann", "bob"], second]
        assert [(page["startIndex"], page["totalResults"]) for page in pages] == [(1, 4), (3, 4)]

    def test_pages_shift_by_chance(self, start_tenant: StartTenant) -> None:
        """Without `by` the seed decides, and decides the same every time."""

        def read() -> list[list[str]]:
            tenant = start_tenant(faults=_plan("shifting-pages", match={"method": "GET"}), max_results=2)
            tenant.results(*(_post(f"user-{number}") for number in range(9)))
            return [[user["userName"] for user in tenant.find("/Users", startIndex=start)] for start in (3, 5, 7)]

        assert read() == read()
        assert read() != [[f"user-{number}" for number in (start, start + 1)] for start in (2, 4, 6)]

    @pytest.mark.parametrize(("by", "total"), [(5, 6), (-1, 0), (-9, 0)])
    def test_the_total_is_wrong(self, tenant: TenantClient, by: int, total: int) -> None:
        """Q9."""
        tenant.user("ann")
        _struck(tenant, "wrong-total-results", by=by)

        assert tenant.get("/Users").json()["totalResults"] == total

    def test_a_success_is_a_lie(self, tenant: TenantClient) -> None:
        """Q31: 200 or 201 with a body, and nothing has changed."""
        ann = tenant.user("ann", title="x")
        provider = tenant.get("//api/scim/v2/ServiceProviderConfig").json()
        _struck(tenant, "lying-200")

        created = tenant.post("/Users", user_body("bob"))
        replaced = tenant.put(path_of(ann), user_body("ann", title="y"), version=ann["meta"]["version"])
        written = tenant.put("//api/scim/v2/ServiceProviderConfig", {**provider, "productName": "Other"})
        bulk = tenant.results(_post("cyd"))

        assert (created.status_code, replaced.json()["title"], written.status_code) == (201, "y", 200)
        assert [result["status"] for result in bulk] == ["201"]
        assert _names(tenant) == ["ann"]
        assert tenant.get(path_of(ann)).json() == ann
        assert tenant.get("//api/scim/v2/ServiceProviderConfig").json() == provider

    def test_a_lie_does_not_hide_an_error(self, tenant: TenantClient) -> None:
        """Who would be refused is refused."""
        tenant.user("ann")
        _struck(tenant, "lying-200")

        assert_error(tenant.post("/Users", user_body("ann")), 409)

    def test_a_bulk_request_is_done_in_part(self, tenant: TenantClient) -> None:
        """R2: what has no result did not run here; half of the operations unless `operations` says how many."""
        _struck(tenant, "partial-bulk", match={"path": "*/Bulk"})

        results = tenant.results(*map(_post, ("ann", "bob", "cyd", "dan")))

        assert [result["status"] for result in results] == ["201", "201"]
        assert _names(tenant) == ["ann", "bob"]

    def test_a_bulk_request_is_done_in_part_and_says_so(self, tenant: TenantClient) -> None:
        """R3: with `status` the rest is answered with it."""
        _struck(tenant, "partial-bulk", operations=1, status=503)

        results = tenant.results(*map(_post, ("ann", "bob")))

        assert [result["status"] for result in results] == ["201", "503"]
        assert _names(tenant) == ["ann"]

    def test_bulk_results_are_missing(self, tenant: TenantClient) -> None:
        """R2: what has no result did run here."""
        _struck(tenant, "missing-bulk-results", count=2)

        results = tenant.results(*map(_post, ("ann", "bob", "cyd")))

        assert len(results) == 1
        assert _names(tenant) == ["ann", "bob", "cyd"]

    def test_a_job_breaks_off(self, start_tenant: StartTenant) -> None:
        """P4: FAILED, and yet some of it is done."""
        tenant = start_tenant(admin="admin", async_bulk=AsyncBulk(polls=1), faults=_plan("partial-bulk", operations=1))

        job = tenant.get(f"/Bulk/{tenant.bulk(_post('ann'), _post('bob')).json()['id']}").json()

        assert (job["status"], [result["status"] for result in job["Operations"]]) == ("FAILED", ["201"])
        assert job["errors"] == [{"code": "500", "message": "The job broke off"}]
        assert _names(tenant) == ["ann"]

    def test_a_job_hides_results(self, start_tenant: StartTenant) -> None:
        """The same fault as in a synchronous answer."""
        plan = _plan("missing-bulk-results", match={"method": "GET"})
        tenant = start_tenant(async_bulk=AsyncBulk(polls=1), faults=plan)

        job = tenant.get(f"/Bulk/{tenant.bulk(_post('ann'), _post('bob')).json()['id']}").json()

        assert (job["status"], len(job["Operations"])) == ("COMPLETED", 1)

    def test_a_job_commits_late(self, start_tenant: StartTenant) -> None:
        """Q24: COMPLETED comes true some requests later."""
        plan = _plan("late-async-commit", match={"method": "POST", "nth": 1}, requests=1)
        tenant = start_tenant(async_bulk=AsyncBulk(polls=1), faults=plan)
        path = f"/Bulk/{tenant.bulk(_post('ann')).json()['id']}"

        assert tenant.get(path).json()["status"] == "COMPLETED"
        assert [len(tenant.find("/Users")) for _ in range(2)] == [0, 1]
        path = f"/Bulk/{tenant.bulk(_post('bob')).json()['id']}"
        tenant.get(path)
        assert len(tenant.find("/Users")) == 2


class TestForeignEdits:
    """Somebody else edits a resource between a read and a write (INCIDENTS: nobody looked)."""

    def test_before_a_guarded_write(self, tenant: TenantClient) -> None:
        """The version that was read does not match any more, and nothing else has changed."""
        ann = tenant.user("ann", title="x")
        _struck(tenant, "foreign-edit", match={"method": "PUT"})

        refused = tenant.put(path_of(ann), user_body("ann", title="y"), version=ann["meta"]["version"])

        assert_error(refused, 412)
        found = tenant.get(path_of(ann)).json()
        assert found["meta"].pop("version") != ann["meta"].pop("version")
        assert found["meta"].pop("lastModified") >= ann["meta"].pop("lastModified")
        assert found == ann

    def test_of_what_a_bulk_request_writes(self, tenant: TenantClient) -> None:
        """One of the resources that its operations name; creates name none."""
        ann = tenant.user("ann")
        deletion = {"method": "DELETE", "path": path_of(ann), "version": ann["meta"]["version"]}
        _struck(tenant, "foreign-edit", match={"path": "*/Bulk"})

        assert [result["status"] for result in tenant.results(_post("bob"), deletion)] == ["201", "412"]

    def test_after_a_read(self, tenant: TenantClient) -> None:
        """The reader sees the state before; the change is the one the arguments tell, as PATCH operations."""
        ann = tenant.user("ann", title="x")
        operation = {"op": "replace", "path": "title", "value": "edited"}
        _struck(tenant, "foreign-edit", match={"method": "GET", "nth": 1}, operations=[operation])

        assert tenant.get(path_of(ann)).json()["title"] == "x"
        assert tenant.get(path_of(ann)).json()["title"] == "edited"

    @pytest.mark.parametrize("search", [False, True])
    def test_after_a_list_somebody_is_edited(self, tenant: TenantClient, *, search: bool) -> None:
        """The seed chooses whom, out of the whole list."""
        for name in ("ann", "bob", "cyd"):
            tenant.user(name)
        operation = {"op": "add", "path": "title", "value": "edited"}
        _struck(tenant, "foreign-edit", match={"path": "/scim/v2/Users*", "nth": 1}, operations=[operation])
        if search:
            tenant.post("/Users/.search", {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]})

        titles = [[user.get("title") for user in tenant.find("/Users")] for _ in range(2)]

        assert [sorted(filter(None, found)) for found in titles] == [["edited"] if search else [], ["edited"]]

    def test_of_somebody_named(self, tenant: TenantClient) -> None:
        """By userName or displayName, whatever the request is about."""
        tenant.user("ann")
        tenant.group("Staff")
        operations = [{"op": "replace", "path": "externalId", "value": "edited"}]
        rules = [
            {"match": {"nth": number}, "fault": "foreign-edit", "args": {**whom, "operations": operations}}
            for number, whom in ((1, {"user": "ANN"}), (2, {"group": "staff"}))
        ]
        tenant.send("PUT", FAULTS, rules, headers=ADMIN)
        tenant.get("/Schemas")
        tenant.get("/Schemas")

        assert [resource["externalId"] for resource in tenant.find("/")] == ["edited", "edited"]

    def test_that_cannot_be_made_says_so(self, tenant: TenantClient) -> None:
        """A plan of faults that does not work must not pass for one that does."""
        tenant.user("ann")
        operation = {"op": "replace", "path": "nonsense", "value": 1}
        _struck(tenant, "foreign-edit", match={"nth": 1}, user="ann", operations=[operation])

        assert "foreign edit" in assert_error(tenant.get("/Users"), 500)["detail"]

    def test_of_nobody_changes_nothing(self, tenant: TenantClient) -> None:
        """Who is not there cannot be edited."""
        _struck(tenant, "foreign-edit")

        assert_error(tenant.delete("/Users/nobody"), 404)
        assert tenant.get("/Groups").json()["totalResults"] == 0
        assert_error(tenant.post("/Bulk", b"{"), 400)


class TestWhomTheyStrike:
    """Match, number, share, and the order of the list."""

    def test_method_path_and_number_must_fit(self, tenant: TenantClient) -> None:
        """Only requests that fit are counted; those of `/_sandbox` never are."""
        match = {"method": "get", "path": "/scim/v2/*s", "nth": [1, "3-4", "6-"]}
        _struck(tenant, "5xx", match=match)
        tenant.get("/ServiceProviderConfig")
        tenant.delete("/Users")

        statuses = [tenant.get(path).status_code for path in ("/Users", "/Groups", "/Users", "/Users")]
        statuses += [tenant.get("/Users").status_code for _ in range(3)]

        assert statuses == [503, 200, 503, 503, 200, 503, 503]
        (shown,) = tenant.get(FAULTS, headers=ADMIN).json()["faults"]
        assert (shown["counted"], shown["struck"]) == (7, 5)

    def test_the_first_fault_that_is_due_decides_and_all_of_them_count(self, tenant: TenantClient) -> None:
        """So that a list reads from top to bottom."""
        rules = [{"match": {"nth": 1}, "fault": "429"}, {"match": {"nth": [1, 2]}, "fault": "5xx"}]
        tenant.send("PUT", FAULTS, rules, headers=ADMIN)

        assert [tenant.get("/Users").status_code for _ in range(3)] == [429, 503, 200]

    def test_token_requests_are_struck_too(self, tenant: TenantClient) -> None:
        """cxone.md section 1: the token endpoint is part of what can fail."""
        _struck(tenant, "5xx", match={"path": "/oauth/token"})

        assert tenant.send("POST", "//oauth/token", {}).status_code == 503

    @given(st.permutations([f"/scim/v2/Users/{number}" for number in range(40)]), st.integers(0, 3))
    def test_a_share_does_not_depend_on_the_order_of_requests(self, paths: list[str], seed: int) -> None:
        """The same file with the same seed gives the same behaviour, also when a client reads in parallel."""

        def struck(order: list[str]) -> set[str]:
            faults = Faults(_plan("5xx", match={"share": 0.5}, seed=seed))
            return {path for path in order if faults.strike("GET", path, "")}

        found = struck(paths)

        assert found == struck(sorted(paths))
        assert 5 < len(found) < 35

    def test_another_seed_strikes_others(self) -> None:
        """And a request that is repeated has a new chance."""

        def struck(seed: int, rounds: int = 1) -> list[bool]:
            faults = Faults(_plan("5xx", match={"share": 0.5}, seed=seed))
            return [faults.strike("GET", f"/{n}", "") is not None for _ in range(rounds) for n in range(40)]

        assert struck(1) != struck(2)
        assert struck(1, 2)[:40] == struck(1) != struck(1, 2)[40:]


class TestControl:
    """`/_sandbox/faults`."""

    def test_faults_are_shown_set_and_cleared(self, start_tenant: StartTenant) -> None:
        """GET, PUT, DELETE; what is left out is shown with what holds then."""
        tenant = start_tenant(admin="admin", faults=_plan("429", match={"nth": 2}, seed=9))
        expected = {
            "match": {"method": "*", "path": "*", "nth": ["2"], "share": 1},
            "fault": "429",
            "args": {"retryAfter": 1, "asDate": False},
            "counted": 0,
            "struck": 0,
        }

        assert tenant.get(FAULTS, headers=ADMIN).json() == {"seed": 9, "faults": [expected]}
        shown = tenant.send("PUT", FAULTS, [{"fault": "slow"}], headers=ADMIN).json()
        assert (shown["seed"], shown["faults"][0]["fault"], shown["faults"][0]["args"]) == (0, "slow", {"seconds": 1})
        assert tenant.send("DELETE", FAULTS, headers=ADMIN).status_code == 204
        assert tenant.get(FAULTS, headers=ADMIN).json() == {"seed": 0, "faults": []}

    def test_reset_begins_to_count_again(self, tenant: TenantClient) -> None:
        """A fresh start meets the same faults."""
        _struck(tenant, "5xx", match={"nth": 1})

        def statuses() -> list[int]:
            return [tenant.get("/Users").status_code for _ in range(2)]

        assert statuses() == [503, 200]
        tenant.send("POST", "//_sandbox/reset", headers=ADMIN)
        assert statuses() == [503, 200]

    def test_a_bad_list_is_refused_and_the_old_one_stays(self, tenant: TenantClient) -> None:
        """400 with place and remedy."""
        _struck(tenant, "5xx", match={"nth": 1})

        body = assert_error(tenant.send("PUT", FAULTS, [{"fault": "flood"}], headers=ADMIN), 400, "invalidValue")

        assert body["detail"].startswith("faults[0].fault: there is no fault 'flood'; write one of drop-before-send, ")
        assert tenant.get("/Users").status_code == 503

    def test_it_needs_the_admin_token(self, start_tenant: StartTenant) -> None:
        """And is not there without one."""
        for method in ("GET", "PUT", "DELETE"):
            assert_error(start_tenant(admin="other").send(method, FAULTS, headers=ADMIN), 401)
            assert_error(start_tenant().send(method, FAULTS, headers=ADMIN), 404)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ('{"faults": [\n  {"fault": "429",}\n]}', "line 2, column 19", "this is not JSON"),
        ("[" * 100_000, "the list", "nested too deep"),
        ("1" * 10_000, "the list", "too long"),
        ('"429"', "the list", "no object"),
        ('{"fault": []}', "the list.fault", "known here: seed, faults"),
        ('{"seed": "a", "faults": []}', "seed", "no integer"),
        ('{"faults": {}}', "faults", "no list"),
        ("[1]", "faults[0]", "no object"),
        ('[{"fault": "429"}, {"fault": "teapot"}]', "faults[1].fault", "no fault 'teapot'"),
        ('[{"fault": []}]', "faults[0].fault", "no fault []"),
        ('[{"fault": "429", "when": 1}]', "faults[0].when", "known here: match, fault, args"),
        ('[{"fault": "429", "match": {"nth": 0}}]', "faults[0].match.nth", "'0' is no number"),
        ('[{"fault": "429", "match": {"nth": true}}]', "faults[0].match.nth", "'True' is no number"),
        ('[{"fault": "429", "match": {"nth": "5-3"}}]', "faults[0].match.nth", "ends before it begins"),
        ('[{"fault": "429", "match": {"nth": []}}]', "faults[0].match.nth", "empty"),
        ('[{"fault": "429", "match": {"share": 2}}]', "faults[0].match.share", "no share"),
        ('[{"fault": "429", "match": {"share": NaN}}]', "faults[0].match.share", "no share"),
        ('[{"fault": "429", "match": {"path": 1}}]', "faults[0].match.path", "no string"),
        ('[{"fault": "429", "match": {"query": "x"}}]', "faults[0].match.query", "known here: method, path, nth"),
        ('[{"fault": "429", "args": {"retryAfter": -1}}]', "faults[0].args.retryAfter", "-1 does not fit"),
        ('[{"fault": "5xx", "args": {"status": 200}}]', "faults[0].args.status", "200 does not fit"),
        ('[{"fault": "5xx", "args": {"status": null}}]', "faults[0].args.status", "None does not fit"),
        ('[{"fault": "slow", "args": {"seconds": "1"}}]', "faults[0].args.seconds", "'1' does not fit"),
        ('[{"fault": "shifting-pages", "args": {"by": 0}}]', "faults[0].args.by", "0 does not fit"),
        ('[{"fault": "lying-200", "args": {"to": 1}}]', "faults[0].args.to", "known here: nothing"),
        ('[{"fault": "foreign-edit", "args": {"operations": [1]}}]', "faults[0].args.operations", "does not fit"),
        ('[{"fault": "foreign-edit", "args": {"user": 1}}]', "faults[0].args.user", "1 does not fit"),
    ],
)
def test_a_bad_list_is_an_error_with_place_and_remedy(text: str, place: str, problem: str) -> None:
    """SPEC section 10: whoever writes the file learns what to write instead."""
    with pytest.raises(FaultsError) as caught:
        parse_faults(text)

    assert caught.value.place == place
    assert problem in caught.value.problem
    assert caught.value.remedy


def test_every_fault_can_be_written_by_its_name_alone() -> None:
    """Every argument has a default."""
    plan = parse_faults(json.dumps([{"fault": fault} for fault in Fault]))

    assert [rule.fault for rule in plan.rules] == list(Fault)
