"""Values from git or from a service as text for people: on one line, redacted, of bearable length. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.model.diagnostic import Source
from reconciler.model.resource import Kind
from reconciler.semantics.printable import printable

HIDDEN = "(hidden)"
"""What stands for the value of an attribute that is named like a secret."""

UNASSIGNED = "(none)"
"""What stands for no value; a text is always quoted, so nothing else reads like it."""

_SECRET_NAME = re.compile(r"passw|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
_NOUNS = {Kind.USER: "user", Kind.GROUP: "group", Kind.SERVICE_PROVIDER_CONFIG: "ServiceProviderConfig"}


def shown(value: Any, path: str) -> str:
    """A value on one line: texts quoted, `{value: x}` as x, and HIDDEN where an attribute is named like a secret.

    A flag is no secret: `changePassword.supported` (RFC 7643 section 5) stays readable.
    """
    if value is None:
        return UNASSIGNED
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        if set(value) == {"value"}:
            return shown(value["value"], path)
        return "{" + ", ".join(f"{printable(str(k))}: {shown(v, f'{path}.{k}')}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item, path) for item in value) + "]"
    if is_secret(path):
        return HIDDEN
    if isinstance(value, str):
        return quoted(value)
    return printable(str(value))


def is_secret(path: str) -> bool:
    """Whether an attribute is named like a secret."""
    return _SECRET_NAME.search(path) is not None


def quoted(text: str) -> str:
    """A text in double quotes; quotes and backslashes inside are escaped, so that it ends where it seems to end."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def shortened(text: str, width: int) -> str:
    """A long text by its beginning and its end, saying how long it is."""
    if len(text) <= width:
        return text
    return f"{text[: width * 2 // 3]}…{text[-(width // 4) :]} ({len(text):,} characters)"


def is_set(value: Any) -> bool:
    """Whether a value is that of a multi-valued attribute, or none."""
    return value is None or isinstance(value, list | tuple)


def missing(values: Sequence[Any] | None, others: Sequence[Any] | None) -> list[Any]:
    """The values that are not among the others, in their order."""
    there = {identity(other) for other in others or ()}
    return [value for value in values or () if identity(value) not in there]


def identity(value: Any) -> str:
    """A text that is equal exactly for equal JSON values."""
    return json.dumps(value, sort_keys=True)


def located(source: Source | None) -> str:
    """`file:line`, or "" where no document declares it."""
    return "" if source is None else printable(f"{source.file}:{source.line}")


def noun(kind: Kind, count: int) -> str:
    """`user`, `users`, `group`, `groups`, `ServiceProviderConfig`."""
    return _NOUNS[kind] if count == 1 or kind is Kind.SERVICE_PROVIDER_CONFIG else f"{_NOUNS[kind]}s"


def many(count: int, word: str) -> str:
    """A count and its noun: `1 group`, `1,090 groups`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def many_of(count: int, kind: Kind) -> str:
    """A count and the noun of a kind."""
    return f"{count:,} {noun(kind, count)}"


def in_words(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = list(parts) or [""]
    return f"{', '.join(first)} and {last}" if first else last
