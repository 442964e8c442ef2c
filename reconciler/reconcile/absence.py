"""Proof that nobody is there, one look-up at a time, where a list does not give it (SPEC P4).

A look-up proves something only where the same look-up finds who is known to be there: some services answer a filter
they do not support with nothing (scim-rfc.md Q10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind, LiveGroup, LiveUser
from reconciler.model.state import LiveState
from reconciler.planner.matching import identifiers_of
from reconciler.report.values import many
from reconciler.scim.client import REFUSES_FILTER
from reconciler.semantics.canonical import Equivalences

MOST_LOOKUPS = 1000
"""Requests that looking up may take; a plan with more creates than that is refused."""

_UNSAFE = frozenset('"\\')
"""Characters that not every service unescapes in a filter (scim-rfc.md Q10)."""


class Lookups(Protocol):
    """What looking up needs of a service; `ScimClient` is one."""

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002 -- the RFC's word
        """One resource, or None."""

    def find(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        """The resources whose attribute really equals the value."""


def look_up_creates(
    service: Lookups, changes: Sequence[Change], live: LiveState, equivalences: Equivalences
) -> LiveState:
    """The snapshot with every create looked up whose list is not complete; unchanged where all lists are.

    What is found joins the snapshot, what is proven absent is in `proven_absent`, and a note tells the rest. Creates
    that cannot be looked up stay unproven: the guard `incomplete-inventory` refuses them.

    Raises:
        ScimError: the service does not answer, or refuses the credentials.

    """
    creates = [
        change
        for change in changes
        if change.action is Action.CREATE
        and change.key.kind is not Kind.SERVICE_PROVIDER_CONFIG
        and not live.certificate(change.key.kind).complete
    ]
    if not creates:
        return live
    identifiers = {change.key: identifiers_of(change, equivalences) for change in creates}
    if sum(map(len, identifiers.values())) > MOST_LOOKUPS:
        note = f"{many(len(creates), 'create')} cannot be looked up one by one: more than {MOST_LOOKUPS:,} requests"
        return replace(live, notes=(*live.notes, note))
    search = _Search(service, live)
    absent = [key for key, known_by in identifiers.items() if search.proves_absent(key.kind, known_by)]
    found = many(len(search.users) + len(search.groups), "resource")
    note = (
        f"lists are not complete: {len(absent)} of {many(len(creates), 'create')} proven by look-ups of their own, "
        f"{found} found that lists do not show ({many(search.requests, 'request')})"
    )
    found_too = live.updated(users=search.users, groups=search.groups)
    return replace(found_too, proven_absent=frozenset(absent), notes=(*live.notes, *search.notes, note))


@dataclass(slots=True)
class _Search:
    """Looks up one create after the other, and remembers by which attributes that works."""

    service: Lookups
    live: LiveState
    users: dict[str, LiveUser | None] = field(default_factory=dict)
    groups: dict[str, LiveGroup | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    requests: int = 0
    works: dict[tuple[Kind, str], bool] = field(default_factory=dict)

    def proves_absent(self, kind: Kind, identifiers: Sequence[tuple[str, str]]) -> bool:
        """Whether every look-up of a create works and finds nobody; whoever is found is kept."""
        proven = True
        for attribute, value in identifiers:
            if not self._works(kind, attribute) or not _UNSAFE.isdisjoint(value):
                proven = False
                continue
            found = self._find(kind, attribute, value)
            proven = proven and found == ()
            for resource in found or ():
                self._keep(resource)
        return proven

    def _works(self, kind: Kind, attribute: str) -> bool:
        """Whether somebody who is there is found by an attribute, names also in another case (RFC 7643 section 4.1)."""
        if (kind, attribute) not in self.works:
            self.works[kind, attribute] = self._try(kind, attribute)
        return self.works[kind, attribute]

    def _try(self, kind: Kind, attribute: str) -> bool:
        witness = _witness(kind, attribute, self.live)
        if witness is None:
            self.notes.append(f"no {kind.value} is known by whom to try whether look-ups by {attribute} work")
            return False
        id_, value = witness
        found = self._find(kind, attribute, value if attribute == "externalId" else value.swapcase())
        if found is not None and any(resource.id == id_ for resource in found):
            return True
        self.notes.append(f"look-ups of a {kind.value} by {attribute} do not find who is there")
        return False

    def _find(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...] | None:
        """Who is found; None where the service does not filter, or shows only a part."""
        self.requests += 1
        try:
            return self.service.find(kind, attribute, value)
        except ScimMalformed:
            return None
        except ScimRejected as rejected:
            if rejected.status not in REFUSES_FILTER:
                raise
            return None

    def _keep(self, resource: LiveUser | LiveGroup) -> None:
        if isinstance(resource, LiveUser):
            self.users.setdefault(resource.id, resource)
        elif resource.id not in self.groups:
            self.requests += 1
            read = self.service.get(Kind.GROUP, resource.id)  # a list need not show members
            self.groups[resource.id] = read if isinstance(read, LiveGroup) else resource


def _witness(kind: Kind, attribute: str, live: LiveState) -> tuple[str, str] | None:
    """Somebody who was read, with a value that every service can filter by."""
    resources = live.users.values() if kind is Kind.USER else live.groups.values()
    return next(
        (
            (resource.id, value)
            for resource in resources
            if (value := _value(resource, attribute)) and value.isascii() and value.isprintable()
            if _UNSAFE.isdisjoint(value)
        ),
        None,
    )


def _value(resource: LiveUser | LiveGroup, attribute: str) -> str | None:
    if attribute == "externalId":
        return resource.external_id
    return resource.user_name if isinstance(resource, LiveUser) else resource.display_name
