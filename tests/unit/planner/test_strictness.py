"""No change can loosen what judges it: the stricter of both sides wins (SPEC section 8; issue 4, judged 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.plan import Verdict
from reconciler.model.resource import DesiredUser
from reconciler.model.state import Exclusive
from reconciler.model.tenant import (
    GroupRemoval,
    GuardSettings,
    Limits,
    Owned,
    Ownership,
    Removal,
    ShareLimit,
    Tenant,
    UserRemoval,
)
from reconciler.planner.strictness import overruled, stricter_state, stricter_tenant
from tests.fakes.directory_service import DirectoryService
from tests.states import World, desired_group, desired_state, desired_user, tenant_for


def _both(one: Tenant, other: Tenant) -> list[Tenant]:
    return [stricter_tenant(one, other), stricter_tenant(other, one)]


def test_the_lower_limit_of_a_guard_wins_and_defaults_count() -> None:
    """A change that raises `max` is judged by the old one; so is one that writes a limit where none was written."""
    loose = tenant_for(guards=GuardSettings(shares={"removal-share": ShareLimit(percent=100, max=1000)}))
    strict = tenant_for(guards=GuardSettings(shares={"removal-share": ShareLimit(max=3)}))
    for tenant in _both(loose, strict):
        assert tenant.guards.shares["removal-share"] == ShareLimit(percent=10, max=3)
    for tenant in _both(loose, tenant_for()):
        assert tenant.guards.shares["removal-share"] == ShareLimit(percent=10, max=25)


def test_what_either_side_protects_is_protected() -> None:
    """Taking a name off the list protects it once more."""
    one = tenant_for(guards=GuardSettings(protected=("a", "group:B"), minimum_members=3))
    for tenant in _both(one, tenant_for(guards=GuardSettings(protected=("c",)))):
        assert set(tenant.guards.protected) == {"a", "group:B", "c"}
        assert tenant.guards.minimum_members == 3


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        (UserRemoval.DELETE, UserRemoval.DELETE, UserRemoval.DELETE),
        (UserRemoval.KEEP, UserRemoval.KEEP, UserRemoval.KEEP),
        (UserRemoval.DEACTIVATE, UserRemoval.KEEP, UserRemoval.DEACTIVATE),
        (UserRemoval.DELETE, UserRemoval.DEACTIVATE, UserRemoval.DEACTIVATE),
        (UserRemoval.DELETE, UserRemoval.KEEP, UserRemoval.DEACTIVATE),
    ],
)
def test_where_removal_differs_people_lose_access_and_keep_their_account(
    one: UserRemoval, other: UserRemoval, result: UserRemoval
) -> None:
    """`keep` for the leaver in the same change lets nobody stay in; `delete` deletes nobody yet."""
    for tenant in _both(tenant_for(removal=Removal(users=one)), tenant_for(removal=Removal(users=other))):
        assert tenant.removal.users is result


def test_where_removal_differs_groups_are_kept_and_deletions_wait_longest() -> None:
    """Deleting cannot be undone."""
    one = tenant_for(removal=Removal(users=UserRemoval.DELETE, groups=GroupRemoval.DELETE, delete_after_days=30))
    other = tenant_for(removal=Removal(users=UserRemoval.DELETE))
    for tenant in _both(one, other):
        assert tenant.removal == Removal(users=UserRemoval.DELETE, groups=GroupRemoval.KEEP, delete_after_days=30)


def test_owning_everything_ends_only_once_both_sides_say_so() -> None:
    """A change that gives up ownership is judged as if it had not."""
    for tenant in _both(tenant_for(ownership=Ownership(users=Owned.ALL)), tenant_for()):
        assert tenant.ownership.users is Owned.ALL


@pytest.mark.parametrize("listed_at_head", [True, False])
def test_who_lists_itself_as_unmanaged_is_removed_all_the_same(listed_at_head: bool) -> None:
    """A name is unmanaged only where both sides say so, each by whatever pattern."""
    service = DirectoryService()
    service.add_user("u1", "eve")
    service.add_user("u2", "svc-phone")
    sides: list[tuple[str, ...]] = [("eve", "svc-phone"), ("svc-*",)]
    head, other = sides if listed_at_head else reversed(sides)
    tenant = stricter_tenant(
        tenant_for(ownership=Ownership(unmanaged=head)), tenant_for(ownership=Ownership(unmanaged=other))
    )
    before = desired_state(desired_user("eve"), desired_user("svc-phone"))
    plan = World(service, tenant=tenant).wanting().remembering(before).plan()
    assert [str(change.key) for change in plan.changes] == ["User/eve"]


def test_policies_of_both_sides_count() -> None:
    """A change that edits the policy it would violate is refused by the old one."""
    service = DirectoryService()
    ann = desired_user("ann", roles=[{"value": "Maker"}, {"value": "Checker"}])
    old = Exclusive(name="maker-checker", roles=("Maker", "Checker"), groups=())
    head = desired_state(ann, exclusives=[Exclusive(name="maker-checker", roles=("Maker",), groups=())])
    world = World(service, desired=head)
    assert world.verdict("exclusive") is Verdict.PASS
    assert replace(world, desired=stricter_state(head, [old])).verdict("exclusive") is Verdict.REFUSE


def test_the_lower_nesting_limit_wins() -> None:
    """`limits.nestedGroupDepth` is a guard's limit, too."""
    for tenant in _both(tenant_for(limits=Limits(nested_group_depth=9)), tenant_for()):
        assert tenant.limits.nested_group_depth == 3


