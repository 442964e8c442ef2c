"""Schemas of the service's own resources (RFC 7643 section 8.7.2): ServiceProviderConfig, ResourceType, Schema."""

from __future__ import annotations

from reconciler.sandbox.definitions import CORE
from reconciler.sandbox.schema import SCHEMA_URN, Attribute, Mutability, Schema, Type


def _attribute(
    name: str,
    description: str,
    type_: Type = Type.STRING,
    *,
    required: bool = False,
    case_exact: bool = False,
    multi_valued: bool = False,
    canonical_values: tuple[str, ...] = (),
    reference_types: tuple[str, ...] = (),
    sub_attributes: tuple[Attribute, ...] = (),
    uniqueness: str = "none",
) -> Attribute:
    """Everything in these schemas is read-only."""
    return Attribute(
        name=name,
        description=description,
        type=type_,
        required=required,
        case_exact=case_exact or type_ is Type.REFERENCE,
        multi_valued=multi_valued,
        mutability=Mutability.READ_ONLY,
        canonical_values=canonical_values,
        reference_types=reference_types,
        sub_attributes=sub_attributes,
        uniqueness=uniqueness,
    )


def _flag(name: str, description: str) -> Attribute:
    return _attribute(name, description, Type.BOOLEAN, required=True)


def _number(name: str, description: str) -> Attribute:
    return _attribute(name, description, Type.INTEGER, required=True)


def _feature(name: str, description: str, *limits: Attribute) -> Attribute:
    supported = _flag("supported", "Whether the operation is supported.")
    return _attribute(name, description, Type.COMPLEX, required=True, sub_attributes=(supported, *limits))


_SERVICE_PROVIDER_CONFIG = Schema(
    id=f"{CORE}ServiceProviderConfig",
    name="Service Provider Configuration",
    description="Schema for representing the service provider's configuration",
    attributes=(
        _attribute(
            "documentationUri",
            "A URL pointing to the service provider's help documentation.",
            Type.REFERENCE,
            reference_types=("external",),
        ),
        _feature("patch", "PATCH options."),
        _feature(
            "bulk",
            "Bulk options.",
            _number("maxOperations", "The maximum number of operations."),
            _number("maxPayloadSize", "The maximum payload size in bytes."),
        ),
        _feature("filter", "Filter options.", _number("maxResults", "The maximum number of resources in an answer.")),
        _feature("changePassword", "Options for changing a password."),
        _feature("sort", "Sort options."),
        _feature("etag", "ETag options."),
        _attribute(
            "pagination",
            "Pagination options.",
            Type.COMPLEX,
            sub_attributes=(
                _flag("cursor", "Whether lists are paged by cursor."),
                _flag("index", "Whether lists are paged by index."),
                _attribute(
                    "defaultPaginationMethod",
                    "How lists are paged when the query does not say.",
                    canonical_values=("cursor", "index"),
                ),
                _attribute("defaultPageSize", "Results in a page when the query does not say.", Type.INTEGER),
                _attribute("maxPageSize", "The most results in a page.", Type.INTEGER),
                _attribute("cursorTimeout", "The seconds that a cursor is valid.", Type.INTEGER),
            ),
        ),
        _attribute(
            "authenticationSchemes",
            "Supported authentication schemes.",
            Type.COMPLEX,
            required=True,
            multi_valued=True,
            sub_attributes=(
                _attribute(
                    "type",
                    "The authentication scheme.",
                    required=True,
                    canonical_values=("oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"),
                ),
                _attribute("name", "The common authentication scheme name.", required=True),
                _attribute("description", "A description of the authentication scheme.", required=True),
                _attribute(
                    "specUri",
                    "A URL pointing to the authentication scheme's specification.",
                    Type.REFERENCE,
                    reference_types=("external",),
                ),
                _attribute(
                    "documentationUri",
                    "A URL pointing to the authentication scheme's usage documentation.",
                    Type.REFERENCE,
                    reference_types=("external",),
                ),
                _attribute("primary", "Whether this is the preferred scheme.", Type.BOOLEAN),
            ),
        ),
    ),
)

_RESOURCE_TYPE = Schema(
    id=f"{CORE}ResourceType",
    name="ResourceType",
    description="Specifies the schema that describes a SCIM resource type",
    attributes=(
        _attribute("id", "The resource type's server unique id; often the same as the name."),
        _attribute("name", "The resource type name.", required=True),
        _attribute("description", "The resource type's human-readable description."),
        _attribute(
            "endpoint",
            "The resource type's endpoint, relative to the base URL.",
            Type.REFERENCE,
            required=True,
            reference_types=("uri",),
        ),
        _attribute(
            "schema",
            "The resource type's primary schema URI.",
            Type.REFERENCE,
            required=True,
            reference_types=("uri",),
        ),
        _attribute(
            "schemaExtensions",
            "The URIs of the resource type's schema extensions.",
            Type.COMPLEX,
            multi_valued=True,
            sub_attributes=(
                _attribute(
                    "schema", "The URI of a schema extension.", Type.REFERENCE, required=True, reference_types=("uri",)
                ),
                _flag("required", "Whether the extension must be present."),
            ),
        ),
    ),
)

_DEFINITION = (
    _attribute("name", "The attribute's name.", required=True, case_exact=True),
    _attribute(
        "type",
        "The attribute's data type.",
        required=True,
        canonical_values=tuple(type_.value for type_ in Type),
    ),
    _flag("multiValued", "Whether the attribute has several values."),
    _attribute("description", "A human-readable description of the attribute.", case_exact=True),
    _attribute("required", "Whether the attribute is required.", Type.BOOLEAN),
    _attribute("canonicalValues", "Suggested values.", case_exact=True, multi_valued=True),
    _attribute("caseExact", "Whether a string attribute is case sensitive.", Type.BOOLEAN),
    _attribute(
        "mutability",
        "Whether the attribute can be changed.",
        case_exact=True,
        canonical_values=("readOnly", "readWrite", "immutable", "writeOnly"),
    ),
    _attribute(
        "returned",
        "When the attribute is returned.",
        case_exact=True,
        canonical_values=("always", "never", "default", "request"),
    ),
    _attribute(
        "uniqueness",
        "How unique a value must be.",
        case_exact=True,
        canonical_values=("none", "server", "global"),
    ),
    _attribute(
        "referenceTypes", "The names of the resource types that may be referenced.", case_exact=True, multi_valued=True
    ),
)

_SCHEMA = Schema(
    id=SCHEMA_URN,
    name="Schema",
    description="Specifies the schema that describes a SCIM schema",
    attributes=(
        _attribute("id", "The unique URI of the schema.", required=True, uniqueness="global"),
        _attribute("name", "The schema's human-readable name.", required=True),
        _attribute("description", "The schema's human-readable description."),
        _attribute(
            "attributes",
            "The definitions of the schema's attributes.",
            Type.COMPLEX,
            required=True,
            multi_valued=True,
            sub_attributes=(
                *_DEFINITION,
                _attribute(
                    "subAttributes",
                    "The definitions of the sub-attributes of a complex attribute.",
                    Type.COMPLEX,
                    multi_valued=True,
                    sub_attributes=_DEFINITION,
                ),
            ),
        ),
    ),
)

SERVICE_SCHEMAS = (_SERVICE_PROVIDER_CONFIG, _RESOURCE_TYPE, _SCHEMA)
