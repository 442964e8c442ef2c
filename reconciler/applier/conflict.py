"""approved / now / would-be -> rebase, done or conflict (SPEC 7.6). Pure.

One function judges whatever was found when a resource was read again: after a 412, after an answer that never came,
before a write to a service without versions, when a saved plan meets the tenant of today, and in the proof at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.model.change import Action, AttributeChange, Change, MembershipChange, Precondition, PreconditionKind
from reconciler.model.outcome import Disagreement
from reconciler.model.resource import Attributes, LiveConfiguration, LiveGroup, LiveUser, unpack
from reconciler.semantics.canonical import MANAGER_PATH, Equality, Equivalences, compare, manager_id, shown, value_at
from reconciler.semantics.configuration import configuration_value

WHOLE_RESOURCE = "(resource)"
"""The path of a disagreement about whether the resource is there at all."""


@dataclass(frozen=True, slots=True)
class Done:
    """Live is already as approved."""


@dataclass(frozen=True, slots=True)
class Rebase:
    """What is left of the change still applies, to the version just read."""

    change: Change


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody changed what the change is about; it is left alone."""

    disagreements: tuple[Disagreement, ...]


Judgement = Done | Rebase | Conflict


def judge(
    change: Change, now: LiveUser | LiveGroup | None, ids: Mapping[str, str], equivalences: Equivalences
) -> Judgement:
    """What becomes of a change (or of one step of it) given the resource as it is now.

    `ids` maps every label that the change names to the id it means. A create that finds its resource there is DONE only
    if all that it declares is there: whether that was this run's own doing is the caller's knowledge.
    """
    if change.action is Action.CREATE:
        return _judge_creation(change, now, ids, equivalences)
    if change.action is Action.DELETE:
        return Done() if now is None else Rebase(rebased(change, now))
    if now is None:
        return Conflict((Disagreement(WHOLE_RESOURCE, "there", "gone", "changed"),))
    body = unpack(now.body)
    left: list[AttributeChange] = []
    disagreements: list[Disagreement] = []
    for attribute in change.attributes:
        found = _found(attribute.path, now, body)
        if _holds(attribute.path, attribute.after, found, ids, equivalences):
            continue
        if _holds(attribute.path, _before(attribute, now), found, ids, equivalences):
            left.append(attribute)
        else:
            seen = _seen(attribute, found, ids)
            disagreements.append(Disagreement(attribute.path, attribute.before, seen, attribute.after))
    if disagreements:
        return Conflict(tuple(disagreements))
    members = _members_left(change.members, now, ids)
    if not left and not members:
        return Done()
    return Rebase(rebased(replace(change, attributes=tuple(left), members=members), now))


def left_over(
    change: Change, now: LiveUser | LiveGroup | None, ids: Mapping[str, str], equivalences: Equivalences
) -> Change | None:
    """What of a change is not so on a fresh read, whoever's doing that is; None where all of it is."""
    if change.action is Action.DELETE or now is None:
        return change if (change.action is Action.DELETE) is (now is not None) else None
    body = unpack(now.body)
    different = tuple(
        _difference(item, found, ids)
        for item, found in ((item, _found(item.path, now, body)) for item in change.attributes)
        if not _holds(item.path, item.after, found, ids, equivalences)
    )
    members = _members_left(change.members, now, ids)
    if not different and not members:
        return None
    action = Action.UPDATE if change.action is Action.CREATE else change.action
    return replace(change, action=action, attributes=different, members=members)


def _difference(item: AttributeChange, found: Any, ids: Mapping[str, str]) -> AttributeChange:
    return AttributeChange(item.path, _seen(item, found, ids), item.after)


def _seen(item: AttributeChange, found: Any, ids: Mapping[str, str]) -> Any:
    return _label_of(found, ids) if item.path == MANAGER_PATH else shown(found, item.after)


def judge_configuration(
    attributes: Sequence[AttributeChange], now: LiveConfiguration
) -> tuple[tuple[AttributeChange, ...], tuple[Disagreement, ...]]:
    """The fields of the ServiceProviderConfig that are still to be written, and those that somebody else changed."""
    body = unpack(now.body)
    left: list[AttributeChange] = []
    disagreements: list[Disagreement] = []
    for attribute in attributes:
        found = configuration_value(body, attribute.path)
        if compare(attribute.path, attribute.after, found, {}) is not Equality.DIFFERENT:
            continue
        if compare(attribute.path, attribute.before, found, {}) is not Equality.DIFFERENT:
            left.append(attribute)
        else:
            disagreements.append(Disagreement(attribute.path, attribute.before, found, attribute.after))
    return tuple(left), tuple(disagreements)


def rebased(change: Change, now: LiveUser | LiveGroup) -> Change:
    """The change with the id and the guard of a fresh read."""
    precondition = change.precondition
    if precondition.kind is PreconditionKind.VERSION:
        precondition = (
            Precondition(PreconditionKind.VERSION, now.version)
            if now.version
            else Precondition(PreconditionKind.COMPARE)
        )
    return replace(change, id=now.id, precondition=precondition)


def _judge_creation(
    change: Change, now: LiveUser | LiveGroup | None, ids: Mapping[str, str], equivalences: Equivalences
) -> Judgement:
    if now is None:
        return Rebase(change)
    body = unpack(now.body)
    different = [
        Disagreement(item.path, None, shown(found, item.after), item.after)
        for item, found in ((item, _found(item.path, now, body)) for item in change.attributes)
        if not _holds(item.path, item.after, found, ids, equivalences)
    ]
    if _members_left(change.members, now, ids):
        different.append(Disagreement("members", None, "others", list(change.members.added)))
    return Conflict(tuple(different)) if different else Done()


def _found(path: str, now: LiveUser | LiveGroup, body: Attributes) -> Any:
    if path == MANAGER_PATH:
        return manager_id(body)
    if path == "active" and isinstance(now, LiveUser):
        return now.active is not False  # not returned means active (cxone.md G3)
    return value_at(body, path)


def _before(attribute: AttributeChange, now: LiveUser | LiveGroup) -> Any:
    """What was approved to be there; an `active` that is not returned is true on both sides (cxone.md G3)."""
    if attribute.path == "active" and isinstance(now, LiveUser):
        return attribute.before is not False
    return attribute.before


def _holds(path: str, value: Any, found: Any, ids: Mapping[str, str], equivalences: Equivalences) -> bool:
    if path == MANAGER_PATH:
        return bool((None if value is None else ids.get(value)) == found)
    return compare(path, value, found, equivalences) is not Equality.DIFFERENT


def _label_of(member_id: str | None, ids: Mapping[str, str]) -> str | None:
    if member_id is None:
        return None
    return next((label for label, known in ids.items() if known == member_id), f"id:{member_id}")


def _members_left(members: MembershipChange, now: LiveUser | LiveGroup, ids: Mapping[str, str]) -> MembershipChange:
    """Single memberships never conflict: one that is as wanted is done, the others still apply."""
    if isinstance(now, LiveUser) or now.members is None:
        return members
    present = frozenset(now.members)
    return MembershipChange(
        added=tuple(label for label in members.added if ids.get(label) not in present),
        removed=tuple(label for label in members.removed if ids.get(label) in present),
    )
