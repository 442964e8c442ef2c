"""Where things stand: findings become diagnostics with line, column and source line, without showing a secret.

Positions are not kept while files are read, because almost none are ever asked for. A finding names its place as a path
into a document; the files that have findings are read once more, and only those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.desired.codes import Code
from reconciler.desired.loader import LINE_BREAK, Fault, events
from reconciler.model.diagnostic import Diagnostic, Severity

Path = tuple[str | int, ...]
"""Keys and indexes from the top of a document."""

MASK = "***"

_LONGEST_EXCERPT = 400
_KEY = re.compile(r"[\"']?(?P<name>[\w.-]+)[\"']?\s*:(?:\s+|$)")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'[^']*'?")
_IN_FLOW = re.compile(r"[^,{}\[\]]*")
_SENSITIVE_NAME = re.compile(r"secr|tok|passw|passp|pwd|cred|api.?key|private|bearer", re.IGNORECASE)
_HARMLESS_NAME = re.compile(r".*url|auth|type|client_?id|user_?name|scopes", re.IGNORECASE)
_HARMLESS_VALUE = re.compile(r"[\"']?(?:\$\{env:[A-Za-z0-9_]*\}|null|~|)[\"']?\s*")
_USERINFO = re.compile(r"(?<=://)[^/\s\"'@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem, before its place is looked up.

    `paths` lead into document number `document` of the file; the first one that is there exactly is the place, else
    what there is of the first. With `on_key` the key is meant, not its value. Without a document, `line` and `column`
    are the place. With `sensitive` the value at the place is not shown.
    """

    code: Code
    message: str
    file: str
    help: str | None = None
    severity: Severity = Severity.ERROR
    document: int | None = None
    paths: tuple[Path, ...] = ((),)
    on_key: bool = False
    line: int = 0
    column: int = 0
    width: int = 1
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a text: 1-based line and column, and how many characters to underline."""

    line: int
    column: int
    width: int = 1


def finding_of(fault: Fault, file: str) -> Finding:
    """A fault of the text as a finding; its place is known already."""
    return Finding(
        code=fault.code,
        message=fault.message,
        file=file,
        help=fault.help,
        line=fault.line,
        column=fault.column,
        width=fault.width,
    )


def find_spots(text: str, wanted: Mapping[int, Iterable[Path]]) -> dict[tuple[int, Path], tuple[Spot, Spot]]:
    """Key and value of everything that a wanted path passes through, by document number and path; one pass.

    What is reached through an alias has no place of its own and is not in the answer.
    """
    tries = {number: _trie(paths) for number, paths in wanted.items()}
    return _Search(tries).run(text)


def place(findings: Iterable[Finding], read: Callable[[str], str | None]) -> list[Diagnostic]:
    """The findings as diagnostics, in the order of their places, each place and code once.

    `read` gives the text of a file, or None where there is none to show.
    """
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.file, []).append(finding)
    diagnostics: set[Diagnostic] = set()
    for file, group in by_file.items():
        text = read(file)
        diagnostics.update(_placed(group, text) if text is not None else map(_unplaced, group))
    return sorted(diagnostics, key=lambda item: (item.sort_key, item.help or "", item.width))


def masked(lines: Sequence[str], number: int) -> str:
    """Line `number` (from 0) as it may be shown: values of keys that speak of secrets are replaced by `MASK`.

    Inside `auth` every value is, save of the keys that are known to hold none, for a slip in a key hides no secret.
    """
    return _Masks(lines).line(number)


class _Masks:
    """The lines of a file with what they stand under, found out once."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._parents = _parents(lines)

    def line(self, number: int) -> str:
        """One line as it may be shown."""
        return self.part(number, 0, len(self._lines[number]))

    def part(self, number: int, start: int, end: int) -> str:
        """The same for a part of a line; what is in front of it on the line is not looked at."""
        part = self._lines[number][start:end]
        above = list(self._keys_above(number))
        if any(_is_sensitive(name, in_auth="auth" in above[at + 1 :]) for at, name in enumerate(above)):
            return MASK
        in_auth = "auth" in above or bool(re.search(r"\bauth[\"']?\s*:", part))
        position = 0
        while key := _KEY.search(part, position):
            position = key.end()
            if not _is_sensitive(key["name"], in_auth=in_auth):
                continue
            value = _value_after(part, key)
            if not _HARMLESS_VALUE.fullmatch(value):
                part = part[:position] + MASK + part[position + len(value.rstrip()) :]
                position += len(MASK)
        return _USERINFO.sub(MASK + "@", part)

    def _keys_above(self, number: int) -> Iterator[str]:
        """The keys under which a line may stand, from the nearest up, as far as indentation tells."""
        parent = self._parents[number]
        while parent >= 0:
            line = self._lines[parent]
            if len(line) > 2 * _LONGEST_EXCERPT:
                line = f"{line[:_LONGEST_EXCERPT]} {line[-_LONGEST_EXCERPT:]}"
            yield from reversed([key["name"] for key in _KEY.finditer(line)])
            parent = self._parents[parent]


