"""Plans written down: what git says, what is live, and what the plan has to be. A bug report becomes a new folder.

`<case>/desired/*.yaml` is the folder of a tenant, `<case>/live.json` what the service holds (and `capabilities` where
they matter), `<case>/expected-plan.json` what a reviewer would see, or the error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.desired.parser import load_desired_state
from reconciler.errors import AmbiguousMatch, DesiredStateError
from reconciler.messages.codec import decode_configuration, decode_group, decode_user
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind
from reconciler.model.state import Certificate, LiveState
from reconciler.planner.planner import PlanInputs, build_plan
from reconciler.semantics.document import plan_to_document

FOLDER = Path(__file__).parent
CASES = sorted(path.parent.name for path in FOLDER.glob("*/live.json"))


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_the_one_written_down(case: str) -> None:
    """Keys, actions, reasons, attributes, members, guards that refuse, findings, access and requests."""
    expected = json.loads((FOLDER / case / "expected-plan.json").read_text(encoding="utf-8"))
    assert plan_of(case) == expected


def plan_of(case: str) -> dict[str, Any]:
    """What the case gives now, in the shape of its expected-plan.json."""
    live = json.loads((FOLDER / case / "live.json").read_text(encoding="utf-8"))
    loaded = load_desired_state(FOLDER / case, "desired")
    assert loaded.tenant is not None, loaded.diagnostics
    assert loaded.desired is not None, loaded.diagnostics
    capabilities = Capabilities(**live.get("capabilities", {"bulk": True}))
    inputs = PlanInputs(tenant=loaded.tenant, desired=loaded.desired, live=_live_state(live), capabilities=capabilities)
    try:
        plan = build_plan(inputs)
    except DesiredStateError as error:
        return {"error": [f"{d.file}:{d.line} {d.code} {d.message}" for d in error.diagnostics]}
    except AmbiguousMatch as error:
        return {"error": str(error.context).splitlines()}
    document = plan_to_document(plan)
    return {
        "summary": {name: count for name, count in document["summary"].items() if count},
        "changes": [_shown(change) for change in document["changes"]],
        "access": {way: [_arrow(item) for item in items] for way, items in document["access"].items() if items},
        "findings": [f"{f['code']}: {f['key'] or ''} {f['message']}" for f in document["findings"]],
        "refused": [f"{g['id']}: {g['detail']}" for g in document["guards"] if g["verdict"] == "refuse"],
        "requests": document["estimate"]["requests"],
    }


def _shown(change: dict[str, Any]) -> dict[str, Any]:
    kept = {name: change[name] for name in ("key", "action", "reason", "anchor", "id")}
    guard = change["precondition"]
    kept["guard"] = " ".join(part for part in (guard["kind"], guard["value"]) if part)
    source = change["source"]
    return {**kept, "source": f"{source['file']}:{source['line']}", "attributes": change["attributes"]}


def _arrow(access: dict[str, Any]) -> str:
    return " < ".join([access["user"], *access["via"], access["group"]])


def _live_state(live: dict[str, Any]) -> LiveState:
    users = {row["id"]: decode_user(row) for row in live["users"]}
    groups = {row["id"]: decode_group(row, absent_members=()) for row in live["groups"]}
    configuration = live.get("serviceProviderConfig")
    return LiveState(
        users=users,
        groups=groups,
        configuration=None if configuration is None else decode_configuration(configuration),
        certificates={
            Kind.USER: Certificate(count=len(users), complete=True),
            Kind.GROUP: Certificate(count=len(groups), complete=True),
        },
    )
