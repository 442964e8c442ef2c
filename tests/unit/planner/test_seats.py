"""Licences: the running peak in the order of sending (SPEC section 8, `seats`; cxone.md section 4, D29, P6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.plan import Plan, Quota, Verdict
from reconciler.model.tenant import Removal, UserRemoval
from reconciler.planner.planner import build_plan
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_state, desired_user, tenant_for


def _plan(world: World, total: int, used: int, **more: Any) -> Plan:
    live = replace(world.read(), quota=Quota(total=total, used=used))
    return build_plan(world.inputs(live=live, **more))


def _hiring(number: int, leaving: int = 0, **tenant: Any) -> World:
    """So many people are hired, and so many of those who are there leave."""
    service = DirectoryService()
    staff = [desired_user(f"old{n}", externalId=str(n)) for n in range(leaving)]
    for n in range(leaving):
        service.add_user(f"u{n}", f"old{n}", externalId=str(n))
    world = World(service, tenant=tenant_for(**tenant)) if tenant else World(service)
    return world.wanting(*(desired_user(f"new{n}") for n in range(number))).remembering(desired_state(*staff))


@pytest.mark.parametrize(("total", "verdict"), [(13, Verdict.PASS), (12, Verdict.REFUSE)])
def test_more_people_than_licences_are_refused_before_anything_is_sent(total: int, verdict: Verdict) -> None:
    """INCIDENTS "More users than licences": bitwarden/directory-connector #28; user-sync.py #510.

    Just inside and just outside; not merely whether any is free (D29).
    """
    plan = _plan(_hiring(3), total, used=10)
    assert plan.estimate.seats == {"used": 10, "peak": 13, "total": total}
    assert next(guard.verdict for guard in plan.guards if guard.id == "seats") is verdict


def test_who_leaves_frees_a_licence_for_who_comes() -> None:
    """Deactivations are sent first, so the peak is what is used now."""
    plan = _plan(_hiring(2, leaving=2), total=10, used=10)
    assert plan.estimate.seats == {"used": 10, "peak": 10, "total": 10}
    assert not [guard for guard in plan.refused_by if guard.id == "seats"]


def test_a_deletion_frees_its_licence_too_late() -> None:
    """Deletions go last."""
    plan = _plan(_hiring(1, leaving=1, removal=Removal(users=UserRemoval.DELETE)), total=10, used=10)
    assert plan.estimate.seats == {"used": 10, "peak": 11, "total": 10}
    assert [guard.count for guard in plan.guards if guard.id == "seats"] == [1]


def test_somebody_inactive_takes_no_licence_until_reactivated() -> None:
    """Creates with `active: false` are free; reactivations are not."""
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1", active=False)
    now = (desired_user("ann", externalId="1", active=True), desired_user("bob", active=False))
    plan = _plan(World(service).wanting(*now), total=5, used=5, allowed={"drifted-reactivation": None})
    assert plan.estimate.seats == {"used": 5, "peak": 6, "total": 5}


def test_a_tenant_over_its_quota_may_still_shrink() -> None:
    """What live already violates stops nobody from leaving."""
    plan = _plan(_hiring(0, leaving=1), total=3, used=5)
    assert not [guard for guard in plan.refused_by if guard.id == "seats"]


def test_where_licences_are_not_known_nothing_is_judged() -> None:
    """Another service than CXone, or a platform that does not tell."""
    plan = _hiring(3).plan()
    assert plan.estimate.seats is None
    assert "seats" not in {guard.id for guard in plan.refused_by}
