"""`kind: Override`: one guard, certain changes, a number, a day and a reason (SPEC section 8; issue 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.diagnostic import Source
from reconciler.model.plan import Plan, Verdict
from reconciler.model.state import Exclusive, Override
from reconciler.model.tenant import GuardSettings, Owned, Ownership
from reconciler.planner.guards import NO_OVERRIDE, OVERRIDABLE
from reconciler.planner.overriding import DECLARABLE
from reconciler.schemas import schema_text
from tests.fakes.directory_service import DirectoryService
from tests.states import NOW, World, desired_group, desired_state, desired_user, tenant_for

PASS, REFUSE, OVERRIDDEN = Verdict.PASS, Verdict.REFUSE, Verdict.OVERRIDDEN
REASON = "the Denver site closes"


def _closing(leaving: int, *, people: int = 20) -> World:
    """A site of twenty closes: five may go at once."""
    service = DirectoryService()
    for number in range(people):
        service.add_user(f"u{number}", f"p{number:02}")
    return World(service).wanting(*(desired_user(f"p{n:02}", active=n >= leaving) for n in range(people)))


def _override(plan: Plan, guard: str, **more: object) -> Override:
    """An override for every change of a plan, unless it says otherwise."""
    said = {
        "changes": frozenset(change.digest for change in plan.changes),
        "max": 100,
        "expires": NOW[:10],
        "reason": REASON,
        "source": Source("acme/overrides.yaml", 7),
        **more,
    }
    return Override(guard=guard, **said)  # type: ignore[arg-type]  # a test says what it wants to say


def test_an_override_admits_the_changes_that_it_lists_and_says_why() -> None:
    """P10: whoever reads the plan sees that a guard was let through, by which document, and for what reason."""
    world = _closing(7)
    guard = world.guard("removal-share", overrides=(_override(world.plan(), "removal-share"),))
    assert guard.verdict is OVERRIDDEN
    assert guard.override == "acme/overrides.yaml:7"
    assert REASON in guard.detail
    assert "acme/overrides.yaml:7" in guard.detail


def test_an_override_is_for_its_guard_alone() -> None:
    """INCIDENTS: one `--force` switched every guard off."""
    world = _closing(7)
    world = replace(world, tenant=tenant_for(guards=GuardSettings(protected=("p00",))))
    plan = world.plan(overrides=(_override(world.plan(), "removal-share"),))
    assert {guard.id for guard in plan.refused_by} == {"protected"}


@pytest.mark.parametrize(("admitted", "verdict"), [(7, OVERRIDDEN), (6, REFUSE)])
def test_an_override_admits_at_most_its_max(admitted: int, verdict: Verdict) -> None:
    """What came in beside the changes that were looked at is not covered."""
    world = _closing(7)
    assert (
        world.verdict("removal-share", overrides=(_override(world.plan(), "removal-share", max=admitted),)) is verdict
    )


@pytest.mark.parametrize(
    ("now", "verdict"), [("2026-05-04T23:59:59Z", OVERRIDDEN), ("2026-05-05T00:00:00Z", REFUSE), ("", REFUSE)]
)
def test_an_override_counts_up_to_the_end_of_its_day(now: str, verdict: Verdict) -> None:
    """`expires` is the last day, in UTC; a plan that does not know the time admits nothing."""
    world = _closing(7)
    override = _override(world.plan(), "removal-share", expires="2026-05-04")
    guard = world.guard("removal-share", overrides=(override,), created_at=now)
    assert guard.verdict is verdict
    assert verdict is OVERRIDDEN or "expired after 2026-05-04" in guard.detail


@pytest.mark.parametrize(("listed", "verdict"), [(2, OVERRIDDEN), (1, REFUSE)])
def test_without_the_listed_changes_the_guard_has_to_pass(listed: int, verdict: Verdict) -> None:
    """Seven go where five may: two have to be listed, and a list of one does not let a second one through."""
    world = _closing(7)
    plan = world.plan()
    changes = frozenset(change.digest for change in plan.changes[:listed])
    guard = world.guard("removal-share", overrides=(_override(plan, "removal-share", changes=changes),))
    assert guard.verdict is verdict
    assert verdict is OVERRIDDEN or "does not list all of it" in guard.detail


def test_an_override_does_not_cover_a_change_that_became_another_one() -> None:
    """A digest is of one change as it was read (SPEC P2): what came later has another one."""
    world = _closing(7)
    override = _override(world.plan(), "removal-share")
    leaving = [desired_user(f"p{n:02}", active=False, title="Retired") for n in range(7)]
    assert world.wanting(*leaving, *world.desired.users[7:]).verdict("removal-share", overrides=(override,)) is REFUSE


def test_the_first_override_that_admits_counts() -> None:
    """An old one that is still there does not stand in the way of a new one."""
    world = _closing(7)
    old = _override(world.plan(), "removal-share", expires="2026-01-01")
    assert world.verdict("removal-share", overrides=(old, _override(world.plan(), "removal-share"))) is OVERRIDDEN


def test_a_guard_that_passes_needs_no_override() -> None:
    """An override that is not needed leaves no trace in the verdicts."""
    world = _closing(5)
    guard = world.guard("removal-share", overrides=(_override(world.plan(), "removal-share"),))
    assert (guard.verdict, guard.override) == (PASS, None)


def test_overrides_of_the_desired_state_do_not_count_by_themselves() -> None:
    """What a pull request brings along does not judge it: whoever plans says which overrides count."""
    world = _closing(7)
    override = _override(world.plan(), "removal-share")
    own = replace(world, desired=replace(world.desired, overrides=(override,)))
    assert own.verdict("removal-share") is REFUSE


def test_what_is_judged_of_the_plan_as_a_whole_needs_all_changes_listed() -> None:
    """An empty desired state is refused whatever else changes, unless nothing happens but what was looked at."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_user("u2", "bob")
    world = World(service, tenant=tenant_for(ownership=Ownership(users=Owned.ALL))).remembering(
        desired_state(desired_user("ann"), desired_user("bob"))
    )
    plan = world.plan()
    assert {guard.id for guard in plan.refused_by} >= {"empty-desired", "removal-share"}
    some = frozenset({plan.changes[0].digest})
    assert world.verdict("empty-desired", overrides=(_override(plan, "empty-desired", changes=some),)) is REFUSE
    assert world.verdict("empty-desired", overrides=(_override(plan, "empty-desired"),)) is OVERRIDDEN


