"""What git granted, git takes back: base, desired and live make one plan (SPEC P13, sections 3 and 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.change import Action, Change, Reason
from reconciler.model.dialect import Profile
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Verdict
from reconciler.model.resource import ENTERPRISE_SCHEMA, DesiredGroup, DesiredUser
from reconciler.model.state import BaseState, Standing
from reconciler.model.tenant import GroupRemoval, Owned, Ownership, People, Removal, UserRemoval
from reconciler.semantics.canonical import MANAGER_PATH
from tests.fakes.directory_service import DirectoryService, Fault
from tests.states import World, applied, desired_group, desired_state, desired_user, tenant_for

AGENT, LEAD = {"value": "Agent"}, {"value": "Lead"}
Document = DesiredUser | DesiredGroup


def _world(*before: Document, now: tuple[Document, ...], service: DirectoryService, **tenant: Any) -> World:
    world = World(service, tenant=tenant_for(**tenant)) if tenant else World(service)
    return world.wanting(*now).remembering(desired_state(*before))


def _only(world: World) -> Change:
    (change,) = world.plan().changes
    return change


def _ann(**attributes: Any) -> DirectoryService:
    service = DirectoryService()
    service.add_user("u1", "ann", externalId="1", **attributes)
    return service


def test_a_user_whom_git_does_not_declare_any_more_is_deactivated() -> None:
    """SPEC section 4, `removal`: deactivate is the default."""
    world = _world(desired_user("ann", externalId="1"), now=(), service=_ann())
    change = _only(world)
    assert (change.action, change.reason) == (Action.DEACTIVATE, Reason.REMOVED)
    assert applied(world.run())
    assert world.service.users["u1"]["active"] is False
    assert world.plan().changes == ()


def test_a_user_whom_git_never_declared_stays() -> None:
    """SPEC P9."""
    service = _ann()
    service.add_user("u2", "bob")
    world = _world(desired_user("ann", externalId="1"), now=(desired_user("ann", externalId="1"),), service=service)
    assert world.plan().changes == ()


@pytest.mark.parametrize(
    ("removal", "action"),
    [
        (UserRemoval.DEACTIVATE, Action.DEACTIVATE),
        (UserRemoval.DELETE, Action.DELETE),
        (UserRemoval.KEEP, Action.UPDATE),
    ],
)
def test_what_removal_says_happens_to_people_who_left(removal: UserRemoval, action: Action) -> None:
    """`keep` leaves the person, and takes back the roles that git gave."""
    service = _ann(roles=[AGENT, LEAD])
    world = _world(
        desired_user("ann", externalId="1", roles=[AGENT]),
        now=(),
        service=service,
        removal=Removal(users=removal),
    )
    change = _only(world)
    assert (change.action, change.reason) == (action, Reason.REMOVED)
    assert applied(world.run())
    if removal is UserRemoval.DELETE:
        assert "u1" not in service.users
    else:
        assert service.users["u1"]["roles"] == [LEAD]


def test_a_deactivation_does_not_hinge_on_taking_roles_back() -> None:
    """A service that refuses to clear roles has cut access by then."""
    service = _ann(roles=[AGENT])
    service.faults = {2: Fault(refuse=(400, "invalidValue"))}
    world = _world(desired_user("ann", externalId="1", roles=[AGENT]), now=(), service=service)
    run = world.run()
    assert run.outcomes == {"User/ann": Outcome.FAILED}
    assert service.users["u1"]["active"] is False


def test_memberships_go_with_the_person_whatever_removal_says() -> None:
    """SPEC section 3, Membership, last rule."""
    service = _ann()
    service.add_user("u2", "bob")
    service.add_group("g1", "Team", "u1", "u2")
    world = _world(
        desired_user("ann", externalId="1", groups=["Team"]),
        now=(),
        service=service,
        removal=Removal(users=UserRemoval.KEEP),
    )
    change = _only(world)
    assert (str(change.key), change.members.removed) == ("Group/Team", ("ann",))
    assert applied(world.run())
    assert service.groups["g1"]["members"] == ["u2"]


def test_members_that_git_withdraws_leave_an_additive_group_and_others_stay() -> None:
    """Only what base stated is taken back; what somebody else put there is not git's."""
    service = _ann()
    service.add_user("u2", "bob")
    service.add_user("u3", "cid")
    service.add_group("g1", "Team", "u1", "u2", "u3")
    team: dict[str, Any] = {"membership": "additive"}
    world = _world(
        desired_group("Team", members=[{"user": "ann"}, {"user": "bob"}], **team),
        now=(desired_group("Team", members=[{"user": "bob"}], **team),),
        service=service,
    )
    assert _only(world).members.removed == ("ann",)
    assert applied(world.run())
    assert service.groups["g1"]["members"] == ["u2", "u3"]


