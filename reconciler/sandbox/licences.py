"""Licences (cxone.md section 4): whoever is active has one, and there are only so many."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import USER
from reconciler.sandbox.errors import ScimError, not_found
from reconciler.sandbox.store import Record, Store


class Licences:
    """The licences of one tenant. Callers hold the store's lock."""

    def __init__(self, store: Store, config: SandboxConfig) -> None:
        self._store = store
        self._seats = config.seats
        self._keeps = config.quirks.keeps_licences

    def quota(self) -> dict[str, int]:
        """E3: how many there are, and how many of them are assigned."""
        return {"total": self._seats, "used": self._store.licences_used}

    def settle(self, record: Record, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """Assign or release the licence of a user who was written; `before` is None for a new one.

        Raises 403 when the user becomes active and no licence is free.
        """
        was_active, is_active = before is not None and _is_active(before), _is_active(after)
        if is_active and not was_active:
            self._assign(record)
        elif was_active and not is_active and not self._keeps:
            self._store.release_licence(record.seq)

    def release(self, identifier: str) -> None:
        """E4: take the licence from a user; raises 404 for one who has none, and for nobody."""
        record = self._store.find(USER, identifier)
        if record is None or not self._store.release_licence(record.seq):
            raise not_found(f"User {identifier[:200]!r} has no licence")

    def _assign(self, record: Record) -> None:
        if self._store.has_licence(record.seq):
            return
        if self._store.licences_used >= self._seats:
            raise ScimError(HTTPStatus.FORBIDDEN, f"No licence is free: all {self._seats} are assigned")
        self._store.assign_licence(record.seq)


def _is_active(attributes: Mapping[str, Any]) -> bool:
    """Who does not say so is active, too."""
    return attributes.get("active") is not False
