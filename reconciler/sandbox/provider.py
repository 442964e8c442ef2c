"""ServiceProviderConfig: one document in the shape of CXone, shown also in that of RFC 7643 section 5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA
from reconciler.sandbox.errors import invalid_syntax, invalid_value
from reconciler.sandbox.preconditions import Preconditions
from reconciler.sandbox.store import Store
from reconciler.sandbox.wire import encode_json

PROVIDER_URN = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_STATE_KEY = "serviceProviderConfig"
_SERVER_SET = ("etag", "meta")
_SCHEMA_URN_PREFIXES = ("urn:ietf:params:scim:schemas:core:2.0:", "urn:ietf:params:scim:schemas:extension:")
_MAX_OPERATIONS_CEILING = 5000
_MAX_RESULTS_CEILING = 1000
_RFC_SCHEME_TYPES = {"oauthClient": "oauth2"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds now, from the document and the features the tenant was started with."""

    supports_bulk: bool
    max_operations: int
    max_payload: int
    supports_filter: bool
    max_results: int
    supports_sort: bool


class Provider:
    """The ServiceProviderConfig of a tenant. Callers hold the store's lock."""

    def __init__(self, store: Store, config: SandboxConfig) -> None:
        self._store = store
        self._config = config
        self._document = self._load()

    @property
    def tag(self) -> str:
        """The entity tag of the document: a digest of its content."""
        return f'"{self._digest()}"'

    @property
    def limits(self) -> Limits:
        """The limits that hold now."""
        bulk, filtering = self._document["bulkConfig"], self._document["filterConfig"]
        bulk_limits = bulk if bulk["supported"] else {}
        filter_limits = filtering if filtering["supported"] else {}
        return Limits(
            supports_bulk=bulk["supported"] and self._config.supports_bulk,
            max_operations=bulk_limits.get("maxOperations", self._config.max_operations),
            max_payload=bulk_limits.get("maxPayloadSize", self._config.max_payload),
            supports_filter=filtering["supported"] and self._config.supports_filter,
            max_results=filter_limits.get("maxResults", self._config.max_results),
            supports_sort=self._supported("sortConfig")["supported"] and self._config.supports_sort,
        )

    def reload(self) -> None:
        """Read the document again after the store was cleared."""
        self._document = self._load()

    def to_cxone(self) -> dict[str, Any]:
        """The document in the shape of CXone, with the `etag` the server sets."""
        return {**self._document, "etag": self._digest()} if self._config.supports_etag else dict(self._document)

    def to_rfc(self, base_url: str) -> dict[str, Any]:
        """The document in the shape of RFC 7643 section 5."""
        limits = self.limits
        document: dict[str, Any] = {"schemas": [PROVIDER_URN]}
        if "documentationUri" in self._document:
            document["documentationUri"] = self._document["documentationUri"]
        return document | {
            "patch": {"supported": self._config.supports_patch},
            "bulk": {
                "supported": limits.supports_bulk,
                "maxOperations": limits.max_operations,
                "maxPayloadSize": limits.max_payload,
            },
            "filter": {"supported": limits.supports_filter, "maxResults": limits.max_results},
            "changePassword": self._supported("changePasswordConfig"),
            "sort": {"supported": limits.supports_sort},
            "etag": {"supported": self._config.supports_etag},
            "pagination": self._pagination(limits),
            "authenticationSchemes": [_rfc_scheme(scheme) for scheme in self._document["authenticationSchemes"]],
            "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base_url}/ServiceProviderConfig"},
        }

    def replace(self, document: Mapping[str, Any], preconditions: Preconditions) -> None:
        """Replace the whole document; what the server sets is ignored. Raises 412 and 400."""
        if self._config.supports_etag and not self._config.quirks.ignores_if_match:
            preconditions.check_write(self.tag)
        written = {name: value for name, value in document.items() if name not in _SERVER_SET and value is not None}
        check_document(written)
        with self._store.transaction():
            self._store.write_state(_STATE_KEY, encode_json(written))
        self._document = written

    def _load(self) -> dict[str, Any]:
        stored = self._store.read_state(_STATE_KEY)
        document: dict[str, Any] = json.loads(stored) if stored else _initial_document(self._config)
        return document

    def _digest(self) -> str:
        text = json.dumps(self._document, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _pagination(self, limits: Limits) -> dict[str, Any]:
        """How lists are paged (RFC 9865 section 4)."""
        config = self._config
        methods = {"cursor": config.supports_cursor or config.cursor_only, "index": not config.cursor_only}
        default = "cursor" if config.cursor_only else "index"
        sizes = {"defaultPageSize": limits.max_results, "maxPageSize": limits.max_results}
        timeout = {"cursorTimeout": config.cursor_timeout} if methods["cursor"] else {}
        return {**methods, "defaultPaginationMethod": default, **sizes, **timeout}

    def _supported(self, name: str) -> dict[str, bool]:
        return {"supported": self._document.get(name, {}).get("supported", False)}


def check_document(document: Mapping[str, Any]) -> None:
    """The rules CXone has for the document; the first one broken is a 400."""
    if document.get("schemas") != [PROVIDER_URN]:
        raise invalid_syntax(f"schemas must be exactly {PROVIDER_URN}")
    _check_texts(document)
    _check_schemas_supported(document.get("schemasSupported"))
    _check_schemes(document.get("authenticationSchemes"))
    bulk = _feature(document, "bulkConfig")
    if bulk["supported"]:
        _check_range("bulkConfig.maxOperations", bulk.get("maxOperations"), _MAX_OPERATIONS_CEILING)
        _check_range("bulkConfig.maxPayloadSize", bulk.get("maxPayloadSize"), None)
    filtering = _feature(document, "filterConfig")
    if filtering["supported"]:
        _check_range("filterConfig.maxResults", filtering.get("maxResults"), _MAX_RESULTS_CEILING)
    for name in ("changePasswordConfig", "sortConfig"):
        if name in document:
            _feature(document, name)


def _check_texts(document: Mapping[str, Any]) -> None:
    for name in ("productName", "vendorName", "vendorVersion"):
        _require(isinstance(document.get(name), str), f"{name} is required and must be a string")
    for name in ("documentationUri", "supportEmail", "supportPhone", "supportAddress"):
        _require(isinstance(document.get(name, ""), str), f"{name} must be a string")


def _check_schemas_supported(raw: Any) -> None:
    is_valid = isinstance(raw, list) and all(
        isinstance(urn, str) and urn.startswith(_SCHEMA_URN_PREFIXES) for urn in raw
    )
    _require(is_valid, "schemasSupported must list SCIM schema URNs")


def _check_schemes(raw: Any) -> None:
    _require(isinstance(raw, list) and bool(raw), "authenticationSchemes needs at least one scheme")
    for scheme in raw:
        texts = scheme if isinstance(scheme, dict) else {}
        for name in ("name", "type", "description"):
            required = name != "description"
            value = texts.get(name, None if required else "")
            _require(
                isinstance(value, str) and bool(value or not required), f"authenticationSchemes: {name} is required"
            )


def _feature(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict) or not isinstance(value.get("supported"), bool):
        raise invalid_value(f"{name}.supported is required and must be a boolean")
    return value


def _check_range(name: str, value: Any, ceiling: int | None) -> None:
    upper = f" and at most {ceiling}" if ceiling else ""
    is_valid = type(value) is int and value >= 1 and (ceiling is None or value <= ceiling)
    _require(is_valid, f"{name} must be an integer, at least 1{upper}")


def _require(holds: bool, detail: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    if not holds:
        raise invalid_value(detail)


def _rfc_scheme(scheme: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        name: scheme[name]
        for name in ("name", "description", "specUri", "documentationUri", "primary")
        if name in scheme
    }
    return {"type": _RFC_SCHEME_TYPES.get(scheme["type"], scheme["type"]), "description": scheme["name"], **known}


def _initial_document(config: SandboxConfig) -> dict[str, Any]:
    return {
        "schemas": [PROVIDER_URN],
        "productName": "NICE CXone Identity Gateway",
        "vendorName": "NICE CXone",
        "vendorVersion": "2.0.1",
        "schemasSupported": [schema.id for schema in (USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA)],
        "authenticationSchemes": [
            {
                "name": "OAuth2 Client Credentials",
                "type": "oauthClient",
                "description": "OAuth 2.0 client credentials flow",
                "specUri": "https://oauth.net/2/",
            }
        ],
        "bulkConfig": {
            "supported": config.supports_bulk,
            "maxOperations": config.max_operations,
            "maxPayloadSize": config.max_payload,
        },
        "filterConfig": {"supported": config.supports_filter, "maxResults": config.max_results},
        "changePasswordConfig": {"supported": False},
        "sortConfig": {"supported": config.supports_sort},
    }