def test_a_group_that_git_gives_up_loses_the_members_that_git_stated() -> None:
    """`removal.groups: keep` keeps the group, not the access."""
    service = _ann()
    service.add_user("u2", "bob")
    service.add_group("g1", "Team", "u1", "u2")
    world = _world(desired_group("Team", members=[{"user": "ann"}]), now=(), service=service)
    assert _only(world).members.removed == ("ann",)


def test_a_group_handed_over_keeps_its_members() -> None:
    """SPEC section 3: to hand a group over, list it under `ownership.unmanaged`."""
    service = _ann()
    service.add_group("g1", "Team", "u1")
    world = _world(
        desired_group("Team", members=[{"user": "ann"}]),
        now=(),
        service=service,
        ownership=Ownership(unmanaged=("group:Team",)),
    )
    assert world.plan().changes == ()


def test_a_group_is_deleted_only_where_the_tenant_says_so() -> None:
    """SPEC section 4: groups are kept by default."""
    service = _ann()
    service.add_group("g1", "Team", "u1")
    world = _world(
        desired_group("Team", members=[{"user": "ann"}]),
        now=(),
        service=service,
        removal=Removal(groups=GroupRemoval.DELETE),
    )
    change = _only(world)
    assert (change.action, change.reason, change.reversible) == (Action.DELETE, Reason.REMOVED, False)
    assert [(loss.user, loss.group) for loss in world.plan().access.losses] == [("ann", "Team")]
    assert applied(world.run())
    assert not service.groups


def test_withdrawn_roles_are_taken_back_and_others_stay() -> None:
    """Only the values that base stated."""
    service = _ann(roles=[AGENT, LEAD])
    world = _world(
        desired_user("ann", externalId="1", roles=[AGENT]), now=(desired_user("ann", externalId="1"),), service=service
    )
    (attribute,) = _only(world).attributes
    assert (attribute.path, attribute.after) == ("roles", [LEAD])


@pytest.mark.parametrize("value", ["Chief", None])
def test_a_withdrawn_attribute_is_cleared_where_it_still_holds_what_git_wrote(value: str | None) -> None:
    """What somebody else wrote there since is not git's to clear."""
    service = _ann(title=value or "Agent")
    now = (desired_user("ann", externalId="1"),)
    world = _world(desired_user("ann", externalId="1", title="Agent"), now=now, service=service)
    assert len(world.plan().changes) == (0 if value else 1)


def test_what_a_person_needs_is_given_up_and_not_cleared() -> None:
    """SPEC section 3: `active`, `externalId`, required attributes and `emails` become unmanaged with a warning."""
    service = _ann(emails=[{"value": "ann@x"}], active=False, name={"givenName": "Ann"})
    before = desired_user("ann", externalId="1", emails=[{"value": "ann@x"}], active=False, name={"givenName": "Ann"})
    world = _world(before, now=(desired_user("ann"),), service=service, profile=Profile.CXONE)
    plan = world.plan()
    assert plan.changes == ()
    kept = sorted(finding.message.split()[0] for finding in plan.findings if finding.code == "given-up")
    assert kept == ["active", "emails", "externalId", "name.givenName"]


def test_people_of_somebody_else_only_lose_access() -> None:
    """`people: external`: everything but access becomes unmanaged, and nobody is deactivated."""
    service = _ann(roles=[AGENT], title="Agent")
    world = _world(desired_user("ann", externalId="1", roles=[AGENT]), now=(), service=service, people=People.EXTERNAL)
    change = _only(world)
    assert change.action is Action.UPDATE
    assert [a.path for a in change.attributes] == ["roles"]


