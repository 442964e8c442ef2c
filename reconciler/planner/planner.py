"""build_plan(PlanInputs) -> Plan: three states in, one plan out. No input, no output, no clock.

Without a usable base a plan is two-way: no user or group is removed, `active: false` deactivates, and the only reasons
are `declared` and `adopted`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.errors import DesiredStateError
from reconciler.messages.operations import label_of, sending_for, to_steps
from reconciler.model.change import Action, Change, MembershipChange
from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.model.plan import (
    Capabilities,
    Care,
    DesiredRevision,
    Finding,
    Inventory,
    Plan,
    Selection,
    Summary,
    Verdict,
)
from reconciler.model.resource import (
    ConfigurationMode,
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveGroup,
    LiveUser,
    ResourceKey,
)
from reconciler.model.state import BaseState, DesiredState, LiveState, Override, Standing
from reconciler.model.tenant import People, Tenant
from reconciler.planner.access import build_access_graph, diff_access
from reconciler.planner.binding import bind_labels
from reconciler.planner.diff import (
    NOTHING_BEFORE,
    Before,
    Drafted,
    diff_group,
    diff_service_configuration,
    diff_user,
    membership_only,
)
from reconciler.planner.estimate import EstimateInputs, estimate_requests
from reconciler.planner.findings import alike_findings, standing_findings
from reconciler.planner.guarding import GuardInputs, holdings_of
from reconciler.planner.guards import check_guards, policy_violators
from reconciler.planner.history import History, Laid, combined, identity_of, membership_reasons, recall
from reconciler.planner.matching import Match, index_live, match_all
from reconciler.planner.membership import Delta, Unresolved, diff_memberships
from reconciler.planner.overriding import apply_overrides
from reconciler.planner.pending import (
    NOBODY_EXPECTED,
    as_the_tenant_calls_them,
    divergence_findings,
    expected_people,
    in_short,
    pending_findings,
)
from reconciler.planner.references import Directory, Target, build_directory
from reconciler.planner.removal import Removing, remove_orphans
from reconciler.planner.rules import Rules
from reconciler.planner.seats import seats_needed
from reconciler.planner.selection import revocations, split_safe, without
from reconciler.semantics.digest import change_digest, plan_digest
from reconciler.semantics.nearest import Nearest

_UNKNOWN = {Kind.USER: "V505", Kind.GROUP: "V506", None: "V507"}
_AMBIGUOUS = "V508"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """Everything a plan depends on.

    `allowed` maps a guard to the number that `--allow` admits, None for any. `overrides` are those that count, which is
    not for the desired state alone to say; `findings` are what was found out before planning. `created_at` is an RFC
    3339 UTC timestamp. `own_account` is how the reconciler signs in, where that is a name.
    """

    tenant: Tenant
    desired: DesiredState
    live: LiveState
    capabilities: Capabilities
    revision: DesiredRevision = field(default_factory=DesiredRevision)
    base: BaseState = field(default_factory=BaseState)
    allowed: Mapping[str, int | None] = field(default_factory=dict)
    overrides: Sequence[Override] = ()
    selection: Selection = Selection.ALL
    stand_ins: frozenset[ResourceKey] = frozenset()
    findings: Sequence[Finding] = ()
    own_account: str | None = None
    max_minutes: int | None = None
    tool: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """Changes without digests and order, and what was learned while finding them."""

    changes: Sequence[Change]
    findings: Sequence[Finding] = ()
    managed: Mapping[Kind, int]
    directory: Directory
    history: History = field(default_factory=History)
    unchanged: int = 0
    unmanaged: int = 0
    declared: Mapping[Kind, int] = field(default_factory=dict)
    leaving: Sequence[str] = ()
    care: Care | None = None


def build_plan(inputs: PlanInputs) -> Plan:
    """The plan that makes live equal to desired for all that is managed.

    Raises:
        AmbiguousMatch: it is not clear which live resource a document means.
        DesiredStateError: a reference means nobody, neither in git nor live.

    """
    draft = _draft(inputs)
    return _part_of(inputs, draft, _selected(inputs, draft))


def build_part(inputs: PlanInputs, changes: Sequence[Change]) -> Plan:
    """The plan of exactly these changes, which are some of those that `build_plan` finds, or parts of them."""
    return _part_of(inputs, _draft(inputs), [replace(change, digest="") for change in changes])


def _part_of(inputs: PlanInputs, draft: _Draft, changes: Sequence[Change]) -> Plan:
    return _assemble(inputs, replace(draft, changes=changes, care=_without_the_rest(draft, changes)))


def _draft(inputs: PlanInputs) -> _Draft:
    """Everything that differs, and what git has a say about."""
    live, desired, tenant = inputs.live, inputs.desired, inputs.tenant
    index_users = index_live(live.users.values(), tenant.equivalences)
    index_groups = index_live(live.groups.values(), tenant.equivalences)
    users = match_all(desired.users, index_users)
    groups = match_all(desired.groups, index_groups)
    external = tenant.people is People.EXTERNAL
    expected = NOBODY_EXPECTED
    former: dict[str, str] = {}
    if external:
        expected = expected_people([match.desired for match in users if match.live is None])
        users, former = as_the_tenant_calls_them(users)
    directory = build_directory(users, groups, live.users, live.groups, former=former, pending=expected.documents)
    now = Laid(state=desired, users=users, groups=groups, directory=directory)
    history = recall(inputs.base, now, index_users, index_groups, tenant.people)
    deltas, unresolved = diff_memberships(
        users,
        groups,
        directory,
        expected=expected,
        waits="pending" not in inputs.allowed,
        ownership=tenant.ownership,
        complete=live.certificate(Kind.USER).complete and live.certificate(Kind.GROUP).complete,
        stated_before=history.members,
    )
    managers, strangers = ({}, []) if external else _resolve_managers(users, directory)
    revoking = inputs.selection is Selection.REVOKE  # what a name means that nothing is given to does not matter
    unknown = () if revoking else (*unresolved, *strangers)
    waiting = _check_references(unknown, directory, external=external)
    named = _named_people(groups, directory) if external else frozenset()
    findings = _membership_findings(deltas, directory)
    if external:
        findings += pending_findings(
            expected,
            ((unknown.reference, unknown.needed_by) for unknown in waiting),
            live.users.values(),
            complete=live.certificate(Kind.USER).complete,
        )
        findings += divergence_findings(former, _matched(users) | named, live.users)
    rules = Rules(tenant, inputs.capabilities)
    remarks = _Remarks()
    changes: list[Change] = []
    for user in users:
        before = _before(user, history, inputs.base)
        drafted = diff_user(user, managers.get(user.desired.key), directory, rules, before)
        changes += remarks.noted(user.desired.key, drafted)
    matched = {Kind.USER: _matched(users), Kind.GROUP: _matched(groups)}
    removed, released = remove_orphans(
        Removing(
            base=inputs.base,
            history=history,
            live=live,
            directory=directory,
            matched=matched[Kind.USER] | matched[Kind.GROUP],
            rules=rules,
            now=inputs.created_at,
        )
    )
    deleted = {change.id for change in removed if change.action is Action.DELETE}
    deltas = tuple(delta for delta in deltas if delta.group not in deleted)
    group_changes = [
        change
        for group in groups
        for change in remarks.noted(group.desired.key, diff_group(group, rules, _before(group, history, inputs.base)))
    ]
    changes += [*removed, *_with_memberships(group_changes, deltas, history, directory, rules)]
    configuration, asserted = _configuration_changes(inputs, rules)
    touched = {change.id for change in changes}
    ours = {
        Kind.USER: matched[Kind.USER] | history.users.keys(),
        Kind.GROUP: matched[Kind.GROUP] | history.groups.keys(),
    }
    return _Draft(
        changes=[*changes, *configuration],
        findings=[*findings, *alike_findings(groups, live.groups), *released, *asserted, *remarks.findings()],
        managed={Kind.USER: len(ours[Kind.USER] | named), Kind.GROUP: len(ours[Kind.GROUP])},
        leaving=[f"{directory.label(member)} of {delta.key.name}" for delta in deltas for member in delta.leaving],
        directory=directory,
        history=history,
        unchanged=sum(1 for ids in matched.values() for id_ in ids if id_ not in touched),
        unmanaged=sum(
            sum(1 for id_ in there if id_ not in matched[kind] and id_ not in touched)
            for kind, there in ((Kind.USER, live.users), (Kind.GROUP, live.groups))
        ),
        declared={Kind.USER: len(desired.users), Kind.GROUP: len(desired.groups)},
        care=Care(
            declared={kind: frozenset(ids) for kind, ids in matched.items()},
            former={
                Kind.USER: frozenset(history.users.keys() - matched[Kind.USER]),
                Kind.GROUP: frozenset((history.groups.keys() | history.members.keys()) - matched[Kind.GROUP]),
            },
            waiting=frozenset(delta.group for delta in deltas if delta.unreadable and isinstance(delta.group, str)),
            unplanned=_lost(history, desired, live),
        ),
    )


def _without_the_rest(draft: _Draft, selected: Sequence[Change]) -> Care | None:
    """What git has a say about, what was not selected being still to be done."""
    kept = {change.key: change for change in selected}
    rest = [change for change in draft.changes if kept.get(change.key) != change]
    if draft.care is None or not rest:
        return draft.care
    waiting = draft.care.waiting | {change.id for change in rest if change.id is not None}
    return replace(draft.care, waiting=waiting, unplanned=draft.care.unplanned + len(rest))


def _selected(inputs: PlanInputs, draft: _Draft) -> Sequence[Change]:
    """The part of the changes that was asked for."""
    match inputs.selection:
        case Selection.ALL:
            return draft.changes
        case Selection.REVOKE:
            return revocations([change for change in draft.changes if change.key not in inputs.stand_ins])
        case _:

            def violating(changes: Sequence[Change]) -> set[str]:
                return policy_violators(_guard_inputs(inputs, draft, changes))

            accepted = violating(draft.changes)
            parts = split_safe(draft.changes, lambda changes: violating(changes) - accepted)
            return parts.safe if inputs.selection is Selection.SAFE else parts.held


def _lost(history: History, desired: DesiredState, live: LiveState) -> int:
    """How many resources that git gave up an incomplete list does not show: they may be there all the same."""
    incomplete = {kind for kind in (Kind.USER, Kind.GROUP) if not live.certificate(kind).complete}
    doubtful = {identity for identity in history.unfound if identity[0] in incomplete}
    if not doubtful:
        return 0
    still = {identity_of(user) for user in desired.users} | {identity_of(group) for group in desired.groups}
    return len(doubtful - still)


@dataclass(frozen=True, slots=True)
class _Remarks:
    """What is to be said about attributes that are left as they are: they differ in case only, or git gave them up."""

    cosmetic: list[tuple[ResourceKey, str]] = field(default_factory=list)
    kept: list[tuple[ResourceKey, str]] = field(default_factory=list)

    def noted(self, key: ResourceKey, drafted: Drafted) -> list[Change]:
        """The change of a draft, if any; its remarks are taken down."""
        self.cosmetic.extend((key, path) for path in drafted.cosmetic)
        self.kept.extend((key, path) for path in drafted.kept)
        return [] if drafted.change is None else [drafted.change]

    def findings(self) -> list[Finding]:
        """The remarks as findings."""
        alike = "differs in case only; it is left as it is"
        given_up = "is not declared any more; it keeps its value and is unmanaged from now on"
        said = [("cosmetic", key, f"{path} {alike}") for key, path in sorted(self.cosmetic)]
        said += [("given-up", key, f"{path} {given_up}") for key, path in sorted(self.kept)]
        return [Finding(code=code, message=message, key=str(key)) for code, key, message in said]


def _before(
    match: Match[DesiredUser, LiveUser] | Match[DesiredGroup, LiveGroup], history: History, base: BaseState
) -> Before:
    if base.standing is not Standing.USABLE:
        return NOTHING_BEFORE
    if match.live is None:
        return Before(was_there=identity_of(match.desired) in history.gone)
    identifier = match.live.id
    returns = identifier in base.released or identifier in history.skipped
    return Before(pasts=history.of(identifier), was_there=True, returns=returns)


def rebuild_plan(inputs: PlanInputs, approved: Plan, changes: Sequence[Change]) -> Plan:
    """A plan of exactly these changes of an approved plan: order, access, guards and estimate are made anew.

    `inputs.desired` need only hold the policies.
    """
    known, live = approved.inventory, inputs.live
    directory = build_directory((), (), live.users, live.groups)
    nothing = Laid(state=DesiredState(), users=(), groups=(), directory=directory)
    equivalences = inputs.tenant.equivalences
    users = index_live(live.users.values(), equivalences)
    groups = index_live(live.groups.values(), equivalences)
    draft = _Draft(
        changes=changes,
        history=recall(inputs.base, nothing, users, groups, inputs.tenant.people),
        # A file cannot make more of them managed than there are, and so not widen what the shares of guards admit.
        managed={
            Kind.USER: min(known.managed_users, len(live.users)),
            Kind.GROUP: min(known.managed_groups, len(live.groups)),
        },
        directory=_known_by_new_names(directory, changes),
        # That git declares something of every kind was judged when the plan was made.
        declared={Kind.USER: 1, Kind.GROUP: 1},
        unchanged=approved.summary.unchanged,
        unmanaged=approved.summary.unmanaged,
        leaving=_leaving_again(approved, changes),
    )
    return _assemble(inputs, draft)


def _leaving_again(approved: Plan, changes: Iterable[Change]) -> list[str]:
    """Who leaves groups with pending names by a plan from a file; it does not tell whom of them git named before."""
    if not any(guard.id == "pending" and guard.verdict is not Verdict.PASS for guard in approved.guards):
        return []
    groups = {finding.key for finding in approved.findings if finding.code == "pending"}
    waiting = [change for change in changes if str(change.key) in groups]
    return [f"{label} of {change.key.name}" for change in waiting for label in change.members.removed]


def _matched(matches: Iterable[Match[DesiredUser, LiveUser]] | Iterable[Match[DesiredGroup, LiveGroup]]) -> set[str]:
    return {match.live.id for match in matches if match.live is not None}


def _resolve_managers(
    users: Sequence[Match[DesiredUser, LiveUser]], directory: Directory
) -> tuple[dict[ResourceKey, Target], list[Unresolved]]:
    managers: dict[ResourceKey, Target] = {}
    unresolved = []
    for user in users:
        reference = user.desired.manager
        if reference is None:
            continue
        targets = tuple(target for target in directory.resolve(reference) if not directory.is_group(target))
        if len(targets) == 1:
            managers[user.desired.key] = targets[0]
        else:
            unresolved.append(Unresolved(reference, user.desired.source, user.desired.key, targets))
    return managers, unresolved


def _named_people(groups: Sequence[Match[DesiredGroup, LiveGroup]], directory: Directory) -> frozenset[str]:
    """The live users whom groups in git name: where people come from elsewhere, their access is what git manages."""
    targets = (directory.resolve(member) for group in groups for member in group.desired.members or ())
    return frozenset(t for found in targets for t in found if isinstance(t, str) and t in directory.users)


def _check_references(unresolved: Sequence[Unresolved], directory: Directory, *, external: bool) -> list[Unresolved]:
    """The names that may still come (`people: external`).

    Raises:
        DesiredStateError: for every other reference that does not mean exactly one resource.

    """
    wrong: list[Unresolved] = []
    pending: list[Unresolved] = []
    for unknown in unresolved:
        may_come = external and not unknown.candidates and unknown.reference.kind is not Kind.GROUP
        (pending if may_come else wrong).append(unknown)
    if wrong:
        known = {kind: Nearest(directory.names(kind)) for kind in (Kind.USER, Kind.GROUP)}
        diagnostics = [_reference_diagnostic(unknown, known) for unknown in wrong]
        raise DesiredStateError(sorted(diagnostics, key=lambda d: d.sort_key))
    return pending


def _reference_diagnostic(unresolved: Unresolved, known: Mapping[Kind, Nearest]) -> Diagnostic:
    reference, needed_by = unresolved.reference, unresolved.needed_by
    if unresolved.candidates:
        listed = ", ".join(sorted(str(target) for target in unresolved.candidates))
        code, message = _AMBIGUOUS, f"{needed_by}: {reference} could mean any of {listed}"
        remedy = "name it by externalId"
    else:
        code, message = (
            _UNKNOWN[reference.kind],
            f"{needed_by}: {reference} is neither declared in git nor in the tenant",
        )
        close = known[reference.kind or Kind.USER].to(reference.name or "")
        remedy = f"did you mean {close}?" if close else "declare it, or remove the reference"
    return Diagnostic(
        code=code,
        severity=Severity.ERROR,
        message=message,
        file=unresolved.source.file,
        line=unresolved.source.line,
        column=1,
        help=remedy,
    )


def _with_memberships(
    drafted: Iterable[Change], deltas: Iterable[Delta], history: History, directory: Directory, rules: Rules
) -> list[Change]:
    """The changes of groups with what they gain and lose; a group of which only that changes has a change as well."""
    changes: dict[Target, Change] = {change.id or change.key: change for change in drafted}
    for delta in deltas:
        if not delta.added and not delta.removed:
            continue
        known = changes.get(delta.group)
        reasons = [] if known is None or not known.attributes else [known.reason]
        if isinstance(delta.group, str):
            reasons += membership_reasons(delta, history)
            known = known or membership_only(delta.key, directory.groups[delta.group], delta.source, rules)
            if history.of(delta.group):
                known = replace(known, reason=combined(reasons))
        if known is not None:
            changes[delta.group] = _with_members(known, delta, directory)
    return list(changes.values())


def _with_members(change: Change, delta: Delta, directory: Directory) -> Change:
    labels = {directory.label(target): directory.anchor(target) for target in (*delta.added, *delta.removed)}
    members = MembershipChange(
        added=tuple(directory.label(target) for target in delta.added),
        removed=tuple(directory.label(target) for target in delta.removed),
    )
    return replace(change, members=members, references=tuple(sorted({**dict(change.references), **labels}.items())))


def _configuration_changes(inputs: PlanInputs, rules: Rules) -> tuple[list[Change], list[Finding]]:
    desired, live = inputs.desired.configuration, inputs.live.configuration
    if desired is None:
        return [], []
    key = Kind.SERVICE_PROVIDER_CONFIG.value
    if live is None:
        return [], [Finding(code="configuration", message="the service has no ServiceProviderConfig to read", key=key)]
    change = diff_service_configuration(desired, live, rules)
    if change is None:
        return [], []
    if desired.mode is ConfigurationMode.APPLY:
        return [change], []
    return [], [
        Finding(
            code="configuration",
            message=f"{item.path} is {_as_json(item.before)}, git asserts {_as_json(item.after)}",
            key=key,
        )
        for item in change.attributes
    ]


def _as_json(value: object) -> str:
    """A value as the service and git would write it."""
    return "not there" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _membership_findings(deltas: Sequence[Delta], directory: Directory) -> list[Finding]:
    findings = []
    for delta in deltas:
        if surplus := delta.kept or delta.leaving:
            names = in_short([directory.label(target) for target in surplus])
            what = "stay while" if delta.kept else "go although"
            message = f"members that git does not name {what} names are pending ({in_short(delta.pending)}): {names}"
            findings.append(Finding(code="pending", message=message, key=str(delta.key)))
        if delta.unreadable:
            message = (
                "the service does not show who is in it: nobody is removed, members are added again in every run, and "
                "what they have through it counts for no guard"
            )
            findings.append(Finding(code="members-unreadable", message=message, key=str(delta.key)))
    return findings


def _assemble(inputs: PlanInputs, draft: _Draft) -> Plan:
    """Order, access, guards, estimate and digests for a set of changes."""
    tenant, live = inputs.tenant, inputs.live
    sending = sending_for(tenant, inputs.capabilities, live.groups.values())
    digested = [replace(c, digest=change_digest(c, tenant=tenant.name, target=tenant.target)) for c in draft.changes]
    steps = to_steps(digested, sending)
    changes = tuple({step.change.key: step.change for step in steps}.values())
    judged = _guard_inputs(inputs, draft, changes)
    estimate = replace(
        estimate_requests(
            EstimateInputs(
                changes=changes,
                targets=judged.targets,
                live=live,
                sending=sending,
                capabilities=inputs.capabilities,
                limits=tenant.limits,
            )
        ),
        seats=seats_needed(steps, live),
    )
    judged = replace(judged, minutes=math.ceil(estimate.seconds / 60), seats=estimate.seats)

    def without_those(digests: Collection[str]) -> GuardInputs:
        rest = without(changes, digests)
        seats = seats_needed(to_steps(rest, sending), live)
        return replace(_guard_inputs(inputs, draft, rest), minutes=judged.minutes, seats=seats)

    guards = apply_overrides(check_guards(judged, inputs.allowed), inputs.overrides, inputs.created_at, without_those)
    certificates = [live.certificate(kind) for kind in (Kind.USER, Kind.GROUP)]
    return Plan(
        tool=inputs.tool,
        tenant=tenant.name,
        target=tenant.target,
        created_at=inputs.created_at,
        desired=replace(inputs.revision, base=inputs.base.commit),
        inventory=Inventory(
            users=len(live.users),
            groups=len(live.groups),
            managed_users=draft.managed[Kind.USER],
            managed_groups=draft.managed[Kind.GROUP],
            requests=live.requests,
            complete=all(certificate.complete for certificate in certificates),
            reason="; ".join(c.reason for c in certificates if c.reason) or None,
        ),
        capabilities=inputs.capabilities,
        summary=_summary(changes, draft),
        changes=changes,
        access=judged.access,
        findings=(
            *inputs.findings,
            *draft.findings,
            *standing_findings(tenant, live, inputs.desired.exclusives, changes),
        ),
        guards=guards,
        estimate=estimate,
        digest=plan_digest((change.digest for change in changes), judged.access.gains),
        care=draft.care,
    )


def _guard_inputs(inputs: PlanInputs, draft: _Draft, changes: Sequence[Change]) -> GuardInputs:
    """What guards judge about these changes: the world before and after them."""
    live, directory = inputs.live, draft.directory
    targets = bind_labels(changes, live).targets
    graph = build_access_graph(changes, targets, live)
    return GuardInputs(
        tenant=inputs.tenant,
        changes=changes,
        live=live,
        directory=directory,
        targets=targets,
        graph=graph,
        access=diff_access(changes, graph, live, directory),
        managed=draft.managed,
        declared=draft.declared,
        leaving=draft.leaving,
        exclusives=inputs.desired.exclusives,
        holdings=holdings_of(changes, live),
        base=inputs.base,
        history=draft.history,
        own_account=inputs.own_account,
        max_minutes=inputs.max_minutes,
    )


def _known_by_new_names(directory: Directory, changes: Iterable[Change]) -> Directory:
    """The directory with changed resources labelled as the plan names them; those that share a name stay ids."""
    renamed = {
        change.id: label_of(change.key)
        for change in changes
        if change.id is not None and directory.label(change.id) != f"id:{change.id}"
    }
    return replace(directory, labels={**directory.labels, **renamed}) if renamed else directory


def _summary(changes: Sequence[Change], draft: _Draft) -> Summary:
    def count(action: Action) -> int:
        return sum(1 for change in changes if change.action is action)

    return Summary(
        create=count(Action.CREATE),
        update=count(Action.UPDATE),
        deactivate=count(Action.DEACTIVATE),
        reactivate=count(Action.REACTIVATE),
        delete=count(Action.DELETE),
        unchanged=draft.unchanged,
        unmanaged=draft.unmanaged,
        memberships_added=sum(len(change.members.added) for change in changes),
        memberships_removed=sum(len(change.members.removed) for change in changes),
    )
