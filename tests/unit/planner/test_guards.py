"""Every guard of SPEC section 8, just inside and just outside its limit, with and without `--allow`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import GuardRefused
from reconciler.model.plan import Verdict
from reconciler.model.resource import Kind
from reconciler.model.state import BaseState, Certificate, Exclusive, Standing
from reconciler.model.tenant import GuardSettings, Limits, Owned, Ownership, ShareLimit
from reconciler.planner.guards import GUARDS, OVERRIDABLE
from tests.fakes.directory_service import DirectoryService
from tests.states import NOW, World, desired_group, desired_state, desired_user, tenant_for

PASS, REFUSE, OVERRIDDEN = Verdict.PASS, Verdict.REFUSE, Verdict.OVERRIDDEN


def _staff(people: int, deactivated: int = 0, **guards: Any) -> World:
    """A tenant of `people` managed, active users of whom git now deactivates some."""
    service = DirectoryService()
    documents = []
    for number in range(people):
        service.add_user(f"u{number}", f"p{number}")
        documents.append(desired_user(f"p{number}", active=number >= deactivated))
    return World(service, tenant=tenant_for(guards=GuardSettings(**guards))).wanting(*documents)


@pytest.mark.parametrize(
    ("people", "admitted"), [(1, 1), (9, 1), (10, 5), (49, 5), (50, 5), (59, 5), (60, 6), (250, 25), (400, 25)]
)
def test_removal_share_admits_one_below_ten_five_below_fifty_then_ten_percent_up_to_25(
    people: int, admitted: int
) -> None:
    """SPEC section 8; INCIDENTS `everyone was deleted`."""
    assert _staff(people, admitted).verdict("removal-share") is PASS
    if admitted < people:
        outside = _staff(people, admitted + 1)
        assert outside.verdict("removal-share") is REFUSE
        guard = outside.guard("removal-share")
        assert (guard.count, guard.limit) == (admitted + 1, admitted)


def test_removal_share_follows_tenant_yaml() -> None:
    """Each half of the limit is settable by itself; a percentage counts in a small tenant too, max always caps."""
    assert _staff(8, 4, shares={"removal-share": ShareLimit(percent=50)}).verdict("removal-share") is PASS
    assert _staff(8, 5, shares={"removal-share": ShareLimit(percent=50)}).verdict("removal-share") is REFUSE
    assert _staff(60, 3, shares={"removal-share": ShareLimit(max=2)}).verdict("removal-share") is REFUSE
    assert _staff(60, 2, shares={"removal-share": ShareLimit(max=2)}).verdict("removal-share") is PASS


def test_allow_admits_exactly_as_many_as_it_says() -> None:
    """`--allow removal-share=7` lets seven through, not eight; without a number any (SPEC P10)."""
    assert _staff(20, 7).verdict("removal-share", allowed={"removal-share": 7}) is OVERRIDDEN
    assert _staff(20, 8).verdict("removal-share", allowed={"removal-share": 7}) is REFUSE
    assert _staff(20, 20).verdict("removal-share", allowed={"removal-share": None}) is OVERRIDDEN
    assert _staff(20, 5).verdict("removal-share", allowed={"removal-share": 7}) is PASS


def test_allowing_one_guard_allows_no_other() -> None:
    """INCIDENTS: one `--force` switched every guard off."""
    world = _staff(20, 8, protected=("p0",))
    plan = world.plan(allowed={"removal-share": None})
    assert {guard.id for guard in plan.refused_by} == {"protected"}


@pytest.mark.parametrize(("people", "admitted"), [(5, 2), (19, 2), (20, 5), (59, 5), (60, 6)])
def test_access_loss_admits_two_below_twenty_then_five_or_ten_percent(people: int, admitted: int) -> None:
    """SPEC section 8: users losing any group, role or entitlement."""

    def losing(number: int) -> World:
        service = DirectoryService()
        documents = []
        for n in range(people):
            service.add_user(f"u{n}", f"p{n}", roles=[{"value": "Agent"}])
            documents.append(desired_user(f"p{n}", roles=[] if n < number else [{"value": "agent"}]))
        return World(service).wanting(*documents)

    assert losing(admitted).verdict("access-loss") is PASS
    assert losing(admitted + 1).verdict("access-loss") is REFUSE


def test_access_loss_has_an_absolute_cap_of_a_hundred() -> None:
    """Ten percent of 1100 would be 110."""
    names = [f"p{n}" for n in range(1100)]
    service = DirectoryService()
    for n, name in enumerate(names):
        service.add_user(f"u{n}", name)
    service.add_group("g", "Everyone", *service.users)
    documents = [desired_user(name) for name in names]
    for kept, verdict in ((1000, PASS), (999, REFUSE)):
        members = [{"user": name} for name in names[:kept]]
        world = World(service).wanting(*documents, desired_group("Everyone", members=members))
        assert world.verdict("access-loss") is verdict


def test_access_lost_through_nested_groups_counts() -> None:
    """Taking a nested group away takes access from everybody in it."""
    service = DirectoryService()
    for n in range(3):
        service.add_user(f"u{n}", f"p{n}")
    service.add_group("g1", "Inner", "u0", "u1", "u2")
    service.add_group("g2", "Outer", "g1")
    world = World(service).wanting(desired_group("Outer", members=[]))
    assert world.guard("access-loss").count == 3
    assert world.verdict("access-loss") is REFUSE


def _group_of(live: int, stays: int, **attributes: Any) -> World:
    service = DirectoryService()
    for n in range(live):
        service.add_user(f"u{n}", f"p{n}", **attributes)
    service.add_group("g", "Team", *service.users)
    return World(service).wanting(desired_group("Team", members=[{"user": f"p{n}"} for n in range(stays)]))


@pytest.mark.parametrize(("live", "stays", "verdict"), [(4, 2, PASS), (4, 1, REFUSE), (3, 1, PASS), (5, 3, PASS)])
def test_membership_share_speaks_above_half_of_four_or_more(live: int, stays: int, verdict: Verdict) -> None:
    """From four members on, over 50 percent."""
    assert _group_of(live, stays).verdict("membership-share") is verdict


def test_membership_share_speaks_where_the_last_active_member_goes() -> None:
    """By removal, or by deactivation of that member; the number of its other members does not matter."""
    assert _group_of(1, 0).verdict("membership-share") is REFUSE
    assert _group_of(1, 0, active=False).verdict("membership-share") is PASS
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_user("u2", "bob", active=False)
    service.add_group("g", "Team", "u1", "u2")
    world = World(service)
    assert world.wanting(desired_user("ann", active=False)).verdict("membership-share") is REFUSE
    swapped = desired_group("Team", members=[{"user": "bob"}, {"user": "eve"}])
    assert world.wanting(swapped, desired_user("eve")).verdict("membership-share") is PASS
    idle = world.wanting(swapped, desired_user("eve", active=False))
    assert idle.verdict("membership-share") is REFUSE


def _admins() -> World:
    service = DirectoryService()
    for n, name in enumerate(("root", "ann", "bob")):
        service.add_user(f"u{n}", name)
    service.add_group("g", "Supervisors", "u0")
    service.add_group("h", "Leads", "u1")
    protected = ("root", "group:supervisors", "role:Administrator")
    return World(service, tenant=tenant_for(guards=GuardSettings(protected=protected)))


@pytest.mark.parametrize(
    ("documents", "count"),
    [
        ([desired_user("bob", groups=["Supervisors"])], 1),
        ([desired_group("Supervisors", membership="additive", members=[{"group": "Leads"}])], 1),
        ([desired_user("bob", roles=[{"value": "administrator"}])], 1),
        ([desired_user("new", roles=[{"value": "Administrator"}], groups=["Supervisors"])], 2),
        ([desired_user("bob", roles=[{"value": "Agent"}], groups=["Leads"])], 0),
        ([desired_user("new", active=False, roles=[{"value": "Administrator"}])], 0),
    ],
)
def test_privileged_gain_counts_every_way_to_a_protected_group_or_role(documents: list[Any], count: int) -> None:
    """Direct, nested, by role, by create; names without case (INCIDENTS: recycled access)."""
    guard = _admins().wanting(*documents).guard("privileged-gain")
    assert guard.count == count
    assert guard.verdict is (REFUSE if count else PASS)


def _namesakes() -> World:
    """Two groups of one name, as RFC 7643 lets services have them; plans name them by id."""
    service = DirectoryService()
    for n, name in enumerate(("root", "ann")):
        service.add_user(f"u{n}", name)
    service.add_group("g1", "Supervisors", "u0", externalId="a")
    service.add_group("g2", "supervisors", externalId="b")
    return World(service, tenant=tenant_for(guards=GuardSettings(protected=("group:Supervisors",))))


def test_a_namesake_does_not_take_the_protection_of_a_group_away() -> None:
    """Whoever may create groups could otherwise switch two guards off."""
    world = _namesakes()
    joins = world.wanting(
        desired_group("Supervisors", externalId="a", membership="additive", members=[{"user": "ann"}])
    )
    assert joins.verdict("privileged-gain") is REFUSE
    assert "ann gets group:Supervisors (id:g1)" in joins.guard("privileged-gain").detail
    assert world.wanting(desired_group("Supervisors", externalId="a", members=[])).verdict("protected") is REFUSE


@pytest.mark.parametrize(("seen", "verdict"), [(True, PASS), (False, REFUSE)])
@pytest.mark.parametrize("nested", ["Hidden", "Outer"])
def test_members_that_nobody_can_see_might_gain(nested: str, seen: bool, verdict: Verdict) -> None:
    """A service that does not show members hides who comes along into a protected group."""
    service = DirectoryService()
    service.add_group("g1", "Hidden")
    service.add_group("g2", "Outer", "g1")
    service.add_group("g3", "Supervisors")
    world = World(service, tenant=tenant_for(guards=GuardSettings(protected=("group:Supervisors",))))
    world = world.wanting(desired_group("Supervisors", membership="additive", members=[{"group": nested}]))
    live = world.read()
    hidden = replace(live.groups["g1"], members=() if seen else None)
    guard = world.guard("privileged-gain", live=replace(live, groups={**live.groups, "g1": hidden}))
    assert guard.verdict is verdict
    assert ("whoever is in Hidden gets group:Supervisors" in guard.detail) is not seen


def test_reactivating_the_holder_of_a_protected_role_is_a_gain() -> None:
    """An inactive administrator holds nothing; an active one does."""
    world = _admins()
    world.service.edit("u1", active=False, roles=[{"value": "Administrator"}])
    assert world.wanting(desired_user("ann", active=True)).verdict("privileged-gain") is REFUSE


@pytest.mark.parametrize(
    ("documents", "verdict"),
    [
        ([desired_user("root", active=False)], REFUSE),
        ([desired_user("root", title="new")], PASS),
        ([desired_user("ann", active=False)], PASS),
        ([desired_group("Supervisors", members=[])], REFUSE),
        ([desired_group("Team-X", previously="Supervisors")], REFUSE),
        ([desired_user("chief", previously="root")], REFUSE),
        ([desired_group("Leads", members=[])], PASS),
    ],
)
def test_protected_accounts_groups_and_roles_are_not_touched(documents: list[Any], verdict: Verdict) -> None:
    """Deactivated, renamed, or losing the protected group."""
    assert _admins().wanting(*documents).verdict("protected") is verdict


def test_taking_a_protected_role_or_deactivating_its_holder_is_refused() -> None:
    """SPEC section 8: a protected role holder."""
    world = _admins()
    world.service.edit("u1", roles=[{"value": "Administrator"}])
    assert world.wanting(desired_user("ann", roles=[])).verdict("protected") is REFUSE
    assert world.wanting(desired_user("ann", active=False)).verdict("protected") is REFUSE
    assert world.wanting(desired_user("ann", title="x")).verdict("protected") is PASS


def test_identity_reuse_stops_a_recycled_address() -> None:
    """INCIDENTS awslabs/ssosync #358: name and e-mail of a known person pass to another externalId."""
    service = DirectoryService()
    service.add_user("u1", "jane@x", externalId="hr-1", emails=[{"value": "j@x"}])
    world = World(service)
    assert world.wanting(desired_user("jane@x", externalId="hr-2")).verdict("identity-reuse") is REFUSE
    taken = desired_user("other@x", externalId="hr-2", emails=[{"value": "J@x"}])
    assert world.wanting(taken).verdict("identity-reuse") is REFUSE
    own = desired_user("jane@x", externalId="hr-1", emails=[{"value": "j@x"}, {"value": "new@x"}])
    assert world.wanting(own).verdict("identity-reuse") is PASS
    assert world.wanting(desired_user("free@x", externalId="hr-2")).verdict("identity-reuse") is PASS


