"""Starting, stopping and watching a tenant: its data file, its request log, many clients at once (SPEC section 10)."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from reconciler.sandbox.request_log import RequestLog
from reconciler.sandbox.server import DataFileError, SandboxConfig, SandboxServer, serve_forever
from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import TenantClient, assert_error, path_of, user_body

ADMIN = {"Authorization": "Bearer admin"}


def test_a_tenant_listens_on_a_free_port_until_it_is_closed() -> None:
    """Two tenants do not meet; closing twice does no harm."""
    with SandboxServer(SandboxConfig()) as one, SandboxServer(SandboxConfig()) as two:
        assert one.base_url == f"{one.origin}/scim/v2"
        assert one.origin != two.origin
        assert requests.get(f"{one.base_url}/Users", timeout=5).status_code == 200
    one.close()

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{one.base_url}/Users", timeout=5)


def test_a_port_in_use_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    """The data file is free again after a failed start."""
    with SandboxServer(SandboxConfig()) as server:
        port = int(server.origin.rpartition(":")[2])
        data = str(tmp_path / "tenant.sqlite")
        with pytest.raises(OSError, match="in use"):
            SandboxServer(SandboxConfig(port=port, data=data))
    with SandboxServer(SandboxConfig(data=data)):
        pass


def test_a_restart_on_the_same_file_sees_the_same_data(tmp_path: Path) -> None:
    """Resources, members, versions and the configuration survive; references follow the new address."""
    config = SandboxConfig(data=str(tmp_path / "tenant.sqlite"))
    with TenantClient(config) as tenant:
        user = tenant.user("ann", externalId="x-1")
        group = tenant.group("Staff", user)
        document = tenant.get("//api/scim/v2/ServiceProviderConfig").json()
        document["filterConfig"]["maxResults"] = 7
        tenant.put("//api/scim/v2/ServiceProviderConfig", document)
        origin = tenant.server.origin

    with TenantClient(config) as tenant:
        found = tenant.get(path_of(group))
        assert found.text.replace(tenant.server.origin, origin) == _text_of(group)
        assert tenant.get("/ServiceProviderConfig").json()["filter"]["maxResults"] == 7
        assert_error(tenant.post("/Users", user_body("ANN")), 409)
        versions = {resource["meta"]["version"] for resource in (user, group)}
        assert tenant.user("bob")["meta"]["version"] not in versions


def _text_of(resource: dict[str, object]) -> str:
    """A resource as the tenant writes it."""
    return json.dumps(resource, separators=(",", ":"))


def test_a_data_file_belongs_to_one_tenant_at_a_time(tmp_path: Path) -> None:
    """Two processes on one file would each remember what the other changed."""
    config = SandboxConfig(data=str(tmp_path / "tenant.sqlite"))
    with SandboxServer(config), pytest.raises(DataFileError) as caught:
        SandboxServer(config)

    assert caught.value.path == config.data
    assert "locked" in str(caught.value)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Neither other databases nor other files are written to; a missing folder is named."""
    database, text = tmp_path / "other.sqlite", tmp_path / "notes.txt"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    text.write_text("no database" * 100)
    before = (database.read_bytes(), text.read_bytes())

    for path in (database, text, tmp_path / "missing" / "tenant.sqlite"):
        with pytest.raises(DataFileError, match=path.name):
            SandboxServer(SandboxConfig(data=str(path)))
    assert (database.read_bytes(), text.read_bytes()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_served_tenant_announces_itself_and_stops_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """Exit 0, and what was written is in the file."""
    data = tmp_path / "tenant.sqlite"
    program = (
        "from reconciler.sandbox.server import *\n"
        f"serve_forever(SandboxConfig(data={str(data)!r}), lambda url: print(url, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert requests.post(f"{base_url}/Users", json=user_body("ann"), timeout=10).status_code == 201
        process.send_signal(number)
        assert process.wait(timeout=10) == 0

    with TenantClient(SandboxConfig(data=str(data))) as tenant:
        assert [user["userName"] for user in tenant.find("/Users")] == ["ann"]


def test_serving_gives_the_signals_back() -> None:
    """Also when the tenant cannot start."""
    before = signal.getsignal(signal.SIGTERM)

    with SandboxServer(SandboxConfig()) as server, pytest.raises(OSError, match="in use"):
        serve_forever(SandboxConfig(port=int(server.origin.rpartition(":")[2])), print)

    assert signal.getsignal(signal.SIGTERM) is before


class TestControl:
    """`/_sandbox`: what was asked, and a fresh start."""

    def test_the_request_log_counts_requests_and_operations(self, start_tenant: StartTenant) -> None:
        """SPEC section 10: what was asked, without what asks for it."""
        tenant = start_tenant(admin="admin", token="secret")
        operation = {"method": "POST", "path": "/Users", "bulkId": "a", "data": user_body("ann")}
        tenant.get("/Users", filter='userName eq "x"')
        bulk = tenant.bulk(operation, operation)
        tenant.get("/Users", headers={"Authorization": "Bearer wrong"})
        tenant.get("//_sandbox/requests", headers=ADMIN)

        log = tenant.get("//_sandbox/requests", headers=ADMIN).json()

        assert log["total"] == 3
        assert log["byMethod"] == {"GET": 2, "POST": 1}
        assert log["requests"] == [
            {
                "n": 1,
                "method": "GET",
                "path": "/scim/v2/Users",
                "query": "filter=userName+eq+%22x%22",
                "status": 200,
                "bytesIn": 0,
                "operations": 0,
            },
            {
                "n": 2,
                "method": "POST",
                "path": "/scim/v2/Bulk",
                "query": "",
                "status": 200,
                "bytesIn": int(bulk.request.headers["Content-Length"]),
                "operations": 2,
            },
            {
                "n": 3,
                "method": "GET",
                "path": "/scim/v2/Users",
                "query": "",
                "status": 401,
                "bytesIn": 0,
                "operations": 0,
            },
        ]

    def test_reset_empties_everything(self, start_tenant: StartTenant) -> None:
        """Data, configuration and log; versions are not used again."""
        tenant = start_tenant(admin="admin")
        user = tenant.user("ann")
        tenant.group("Staff", user)
        path = "//api/scim/v2/ServiceProviderConfig"
        initial = tenant.get(path).json()
        tenant.put(path, {**initial, "productName": "Other"})

        response = tenant.send("POST", "//_sandbox/reset", headers=ADMIN)

        assert response.status_code == 204
        assert tenant.get("//_sandbox/requests", headers=ADMIN).json() == {"requests": [], "total": 0, "byMethod": {}}
        assert tenant.find("/") == []
        assert tenant.get(path).json() == initial
        assert tenant.user("ann")["meta"]["version"] != user["meta"]["version"]

    def test_it_needs_the_admin_token_and_no_other(self, start_tenant: StartTenant) -> None:
        """The token of the tenant is not the token of its control."""
        tenant = start_tenant(admin="admin", token="secret")

        for header in ("", "Bearer secret", "Bearer wrong"):
            assert_error(tenant.get("//_sandbox/requests", headers={"Authorization": header}), 401)
            assert_error(tenant.send("POST", "//_sandbox/reset", headers={"Authorization": header}), 401)
        assert_error(tenant.get("/Users", headers=ADMIN), 401)

    def test_without_admin_token_it_does_not_exist(self, tenant: TenantClient) -> None:
        """SPEC section 10: with --admin."""
        assert_error(tenant.get("//_sandbox/requests", headers=ADMIN), 404)
        assert_error(tenant.send("POST", "//_sandbox/reset", headers=ADMIN), 404)

    def test_the_log_stays_bounded(self) -> None:
        """A benchmark of a million requests must not fill the memory; the counters go on."""
        log = RequestLog()
        for _ in range(10_050):
            log.add(method="GET", path="/", query="", status=200, bytes_in=0, operations=0)

        shown = log.to_json()
        assert (shown["total"], len(shown["requests"]), shown["requests"][0]["n"]) == (10_050, 10_000, 51)


def test_many_clients_at_once_lose_nothing(tenant: TenantClient) -> None:
    """One writer at a time: every name exists once, every member was added, nobody saw half a change."""
    group = tenant.group("Staff")
    barrier = threading.Barrier(8)

    def work(number: int) -> list[int]:
        barrier.wait()
        statuses = []
        for step in range(10):
            with requests.Session() as session:
                created = session.post(f"{tenant.server.base_url}/Users", json=user_body(f"user-{step}"), timeout=30)
                statuses.append(created.status_code)
                mine = session.post(
                    f"{tenant.server.base_url}/Users", json=user_body(f"user-{number}-{step}"), timeout=30
                ).json()
                operation = {"op": "add", "path": "members", "value": [{"value": mine["id"]}]}
                message = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}
                patched = session.patch(f"{tenant.server.base_url}{path_of(group)}", json=message, timeout=30).json()
                assert mine["id"] in {member["value"] for member in patched["members"]}
        return statuses

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for found in pool.map(work, range(8)) for status in found]

    assert sorted(statuses) == [201] * 10 + [409] * 70
    assert len(tenant.get(path_of(group)).json()["members"]) == 80
    assert tenant.get("/Users", count=0).json()["totalResults"] == 90