def _is_sensitive(name: str, *, in_auth: bool) -> bool:
    if _HARMLESS_NAME.fullmatch(name):
        return False
    return in_auth or bool(_SENSITIVE_NAME.search(name))


def _value_after(line: str, key: re.Match[str]) -> str:
    """The text of the value after a key: a quoted one, what a flow mapping leaves it, or the rest of the line."""
    quoted = _QUOTED.match(line, key.end())
    if quoted:
        return quoted[0]
    is_in_flow = "{" in line[: key.start()] or "[" in line[: key.start()]
    found = _IN_FLOW.match(line, key.end()) if is_in_flow else None
    return found[0] if found else line[key.end() :]


def _parents(lines: Sequence[str]) -> list[int]:
    """For each line the nearest line above that is indented less, or -1."""
    parents: list[int] = []
    open_: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        indent = _indent(line)
        is_blank = not line.strip()
        while open_ and open_[-1][0] >= indent and not is_blank:
            open_.pop()
        parents.append(open_[-1][1] if open_ else -1)
        if not is_blank:
            open_.append((indent, number))
    return parents


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _placed(findings: list[Finding], text: str) -> list[Diagnostic]:
    wanted: dict[int, set[Path]] = {}
    for finding in findings:
        if finding.document is not None:
            wanted.setdefault(finding.document, set()).update(finding.paths)
    spots = find_spots(text, wanted) if wanted else {}
    lines = LINE_BREAK.split(text)
    masks = _Masks(lines)
    return [_diagnostic(finding, _spot(finding, spots), lines, masks) for finding in findings]


def _spot(finding: Finding, spots: Mapping[tuple[int, Path], tuple[Spot, Spot]]) -> Spot:
    if finding.document is None:
        return Spot(finding.line, finding.column, finding.width)
    for path in finding.paths:
        found = spots.get((finding.document, path))
        if found:
            return found[0] if finding.on_key else found[1]
    path = finding.paths[0]
    while path:
        path = path[:-1]
        found = spots.get((finding.document, path))
        if found:
            return found[1]
    return Spot(finding.line, finding.column)


def _unplaced(finding: Finding) -> Diagnostic:
    return Diagnostic(
        code=finding.code,
        severity=finding.severity,
        message=finding.message,
        file=finding.file,
        line=finding.line,
        column=finding.column,
        width=finding.width,
        help=finding.help,
    )


