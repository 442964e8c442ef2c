"""The plan of now and the plans that were approved -> what may be executed, what waits for a word (SPEC 7.3). Pure.

What may be executed is what stands in an approved plan, or is what is left of it: for the same resource by its anchor,
the same value to write, a member who was approved to join or to leave. Everything else is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.messages.operations import label_of
from reconciler.model.change import Action, AttributeChange, Change, MembershipChange
from reconciler.model.outcome import ChangeResult, Outcome
from reconciler.model.plan import Plan
from reconciler.model.resource import Kind
from reconciler.semantics.canonical import fold

NOT_APPROVED = "this was not part of what was approved"

_ANSWERED = {Action.CREATE: Action.CREATE, Action.DELETE: Action.DELETE}


@dataclass(frozen=True, slots=True)
class Parts:
    """`changes` were approved, `held` are outcomes for what was not; a change may be in both, in parts."""

    changes: tuple[Change, ...]
    held: tuple[ChangeResult, ...]


def within_approval(changes: Sequence[Change], plans: Sequence[Plan]) -> Parts:
    """Split the changes of now by what the plans approve; several plans approve together."""
    approvals = _Approvals(plans)
    approvals.wait_for(change for change in changes if change.action is Action.CREATE)
    kept: list[Change] = []
    held: list[ChangeResult] = []
    for change in changes:
        approved, rest = approvals.split(change)
        kept += [approved] if approved is not None else []
        if rest is not None:
            held.append(
                ChangeResult(change=rest, outcome=Outcome.NOT_ATTEMPTED, id=rest.id, cause=NOT_APPROVED, held=True)
            )
    return Parts(tuple(kept), tuple(held))


class _Approvals:
    """The approved changes by what they are about."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._by_anchor: dict[tuple[Kind, str], list[Change]] = {}
        self._creates: dict[tuple[Kind, str], list[Change]] = {}
        self._not_there: frozenset[str] = frozenset()
        for change in (change for plan in plans for change in plan.changes):
            kind = change.key.kind
            if change.action is not Action.CREATE:
                self._by_anchor.setdefault((kind, change.anchor or ""), []).append(change)
                continue
            self._creates.setdefault((kind, fold(change.key.name)), []).append(change)
            external_id = _stated_external_id(change)
            if external_id is not None:  # what it made meanwhile goes on under the same approval
                self._by_anchor.setdefault((kind, external_id), []).append(change)

    def wait_for(self, creates: Iterable[Change]) -> None:
        """Whoever is not created joins nothing: their memberships wait with the creates that nobody approved."""
        self._not_there = frozenset(label_of(change.key) for change in creates if self.split(change)[0] is None)

    def split(self, change: Change) -> tuple[Change | None, Change | None]:
        """The approved part of a change, and the rest."""
        found = self._about(change)
        whole = _ANSWERED.get(change.action)
        if whole is not None and not any(approved.action is whole for approved in found):
            return None, change
        attributes = [(item, _is_approved(item, change, found)) for item in change.attributes]
        if change.action is Action.CREATE and not all(approved for _, approved in attributes):
            return None, change  # somebody else than the one who was approved
        joins = [label for label in change.members.added if label not in self._not_there]
        added = [(label, label in joins and self._may_join(label, change, found)) for label in change.members.added]
        removed = [(label, _may_leave(label, change, found)) for label in change.members.removed]
        parts = [
            _part(
                change,
                tuple(item for item, approved in attributes if approved is wanted),
                added=tuple(label for label, approved in added if approved is wanted),
                removed=tuple(label for label, approved in removed if approved is wanted),
            )
            for wanted in (True, False)
        ]
        if whole is not None:  # the resource itself was approved
            bare = replace(change, members=MembershipChange(added=tuple(label for label, ok in added if ok)))
            return bare if change.action is Action.CREATE else change, _only_members(parts[1])
        return parts[0], parts[1]

    def _about(self, change: Change) -> Sequence[Change]:
        if change.action is Action.CREATE:
            return self._creates.get((change.key.kind, fold(change.key.name)), [])
        return self._by_anchor.get((change.key.kind, change.anchor or ""), [])

    def _may_join(self, label: str, change: Change, found: Iterable[Change]) -> bool:
        anchor = dict(change.references).get(label)
        for approved in found:
            if label not in approved.members.added:
                continue
            known = dict(approved.references).get(label)
            if known == anchor or (known is None and anchor is not None and self._made(label, anchor)):
                return True
        return False

    def _made(self, label: str, anchor: str) -> bool:
        """Whether the live resource with this anchor is what an approved create of that name made."""
        kind = Kind.GROUP if label.startswith("group:") else Kind.USER
        name = label.removeprefix("group:" if kind is Kind.GROUP else "user:")
        created = self._creates.get((kind, fold(name)), ())
        return any(_stated_external_id(approved) == anchor for approved in created)


def _is_approved(item: AttributeChange, change: Change, found: Iterable[Change]) -> bool:
    """Whether writing this value was approved; a person or group that it names must be the same one."""
    named = dict(change.references)
    for approved in found:
        known = dict(approved.references)
        for other in approved.attributes:
            if other.path == item.path and other.after == item.after:
                label = item.after if isinstance(item.after, str) and item.after in named else None
                if label is None or known.get(label) in {None, named[label]}:
                    return True
    return False


def _may_leave(label: str, change: Change, found: Iterable[Change]) -> bool:
    anchor = dict(change.references).get(label)
    return any(label in c.members.removed and dict(c.references).get(label) == anchor for c in found)


def _part(
    change: Change, attributes: tuple[AttributeChange, ...], *, added: tuple[str, ...], removed: tuple[str, ...]
) -> Change | None:
    members = MembershipChange(added=added, removed=removed)
    if not attributes and not members:
        return None
    action = change.action
    if action in {Action.DEACTIVATE, Action.REACTIVATE} and all(item.path != "active" for item in attributes):
        action = Action.UPDATE
    named = {*added, *removed, *_labels(attributes, dict(change.references))}
    references = tuple((label, anchor) for label, anchor in change.references if label in named)
    return replace(change, action=action, attributes=attributes, members=members, references=references)


def _labels(attributes: Iterable[AttributeChange], named: Mapping[str, str | None]) -> Iterator[str]:
    for item in attributes:
        for value in (item.before, item.after):
            if isinstance(value, str) and value in named:
                yield value


def _only_members(part: Change | None) -> Change | None:
    return part if part is not None and part.members else None


def _stated_external_id(change: Change) -> str | None:
    return next((a.after for a in change.attributes if a.path == "externalId" and isinstance(a.after, str)), None)
