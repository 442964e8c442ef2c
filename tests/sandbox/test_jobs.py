"""Asynchronous bulk: 202 and a job to poll (cxone.md section 5, E5 and E6; D11, D13, D25)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.config import AsyncBulk, SandboxConfig
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import BULK_URN, Json, TenantClient, assert_error, group_body, user_body


def _create(*names: str) -> list[Json]:
    return [{"method": "POST", "path": "/Users", "bulkId": name, "data": user_body(name)} for name in names]


def _submit(tenant: TenantClient, *operations: Json, **envelope: Any) -> str:
    """The path of a new job."""
    response = tenant.bulk(*operations, **envelope)
    assert response.status_code == 202, response.text
    path = f"/Bulk/{response.json()['id']}"
    assert response.headers["Location"] == tenant.server.base_url + path
    return path


def _poll(tenant: TenantClient, path: str) -> Json:
    response = tenant.get(path)
    assert response.status_code == 200
    found: Json = response.json()
    return found


def _names(tenant: TenantClient) -> list[str]:
    return [user["userName"] for user in tenant.find("/Users")]


@pytest.mark.parametrize("profile", ["cxone", "rfc7644"])
def test_a_bulk_request_is_answered_with_a_job_and_nothing_else(start_tenant: StartTenant, profile: str) -> None:
    """E5: 202, the id, a Location; nothing is committed yet."""
    tenant = start_tenant(async_bulk=AsyncBulk(), profile=profile)

    response = tenant.bulk(*_create("ann"))

    assert response.status_code == 202
    assert response.json().keys() == {"id"}
    assert response.json()["id"].startswith("bulk-job-")
    assert _names(tenant) == []


def test_a_job_commits_its_work_share_by_share_and_then_tells_the_results(start_tenant: StartTenant) -> None:
    """E6: IN_PROGRESS until the second poll finds it COMPLETED, with the results a synchronous answer would have."""
    tenant = start_tenant(async_bulk=AsyncBulk(), profile="rfc7644")
    path = _submit(tenant, *_create("ann", "bob", "cyd"))

    assert _poll(tenant, path) == {"id": path[6:], "status": "IN_PROGRESS", "errors": []}
    assert _names(tenant) == ["ann", "bob"]
    finished = _poll(tenant, path)

    users = {user["userName"]: user for user in tenant.find("/Users")}
    assert (finished["status"], finished["errors"]) == ("COMPLETED", [])
    assert finished["Operations"] == [
        {
            "method": "POST",
            "bulkId": name,
            "location": users[name]["meta"]["location"],
            "version": users[name]["meta"]["version"],
            "status": "201",
        }
        for name in ("ann", "bob", "cyd")
    ]
    assert _poll(tenant, path) == finished
    assert len(users) == 3


@pytest.mark.parametrize("polls", [1, 3, 5])
def test_the_number_of_polls_can_be_set(start_tenant: StartTenant, polls: int) -> None:
    """Deterministic, so that a test can ask for a job that outlives the patience of a client."""
    tenant = start_tenant(async_bulk=AsyncBulk(polls=polls))
    path = _submit(tenant, *_create("ann", "bob"))

    statuses = [_poll(tenant, path)["status"] for _ in range(polls + 1)]

    assert statuses == ["IN_PROGRESS"] * (polls - 1) + ["COMPLETED"] * 2
    assert _names(tenant) == ["ann", "bob"]


def test_references_reach_over_the_shares_of_a_job(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.7.2: a bulkId stands for the id that an earlier share created."""
    tenant = start_tenant(async_bulk=AsyncBulk(polls=3))
    group = group_body("Staff", members=[{"value": "bulkId:ann"}, {"value": "bulkId:bob"}])
    path = _submit(
        tenant, *_create("ann", "bob"), {"method": "POST", "path": "/Groups", "bulkId": "staff", "data": group}
    )

    assert [_poll(tenant, path)["status"] for _ in range(3)][-1] == "COMPLETED"
    assert [member["display"] for member in tenant.find("/Groups")[0]["members"]] == ["ann", "bob"]


