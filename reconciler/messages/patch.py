"""Attribute and membership changes -> a PatchOp message (RFC 7644 section 3.5.2), in the smallest common subset.

Lower-case `op`, always a `path`, multi-valued user attributes by replacing the whole array, members by `add` with an
array and `remove` with a value filter, one member a remove (scim-rfc.md section 7). Two dialects differ: the envelope
of the CXone provisioning topic (cxone.md D14) and the spelling of `op` (scim-rfc.md Q1). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.model.change import AttributeChange
from reconciler.model.dialect import Dialect
from reconciler.model.resource import Kind
from reconciler.semantics.canonical import is_unassigned, merged_elements, value_at

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Member = dict[str, Any]
"""An element of `members` on the wire: `{value, type?}`."""


def to_patch(
    kind: Kind,
    attributes: Iterable[AttributeChange],
    live: Mapping[str, Any],
    dialect: Dialect,
    *,
    removed: Sequence[str] = (),
    added: Sequence[Member] = (),
) -> dict[str, Any]:
    """The message; removes come before adds. `live` is what unmanaged sub-attributes are kept from.

    With `patch: legacy` it names the schema of the resource and has lower-case `operations` (cxone.md D14).
    """
    operations = [_attribute_operation(change, live) for change in attributes]
    operations += [{"op": "remove", "path": f"members[value eq {json.dumps(member)}]"} for member in removed]
    if added:
        operations.append({"op": "add", "path": "members", "value": list(added)})
    if dialect.op_case == "capitalized":
        operations = [{**operation, "op": operation["op"].capitalize()} for operation in operations]
    if dialect.patch == "legacy":
        return {"schemas": [kind.schema], "operations": operations}
    return {"schemas": [PATCH_SCHEMA], "Operations": operations}


def _attribute_operation(change: AttributeChange, live: Mapping[str, Any]) -> dict[str, Any]:
    if is_unassigned(change.after):
        return {"op": "remove", "path": change.path}
    value = change.after
    current = value_at(live, change.path)
    if isinstance(value, list):
        value = merged_elements(value, current)
    return {"op": "add" if is_unassigned(current) else "replace", "path": change.path, "value": value}
