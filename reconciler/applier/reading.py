"""Read touched resources again: for the proof, and wherever an outcome is not known (SPEC P5, P8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind, LiveConfiguration, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import LiveState
from reconciler.planner.estimate import verification_requests
from reconciler.planner.matching import identifiers_of, matching_creation
from reconciler.semantics.canonical import Equivalences

ReadList = Callable[[Kind, LiveState], LiveState | None]
"""Reads one whole list again into a snapshot; None where the list cannot be had completely."""


class Reader(Protocol):
    """What reading again needs of a service; `ScimClient` is one."""

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002 -- the RFC's word
        """One resource, or None."""

    def find(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        """The resources whose attribute really equals the value."""

    def get_configuration(self) -> LiveConfiguration | None:
        """The ServiceProviderConfig, or None."""


@dataclass(frozen=True, slots=True)
class Rereader:
    """Reads changed resources again in as few requests as possible."""

    reader: Reader
    read_list: ReadList
    page: int
    equivalences: Equivalences

    def now(self, change: Change, known_id: str | None) -> LiveUser | LiveGroup | None:
        """The resource of one change as it is now; a create without a known id is looked up by what identifies it."""
        kind = change.key.kind
        if known_id is not None:
            return self.reader.get(kind, known_id)
        for attribute, value in identifiers_of(change, self.equivalences) if change.action is Action.CREATE else ():
            found = matching_creation(change, self.reader.find(kind, attribute, value), self.equivalences)
            if found is not None:
                return found if kind is Kind.USER else self.reader.get(kind, found.id)
        return None

    def refreshed(self, changes: Sequence[Change], ids: Mapping[ResourceKey, str], live: LiveState) -> LiveState:
        """The snapshot with every changed resource read again: one list read or single GETs, whichever is less."""
        for kind in (Kind.USER, Kind.GROUP):
            touched = [change for change in changes if change.key.kind is kind]
            if not touched:
                continue
            listed = None
            if verification_requests(kind, touched, live, self.page) < len(touched):
                listed = self.read_list(kind, live)
            live = listed if listed is not None else self._single(kind, touched, ids, live)
        return live

    def _single(
        self, kind: Kind, changes: Sequence[Change], ids: Mapping[ResourceKey, str], live: LiveState
    ) -> LiveState:
        users: dict[str, LiveUser | None] = {}
        groups: dict[str, LiveGroup | None] = {}
        for change in changes:
            known_id = ids.get(change.key, change.id)
            now = self.now(change, known_id)
            identifier = now.id if now is not None else known_id
            if identifier is None:
                continue
            if isinstance(now, LiveGroup) or (now is None and kind is Kind.GROUP):
                groups[identifier] = now
            else:
                users[identifier] = now
        return live.updated(users=users, groups=groups)
