"""ServiceProviderConfig in its two shapes: RFC 7643 section 5 and CXone's (cxone.md section 7, D27). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.change import AttributeChange
from reconciler.semantics.canonical import diff_attributes, merged_elements, set_at, value_at

_OTHER_NAME = {
    "bulkConfig": "bulk",
    "filterConfig": "filter",
    "changePasswordConfig": "changePassword",
    "sortConfig": "sort",
}
_OTHER_NAME |= {rfc: cxone for cxone, rfc in _OTHER_NAME.items()}

_SERVER_SET = ("etag", "meta", "id")
"""Never compared and never sent in CXone's shape, where `etag` is the version of the document itself."""


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


def overlaid_configuration(live: Mapping[str, Any], changes: tuple[AttributeChange, ...]) -> dict[str, Any]:
    """The whole document to write: the live one with the changed fields laid over it, so nothing else is dropped."""
    document = {name: value for name, value in live.items() if name not in _SERVER_SET}
    for change in changes:
        name, dot, rest = change.path.partition(".")
        path = _in_live(name, document) + dot + rest
        value = change.after
        if isinstance(value, list):
            value = merged_elements(value, live.get(path))
        set_at(document, path, value)
    return document


def _in_live(name: str, document: Mapping[str, Any]) -> str:
    """The name that the live document uses for a field, or the given one where it has neither."""
    other = _OTHER_NAME.get(name, name)
    return other if name not in document and other in document else name


def _comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without what the service sets; RFC's `etag {supported}` is a feature, CXone's `etag` a version."""
    return {
        name: value
        for name, value in body.items()
        if name not in {"schemas", "meta", "id"} and not (name == "etag" and isinstance(value, str))
    }