def test_an_inactive_user_is_not_adopted_by_name_alone() -> None:
    """An active one is, as a finding."""
    service = DirectoryService()
    service.add_user("u1", "jane", active=False)
    service.add_user("u2", "ann")
    world = World(service)
    assert world.wanting(desired_user("jane", externalId="hr-2")).verdict("identity-reuse") is REFUSE
    plan = world.wanting(desired_user("ann", externalId="hr-3")).plan()
    assert not plan.refused_by
    assert "adopted" in {finding.code for finding in plan.findings}


def test_every_reactivation_is_asked_about_while_there_is_no_base() -> None:
    """Somebody may have suspended the account for a reason."""
    service = DirectoryService()
    service.add_user("u1", "jane", active=False)
    world = World(service)
    assert world.wanting(desired_user("jane", active=True)).verdict("drifted-reactivation") is REFUSE
    assert world.wanting(desired_user("jane")).verdict("drifted-reactivation") is PASS
    allowed = {"drifted-reactivation": 1}
    wanted = world.wanting(desired_user("jane", active=True))
    assert wanted.verdict("drifted-reactivation", allowed=allowed) is OVERRIDDEN


def _nested(depth: int, **limits: int) -> World:
    service = DirectoryService()
    for n in range(depth):
        service.add_group(f"g{n}", f"G{n}", *([f"g{n + 1}"] if n + 1 < depth else []))
    return World(service, tenant=tenant_for(limits=Limits(**limits)))


