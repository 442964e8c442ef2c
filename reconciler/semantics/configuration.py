"""ServiceProviderConfig in its two shapes: RFC 7643 section 5 and CXone's (cxone.md section 7, D27). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model.change import AttributeChange
from reconciler.model.resource import SERVICE_PROVIDER_CONFIG_SCHEMA
from reconciler.semantics.canonical import diff_attributes, merged_elements, set_at, value_at

_CXONE_NAMES = {
    "bulk": "bulkConfig",
    "filter": "filterConfig",
    "changePassword": "changePasswordConfig",
    "sort": "sortConfig",
}
_RFC_NAMES = {cxone: rfc for rfc, cxone in _CXONE_NAMES.items()}
_OTHER_NAME = {**_CXONE_NAMES, **_RFC_NAMES}
_NAMES_OF_SHAPE = {"cxone": _CXONE_NAMES, "rfc": _RFC_NAMES}

_SERVER_SET = frozenset({"meta", "id"})
_FIELDS = frozenset(
    (
        *_OTHER_NAME,
        *("patch", "etag", "pagination", "securityEvents", "authenticationSchemes", "schemasSupported"),
        *("productName", "vendorName", "vendorVersion"),
        *("documentationUri", "supportEmail", "supportPhone", "supportAddress"),
    )
)
"""What a document of either shape says; everything else is the service's own business."""


def diff_configuration(desired: Mapping[str, Any], live: Mapping[str, Any]) -> list[AttributeChange]:
    """The declared fields in which live differs, whichever of the two shapes each side uses.

    Order of `schemasSupported` and additional fields of the service do not matter; what it sets itself is not compared.
    """
    stated, found = _comparable(desired), _comparable(live)
    found = {name: found.get(_in_live(name, found)) for name in stated}
    changes, _ = diff_attributes(stated, found, {})
    return sorted(changes, key=lambda change: change.path)


def configuration_value(live: Mapping[str, Any], path: str) -> Any:
    """The value at a path of either shape."""
    name, dot, rest = path.partition(".")
    return value_at(live, _in_live(name, live) + dot + rest)


def overlaid_configuration(live: Mapping[str, Any], changes: Iterable[AttributeChange], shape: str) -> dict[str, Any]:
    """The whole document to write, in the shape of the dialect: the live one with the changed fields laid over it.

    Nothing else is dropped; what a shape has no name for keeps its own. The version that CXone calls `etag` is not
    sent, nor in its shape the feature that the RFC calls so.
    """
    names = _NAMES_OF_SHAPE[shape]
    document = {
        _in_shape(name, names, live): value
        for name, value in live.items()
        if name not in _SERVER_SET and not (name == "etag" and (shape == "cxone" or isinstance(value, str)))
    }
    for change in changes:
        name, dot, rest = change.path.partition(".")
        value = change.after
        if isinstance(value, list):
            value = merged_elements(value, configuration_value(live, change.path))
        set_at(document, _in_shape(name, names, document) + dot + rest, value)
    return {"schemas": [SERVICE_PROVIDER_CONFIG_SCHEMA], **document}


def not_kept(sent: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """The paths at which a document does not read back as it was sent, additional fields of the service left aside."""
    known = {name: value for name, value in sent.items() if name in _FIELDS}
    return [change.path for change in diff_configuration(known, live)]


def _in_live(name: str, document: Mapping[str, Any]) -> str:
    """The name that the live document uses for a field, or the given one where it has neither."""
    other = _OTHER_NAME.get(name, name)
    return other if name not in document and other in document else name


def _in_shape(name: str, names: Mapping[str, str], document: Mapping[str, Any]) -> str:
    """The name of a field in a shape; a document that already has both names keeps both."""
    wanted = names.get(name, name)
    return name if wanted in document and name in document else wanted


def _comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without what the service sets; RFC's `etag {supported}` is a feature, CXone's `etag` a version."""
    return {
        name: value
        for name, value in body.items()
        if name not in {"schemas", "meta", "id"} and not (name == "etag" and isinstance(value, str))
    }
