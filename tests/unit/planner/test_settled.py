"""What a run leaves for the next one to remember (SPEC P13, section 7.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.change import Action
from reconciler.model.outcome import ApplyResult, ChangeResult, Outcome, Residual, ResidualCause
from reconciler.model.plan import Plan, Selection
from reconciler.model.resource import DesiredUser, Kind
from reconciler.model.state import BaseState, Certificate, DesiredState, LiveState, Standing
from reconciler.model.tenant import Removal, UserRemoval
from reconciler.planner.planner import build_plan
from reconciler.planner.settled import counted_changes, is_complete, released_users, settled_ids
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_state, desired_user, tenant_for

ENDED = "2026-03-02T08:00:00Z"


def person(name: str, **attributes: object) -> dict[str, object]:
    """A live user."""
    return {"userName": name, "externalId": f"p-{name}", "active": True, **attributes}


def world(*names: str, **groups: list[str]) -> World:
    """Live users by name, their ids being their names, and groups of them."""
    service = DirectoryService(
        users={name: person(name) for name in names},
        groups={name: {"displayName": name, "members": members} for name, members in groups.items()},
    )
    return World(service)


def base_of(*states: DesiredState) -> BaseState:
    """A usable base."""
    known = frozenset({"ann", "bob", "cyd", "team"})
    return BaseState(standing=Standing.USABLE, detail="", commit="c", states=states, known=known)


def user(name: str, **attributes: Any) -> DesiredUser:
    """A document for a live user."""
    return desired_user(name, externalId=f"p-{name}", **attributes)


def result_of(plan: Plan, **outcomes: Outcome) -> ApplyResult:
    """How a run of a plan ended: applied and proven, but for what `outcomes` says of a name."""
    return ApplyResult(
        run="r",
        tenant="acme",
        target="t",
        commit="c",
        digest="",
        started=ENDED,
        ended=ENDED,
        results=tuple(
            ChangeResult(
                change=change,
                outcome=outcomes.get(change.key.name, Outcome.APPLIED),
                id=change.id or f"new-{change.key.name}",
            )
            for change in plan.changes
        ),
        proven=True,
    )


def test_what_needs_nothing_and_what_was_done_is_settled() -> None:
    """Matched without a change, changed and proven, created and proven."""
    here = world("ann", "bob", "stranger").wanting(user("ann"), user("bob", title="Agent"), user("cyd"))
    plan = here.plan()
    assert settled_ids(plan, result_of(plan)) == {Kind.USER: {"ann", "bob", "new-cyd"}, Kind.GROUP: frozenset()}
    assert is_complete(plan, result_of(plan))


@pytest.mark.parametrize("outcome", [item for item in Outcome if item is not Outcome.APPLIED])
def test_what_was_not_applied_is_not_settled(outcome: Outcome) -> None:
    """SPEC P6: nobody guesses "applied"."""
    here = world("ann", "bob").wanting(user("ann"), user("bob", title="Agent"), user("cyd"))
    plan = here.plan()
    result = result_of(plan, bob=outcome, cyd=outcome)
    assert settled_ids(plan, result)[Kind.USER] == {"ann"}
    assert not is_complete(plan, result)


def test_what_was_not_proven_is_not_settled() -> None:
    """SPEC P8: a residual, or a proof that could not be made."""
    here = world("ann", "bob").wanting(user("ann"), user("bob", title="Agent"))
    plan = here.plan()
    left = replace(
        result_of(plan),
        residual=(
            Residual(
                key="User/bob", path="title", expected="Agent", found=None, cause=ResidualCause.NOT_STORED, advice=""
            ),
        ),
    )
    for result in (left, replace(result_of(plan), proven=False)):
        assert settled_ids(plan, result)[Kind.USER] == {"ann"}
        assert not is_complete(plan, result)


def test_what_git_gave_up_is_settled_once_it_is_taken_back() -> None:
    """The orphan, and the group that only a user's document named."""
    before = desired_state(user("ann", groups=["team"]), user("bob"))
    here = world("ann", "bob", team=["ann"]).wanting(user("ann"))
    plan = here.plan(base=base_of(before))
    assert {str(change.key) for change in plan.changes} == {"User/bob", "Group/team"}
    assert settled_ids(plan, result_of(plan)) == {Kind.USER: {"ann", "bob"}, Kind.GROUP: {"team"}}
    assert settled_ids(plan, result_of(plan, team=Outcome.FAILED))[Kind.GROUP] == frozenset()


def test_a_group_whose_members_are_not_shown_is_not_settled() -> None:
    """A membership that git gave up cannot be seen, so it must not be forgotten."""
    before = desired_state(user("ann", groups=["team"]))
    here = world("ann", team=["ann"]).wanting(user("ann"))
    live = here.read()
    hidden = replace(live, groups={key: replace(group, members=None) for key, group in live.groups.items()})
    plan = build_plan(here.inputs(live=hidden, base=base_of(before)))
    assert plan.changes == ()
    assert settled_ids(plan, result_of(plan)) == {Kind.USER: {"ann"}, Kind.GROUP: frozenset()}
    assert not is_complete(plan, result_of(plan))


