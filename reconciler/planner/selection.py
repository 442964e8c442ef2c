"""A part of a plan: only what takes access away, or only what is safe while the rest waits (SPEC 7.8). Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from reconciler.messages.operations import access_values, label_of, narrows
from reconciler.model.change import Action, AttributeChange, Change, MembershipChange
from reconciler.model.resource import DesiredGroup, DesiredUser, Membership, ResourceKey
from reconciler.model.state import BaseState, DesiredState
from reconciler.semantics.canonical import fold

_ACCESS = ("roles", "entitlements")

Document = TypeVar("Document", DesiredUser, DesiredGroup)


@dataclass(frozen=True, slots=True)
class Split:
    """Two parts of the same changes; a change may be in both, each with what belongs there."""

    safe: tuple[Change, ...]
    held: tuple[Change, ...]


def revocations(changes: Sequence[Change]) -> tuple[Change, ...]:
    """What takes access away, and nothing else: no deletion, no other attribute, no addition."""
    parts = (_revocation(change) for change in changes)
    return tuple(part for part in parts if part is not None)


def _revocation(change: Change) -> Change | None:
    if change.action in {Action.CREATE, Action.DELETE}:
        return None
    attributes = tuple(_narrowed(attribute) for attribute in change.attributes if narrows(attribute))
    members = MembershipChange(removed=change.members.removed)
    if not attributes and not members:
        return None
    deactivates = any(attribute.path == "active" for attribute in attributes)
    return _part(change, attributes, members, Action.DEACTIVATE if deactivates else Action.UPDATE)


def without(changes: Sequence[Change], digests: Collection[str]) -> tuple[Change, ...]:
    """What is left without the changes that have one of these digests; who is not created joins nothing."""
    missing = {label_of(c.key) for c in changes if c.digest in digests and c.action is Action.CREATE}
    left = (_unjoined(change, missing) for change in changes if change.digest not in digests)
    return tuple(change for change in left if change is not None)


def _unjoined(change: Change, missing: Collection[str]) -> Change | None:
    added = tuple(label for label in change.members.added if label not in missing)
    if added == change.members.added:
        return change
    return _or_nothing(change, change.attributes, replace(change.members, added=added))


def split_safe(changes: Sequence[Change], unsafe: Callable[[Sequence[Change]], Collection[str]]) -> Split:
    """What may go through without any removal, and the rest.

    `unsafe` names, by label, the members whose additions break a policy as long as the removals do not happen; their
    additions wait as well, and where that does not help, all additions do.
    """
    safe = [part for change in changes for part in (_without_removals(change),) if part is not None]
    waiting = unsafe(safe)
    if waiting:
        safe = [part for change in safe for part in (_without_additions(change, waiting),) if part is not None]
        if unsafe(safe):
            safe = [part for change in safe for part in (_without_additions(change, None),) if part is not None]
    kept = {change.key: change for change in safe}
    held = (_rest(change, kept.get(change.key)) for change in changes)
    return Split(tuple(safe), tuple(part for part in held if part is not None))


def _without_removals(change: Change) -> Change | None:
    if change.action in {Action.DEACTIVATE, Action.DELETE}:
        return None
    attributes = tuple(
        kept
        for attribute in change.attributes
        for kept in (_widened(attribute) if narrows(attribute) else attribute,)
        if kept is not None
    )
    return _or_nothing(change, attributes, MembershipChange(added=change.members.added))


def _without_additions(change: Change, labels: Collection[str] | None) -> Change | None:
    """Without what `labels` gain, None meaning everybody; people who are created or changed gain nothing either."""
    added = () if labels is None else tuple(label for label in change.members.added if label not in labels)
    attributes = change.attributes
    if labels is None or label_of(change.key) in labels:
        attributes = tuple(a for a in attributes if a.path not in _ACCESS and change.action is not Action.REACTIVATE)
    if change.action is Action.CREATE:
        return _part(change, attributes, MembershipChange(added=added), change.action)
    return _or_nothing(change, attributes, MembershipChange(added=added, removed=change.members.removed))


def _rest(change: Change, kept: Change | None) -> Change | None:
    """What of a change is not in the part that is kept."""
    if kept is None:
        return change
    paths = {(attribute.path, str(attribute.after)) for attribute in kept.attributes}
    attributes = tuple(a for a in change.attributes if (a.path, str(a.after)) not in paths)
    added = tuple(label for label in change.members.added if label not in kept.members.added)
    members = MembershipChange(added=added, removed=change.members.removed)
    if change.action is Action.CREATE:  # what a create leaves out is planned again once it is there
        return None
    return _or_nothing(change, attributes, members)


def _or_nothing(change: Change, attributes: tuple[AttributeChange, ...], members: MembershipChange) -> Change | None:
    if change.action is not Action.CREATE and not attributes and not members:
        return None
    is_reactivation = any(a.path == "active" and a.after is True for a in attributes)
    action = change.action
    if action is not Action.CREATE:
        deactivates = any(a.path == "active" and a.after is False for a in attributes)
        action = Action.DEACTIVATE if deactivates else Action.REACTIVATE if is_reactivation else Action.UPDATE
    return _part(change, attributes, members, action)


def _part(change: Change, attributes: tuple[AttributeChange, ...], members: MembershipChange, action: Action) -> Change:
    named = {*members.added, *members.removed}
    named |= {value for a in attributes for value in (a.before, a.after) if isinstance(value, str)}
    references = tuple((label, anchor) for label, anchor in change.references if label in named)
    return replace(change, action=action, attributes=attributes, members=members, references=references)


def _narrowed(attribute: AttributeChange) -> AttributeChange:
    """Roles or entitlements as they are, without those that go."""
    if attribute.path == "active":
        return attribute
    staying = access_values(attribute.after)
    return replace(attribute, after=_elements(attribute.before, staying), differences=())


def _widened(attribute: AttributeChange) -> AttributeChange | None:
    """Roles or entitlements as git wants them, with those that are to go; None where nothing is added."""
    before, after = access_values(attribute.before), access_values(attribute.after)
    if attribute.path not in _ACCESS or not after - before:
        return None
    leaving = _elements(attribute.before, before - after) or []
    return replace(attribute, after=[*(attribute.after or []), *leaving], differences=())


def _elements(value: Any, wanted: Collection[str]) -> list[Any] | None:
    found = [element for element in value or [] if access_values([element]) & set(wanted)]
    return found or None


@dataclass(frozen=True, slots=True)
class Sound:
    """What may be revoked from while some documents are invalid: `state` for the plan, and who only stands in.

    Nothing is known of what an invalid document says by now, so `stand_ins`, what git declared before and no sound
    document declares, are there to keep everybody where they are, and are never changed themselves.
    """

    state: DesiredState
    stand_ins: frozenset[ResourceKey]


def with_stand_ins(sound: DesiredState, base: BaseState) -> Sound:
    """The sound documents, with those of the base that are not among them; their absence counts for nothing (SPEC 7.8).

    No group is authoritative: a member whom nobody ever stated may be in a document that is invalid.
    """
    before = base.states[-1] if base.states else DesiredState()
    users, groups = _missing(sound.users, before.users), _missing(sound.groups, before.groups)
    return Sound(
        replace(
            sound,
            users=(*sound.users, *users),
            groups=tuple(replace(group, membership=Membership.ADDITIVE) for group in (*sound.groups, *groups)),
        ),
        frozenset({user.key for user in users} | {group.key for group in groups}),
    )


def _missing(sound: Sequence[Document], before: Sequence[Document]) -> list[Document]:
    names = {fold(name) for d in sound for name in (d.key.name, d.previously) if name is not None}
    external_ids = {d.external_id for d in sound} - {None}
    return [d for d in before if fold(d.key.name) not in names and d.external_id not in external_ids]