def test_a_completed_job_may_hold_errors(start_tenant: StartTenant) -> None:
    """P4 of cxone.md: COMPLETED does not mean that everybody is there; errors have code and message (D13)."""
    tenant = start_tenant(async_bulk=AsyncBulk(polls=1))
    path = _submit(tenant, *_create("ann", "ANN", "bob"))

    job = _poll(tenant, path)

    assert job["status"] == "COMPLETED"
    assert job["errors"] == [{"code": "uniqueness", "message": job["Operations"][1]["response"]["detail"]}]
    assert [result["status"] for result in job["Operations"]] == ["201", "409", "201"]
    assert _names(tenant) == ["ann", "bob"]


def test_a_job_of_which_nothing_succeeded_has_failed(start_tenant: StartTenant) -> None:
    """E6: FAILED is terminal, too."""
    tenant = start_tenant(async_bulk=AsyncBulk(polls=1))
    path = _submit(tenant, {"method": "DELETE", "path": "/Users/nobody"})

    job = _poll(tenant, path)

    assert (job["status"], [error["code"] for error in job["errors"]]) == ("FAILED", ["404"])


def test_fail_on_errors_holds_over_the_shares_of_a_job(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.7.3: what comes after the limit is not processed, whichever poll it would have been due at."""
    tenant = start_tenant(async_bulk=AsyncBulk(polls=4))
    path = _submit(tenant, *_create("ann", "ANN", "bob", "cyd"), failOnErrors=1)

    job = [_poll(tenant, path) for _ in range(4)][-1]

    assert [result["status"] for result in job["Operations"]] == ["201", "409"]
    assert _names(tenant) == ["ann"]


def test_a_job_may_keep_its_results_to_itself(start_tenant: StartTenant) -> None:
    """cxone.md section 5 has `id`, `status` and `errors` only; what became of an operation has to be read."""
    tenant = start_tenant(async_bulk=AsyncBulk(polls=1, shows_results=False))
    path = _submit(tenant, *_create("ann", "ANN"))

    assert _poll(tenant, path).keys() == {"id", "status", "errors"}
    assert _names(tenant) == ["ann"]


def test_a_job_may_claim_to_be_done_before_it_is(start_tenant: StartTenant) -> None:
    """Q24: COMPLETED is said, and comes true only after so many further requests."""
    tenant = start_tenant(async_bulk=AsyncBulk(late_by=2))
    path = _submit(tenant, *_create("ann", "bob"))

    assert [_poll(tenant, path)["status"] for _ in range(2)] == ["IN_PROGRESS", "COMPLETED"]
    assert [_names(tenant) for _ in range(3)] == [[], [], ["ann", "bob"]]
    assert [result["status"] for result in _poll(tenant, path)["Operations"]] == ["201", "201"]
    assert _names(tenant) == ["ann", "bob"]


def test_a_request_that_is_refused_makes_no_job(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.7.4: what the envelope alone shows to be wrong is answered at once."""
    tenant = start_tenant(async_bulk=AsyncBulk(), max_operations=1)

    assert_error(tenant.bulk(*_create("ann", "bob")), 413)
    assert_error(tenant.post("/Bulk", {"schemas": [BULK_URN]}), 400, "invalidSyntax")


@pytest.mark.parametrize("path", ["/Bulk/bulk-job-0", "/Bulk/changes"])
def test_an_unknown_job_is_not_found(start_tenant: StartTenant, path: str) -> None:
    """Also where the store keeps something else under that name."""
    tenant = start_tenant(async_bulk=AsyncBulk())

    assert_error(tenant.get(path), 404)


@pytest.mark.parametrize("late_by", [0, 1])
def test_jobs_survive_a_restart(tmp_path: Path, late_by: int) -> None:
    """With a data file a job goes on where it was; reset forgets it."""
    data = str(tmp_path / "tenant.sqlite")
    config = SandboxConfig(async_bulk=AsyncBulk(late_by=late_by), data=data, admin="admin")
    with TenantClient(config) as tenant:
        path = _submit(tenant, *_create("ann", "bob"))
        _poll(tenant, path)
        _poll(tenant, path)
    with TenantClient(config) as tenant:
        assert _poll(tenant, path)["status"] == "COMPLETED"
        assert _names(tenant) == ["ann", "bob"]
        tenant.send("POST", "//_sandbox/reset", headers={"Authorization": "Bearer admin"})
        assert_error(tenant.get(path), 404)
        assert _names(tenant) == []