def test_who_is_not_in_an_incomplete_list_is_not_forgotten() -> None:
    """SPEC P4: absence is not inferred: git gave bob up, and he may be there all the same."""
    here = world("ann").wanting(user("ann"))
    base = base_of(desired_state(user("ann"), user("bob")))
    cut = replace(here.read(), certificates={Kind.USER: Certificate(count=1, complete=False)})
    plan = build_plan(here.inputs(live=cut, base=base))
    assert not is_complete(plan, result_of(plan))
    plan = build_plan(here.inputs(live=here.read(), base=base))
    assert is_complete(plan, result_of(plan))


def test_a_plan_from_a_file_proves_only_what_it_changed() -> None:
    """Without the desired state nothing is known about the rest."""
    here = world("ann", "bob").wanting(user("ann"), user("bob", title="Agent"))
    plan = replace(here.plan(), care=None)
    assert settled_ids(plan, result_of(plan))[Kind.USER] == {"bob"}
    assert not is_complete(plan, result_of(plan))


def released(
    here: World, plan: Plan, result: ApplyResult, before: dict[str, str], live: LiveState | None = None
) -> object:
    """Who is released after a run."""
    return released_users(plan, result, before, live or here.read(), here.tenant)


def test_who_was_deactivated_or_was_inactive_already_is_released() -> None:
    """SPEC section 4, deleteAfter: time runs from when git gave them up and they were inactive."""
    here = world("ann", "bob", "cyd").wanting(user("ann"))
    here.service.users["cyd"]["active"] = False
    plan = here.plan(base=base_of(desired_state(user("ann"), user("bob"), user("cyd"))))
    assert released(here, plan, result_of(plan), {}) == {"bob": ENDED, "cyd": ENDED}
    assert released(here, plan, result_of(plan, bob=Outcome.UNKNOWN), {}) == {"cyd": ENDED}


def test_who_was_released_stays_so_until_something_happens() -> None:
    """Back in git, reactivated by somebody, gone from a complete list: not any more."""
    early = "2026-01-01T00:00:00Z"
    here = world("ann", "bob", "cyd", "dan").wanting(user("ann", active=False))
    for name in ("ann", "bob", "dan"):
        here.service.users[name]["active"] = False
    plan = here.plan(base=base_of(desired_state(user("ann", active=False))))
    before = dict.fromkeys(("ann", "bob", "cyd", "gone"), early)
    assert released(here, plan, result_of(plan), before) == {"bob": early}
    cut = replace(here.read(), certificates={Kind.USER: Certificate(count=1, complete=False)})
    assert released(here, plan, result_of(plan), before, cut) == {"bob": early, "gone": early}


def test_who_git_wants_back_stays_released_until_they_are() -> None:
    """A reactivation that failed is tried again, and is not taken for one that nobody meant."""
    here = world("ann").wanting(user("ann"))
    here.service.users["ann"]["active"] = False
    base = replace(base_of(desired_state()), released={"ann": ENDED})
    plan = here.plan(base=base)
    assert [change.action for change in plan.changes] == [Action.REACTIVATE]
    assert released(here, plan, result_of(plan, ann=Outcome.FAILED), {"ann": ENDED}) == {"ann": ENDED}
    assert released(here, plan, result_of(plan), {"ann": ENDED}) == {}


def test_nobody_is_released_where_removal_keeps_people() -> None:
    """SPEC section 4, removal: keep."""
    here = world("ann").wanting()
    here.service.users["ann"]["active"] = False
    here = replace(here, tenant=tenant_for(removal=Removal(users=UserRemoval.KEEP)))
    plan = here.plan(base=base_of(desired_state(user("ann"))))
    assert released(here, plan, result_of(plan), {}) == {}


def test_changes_are_counted_by_what_the_guards_count() -> None:
    """SPEC section 8, churn: what may have been removed counts as removed."""
    before = desired_state(user("ann"), user("bob"), desired_group("team"))
    here = world("ann", "bob", team=[]).wanting(
        user("ann", title="Agent"), user("cyd"), desired_group("team", externalId="g")
    )
    plan = here.plan(base=base_of(before))
    assert counted_changes(result_of(plan, bob=Outcome.UNKNOWN, cyd=Outcome.FAILED)) == {
        "created": {"User": 0, "Group": 0},
        "updated": {"User": 1, "Group": 1},
        "removed": {"User": 1, "Group": 0},
    }


@pytest.mark.parametrize("selection", [Selection.SAFE, Selection.REVOKE, Selection.HELD])
def test_what_was_not_selected_is_not_settled(selection: Selection) -> None:
    """SPEC 7.8: bob's removal waits under --safe-only, ann's title under --only revoke; nothing of it is forgotten."""
    before = desired_state(user("ann"), user("bob"), user("cyd"))
    here = world("ann", "bob", "cyd").wanting(user("ann", title="Agent"), user("cyd"))
    plan = here.plan(base=base_of(before), selection=selection)
    (change,) = plan.changes
    assert settled_ids(plan, result_of(plan))[Kind.USER] == {"cyd", change.id}
    assert not is_complete(plan, result_of(plan))
