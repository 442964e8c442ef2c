"""One pair (desired, live) -> attribute changes and their action. Unstated is unmanaged (SPEC P9). Pure."""

from __future__ import annotations

from collections.abc import Iterable
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
from reconciler.model.plan import Capabilities
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
from reconciler.model.tenant import People, Tenant
from reconciler.planner.differences import differences
from reconciler.planner.matching import Match
from reconciler.planner.references import Directory, Target
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
    """A change without its digest, or None where nothing differs, and the paths that differ cosmetically only."""

    change: Change | None
    cosmetic: tuple[str, ...] = ()


def diff_user(
    match: Match[DesiredUser, LiveUser], manager: Target | None, directory: Directory, rules: Rules
) -> Drafted:
    """What one user needs. `manager` is the resolved manager reference, None where git states none."""
    desired, live = match.desired, match.live
    body = unpack(desired.body)
    if live is None:
        return Drafted(
            _creation(desired.key, desired.source, {**body, "active": body.get("active", True)}, manager, directory)
        )
    found = unpack(live.body)
    changes, cosmetic = diff_attributes(body, found, rules.tenant.equivalences)
    if live.active is None:  # a service that does not return `active` does not say "inactive" (cxone.md G3)
        changes = [change for change in changes if change.path != "active" or change.after is False]
    if rules.tenant.people is People.EXTERNAL:
        changes = [change for change in changes if change.path in _ACCESS]
        cosmetic = [path for path in cosmetic if path in _ACCESS]
    references: dict[str, str | None] = {}
    if manager is not None or any(change.path == MANAGER_PATH for change in changes):
        changes = [change for change in changes if change.path != MANAGER_PATH]
        changes += _manager_change(manager, found, directory, references)
    if not changes:
        return Drafted(None, tuple(cosmetic))
    change = _modification(desired.key, desired.source, live, changes, rules)
    return Drafted(replace(change, references=tuple(sorted(references.items()))), tuple(cosmetic))


def diff_group(match: Match[DesiredGroup, LiveGroup], rules: Rules) -> Drafted:
    """What one group needs besides its members."""
    desired, live = match.desired, match.live
    body = unpack(desired.body)
    if live is None:
        return Drafted(_creation(desired.key, desired.source, body, None, None))
    changes, cosmetic = diff_attributes(body, unpack(live.body), rules.tenant.equivalences)
    if not changes:
        return Drafted(None, tuple(cosmetic))
    return Drafted(_modification(desired.key, desired.source, live, changes, rules), tuple(cosmetic))


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
    """An update of a group whose attributes stay as they are; the caller adds the members."""
    return _modification(key, source, live, [], rules)


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about every change alike."""

    tenant: Tenant
    capabilities: Capabilities

    def precondition(self, version: str | None) -> Precondition:
        """The strongest guard a resource can have: its version, else a comparison just before the write (P3)."""
        if version and self.capabilities.etag and self.tenant.dialect.etag != "off":
            return Precondition(PreconditionKind.VERSION, version)
        return Precondition(PreconditionKind.COMPARE)


def _creation(
    key: ResourceKey, source: Source, body: dict[str, Any], manager: Target | None, directory: Directory | None
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
        key=key,
        action=Action.CREATE,
        reason=Reason.DECLARED,
        source=source,
        anchor=None,
        id=None,
        precondition=Precondition(PreconditionKind.ABSENT),
        attributes=tuple(sorted(attributes, key=lambda a: a.path)),
        references=references,
    )


def _modification(
    key: ResourceKey, source: Source | None, live: LiveUser | LiveGroup, changes: list[AttributeChange], rules: Rules
) -> Change:
    adopted = live.external_id is None and any(c.path == "externalId" and c.after is not None for c in changes)
    return Change(
        key=key,
        action=_action(changes),
        reason=Reason.ADOPTED if adopted else Reason.DECLARED,
        source=source,
        anchor=live.anchor,
        id=live.id,
        precondition=rules.precondition(live.version),
        attributes=_explained(changes),
    )


def _explained(changes: Iterable[AttributeChange]) -> tuple[AttributeChange, ...]:
    """The changes in order of path; those of structured values say where exactly they differ."""
    ordered = sorted(changes, key=lambda change: change.path)
    return tuple(replace(change, differences=differences(change.before, change.after)) for change in ordered)


def _action(changes: list[AttributeChange]) -> Action:
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
