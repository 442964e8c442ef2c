"""What the service says it can do, in either shape of cxone.md D27, and what is assumed where it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.messages.codec import parse_boolean, parse_count
from reconciler.model.dialect import Profile
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Attributes
from reconciler.model.state import LiveState
from reconciler.model.tenant import Tenant
from reconciler.scim.client import ScimClient

NOT_SHOWN = frozenset({400, 403, 406})
"""Statuses by which a service keeps a discovery endpoint to itself; a run does without."""

_CONFIGURATION = "ServiceProviderConfig"


def read_capabilities(client: ScimClient, tenant: Tenant) -> Capabilities:
    """Ask for ServiceProviderConfig, ResourceTypes and Schemas, one request each (RFC 7644 section 4).

    Each may be missing or partial: a field that is missing takes the default of the tenant's profile, never
    "unsupported" by silence, and `notes` says so (scim-rfc.md section 13). What tenant.yaml `dialect` switches off is
    off; `cursor` says whether lists are read by cursor, which tenant.yaml may decide. Limits are as announced; they can
    only lower those of tenant.yaml. Raises ScimError where the service refuses the credentials or does not answer.
    """
    notes: list[str] = []
    configuration = _optional(client.service_provider_config, _CONFIGURATION, notes)
    types = _optional(client.resource_types, "ResourceTypes", notes)
    _optional(client.schemas, "Schemas", notes)
    capabilities = to_capabilities(configuration, types, tenant)
    return replace(capabilities, notes=(*notes, *capabilities.notes))


def as_found(capabilities: Capabilities, live: LiveState) -> Capabilities:
    """The capabilities less what reading showed not to be there, with the notes of reading."""
    return replace(
        capabilities,
        etag=capabilities.etag and "etag" not in live.lacking,
        cursor=capabilities.cursor and "cursor" not in live.lacking,
        notes=(*capabilities.notes, *(_LACKING[feature] for feature in sorted(live.lacking)), *live.notes),
    )


_LACKING = {
    "cursor": "paging by cursor is announced and refused: lists are read by index",
    "etag": "versions (ETag) are announced or assumed, and not given",
}


def to_capabilities(configuration: Attributes | None, types: Attributes | None, tenant: Tenant) -> Capabilities:
    """What the documents of a service say, each None where it has none, with the defaults of `read_capabilities`."""
    notes = _missing_types(types)
    announced = _Announced(configuration, notes, silent=_SILENT[tenant.profile])
    defaults = _defaults(tenant.profile)
    bulk = announced.flag("bulk", default=defaults.bulk)
    max_operations = announced.limit("bulk", "maxOperations") if bulk else None
    max_payload_bytes = announced.limit("bulk", "maxPayloadSize") if bulk else None
    rows = [announced.limit("filter", "maxResults"), announced.limit("pagination", "maxPageSize")]
    return Capabilities(
        bulk=_unless_off(bulk, tenant.dialect.bulk, "bulk", notes),
        max_operations=max_operations,
        max_payload_bytes=max_payload_bytes,
        patch=_unless_off(announced.flag("patch", default=defaults.patch), tenant.dialect.patch, "patch", notes),
        etag=_unless_off(announced.flag("etag", default=defaults.etag), tenant.dialect.etag, "etag", notes),
        filter=announced.flag("filter", default=defaults.filter),
        max_results=min((limit for limit in rows if limit is not None), default=None),
        sort=announced.flag("sort", default=defaults.sort),
        cursor=_pages_by_cursor(announced.fields("pagination"), tenant.dialect.paging, notes),
        notes=tuple(notes),
    )


def _defaults(profile: Profile) -> Capabilities:
    """What is assumed of a service that does not say. CXone has bulk (cxone.md section 5)."""
    return Capabilities(bulk=profile is Profile.CXONE)


_SILENT = {Profile.RFC7644: frozenset[str](), Profile.CXONE: frozenset({"patch", "etag"})}
"""Features that the documents of a profile never speak of (cxone.md D27): not worth a note in every plan."""


class _Announced:
    """A ServiceProviderConfig of either shape; each fallback leaves a note, but for what no such document tells."""

    def __init__(
        self, document: Mapping[str, Any] | None, notes: list[str], silent: frozenset[str] = frozenset()
    ) -> None:
        self._silent = silent
        self._known = document is not None
        self._document = {key.lower(): value for key, value in (document or {}).items()}
        self._notes = notes

    def fields(self, feature: str) -> Mapping[str, Any]:
        """The object that describes a feature: `bulk`, or `bulkConfig` in the shape of CXone."""
        for name in (feature, f"{feature}config"):
            value = self._document.get(name)
            if isinstance(value, dict):
                return {key.lower(): item for key, item in value.items()}
        return {}

    def flag(self, feature: str, *, default: bool) -> bool:
        said = parse_boolean(self.fields(feature).get("supported"))
        if said is not None:
            return said
        if self._known and feature not in self._silent:
            self._notes.append(f"{_CONFIGURATION} does not say whether {feature} is supported: {_assumed(default)}")
        return default

    def limit(self, feature: str, name: str) -> int | None:
        value = self.fields(feature).get(name.lower())
        number = parse_count(value)
        if value is not None and not number:
            self._notes.append(f"{_CONFIGURATION} has an unusable {feature}.{name}: the limit of tenant.yaml is used")
        return number or None


def _optional(read: Callable[[], Attributes | None], name: str, notes: list[str]) -> Attributes | None:
    """What the service has at a discovery endpoint; None, with a note, where it has nothing or does not show it."""
    try:
        document = read()
    except ScimRejected as rejected:
        if rejected.status not in NOT_SHOWN:
            raise
        notes.append(f"the service does not show {name} ({rejected.status}): defaults of the profile are used")
        return None
    except ScimMalformed:
        notes.append(f"the service's {name} cannot be read: defaults of the profile are used")
        return None
    if document is None:
        notes.append(f"the service has no {name}: defaults of the profile are used")
    return document


def _missing_types(types: Attributes | None) -> list[str]:
    rows = next((value for key, value in (types or {}).items() if key.lower() == "resources"), None)
    if not isinstance(rows, list) or not rows:
        return []
    names = {row.get("name", row.get("id")) for row in rows if isinstance(row, dict)}
    return [
        f"the service does not announce the resource type {name}" for name in ("User", "Group") if name not in names
    ]


def _pages_by_cursor(pagination: Mapping[str, Any], wanted: str, notes: list[str]) -> bool:
    """Whether lists are read by cursor (RFC 9865): where the service announces it, unless tenant.yaml decides."""
    cursor, index = (parse_boolean(pagination.get(method)) for method in ("cursor", "index"))
    if wanted == "index" and cursor and index is False:
        notes.append("tenant.yaml says that lists are paged by index, the service announces paging by cursor only")
    if wanted == "cursor" and not cursor:
        notes.append("tenant.yaml says that lists are paged by cursor, the service does not announce it")
    return wanted == "cursor" or (wanted == "auto" and cursor is True)


def _unless_off(supported: bool, switch: str, feature: str, notes: list[str]) -> bool:  # noqa: FBT001
    if supported and switch == "off":
        notes.append(f"{feature} is switched off in tenant.yaml")
        return False
    return supported


def _assumed(default: bool) -> str:  # noqa: FBT001
    return "it is assumed to be" if default else "it is assumed not to be"
