"""One canonical form for all sides: when two values mean the same, and what a managed difference is.

Rules of scim-rfc.md sections 1 and 3. Unassigned, null, [] and {} are one state. A multi-valued attribute is one
value, a set; its elements are compared by the sub-attributes that git states. Everything here is a pure function.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from reconciler.model.change import AttributeChange
from reconciler.model.resource import ENTERPRISE_SCHEMA

MANAGER_PATH = f"{ENTERPRISE_SCHEMA}:manager"

Equivalences = Mapping[str, Sequence[tuple[Any, Any]]]
"""Per attribute path, the pairs (sent, stored) of plain values: what this service is known to make of what is sent.

Paths are those of `managed_paths`, and `<path>.<sub-attribute>` in the elements of a multi-valued attribute.
"""

_IDENTIFIER_PATHS = frozenset({"userName", "emails.value", "roles.value", "entitlements.value"})
"""Differences in case only are cosmetic here: reported, not written (scim-rfc.md 3, rule 2)."""

_CASE_BLIND_PATHS = frozenset({"preferredLanguage", "locale", "timezone"})

_SERVER_DERIVED = ("$ref", "display")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_PHONE_NOISE = str.maketrans("", "", " -.()/")


class Equality(Enum):
    """How two values of one attribute compare. COSMETIC is a difference that is not worth a write."""

    SAME = "same"
    COSMETIC = "cosmetic"
    DIFFERENT = "different"


def fold(name: str) -> str:
    """The form in which userNames and group names are matched: NFC, casefolded (SPEC section 3)."""
    if name.isascii():
        lowered = name.lower()
        return name if lowered == name else lowered  # one string less for each of a hundred thousand names
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_unassigned(value: Any) -> bool:
    """Whether a value is one of the spellings of "not there" (RFC 7643 s2.5; "" because servers store it as null)."""
    return value is None or value == "" or (isinstance(value, list | dict) and not value)


def managed_paths(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every managed (path, value) of a body in wire shape.

    Complex attributes yield their sub-attributes, extensions their attributes by full URN path; null stands for "must
    be empty".
    """
    for name, value in attributes.items():
        if not isinstance(value, dict):
            yield name, value
        elif ":" in name:
            for sub, item in value.items():
                yield from _complex_paths(f"{name}:{sub}", item)
        else:
            yield from _complex_paths(name, value)


