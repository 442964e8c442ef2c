"""Two states compared without asking a tenant, and what a tenant did on its own, by the one planner there is. Pure.

`compare_states` takes an earlier desired state for the live one: what a change in git means. `as_drift` turns a plan
that would undo what somebody did in a tenant into what they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace

from reconciler.model.change import (
    Action,
    AttributeChange,
    Change,
    MembershipChange,
    Precondition,
    PreconditionKind,
    Reason,
)
from reconciler.model.diagnostic import Source
from reconciler.model.plan import Access, Capabilities, DesiredRevision, Finding, Inventory, Plan, Summary
from reconciler.model.resource import (
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveConfiguration,
    LiveGroup,
    LiveUser,
    Membership,
    Reference,
    ResourceKey,
    pack,
    unpack,
)
from reconciler.model.state import BaseState, Certificate, DesiredState, LiveState, Override, Standing
from reconciler.model.tenant import Owned, People, Tenant
from reconciler.planner.differences import differences
from reconciler.planner.history import identity_of
from reconciler.planner.matching import Match
from reconciler.planner.membership import stated_members
from reconciler.planner.planner import PlanInputs, build_plan
from reconciler.planner.references import build_directory
from reconciler.planner.strictness import stricter_state, stricter_tenant
from reconciler.semantics.canonical import MANAGER_PATH, fold, set_at

_COMPLETE = {kind: Certificate(count=0, complete=True) for kind in (Kind.USER, Kind.GROUP)}
_VERSION = "git"
"""What is in git is read as a whole: no resource changes while the other is looked at."""

_ABOUT_A_SERVICE = frozenset({"members-unseen"})
"""Findings that say how a service answered, where none was asked."""

CHANGES_IN_WORDS = frozenset({"tenant", "authoritative", "given-up"})
"""Findings that tell of a change in git which changes no resource by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What git says about one tenant at one commit, or in the working tree."""

    tenant: Tenant
    state: DesiredState = field(default_factory=DesiredState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a plan is told about itself: where it comes from and when. `base` is the commit compared with."""

    base: str
    revision: DesiredRevision = field(default_factory=DesiredRevision)
    tool: str = ""
    created_at: str = ""


def compare_states(head: Side | None, base: Side | None, told: Told) -> Plan:
    """What a change in git means for one tenant: the plan for a tenant that is exactly as git said before.

    Names that git speaks of and does not declare are taken to be there. At least one side is there.

    Raises:
        AmbiguousMatch: it is not clear which earlier document a document means.
        DesiredStateError: a reference means more than one.

    """
    if head is None:
        if base is None:
            raise ValueError("there is nothing to compare")
        return _given_up(base, told)
    before = base or Side(tenant=head.tenant)
    judged = stricter_tenant(head.tenant, before.tenant)
    # Who is there besides is not known, so nobody can be said to be claimed; and values are compared as git wrote them.
    declared = replace(judged.ownership, users=Owned.DECLARED, groups=Owned.DECLARED)
    plan = build_plan(
        PlanInputs(
            tenant=replace(judged, ownership=declared, equivalences={}),
            desired=stricter_state(head.state, before.state.exclusives),
            live=as_live(before.state, phantoms(before.state, head.state, head.tenant.people)),
            capabilities=Capabilities(),
            revision=told.revision,
            base=_base(before.state, told.base),
            tool=told.tool,
            created_at=told.created_at,
        )
    )
    about = (
        _new_tenant()
        if base is None
        else [*_settings(head.tenant, base.tenant), *_rules(head.state, base.state), *_configuration(head, base)]
    )
    kept = [finding for finding in plan.findings if finding.code not in _ABOUT_A_SERVICE]
    return replace(plan, findings=(*about, *_authoritative(head.state, before.state), *kept))


def _base(state: DesiredState, commit: str) -> BaseState:
    documents: list[DesiredUser | DesiredGroup] = [*state.users, *state.groups]
    known = frozenset(str(document.key) for document in documents)
    return BaseState(standing=Standing.USABLE, detail="", commit=commit, states=(state,), known=known)


def as_live(state: DesiredState, others: Iterable[LiveUser | LiveGroup] = ()) -> LiveState:
    """A tenant that is exactly as git says, and has `others` as well; the id of what git declares is its key.

    A user of whom git does not say whether they are active is.
    """
    users: dict[str, LiveUser] = {str(document.key): _user(document) for document in state.users}
    groups: dict[str, LiveGroup] = {str(document.key): _group(document) for document in state.groups}
    matched_users: list[Match[DesiredUser, LiveUser]] = [Match(user, users[str(user.key)]) for user in state.users]
    matched_groups: list[Match[DesiredGroup, LiveGroup]] = [
        Match(group, groups[str(group.key)]) for group in state.groups
    ]
    for other in others:
        if isinstance(other, LiveUser):
            users[other.id] = other
        else:
            groups[other.id] = other
    directory = build_directory(matched_users, matched_groups, users, groups)
    for group, members in stated_members(matched_users, matched_groups, directory).items():
        groups[group] = replace(groups[group], members=tuple(sorted(members)))
    for user in state.users:
        targets = directory.resolve(user.manager) if user.manager is not None else ()
        if len(targets) == 1 and isinstance(targets[0], str):
            users[str(user.key)] = _managed_by(users[str(user.key)], targets[0])
    configuration = pack({}) if state.configuration is None else state.configuration.body
    return LiveState(
        users=users,
        groups=groups,
        configuration=LiveConfiguration(body=configuration, version=_VERSION),
        certificates=_COMPLETE,
    )


