"""What a service made of a value, as pairs for `equivalences` in tenant.yaml (SPEC section 4). Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.semantics.canonical import Equality, Equivalences, compare, is_unassigned, unmatched

MOST_CHARACTERS = 256
"""Longer texts are no line that anybody reads in tenant.yaml."""

_LARGEST = 2**53
"""Beyond this not every reader of JSON and YAML has whole numbers."""

_PATH = re.compile(r"[A-Za-z$][A-Za-z0-9$_.:-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


def learn(path: str, wanted: Any, found: Any, known: Equivalences) -> dict[str, tuple[tuple[Any, Any], ...]]:
    """The pairs (sent, stored) with which `found` counts as what git wants; none where pairs cannot say that.

    They are tried before they are returned: with them and those `known` already, `compare` finds no difference.
    """
    learned: dict[str, tuple[tuple[Any, Any], ...]] = {}
    for place, sent, stored in _proposed(path, wanted, found, known):
        if not _PATH.fullmatch(place) or not _is_plain(sent) or not _is_plain(stored):
            return {}
        learned[place] = (*learned.get(place, ()), (sent, stored))
    if not learned or compare(path, wanted, found, merged(known, learned)) is Equality.DIFFERENT:
        return {}
    return learned


def merged(known: Equivalences, learned: Equivalences) -> dict[str, tuple[tuple[Any, Any], ...]]:
    """Both together, each pair once, those known first."""
    together = {path: tuple(pairs) for path, pairs in known.items()}
    for path, pairs in learned.items():
        there = together.get(path, ())
        together[path] = (*there, *(pair for pair in dict.fromkeys(pairs) if pair not in there))
    return together


def stored_as(path: str, value: str, equivalences: Equivalences) -> tuple[str, ...]:
    """The texts under which this service may hold a name or externalId of git: itself, and what it is known to make."""
    pairs = equivalences.get(path, ())
    return (value, *(stored for sent, stored in pairs if sent == value and isinstance(stored, str)))


def is_alike(one: Any, other: Any) -> bool:
    """Whether two texts differ in case, blanks and punctuation only: one is the other in a tidier spelling."""
    return isinstance(one, str) and isinstance(other, str) and core(one) == core(other) != ""


def core(text: str) -> str:
    """The letters and digits of a text without case: what stays when a service tidies it."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _is_plain(value: Any) -> bool:
    """Whether a value can stand in a pair: a short text, a whole number, a boolean, or nothing."""
    if isinstance(value, str):
        return len(value) <= MOST_CHARACTERS and not _SURROGATE.search(value)
    return value is None or (isinstance(value, int) and abs(value) <= _LARGEST)


def _proposed(path: str, wanted: Any, found: Any, known: Equivalences) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(wanted, list):
        yield path, wanted, found
        return
    missing, surplus = unmatched(path, wanted, found if isinstance(found, list) else [], known)
    if len(missing) != len(surplus):
        return
    for element in missing:
        counterpart = max(surplus, key=lambda candidate: _likeness(element, candidate))
        surplus.remove(counterpart)
        yield from _proposed_for_element(path, element, counterpart, known)


def _likeness(element: Any, candidate: Any) -> tuple[int, int]:
    """How many sub-attributes are equal, and how many nearly so."""
    pairs = list(_sub_attributes(element, candidate))
    return sum(one == other for _, one, other in pairs), sum(is_alike(one, other) for _, one, other in pairs)


def _sub_attributes(element: Any, candidate: Any) -> Sequence[tuple[str, Any, Any]]:
    if isinstance(element, Mapping) and isinstance(candidate, Mapping):
        return [(name, value, candidate.get(name)) for name, value in element.items()]
    return [("", element, candidate)]


def _proposed_for_element(
    path: str, element: Any, counterpart: Any, known: Equivalences
) -> Iterator[tuple[str, Any, Any]]:
    for name, sent, stored in _sub_attributes(element, counterpart):
        place = f"{path}.{name}" if name else path
        if sent is False and name == "primary" and is_unassigned(stored):
            continue
        if compare(place, sent, stored, known) is Equality.DIFFERENT:
            yield place, sent, stored
