"""Changes to the members of one group, kept as a difference so that a small change to a big group stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reconciler.sandbox.definitions import KINDS
from reconciler.sandbox.errors import invalid_value
from reconciler.sandbox.store import MemberRow, Record, Store
from reconciler.sandbox.validation import Member


class MemberEdit:
    """The members of a group as they will be: what is stored, what was added to it and what was taken away."""

    def __init__(self, store: Store, group_seq: int | None) -> None:
        """`group_seq` is None for a group that is not stored yet."""
        self._store = store
        self._group_seq = group_seq
        self._cleared = False
        self._added: dict[int, str | None] = {}
        self._removed: set[int] = set()

    def add(self, members: Iterable[Member]) -> None:
        """Add members; whoever is one already stays one, unchanged, since nothing inside an element can change."""
        for row, display in self._resolve(list(members)):
            if self._is_stored(row.seq):
                self._removed.discard(row.seq)
            else:
                self._added.setdefault(row.seq, display)

    def remove(self, identifiers: Iterable[str]) -> int:
        """Remove members by id and say how many there were; who is no member is no error."""
        rows = self._store.find_members(identifiers).values()
        present = [row.seq for row in rows if self._contains(row.seq)]
        for seq in present:
            self._added.pop(seq, None)
            if self._is_stored(seq):
                self._removed.add(seq)
        return len(present)

    def clear(self) -> None:
        """Remove everybody."""
        self._cleared = True
        self._added.clear()
        self._removed.clear()

    def matching(self, predicate: Callable[[dict[str, Any]], bool]) -> list[str]:
        """The ids of the members whose elements satisfy a filter."""
        return [element["value"] for element in self._elements() if predicate(element)]

    def difference(self) -> tuple[dict[int, str | None], set[int]]:
        """What has to be added to (with the name to show) and removed from what is stored."""
        if not self._cleared:
            return self._added, self._removed
        stored = {} if self._group_seq is None else self._store.members(self._group_seq)
        added = {seq: display for seq, display in self._added.items() if seq not in stored}
        return added, stored.keys() - self._added.keys()

    def _resolve(self, members: list[Member]) -> list[tuple[MemberRow, str | None]]:
        found = self._store.find_members(member.id for member in members)
        missing = sorted({member.id for member in members} - found.keys())
        if missing:
            named = ", ".join(repr(identifier[:100]) for identifier in missing[:10])
            raise invalid_value(f"members: no user or group has the id {named}")
        return [(self._checked(member, found[member.id]), member.display) for member in members]

    def _checked(self, member: Member, row: MemberRow) -> MemberRow:
        if member.type is not None and member.type.lower() != row.kind.lower():
            raise invalid_value(f"members: {row.id!r} is a {row.kind}, not a {member.type[:100]}")
        if row.seq == self._group_seq:
            raise invalid_value(f"members: {row.id!r} is the group itself")
        return row

    def _contains(self, seq: int) -> bool:
        return seq in self._added or (seq not in self._removed and self._is_stored(seq))

    def _is_stored(self, seq: int) -> bool:
        """Whether the stored group has the member, as far as that still counts."""
        return self._group_seq is not None and not self._cleared and self._store.is_member(self._group_seq, seq)

    def _elements(self) -> list[dict[str, Any]]:
        stored = {} if self._cleared or self._group_seq is None else self._store.members(self._group_seq)
        displays = {seq: display for seq, display in (stored | self._added).items() if seq not in self._removed}
        return [_element(record, displays[record.seq]) for record in self._store.records(sorted(displays))]


def _element(record: Record, display: str | None) -> dict[str, Any]:
    content = record.attributes()
    return {
        "value": record.id,
        "$ref": f"{KINDS[record.kind].endpoint}/{record.id}",
        "type": record.kind,
        "display": display or content.get("displayName") or content.get("userName"),
    }
