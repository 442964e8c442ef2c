"""YAML text to plain values, in one pass over the events of libyaml, with a limit on everything that can grow.

What comes out is what JSON can hold: dicts with text keys, lists, text, numbers, booleans and null. Plain scalars mean
what YAML 1.2's core schema says, written the one obvious way; those that some YAML reader takes for something else are
errors here, as are duplicate keys, tags and merge keys. The walk does not recurse, and an alias costs nothing until its
expansion has been counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isinf
from typing import Any, Final

import yaml
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

MAX_BYTES = 10_000_000
"""Size of one file."""

MAX_DEPTH = 32
"""Collections inside collections; SCIM itself needs five."""

MAX_NODES = 2_000_000
"""Keys, values and collections in one file, aliases counted as what they stand for."""

ALIAS_FLOOR = 10_000
ALIAS_FACTOR = 10
"""Aliases may stand for `ALIAS_FLOOR` nodes, and for `ALIAS_FACTOR` more for each node that is written out."""

MAX_FAULTS = 10_000
"""After so many faults the rest of a file is not read: it is something else than desired state."""

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What libyaml counts as the end of a line."""

_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_AMBIGUOUS = re.compile(
    r"""(?:[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|True|TRUE|False|FALSE|Null|NULL   # words of YAML 1.1
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)
    |[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+)                                                # other bases
    |[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?                               # other spellings
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?                                            # base 60, times of day
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?[ \t]*
        (?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?)?)?)                                                  # dates
    """,
    re.VERBOSE,
)
_SUSPICIOUS = frozenset("yYnNtTfFoO~0123456789-+.")
"""First characters of everything that is not surely text."""

_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_LARGEST = 2**63 - 1
_LONGEST = len("-9223372036854775807")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the text itself. `line` and `column` are 1-based; 0 means the whole file."""

    code: Code
    message: str
    line: int
    column: int
    width: int = 1
    help: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its number in the file (from 0), the line it starts at, and its value.

    `entry_lines` holds, for each list directly under a top-level key, the line of each entry.
    """

    number: int
    line: int
    value: Any
    entry_lines: dict[str, list[int]]


@dataclass(slots=True)
class Parsed:
    """All that one file holds. `complete` is False where reading stopped at a fault; later documents are not known."""

    documents: list[Document] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    complete: bool = True


def decode(data: bytes) -> tuple[str, Fault | None]:
    """The text of a file, or why it is none. Only UTF-8 without byte order mark is text."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")) or b"\x00" in data[:4]:
        return "", Fault(Code.NOT_UTF8, "the file is UTF-16 or UTF-32, not UTF-8", 1, 1, help="save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        return "", Fault(
            Code.BYTE_ORDER_MARK,
            "the file starts with a byte order mark",
            1,
            1,
            help='save it as UTF-8 without "BOM" or "signature"',
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place_of_offset(data[: error.start].decode("utf-8"), error.start)
        message = f"byte {error.start} of the file (0x{data[error.start]:02x}) is not UTF-8"
        return "", Fault(Code.NOT_UTF8, message, line, column, help="save the file as UTF-8")
    found = _NOT_PRINTABLE.search(text)
    if found:
        line, column = _place_of_offset(text, found.start())
        return "", Fault(
            Code.CONTROL_CHARACTER,
            f"the character U+{ord(found[0]):04X} is not allowed in YAML",
            line,
            column,
            help='remove it; inside double quotes it can be written as an escape such as "\\u0007"',
        )
    return text, None


def parse(text: str, *, libyaml: bool = True) -> Parsed:
    """The documents of a text that `decode` let through. Never raises; empty documents are left out.

    `libyaml` False takes PyYAML's own scanner, as where PyYAML was built without libyaml; the result is the same.
    """
    return _Builder(text).run(libyaml=libyaml)


def events(text: str, *, libyaml: bool = True) -> Iterator[Any]:
    """The events of a text, for whoever looks for places; ends silently where the text stops being YAML."""
    try:
        yield from iter(_events(text, libyaml=libyaml), None)
    except (yaml.YAMLError, ValueError):
        return


def resolve_plain(text: str) -> Any:
    """What a plain scalar means.

    Raises ValueError where YAML readers do not agree about it, OverflowError where it is a number that is too large.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and text != "-0":
        if len(text) > _LONGEST or abs(int(text)) > _LARGEST:
            raise OverflowError(text)
        return int(text)
    if _DECIMAL.fullmatch(text):
        if isinf(float(text)):
            raise OverflowError(text)
        return float(text)
    if _AMBIGUOUS.fullmatch(text):
        raise ValueError(text)
    return text


