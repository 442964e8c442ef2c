"""Plans, results and diagnostics as what a reader needs to see: plain text values, redacted, in reading order. Pure.

Every text that comes from git or from the service is made printable here, on one line, and masked where its attribute
is named like a secret. What takes something away from somebody comes first and is always complete; only what adds may
be folded into counts. Escaping for a format (Markdown, a terminal) is the business of render.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from reconciler.model.change import Action, AttributeChange, Change, MembershipChange, PreconditionKind
from reconciler.model.outcome import ApplyResult, ChangeResult, Disagreement, Outcome, Residual, ResidualCause
from reconciler.model.plan import AccessChange, Finding, GuardVerdict, Plan, Verdict
from reconciler.model.resource import Kind
from reconciler.report.values import (
    identity,
    in_words,
    is_secret,
    is_set,
    located,
    many,
    many_of,
    missing,
    noun,
    shortened,
    shown,
)
from reconciler.report.ways import ways
from reconciler.semantics.canonical import fold, is_unassigned
from reconciler.semantics.printable import printable


class Subject(StrEnum):
    """What a report tells: what apply would do, what a change in git means, or what somebody did in a tenant."""

    PLAN = "plan"
    DIFF = "diff"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """From how many on things that only add are counted instead of listed, and how wide a value may be.

    `creates` and `updates` count changes of one kind, `memberships` groups that gain members; what is folded is told
    file by file, and files with no more than `few` are still listed. `members` counts the members that one group gains,
    `access` the users who gain access to one group, `findings` those of one code, `residuals` the resources that one
    attribute is not kept of.
    """

    creates: int = 40
    updates: int = 200
    memberships: int = 60
    few: int = 3
    members: int = 20
    access: int = 10
    findings: int = 40
    residuals: int = 20
    width: int = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeView:
    """One attribute: `before` and `after`, or for a set of values those `removed` and `added`."""

    path: str
    before: str = ""
    after: str = ""
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """A change, or that part of it which belongs in one section. `hidden` counts added members that are not listed."""

    key: str
    action: str
    source: str
    reason: str
    notes: tuple[str, ...]
    unguarded: bool
    attributes: tuple[AttributeView, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    hidden: int = 0

    @property
    def path_width(self) -> int:
        """The width of the longest attribute path, for alignment."""
        return max((len(item.path) for item in self.attributes), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldView:
    """Many changes of one kind in one file, told by numbers. `facts` says what they have in common, counted."""

    count: int
    what: str
    file: str
    examples: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The changes that mean the same to a reader."""

    total: int
    changes: tuple[ChangeView, ...] = ()
    folds: tuple[FoldView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAccess:
    """Who gains or loses effective membership of one group. `hidden` counts users who are not listed."""

    group: str
    count: int
    users: tuple[str, ...]
    hidden: int
    protected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardView:
    """One guard's answer. `allow` is the option that lets the plan through, or "" where nothing does."""

    id: str
    detail: str
    numbers: str
    allow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """One finding; `key` is "" where it concerns no single resource."""

    code: str
    message: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """All that a plan report says, in the order in which templates say it; `base` is the commit compared with."""

    subject: str
    tenant: str
    base: str
    two_way: bool
    no_base: str
    target: str
    desired: str
    inventory: str
    incomplete: str
    service: str
    ways: tuple[str, ...]
    notes: tuple[str, ...]
    losing: Section
    reactivating: Section
    creating: Section
    updating: Section
    joining: Section
    memberships: str
    losses: tuple[GroupAccess, ...]
    gains: tuple[GroupAccess, ...]
    findings: tuple[FindingView, ...]
    differs: bool
    refused: tuple[GuardView, ...]
    overridden: tuple[GuardView, ...]
    passed: int
    unguarded: int
    compared: int
    changes: int
    summary: str
    rest: str
    estimate: str
    digest: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementView:
    """What was approved to be there before, what is there now, and what would be written."""

    path: str
    approved: str
    now: str
    would_be: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictView:
    """A change left alone because somebody else changed the same thing."""

    key: str
    action: str
    source: str
    cause: str
    disagreements: tuple[DisagreementView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseView:
    """The changes that ended the same way for the same cause."""

    outcome: str
    cause: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualView:
    """A resource of which an attribute reads differently from what was applied."""

    key: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualsView:
    """What happened alike to one attribute of several resources. `hidden` counts resources that are not listed."""

    path: str
    what: str
    cause: str
    advice: str
    items: tuple[ResidualView, ...]
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyView:
    """All that the report of a run says. `equivalences` are lines of YAML for tenant.yaml, () where none would help."""

    tenant: str
    two_way: bool
    run: str
    target: str
    digest: str
    service: str
    ways: tuple[str, ...]
    total: int
    outcomes: str
    applied: str
    conflicts: tuple[ConflictView, ...]
    causes: tuple[CauseView, ...]
    rebased: tuple[str, ...]
    residual: tuple[ResidualsView, ...]
    differences: int
    equivalences: tuple[str, ...]
    read_again: int
    proven: bool
    interrupted: bool
    complete: bool
    requests: int
    doubtful: bool
    command: str


def build_plan_view(
    plan: Plan,
    *,
    folding: Folding,
    subject: Subject = Subject.PLAN,
    protected: Iterable[str] = (),
    saved_as: str | None = None,
    seal: str | None = None,
    options: Sequence[str] = (),
) -> PlanView:
    """The plan as its readers see it; a diff or a drift is made of one and told in other words.

    `protected` lists what tenant.yaml protects: access to those groups is never folded. `saved_as` and `seal` say where
    the plan file went, and `options` which options were typed, so that the next command can repeat them.
    """
    kinds = Counter(change.precondition.kind for change in plan.changes)
    show = _Shown(folding.width)
    return PlanView(
        subject=subject.value,
        tenant=printable(plan.tenant),
        base=printable((plan.desired.base or "")[:12]),
        two_way=plan.desired.base is None,
        no_base=printable(_why_two_way(plan)),
        target=printable(plan.target),
        desired=_desired(plan),
        inventory=_inventory(plan),
        incomplete="" if plan.inventory.complete else printable(plan.inventory.reason or "no reason given"),
        service=_service(plan),
        ways=ways(plan.capabilities),
        notes=tuple(printable(note) for note in plan.capabilities.notes),
        losing=_losing(plan.changes, show),
        reactivating=_section(
            [_rest(c) for c in plan.changes if c.action is Action.REACTIVATE], show, len(plan.changes), folding.few
        ),
        creating=_section(
            [replace(c, members=MembershipChange()) for c in plan.changes if c.action is Action.CREATE],
            show,
            folding.creates,
            folding.few,
        ),
        updating=_section([_rest(c) for c in plan.changes if _is_plain_update(c)], show, folding.updates, folding.few),
        joining=_joining(plan.changes, show, folding),
        memberships=f"{plan.summary.memberships_added:,}",
        losses=_access(plan.access.losses, frozenset(), limit=None),
        gains=_access(plan.access.gains, _protected_groups(protected), limit=folding.access),
        findings=_findings(plan.findings, folding.findings),
        differs=any(item.code in _NOT_AS_GIT_SAYS for item in plan.findings),
        refused=tuple(_guard(guard) for guard in plan.refused_by),
        overridden=tuple(_guard(guard) for guard in plan.guards if guard.verdict is Verdict.OVERRIDDEN),
        passed=sum(1 for guard in plan.guards if guard.verdict is Verdict.PASS),
        unguarded=kinds[PreconditionKind.UNGUARDED],
        compared=kinds[PreconditionKind.COMPARE],
        changes=len(plan.changes),
        summary=_summary(plan, subject),
        rest=_rest_in_words(plan),
        estimate=_estimate(plan),
        digest=printable(plan.digest),
        command=_command(plan, saved_as, seal, options) if subject is Subject.PLAN else "",
    )


_NOT_AS_GIT_SAYS = frozenset({"configuration", "pending", "members-unreadable"})
"""Findings by which the tenant is not as git says, although nothing is to be changed for them."""

_ACCESS_ATTRIBUTES = frozenset({"roles", "entitlements"})


def _losing(changes: Sequence[Change], show: _Shown) -> Section:
    """What takes access away: never folded, whatever its number."""
    parts = [_losing_part(change) for change in changes]
    views = tuple(show.change(part) for part in parts if part is not None)
    return Section(total=len(views), changes=views)


def _losing_part(change: Change) -> Change | None:
    """That part of a change which takes access away, or None; nobody who is created had any."""
    if change.action is Action.CREATE:
        return None
    members = MembershipChange(removed=change.members.removed)
    if change.action is Action.DELETE:
        return replace(change, attributes=(), members=members)
    if change.action is Action.DEACTIVATE:
        return replace(change, members=members)
    lost = tuple(item for item in change.attributes if _loses_access(item))
    return replace(change, attributes=lost, members=members) if lost or members else None


def _rest(change: Change) -> Change:
    """A change without the parts that other sections show."""
    kept = tuple(item for item in change.attributes if not _loses_access(item))
    return replace(change, attributes=kept, members=MembershipChange())


def _is_plain_update(change: Change) -> bool:
    """Whether an update has anything left for the section of updates."""
    if change.action is not Action.UPDATE:
        return False
    return (not change.members and not change.attributes) or any(not _loses_access(item) for item in change.attributes)


def _loses_access(item: AttributeChange) -> bool:
    if item.path == "active":
        return item.after is False
    if re.split(r"[.\[]", item.path, maxsplit=1)[0] not in _ACCESS_ATTRIBUTES:
        return False
    if not (is_set(item.before) and is_set(item.after)):
        return not is_unassigned(item.before)
    return bool(_access_values(item.before) - _access_values(item.after))


def _access_values(values: Sequence[Any] | None) -> frozenset[str]:
    return frozenset(identity(item.get("value", item) if isinstance(item, dict) else item) for item in values or ())


def _takes_away(change: Change) -> bool:
    """Whether a change leaves an attribute with less than it had; such a change is never folded."""
    return any(
        not is_unassigned(item.before)
        and (
            is_unassigned(item.after)
            or (is_set(item.before) and is_set(item.after) and bool(missing(item.before, item.after)))
        )
        for item in change.attributes
    )


def _section(changes: Sequence[Change], show: _Shown, limit: int, few: int) -> Section:
    """The changes of a section; beyond `limit` of one kind those in files with more than `few` are counted."""
    folded = _folded([change for change in changes if not _takes_away(change)], limit, few)
    listed = [change for change in changes if _takes_away(change) or _origin(change) not in folded]
    return Section(
        total=len(changes),
        changes=tuple(show.change(change) for change in listed),
        folds=tuple(_fold(kind, file, group, _facts(group)) for (kind, file), group in folded.items()),
    )


def _folded(changes: Iterable[Change], limit: int, few: int) -> dict[tuple[Kind, str], list[Change]]:
    """What is told by numbers, by kind and file."""
    by_origin: dict[tuple[Kind, str], list[Change]] = defaultdict(list)
    for change in changes:
        by_origin[_origin(change)].append(change)
    of_kind: Counter[Kind] = Counter()
    for (kind, _), group in by_origin.items():
        of_kind[kind] += len(group)
    return {origin: group for origin, group in by_origin.items() if of_kind[origin[0]] > limit and len(group) > few}


def _joining(changes: Sequence[Change], show: _Shown, folding: Folding) -> Section:
    """The groups that gain members; each with its first members, all together folded by file where they are many."""
    gaining = [
        replace(change, attributes=(), members=MembershipChange(added=change.members.added))
        for change in changes
        if change.members.added
    ]
    folded = _folded(gaining, folding.memberships, folding.few)
    listed = [change for change in gaining if _origin(change) not in folded]
    return Section(
        total=len(gaining),
        changes=tuple(_first_members(show.change(change), folding.members) for change in listed),
        folds=tuple(_fold(kind, file, group, _membership_facts(group)) for (kind, file), group in folded.items()),
    )


def _first_members(view: ChangeView, limit: int) -> ChangeView:
    if len(view.added) <= limit:
        return view
    listed = limit // 2
    return replace(view, added=view.added[:listed], hidden=len(view.added) - listed)


def _origin(change: Change) -> tuple[Kind, str]:
    return (change.key.kind, change.source.file if change.source else "")


def _fold(kind: Kind, file: str, changes: Sequence[Change], facts: tuple[str, ...]) -> FoldView:
    return FoldView(
        count=len(changes),
        what=noun(kind, len(changes)),
        file=printable(file),
        examples=tuple(shortened(printable(str(change.key)), 80) for change in changes[:3]),
        facts=facts,
    )


def _facts(changes: Sequence[Change]) -> tuple[str, ...]:
    """What the folded changes give: roles and entitlements by value, else the attributes they touch."""
    counted: Counter[str] = Counter()
    for change in changes:
        for item in change.attributes:
            if item.path in _ACCESS_ATTRIBUTES and isinstance(item.after, list):
                counted.update(f"{item.path} {shortened(shown(value, item.path), 60)}" for value in item.after)
            elif change.action is not Action.CREATE:
                counted[printable(item.path)] += 1
    return _counted(counted)


def _membership_facts(changes: Sequence[Change]) -> tuple[str, ...]:
    return (f"{sum(len(change.members.added) for change in changes):,} memberships",)


def _counted(counter: Counter[str], most: int = 8) -> tuple[str, ...]:
    common = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{name}: {count:,}" for name, count in common[:most]]
    return tuple(told) if len(common) <= most else (*told, f"and {len(common) - most:,} more")


def _access(changes: Iterable[AccessChange], protected: frozenset[str], limit: int | None) -> tuple[GroupAccess, ...]:
    by_group: dict[str, list[AccessChange]] = defaultdict(list)
    for change in changes:
        by_group[change.group].append(change)
    return tuple(_group_access(group, by_group[group], protected, limit) for group in sorted(by_group))


def _group_access(
    group: str, changes: Sequence[AccessChange], protected: frozenset[str], limit: int | None
) -> GroupAccess:
    is_protected = fold(group.removeprefix("group:")) in protected
    listed = len(changes) if limit is None or is_protected or len(changes) <= limit else max(1, limit // 2)
    return GroupAccess(
        group=printable(group),
        count=len(changes),
        users=tuple(_user_and_path(change) for change in changes[:listed]),
        hidden=len(changes) - listed,
        protected=is_protected,
    )


def _user_and_path(change: AccessChange) -> str:
    path = f" (via {' > '.join(change.via)})" if change.via else ""
    return printable(change.user + path)


def _protected_groups(protected: Iterable[str]) -> frozenset[str]:
    return frozenset(fold(entry.removeprefix("group:")) for entry in protected if entry.startswith("group:"))


_WITHOUT_OVERRIDE = frozenset({"incomplete-inventory", "nesting"})


def _guard(guard: GuardVerdict) -> GuardView:
    """A guard's answer with the option that admits exactly what it counted (SPEC section 8)."""
    if guard.id in _WITHOUT_OVERRIDE:
        allow = ""
    elif guard.id == "no-base":
        allow = "--first-run" if "--first-run" in guard.detail else ""
    else:
        allow = f"--allow {guard.id}" if guard.count is None else f"--allow {guard.id}={guard.count}"
    numbers = [f"{guard.count:,} planned"] if guard.count is not None else []
    if guard.limit is not None:
        numbers.append(f"{guard.limit:,} admitted")
    return GuardView(
        id=printable(guard.id), detail=printable(guard.detail), numbers=", ".join(numbers), allow=printable(allow)
    )


def _findings(findings: Sequence[Finding], limit: int) -> tuple[FindingView, ...]:
    """The findings, code by code; of more than `limit` with one code the first, and how many more there are."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_code[finding.code].append(finding)
    views: list[FindingView] = []
    for code, group in by_code.items():
        told = group if len(group) <= limit else group[: limit // 2]
        views += [_finding(item.code, item.message, item.key) for item in told]
        hidden = len(group) - len(told)
        views += [_finding(code, f"and {hidden:,} more; --format json lists them all", None)] if hidden else []
    return tuple(views)


def _finding(code: str, message: str, key: str | None) -> FindingView:
    return FindingView(code=printable(code), message=printable(message), key=printable(key or ""))


def _rest_in_words(plan: Plan) -> str:
    """What the changes are not about: what is as git says, what git does not speak of, and who is still to come."""
    parts = [f"{plan.summary.unchanged:,} unchanged", f"{plan.summary.unmanaged:,} unmanaged"]
    group = f"{Kind.GROUP}/"
    people = sum(1 for item in plan.findings if item.code == "pending" and not (item.key or "").startswith(group))
    return ", ".join([*parts, f"{many(people, 'user')} pending"] if people else parts)


def _desired(plan: Plan) -> str:
    desired = plan.desired
    if desired.commit is None:
        return "not in a git checkout"
    dirty = ", with changes that are not committed" if desired.dirty else ""
    base = f", base {desired.base[:12]}" if desired.base else ""
    return printable(f"commit {desired.commit[:12]}{dirty}{base}")


def _inventory(plan: Plan) -> str:
    read = plan.inventory
    found = f"{many(read.users, 'user')} and {many(read.groups, 'group')}"
    return f"{found}, {'' if read.complete else 'NOT '}read completely, {many(read.requests, 'request')}"


def _service(plan: Plan) -> str:
    can = plan.capabilities
    operations = f" of at most {can.max_operations:,} operations" if can.max_operations is not None else ""
    return ", ".join(
        [
            f"bulk requests{operations}" if can.bulk else "no bulk",
            "PATCH" if can.patch else "no PATCH",
            "versions (ETag)" if can.etag else "NO versions (ETag)",
            "filters" if can.filter else "no filters",
        ]
    )


_PLANNED = {
    Action.DELETE: "to delete",
    Action.DEACTIVATE: "to deactivate",
    Action.REACTIVATE: "to reactivate",
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
}
_DONE = {
    Action.DELETE: "deleted",
    Action.DEACTIVATE: "deactivated",
    Action.REACTIVATE: "reactivated",
    Action.CREATE: "created",
    Action.UPDATE: "updated",
}


def _summary(plan: Plan, subject: Subject) -> str:
    done = subject is Subject.DRIFT
    parts = _by_action(plan.changes, _DONE if done else _PLANNED)
    removed, added = plan.summary.memberships_removed, plan.summary.memberships_added
    parts += [f"{many(removed, 'membership')} {'removed' if done else 'to remove'}"] if removed else []
    parts += [f"{many(added, 'membership')} {'added' if done else 'to add'}"] if added else []
    return ", ".join(parts) or "0 changes"


def _by_action(changes: Iterable[Change], words: Mapping[Action, str]) -> list[str]:
    counts = Counter((change.action, change.key.kind) for change in changes)
    kinds = {action: [many_of(counts[action, kind], kind) for kind in Kind if counts[action, kind]] for action in words}
    return [f"{in_words(kinds[action])} {word}" for action, word in words.items() if kinds[action]]


def _estimate(plan: Plan) -> str:
    estimate = plan.estimate
    minutes = round(estimate.seconds / 60)
    time = f"about {estimate.seconds:,} s" if estimate.seconds < 120 else f"about {minutes:,} min"
    seats = ", ".join(f"{printable(name)} {count:,}" for name, count in (estimate.seats or {}).items())
    return f"{many(estimate.requests, 'request')}, {time}" + (f"; seats: {seats}" if seats else "")


def _command(plan: Plan, saved_as: str | None, seal: str | None, options: Sequence[str]) -> str:
    """What to type next, or "" where there is nothing to do or nothing that helps."""
    if not plan.changes or any(guard.id in _WITHOUT_OVERRIDE for guard in plan.refused_by):
        return ""
    approval = ["--expect-digest", plan.digest]
    if saved_as is not None and seal is not None:
        approval = ["--plan", saved_as, "--expect-seal", seal]
    words = ["reconciler", "apply", plan.tenant, *options, *approval]
    allows = [_guard(guard).allow for guard in plan.guards if guard.verdict is not Verdict.PASS and not guard.override]
    return " ".join([*(shlex.quote(printable(word)) for word in words), *allows])


_TROUBLE = (Outcome.UNKNOWN, Outcome.FAILED, Outcome.NOT_ATTEMPTED)


def _why_two_way(plan: Plan) -> str:
    """Why what git declared before is not known; the guard says it."""
    return next((guard.detail for guard in plan.guards if guard.id == "no-base"), "outside a git checkout")


def build_apply_view(result: ApplyResult, plan: Plan, *, folding: Folding, options: Sequence[str] = ()) -> ApplyView:
    """The result of a run as its readers see it; every change that was not applied is named."""
    counts = Counter(item.outcome for item in result.results)
    conflicts = [item for item in result.results if item.outcome is Outcome.CONFLICT]
    return ApplyView(
        tenant=printable(result.tenant),
        two_way=plan.desired.base is None,
        run=printable(result.run),
        target=printable(result.target),
        digest=printable(result.digest),
        service=_service(plan),
        ways=(*ways(plan.capabilities), *(printable(note) for note in result.notes)),
        total=len(result.results),
        outcomes=", ".join(f"{counts[outcome]:,} {_OUTCOME_WORDS[outcome]}" for outcome in Outcome if counts[outcome]),
        applied=", ".join(_by_action((i.change for i in result.results if i.outcome is Outcome.APPLIED), _DONE)),
        conflicts=tuple(_conflict(item, folding.width) for item in conflicts),
        causes=_causes(result.results),
        rebased=tuple(
            _named(item.change) for item in result.results if item.rebased and item.outcome is Outcome.APPLIED
        ),
        residual=_residuals(result.residual, folding),
        differences=len(result.residual),
        equivalences=_equivalences(result),
        read_again=counts[Outcome.APPLIED],
        proven=result.proven,
        interrupted=result.interrupted,
        complete=result.complete,
        requests=result.requests,
        doubtful=bool(counts[Outcome.UNKNOWN]),
        command="" if result.complete else shlex.join(["reconciler", "plan", printable(result.tenant), *options]),
    )


_OUTCOME_WORDS = {
    Outcome.APPLIED: "applied",
    Outcome.CONFLICT: "in conflict",
    Outcome.FAILED: "failed",
    Outcome.NOT_ATTEMPTED: "not attempted",
    Outcome.UNKNOWN: "unknown",
}


def _conflict(item: ChangeResult, width: int) -> ConflictView:
    return ConflictView(
        key=printable(str(item.change.key)),
        action=item.change.action.value,
        source=located(item.change.source),
        cause=printable(item.cause or ""),
        disagreements=tuple(_disagreement(each, width) for each in item.disagreements),
    )


def _disagreement(item: Disagreement, width: int) -> DisagreementView:
    return DisagreementView(
        path=printable(item.path),
        approved=shortened(shown(item.approved, item.path), width),
        now=shortened(shown(item.now, item.path), width),
        would_be=shortened(shown(item.would_be, item.path), width),
    )


def _causes(results: Iterable[ChangeResult]) -> tuple[CauseView, ...]:
    """What went wrong, worst first, changes with the same cause together."""
    groups: dict[tuple[Outcome, str], list[str]] = defaultdict(list)
    for item in results:
        if item.outcome in _TROUBLE:
            groups[item.outcome, item.cause or "no cause given"].append(_named(item.change))
    ordered = sorted(groups, key=lambda group: _TROUBLE.index(group[0]))
    return tuple(
        CauseView(outcome=_OUTCOME_WORDS[outcome], cause=printable(cause), changes=tuple(groups[outcome, cause]))
        for outcome, cause in ordered
    )


def _named(change: Change) -> str:
    place = located(change.source)
    return f"{change.action.value} {printable(str(change.key))}" + (f" ({place})" if place else "")


def _residuals(residual: Iterable[Residual], folding: Folding) -> tuple[ResidualsView, ...]:
    """What happened alike to the same attribute, together, in the order in which it was found."""
    alike: dict[tuple[str, str, ResidualCause, str], list[Residual]] = defaultdict(list)
    for item in residual:
        alike[item.key.partition("/")[0], item.path, item.cause, item.advice].append(item)
    return tuple(
        ResidualsView(
            path=printable(path),
            what=printable(many(len({item.key for item in items}), kind.lower())),
            cause=cause.value,
            advice=printable(advice),
            items=tuple(_residual(item, folding.width) for item in items[: folding.residuals]),
            hidden=len(items[folding.residuals :]),
        )
        for (kind, path, cause, advice), items in alike.items()
    )


def _residual(item: Residual, width: int) -> ResidualView:
    return ResidualView(
        key=printable(item.key),
        expected=shortened(shown(item.expected, item.path), width),
        found=shortened(shown(item.found, item.path), width),
    )


_MOST_PAIRS = 1000
"""Beyond this, pairs are no cure; and a report has an end."""

_ONLY_IF_DERIVED = "  # as before the write: keep this line only if the service derives the value"


def _equivalences(result: ApplyResult) -> tuple[str, ...]:
    """The whole `equivalences` of tenant.yaml, as it is and with what this run learned, as YAML to paste."""
    lines = {path: dict.fromkeys(_pair(path, pair) for pair in pairs) for path, pairs in result.equivalences.items()}
    learned: dict[tuple[str, str], str] = {}
    for item in result.residual:
        comment = _ONLY_IF_DERIVED if item.cause is ResidualCause.NOT_CHANGED else ""
        for path, pairs in item.equivalences.items():
            new = {(path, line): comment for pair in pairs if (line := _pair(path, pair)) not in lines.get(path, {})}
            learned |= {} if is_secret(path) else new
    if not learned:
        return ()
    for (path, line), comment in islice(learned.items(), _MOST_PAIRS):
        lines.setdefault(path, {})[f"{line}{comment}"] = None
    yaml = ["equivalences:"]
    for path, known in sorted(lines.items()):
        hidden = is_secret(path)
        yaml += [f"  # {path}: keep what is there"] if hidden else [f"  {path}:", *(f"    - {line}" for line in known)]
    more = len(learned) - _MOST_PAIRS
    return (*yaml, f"  # and {more:,} more, all of them in the receipt") if more > 0 else tuple(yaml)


def _pair(path: str, pair: tuple[Any, Any]) -> str:
    """A pair as YAML: texts as JSON has them, on one line, with the escapes of Python, which YAML knows too."""
    sent, stored = ("null" if value is None else shown(value, path) for value in pair)
    return f"{{sent: {sent}, stored: {stored}}}"


@dataclass(frozen=True, slots=True)
class _Shown:
    """How changes are shown: how wide a value may be."""

    width: int

    def change(self, change: Change) -> ChangeView:
        notes = [] if change.reversible else ["cannot be undone"]
        if change.precondition.kind is PreconditionKind.COMPARE:
            notes.append("read and compared before writing")
        return ChangeView(
            key=shortened(printable(str(change.key)), self.width),
            action=change.action.value,
            source=located(change.source),
            reason=change.reason.value,
            notes=tuple(notes),
            unguarded=change.precondition.kind is PreconditionKind.UNGUARDED,
            attributes=tuple(self.attribute(item, change.action) for item in change.attributes),
            added=tuple(self.label(label) for label in change.members.added),
            removed=tuple(self.label(label) for label in change.members.removed),
        )

    def attribute(self, item: AttributeChange, action: Action) -> AttributeView:
        path = printable(item.path)
        if action is not Action.CREATE and is_set(item.before) and is_set(item.after):
            removed, added = missing(item.before, item.after), missing(item.after, item.before)
            if removed or added:
                return AttributeView(
                    path=path, removed=self.values(removed, item.path), added=self.values(added, item.path)
                )
        return AttributeView(
            path=path,
            before=shortened(shown(item.before, item.path), self.width),
            after=shortened(shown(item.after, item.path), self.width),
            differences=tuple(shortened(printable(line), self.width) for line in item.differences),
        )

    def values(self, values: Iterable[object], path: str) -> tuple[str, ...]:
        return tuple(shortened(shown(value, path), self.width) for value in values)

    def label(self, label: str) -> str:
        return shortened(printable(label), self.width)