def test_nesting_admits_three_groups_on_a_chain_and_names_a_longer_one() -> None:
    """cxone.md section 8 and defect G1: ancestors of the target and groups below the member count, also live ones."""
    world = _nested(2)
    on_top = desired_group("Top", members=[{"group": "G0"}])
    assert world.wanting(on_top).verdict("nesting") is PASS
    deeper = world.wanting(on_top, desired_group("G1", members=[{"group": "Leaf"}]), desired_group("Leaf"))
    assert deeper.verdict("nesting") is REFUSE
    assert "Top > G0 > G1 > Leaf is 4 groups deep, 3 are allowed" in deeper.guard("nesting").detail


def test_g1_what_only_live_has_below_a_new_member_counts() -> None:
    """Defect G1: the check looked at the flat input and never at the children of a group that was added."""
    on_top = desired_group("Top", members=[{"group": "G0"}])
    deep = _nested(3).wanting(on_top).guard("nesting")
    assert "Top > G0 > G1 > G2 is 4 groups deep, 3 are allowed" in deep.detail
    assert deep.verdict is REFUSE
    assert _nested(4, nested_group_depth=5).wanting(on_top).verdict("nesting") is PASS


def test_nesting_has_no_override() -> None:
    """SPEC section 8."""
    world = _nested(3).wanting(desired_group("G2", members=[{"group": "Leaf"}]), desired_group("Leaf"))
    assert world.verdict("nesting", allowed={"nesting": None}) is REFUSE
    assert "nesting" not in OVERRIDABLE


