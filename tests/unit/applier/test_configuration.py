"""Writing the ServiceProviderConfig (cxone.md section 7; defects C3 and C4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.outcome import Outcome
from reconciler.model.resource import ConfigurationMode
from tests.fakes.directory_service import DirectoryService, Fault
from tests.states import World, desired_state, desired_user

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


def _world(service: DirectoryService | None = None, **desired: Any) -> World:
    service = service or DirectoryService()
    if service.configuration is None:
        service.configuration = dict(CXONE)
    mode = ConfigurationMode.APPLY
    return World(service, desired_state(configuration=desired or {"productName": "New"}, mode=mode))


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


def test_a_field_in_the_other_shape_is_written_in_the_shape_of_the_service() -> None:
    """D27."""
    world = _world(bulk={"maxOperations": 500})
    assert world.run().all_applied
    assert world.service.configuration is not None
    assert world.service.configuration["bulkConfig"] == {**CXONE["bulkConfig"], "maxOperations": 500}  # type: ignore[dict-item]
    assert "bulk" not in world.service.configuration


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
    assert "other values" in (run.result("ServiceProviderConfig").cause or "")


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
