"""Users, groups and the service provider configuration, as git declares them and as the service holds them.

Bodies are kept packed, as UTF-8 JSON bytes: a hundred thousand decoded users would not fit the memory goal of SPEC
section 11, and most of them are compared once and never looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.model.diagnostic import Source

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SERVICE_PROVIDER_CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"

Attributes = dict[str, Any]
"""Attributes in wire shape: RFC 7643 names, extensions as containers under their URN."""


class Kind(StrEnum):
    """The resource types the reconciler manages, by their RFC 7643 names."""

    USER = "User"
    GROUP = "Group"
    SERVICE_PROVIDER_CONFIG = "ServiceProviderConfig"

    @property
    def endpoint(self) -> str:
        """The path below the base URL: `/Users`, `/Groups`, `/ServiceProviderConfig` (RFC 7644 section 3.2)."""
        return "/ServiceProviderConfig" if self is Kind.SERVICE_PROVIDER_CONFIG else f"/{self.value}s"

    @property
    def schema(self) -> str:
        """The URN of its core schema."""
        return f"urn:ietf:params:scim:schemas:core:2.0:{self.value}"


@dataclass(frozen=True, slots=True, order=True)
class ResourceKey:
    """How people name a resource: `User/<userName>`, `Group/<displayName>`, `ServiceProviderConfig`."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else str(self.kind)


def pack(attributes: Mapping[str, Any]) -> bytes:
    """Attributes as compact UTF-8 JSON."""
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def unpack(body: bytes) -> Attributes:
    """The attributes that `pack` packed; a fresh dict at each call, the caller may change it."""
    attributes: Attributes = json.loads(body.decode("utf-8", "surrogatepass"))
    return attributes


@dataclass(frozen=True, slots=True)
class Reference:
    """A user or group named in git. Exactly one of `name` and `external_id` is set.

    `kind` is None for `{externalId: ...}` members, which may be either.
    """

    kind: Kind | None
    name: str | None = None
    external_id: str | None = None

    def __str__(self) -> str:
        return self.name if self.name is not None else f"externalId {self.external_id}"


class Membership(StrEnum):
    """What the `members` of a Group document mean (SPEC section 3)."""

    AUTHORITATIVE = "authoritative"
    ADDITIVE = "additive"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredUser:
    """A user as git declares it.

    `body` packs every declared attribute in wire shape, `userName`, `externalId` and `active` included, `groups` and
    the manager reference excluded; a declared `null` or `[]` is kept as null and means "must be empty". `active` is
    None when git does not state it.
    """

    user_name: str
    external_id: str | None
    active: bool | None
    body: bytes
    manager: Reference | None
    groups: tuple[str, ...]
    previously: str | None
    source: Source

    @property
    def key(self) -> ResourceKey:
        """`User/<userName>`."""
        return ResourceKey(Kind.USER, self.user_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredGroup:
    """A group as git declares it. `members` is None where the document does not write `members`; `()` empties."""

    display_name: str
    external_id: str | None
    body: bytes
    members: tuple[Reference, ...] | None
    membership: Membership
    previously: str | None
    source: Source

    @property
    def key(self) -> ResourceKey:
        """`Group/<displayName>`."""
        return ResourceKey(Kind.GROUP, self.display_name)


class ConfigurationMode(StrEnum):
    """Whether a ServiceProviderConfig document is written to the service or only compared with it."""

    APPLY = "apply"
    ASSERT = "assert"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredConfiguration:
    """The ServiceProviderConfig as git declares it, as written there (either shape of cxone.md D27)."""

    body: bytes
    mode: ConfigurationMode
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveUser:
    """A user as the service returned it.

    `body` packs the resource with canonical attribute names, without `id`, `meta` and `groups`. `active` is None
    where the service does not return it. `version` is the ETag byte for byte, or None.
    """

    id: str
    user_name: str
    external_id: str | None
    active: bool | None
    version: str | None
    body: bytes

    @property
    def key(self) -> ResourceKey:
        """`User/<userName>`."""
        return ResourceKey(Kind.USER, self.user_name)

    @property
    def anchor(self) -> str:
        """What identifies the resource across renames: externalId, else id."""
        return self.external_id or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGroup:
    """A group as the service returned it.

    `body` is as for users, without `members`. `members` holds member ids in ascending order, or None where the service
    did not return any members attribute and it is not known whether there are any.
    """

    id: str
    display_name: str
    external_id: str | None
    version: str | None
    body: bytes
    members: tuple[str, ...] | None

    @property
    def key(self) -> ResourceKey:
        """`Group/<displayName>`."""
        return ResourceKey(Kind.GROUP, self.display_name)

    @property
    def anchor(self) -> str:
        """What identifies the resource across renames: externalId, else id."""
        return self.external_id or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfiguration:
    """The ServiceProviderConfig as the service returned it; `version` is its ETag, or None."""

    body: bytes
    version: str | None