def test_a_cycle_through_git_and_live_together_is_refused_and_named() -> None:
    """Neither side alone has one."""
    world = _nested(2).wanting(desired_group("G1", members=[{"group": "G0"}]))
    assert world.verdict("nesting") is REFUSE
    assert "G0 > G1 > G0" in world.guard("nesting").detail or "G1 > G0 > G1" in world.guard("nesting").detail
    own = _nested(1).wanting(desired_group("G0", members=[{"group": "G0"}]))
    assert own.verdict("nesting") is REFUSE


def test_what_live_already_violates_is_a_finding_and_no_refusal() -> None:
    """Only what a plan adds or worsens is refused."""
    world = _nested(5).wanting(desired_group("Other"))
    plan = world.plan()
    assert not plan.refused_by
    assert any(finding.code == "nesting" and "5 groups deep" in finding.message for finding in plan.findings)


def test_a_group_of_the_same_name_is_another_group_for_nesting() -> None:
    """Names of groups need not be unique; ids are (scim-rfc.md section 2)."""
    service = DirectoryService()
    service.add_group("g2", "Inner")
    service.add_group("g1", "Same", "g2", externalId="a")
    new = desired_group("Same", externalId="b")
    world = World(service).wanting(new, desired_group("Inner", members=[{"externalId": "b"}]))
    assert world.verdict("nesting") is PASS