def _events(text: str, *, libyaml: bool) -> Callable[[], Any]:
    if libyaml and yaml.__with_libyaml__:
        get: Callable[[], Any] = yaml.CSafeLoader(text.encode("utf-8")).get_event
        return get
    return yaml.SafeLoader(text).get_event


def _place_of_offset(text: str, offset: int) -> tuple[int, int]:
    breaks = [found.end() for found in LINE_BREAK.finditer(text[:offset])]
    start = breaks[-1] if breaks else 0
    return len(breaks) + 1, len(text[:offset]) - start + 1


class _Stop(Exception):
    """Reading this file cannot go on."""


_MISSING: Final = object()
"""No key yet: a key comes next."""

_DROPPED: Final = object()
"""The key was faulty: its value is read and left out."""

_COLLECTION: Final = object()
"""The collection being read is itself the key."""

_COUNT_EVERY: Final = 10_000


@dataclass(slots=True)
class _Anchored:
    """A finished or unfinished collection or scalar that an anchor names."""

    value: Any
    nodes: int
    height: int
    open: bool


class _Frame:
    """The collection being filled; `key` is the key that waits for its value."""

    __slots__ = ("anchor", "container", "height", "key", "lines", "nodes_before")

    def __init__(self, container: Any, anchor: str | None, nodes_before: int) -> None:
        self.container = container
        self.anchor = anchor
        self.nodes_before = nodes_before
        self.height = 1
        self.key: Any = _MISSING
        self.lines: list[int] | None = None