def test_what_does_not_count_of_head_is_named() -> None:
    """A reviewer sees which settings were overruled, and by what; where head is the stricter side there is nothing."""
    loose = tenant_for(
        guards=GuardSettings(shares={"update-share": ShareLimit(percent=50.5)}, minimum_members=1),
        ownership=Ownership(unmanaged=("svc-*", "me")),
        removal=Removal(users=UserRemoval.DELETE, delete_after_days=1, groups=GroupRemoval.DELETE),
        limits=Limits(nested_group_depth=7),
    )
    strict = tenant_for(
        guards=GuardSettings(protected=("boss",)),
        ownership=Ownership(users=Owned.ALL, unmanaged=("svc-*",)),
        removal=Removal(users=UserRemoval.DELETE, delete_after_days=30),
    )
    assert list(overruled(loose, strict, "at main")) == [
        "guards.update-share.percent: 50.5 here, 10 at main: 10 counts",
        "guards.minimum-members: 1 here, 2 at main: 2 counts",
        "ownership.users: declared here, all at main: all counts",
        "removal.groups: delete here, keep at main: keep counts",
        "removal.deleteAfter: 1 here, 30 at main: 30 counts",
        "limits.nestedGroupDepth: 7 here, 3 at main: 3 counts",
        "guards.protected: boss not listed here, but at main: protected all the same",
        "ownership.unmanaged: me not listed at main: only what is unmanaged there, too, counts",
    ]
    for tenant in (loose, strict, tenant_for()):
        assert list(overruled(tenant, tenant, "at main")) == []


@pytest.mark.parametrize(
    ("base", "verdict"), [((), Verdict.REFUSE), ((desired_user("boss"),), Verdict.PASS)], ids=["unknown", "known"]
)
def test_previously_renames_only_whom_git_declared(base: tuple[DesiredUser, ...], verdict: Verdict) -> None:
    """Guard `identity-reuse`: an account that somebody else made does not become a new person's by its old name."""
    service = DirectoryService()
    service.add_user("u1", "boss", externalId="hr-boss")
    world = World(service).wanting(desired_user("eve", previously="boss")).remembering(desired_state(*base))
    assert world.verdict("identity-reuse") is verdict


def test_who_takes_over_another_persons_account_by_previously_is_refused() -> None:
    """Guard `identity-reuse`: git knew the account as somebody else's."""
    service = DirectoryService()
    service.add_user("u1", "bob")
    eve = desired_user("eve", externalId="hr-eve", previously="bob")
    world = World(service).wanting(eve).remembering(desired_state(desired_user("bob")))
    assert world.verdict("identity-reuse") is Verdict.REFUSE
    known = desired_user("eve", previously="bob")
    world = World(service).wanting(known).remembering(desired_state(desired_user("bob"), desired_user("eve")))
    assert world.verdict("identity-reuse") is Verdict.REFUSE
    world = World(service).wanting(known).remembering(desired_state(desired_user("bob")))
    assert world.verdict("identity-reuse") is Verdict.PASS  # a rename


def test_strictness_is_not_lost_on_groups() -> None:
    """The same holds for group patterns."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_group("g1", "Team", "u1")
    tenant = stricter_tenant(tenant_for(ownership=Ownership(unmanaged=("group:Team",))), tenant_for())
    before = desired_state(desired_user("ann"), desired_group("Team", members=[{"user": "ann"}]))
    plan = World(service, tenant=tenant).wanting(desired_user("ann")).remembering(before).plan()
    assert [change.members.removed for change in plan.changes] == [("ann",)]
