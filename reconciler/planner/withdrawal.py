"""What git declared and does not declare any more: taken back, or left as it is with a word about it (SPEC section 3).

Roles and entitlements lose the values that git stated, and only those. Other optional attributes are cleared where they
still hold what git wrote. What a person cannot do without stays and becomes unmanaged. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.messages.operations import access_values
from reconciler.model.change import AttributeChange
from reconciler.model.dialect import Profile
from reconciler.model.resource import DesiredGroup, DesiredUser, unpack
from reconciler.model.tenant import People
from reconciler.planner.history import Past, found_value
from reconciler.planner.rules import Rules
from reconciler.semantics.canonical import (
    MANAGER_PATH,
    Equality,
    Equivalences,
    compare,
    fold,
    is_unassigned,
    managed_paths,
    shown,
    split_path,
)

ACCESS_PATHS = ("roles", "entitlements")
_NEVER_CLEARED = frozenset({"active", "externalId", "emails"})


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What is taken back, and the paths that git gave up and that keep their values."""

    changes: tuple[AttributeChange, ...] = ()
    kept: tuple[str, ...] = ()


def withdraw(
    desired: DesiredUser | DesiredGroup, found: Mapping[str, Any], pasts: Sequence[Past], rules: Rules
) -> Withdrawn:
    """What a document that git still has does not declare any more."""
    if all(past.document is desired or _says_the_same(past.document, desired) for past in pasts):
        return Withdrawn()
    still = {path for path, _ in managed_paths(unpack(desired.body))}
    if isinstance(desired, DesiredUser) and desired.manager is not None:
        still.add(MANAGER_PATH)
    gone: dict[str, list[Any]] = {}
    for past in pasts:
        for path, value in past.declared.items():
            if path not in still and not is_unassigned(value):
                gone.setdefault(path, []).append(value)
    changes: list[AttributeChange] = []
    kept: list[str] = []
    for path, stated in sorted(gone.items()):
        live = found_value(found, path)
        if path in ACCESS_PATHS:
            changes += _without(path, live, stated, rules.tenant.equivalences)
        elif is_unassigned(live):
            continue
        elif _stays(path, rules):
            kept.append(path)
        elif any(compare(path, value, live, rules.tenant.equivalences) is not Equality.DIFFERENT for value in stated):
            changes.append(AttributeChange(path, shown(live, live), None))
    return Withdrawn(tuple(changes), tuple(kept))


def withdraw_access(
    found: Mapping[str, Any], pasts: Sequence[Past], equivalences: Equivalences
) -> tuple[AttributeChange, ...]:
    """The roles and entitlements that git stated about a person whom it does not declare any more."""
    stated: dict[str, list[Any]] = {path: [] for path in ACCESS_PATHS}
    for past in pasts:
        declared = past.declared
        for path in ACCESS_PATHS:
            stated[path].append(declared.get(path))
    return tuple(
        change for path in ACCESS_PATHS for change in _without(path, found.get(path), stated[path], equivalences)
    )


def _says_the_same(one: DesiredUser | DesiredGroup, other: DesiredUser | DesiredGroup) -> bool:
    if one.body != other.body:
        return False
    managers = [d.manager for d in (one, other) if isinstance(d, DesiredUser)]
    return not managers or managers[0] == managers[-1]


def _without(path: str, live: Any, stated: Iterable[Any], equivalences: Equivalences) -> Iterable[AttributeChange]:
    """The change that drops the stated values from a multi-valued attribute; nothing where none of them is there.

    They are also dropped under the names that the service is known to give them.
    """
    values = frozenset[str]().union(*(access_values(value) for value in stated))
    pairs = equivalences.get(f"{path}.value", ())
    values |= {fold(known) for sent, known in pairs if isinstance(known, str) and fold(str(sent)) in values}
    elements = live if isinstance(live, list) else []
    rest = [element for element in elements if not access_values([element]) & values]
    if len(rest) < len(elements):
        yield AttributeChange(path, shown(live, live), shown(rest, rest))


def _stays(path: str, rules: Rules) -> bool:
    """Whether an attribute that git gave up keeps its value: what a person needs, and what is not ours to clear."""
    if rules.tenant.people is People.EXTERNAL:
        return True
    _, attribute, _ = split_path(path)
    required = rules.tenant.profile is Profile.CXONE and attribute == "name"  # cxone.md section 4
    return path in _NEVER_CLEARED or required