def _diagnostic(finding: Finding, spot: Spot, lines: Sequence[str], masks: _Masks) -> Diagnostic:
    message, help_ = finding.message, finding.help
    excerpt: str | None = None
    width = spot.width
    if 0 < spot.line <= len(lines):
        # Of a line too long to show only the surroundings of the place are looked at: there may be many places on it.
        is_long = len(lines[spot.line - 1]) > _LONGEST_EXCERPT
        offset = max(0, spot.column - 1 - _LONGEST_EXCERPT // 2) if is_long else 0
        line = lines[spot.line - 1][offset : offset + _LONGEST_EXCERPT]
        start = spot.column - 1 - offset
        excerpt = masks.part(spot.line - 1, offset, offset + _LONGEST_EXCERPT)
        if finding.sensitive and excerpt == line:
            excerpt = line[:start] + MASK
        if excerpt[: start + 1] != line[: start + 1]:
            # The caret would stand on or behind something hidden: nothing of that is repeated in words either.
            secret = line[start : start + width].strip("\"'")
            if secret:
                message = message.replace(secret, MASK)
                help_ = help_.replace(secret, MASK) if help_ else help_
            if excerpt[:start] == line[:start]:
                width = len(MASK)
            else:
                excerpt = None
        if is_long:
            excerpt = None
    return Diagnostic(
        code=finding.code,
        severity=finding.severity,
        message=message,
        file=finding.file,
        line=spot.line,
        column=spot.column,
        width=width,
        excerpt=excerpt,
        help=help_,
    )


@dataclass(slots=True)
class _Trie:
    """The wanted paths, one node for each step."""

    path: Path = ()
    below: dict[str | int, _Trie] = field(default_factory=dict)


def _trie(paths: Iterable[Path]) -> _Trie:
    root = _Trie()
    for path in paths:
        node = root
        for step in path:
            node = node.below.setdefault(step, _Trie((*node.path, step)))
    return root


@dataclass(slots=True)
class _Level:
    """A collection on the way; `trie` is None where nothing below is wanted, `key` is that whose value comes next."""

    trie: _Trie | None
    is_mapping: bool
    is_key: bool
    index: int = 0
    key: tuple[str | None, Any] | None = None


class _Search:
    """Running state of one pass over the events of a file."""

    def __init__(self, tries: Mapping[int, _Trie]) -> None:
        self._tries = tries
        self._found: dict[tuple[int, Path], tuple[Spot, Spot]] = {}
        self._number = -1
        self._levels: list[_Level] = []

    def run(self, text: str) -> dict[tuple[int, Path], tuple[Spot, Spot]]:
        last = max(self._tries, default=-1)
        for event in events(text):
            kind = event.__class__
            if kind is DocumentStartEvent:
                self._number += 1
                if self._number > last:
                    break
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                if not self._levels.pop().is_key:
                    self._finish()
            elif kind is ScalarEvent or kind is AliasEvent:
                if not self._is_key(event):
                    self._node(event)
                    self._finish()
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                is_key = self._is_key(event)
                trie = None if is_key else self._node(event)
                self._levels.append(_Level(trie, kind is MappingStartEvent, is_key))
        return self._found

    def _is_key(self, event: Any) -> bool:
        """Notes a node that is a key. What is no scalar is a key that leads nowhere."""
        level = self._levels[-1] if self._levels else None
        if level is None or not level.is_mapping or level.key is not None:
            return False
        level.key = (event.value if event.__class__ is ScalarEvent else None, event)
        return True

    def _node(self, event: Any) -> _Trie | None:
        """The trie node that a value stands for, its place noted; None where it is not on a wanted path."""
        if not self._levels:
            trie = self._tries.get(self._number)
            key_event = event
        else:
            level = self._levels[-1]
            step: Any = level.key[0] if level.is_mapping and level.key else level.index
            key_event = level.key[1] if level.is_mapping and level.key else event
            trie = level.trie.below.get(step) if level.trie else None
        if trie is not None:
            self._found.setdefault((self._number, trie.path), (_spot_of(key_event), _spot_of(event)))
        return trie

    def _finish(self) -> None:
        """A value is complete: the next entry, or the next key, follows."""
        if self._levels:
            level = self._levels[-1]
            level.index += 1
            level.key = None


def _spot_of(event: Any) -> Spot:
    start, end = event.start_mark, event.end_mark
    is_inline = event.__class__ in {ScalarEvent, AliasEvent} and start.line == end.line
    return Spot(start.line + 1, start.column + 1, max(1, end.column - start.column) if is_inline else 1)
