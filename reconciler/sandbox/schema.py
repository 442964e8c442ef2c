"""Attribute and schema definitions (RFC 7643 sections 2 and 7), and where a path points in a kind of resource."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA_URN = "urn:ietf:params:scim:schemas:core:2.0:Schema"


class Type(StrEnum):
    """Data types of attributes (RFC 7643 section 2.3)."""

    STRING = "string"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BINARY = "binary"
    REFERENCE = "reference"
    COMPLEX = "complex"


class Mutability(StrEnum):
    """Who may change an attribute (RFC 7643 section 7)."""

    READ_WRITE = "readWrite"
    READ_ONLY = "readOnly"
    IMMUTABLE = "immutable"
    WRITE_ONLY = "writeOnly"


class Returned(StrEnum):
    """When an attribute is part of an answer (RFC 7643 section 7)."""

    DEFAULT = "default"
    ALWAYS = "always"
    NEVER = "never"
    REQUEST = "request"


def fold(text: str) -> str:
    """The form in which values that are not case exact are compared."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """The definition of one attribute."""

    name: str
    type: Type = Type.STRING
    description: str = ""
    multi_valued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: Mutability = Mutability.READ_WRITE
    returned: Returned = Returned.DEFAULT
    uniqueness: str = "none"
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    sub_attributes: tuple[Attribute, ...] = ()
    _by_name: dict[str, Attribute] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the sub-attributes for look-ups without regard to case."""
        self._by_name.update({sub.name.lower(): sub for sub in self.sub_attributes})

    def sub(self, name: str) -> Attribute | None:
        """The sub-attribute of that name; names are compared without regard to case (RFC 7643 section 2.1)."""
        return self._by_name.get(name.lower())

    def to_json(self) -> dict[str, Any]:
        """The definition as a Schema resource shows it (RFC 7643 section 7)."""
        shown: dict[str, Any] = {
            "name": self.name,
            "type": self.type.value,
            "multiValued": self.multi_valued,
            "description": self.description,
            "required": self.required,
            "mutability": self.mutability.value,
            "returned": self.returned.value,
        }
        if self.type not in (Type.COMPLEX, Type.BOOLEAN):
            shown |= {"caseExact": self.case_exact, "uniqueness": self.uniqueness}
        if self.canonical_values:
            shown["canonicalValues"] = list(self.canonical_values)
        if self.reference_types:
            shown["referenceTypes"] = list(self.reference_types)
        if self.sub_attributes:
            shown["subAttributes"] = [sub.to_json() for sub in self.sub_attributes]
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema: its URN and the attributes it defines."""

    id: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]
    _by_name: dict[str, Attribute] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the attributes for look-ups without regard to case."""
        self._by_name.update({attribute.name.lower(): attribute for attribute in self.attributes})

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of that name; names are compared without regard to case (RFC 7643 section 2.1)."""
        return self._by_name.get(name.lower())

    def to_json(self, base_url: str) -> dict[str, Any]:
        """The Schema resource."""
        return {
            "schemas": [SCHEMA_URN],
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "attributes": [attribute.to_json() for attribute in self.attributes],
            "meta": {"resourceType": "Schema", "location": f"{base_url}/Schemas/{self.id}"},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a path points: the extension it lies in, its attribute and its sub-attribute, as far as they are defined.

    `container` is the URN of an extension as it stands in a resource, None for the core. `attribute` is None for an
    attribute nobody defined, and for the path that names a whole extension.
    """

    container: str | None = None
    attribute: Attribute | None = None
    sub: Attribute | None = None