def test_who_is_not_created_joins_nothing_when_the_rest_is_judged() -> None:
    """A created user who would break a Policy is listed; the group he joins is judged without him."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_group("g1", "Makers", "u1")
    service.add_group("g2", "Checkers")
    world = World(service).wanting(
        desired_user("eve"),
        desired_group("Makers", members=[{"user": "ann"}, {"user": "eve"}]),
        desired_group("Checkers", members=[{"user": "eve"}]),
        exclusives=[Exclusive(name="four-eyes", roles=(), groups=("Makers", "Checkers"))],
    )
    plan = world.plan()
    create = frozenset(change.digest for change in plan.changes if change.key.name == "eve")
    assert world.verdict("exclusive") is REFUSE
    assert world.verdict("exclusive", overrides=(_override(plan, "exclusive", changes=create),)) is OVERRIDDEN


@pytest.mark.parametrize("guard", sorted(NO_OVERRIDE))
def test_a_guard_without_override_has_none_in_git_either(guard: str) -> None:
    """SPEC section 8: `incomplete-inventory` and `nesting`; and without a base nobody knows what would be forgotten."""
    service = DirectoryService()
    for n in range(4):
        service.add_group(f"g{n}", f"G{n}")
    chain = [desired_group(f"G{n}", members=[{"group": f"G{n + 1}"}]) for n in range(3)]
    world = World(service).wanting(*chain)
    before = world.guard("nesting")
    assert before.verdict is REFUSE
    overrides = (_override(world.plan(), guard),)
    assert world.guard("nesting", overrides=overrides) == before


def test_an_override_can_name_every_guard_that_allow_can_name_but_pending() -> None:
    """The schema lists them, so that a slip in a name is a validation error with the list of guards."""
    assert OVERRIDABLE - {"pending"} == DECLARABLE
    for guard in sorted(OVERRIDABLE | NO_OVERRIDE):
        assert (f'"{guard}"' in schema_text("override")) == (guard in DECLARABLE), guard
