"""The ServiceProviderConfig, declared in git (cxone.md section 7, defects C1 to C4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import StartSandbox
from tests.cli.workplace import TOKEN, Service, Workplace, call
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import DROP, Answer, Seen

PATH = "/api/scim/v2/ServiceProviderConfig"
DECLARED = "kind: ServiceProviderConfig\nproductName: Our Gateway\n"


def _live(service: Service) -> dict[str, Any]:
    status, document = call(f"{service.origin}{PATH}", "GET", None, {"Authorization": f"Bearer {TOKEN}"})
    assert status == 200
    found: dict[str, Any] = document
    return found


def _change(service: Service, **fields: Any) -> None:
    document = {**_live(service), **fields}
    status, answer = call(f"{service.origin}{PATH}", "PUT", document, {"Authorization": f"Bearer {TOKEN}"})
    assert status in {200, 202}, answer


@pytest.fixture
def tenant(work: Workplace, start_sandbox: StartSandbox) -> Service:
    """A tenant of profile cxone, with the small organisation applied."""
    service = start_sandbox(profile="cxone")
    work.tenant(service.base_url, profile="cxone")
    work.write("acme/provider.yaml", DECLARED)
    return service


def test_apply_reads_writes_and_reads(work: Workplace, tenant: Service) -> None:
    """C3, C4 and SPEC section 6: GET + PUT + GET, the PUT with If-Match; what git does not declare stays as it is."""
    before = _live(tenant)
    [plan] = work.run("plan", "--format", "json").lines
    assert [change["key"] for change in plan["changes"]] == ["ServiceProviderConfig"]
    assert plan["estimate"]["requests"] == 3
    with interposed(tenant.origin) as (hop, origin):
        work.tenant(f"{origin}/scim/v2", profile="cxone")
        work.converge()
        written = [seen for seen in hop.seen if seen.path == PATH][-3:]
    assert [seen.method for seen in written] == ["GET", "PUT", "GET"]
    assert written[1].headers["if-match"]
    assert len(hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    ignored = {"etag", "meta", "productName"}
    after = _live(tenant)
    assert after["productName"] == "Our Gateway"
    assert {k: v for k, v in after.items() if k not in ignored} == {k: v for k, v in before.items() if k not in ignored}
    work.tenant(tenant.base_url, profile="cxone")
    assert work.run("plan", "--detailed-exitcode").code == 0


def test_c6_the_digest_follows_the_payload_and_logs_do_not_hold_it(work: Workplace, tenant: Service) -> None:
    """Defect C6: the payload's hash was a constant text, and the whole payload was printed."""
    _change(tenant, supportPhone="+49 30 555 0101")
    digests = set()
    for name in ("Our Gateway", "Their Gateway"):
        work.write("acme/provider.yaml", f"kind: ServiceProviderConfig\nproductName: {name}\n")
        [plan] = work.run("plan", "--format", "json").lines
        digests.add((plan["digest"], plan["changes"][0]["digest"]))
    assert len(digests) == 2
    ended = work.run("apply", "--yes", "--log-format", "json")
    assert ended.code == 0, ended.err
    assert "ServiceProviderConfig" in ended.err
    for text in ("Their Gateway", "+49 30 555 0101", "authenticationSchemes"):
        assert text not in ended.err
    assert "+49 30 555 0101" not in ended.out


def test_nothing_differs_and_nothing_is_written(work: Workplace, tenant: Service) -> None:
    """G7 in the metadata topic: no PUT without a difference."""
    work.converge()
    asked = tenant.count
    work.converge()
    assert {entry["method"] for entry in tenant.log[asked:]} == {"GET"}


