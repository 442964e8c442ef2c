"""What an error answer says (RFC 7644 section 3.12), however the service writes it."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any

_LONGEST = 300
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]{0,1000}>", re.IGNORECASE | re.DOTALL)
_NOT_PRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_DETAIL_KEYS = ("detail", "error_description", "message", "description", "msg", "title", "error", "errors", "reason")


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """`detail` is one line, without control characters and shortened; None where the service said nothing."""

    scim_type: str | None = None
    detail: str | None = None


def parse_error(body: bytes) -> ErrorMessage:
    """Read an error body: a SCIM Error, other JSON (also nested, or with a list of problems), HTML or plain text.

    Never raises: whatever cannot be read is shown as text.
    """
    text = body[:65_536].decode("utf-8", "replace").strip()
    try:
        document = json.loads(text) if len(body) <= 65_536 else None
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict | list):
        return ErrorMessage(_scim_type(document), shorten(_detail(document, depth=4)))
    if isinstance(document, str):
        return ErrorMessage(None, shorten(document))
    return ErrorMessage(None, shorten(html.unescape(_MARKUP.sub(" ", text)) if "<" in text else text))


def shorten(text: str) -> str | None:
    """One printable line of at most 300 characters, or None for nothing."""
    line = _NOT_PRINTABLE.sub(" ", text).strip()
    return (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…") or None


def _scim_type(document: dict[str, Any] | list[Any]) -> str | None:
    if isinstance(document, dict):
        for key, value in document.items():
            if key.lower() == "scimtype" and isinstance(value, str):
                return shorten(value)
    return None


def _detail(value: object, *, depth: int) -> str:
    if depth == 0:
        return ""
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, list):
        return "; ".join(filter(None, (_detail(item, depth=depth - 1) for item in value[:10])))
    if isinstance(value, dict):
        folded = {key.lower(): item for key, item in value.items()}
        for key in _DETAIL_KEYS:
            if detail := _detail(folded.get(key), depth=depth - 1):
                return f"{detail} ({_location(folded['loc'])})" if "loc" in folded else detail
    return ""


def _location(value: object) -> str:
    """Where a FastAPI service saw the problem: `["body", "userName"]`."""
    return ".".join(str(part) for part in value) if isinstance(value, list) else str(value)
