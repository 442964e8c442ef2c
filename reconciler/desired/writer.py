r"""Documents -> YAML files that people like to edit: users by letter, a file a group, what most share in `defaults`.

The text is laid out here and not by PyYAML's emitter: that one writes an emoji as `\U0001F600`, leaves characters that
nobody can see as they are, and takes longer (9.6 CPU seconds per 100,000 users in C, 35 in Python; this takes 6 with
all that is decided here). What is written reads back as exactly the same value in every YAML reader: a text is plain
only where nothing about it is odd, else it stands in double quotes with everything unprintable escaped.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import ceil, isfinite
from typing import Any

from reconciler.desired.loader import MAX_BYTES, MAX_DEPTH, resolve_plain
from reconciler.model.resource import ENTERPRISE_SCHEMA, Attributes
from reconciler.semantics.canonical import fold
from reconciler.semantics.printable import printable

MOST_IN_A_FILE = 1000
"""Users, or groups, in one file."""

MOST_GROUP_FILES = 1000
"""Groups that get a file each; of more, those of one letter share a file."""

USERS_FOLDER = "users"
GROUPS_FOLDER = "groups"
CONFIGURATION_FILE = "service-provider-config.yaml"

_WIDTH = 120
_MOST_BYTES = MAX_BYTES * 6 // 10  # at three bytes a value, the least there is, the number of values is in bounds, too
_LONGEST_KEY = 250  # libyaml wants the colon within 1,024 bytes
_LONGEST_FILE_NAME = 60
_DEEPEST = MAX_DEPTH - 8  # what an attribute may hold, below document, items, item and extension
_LARGEST = 2**63 - 1

_PLAIN = re.compile(r"\w(?:[\w .@+/&()':-]*[\w.@+/&()'-])?")
"""Characters that mean nothing in YAML where they stand, also inside flow collections; but for a colon and a blank."""

_SUSPICIOUS = frozenset("yYnNtTfFoO0123456789")
"""First letters of plain text that some reader takes for something else."""

_SHARED: tuple[Path, ...] = (
    *((name,) for name in ("active", "userType", "preferredLanguage", "locale", "timezone", "roles", "entitlements")),
    *((ENTERPRISE_SCHEMA, name) for name in ("costCenter", "organization", "division", "department")),
)
"""What `defaults` may hold: what describes many people. A name or a title is one's own."""

_ALWAYS_OPEN = frozenset({"defaults", "members"})
"""What has a line for each entry, so that a change of one is a change of one line."""

Path = tuple[str, ...]


def user_files(documents: Sequence[Attributes], header: str) -> dict[str, bytes]:
    """User documents in wire shape as `users/<letter>.yaml`, in order of userName whatever order they come in.

    A file holds at most `MOST_IN_A_FILE` users; a letter that has more of them has numbered files. What more than half
    of all users share is in the `defaults` of every file that it fits. `header` is a comment of one line.
    """
    shared = _shared_values(documents)
    files: dict[str, bytes] = {}
    for letter, users in _by_letter(documents, "userName").items():
        parts = []
        for batch in _even_batches(users):
            defaults = _fitting(shared, batch)
            head = (
                "kind: Users\n" + (_text({"defaults": _as_written(_nested(defaults))}) if defaults else "") + "items:\n"
            )
            parts += [
                (head, items) for items in _by_size(_item(_as_written(_without(user, defaults))) for user in batch)
            ]
        files |= _numbered(f"{USERS_FOLDER}/{letter}", [_file(header, head, items) for head, items in parts])
    return files


def group_files(documents: Sequence[Attributes], header: str) -> dict[str, bytes]:
    """Group documents as `groups/<name>.yaml`, a file each, or by letter where there are more than `MOST_GROUP_FILES`.

    File names are the displayNames in lower-case ASCII; those that come out alike are numbered.
    """
    if len(documents) <= MOST_GROUP_FILES:
        groups = _sorted(documents, "displayName")
        names = _file_names(group["displayName"] for group in groups)
        return {
            f"{GROUPS_FOLDER}/{name}.yaml": _file(header, _text({"kind": "Group", **group}), ())
            for name, group in zip(names, groups, strict=True)
        }
    files: dict[str, bytes] = {}
    for letter, listed in _by_letter(documents, "displayName").items():
        parts = [items for batch in _even_batches(listed) for items in _by_size(map(_item, batch))]
        texts = [_file(header, "kind: Groups\nitems:\n", items) for items in parts]
        files |= _numbered(f"{GROUPS_FOLDER}/{letter}", texts)
    return files


