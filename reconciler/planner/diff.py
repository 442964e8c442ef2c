"""One triple (base, desired, live) -> attribute changes, action and reason. Unstated is unmanaged (SPEC P9). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.model.change import (
    Action,
    AttributeChange,
    Change,
    Precondition,
    PreconditionKind,
    Reason,
)
from reconciler.model.diagnostic import Source
from reconciler.model.resource import (
    DesiredConfiguration,
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveConfiguration,
    LiveGroup,
    LiveUser,
    ResourceKey,
    unpack,
)
from reconciler.model.tenant import People
from reconciler.planner.differences import differences
from reconciler.planner.history import Past, attribute_reason, combined, found_value
from reconciler.planner.matching import Match
from reconciler.planner.references import Directory, Target
from reconciler.planner.rules import Rules
from reconciler.planner.withdrawal import withdraw
from reconciler.semantics.canonical import (
    MANAGER_PATH,
    diff_attributes,
    is_unassigned,
    managed_paths,
    manager_id,
    shown,
)
from reconciler.semantics.configuration import diff_configuration

_ACCESS = frozenset({"roles", "entitlements"})
"""All that is managed of people who come from elsewhere (SPEC sections 3 and 4, `people: external`)."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A change without its digest, or None where nothing differs, and paths that are left as they are.

    `cosmetic` differ in case only; `kept` are those that git gave up and that keep their values.
    """

    change: Change | None
    cosmetic: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Before:
    """What git declared earlier about a resource. `was_there`: a run proved it; `returns`: git had taken it out."""

    pasts: tuple[Past, ...] = ()
    was_there: bool = False
    returns: bool = False


NOTHING_BEFORE = Before()


def diff_user(
    match: Match[DesiredUser, LiveUser],
    manager: Target | None,
    directory: Directory,
    rules: Rules,
    before: Before = NOTHING_BEFORE,
) -> Drafted:
    """What one user needs. `manager` is the resolved manager reference, None where git states none."""
    desired, live = match.desired, match.live
    body = unpack(desired.body)
    if live is None:
        body = {**body, "active": body.get("active", True)}
        return Drafted(_creation(desired, body, before, manager, directory))
    found = unpack(live.body)
    if before.returns and live.active is False and desired.active is None:
        body["active"] = True
    changes, cosmetic = diff_attributes(body, found, rules.tenant.equivalences)
    if live.active is None:  # a service that does not return `active` does not say "inactive" (cxone.md G3)
        changes = [change for change in changes if change.path != "active" or change.after is False]
    kept: tuple[str, ...] = ()
    if before.pasts:
        withdrawn = withdraw(desired, found, before.pasts, rules)
        changes, kept = [*changes, *withdrawn.changes], withdrawn.kept
    if rules.tenant.people is People.EXTERNAL:
        changes = [change for change in changes if change.path in _ACCESS]
        cosmetic = [path for path in cosmetic if path in _ACCESS]
    references: dict[str, str | None] = {}
    if manager is not None or any(change.path == MANAGER_PATH for change in changes):
        changes = [change for change in changes if change.path != MANAGER_PATH]
        changes += _manager_change(manager, found, directory, references)
    if not changes:
        return Drafted(None, tuple(cosmetic), kept)
    meant = {MANAGER_PATH: manager if isinstance(manager, str) else None}
    reason = _reason(live, changes, before, rules, meant)
    change = modification(desired, live, changes, reason, rules)
    return Drafted(replace(change, references=tuple(sorted(references.items()))), tuple(cosmetic), kept)


def diff_group(match: Match[DesiredGroup, LiveGroup], rules: Rules, before: Before = NOTHING_BEFORE) -> Drafted:
    """What one group needs besides its members."""
    desired, live = match.desired, match.live
    body = unpack(desired.body)
    if live is None:
        return Drafted(_creation(desired, body, before, None, None))
    found = unpack(live.body)
    changes, cosmetic = diff_attributes(body, found, rules.tenant.equivalences)
    kept: tuple[str, ...] = ()
    if before.pasts:
        withdrawn = withdraw(desired, found, before.pasts, rules)
        changes, kept = [*changes, *withdrawn.changes], withdrawn.kept
    if not changes:
        return Drafted(None, tuple(cosmetic), kept)
    change = modification(desired, live, changes, _reason(live, changes, before, rules), rules)
    return Drafted(change, tuple(cosmetic), kept)


def diff_service_configuration(desired: DesiredConfiguration, live: LiveConfiguration, rules: Rules) -> Change | None:
    """What the ServiceProviderConfig needs; whether it is written or only reported is the caller's decision."""
    changes = diff_configuration(unpack(desired.body), unpack(live.body))
    if not changes:
        return None
    return Change(
        key=ResourceKey(Kind.SERVICE_PROVIDER_CONFIG),
        action=Action.UPDATE,
        reason=Reason.DECLARED,
        source=desired.source,
        anchor=None,
        id=None,
        precondition=rules.precondition(live.version),
        attributes=_explained(changes),
    )


