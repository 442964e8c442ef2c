"""CPU and peak memory of a cold plan, beside the floor of only parsing the same YAML.

Run `make bench`, or `python benchmarks/cold_plan.py 10000 100000`. The service runs in a process of its own, so that
only the planning process is measured, with the operating system's own accounting. What counts are the ratios.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from organisation import group_count, list_page, write_desired_state

FLOOR = """
import gc, sys, yaml
from pathlib import Path
gc.disable()
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    for _ in yaml.parse(path.read_bytes(), Loader=yaml.CSafeLoader):
        pass
"""
CONFIGURATION = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 1000, "maxPayloadSize": 10485760},
    "filter": {"supported": True, "maxResults": 1000},
    "changePassword": {"supported": False},
    "sort": {"supported": False},
    "etag": {"supported": True},
    "authenticationSchemes": [],
}


@dataclass(frozen=True)
class Cost:
    """CPU seconds of user and system, and peak resident memory in MiB, of one process."""

    cpu: float
    rss: float


def serve(users: int, channel: Connection) -> None:
    """Answer list requests until killed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            kind = {"/Users": "User", "/Groups": "Group"}.get(url.path)
            if kind is not None:
                body = list_page(kind, int(query["startIndex"][0]), int(query["count"][0]), users)
            else:
                body = json.dumps(CONFIGURATION).encode()
            known = kind is not None or url.path == "/ServiceProviderConfig"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/scim+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    channel.send(server.server_address[1])
    server.serve_forever()


def measured(command: list[str], cwd: Path) -> tuple[Cost, bytes]:
    """Run a command; what it cost and what it printed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.PIPE)
        _, errors = process.stderr.read() if process.stderr else b"", b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode not in {0, 4}:
        sys.exit(f"{command} failed with {process.returncode}: {errors!r} {text[-500:]!r}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), text


def bench(users: int) -> None:
    """One size: the floor, and the plan over it."""
    here, there = multiprocessing.Pipe()
    service = multiprocessing.Process(target=serve, args=(users, there), daemon=True)
    service.start()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tenant = write_desired_state(root / "desired", users, f"http://127.0.0.1:{here.recv()}")
        floor, _ = measured([sys.executable, "-c", FLOOR, str(tenant)], root)
        check, _ = measured([sys.executable, "-m", "reconciler", "validate", "--root", str(root / "desired")], root)
        command = [sys.executable, "-m", "reconciler", "plan", "--root", str(root / "desired"), "--format", "json"]
        plan, text = measured(command, root)
    service.kill()
    summary = json.loads(text)["summary"]
    print(f"{users} users, {group_count(users)} groups, {summary['update']} updates planned")
    for name, cost in (("parse only (floor)", floor), ("validate", check), ("cold plan", plan)):
        per_user = cost.cpu / users * 1e6
        ratio = cost.cpu / floor.cpu
        figures = f"CPU {cost.cpu:8.2f} s  {per_user:7.1f} us a user  x{ratio:5.2f} of floor  RSS {cost.rss:7.1f} MiB"
        print(f"  {name:20} {figures}")


if __name__ == "__main__":
    for size in [int(argument) for argument in sys.argv[1:]] or [10_000, 100_000]:
        bench(size)
