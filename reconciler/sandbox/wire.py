"""JSON as it arrives: decoded strictly, so that no hostile body becomes anything but a 400."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from reconciler.sandbox.errors import invalid_syntax

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DEPTH_LIMIT = 32


def decode_json(body: bytes) -> Any:
    """The value in `body`; raises `invalidSyntax` for everything that is not one well-formed JSON value in UTF-8."""
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_unique_pairs,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if _ESCAPED_SURROGATE.search(body):
            # A lone surrogate decodes, but no text with one can be stored or sent back as UTF-8.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise invalid_syntax("The JSON body is nested too deep") from None
    except ValueError as error:
        raise invalid_syntax(f"The body is not valid JSON: {error}") from None
    _check_depth(value)
    return value


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; anything else is `invalidSyntax`."""
    return as_object(decode_json(body))


def as_object(value: Any) -> dict[str, Any]:
    """A JSON value that has to be an object; anything else is `invalidSyntax`."""
    if not isinstance(value, dict):
        raise invalid_syntax("The body must be a JSON object")
    return value


def encode_json(value: Any) -> str:
    """Compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _check_depth(value: Any) -> None:
    """Refuse what is nested deeper than any message has reason to be, so that nothing later can run out of stack."""
    level = [value]
    for _ in range(_DEPTH_LIMIT):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise invalid_syntax(f"The JSON body is nested deeper than {_DEPTH_LIMIT}")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key {repeated[:100]!r}")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:100]} is out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
