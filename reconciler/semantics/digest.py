"""Digests of changes and plans (SPEC section 6): what an approval stands for.

A digest covers what a reviewer judges: who, what, from which state to which. It leaves out what may differ between two
readings of the same situation: ids of others, versions, times, file positions, estimates, losses.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model.change import Change, PreconditionKind
from reconciler.model.plan import PLAN_FORMAT_VERSION, AccessChange
from reconciler.semantics.canonical import MANAGER_PATH


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and NFC text, as UTF-8; the form every digest is taken over."""
    return json.dumps(_nfc(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def sha256(value: Any) -> str:
    """`sha256:<hex>` over the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def change_digest(change: Change, *, tenant: str, target: str) -> str:
    """The digest of one change; `change.digest` itself is not looked at."""
    anchors = dict(change.references)
    attributes: list[dict[str, Any]] = []
    for item in sorted(change.attributes, key=lambda a: a.path):
        before, after = item.before, item.after
        if item.path == MANAGER_PATH:
            before, after = _anchored(before, anchors), _anchored(after, anchors)
        attributes.append({"path": item.path, "before": before, "after": after})
    if change.members:
        attributes.append(
            {
                "path": "members",
                "added": [_anchored(label, anchors) for label in sorted(change.members.added)],
                "removed": [_anchored(label, anchors) for label in sorted(change.members.removed)],
            }
        )
    return sha256(
        {
            "formatVersion": PLAN_FORMAT_VERSION,
            "tenant": tenant,
            "target": target,
            "key": str(change.key),
            "action": change.action.value,
            "anchor": change.anchor,
            "guarded": change.precondition.kind is not PreconditionKind.UNGUARDED,
            "attributes": attributes,
        }
    )


def _anchored(label: str | None, anchors: Mapping[str, str | None]) -> list[str | None] | None:
    """A reference as people name it, with the anchor of the resource it meant; a new resource has none yet."""
    return None if label is None else [label, anchors.get(label)]


def plan_digest(digests: Iterable[str], gains: Iterable[AccessChange]) -> str:
    """The digest of a plan: over its ordered change digests and the access it gives."""
    return sha256(
        {
            "changes": list(digests),
            "gains": [[gain.user, gain.group, list(gain.via)] for gain in sorted(gains)],
        }
    )


def _nfc(value: Any) -> Any:
    """The value with every text in NFC. Recursion is safe here: depth was limited when the value was read."""
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {_nfc(key): _nfc(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nfc(item) for item in value]
    return value
