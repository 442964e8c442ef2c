"""Writing the ServiceProviderConfig (cxone.md section 7; defects C3 and C4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.dialect import Dialect
from reconciler.model.outcome import Outcome
from reconciler.model.resource import ConfigurationMode
from tests.fakes.directory_service import DirectoryService, Fault
from tests.states import World, desired_state, desired_user, tenant_for

CXONE = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "productName": "Old",
    "vendorName": "NICE CXone",
    "bulkConfig": {"supported": True, "maxOperations": 1000, "maxPayloadSize": 10485760},
    "schemasSupported": ["b", "a"],
    "authenticationSchemes": [{"name": "x", "type": "oauthClient", "description": "kept"}],
    "etag": "a1b2",
    "meta": {"x": 1},
    "unknown": "kept",
}


RFC = {
    "schemas": CXONE["schemas"],
    "documentationUri": "https://x.example",
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 1000, "maxPayloadSize": 10485760},
    "sort": {"supported": True},
    "etag": {"supported": True},
    "meta": {"x": 1},
}


def _world(service: DirectoryService | None = None, shape: str = "cxone", **desired: Any) -> World:
    service = service or DirectoryService()
    if service.configuration is None:
        service.configuration = dict(CXONE)
    wanted = desired_state(configuration=desired or {"productName": "New"}, mode=ConfigurationMode.APPLY)
    return World(service, wanted, tenant_for(dialect=Dialect(config_shape=shape)))


def test_it_is_read_written_whole_with_its_version_and_read_again() -> None:
    """Defects C3 and C4; nothing that git does not state is dropped."""
    world = _world()
    run = world.run()
    assert run.outcomes == {"ServiceProviderConfig": Outcome.APPLIED}
    assert world.service.log[-3:] == [
        "GET /ServiceProviderConfig",
        "PUT /ServiceProviderConfig",
        "GET /ServiceProviderConfig",
    ]
    assert run.requests == run.plan.estimate.requests == 3
    written = world.service.configuration
    assert written == {**{k: v for k, v in CXONE.items() if k not in {"etag", "meta"}}, "productName": "New"}
    assert world.plan().changes == ()


@pytest.mark.parametrize(
    "desired",
    [
        {"schemasSupported": ["a", "b"]},
        {"bulk": {"supported": True, "maxOperations": 1000}},
        {"bulkConfig": {"maxPayloadSize": 10485760}},
        {"authenticationSchemes": [{"type": "oauthClient", "name": "x"}]},
    ],
)
def test_either_shape_compares_and_order_does_not_matter(desired: dict[str, Any]) -> None:
    """D27: git may write the RFC's names, the service may have CXone's."""
    assert _world(**desired).plan().changes == ()


@pytest.mark.parametrize("live", [CXONE, RFC], ids=["live-cxone", "live-rfc"])
@pytest.mark.parametrize("stated", ["bulk", "bulkConfig"])
@pytest.mark.parametrize("shape", ["cxone", "rfc"])
def test_the_document_is_written_in_the_shape_of_the_dialect(live: dict[str, Any], stated: str, shape: str) -> None:
    """cxone.md D27: either shape is read, in git and on the service; the tenant's is written, and nothing dropped."""
    world = _world(DirectoryService(configuration=dict(live)), shape, **{stated: {"maxOperations": 500}})
    assert world.run().all_applied
    written = world.service.configuration or {}
    wanted = {"cxone": {"bulkConfig", "sortConfig"}, "rfc": {"bulk", "sort"}}[shape]
    assert {name for name in written if name.startswith(("bulk", "sort"))} == {
        name for name in wanted if name.startswith("bulk") or "sort" in live
    }
    limits = written["bulkConfig" if shape == "cxone" else "bulk"]
    assert limits == {"supported": True, "maxOperations": 500, "maxPayloadSize": 10485760}
    others = set(live) - {"bulk", "bulkConfig", "sort", "meta", "etag"}
    assert {name: written[name] for name in others} == {name: live[name] for name in others}
    assert written.get("etag") == ({"supported": True} if shape == "rfc" and live is RFC else None)


def test_a_document_with_both_names_keeps_both() -> None:
    """Nothing is merged that the service keeps apart."""
    both = {**CXONE, "bulk": {"supported": False}}
    world = _world(DirectoryService(configuration=both), productName="New")
    assert world.run().all_applied
    written = world.service.configuration or {}
    assert (written["bulk"], written["bulkConfig"]) == (both["bulk"], both["bulkConfig"])


def test_assert_only_reports() -> None:
    """`mode: assert` never writes."""
    world = _world()
    desired = desired_state(configuration={"productName": "New"}, mode=ConfigurationMode.ASSERT)
    plan = replace(world, desired=desired).plan()
    assert plan.changes == ()
    assert [finding.code for finding in plan.findings if finding.key == "ServiceProviderConfig"] == ["configuration"]


