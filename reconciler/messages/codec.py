"""SCIM JSON -> live resources, lenient (scim-rfc.md sections 3.1 and 13).

Services differ in the case of names, in nulls, in booleans written as strings and in lists of one. All of that is
levelled out here, so that nothing above has to know. What is not known is kept, for round trips by PUT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlsplit

from reconciler.errors import ScimMalformed
from reconciler.model.dialect import Dialect
from reconciler.model.resource import (
    ENTERPRISE_SCHEMA,
    GROUP_SCHEMA,
    SERVICE_PROVIDER_CONFIG_SCHEMA,
    USER_SCHEMA,
    Attributes,
    Kind,
    LiveConfiguration,
    LiveGroup,
    LiveUser,
    pack,
)

_COMMON = ("schemas", "id", "externalId", "meta")
_USER_MULTI = (
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
    "groups",
)
_USER_SINGLE = (
    *("userName", "name", "displayName", "nickName", "title", "userType", "profileUrl", "preferredLanguage", "locale"),
    *("timezone", "active", "password"),
)
_SUB_ATTRIBUTES = (
    *("value", "display", "type", "primary", "$ref"),
    *("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"),
    *("streetAddress", "locality", "region", "postalCode", "country"),
    *("resourceType", "created", "lastModified", "location", "version"),
)
_ENTERPRISE = ("employeeNumber", "costCenter", "organization", "division", "department", "manager", "displayName")
_URNS = (USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA, SERVICE_PROVIDER_CONFIG_SCHEMA)


def _by_spelling(names: Iterable[str]) -> dict[str, str]:
    """Canonical names by their canonical and by their lower-case spelling."""
    return {spelling: name for name in names for spelling in (name, name.lower())}


_USER_NAMES = _by_spelling((*_COMMON, *_USER_SINGLE, *_USER_MULTI, ENTERPRISE_SCHEMA))
_GROUP_NAMES = _by_spelling((*_COMMON, "displayName", "members"))
_SUB_NAMES = _by_spelling((*_SUB_ATTRIBUTES, *_ENTERPRISE, "value", "$ref"))
_SCHEMA_NAMES = _by_spelling(_URNS)
_MULTI = frozenset((*_USER_MULTI, "members"))
_KNOWN = frozenset((*_USER_NAMES.values(), *_GROUP_NAMES.values()))
_ALREADY_CANONICAL = frozenset(_SUB_NAMES.values())
_PLAIN = frozenset((str, bool))
_NEVER_PLAIN = frozenset((*_MULTI, "schemas", "active"))
_DROPPED = frozenset(("groups", "password"))
_LETTERS = "abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ"
_BOOLEANS = {"true": True, "false": False}
_NOT_IN_AN_ETAG = re.compile(r"[^\x20-\x7e\x80-\xff]")

_TOO_DEEP = "the service returned a resource that is nested too deep"
_MOST_VALUES = 4_000_000
"""Values in one answer: twice what users or members fill the largest answer with that the transport lets through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One ListResponse (RFC 7644 section 3.4.2), its rows not yet decoded. `total` is None where it is no number.

    `next_cursor` is where the list goes on (RFC 9865); None says that it ends here, or that it is paged by index.
    """

    resources: list[Attributes]
    total: int | None
    start_index: int | None
    items_per_page: int | None
    next_cursor: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the page says that it holds all there is."""
        return self.total == len(self.resources) and self.next_cursor is None


def parse_json(body: bytes | str) -> Any:
    """The value of a JSON text in UTF-8; of keys that appear twice the last counts.

    Raises ScimMalformed for what is no JSON, NaN and infinities included, for nesting too deep to read, and for more
    values than an honest answer of that size holds: a few bytes each on the wire, they would fill the memory.
    """
    _check_values(body)
    try:
        text = body if isinstance(body, str) else body.decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise ScimMalformed("the answer is not UTF-8") from None
    except RecursionError:
        raise ScimMalformed("the answer is nested too deep") from None
    except ValueError as error:
        position = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise ScimMalformed(f"the answer is not JSON{position}") from None