MAKER_CHECKER = Exclusive(name="maker-checker", roles=("Maker", "Checker"), groups=("Auditors",))


@pytest.mark.parametrize(
    ("documents", "verdict"),
    [
        ([desired_user("ann", roles=[{"value": "maker"}, {"value": "CHECKER"}])], REFUSE),
        ([desired_user("ann", roles=[{"value": "Maker"}], groups=["Auditors"])], REFUSE),
        ([desired_user("ann", roles=[{"value": "Maker"}], groups=["Sub"])], REFUSE),
        ([desired_user("ann", roles=[{"value": "Maker"}])], PASS),
        ([desired_user("bad", title="new")], PASS),
        ([desired_user("bad", groups=["Auditors"])], REFUSE),
        ([desired_user("bad", roles=[{"value": "Maker"}])], PASS),
    ],
)
def test_exclusive_refuses_what_a_plan_adds_or_worsens(documents: list[Any], verdict: Verdict) -> None:
    """Roles and groups, also through nested groups; `bad` violates the policy already, which is a finding."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_user("u2", "bad", roles=[{"value": "Maker"}, {"value": "Checker"}])
    service.add_group("g2", "Sub")
    service.add_group("g1", "Auditors", "g2")
    world = World(service).wanting(*documents, exclusives=[MAKER_CHECKER])
    assert world.verdict("exclusive") is verdict
    assert any(finding.code == "exclusive" for finding in world.plan().findings)
    assert world.verdict("exclusive", allowed={"exclusive": 1}) is (OVERRIDDEN if verdict is REFUSE else PASS)


def test_a_rename_into_an_exclusive_set_is_a_violation() -> None:
    """The members get what the new name stands for, although no membership changes."""
    service = DirectoryService()
    service.add_user("u1", "ann", roles=[{"value": "Maker"}])
    service.add_group("g1", "Inner", "u1")
    service.add_group("g2", "Outer", "g1", externalId="g")
    world = World(service).wanting(desired_group("Auditors", externalId="g"), exclusives=[MAKER_CHECKER])
    assert world.verdict("exclusive") is REFUSE
    assert "ann would hold" in world.guard("exclusive").detail
    elsewhere = World(service).wanting(desired_group("Readers", externalId="g"), exclusives=[MAKER_CHECKER])
    assert elsewhere.verdict("exclusive") is PASS


def test_a_namesake_does_not_blind_a_policy() -> None:
    """Names in a policy mean every group of that name."""
    service = DirectoryService()
    service.add_user("u1", "ann", roles=[{"value": "Maker"}])
    service.add_group("g1", "Auditors", externalId="a")
    service.add_group("g2", "auditors", externalId="b")
    joins = desired_group("Auditors", externalId="a", members=[{"user": "ann"}])
    assert World(service).wanting(joins, exclusives=[MAKER_CHECKER]).verdict("exclusive") is REFUSE


@pytest.mark.parametrize("groups", [("Auditors", "Makers"), ("Auditors",)])
def test_a_reactivation_brings_back_what_excludes_itself(groups: tuple[str, ...]) -> None:
    """An inactive user holds nothing effectively; a violation that begins with the reactivation is new."""
    service = DirectoryService()
    service.add_user("u1", "ann", active=False)
    for group in groups:
        service.add_group(group, group, "u1")
    policy = Exclusive(name="four-eyes", roles=(), groups=("Auditors", "Makers"))
    back = World(service).wanting(desired_user("ann", active=True), exclusives=[policy])
    assert back.verdict("exclusive") is (REFUSE if len(groups) > 1 else PASS)
    still = World(service).wanting(desired_user("ann", title="away"), exclusives=[policy])
    assert still.verdict("exclusive") is PASS


@pytest.mark.parametrize(
    ("documents", "verdict"),
    [
        ([desired_user("gone", groups=["Team"])], REFUSE),
        ([desired_user("ann", active=False, groups=["Team"])], REFUSE),
        ([desired_user("new", active=False, groups=["Team"])], REFUSE),
        ([desired_user("gone", active=True, groups=["Team"])], PASS),
        ([desired_user("member", active=False)], PASS),
        ([desired_user("silent", groups=["Team"])], PASS),
    ],
)
def test_inactive_member_refuses_memberships_for_who_is_or_would_be_inactive(
    documents: list[Any], verdict: Verdict
) -> None:
    """Deactivating a member never trips it; a missing `active` is not inactive (cxone.md G3)."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_user("u2", "gone", active=False)
    service.add_user("u3", "member")
    service.add_user("u4", "silent")
    del service.users["u4"]["active"]
    service.add_group("g", "Team", "u3")
    assert World(service).wanting(*documents).verdict("inactive-member") is verdict