def _complex_paths(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for sub, item in value.items():
            yield f"{path}.{sub}", item
    else:
        yield path, value


def split_path(path: str) -> tuple[str | None, str, str | None]:
    """(URN or None, attribute, sub-attribute or None) of a path; a URN holds colons and dots itself (RFC 7644 3.10)."""
    urn, attribute = None, path
    if ":" in path:
        urn, _, attribute = path.rpartition(":")
        if not attribute or attribute[0].isdigit():  # `urn:...:2.0:User` itself is a container, not an attribute of it
            return path, "", None
    attribute, _, sub = attribute.partition(".")
    return urn, attribute, sub or None


def value_at(attributes: Mapping[str, Any], path: str) -> Any:
    """The value at a managed path, or None where it is unassigned."""
    if path in attributes:
        return attributes[path]
    urn, name, sub = split_path(path)
    container: Any = attributes if urn is None else attributes.get(urn)
    if not isinstance(container, Mapping):
        return None
    value = container.get(name)
    if sub is None:
        return value
    return value.get(sub) if isinstance(value, Mapping) else None


def manager_id(body: Mapping[str, Any]) -> str | None:
    """The id of a live user's manager: `{value: id}`, or a bare id as some services send it."""
    manager = value_at(body, MANAGER_PATH)
    if isinstance(manager, dict):
        manager = manager.get("value")
    return manager if isinstance(manager, str) and manager else None


def set_at(attributes: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a managed path, or remove it where the value is unassigned; empty containers go too."""
    urn, name, sub = split_path(path)
    if path in attributes or not name:
        _set(attributes, path, value)
        return
    if urn is None:
        _set_in(attributes, name, sub, value)
        return
    container = dict(attributes.get(urn) or {})
    _set_in(container, name, sub, value)
    _set(attributes, urn, container)


def _set_in(container: dict[str, Any], name: str, sub: str | None, value: Any) -> None:
    if sub is None:
        _set(container, name, value)
        return
    old = container.get(name)
    inner = dict(old) if isinstance(old, Mapping) else {}
    _set(inner, sub, value)
    _set(container, name, inner)


def _set(container: dict[str, Any], name: str, value: Any) -> None:
    if is_unassigned(value):
        container.pop(name, None)
    else:
        container[name] = value


def diff_attributes(
    desired: Mapping[str, Any], live: Mapping[str, Any], equivalences: Equivalences
) -> tuple[list[AttributeChange], list[str]]:
    """The managed attributes in which live differs from desired, and the paths that differ cosmetically only."""
    changes: list[AttributeChange] = []
    cosmetic: list[str] = []
    for path, wanted in managed_paths(desired):
        found = value_at(live, path)
        if wanted == found and type(wanted) is type(found) and not isinstance(wanted, list):
            continue  # by far the most common case
        equality = compare(path, wanted, found, equivalences)
        if equality is Equality.DIFFERENT:
            changes.append(AttributeChange(path, shown(found, wanted), shown(wanted, wanted)))
        elif equality is Equality.COSMETIC:
            cosmetic.append(path)
    return changes, cosmetic


def compare(path: str, wanted: Any, found: Any, equivalences: Equivalences) -> Equality:
    """How the value git wants compares with the one found, by the rules of the attribute at `path`."""
    if any(_is(wanted, sent) and _is(found, stored) for sent, stored in equivalences.get(path, ())):
        return Equality.SAME
    if is_unassigned(wanted):
        return Equality.SAME if is_unassigned(found) else Equality.DIFFERENT
    if isinstance(wanted, list):
        if wanted == found:
            return Equality.SAME
        return _compare_multi_valued(path, wanted, found if isinstance(found, list) else _as_list(found), equivalences)
    return _compare_single(path, wanted, found)


def _is(value: Any, stated: Any) -> bool:
    """Whether a value is the one an equivalence states: exactly, except that nothing has several spellings."""
    if is_unassigned(stated):
        return is_unassigned(value)
    return type(value) is type(stated) and bool(_composed(value) == _composed(stated))


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _as_list(value: Any) -> list[Any]:
    return [] if is_unassigned(value) else [value]


def _compare_single(path: str, wanted: Any, found: Any) -> Equality:
    if isinstance(wanted, bool):
        return Equality.SAME if wanted is _as_boolean(found) else Equality.DIFFERENT
    if isinstance(wanted, Mapping):
        return Equality.SAME if isinstance(found, Mapping) and _plain(wanted) == _plain(found) else Equality.DIFFERENT
    if not isinstance(wanted, str) or not isinstance(found, str):
        same = wanted == found and not isinstance(found, bool)
        return Equality.SAME if same else Equality.DIFFERENT
    return _compare_text(path, wanted, found)


def _as_boolean(value: Any) -> Any:
    """Some services spell booleans as strings (scim-rfc.md Q2)."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return value


def _compare_text(path: str, wanted: str, found: str) -> Equality:
    wanted, found = unicodedata.normalize("NFC", wanted), unicodedata.normalize("NFC", found)
    if wanted == found:
        return Equality.SAME
    if path in _IDENTIFIER_PATHS and fold(wanted) == fold(found):
        return Equality.COSMETIC
    if path.endswith(".type") and fold(wanted) == fold(found):
        return Equality.SAME
    if path in _CASE_BLIND_PATHS and fold(wanted).replace("_", "-") == fold(found).replace("_", "-"):
        return Equality.SAME
    if path == "phoneNumbers.value" and _phone(wanted) == _phone(found):
        return Equality.SAME
    if path == "x509Certificates.value" and wanted.rstrip("=") == found.rstrip("="):
        return Equality.SAME
    if _DATE_TIME.match(wanted) and _DATE_TIME.match(found) and _instant(wanted) == _instant(found):
        return Equality.SAME
    return Equality.DIFFERENT


def _phone(value: str) -> str:
    return value.removeprefix("tel:").translate(_PHONE_NOISE)


def _instant(value: str) -> datetime | str:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value


def _plain(value: Any) -> Any:
    """A value for whole comparison: unassigned members dropped, lists as sorted sets."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not is_unassigned(item)}
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=_sort_key)
    return value


def _sort_key(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _compare_multi_valued(
    path: str, wanted: Sequence[Any], found: Sequence[Any], equivalences: Equivalences
) -> Equality:
    """A bijection between two sets, or none. Duplicates count once (scim-rfc.md 3, rule 3)."""
    missing, surplus, verdict = _matched(path, wanted, found, equivalences)
    return Equality.DIFFERENT if missing or surplus else verdict


def unmatched(
    path: str, wanted: Sequence[Any], found: Sequence[Any], equivalences: Equivalences
) -> tuple[list[Any], list[Any]]:
    """The elements that git wants and that are not there, and those that are there and that git does not want."""
    missing, surplus, _ = _matched(path, wanted, found, equivalences)
    return missing, surplus


def _matched(
    path: str, wanted: Sequence[Any], found: Sequence[Any], equivalences: Equivalences
) -> tuple[list[Any], list[Any], Equality]:
    """What is left over on either side, and how those compare that belong together."""
    rest = _distinct(found)
    missing: list[Any] = []
    verdict = Equality.SAME
    for element in sorted(_distinct(wanted), key=_specificity, reverse=True):
        best: tuple[int, Equality] | None = None
        for index, candidate in enumerate(rest):
            equality = _compare_element(path, element, candidate, equivalences)
            if equality is Equality.SAME:
                best = (index, equality)
                break
            if equality is Equality.COSMETIC and best is None:
                best = (index, equality)
        if best is None:
            missing.append(element)
            continue
        rest.pop(best[0])
        if best[1] is Equality.COSMETIC:
            verdict = Equality.COSMETIC
    return missing, rest, verdict


def _specificity(element: Any) -> int:
    return len(element) if isinstance(element, Mapping) else 0


def _distinct(elements: Sequence[Any]) -> list[Any]:
    seen: set[str] = set()
    distinct = []
    for element in elements:
        key = _sort_key(_plain(_stripped(element)))
        if key not in seen:
            seen.add(key)
            distinct.append(element)
    return distinct


def _stripped(element: Any) -> Any:
    return {k: v for k, v in element.items() if k not in _SERVER_DERIVED} if isinstance(element, Mapping) else element


def _compare_element(path: str, wanted: Any, found: Any, equivalences: Equivalences) -> Equality:
    """Every sub-attribute that git states must be there; `primary` absent means false (RFC 7643 section 2.4)."""
    if not isinstance(wanted, Mapping) or not isinstance(found, Mapping):
        return compare(path, wanted, found, equivalences)
    verdict = Equality.SAME
    for name, value in wanted.items():
        if name == "primary" and value is False and is_unassigned(found.get(name)):
            continue
        equality = compare(f"{path}.{name}", value, found.get(name), equivalences)
        if equality is Equality.DIFFERENT:
            return equality
        if equality is Equality.COSMETIC:
            verdict = equality
    return verdict


def shown(value: Any, stated: Any) -> Any:
    """A value as plans show and digest it: elements sorted, what the service derives left out unless git states it."""
    if is_unassigned(value):
        return None
    if isinstance(value, list):
        stated_names = {name for element in _as_list_of_mappings(stated) for name in element}
        elements = [
            {
                k: v
                for k, v in element.items()
                if not is_unassigned(v) and (k not in _SERVER_DERIVED or k in stated_names)
            }
            if isinstance(element, Mapping)
            else element
            for element in value
        ]
        return sorted(elements, key=_sort_key)
    return value


def _as_list_of_mappings(value: Any) -> list[Mapping[str, Any]]:
    return [element for element in value if isinstance(element, Mapping)] if isinstance(value, list) else []


def merged_elements(wanted: Sequence[Any], live: Any) -> list[Any]:
    """The elements to write: those git wants, each laid over the live element of the same (type, value) or value.

    What git does not state about an element that stays survives the write (SPEC P9), except `primary` once git says
    which one is primary.
    """
    elements = list(wanted)
    kept = _counterparts(elements, _as_list_of_mappings(live))
    states_primary = any(element.get("primary") for element in _as_list_of_mappings(elements))
    written: list[Any] = []
    for index, element in enumerate(elements):
        if not isinstance(element, Mapping):
            written.append(element)
            continue
        dropped = {"$ref", "primary"} if states_primary else {"$ref"}
        merged = {name: value for name, value in kept.get(index, {}).items() if name not in dropped} | dict(element)
        written.append({name: value for name, value in merged.items() if not is_unassigned(value)})
    return written


def _counterparts(wanted: Sequence[Any], live: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """By position in `wanted`, the live element that stays as it; exact counterparts go before similar ones."""
    found: dict[int, Mapping[str, Any]] = {}
    rest = list(live)
    for names in (("value", "type"), ("value",), ("type",)):
        for index, element in enumerate(wanted):
            if index in found or not isinstance(element, Mapping) or (names == ("type",)) is ("value" in element):
                continue
            position = next((n for n, candidate in enumerate(rest) if _alike(element, candidate, names)), None)
            if position is not None:
                found[index] = rest.pop(position)
    return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(_same_text(one.get(name), other.get(name)) for name in names)


def _same_text(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return fold(one) == fold(other)
    return bool(one == other)