def parse_object(body: bytes | str) -> Attributes:
    """Like `parse_json`, for what must be a JSON object."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise ScimMalformed("the answer is not a JSON object")
    return value


def decode_list(document: Mapping[str, Any]) -> ListPage:
    """Read a ListResponse. Raises ScimMalformed for an object that is none: it must never pass for an empty list."""
    fields = {key.lower(): value for key, value in document.items()}
    if "resources" not in fields and "totalresults" not in fields:
        raise ScimMalformed("the answer is no list: it has neither `Resources` nor `totalResults`")
    rows = fields.get("resources")
    rows = [] if rows is None else rows if isinstance(rows, list) else [rows]
    if not all(isinstance(row, dict) for row in rows):
        raise ScimMalformed("the answer lists something that is no resource")
    return ListPage(
        resources=rows,
        total=parse_count(fields.get("totalresults")),
        start_index=parse_count(fields.get("startindex")),
        items_per_page=parse_count(fields.get("itemsperpage")),
        next_cursor=_text(fields.get("nextcursor")) or None,
    )


def parse_count(value: object) -> int | None:
    """A number that is not negative, also where it is written as a string; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) <= 18 and value.strip().isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_boolean(value: object) -> bool | None:
    """A boolean, also where it is written as `"True"` or `"false"` (scim-rfc.md Q2); None for anything else."""
    if isinstance(value, str):
        return _BOOLEANS.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def decode_user(resource: Mapping[str, Any], *, etag: str | None = None) -> LiveUser:
    """Read a User. `etag` is the ETag header of the answer, which wins over `meta.version`.

    `active` is None where the service does not return it, which is not the same as false (cxone.md G3). A password,
    should a service return one, is dropped. Raises ScimMalformed for a resource without `id`.
    """
    attributes = _canonical(resource, _USER_NAMES)
    identifier, version = _identity(attributes, etag)
    active = attributes.get("active")
    return LiveUser(
        id=identifier,
        user_name=_text(attributes.get("userName")) or "",
        external_id=_text(attributes.get("externalId")) or None,
        active=active if isinstance(active, bool) else None,
        version=version,
        body=_packed(attributes),
    )


def decode_group(
    resource: Mapping[str, Any],
    *,
    absent_members: tuple[str, ...] | None,
    etag: str | None = None,
    known_ids: Mapping[str, str] | None = None,
) -> LiveGroup:
    """Read a Group. `members` is `absent_members` where the resource has no such attribute at all.

    It is None where a member cannot be told: half a list must not pass for the whole. Ids found in `known_ids` are
    replaced by its values, so that a hundred thousand memberships share their strings.
    """
    attributes = _canonical(resource, _GROUP_NAMES)
    identifier, version = _identity(attributes, etag)
    listed = attributes.pop("members", ())
    members = _member_ids(listed, known_ids or {}) if listed or has_members(resource) else absent_members
    return LiveGroup(
        id=identifier,
        display_name=_text(attributes.get("displayName")) or "",
        external_id=_text(attributes.get("externalId")) or None,
        version=version,
        body=_packed(attributes),
        members=members,
    )


def decode_configuration(document: Attributes, *, etag: str | None = None) -> LiveConfiguration:
    """Read a ServiceProviderConfig of either shape (cxone.md D27); its own `etag` is the last resort."""
    version = usable_version(etag) or _meta_version(document.get("meta"))
    tag = document.get("etag")
    if version is None and isinstance(tag, str) and tag:
        version = usable_version(tag if tag.endswith('"') else f'"{tag}"')
    return LiveConfiguration(body=_packed(document), version=version)


def has_members(resource: Mapping[str, Any]) -> bool:
    """Whether a Group row has a `members` attribute, be it empty."""
    return "members" in resource or any(key.lower() == "members" for key in resource)


