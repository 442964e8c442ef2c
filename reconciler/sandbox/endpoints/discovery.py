"""ServiceProviderConfig, ResourceTypes and Schemas (RFC 7644 section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

from reconciler.sandbox.definitions import ENTERPRISE_SCHEMA, GROUP_SCHEMA, KINDS, USER_SCHEMA, ResourceKind
from reconciler.sandbox.errors import ScimError, not_found
from reconciler.sandbox.exchange import Exchange
from reconciler.sandbox.listing import LIST_URN
from reconciler.sandbox.service_schemas import SERVICE_SCHEMAS

RESOURCE_TYPE_URN = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"

_SCHEMAS = (USER_SCHEMA, ENTERPRISE_SCHEMA, GROUP_SCHEMA, *SERVICE_SCHEMAS)


def provider_config(exchange: Exchange) -> Response:
    """The ServiceProviderConfig in the shape of the RFC."""
    _refuse_filter(exchange)
    with exchange.service.store.lock:
        return exchange.reply_value(exchange.service.provider.to_rfc(exchange.base_url))


def list_resource_types(exchange: Exchange) -> Response:
    """All resource types."""
    return _reply_list(exchange, [_resource_type(kind, exchange.base_url) for kind in KINDS.values()])


def read_resource_type(exchange: Exchange, name: str) -> Response:
    """One resource type by name."""
    kind = KINDS.get(name)
    if kind is None:
        raise not_found(f"There is no resource type {name[:200]!r}")
    return exchange.reply_value(_resource_type(kind, exchange.base_url))


def list_schemas(exchange: Exchange) -> Response:
    """All schemas."""
    return _reply_list(exchange, [schema.to_json(exchange.base_url) for schema in _SCHEMAS])


def read_schema(exchange: Exchange, urn: str) -> Response:
    """One schema by URN."""
    schema = next((schema for schema in _SCHEMAS if schema.id.lower() == urn.lower()), None)
    if schema is None:
        raise not_found(f"There is no schema {urn[:200]!r}")
    return exchange.reply_value(schema.to_json(exchange.base_url))


def _refuse_filter(exchange: Exchange) -> None:
    """RFC 7644 section 4: a filter on a discovery endpoint is answered 403; paging and sorting are ignored."""
    if "filter" in exchange.request.args:
        raise ScimError(HTTPStatus.FORBIDDEN, "This endpoint does not filter")


def _reply_list(exchange: Exchange, resources: Sequence[dict[str, Any]]) -> Response:
    _refuse_filter(exchange)
    return exchange.reply_value(
        {
            "schemas": [LIST_URN],
            "totalResults": len(resources),
            "startIndex": 1,
            "itemsPerPage": len(resources),
            "Resources": resources,
        }
    )


def _resource_type(kind: ResourceKind, base_url: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "schemas": [RESOURCE_TYPE_URN],
        "id": kind.name,
        "name": kind.name,
        "endpoint": kind.endpoint,
        "description": kind.description,
        "schema": kind.schema.id,
    }
    if kind.extensions:
        shown["schemaExtensions"] = [{"schema": schema.id, "required": False} for schema in kind.extensions]
    return shown | {"meta": {"resourceType": "ResourceType", "location": f"{base_url}/ResourceTypes/{kind.name}"}}