def test_creating_relies_on_a_complete_inventory_and_has_no_override() -> None:
    """SPEC P4, INCIDENTS `a short read looked like nobody is there`."""
    world = World(DirectoryService()).wanting(desired_user("ann"))
    short = Certificate(count=0, complete=False, reason="1000 were announced, 3 came")
    live = replace(world.read(), certificates={Kind.USER: short, Kind.GROUP: Certificate(count=0, complete=True)})
    assert world.verdict("incomplete-inventory", live=live, allowed={"incomplete-inventory": None}) is REFUSE
    assert "1000 were announced" in world.guard("incomplete-inventory", live=live).detail
    assert world.wanting(desired_group("G")).verdict("incomplete-inventory", live=live) is PASS
    assert world.verdict("incomplete-inventory") is PASS
    created = {change.key for change in world.plan(live=live).changes}
    proven = replace(live, proven_absent=frozenset(created))
    assert world.verdict("incomplete-inventory", live=proven) is PASS, "each create was looked up by itself"


def test_updates_do_not_rely_on_a_complete_inventory() -> None:
    """What was itself read may be changed on a fresh read of it."""
    service = DirectoryService()
    service.add_user("u", "ann")
    world = World(service).wanting(desired_user("ann", active=False))
    live = replace(world.read(), certificates={})
    assert world.verdict("incomplete-inventory", live=live) is PASS


def test_an_empty_desired_state_is_refused_where_git_owns_everything() -> None:
    """A wrong --root must not read as `nobody works here any more`."""
    service = DirectoryService()
    service.add_user("u", "ann")
    owner = tenant_for(ownership=Ownership(users=Owned.ALL, groups=Owned.DECLARED))
    assert World(service, tenant=owner).wanting(desired_group("G")).verdict("empty-desired") is REFUSE
    assert World(service, tenant=owner).wanting(desired_user("ann")).verdict("empty-desired") is PASS
    assert World(service).wanting(desired_group("G")).verdict("empty-desired") is PASS
    assert World(DirectoryService(), tenant=owner).wanting(desired_group("G")).verdict("empty-desired") is PASS


@pytest.mark.parametrize(
    ("people", "updated", "verdict"), [(20, 5, PASS), (20, 6, REFUSE), (70, 7, PASS), (70, 8, REFUSE)]
)
def test_update_share_admits_five_or_ten_percent(people: int, updated: int, verdict: Verdict) -> None:
    """SPEC section 8: one slip in a file's `defaults` changes everybody."""
    service = DirectoryService()
    for n in range(people):
        service.add_user(f"u{n}", f"p{n}", title="Agent")
    documents = [desired_user(f"p{n}", title="Coach" if n < updated else "Agent") for n in range(people)]
    assert World(service).wanting(*documents).verdict("update-share") is verdict


def test_update_share_has_a_cap_and_does_not_speak_on_the_first_run() -> None:
    """`max` counts where it is less than the percentage; what differs before git was ever applied may be changed."""
    service = DirectoryService()
    for n in range(50):
        service.add_user(f"u{n}", f"p{n}", title="Agent")
    world = World(
        service, tenant=tenant_for(guards=GuardSettings(shares={"update-share": ShareLimit(percent=50, max=9)}))
    )
    for updated, verdict in ((9, PASS), (10, REFUSE)):
        documents = [desired_user(f"p{n}", title="Coach" if n < updated else "Agent") for n in range(50)]
        world = world.wanting(*documents)
        assert world.verdict("update-share") is verdict
        first = BaseState(standing=Standing.FIRST_RUN, detail="--first-run says so")
        assert world.verdict("update-share", base=first) is PASS