def group_ids_of(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups that a User row says the user is in."""
    return _member_ids(_listed_groups(resource), {}) or ()


def direct_group_ids_of(resource: Mapping[str, Any]) -> Iterator[str]:
    """The groups that a User row says the user is in directly, not through a nested group (RFC 7643 section 4.1.2)."""
    for group in _listed_groups(resource):
        if isinstance(group, dict) and _fold(group.get("type")) == "direct" and (id_ := _text(group.get("value"))):
            yield id_


def address_of(resource: LiveUser | LiveGroup, dialect: Dialect) -> str:
    """What a resource is addressed by: its id, or of a user the userName where the dialect says so (cxone.md D16)."""
    return resource.user_name if isinstance(resource, LiveUser) and dialect.user_key == "userName" else resource.id


def resource_path(kind: Kind, identifier: str) -> str:
    """`/Users/{id}` with the id, or what stands for it, as one path segment, whatever characters it has.

    Raises ScimMalformed for ids that no URL can carry as a segment.
    """
    segment = path_segment(identifier)
    if segment is None:
        raise ScimMalformed(f"a {kind} with the id {identifier[:100]!a} cannot be addressed")
    return f"{kind.endpoint}/{segment}"


def path_segment(identifier: str) -> str | None:
    """An id as one segment of a path, or None where no URL can carry it: empty, dots, half a surrogate pair."""
    try:
        return quote(identifier, safe="") if identifier not in {"", ".", ".."} else None
    except UnicodeEncodeError:
        return None


def usable_version(tag: str | None) -> str | None:
    """The tag byte for byte, or None where it cannot be sent back: empty (cxone.md R8) or no header value."""
    return tag if tag and tag.strip() and not _NOT_IN_AN_ETAG.search(tag) else None


def other_version(tag: str) -> str | None:
    """A tag of the same form that is not this one, and none that will ever be; None where no character can differ.

    The last digit is another one, lower where it can be, for versions that are counted go up; else the last letter.
    """
    for characters, others in (("0123456789", "9012345678"), (_LETTERS, _LETTERS[1:] + _LETTERS[0])):
        position = max(map(tag.rfind, characters))
        if position >= (2 if tag.startswith("W/") else 0):
            return tag[:position] + others[characters.index(tag[position])] + tag[position + 1 :]
    return None


def id_in_location(location: object) -> str | None:
    """The id at the end of a resource's URL, or None."""
    if not isinstance(location, str):
        return None
    try:
        path = urlsplit(location).path
    except ValueError:
        return None
    return unquote(path.rstrip("/").rpartition("/")[2]) or None


def _listed_groups(resource: Mapping[str, Any]) -> list[Any]:
    value = resource.get("groups")
    if value is None:
        value = next((item for key, item in resource.items() if key.lower() == "groups"), None)
    return value if isinstance(value, list) else [value]


def _canonical(resource: Mapping[str, Any], names: Mapping[str, str]) -> Attributes:
    """The resource with known names in their canonical spelling, without what is unassigned: absent = null = []."""
    attributes: Attributes = {}
    try:
        for key, value in resource.items():
            name = names.get(key) or names.get(key.lower(), key)
            if name in _DROPPED or (name != key and name in resource):
                continue
            if type(value) is str and name not in _NEVER_PLAIN:
                attributes[name] = value
            elif (kept := _canonical_value(name, value)) is not None:
                attributes[name] = kept
    except RecursionError:  # newer Pythons parse deeper than they call
        raise ScimMalformed(_TOO_DEEP) from None
    return attributes


def _canonical_value(name: str, value: Any) -> Any:
    if name not in _KNOWN:
        return _without_nulls(value)
    if name in {"id", "meta"} or value is None:
        return value
    if name == "active":
        boolean = parse_boolean(value)
        return value if boolean is None else boolean
    if name == "members":
        return value if isinstance(value, list) else [value]
    if name == "schemas":
        return [_SCHEMA_NAMES.get(_fold(urn), urn) for urn in (value if isinstance(value, list) else [value])]
    if name in _MULTI:
        elements = value if isinstance(value, list) else [value]
        return [element for element in map(_element, elements) if element] or None
    return _complex(value) or None if isinstance(value, dict) else _without_nulls(value)


def _element(value: Any) -> Any:
    """One value of a multi-valued attribute; some services write a plain string for `{"value": ...}` (Q19)."""
    if isinstance(value, dict):
        return _complex(value)
    return None if value is None or value == "" else {"value": value}


def _complex(value: Attributes) -> Attributes:
    """A complex value in canonical spelling; the value itself where that changes nothing, as it mostly does."""
    if value.keys() <= _ALREADY_CANONICAL and _PLAIN.issuperset(map(type, value.values())):
        primary = value.get("primary")
        if primary is None or type(primary) is bool:
            return value
    attributes: Attributes = {}
    for key, item in value.items():
        if item is None:
            continue
        name = _SUB_NAMES.get(key) or _SUB_NAMES.get(key.lower(), key)
        if name == "primary":
            boolean = parse_boolean(item)
            attributes[name] = item if boolean is None else boolean
        elif type(item) is str or type(item) is bool:
            attributes[name] = item
        elif (kept := _complex(item) if isinstance(item, dict) else _without_nulls(item)) not in ({}, None):
            attributes[name] = kept
    return attributes


def _without_nulls(value: Any) -> Any:
    """A value nobody here knows, as it is but for what is unassigned; None if nothing is left."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None and item != []} or None
    if isinstance(value, list):
        return [item for item in value if item is not None] or None
    return value


def _identity(attributes: Attributes, etag: str | None) -> tuple[str, str | None]:
    """Take `id` and `meta` out of the attributes."""
    identifier = _text(attributes.pop("id", None))
    if not identifier:
        raise ScimMalformed("the service returned a resource without `id`")
    meta_version = _meta_version(attributes.pop("meta", None))
    return identifier, usable_version(etag) or meta_version


def _meta_version(meta: object) -> str | None:
    if not isinstance(meta, dict):
        return None
    version = meta.get("version")
    if version is None:
        version = next((value for key, value in meta.items() if key.lower() == "version"), None)
    return usable_version(_text(version))


def _text(value: object) -> str | None:
    """A string; a whole number by its digits, because some services send ids as numbers."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _member_ids(listed: Iterable[Any], known_ids: Mapping[str, str]) -> tuple[str, ...] | None:
    found: set[str] = set()
    for member in listed:
        if member is None:
            continue
        identifier = _text(member.get("value")) if isinstance(member, dict) else _text(member)
        identifier = identifier or (_odd_member_id(member) if isinstance(member, dict) else None)
        if not identifier:
            return None
        found.add(known_ids.get(identifier, identifier))
    return tuple(sorted(found))


def _odd_member_id(member: Attributes) -> str | None:
    fields = {key.lower(): value for key, value in member.items()}
    return _text(fields.get("value")) or id_in_location(fields.get("$ref"))


def _fold(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _packed(attributes: Mapping[str, Any]) -> bytes:
    try:
        return pack(attributes)
    except RecursionError:
        raise ScimMalformed(_TOO_DEEP) from None


def _check_values(body: bytes | str) -> None:
    if len(body) <= _MOST_VALUES:
        return
    octets = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    if sum(octets.count(mark) for mark in (b",", b"{", b"[")) > _MOST_VALUES:
        raise ScimMalformed(f"the answer holds more than {_MOST_VALUES:,} values")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