def phantoms(before: DesiredState, after: DesiredState, people: People) -> Iterator[LiveUser | LiveGroup]:
    """Whom git speaks of and does not declare: they have to be in the tenant, so they are said to be there.

    Where people come from elsewhere, those whom only `after` declares are there already.
    """
    known: set[tuple[Kind | None, str]] = set()
    for state in (before, after):
        known.update(_names(state))
        for reference in _references(state):
            name = (reference.kind, fold(reference.name)) if reference.name is not None else _external(reference)
            if name not in known:
                known.add(name)
                yield _present(reference.kind or Kind.USER, str(reference), reference.external_id)
    if people is People.EXTERNAL:
        there = {identity_of(user) for user in before.users}
        for user in after.users:
            if identity_of(user) not in there and (Kind.USER, fold(user.user_name)) not in _names(before):
                yield _present(Kind.USER, user.user_name, user.external_id)


def _names(state: DesiredState) -> set[tuple[Kind | None, str]]:
    documents: list[DesiredUser | DesiredGroup] = [*state.users, *state.groups]
    names: set[tuple[Kind | None, str]] = {(document.key.kind, fold(document.key.name)) for document in documents}
    return names | {(None, document.external_id) for document in documents if document.external_id is not None}


def _external(reference: Reference) -> tuple[None, str]:
    return None, reference.external_id or ""


def _references(state: DesiredState) -> Iterator[Reference]:
    for user in state.users:
        yield from (Reference(Kind.GROUP, name) for name in user.groups)
        if user.manager is not None:
            yield user.manager
    for group in state.groups:
        yield from group.members or ()


def _user(document: DesiredUser) -> LiveUser:
    active = document.active is not False
    return LiveUser(
        id=str(document.key),
        user_name=document.user_name,
        external_id=document.external_id,
        active=active,
        version=_VERSION,
        body=pack({**unpack(document.body), "active": active}),
    )


def _group(document: DesiredGroup) -> LiveGroup:
    return LiveGroup(
        id=str(document.key),
        display_name=document.display_name,
        external_id=document.external_id,
        version=_VERSION,
        body=document.body,
        members=(),
    )


def _present(kind: Kind, name: str, external_id: str | None) -> LiveUser | LiveGroup:
    """A resource of which nothing is known but what git calls it."""
    identifier = str(ResourceKey(kind, name))
    named = {"externalId": external_id} if external_id is not None else {}
    if kind is Kind.GROUP:
        return LiveGroup(
            id=identifier,
            display_name=name,
            external_id=external_id,
            version=_VERSION,
            body=pack({"displayName": name, **named}),
            members=(),
        )
    return LiveUser(
        id=identifier,
        user_name=name,
        external_id=external_id,
        active=None,
        version=_VERSION,
        body=pack({"userName": name, **named}),
    )


def _managed_by(user: LiveUser, manager: str) -> LiveUser:
    body = unpack(user.body)
    set_at(body, MANAGER_PATH, {"value": manager})
    return replace(user, body=pack(body))


def _new_tenant() -> list[Finding]:
    message = "git did not have this tenant before: everything that it declares is new, or is in the tenant already"
    return [Finding(code="tenant", message=message)]


def _given_up(base: Side, told: Told) -> Plan:
    """The plan for a tenant that git does not have any more: there is nothing to do, and nobody will do anything."""
    users, groups = len(base.state.users), len(base.state.groups)
    message = (
        f"git does not have this tenant any more: nothing is done there. Its {users} users and {groups} groups keep "
        "everything they have and are unmanaged"
    )
    return Plan(
        tool=told.tool,
        tenant=base.tenant.name,
        target=base.tenant.target,
        created_at=told.created_at,
        desired=replace(told.revision, base=told.base),
        inventory=Inventory(users=users, groups=groups, requests=0, complete=True),
        capabilities=Capabilities(),
        summary=Summary(unmanaged=users + groups),
        changes=(),
        findings=(Finding(code="tenant", message=message),),
    )


def _settings(head: Tenant, base: Tenant) -> Iterator[Finding]:
    """What changes in tenant.yaml: no resource, but what judges and reaches them all."""
    if head.name != base.name:
        message = f"the tenant was called {base.name} before; its service is the same"
        yield Finding(code="tenant", message=message)
    changed = [
        "scim" if item.name == "endpoints" else item.name
        for item in fields(Tenant)
        if item.name not in {"name", "source"} and getattr(head, item.name) != getattr(base, item.name)
    ]
    if changed:
        message = f"tenant.yaml changes: {', '.join(sorted(changed))}. Guards judge by the stricter of both sides here"
        yield Finding(code="tenant", message=message)