def test_a_withdrawn_manager_is_cleared() -> None:
    """References compare by id."""
    service = _ann(**{ENTERPRISE_SCHEMA: {"manager": {"value": "u2"}}})
    service.add_user("u2", "boss", externalId="2")
    boss = desired_user("boss", externalId="2")
    managed: dict[str, Any] = {ENTERPRISE_SCHEMA: {"manager": {"userName": "boss"}}}
    before = desired_user("ann", externalId="1", **managed)
    world = _world(before, boss, now=(desired_user("ann", externalId="1"), boss), service=service)
    (attribute,) = _only(world).attributes
    assert (attribute.path, attribute.before, attribute.after) == (MANAGER_PATH, "boss", None)


@pytest.mark.parametrize(
    ("before", "now", "live", "reason"),
    [
        ("a", "b", "a", Reason.DECLARED),
        ("a", "a", "z", Reason.DRIFTED),
        ("a", "b", "z", Reason.BOTH),
        (None, "b", "z", Reason.DECLARED),
    ],
)
def test_every_change_says_who_changed_what(before: str | None, now: str, live: str, reason: Reason) -> None:
    """SPEC section 6."""
    stated: dict[str, Any] = {} if before is None else {"title": before}
    world = _world(
        desired_user("ann", externalId="1", **stated),
        now=(desired_user("ann", externalId="1", title=now),),
        service=_ann(title=live),
    )
    assert _only(world).reason is reason


def test_a_member_who_was_taken_out_in_the_tenant_is_drift() -> None:
    """Git stated it all the while."""
    service = _ann()
    service.add_group("g1", "Team")
    team = desired_group("Team", members=[{"user": "ann"}])
    assert _only(_world(team, now=(team,), service=service)).reason is Reason.DRIFTED


def test_a_stranger_in_an_authoritative_group_is_drift() -> None:
    """Somebody put the member there."""
    service = _ann()
    service.add_user("u2", "eve")
    service.add_group("g1", "Team", "u1", "u2")
    team = desired_group("Team", members=[{"user": "ann"}])
    change = _only(_world(team, now=(team,), service=service))
    assert (change.reason, change.members.removed) == (Reason.DRIFTED, ("eve",))


def test_what_is_gone_from_the_tenant_is_made_again_as_missing() -> None:
    """SPEC section 6: base declared it, live no longer has it."""
    world = _world(desired_user("ann", externalId="1"), now=(desired_user("ann", externalId="1"),), service=_ann())
    del world.service.users["u1"]
    change = _only(world)
    assert (change.action, change.reason) == (Action.CREATE, Reason.MISSING)


def test_an_attempt_that_failed_elsewhere_is_remembered() -> None:
    """Issue 4, judged 1: granted by a run that failed elsewhere, revoked when git reverts it."""
    service = _ann()
    service.add_group("g1", "Team", "u1")
    empty = desired_group("Team", membership="additive", members=[])
    granted = desired_group("Team", membership="additive", members=[{"user": "ann"}])
    world = World(service).wanting(empty).remembering(desired_state(empty), desired_state(granted))
    assert _only(world).members.removed == ("ann",)


def test_what_a_partial_run_has_settled_is_not_remembered_longer() -> None:
    """The revocation was proven; who is there now was put there by somebody else."""
    service = _ann()
    service.add_group("g1", "Team", "u1")
    empty = desired_group("Team", membership="additive", members=[])
    granted = desired_group("Team", membership="additive", members=[{"user": "ann"}])
    states = (desired_state(granted), desired_state(empty))
    world = World(service).wanting(empty).remembering(*states, proven={"g1": 1})
    assert world.plan().changes == ()


def test_a_person_who_comes_back_is_reactivated() -> None:
    """The same id instead of a create that ends in a 409; no guard is in the way, for git meant it."""
    world = World(_ann(active=False)).wanting(desired_user("ann", externalId="1"))
    world = world.remembering(desired_state(), released={"u1": "2026-05-01T00:00:00Z"})
    change = _only(world)
    assert (change.action, change.id) == (Action.REACTIVATE, "u1")
    assert world.verdict("drifted-reactivation") is Verdict.PASS


