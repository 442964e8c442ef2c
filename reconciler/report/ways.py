"""Which way is taken where a service lacks a feature (SPEC section 4), in the same words everywhere. Pure."""

from __future__ import annotations

from reconciler.model.plan import Capabilities

WITHOUT_BULK = "each change is a request of its own"
WITHOUT_PATCH = "updates send the whole resource (PUT), with everything as it was read but for what changes"
WITHOUT_VERSIONS = "each resource is read and compared right before it is written"
WITHOUT_FILTERS = "resources are found by reading the lists"


def ways(capabilities: Capabilities) -> tuple[str, ...]:
    """A sentence for each feature that is gone without, and for paging where it is not the usual one."""
    taken = [
        (capabilities.bulk, f"no bulk: {WITHOUT_BULK}"),
        (capabilities.patch, f"no PATCH: {WITHOUT_PATCH}"),
        (capabilities.etag, f"no versions: {WITHOUT_VERSIONS}"),
        (capabilities.filter, f"no filters: {WITHOUT_FILTERS}"),
        (not capabilities.cursor, "lists are read by cursor, one page after the other"),
    ]
    return tuple(way for has_it, way in taken if not has_it)
