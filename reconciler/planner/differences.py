"""Where exactly two structured values differ, for people; the only home of deepdiff.

Called for attributes that do differ and only for those (SPEC section 11): deepdiff pairs up similar elements, so that a
changed address reads as one changed sub-attribute instead of a removed and an added element.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_MOST_ELEMENTS = 200
"""Pairing is quadratic. Beyond this the values themselves have to do."""


def differences(before: Any, after: Any) -> tuple[str, ...]:
    """Lines like `[0].value: "a" -> "b"`, sorted; empty for values without structure, and for equal ones."""
    if type(before) is not type(after) or not isinstance(before, list | dict):
        return ()
    if len(before) > _MOST_ELEMENTS or len(after) > _MOST_ELEMENTS:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415 - a tenth of a second that a plan without such changes need not spend

    tree = DeepDiff(before, after, ignore_order=True, ignore_numeric_type_changes=True, view="tree")
    return tuple(sorted(_lines(tree)))


def _lines(tree: Any) -> Iterator[str]:
    for report, levels in tree.items():
        for level in levels:
            path = "".join(
                f"[{step}]" if isinstance(step, int) else f".{step}" for step in level.path(output_format="list")
            )
            if report.endswith("_added"):
                yield f"{path.lstrip('.')}: + {_json(level.t2)}"
            elif report.endswith("_removed"):
                yield f"{path.lstrip('.')}: - {_json(level.t1)}"
            else:
                yield f"{path.lstrip('.')}: {_json(level.t1)} -> {_json(level.t2)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