def test_assert_mode_reports_and_never_writes(work: Workplace, tenant: Service) -> None:
    """`mode: assert`: drift is a finding."""
    work.write("acme/provider.yaml", DECLARED + "mode: assert\n")
    asked = tenant.count
    planned = work.run("plan", "--format", "json", "--detailed-exitcode")
    assert planned.code == 0
    [plan] = planned.lines
    assert [f["code"] for f in plan["findings"] if f["key"] == "ServiceProviderConfig"] == ["configuration"]
    applied = work.run("apply", "--yes")
    assert applied.code == 0
    assert {entry["method"] for entry in tenant.log[asked:]} == {"GET"}
    shown = work.run("plan").out
    assert "productName" in shown
    assert "Our Gateway" in shown


def test_a_service_without_a_writable_document_is_read_only(work: Workplace, sandbox: Service) -> None:
    """RFC 7644 defines GET only: 405 is said in words, and `mode: assert` is named; nothing else is held up."""
    work.organisation(sandbox.base_url)
    work.write("acme/provider.yaml", "kind: ServiceProviderConfig\nmode: apply\nsort: {supported: false}\n")
    ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "read-only" in ended.out
    assert "mode: assert" in ended.out
    outcomes = work.outcomes()
    assert outcomes.pop("ServiceProviderConfig") == "failed"
    assert set(outcomes.values()) == {"applied"}


def test_a_foreign_change_between_plan_and_apply_is_a_conflict(work: Workplace, tenant: Service) -> None:
    """SPEC 7.6 for the configuration too: approved / now / would-be, and theirs stays."""
    path = work.folder / "plan.json"
    work.run("plan", "--out", path)
    _change(tenant, productName="Their Gateway")
    ended = work.run("apply", "--plan", path, "--expect-seal", json.loads(path.read_text())["seal"])
    assert ended.code == 5, ended.out + ended.err
    for word in ("approved", "now", "would be", "Their Gateway", "Our Gateway"):
        assert word in ended.out
    assert _live(tenant)["productName"] == "Their Gateway"


@pytest.mark.parametrize(
    ("fields", "code", "name"),
    [({"vendorName": "Theirs"}, 0, "Our Gateway"), ({"productName": "Their Gateway"}, 5, "Their Gateway")],
    ids=["beside", "same-field"],
)
def test_a_foreign_change_in_the_last_moment(
    work: Workplace, tenant: Service, fields: dict[str, str], code: int, name: str
) -> None:
    """C3: the PUT carries the version that was read; 412 is judged, not overwritten."""
    done: list[int] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "PUT" and not done:
            done.append(1)
            _change(tenant, **fields)
        return pass_on()

    with interposed(tenant.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2", profile="cxone")
        ended = work.run("apply", "--yes")
    assert done
    assert ended.code == code, ended.out + ended.err
    live = _live(tenant)
    assert live["productName"] == name
    assert {key: live[key] for key in fields} == fields


def test_a_put_that_is_accepted_and_ignored_is_no_success(work: Workplace, tenant: Service) -> None:
    """C4: 202 is no proof; only the GET afterwards is."""

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        return Answer(202) if seen.method == "PUT" else pass_on()

    with interposed(tenant.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2", profile="cxone")
        ended = work.run("apply", "--yes")
    assert ended.code != 0
    assert work.outcomes() == {"ServiceProviderConfig": "failed"}
    assert "reading it back shows other values" in ended.out


@pytest.mark.parametrize("fault", [500, 503, 429])
def test_a_put_is_repeated_with_its_body(work: Workplace, tenant: Service, fault: int) -> None:
    """C1: attempts two and three sent no body."""
    bodies: list[bytes] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PUT":
            return pass_on()
        bodies.append(seen.body)
        return Answer(fault) if len(bodies) < 3 else pass_on()

    with interposed(tenant.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2", profile="cxone")
        ended = work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert bodies[0]


def test_a_put_whose_answer_never_comes_is_resolved_by_reading(work: Workplace, tenant: Service) -> None:
    """P5, P6: a service that dies at the PUT leaves no guess behind and no traceback."""

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "PUT":
            pass_on()
            return DROP
        return pass_on()

    with interposed(tenant.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2", profile="cxone")
        ended = work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert work.outcomes() == {"ServiceProviderConfig": "applied"}
