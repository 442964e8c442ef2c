"""ServiceProviderConfig in its two shapes: RFC 7643 section 5 and CXone's (cxone.md section 7, D27). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.change import AttributeChange
from reconciler.semantics.canonical import diff_attributes, merged_elements, set_at

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
    stated = _comparable(desired)
    found = _comparable(live)
    for name in stated:
        other = _OTHER_NAME.get(name)
        if name not in found and other in found:
            found[name] = found[other]
    changes, _ = diff_attributes(stated, found, {})
    return sorted(changes, key=lambda change: change.path)


def overlaid_configuration(live: Mapping[str, Any], changes: tuple[AttributeChange, ...]) -> dict[str, Any]:
    """The whole document to write: the live one with the changed fields laid over it, so that nothing else is dropped."""
    document = {name: value for name, value in live.items() if name not in _SERVER_SET}
    for change in changes:
        value = change.after
        if isinstance(value, list):
            value = merged_elements(value, live.get(change.path))
        set_at(document, change.path, value)
    return document


def _comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without what the service sets; RFC's `etag {supported}` is a feature, CXone's `etag` a version."""
    return {
        name: value
        for name, value in body.items()
        if name not in {"schemas", "meta", "id"} and not (name == "etag" and isinstance(value, str))
    }
