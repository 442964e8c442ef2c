"""ServiceProviderConfig, ResourceTypes and Schemas (RFC 7644 section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

from reconciler.sandbox.definitions import ENTERPRISE_SCHEMA, GROUP_SCHEMA, KINDS, USER_SCHEMA, ResourceKind
from reconciler.sandbox.errors import ScimError, not_found
from reconciler.sandbox.exchange import Exchange
from reconciler.sandbox.listing import LIST_URN
from reconciler.sandbox.schema import Attribute, Schema
from reconciler.sandbox.service_schemas import SERVICE_SCHEMAS
from reconciler.sandbox.tenant_rules import REQUIRED_ON_CREATE

RESOURCE_TYPE_URN = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"


def _required(attribute: Attribute) -> Attribute:
    """An attribute that a new user needs, as the schema shows it."""
    parts = tuple(dataclasses.replace(sub, required=sub.name in _REQUIRED_PARTS) for sub in attribute.sub_attributes)
    return dataclasses.replace(attribute, required=True, sub_attributes=parts)


_SCHEMAS = (USER_SCHEMA, ENTERPRISE_SCHEMA, GROUP_SCHEMA, *SERVICE_SCHEMAS)
_REQUIRED_PARTS = ("givenName", "familyName", "value")
_CXONE_USER_SCHEMA = dataclasses.replace(
    USER_SCHEMA,
    attributes=tuple(
        _required(attribute) if attribute.name in REQUIRED_ON_CREATE else attribute
        for attribute in USER_SCHEMA.attributes
    ),
)


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
    return _reply_list(exchange, [schema.to_json(exchange.base_url) for schema in _schemas(exchange)])


def read_schema(exchange: Exchange, urn: str) -> Response:
    """One schema by URN."""
    schema = next((schema for schema in _schemas(exchange) if schema.id.lower() == urn.lower()), None)
    if schema is None:
        raise not_found(f"There is no schema {urn[:200]!r}")
    return exchange.reply_value(schema.to_json(exchange.base_url))


def _schemas(exchange: Exchange) -> Sequence[Schema]:
    """The schemas as they hold for the tenant."""
    if not exchange.service.config.is_cxone:
        return _SCHEMAS
    return [_CXONE_USER_SCHEMA if schema is USER_SCHEMA else schema for schema in _SCHEMAS]


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
