"""Separation of duties: which exclusive sets somebody holds more than one of. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.model.state import Exclusive
from reconciler.semantics.canonical import fold


def held_of(exclusive: Exclusive, *, roles: Collection[str], groups: Collection[str]) -> tuple[str, ...]:
    """What somebody holds of one exclusive set, as `role:<value>` and `group:<displayName>`, sorted.

    `roles` and `groups` are folded; more than one entry is a violation.
    """
    held = {f"role:{role}" for role in exclusive.roles if fold(role) in roles}
    held |= {f"group:{group}" for group in exclusive.groups if fold(group) in groups}
    return tuple(sorted(held))


def violations(
    exclusives: Iterable[Exclusive], *, roles: Collection[str], groups: Collection[str]
) -> tuple[tuple[Exclusive, tuple[str, ...]], ...]:
    """Every exclusive set of which more than one is held, with what is held."""
    found = ((exclusive, held_of(exclusive, roles=roles, groups=groups)) for exclusive in exclusives)
    return tuple((exclusive, held) for exclusive, held in found if len(held) > 1)