def membership_only(key: ResourceKey, live: LiveGroup, source: Source | None, rules: Rules) -> Change:
    """An update of a group whose attributes stay as they are; the caller adds the members and the reason."""
    return modification(Named(key, source), live, [], Reason.DECLARED, rules)


def _creation(
    desired: DesiredUser | DesiredGroup,
    body: dict[str, Any],
    before: Before,
    manager: Target | None,
    directory: Directory | None,
) -> Change:
    attributes = [
        AttributeChange(path, None, shown(value, value))
        for path, value in managed_paths(body)
        if not is_unassigned(value)
    ]
    references: tuple[tuple[str, str | None], ...] = ()
    if manager is not None and directory is not None:
        label = directory.label(manager)
        attributes.append(AttributeChange(MANAGER_PATH, None, label))
        references = ((label, directory.anchor(manager)),)
    return Change(
        key=desired.key,
        action=Action.CREATE,
        reason=Reason.MISSING if before.was_there else Reason.DECLARED,
        source=desired.source,
        anchor=None,
        id=None,
        precondition=Precondition(PreconditionKind.ABSENT),
        attributes=tuple(sorted(attributes, key=lambda a: a.path)),
        references=references,
    )


def _reason(
    live: LiveUser | LiveGroup,
    changes: Sequence[AttributeChange],
    before: Before,
    rules: Rules,
    meant: Mapping[str, Any] | None = None,
) -> Reason:
    """Why a resource changes. `meant` has the values that are shown as labels, by path, as they compare: by id."""
    if not before.pasts:
        adopted = live.external_id is None and any(c.path == "externalId" and c.after is not None for c in changes)
        return Reason.ADOPTED if adopted else Reason.DECLARED
    pasts = [past.declared for past in before.pasts]
    found, wanted = unpack(live.body), {change.path: change.after for change in changes} | dict(meant or {})
    return combined(
        [
            attribute_reason(c.path, wanted[c.path], found_value(found, c.path), pasts, rules.tenant.equivalences)
            for c in changes
        ]
    )


@dataclass(frozen=True, slots=True)
class Named:
    """What a change is called and where in git it comes from, if anywhere."""

    key: ResourceKey
    source: Source | None


def modification(
    what: DesiredUser | DesiredGroup | Named,
    live: LiveUser | LiveGroup,
    changes: Sequence[AttributeChange],
    reason: Reason,
    rules: Rules,
) -> Change:
    """A change of a live resource; what its attributes say decides whether it deactivates or reactivates."""
    return Change(
        key=what.key,
        action=_action(changes),
        reason=reason,
        source=what.source,
        anchor=live.anchor,
        id=live.id,
        precondition=rules.precondition(live.version),
        attributes=_explained(changes),
    )


def _explained(changes: Iterable[AttributeChange]) -> tuple[AttributeChange, ...]:
    """The changes in order of path; those of structured values say where exactly they differ."""
    ordered = sorted(changes, key=lambda change: change.path)
    return tuple(replace(change, differences=differences(change.before, change.after)) for change in ordered)


def _action(changes: Sequence[AttributeChange]) -> Action:
    for change in changes:
        if change.path == "active":
            if change.after is False:
                return Action.DEACTIVATE
            if change.after is True:
                return Action.REACTIVATE
    return Action.UPDATE


def _manager_change(
    manager: Target | None, found: dict[str, Any], directory: Directory, references: dict[str, str | None]
) -> list[AttributeChange]:
    """The manager compares by id and is shown by name."""
    current = manager_id(found)
    if current == manager:
        return []
    labels = [directory.label(target) if target is not None else None for target in (current, manager)]
    for label, target in zip(labels, (current, manager), strict=True):
        if label is not None and target is not None:
            references[label] = directory.anchor(target)
    before, after = labels
    return [AttributeChange(MANAGER_PATH, before, after)]