def configuration_files(document: Attributes, header: str) -> dict[str, bytes]:
    """The ServiceProviderConfig document as a file; it is only compared until somebody changes `mode`."""
    return {CONFIGURATION_FILE: _file(header, _text({"kind": "ServiceProviderConfig", **document}), ())}


def fits_a_file(document: Attributes) -> bool:
    """Whether a user or group document is small enough to be read again."""
    return len(_item(document).encode()) <= _MOST_BYTES


def why_unwritable(value: Any) -> str | None:
    """Why a JSON value cannot stand in a file of ours, in words that go on after "it"; None where it can."""
    todo: list[tuple[Any, int]] = [(value, 1)]
    while todo:
        node, depth = todo.pop()
        if isinstance(node, Mapping):
            if any(len(key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY for key in node):
                return f"has a key of more than {_LONGEST_KEY} bytes"
            todo.extend((key, depth) for key in node)
        if isinstance(node, Mapping | list):
            if depth > _DEEPEST:
                return f"is nested deeper than {_DEEPEST} levels"
            todo.extend((item, depth + 1) for item in (node.values() if isinstance(node, Mapping) else node))
        elif isinstance(node, str):
            if not _is_encodable(node):
                return "holds half a character (a lone surrogate), which YAML cannot"
        elif isinstance(node, float) and not isfinite(node):
            return "holds a number without end"
        elif isinstance(node, int) and abs(node) > _LARGEST:
            return f"holds a number beyond {_LARGEST}"
    return None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# What goes into which file.


def _sorted(documents: Iterable[Attributes], name: str) -> list[Attributes]:
    return sorted(documents, key=lambda document: (fold(document[name]), document[name]))


def _by_letter(documents: Iterable[Attributes], name: str) -> dict[str, list[Attributes]]:
    letters: dict[str, list[Attributes]] = {}
    for document in _sorted(documents, name):
        letters.setdefault(_letter(document[name]), []).append(document)
    return dict(sorted(letters.items()))


def _letter(name: str) -> str:
    """`a` to `z`, also for letters with accents; `0-9`; `other`."""
    first = unicodedata.normalize("NFKD", fold(name))[0]
    if "a" <= first <= "z":
        return first
    return "0-9" if "0" <= first <= "9" else "other"


def _even_batches(documents: Sequence[Attributes]) -> Iterator[Sequence[Attributes]]:
    size = ceil(len(documents) / ceil(len(documents) / MOST_IN_A_FILE))
    return (documents[start : start + size] for start in range(0, len(documents), size))


def _by_size(items: Iterable[str]) -> Iterator[list[str]]:
    """The items in lists that are small enough for a file."""
    part: list[str] = []
    size = 0
    for item in items:
        if part and size + len(item.encode()) > _MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item.encode())
    yield part


def _numbered(stem: str, texts: Sequence[bytes]) -> dict[str, bytes]:
    width = len(str(len(texts)))
    names = (f"-{number:0{width}}" if len(texts) > 1 else "" for number in range(1, len(texts) + 1))
    return {f"{stem}{name}.yaml": text for name, text in zip(names, texts, strict=True)}