@pytest.mark.parametrize(
    ("declared", "gone", "verdict"), [(20, 5, PASS), (20, 6, REFUSE), (70, 7, PASS), (70, 8, REFUSE)]
)
def test_missing_share_admits_five_or_ten_percent_of_what_git_declared(
    declared: int, gone: int, verdict: Verdict
) -> None:
    """Much of it not being there means that it is another tenant, or that somebody deletes things in it."""
    service = DirectoryService()
    documents = [desired_user(f"p{n}") for n in range(declared)]
    for n in range(gone, declared):
        service.add_user(f"u{n}", f"p{n}")
    world = World(service).wanting(*documents).remembering(desired_state(*documents))
    assert world.verdict("missing-share") is verdict
    assert world.verdict("missing-share", base=BaseState()) is PASS


@pytest.mark.parametrize(("staying", "verdict"), [(2, PASS), (1, REFUSE)])
def test_a_protected_group_keeps_two_active_members(staying: int, verdict: Verdict) -> None:
    """Guard `minimum-members`, by removal from the group and by deactivation alike."""
    service = DirectoryService()
    for n in range(4):
        service.add_user(f"u{n}", f"p{n}")
    service.add_group("g", "Admins", *service.users)
    world = World(service, tenant=tenant_for(guards=GuardSettings(protected=("group:admins",))))
    members = [{"user": f"p{n}"} for n in range(staying)]
    assert world.wanting(desired_group("Admins", members=members)).verdict("minimum-members") is verdict
    leaving = [desired_user(f"p{n}", active=False) for n in range(staying, 4)]
    assert world.wanting(*leaving).verdict("minimum-members") is verdict
    lower = replace(world, tenant=tenant_for(guards=GuardSettings(protected=("group:Admins",), minimum_members=1)))
    assert lower.wanting(*leaving).verdict("minimum-members") is PASS


def test_minimum_members_does_not_speak_of_a_group_that_never_had_so_many() -> None:
    """What is so already is no harm that the plan does; one less is."""
    service = DirectoryService()
    service.add_user("u0", "p0")
    service.add_group("g", "Admins", "u0")
    world = World(service, tenant=tenant_for(guards=GuardSettings(protected=("group:Admins",))))
    members = [{"user": "p0"}]
    assert world.wanting(desired_group("Admins", members=members)).verdict("minimum-members") is PASS
    assert world.wanting(desired_group("Admins", members=[])).verdict("minimum-members") is REFUSE


@pytest.mark.parametrize(
    ("account", "verdict"),
    [("robot", REFUSE), ("ROBOT", REFUSE), ("u1", REFUSE), ("hr-9", REFUSE), ("ann", PASS), (None, PASS)],
)
def test_self_lockout_protects_the_account_that_the_reconciler_signs_in_with(
    account: str | None, verdict: Verdict
) -> None:
    """By userName, id or externalId; without a name to sign in with there is nothing to compare."""
    service = DirectoryService()
    service.add_user("u1", "robot", externalId="hr-9")
    service.add_user("u2", "ann")
    world = World(service).wanting(desired_user("robot", externalId="hr-9", title="x"), desired_user("ann"))
    assert world.verdict("self-lockout", own_account=account) is verdict


@pytest.mark.parametrize(("before", "now", "verdict"), [(5, 5, PASS), (5, 6, REFUSE), (10, 1, REFUSE), (11, 0, PASS)])
def test_churn_admits_twice_a_removal_share_within_a_day(before: int, now: int, verdict: Verdict) -> None:
    """Many small runs do what one large run may not; a run that removes nobody is no part of it."""
    world = _staff(20, now)
    base = replace(BaseState(), recent_removals={Kind.USER: before})
    assert world.verdict("churn", base=base) is verdict


