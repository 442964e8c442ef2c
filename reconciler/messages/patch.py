"""Attribute and membership changes -> a PatchOp message (RFC 7644 section 3.5.2), in the smallest common subset.

Lower-case `op`, always a `path`, multi-valued user attributes by replacing the whole array, members by `add` with an
array and `remove` with a value filter, one member a remove (scim-rfc.md section 7). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.model.change import AttributeChange
from reconciler.semantics.canonical import is_unassigned, merged_elements, value_at

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Member = dict[str, Any]
"""An element of `members` on the wire: `{value, type?}`."""


def to_patch(
    attributes: Iterable[AttributeChange],
    live: Mapping[str, Any],
    *,
    removed: Sequence[str] = (),
    added: Sequence[Member] = (),
) -> dict[str, Any]:
    """The message; removes come before adds. `live` is what unmanaged sub-attributes are kept from."""
    operations = [_attribute_operation(change, live) for change in attributes]
    operations += [{"op": "remove", "path": f"members[value eq {json.dumps(member)}]"} for member in removed]
    if added:
        operations.append({"op": "add", "path": "members", "value": list(added)})
    return {"schemas": [PATCH_SCHEMA], "Operations": operations}


def _attribute_operation(change: AttributeChange, live: Mapping[str, Any]) -> dict[str, Any]:
    if is_unassigned(change.after):
        return {"op": "remove", "path": change.path}
    value = change.after
    current = value_at(live, change.path)
    if isinstance(value, list):
        value = merged_elements(value, current)
    return {"op": "add" if is_unassigned(current) else "replace", "path": change.path, "value": value}
