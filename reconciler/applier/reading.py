"""Read touched resources again: for the proof, and wherever an outcome is not known (SPEC P5, P8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.change import Action, Change
from reconciler.model.dialect import Dialect
from reconciler.model.resource import Kind, LiveConfiguration, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import LiveState
from reconciler.planner.estimate import verification_requests
from reconciler.planner.matching import identifiers_of, matching_creation
from reconciler.scim.client import REFUSES_FILTER
from reconciler.semantics.canonical import Equivalences, fold
from reconciler.semantics.equivalences import stored_as

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


class _NoLookUp(Exception):
    """The service cannot be asked for one resource by what identifies it; `cause` is what it answered."""

    def __init__(self, cause: ScimMalformed | ScimRejected) -> None:
        super().__init__(cause.message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Rereader:
    """Reads changed resources again in as few requests as possible."""

    reader: Reader
    read_list: ReadList
    page: int
    equivalences: Equivalences
    dialect: Dialect

    def now(
        self, change: Change, known_id: str | None, seen: LiveUser | LiveGroup | None = None
    ) -> LiveUser | LiveGroup | None:
        """The resource of one change as it is now. A create whose id is not known is found by `created`.

        `seen` is the resource as it was read or written last. Where users are addressed by userName (cxone.md D16) it
        tells the name to try first; without it that is the name git wants. Who has another id by now is somebody else.
        """
        kind = change.key.kind
        if known_id is None:
            return None
        if kind is not Kind.USER or self.dialect.user_key == "id":
            return self.reader.get(kind, known_id)
        named = (self.reader.get(kind, name) for name in self._names(change, seen))
        return next((user for user in named if user is not None and user.id == known_id), None)

    def created(self, change: Change, live: LiveState) -> LiveUser | LiveGroup | None:
        """What a create made, whose id the service did not tell; read from the list where it cannot be looked up."""
        fresh = self.refreshed([change], {}, live)
        if change.key.kind is Kind.USER:
            return matching_creation(change, tuple(fresh.users.values()), self.equivalences)
        return matching_creation(change, tuple(fresh.groups.values()), self.equivalences)

    def _found(self, change: Change) -> LiveUser | LiveGroup | None:
        """A create looked up by what identifies it."""
        kind = change.key.kind
        for attribute, value in identifiers_of(change, self.equivalences) if change.action is Action.CREATE else ():
            found = matching_creation(change, self._look_up(kind, attribute, value), self.equivalences)
            if found is not None:
                return found if kind is Kind.USER else self.reader.get(kind, found.id)
        return None

    def _look_up(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        try:
            return self.reader.find(kind, attribute, value)
        except ScimMalformed as error:
            raise _NoLookUp(error) from error
        except ScimRejected as error:
            if error.status not in REFUSES_FILTER:
                raise
            raise _NoLookUp(error) from error

    def refreshed(self, changes: Sequence[Change], ids: Mapping[ResourceKey, str], live: LiveState) -> LiveState:
        """The snapshot with every changed resource read again: one list read or single GETs, whichever is less."""
        for kind in (Kind.USER, Kind.GROUP):
            touched = [change for change in changes if change.key.kind is kind]
            if not touched:
                continue
            listed = None
            if verification_requests(kind, touched, live, self.page) < len(touched):
                listed = self.read_list(kind, live)
            if listed is not None and kind is Kind.GROUP and _hides_who_joined(listed, touched):
                listed = None
            live = listed if listed is not None else self._single(kind, touched, ids, live)
        return live

    def _single(
        self, kind: Kind, changes: Sequence[Change], ids: Mapping[ResourceKey, str], live: LiveState
    ) -> LiveState:
        """Each by itself; creates whose ids are not known by the list, where the service cannot look them up."""
        try:
            return self._each(kind, changes, ids, live)
        except _NoLookUp as error:
            listed = self.read_list(kind, live)
            if listed is None:
                raise error.cause from error
            return listed

    def _each(
        self, kind: Kind, changes: Sequence[Change], ids: Mapping[ResourceKey, str], live: LiveState
    ) -> LiveState:
        users: dict[str, LiveUser | None] = {}
        groups: dict[str, LiveGroup | None] = {}
        for change in changes:
            known_id = ids.get(change.key, change.id)
            now = self._found(change) if known_id is None else self.now(change, known_id)
            identifier = now.id if now is not None else known_id
            if identifier is None:
                continue
            if isinstance(now, LiveGroup) or (now is None and kind is Kind.GROUP):
                groups[identifier] = now
            else:
                users[identifier] = now
        return live.updated(users=users, groups=groups)

    def _names(self, change: Change, seen: LiveUser | LiveGroup | None) -> Iterable[str]:
        """The names that a user may have while a change is carried out, the most probable first."""
        names = [seen.user_name] if isinstance(seen, LiveUser) else []
        names += reversed(stored_as("userName", change.key.name, self.equivalences))
        names += [str(a.before) for a in change.attributes if a.path == "userName" and a.before]
        tried: dict[str, str] = {}
        for name in names:
            tried.setdefault(fold(name), name)
        return tried.values()


def _hides_who_joined(listed: LiveState, changes: Iterable[Change]) -> bool:
    """Whether somebody was added to a group, and the list shows nobody in any: it may not show members at all."""
    return any(change.members.added for change in changes) and not any(g.members for g in listed.groups.values())