def _file_names(names: Iterable[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        letters = unicodedata.normalize("NFKD", fold(name)).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^a-z0-9]+", "-", letters)[:_LONGEST_FILE_NAME].strip("-") or "group"
        found, number = stem, 2
        while found in taken:
            found, number = f"{stem}-{number}", number + 1
        taken.add(found)
        yield found


# Defaults.


def _shared_values(users: Sequence[Attributes]) -> dict[Path, Any]:
    """The values that more than half of all users have, and not one of them alone."""
    found: dict[Path, Any] = {}
    for path in _SHARED:
        values = [value for user in users if (value := _at(user, path)) is not None]
        for common, count in Counter(map(_identity, values)).most_common(1):
            if count > max(1, len(users) / 2):
                found[path] = next(value for value in values if _identity(value) == common)
    return found


def _fitting(shared: Mapping[Path, Any], users: Sequence[Attributes]) -> dict[Path, Any]:
    """The shared values that some of these users have, and that none would get who has nothing there.

    A list can be taken back (`roles: []`), a single value cannot without being stated as empty.
    """
    fitting = {}
    for path, value in shared.items():
        same = sum(1 for user in users if _is_same(_at(user, path), value))
        stated = sum(1 for user in users if _at(user, path) is not None)
        if len(users) > 1 and same and (stated == len(users) or isinstance(value, list)):
            fitting[path] = value
    return fitting


def _without(user: Attributes, defaults: Mapping[Path, Any]) -> Attributes:
    """A user without what the defaults say already; `[]` where they would give what the user does not have."""
    left = {name: dict(value) if isinstance(value, dict) else value for name, value in user.items()}
    for path, value in defaults.items():
        container = left[path[0]] if len(path) > 1 else left
        if path[-1] not in container:
            container[path[-1]] = []
        elif _is_same(container[path[-1]], value):
            del container[path[-1]]
    return {name: value for name, value in left.items() if value != {} or user.get(name) == {}}


def _as_written(user: Attributes) -> Attributes:
    return {"enterprise" if name == ENTERPRISE_SCHEMA else name: value for name, value in user.items()}


def _nested(values: Mapping[Path, Any]) -> Attributes:
    nested: Attributes = {}
    for path, value in values.items():
        container = nested.setdefault(path[0], {}) if len(path) > 1 else nested
        container[path[-1]] = value
    return nested


def _at(user: Attributes, path: Path) -> Any:
    value: Any = user
    for name in path:
        value = value.get(name) if value is not None else None
    return value


def _is_same(one: Any, other: Any) -> bool:
    return one == other and _identity(one) == _identity(other)


def _identity(value: Any) -> tuple[type, Any]:
    """Equal for equal values only: 1 == True, and True is another value."""
    is_plain = value.__class__ is str or value.__class__ is bool
    return value.__class__, value if is_plain else json.dumps(value, sort_keys=True)


# Text.


def _file(header: str, head: str, items: Iterable[str]) -> bytes:
    return "".join((f"# {header}\n", head, *items)).encode()


def _text(mapping: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _block(mapping, ""))


def _item(mapping: Mapping[str, Any]) -> str:
    lines = "".join(f"    {line}\n" for line in _block(mapping, "    "))
    return f"  - {lines.removeprefix('    ')}"


def _block(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The lines of a mapping, without `indent`, which only counts for their width."""
    for name, value in mapping.items():
        key = _scalar(name)
        if not value or not isinstance(value, dict | list):
            yield f"{key}: {_flow(value)}"
            continue
        flow = None if name in _ALWAYS_OPEN else f"{key}: {_flow(value)}"
        if flow is not None and len(indent) + len(flow) <= _WIDTH:
            yield flow
        else:
            yield f"{key}:"
            inner = _block(value, indent + "  ") if isinstance(value, dict) else _entries(value, indent + "  ")
            yield from (f"  {line}" for line in inner)


def _entries(values: Iterable[Any], indent: str) -> Iterator[str]:
    for value in values:
        flow = _flow(value)
        if not isinstance(value, dict) or not value or (len(value) > 1 and len(indent) + len(flow) + 2 <= _WIDTH):
            yield f"- {flow}"
        else:
            first, *rest = _block(value, indent + "  ")
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _flow(value: Any) -> str:
    if value.__class__ is str:
        return _scalar(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float):
        digits = format(Decimal(repr(value)), "f")
        return digits if "." in digits else f"{digits}.0"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and ": " not in text and _is_text_to_all(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'  # the escapes of Python are those of YAML


def _is_text_to_all(text: str) -> bool:
    """Whether every reader takes the plain text for this text, and every person sees what it holds."""
    if not text.isascii() and printable(text) != text:
        return False
    if text[0] not in _SUSPICIOUS:
        return True
    try:
        return isinstance(resolve_plain(text), str)
    except (ValueError, OverflowError):
        return False
