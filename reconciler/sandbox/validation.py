"""Resources as clients send them: names made canonical, types checked, read-only parts left out (RFC 7643 s2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.sandbox.definitions import ResourceKind
from reconciler.sandbox.errors import invalid_syntax, invalid_value
from reconciler.sandbox.matching import parse_instant
from reconciler.sandbox.schema import Attribute, Mutability, Schema, Type
from reconciler.sandbox.wire import encode_json

_COMMON_READ_ONLY = frozenset({"id", "meta", "schemas"})


@dataclass(slots=True)
class Draft:
    """The writable content of a resource.

    `attributes` holds the core attributes, `externalId` and the extensions, each under its URN. `members` holds the
    member elements of a group, None when the client did not name them.
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    members: list[Member] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One element of `members`: the id, the kind the client believes it to have, and the name it wants shown."""

    id: str
    type: str | None = None
    display: str | None = None


def read_resource(kind: ResourceKind, payload: Mapping[str, Any]) -> Draft:
    """The content of a POST or PUT body.

    Read-only and unknown attributes are ignored, unassigned ones (null, [], {}) left out (RFC 7644 sections 3.3 and
    3.5.1, RFC 7643 section 2.5). Raises `invalidValue` where values do not fit, `invalidSyntax` for wrong `schemas`.
    """
    draft = Draft()
    urns = _read_schemas(kind, payload)
    for name, raw in payload.items():
        if name.lower() in _COMMON_READ_ONLY:
            continue
        attribute = kind.attribute(name)
        if attribute is None:
            _read_extension(kind, draft, name, raw, urns)
        elif attribute.name == "members":
            draft.members = read_members(raw)
        else:
            _assign(draft.attributes, attribute, raw)
    check_required(kind, draft.attributes)
    return draft


def check_required(kind: ResourceKind, attributes: Mapping[str, Any]) -> None:
    """Raise `invalidValue` when a required attribute is missing or empty."""
    for attribute in kind.schema.attributes:
        if attribute.required and not attributes.get(attribute.name):
            raise invalid_value(f"{attribute.name} is required")


def clean_value(attribute: Attribute, raw: Any, where: str | None = None) -> Any:
    """The value in canonical form, None when unassigned; raises `invalidValue` when it does not fit the definition."""
    path = where or attribute.name
    if raw is None:
        return None
    if not attribute.multi_valued:
        return _clean_single(attribute, raw, path)
    if not isinstance(raw, list):
        raise invalid_value(f"{path} is multi-valued and needs an array")
    return clean_elements(attribute, raw, path) or None


def clean_elements(attribute: Attribute, raw: Iterable[Any], path: str) -> list[Any]:
    """The elements of a multi-valued attribute in canonical form, without repetitions; at most one may be primary."""
    elements = []
    for item in raw:
        value = None if item is None else _clean_single(attribute, item, path)
        if value is not None and value not in elements:
            elements.append(value)
    if sum(is_primary(element) for element in elements) > 1:
        raise invalid_value(f"{path} has more than one primary value")
    return elements


def clean_extension(schema: Schema, raw: Any) -> dict[str, Any]:
    """The content of a known extension in canonical form."""
    if not isinstance(raw, dict):
        raise invalid_value(f"{schema.id} must be an object")
    content: dict[str, Any] = {}
    for name, value in raw.items():
        attribute = schema.attribute(name)
        if attribute:
            _assign(content, attribute, value)
    return content


def clean_unknown(urn: str, raw: Any) -> Any:
    """The content of an extension nobody defined: kept as it is, without what is unassigned."""
    if not isinstance(raw, dict):
        raise invalid_value(f"{urn} must be an object")
    return {name: value for name, value in raw.items() if value not in (None, [], {})}


def read_members(raw: Any) -> list[Member]:
    """The elements of `members`; whether they exist is for the directory to say."""
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise invalid_value("members is multi-valued and needs an array")
    return [_read_member(item) for item in raw]


def is_primary(element: Any) -> bool:
    """Whether an element of a multi-valued attribute is the preferred one."""
    return isinstance(element, dict) and element.get("primary") is True


def same_content(left: Any, right: Any) -> bool:
    """Equality with arrays as sets: the order of multi-valued attributes means nothing (RFC 7643 section 2.4)."""
    if left == right and type(left) is type(right):
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_content(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return sorted(map(_order_key, left)) == sorted(map(_order_key, right))
    return False


def _order_key(value: Any) -> str:
    return encode_json(dict(sorted(value.items())) if isinstance(value, dict) else value)


def _read_schemas(kind: ResourceKind, payload: Mapping[str, Any]) -> set[str]:
    raw = payload.get("schemas") or next((value for name, value in payload.items() if name.lower() == "schemas"), None)
    if not isinstance(raw, list) or not all(isinstance(urn, str) for urn in raw):
        raise invalid_syntax("schemas is required and must be an array of URNs")
    urns = {urn.lower() for urn in raw}
    if kind.schema.id.lower() not in urns:
        raise invalid_syntax(f"schemas does not name {kind.schema.id}")
    return urns


def _read_extension(kind: ResourceKind, draft: Draft, name: str, raw: Any, urns: set[str]) -> None:
    if raw is None:
        return
    extension = kind.extension(name)
    if extension:
        content, urn = clean_extension(extension, raw), extension.id
    elif name.lower() in urns:
        content, urn = clean_unknown(name, raw), name
    else:
        return
    if content:
        draft.attributes[urn] = content


def _assign(content: dict[str, Any], attribute: Attribute, raw: Any) -> None:
    if attribute.mutability is Mutability.READ_ONLY:
        return
    value = clean_value(attribute, raw)
    if attribute.name in content:
        raise invalid_syntax(f"{attribute.name} is given twice")
    # A write-only value is checked and not kept: nothing may ever read it (RFC 7643 section 7).
    if value is not None and attribute.mutability is not Mutability.WRITE_ONLY:
        content[attribute.name] = value


def _clean_single(attribute: Attribute, raw: Any, path: str) -> Any:
    if attribute.type is Type.COMPLEX:
        return clean_complex(attribute, raw, path)
    if not _fits(attribute.type, raw):
        raise invalid_value(f"{path} must be of type {attribute.type}")
    return raw


def clean_complex(attribute: Attribute, raw: Any, path: str) -> dict[str, Any] | None:
    """A complex value in canonical form, None when nothing in it is assigned."""
    if not isinstance(raw, dict):
        raise invalid_value(f"{path} must be an object")
    content: dict[str, Any] = {}
    for name, value in raw.items():
        sub = attribute.sub(name)
        if sub is None or value is None or sub.mutability is Mutability.READ_ONLY:
            continue
        if sub.name in content:
            raise invalid_syntax(f"{path}.{sub.name} is given twice")
        content[sub.name] = clean_value(sub, value, f"{path}.{sub.name}")
    return content or None


def _fits(wanted: Type, raw: Any) -> bool:
    match wanted:
        case Type.BOOLEAN:
            return isinstance(raw, bool)
        case Type.INTEGER:
            return type(raw) is int
        case Type.DECIMAL:
            return type(raw) in (int, float)
        case Type.DATE_TIME:
            return isinstance(raw, str) and _is_instant(raw)
        case Type.BINARY:
            return isinstance(raw, str) and _is_base64(raw)
        case _:
            return isinstance(raw, str)


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def _is_base64(text: str) -> bool:
    """RFC 7643 section 2.3.6: base64 or base64url, padding optional."""
    data = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except binascii.Error:
        return False
    return True


def _read_member(item: Any) -> Member:
    if not isinstance(item, dict):
        raise invalid_value("members holds objects with a value")
    names = {name.lower(): value for name, value in item.items() if value is not None}
    identifier = names.get("value", _last_segment(names.get("$ref")))
    declared, display = names.get("type"), names.get("display")
    if not isinstance(identifier, str) or not identifier:
        raise invalid_value("a member needs the id of a user or group as value")
    for name, value in (("type", declared), ("display", display)):
        if value is not None and not isinstance(value, str):
            raise invalid_value(f"members.{name} must be of type string")
    return Member(identifier, declared, display)


def _last_segment(reference: Any) -> Any:
    return reference.rpartition("/")[2] if isinstance(reference, str) else reference