def test_a_foreign_change_of_a_stated_field_is_a_conflict_and_of_another_is_kept() -> None:
    """C3: never an unconditional overwrite."""
    world = _world()
    run = world.run(lambda service: service.configuration.update(productName="foreign"))  # type: ignore[union-attr]
    assert run.outcomes == {"ServiceProviderConfig": Outcome.CONFLICT}
    world = _world()
    assert world.run(lambda service: service.configuration.update(vendorName="foreign")).all_applied  # type: ignore[union-attr]
    assert world.service.configuration is not None
    assert world.service.configuration["vendorName"] == "foreign"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(refuse=(412, None)), Outcome.APPLIED),
        (Fault(lost="before"), Outcome.APPLIED),
        (Fault(lost="after"), Outcome.APPLIED),
        (Fault(refuse=(503, None)), Outcome.APPLIED),
        (Fault(refuse=(405, None)), Outcome.FAILED),
        (Fault(refuse=(403, None)), Outcome.FAILED),
        (Fault(interrupt="before"), Outcome.UNKNOWN),
        (Fault(unreachable=True), Outcome.UNKNOWN),
    ],
)
def test_every_answer_to_the_put_ends_in_one_outcome(fault: Fault, outcome: Outcome) -> None:
    """Unknown ones are read back, stale ones are judged, refusals are told."""
    world = _world()
    world.service.faults = {1: fault}
    live = world.read()
    assert world.send(world.plan(live=live), live).outcomes == {"ServiceProviderConfig": outcome}


def test_p3_a_put_that_the_client_repeats_is_not_sent_round_after_round() -> None:
    """cxone.md P3: nested retries multiply. Four attempts in one request, one look, and that is it."""
    world = _world()
    world.service.fault_for = lambda *_: Fault(refuse=(503, None))
    assert world.run().outcomes == {"ServiceProviderConfig": Outcome.UNKNOWN}
    assert len(world.service.sent) == 4


def test_a_restless_document_is_given_up_after_three_rounds() -> None:
    """No endless loop."""
    world = _world()
    world.service.fault_for = lambda *_: Fault(refuse=(412, None))
    assert world.run().outcomes == {"ServiceProviderConfig": Outcome.CONFLICT}
    assert len(world.service.sent) == 3


def test_a_service_that_accepts_and_does_nothing_has_not_applied() -> None:
    """C4: only the GET after the PUT proves it."""
    world = _world()
    world.service.put_configuration = lambda body, version: None  # type: ignore[assignment,method-assign,return-value]
    run = world.run()
    assert run.outcomes == {"ServiceProviderConfig": Outcome.FAILED}
    assert "other values: productName" in (run.result("ServiceProviderConfig").cause or "")


def test_what_a_service_drops_beside_the_declared_fields_is_no_success() -> None:
    """C4, SPEC P9: the GET has to equal the document sent, field by field, and not only where git says something."""
    world = _world()
    put = world.service.put_configuration

    def without_scheme(body: Any, version: str | None) -> Any:
        return put({**body, "authenticationSchemes": []}, version)

    world.service.put_configuration = without_scheme  # type: ignore[method-assign]
    run = world.run()
    assert run.outcomes == {"ServiceProviderConfig": Outcome.FAILED}
    assert "other values: authenticationSchemes" in (run.result("ServiceProviderConfig").cause or "")


def test_what_is_accepted_and_still_under_way_is_read_until_it_is_there() -> None:
    """C4, cxone.md section 7: 202 is not applied; the GET is repeated until it shows the document."""
    world = _world()
    sent: list[Any] = []
    put, get = world.service.put_configuration, world.service.get_configuration

    def accept(body: Any, version: str | None) -> Any:
        sent.append((body, version, world.service.requests + 2))

    def get_configuration() -> Any:
        if sent and world.service.requests == sent[0][2]:
            put(*sent[0][:2])
        return get()

    world.service.put_configuration = accept  # type: ignore[method-assign]
    world.service.get_configuration = get_configuration  # type: ignore[method-assign]
    run = world.run()
    assert run.outcomes == {"ServiceProviderConfig": Outcome.APPLIED}
    assert run.waits == (2, 3)


@pytest.mark.parametrize("error", [ScimRejected(403, detail="no"), ScimMalformed("html")])
def test_a_document_that_cannot_be_read_does_not_stop_the_others(error: Exception) -> None:
    """INCIDENTS kubernetes/org PR #591."""
    world = _world()
    world = replace(world, desired=replace(world.desired, users=(desired_user("new"),)))
    live = world.read()
    plan = world.plan(live=live)

    def get_configuration() -> Any:
        raise error

    world.service.get_configuration = get_configuration  # type: ignore[method-assign]
    run = world.send(plan, live)
    assert run.outcomes == {"ServiceProviderConfig": Outcome.FAILED, "User/new": Outcome.APPLIED}


def test_refused_credentials_stop_the_run_here_too() -> None:
    """401 (cxone.md section 10)."""
    world = _world()
    world = replace(world, desired=replace(world.desired, users=(desired_user("new"),)))
    world.service.faults = {1: Fault(refuse=(401, None))}
    live = world.read()
    run = world.send(world.plan(live=live), live)
    assert run.outcomes == {"ServiceProviderConfig": Outcome.FAILED, "User/new": Outcome.NOT_ATTEMPTED}