def test_time_budget_admits_what_the_estimate_says() -> None:
    """`--max-minutes`: a run that a pipeline kills half way leaves work for the next one; off where nothing is said."""
    world = replace(_staff(30, 5), tenant=tenant_for(limits=Limits(requests_per_minute=1)))
    minutes = world.guard("time-budget", max_minutes=1000).count
    assert minutes is not None
    assert minutes > 1
    assert world.verdict("time-budget", max_minutes=minutes) is PASS
    assert world.verdict("time-budget", max_minutes=minutes - 1) is REFUSE
    assert world.verdict("time-budget") is PASS


def test_a_kind_that_git_declared_before_is_not_given_up_as_a_whole() -> None:
    """Guard `empty-desired` with a base: a broken checkout must not read as `nobody works here any more`."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    service.add_group("g1", "Team")
    team = desired_group("Team")
    world = World(service).remembering(desired_state(desired_user("ann"), team))
    assert world.wanting(team).verdict("empty-desired") is REFUSE
    assert world.wanting(desired_user("ann")).verdict("empty-desired") is REFUSE
    assert world.wanting(desired_user("eve"), team).verdict("empty-desired") is PASS
    never = World(service).remembering(desired_state(team))
    assert never.wanting(team).verdict("empty-desired") is PASS


def test_an_external_id_lands_only_on_whom_git_knows_there() -> None:
    """Guard `identity-reuse` with a base: not on a stranger of that name, not on who was taken out of git."""
    service = DirectoryService()
    service.add_user("u1", "ann")
    with_id = desired_user("ann", externalId="hr-1")
    known = desired_state(desired_user("ann"))
    world = World(service).wanting(with_id)
    assert world.remembering(known).verdict("identity-reuse") is PASS
    assert world.remembering(desired_state()).verdict("identity-reuse") is REFUSE
    released = world.remembering(desired_state(), released={"u1": NOW})
    assert released.verdict("identity-reuse") is REFUSE


def test_a_name_that_git_knew_under_another_external_id_is_a_reused_one() -> None:
    """Guard `identity-reuse` with a base: the address of somebody who left passes to nobody else."""
    world = World(DirectoryService()).wanting(desired_user("jane", externalId="hr-2"))
    assert world.remembering(desired_state(desired_user("jane", externalId="hr-1"))).verdict("identity-reuse") is REFUSE
    assert world.remembering(desired_state(desired_user("jane", externalId="hr-2"))).verdict("identity-reuse") is PASS


@pytest.mark.parametrize(("before", "verdict"), [(False, PASS), (True, REFUSE)])
def test_a_reactivation_is_git_s_to_make_only_where_git_changed_its_mind(before: bool, verdict: Verdict) -> None:
    """Guard `drifted-reactivation` with a base: who was suspended in the tenant stays so until somebody asks."""
    service = DirectoryService()
    service.add_user("u1", "ann", active=False)
    world = World(service).wanting(desired_user("ann", active=True))
    assert (
        world.remembering(desired_state(desired_user("ann", active=before))).verdict("drifted-reactivation") is verdict
    )


def test_all_guards_that_trip_are_named_in_one_refusal() -> None:
    """Allowing exactly those lets the plan through (issue 2, judged 2)."""
    world = _staff(20, 12, protected=("p0", "group:Team"))
    world.service.add_group("g", "Team", *[f"u{n}" for n in range(12)])
    new = desired_user("new", groups=["Team"], roles=[{"value": "Agent"}])
    world = replace(world, desired=replace(world.desired, users=(*world.desired.users, new)))
    plan = world.plan()
    tripped = {guard.id for guard in plan.refused_by}
    assert tripped == {"removal-share", "access-loss", "privileged-gain", "protected", "minimum-members"}
    assert GuardRefused(plan.refused_by).message.count(",") == 4
    assert [guard.id for guard in plan.guards] == list(GUARDS)
    assert not world.plan(allowed=dict.fromkeys(tripped)).refused_by
    assert {guard.id for guard in world.plan(allowed={"protected": None}).refused_by} == tripped - {"protected"}


def test_an_unprotected_tenant_gets_a_finding_on_every_plan() -> None:
    """SPEC section 8, last sentence."""
    assert "no-protected" in {finding.code for finding in World(DirectoryService()).plan().findings}
    assert "no-protected" not in {finding.code for finding in _admins().plan().findings}
