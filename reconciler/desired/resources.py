"""Checked documents to users, groups and the configuration: one value for each, its attributes in wire shape."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.desired.codes import Code
from reconciler.desired.places import Path
from reconciler.model.diagnostic import Source
from reconciler.model.resource import (
    ENTERPRISE_SCHEMA,
    ConfigurationMode,
    DesiredConfiguration,
    DesiredGroup,
    DesiredUser,
    Kind,
    Membership,
    Reference,
    pack,
)

_NOT_IN_USER = frozenset({"kind", "groups", "previously"})
_ENTERPRISE = frozenset({"enterprise", ENTERPRISE_SCHEMA})
_NOT_IN_GROUP = frozenset({"kind", "members", "membership", "previously"})
_NOT_IN_CONFIGURATION = frozenset({"kind", "mode"})


class References:
    """Equal references as one object: a hundred thousand members name the same few thousand people."""

    def __init__(self) -> None:
        self._known: dict[tuple[Kind | None, str | None, str | None], Reference] = {}
        self._names: dict[str, str] = {}

    def get(self, kind: Kind | None, *, name: str | None = None, external_id: str | None = None) -> Reference:
        """The reference with these fields, texts in NFC."""
        key = (kind, name, external_id)
        known = self._known.get(key)
        if known is None:
            known = Reference(kind, _nfc(name), _nfc(external_id))
            self._known[key] = known
        return known

    def name(self, text: str) -> str:
        """The text in NFC, the same object for the same text."""
        return self._names.setdefault(text, str(_nfc(text)))


def with_defaults(defaults: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """An item laid over the defaults: mappings merge deeply, lists and scalars replace (SPEC section 3)."""
    result = dict(defaults)
    for key, value in item.items():
        below = result.get(key)
        if value.__class__ is dict and below.__class__ is dict:
            result[key] = with_defaults(below, value)  # as deep as the loader let the document be
        else:
            result[key] = value
    return result


def to_user(attributes: Mapping[str, Any], source: Source, references: References) -> DesiredUser:
    """A user document or merged item that its schema accepted."""
    body: dict[str, Any] = {}
    manager: Reference | None = None
    for key, value in attributes.items():
        if key in _NOT_IN_USER:
            continue
        if key in _ENTERPRISE:
            manager, extension = _without_manager(value or {}, references)
            if extension or manager is None:
                body[ENTERPRISE_SCHEMA] = extension
        elif value.__class__ is dict:
            body[key] = _unassigned_as_null(value)
        else:
            body[key] = None if value == [] else value
    groups = attributes.get("groups")
    return DesiredUser(
        user_name=nfc(attributes["userName"]),
        external_id=_nfc(attributes.get("externalId")),
        active=attributes.get("active"),
        body=_packed(body),
        manager=manager,
        groups=tuple(dict.fromkeys(map(references.name, groups))) if groups else (),
        previously=_nfc(attributes.get("previously")),
        source=source,
    )


def to_group(attributes: Mapping[str, Any], source: Source, references: References) -> DesiredGroup:
    """A group document or merged item that its schema accepted."""
    body = {
        key: _unassigned_as_null(value) if value.__class__ is dict else value
        for key, value in attributes.items()
        if key not in _NOT_IN_GROUP
    }
    members = attributes.get("members")
    return DesiredGroup(
        display_name=nfc(attributes["displayName"]),
        external_id=_nfc(attributes.get("externalId")),
        body=_packed(body),
        members=None if members is None else tuple(_member(member, references) for member in members),
        membership=Membership(attributes.get("membership", "authoritative")),
        previously=_nfc(attributes.get("previously")),
        source=source,
    )


def to_configuration(
    attributes: Mapping[str, Any], source: Source, default_mode: ConfigurationMode
) -> DesiredConfiguration:
    """A ServiceProviderConfig document that its schema accepted."""
    body = {key: value for key, value in attributes.items() if key not in _NOT_IN_CONFIGURATION}
    return DesiredConfiguration(
        body=_packed(body), mode=ConfigurationMode(attributes.get("mode", default_mode)), source=source
    )


def attribute_problems(attributes: Mapping[str, Any]) -> Iterator[tuple[Code, str, str | None, Path]]:
    """What a schema cannot say about the attributes of one user or group: code, message, help, path.

    At most one value of an attribute is primary, and no value occurs twice with the same type (RFC 7643 section 2.4).
    """
    for key, value in attributes.items():
        if value.__class__ is list and len(value) > 1 and key not in _NAMES_ONLY:
            yield from _multi_valued_problems(key, value)
    if "enterprise" in attributes and ENTERPRISE_SCHEMA in attributes:
        message = "the enterprise extension is written twice, as `enterprise` and by its URN"
        yield Code.EXTENSION_TWICE, message, "keep one of them", (ENTERPRISE_SCHEMA,)


_NAMES_ONLY = frozenset({"groups", "members"})


def _multi_valued_problems(key: str, elements: list[Any]) -> Iterator[tuple[Code, str, str | None, Path]]:
    primary: int | None = None
    seen: dict[tuple[str, str], int] = {}
    for index, element in enumerate(elements):
        if element.__class__ is not dict:
            continue
        if element.get("primary") is True:
            if primary is not None:
                message = f"{key} has a second primary value; the first is number {primary + 1}"
                yield (
                    Code.TWO_PRIMARIES,
                    message,
                    "at most one value of an attribute is primary",
                    (key, index, "primary"),
                )
            else:
                primary = index
        value = element.get("value")
        if isinstance(value, str):
            identity = (str(element.get("type", "")).casefold(), value.casefold() if key == "emails" else value)
            first = seen.setdefault(identity, index)
            if first != index:
                message = f"{key} has the same value and type twice; the first is number {first + 1}"
                yield Code.VALUE_TWICE, message, "remove one of them", (key, index, "value")


def nfc(text: str) -> str:
    """Text in Unicode normal form C."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _nfc(text: str | None) -> str | None:
    return None if text is None else nfc(text)


def _packed(body: Mapping[str, Any]) -> bytes:
    packed = pack(body)
    if packed.isascii() or unicodedata.is_normalized("NFC", packed.decode("utf-8")):
        return packed
    return pack(_normalized(body))


def _normalized(value: Any) -> Any:
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, dict):
        return {nfc(key): _normalized(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normalized(item) for item in value]
    return value


def _unassigned_as_null(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """A complex attribute or an extension; null, [] and {} are one state, written as null (RFC 7643 section 2.5)."""
    if not value:
        return None
    return {
        key: (_unassigned_as_null(item) if item.__class__ is dict else None if item == [] else item)
        for key, item in value.items()
    }


def _without_manager(
    extension: Mapping[str, Any], references: References
) -> tuple[Reference | None, dict[str, Any] | None]:
    """The manager, and the rest of the enterprise extension or None; a null manager stays in the rest."""
    manager = extension.get("manager")
    if not manager:
        return None, _unassigned_as_null(extension)
    reference = references.get(Kind.USER, name=manager.get("userName"), external_id=manager.get("externalId"))
    return reference, _unassigned_as_null({key: value for key, value in extension.items() if key != "manager"})


def _member(member: Mapping[str, str], references: References) -> Reference:
    if "user" in member:
        return references.get(Kind.USER, name=member["user"])
    if "group" in member:
        return references.get(Kind.GROUP, name=member["group"])
    return references.get(None, external_id=member["externalId"])