def _rules(head: DesiredState, base: DesiredState) -> Iterator[Finding]:
    """What changes in documents that judge plans, and change no resource themselves."""
    for kind, now, before in (
        ("Policy", frozenset(head.exclusives), frozenset(base.exclusives)),
        ("Override", frozenset(map(_unplaced, head.overrides)), frozenset(map(_unplaced, base.overrides))),
    ):
        if now != before:
            told = f"{len(now - before)} new or changed, {len(before - now)} gone or changed"
            yield Finding(code="tenant", message=f"{kind} documents change what judges plans: {told}")


def _unplaced(override: Override) -> Override:
    return replace(override, source=Source("", 0))


def _configuration(head: Side, base: Side) -> Iterator[Finding]:
    if base.state.configuration is not None and head.state.configuration is None:
        message = "it is not declared any more; it keeps what it says and is unmanaged from now on"
        yield Finding(code="given-up", message=message, key=Kind.SERVICE_PROVIDER_CONFIG.value)


def _authoritative(head: DesiredState, base: DesiredState) -> list[Finding]:
    """Groups that begin to say who is in them: only the tenant knows who else leaves."""
    before = {identity_of(group) for group in base.groups if _says_who_is_in_it(group)}
    message = (
        "it lists all its members from now on: whoever else is in it in the tenant leaves, as only `plan` can tell"
    )
    return [
        Finding(code="authoritative", message=message, key=str(group.key))
        for group in head.groups
        if _says_who_is_in_it(group) and identity_of(group) not in before
    ]


def _says_who_is_in_it(group: DesiredGroup) -> bool:
    return group.membership is Membership.AUTHORITATIVE and group.members is not None


_UNDONE = {
    Action.CREATE: Action.DELETE,
    Action.DELETE: Action.CREATE,
    Action.DEACTIVATE: Action.REACTIVATE,
    Action.REACTIVATE: Action.DEACTIVATE,
    Action.UPDATE: Action.UPDATE,
}


def as_drift(plan: Plan, inputs: PlanInputs) -> Plan:
    """What somebody did in a tenant, of a plan that would undo it; `before` is what git says, `after` what is there.

    Whom git took out earlier and who is active again is told as well. What an incomplete list does not show is not said
    to be gone (SPEC P4). No guard judges it: it was done already.
    """
    live = inputs.live
    unseen = [change for change in plan.changes if _may_be_there(change, live)]
    back = [live.users[id_] for id_ in sorted(inputs.base.released) if id_ in live.users]
    returned = [_returned(user) for user in back if user.active is not False]
    found = [finding for finding in plan.findings if finding.code not in _ABOUT_WHAT_IS_TO_COME]
    summary = plan.summary
    return replace(
        plan,
        changes=(*returned, *(_undone(change) for change in plan.changes if change not in unseen)),
        access=Access(gains=plan.access.losses, losses=plan.access.gains),
        findings=(*(_unseen(change) for change in unseen), *found),
        summary=replace(
            summary,
            create=summary.delete,
            delete=summary.create - len(unseen),
            deactivate=summary.reactivate,
            reactivate=summary.deactivate + len(returned),
            unmanaged=summary.unmanaged - len(returned),
            memberships_added=summary.memberships_removed,
            memberships_removed=summary.memberships_added,
        ),
        guards=(),
        care=None,
    )


_ABOUT_WHAT_IS_TO_COME = frozenset({"no-protected", "adopted", "members-unseen"})
"""Findings for those who are to approve something."""

_NOTHING_IS_WRITTEN = Precondition(PreconditionKind.VERSION)


def _may_be_there(change: Change, live: LiveState) -> bool:
    missing = change.action is Action.CREATE and change.key not in live.proven_absent
    return missing and not live.certificate(change.key.kind).complete


def _unseen(change: Change) -> Finding:
    message = "the list was not read completely and does not show it: nobody knows whether it is still there"
    return Finding(code="unseen", message=message, key=str(change.key))


def _returned(user: LiveUser) -> Change:
    return Change(
        key=user.key,
        action=Action.REACTIVATE,
        reason=Reason.DRIFTED,
        source=None,
        anchor=user.anchor,
        id=user.id,
        precondition=_NOTHING_IS_WRITTEN,
        attributes=(AttributeChange("active", before=False, after=user.active),),
    )


def _undone(change: Change) -> Change:
    return replace(
        change,
        action=_UNDONE[change.action],
        reason=Reason.DRIFTED,
        precondition=_NOTHING_IS_WRITTEN,
        attributes=tuple(
            AttributeChange(item.path, item.after, item.before, differences(item.after, item.before))
            for item in change.attributes
        ),
        members=MembershipChange(added=change.members.removed, removed=change.members.added),
        reversible=True,
        digest="",
    )
