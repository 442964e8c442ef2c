"""Services that list badly, from the command line: what is created, what is refused, and what it costs (SPEC P4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cli.workplace import Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, ScriptedService, Seen

EVE = "kind: User\nuserName: eve@example.com\nexternalId: p-5\nname: {givenName: Eve, familyName: Orr}\n"


@contextmanager
def _short_lists(
    work: Workplace, sandbox: Service, *, hidden: str | None = None, filters: bool = True
) -> Iterator[ScriptedService]:
    """Lists of users say that there is one more than they show, and leave `hidden` out.

    Look-ups work, or find nothing whatever is asked.
    """

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if "/Users?" not in seen.path:
            return answer
        assert isinstance(answer.body, bytes)
        document: dict[str, Any] = json.loads(answer.body)
        if "filter=" in seen.path:
            nobody = {**document, "totalResults": 0, "Resources": []}
            return answer if filters else Answer(body=nobody)
        rows = [row for row in document["Resources"] if row["userName"] != hidden]
        return Answer(body={**document, "totalResults": len(rows) + 1, "Resources": rows})

    with interposed(sandbox.origin, hook) as (hop, origin):
        work.tenant(f"{origin}/scim/v2")
        yield hop


def _plan(work: Workplace) -> dict[str, Any]:
    [plan] = work.run("plan", "--format", "json").lines
    return plan


def test_p4_a_create_that_is_looked_up_needs_no_complete_list(acme: Workplace, sandbox: Service) -> None:
    """Proven, counted, said, applied, proven again; the estimate equals what is sent."""
    acme.write("acme/eve.yaml", EVE)
    with _short_lists(acme, sandbox) as hop:
        plan = _plan(acme)
        assert (plan["inventory"]["complete"], plan["summary"]["create"]) == (False, 1)
        assert [guard["id"] for guard in plan["guards"] if guard["verdict"] == "refuse"] == []
        assert plan["inventory"]["requests"] == len(hop.seen)
        assert any("1 of 1 create proven by look-ups" in note for note in plan["capabilities"]["notes"])
        hop.seen.clear()
        acme.converge()
        assert len(hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    assert "eve@example.com" in sandbox.all("Users")


def test_p4_who_lists_do_not_show_is_found_and_not_created_again(acme: Workplace, sandbox: Service) -> None:
    """Incident awslabs/ssosync #194: Cyd is there although no list shows him."""
    with _short_lists(acme, sandbox, hidden="cyd@example.com"):
        plan = _plan(acme)
        assert plan["summary"]["create"] == 0
        assert plan["changes"] == [], json.dumps(plan["changes"])
        assert acme.run("apply", "--yes").code == 0
    assert len(sandbox.all("Users")) == 4


def test_q10_look_ups_that_find_nobody_at_all_prove_nothing(acme: Workplace, sandbox: Service) -> None:
    """langwatch/langwatch#6973: refused, by name, without override."""
    acme.write("acme/eve.yaml", EVE)
    with _short_lists(acme, sandbox, filters=False) as hop:
        for command in (("plan",), ("apply", "--yes"), ("apply", "--yes", "--allow", "incomplete-inventory")):
            ended = acme.run(*command)
            assert ended.code == 4 if "--allow" not in command else ended.code in {4, 64}
        assert {seen.method for seen in hop.seen} == {"GET"}
    assert len(sandbox.all("Users")) == 4


def test_a_plan_file_is_looked_up_again(acme: Workplace, sandbox: Service) -> None:
    """What was proven absent at planning may be there by now: apply proves it anew."""
    acme.write("acme/eve.yaml", EVE)
    path = acme.folder / "plan.json"
    with _short_lists(acme, sandbox, hidden="eve@example.com"):
        acme.run("plan", "--out", path)
        seal = json.loads(path.read_text())["seal"]
        sandbox.create("Users", userName="eve@example.com", externalId="p-5", active=True)
        ended = acme.run("apply", "--plan", path, "--expect-seal", seal, "--yes")
    assert ended.code in {0, 5}, ended.out + ended.err
    assert len(sandbox.all("Users")) == 5
