"""Each topic of cxone.md as the dialect of a whole tenant: two revisions converge, and cost what was estimated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.server import SandboxServer
from tests.cli.organisations import SMALL, write
from tests.cli.workplace import TOKEN, Workplace, service_of
from tests.contract.quirks.quirky import document
from tests.fakes.interposed import interposed
from tests.fakes.scripted_service import ScriptedService

TOPICS: dict[str, dict[str, Any]] = {
    "provisioning": {
        "mediaType": "application/json",
        "bulkPath": "/scim/v2",
        "patch": "legacy",
        "inlineGroups": True,
    },
    "directory": {"mediaType": "application/json", "userKey": "userName", "userUpdate": "put"},
    "groups": {"clientAuth": "form", "bulk": "off"},
    "all-at-once": {
        "patch": "legacy",
        "opCase": "capitalized",
        "userKey": "userName",
        "inlineGroups": True,
        "groupUpdate": "patch",
        "memberType": "omit",
    },
    "all-at-once-one-by-one": {
        "bulk": "off",
        "patch": "legacy",
        "userKey": "userName",
        "inlineGroups": True,
        "etag": "off",
        "paging": "cursor",
    },
}


@pytest.mark.parametrize("topic", TOPICS)
def test_an_organisation_converges_in_the_dialect_of_a_topic(
    topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC P1, P8, section 6: only reads before, as many requests as estimated, nothing left, whatever is switched."""
    work = Workplace(tmp_path, monkeypatch)
    config = SandboxConfig(token=TOKEN, profile="cxone")
    with SandboxServer(config) as server, interposed(server.origin) as (hop, origin):
        tenant = work.tenant(f"{origin}/scim/v2", profile="cxone", dialect=TOPICS[topic])
        for revision, (users, groups) in {"before": SMALL.before(), "after": SMALL.after()}.items():
            root = tmp_path / revision
            write(root / "acme", tenant, users, groups)
            hop.seen.clear()
            [plan] = work.run("plan", "--root", root, "--format", "json").lines
            assert {seen.method for seen in hop.seen} == {"GET"}
            allow = [f"--allow={guard['id']}" for guard in plan["guards"] if guard["verdict"] == "refuse"]
            hop.seen.clear()
            ended = work.run("apply", "--root", root, "--yes", *allow)
            assert ended.code == 0, ended.out + ended.err
            assert len(hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
            joined = _names_of_groups_in_creates(hop)
            assert bool(joined) is (revision == "after" and "inlineGroups" in TOPICS[topic])
            assert work.run("plan", "--root", root, "--detailed-exitcode").code == 0
        service = service_of(server)
        assert len(service.all("Users")) == SMALL.users + SMALL.created_users
        assert len(service.all("Groups")) == SMALL.groups + SMALL.created_groups


def _names_of_groups_in_creates(hop: ScriptedService) -> set[str]:
    bodies = []
    for seen in hop.seen:
        if seen.path.endswith("/Bulk"):
            operations = document(seen)["Operations"]
            bodies += [o["data"] for o in operations if o["method"] == "POST" and o["path"].endswith("/Users")]
        elif seen.method == "POST" and re.search("/Users$", seen.path):
            bodies.append(document(seen))
    return {group["value"] for body in bodies for group in body.get("groups", ())}