class _Builder:
    """Running state of one pass over one file."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._result = Parsed()
        self._nodes = 0
        self._alias_nodes = 0
        self._anchors: dict[str, _Anchored] = {}
        self._known_keys: set[str] = set()

    def run(self, *, libyaml: bool) -> Parsed:
        number = 0
        try:
            get_event = _events(self._text, libyaml=libyaml)
            for event in iter(get_event, None):
                if event.__class__ is DocumentStartEvent:
                    self._document(number, get_event)
                    number += 1
        except _Stop:
            self._result.complete = False
        except yaml.YAMLError as error:
            self._result.complete = False
            self._result.faults.append(_syntax_fault(error, self._text))
        except ValueError as error:  # PyYAML's own scanner lets chr() complain
            self._result.complete = False
            self._result.faults.append(Fault(Code.SYNTAX, f"not valid YAML: {error}", 0, 0))
        return self._result

    def _document(self, number: int, get_event: Callable[[], Any]) -> None:
        """One document, from the event after its start to its end.

        This loop runs some thirty times for each user; what looks repeated in it is what calls would cost.
        """
        known_keys = self._known_keys
        entry_lines: dict[str, list[int]] = {}
        self._anchors = {}
        stack: list[_Frame] = []
        frame: _Frame | None = None
        container: Any = None
        is_mapping = False
        key: Any = _MISSING
        nodes = 0
        line = 0
        while True:
            event = get_event()
            kind = event.__class__
            if kind is ScalarEvent:
                nodes += 1
                value = event.value
                if is_mapping and key is _MISSING:
                    if event.tag is not None or event.anchor is not None:
                        self._decorated(event, value)
                    usable = value in known_keys or event.style or self._check_key(event)
                    if value in container:
                        self._fault(
                            Code.DUPLICATE_KEY,
                            f"the key {shown(value)} is written twice in this mapping",
                            event,
                            "remove one of them",
                        )
                        usable = False
                    key = value if usable else _DROPPED
                    continue
                if not event.style and (not value or value[0] in _SUSPICIOUS):
                    value = self._plain(event)
                if event.tag is not None or event.anchor is not None:
                    self._decorated(event, value)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                nodes += 1
                if event.tag is not None:
                    self._tag(event)
                if len(stack) >= MAX_DEPTH:
                    self._too_deep(event)
                container = {} if kind is MappingStartEvent else []
                opened = _Frame(container, event.anchor, self._nodes + nodes)
                if event.anchor is not None:
                    self._anchors[event.anchor] = _Anchored(container, 0, 0, open=True)
                if frame is None:
                    line = event.start_mark.line + 1
                else:
                    if is_mapping and key is _MISSING:
                        self._fault(Code.KEY_NOT_TEXT, "a collection cannot be a key", event, "keys are plain text")
                        key = _COLLECTION
                    frame.key = key
                    if frame.lines is not None:
                        frame.lines.append(event.start_mark.line + 1)
                    elif len(stack) == 1 and kind is SequenceStartEvent and key.__class__ is str:
                        opened.lines = entry_lines[key] = []
                is_mapping = kind is MappingStartEvent
                frame = opened
                stack.append(frame)
                key = _MISSING
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                closed = stack.pop()
                value = closed.container
                if closed.anchor is not None:
                    size = self._nodes + nodes - closed.nodes_before + 1
                    self._anchors[closed.anchor] = _Anchored(value, size, closed.height, open=False)
                if nodes > _COUNT_EVERY:
                    self._count(nodes, event)
                    nodes = 0
                if not stack:
                    self._result.documents.append(Document(number, line, value, entry_lines))
                    frame, is_mapping = None, False
                    continue
                frame = stack[-1]
                if frame.height <= closed.height:
                    frame.height = closed.height + 1
                container = frame.container
                is_mapping = container.__class__ is dict
                key = frame.key
                if key is _COLLECTION:
                    key = _DROPPED
                    continue
                if is_mapping:
                    if key is not _DROPPED:
                        container[key] = value
                    key = _MISSING
                else:
                    container.append(value)
                continue
            elif kind is AliasEvent:
                value, size, height = self._alias(event, len(stack), nodes)
                nodes += size
                if frame is not None and frame.height <= height:
                    frame.height = height + 1
                if is_mapping and key is _MISSING:
                    self._fault(Code.KEY_NOT_TEXT, "an alias cannot be a key", event, "write the key out")
                    key = _DROPPED
                    continue
            else:  # the end of the document
                self._count(nodes, event)
                return
            if is_mapping:
                if key is not _DROPPED:
                    container[key] = value
                key = _MISSING
            elif frame is not None:
                container.append(value)
                if frame.lines is not None:
                    frame.lines.append(event.start_mark.line + 1)
            elif value is not None:
                self._result.documents.append(Document(number, event.start_mark.line + 1, value, entry_lines))

    def _fault(self, code: Code, message: str, event: Any, help_: str | None = None) -> None:
        if len(self._result.faults) >= MAX_FAULTS:
            raise _Stop
        mark = event.start_mark
        width = max(1, event.end_mark.column - mark.column) if event.end_mark.line == mark.line else 1
        self._result.faults.append(Fault(code, message, mark.line + 1, mark.column + 1, width, help_))

    def _too_deep(self, event: Any) -> None:
        message = f"collections are nested deeper than {MAX_DEPTH} levels; the rest of the file was not read"
        self._fault(Code.TOO_DEEP, message, event, "no attribute of SCIM needs more than five levels")
        raise _Stop

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"the file holds more than {MAX_NODES:,} keys and values; the rest of it was not read"
            self._fault(Code.TOO_MANY_NODES, message, event, "spread the documents over several files")
            raise _Stop

    def _check_key(self, event: Any) -> bool:
        """Whether a plain scalar may be a key; if so it is remembered, so that it is asked once."""
        text = event.value
        if text == "<<":
            self._fault(
                Code.MERGE_KEY,
                "the merge key << is not supported",
                event,
                "write the keys out; in Users and Groups, `defaults` goes under every item",
            )
            return False
        try:
            is_text = isinstance(resolve_plain(text), str)
        except (ValueError, OverflowError):
            is_text = False
        if is_text:
            self._known_keys.add(text)
        else:
            self._fault(Code.KEY_NOT_TEXT, f"the key {shown(text)} is not text", event, f'quote it: "{text}"')
        return is_text

    def _plain(self, event: Any) -> Any:
        text: str = event.value
        try:
            return resolve_plain(text)
        except OverflowError:
            self._fault(Code.NUMBER_RANGE, "the number is too large", event, f'quote it if it is text: "{_cut(text)}"')
        except ValueError:
            message = f"{shown(text)} without quotes means different things to different YAML readers"
            self._fault(Code.AMBIGUOUS, message, event, _remedy(text))
        return text

    def _decorated(self, event: Any, value: Any) -> None:
        if event.tag is not None:
            self._tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1, 0, open=False)

    def _tag(self, event: Any) -> None:
        tag = _cut(event.tag.replace("tag:yaml.org,2002:", "!!"))
        self._fault(Code.TAG, f"the YAML tag {tag} is not allowed", event, "remove it; quote a value to make it text")

    def _alias(self, event: Any, depth: int, nodes: int) -> tuple[Any, int, int]:
        """What an alias stands for, its nodes and its height. Nothing is expanded: the collection is shared."""
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            message = f"there is no anchor &{_cut(event.anchor)} before this alias"
            self._fault(Code.BAD_ALIAS, message, event, "an anchor holds within its document only, from there on")
            return None, 1, 0
        if anchored.open:
            self._fault(Code.BAD_ALIAS, f"the alias *{_cut(event.anchor)} stands inside its own anchor", event)
            return None, 1, 0
        self._alias_nodes += anchored.nodes
        written = self._nodes + nodes - self._alias_nodes
        if self._alias_nodes > ALIAS_FLOOR + ALIAS_FACTOR * max(written, 0):
            message = f"aliases stand for {self._alias_nodes:,} values by now; the rest of the file was not read"
            self._fault(Code.TOO_MANY_NODES, message, event, "write the values out, or use `defaults`")
            raise _Stop
        if depth + anchored.height > MAX_DEPTH:
            self._too_deep(event)
        return anchored.value, anchored.nodes, anchored.height


def shown(text: str) -> str:
    """A piece of a file as a message quotes it: short, on one line."""
    return f"`{_cut(text)}`"


def _cut(text: str, length: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _remedy(text: str) -> str:
    quoted = f'quote it if it is text: "{_cut(text)}"'
    word = text.lower()
    if word in {"yes", "y", "on", "true"}:
        return f"write true for a switch that is on; {quoted}"
    if word in {"no", "n", "off", "false"}:
        return f"write false for a switch that is off; {quoted}"
    if word == "null":
        return f"write null for nothing; {quoted}"
    if "-" in text[1:] or ":" in text:
        return quoted
    return f"{quoted}; write a number in plain decimal digits"


_TAB = ("a tab is used where only blanks may be", "indent with blanks")
_ADVICE = (
    ("'\\t'", *_TAB),
    ("tab character", *_TAB),
    ("mapping values are not allowed", "a second `: ` on a line, or a key indented differently from its neighbours",
     "quote a value that contains `: `; give the keys of one mapping the same indentation"),
    ("did not find expected key", "a key is expected here", "check the indentation, and the quotes above"),
    ("expected <block end>", "a key is expected here", "check the indentation, and the quotes above"),
    ("could not find expected ':'", "a key without `:`", "write `key: value`; check the indentation"),
    ("did not find expected '-' indicator", "an entry of a list is expected here", "start it with `- `"),
    ("did not find expected ',' or ']'", "`,` or `]` is expected here", "close the list with `]`"),
    ("expected ',' or ']'", "`,` or `]` is expected here", "close the list with `]`"),
    ("did not find expected ',' or '}'", "`,` or `}` is expected here", "close the mapping with `}`"),
    ("expected ',' or '}'", "`,` or `}` is expected here", "close the mapping with `}`"),
    ("unknown escape character", "an escape that YAML does not know", r"write \\ for a backslash, or single quotes"),
    ("cannot start any token", "a plain value cannot start with this character", "quote the value"),
    ("expected node content", "a value is expected here", "check the brackets, commas and quotes before it"),
    ("expected the node content", "a value is expected here", "check the brackets, commas and quotes before it"),
    ("undefined tag handle", "a YAML tag of an unknown kind", "remove the tag"),
)  # fmt: skip


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    """The place and the remedy for what libyaml or PyYAML complained about."""
    problem = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split())
    context = str(getattr(error, "context", None) or "")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message, help_ = next(
        ((words, remedy) for part, words, remedy in _ADVICE if part in problem), (f"not valid YAML: {problem}", None)
    )
    if "cannot start any token" in problem and mark is not None and _character_at(text, mark) == "\t":
        message, help_ = _TAB
    if "quoted scalar" in context and ("end of" in problem or "document" in problem):
        message, help_ = "a quoted text is not closed", "add the closing quote"
        mark = getattr(error, "context_mark", None) or mark
    if mark is None:
        return Fault(Code.SYNTAX, message, 0, 0, help=help_)
    lines = LINE_BREAK.split(text)
    if mark.line >= len(lines):  # libyaml ends a text that lacks its last line break one line later
        return Fault(Code.SYNTAX, message, len(lines), len(lines[-1]) + 1, help=help_)
    return Fault(Code.SYNTAX, message, mark.line + 1, mark.column + 1, help=help_)


def _character_at(text: str, mark: Any) -> str:
    lines = LINE_BREAK.split(text)
    return lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""