def test_a_revert_after_a_half_finished_run_brings_the_person_back() -> None:
    """The attempt that took the person out may have deactivated them."""
    ann = desired_user("ann", externalId="1")
    world = World(_ann(active=False)).wanting(ann).remembering(desired_state(ann), desired_state())
    assert _only(world).action is Action.REACTIVATE


def test_somebody_suspended_in_the_tenant_stays_suspended() -> None:
    """Guard `drifted-reactivation`: git's side did not change."""
    ann = desired_user("ann", externalId="1", active=True)
    world = World(_ann(active=False)).wanting(ann).remembering(desired_state(ann))
    assert _only(world).reason is Reason.DRIFTED
    assert world.verdict("drifted-reactivation") is Verdict.REFUSE


def test_a_rename_half_way_does_not_hide_what_the_old_name_was_given() -> None:
    """The document of the old name is the document of the new one (`previously`)."""
    service = DirectoryService()
    service.add_user("u1", "anna")  # renamed by the attempt, which then failed to take the membership back
    service.add_group("g1", "Team", "u1")
    before = (desired_user("ann"), desired_group("Team", membership="additive", members=[{"user": "ann"}]))
    now = (desired_user("anna", previously="ann"), desired_group("Team", membership="additive", members=[]))
    world = World(service).wanting(*now).remembering(desired_state(*before), desired_state(*now))
    assert _only(world).members.removed == ("anna",)


def test_a_new_person_under_an_old_name_is_not_the_old_person() -> None:
    """INCIDENTS, recycled address: the ledger knows people by id."""
    service = DirectoryService()
    service.add_user("u2", "ann")
    world = World(service).wanting().remembering(desired_state(desired_user("ann")), known=frozenset({"u1"}))
    assert world.plan().changes == ()


def test_ownership_of_everything_removes_strangers_but_never_without_a_base() -> None:
    """SPEC sections 4 and 6."""
    service = _ann()
    service.add_user("u2", "svc-phone")
    service.add_user("u3", "eve")
    owned = tenant_for(ownership=Ownership(users=Owned.ALL, unmanaged=("svc-*",)))
    ann = desired_user("ann", externalId="1")
    world = World(service, tenant=owned).wanting(ann)
    assert world.plan().changes == ()
    change = _only(world.remembering(desired_state(ann)))
    assert (str(change.key), change.action) == ("User/eve", Action.DEACTIVATE)


@pytest.mark.parametrize(("since", "action"), [("2026-04-30T00:00:00Z", None), ("2026-04-01T00:00:00Z", Action.DELETE)])
def test_a_deletion_waits_for_its_days(since: str, action: Action | None) -> None:
    """`removal: {users: delete, deleteAfter: 30d}`: shown as pending in every plan until then."""
    removal = Removal(users=UserRemoval.DELETE, delete_after_days=30)
    world = World(_ann(active=False), tenant=tenant_for(removal=removal)).wanting()
    plan = world.remembering(desired_state(), released={"u1": since}).plan()
    assert [change.action for change in plan.changes] == ([] if action is None else [action])
    assert ("deletion-pending" in {finding.code for finding in plan.findings}) is (action is None)


def test_a_reactivated_account_is_not_deleted() -> None:
    """Somebody uses it."""
    removal = Removal(users=UserRemoval.DELETE, delete_after_days=30)
    world = World(_ann(active=True), tenant=tenant_for(removal=removal)).wanting()
    plan = world.remembering(desired_state(), released={"u1": "2026-01-01T00:00:00Z"}).plan()
    assert plan.changes == ()
    assert "deletion-cancelled" in {finding.code for finding in plan.findings}


def test_an_unusable_base_refuses_and_is_the_first_thing_said() -> None:
    """SPEC section 6."""
    unusable = BaseState(standing=Standing.UNUSABLE, detail="the ledger was rewound")
    world = replace(World(_ann()), base=unusable).wanting(desired_user("ann", title="x"))
    verdict = world.guard("no-base")
    assert (verdict.verdict, verdict.detail) == (Verdict.REFUSE, "the ledger was rewound")
    assert world.verdict("no-base", allowed={"no-base": None}) is Verdict.REFUSE