def test_only_one_of_many_guarded_writers_wins(tenant: TenantClient) -> None:
    """RFC 7644 section 3.14: checking the version and writing are one step (two in thunder-id/thunderid#5110)."""
    user = tenant.user("ann")
    barrier = threading.Barrier(8)

    def write(number: int) -> int:
        body = user_body("ann", title=str(number))
        headers = {"If-Match": user["meta"]["version"]}
        with requests.Session() as session:
            barrier.wait()
            url = f"{tenant.server.base_url}{path_of(user)}"
            return session.put(url, json=body, headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(write, range(8)))

    assert statuses == [200] + [412] * 7


@pytest.mark.parametrize("path", ["/Users", "/Groups"])
def test_a_reader_sees_a_bulk_request_whole_or_not_at_all(tenant: TenantClient, path: str) -> None:
    """A bulk request is one transaction."""
    totals: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        with requests.Session() as session:
            while not done.is_set():
                totals.add(session.get(f"{tenant.server.base_url}{path}?count=0", timeout=30).json()["totalResults"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    body = (
        {"schemas": user_body("x")["schemas"]}
        if path == "/Users"
        else {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"]}
    )
    name = "userName" if path == "/Users" else "displayName"
    for chunk in range(3):
        operations = [
            {"method": "POST", "path": path, "bulkId": str(n), "data": {**body, name: f"{chunk}-{n}"}}
            for n in range(200)
        ]
        tenant.results(*operations)
    done.set()
    watcher.join()

    assert totals <= {0, 200, 400, 600}
