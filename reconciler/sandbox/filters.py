"""The filter language of RFC 7644 section 3.4.2.2 and the paths of section 3.5.2: text to syntax tree.

The grammar is read by recursive descent; nesting and size are limited, so a hostile filter is a 400 and never a full
stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from reconciler.sandbox.errors import ScimError, invalid_filter, invalid_path

NESTING_LIMIT = 32
TERM_LIMIT = 2000

Literal = str | int | float | bool | None


class Operator(StrEnum):
    """Comparison operators, `pr` apart because it takes no value."""

    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    EW = "ew"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


@dataclass(frozen=True, slots=True)
class AttributePath:
    """`[urn:]name[.sub]`. `name` is empty when the path names a whole extension."""

    urn: str | None
    name: str
    sub: str | None = None

    def __str__(self) -> str:
        text = f"{self.urn}:{self.name}" if self.urn and self.name else self.urn or self.name
        return f"{text}.{self.sub}" if self.sub else text


@dataclass(frozen=True, slots=True)
class Compare:
    """`path op value`."""

    path: AttributePath
    operator: Operator
    value: Literal


@dataclass(frozen=True, slots=True)
class Present:
    """`path pr`."""

    path: AttributePath


@dataclass(frozen=True, slots=True)
class ValueFilter:
    """`path[filter]`: one element satisfies the whole filter."""

    path: AttributePath
    filter: Filter


@dataclass(frozen=True, slots=True)
class Not:
    """`not (filter)`."""

    term: Filter


@dataclass(frozen=True, slots=True)
class And:
    """Two or more terms that must all hold."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more terms of which one must hold."""

    terms: tuple[Filter, ...]


Filter = Compare | Present | ValueFilter | Not | And | Or


@dataclass(frozen=True, slots=True)
class PatchPath:
    """`path[filter].sub` as PATCH uses it; `filter` and a sub-attribute are optional."""

    attribute: AttributePath
    filter: Filter | None = None


_NAME = re.compile(r"\$?[A-Za-z][\w-]*", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_TOKEN = re.compile(
    r'\s*(?:(?P<mark>[()\[\]])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+)|(?P<end>\Z))', re.DOTALL
)
_CONSTANTS: dict[str, Literal] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_filter(text: str) -> Filter:
    """The tree of a filter; raises `invalidFilter` saying where it stops making sense."""
    parser = _Parser(text)
    tree = parser.disjunction()
    parser.expect_end()
    return tree


def parse_attribute_path(text: str, known_urns: Collection[str] = ()) -> AttributePath:
    """The attribute path in `text`; raises `invalidPath`.

    A URN contains colons and dots itself, so the last colon separates it from the name, unless the whole text is one of
    `known_urns` and thus names an extension.
    """
    folded = text.lower()
    for urn in known_urns:
        if folded == urn.lower():
            return AttributePath(urn, "")
    urn, colon, rest = text.rpartition(":")
    name, dot, sub = rest.partition(".")
    well_formed = _NAME.fullmatch(name) and (not dot or _NAME.fullmatch(sub))
    if not well_formed or (colon and not urn.lower().startswith("urn:")):
        raise invalid_path(f"{text[:200]!r} is not an attribute path")
    return AttributePath(urn or None, name, sub or None)


def parse_patch_path(text: str, known_urns: Collection[str] = ()) -> PatchPath:
    """The path of a PATCH operation; raises `invalidPath`, also when the filter in it does not parse."""
    try:
        return _Parser(text).patch_path(known_urns)
    except ScimError as error:
        raise invalid_path(error.detail) from None


class _Parser:
    """One pass over the tokens of a text, one method per rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._nesting = 0
        self._terms = 0
        self._in_value_filter = False
        self._next = self._scan()

    def disjunction(self) -> Filter:
        terms = [self._conjunction()]
        while self._take_word("or"):
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def patch_path(self, known_urns: Collection[str]) -> PatchPath:
        attribute = parse_attribute_path(self._take("word", "an attribute path").text, known_urns)
        if self._next.kind == "end":
            return PatchPath(attribute)
        if attribute.sub is not None:
            self._fail("nothing may follow a sub-attribute")
        tree = self._value_filter()
        if self._next.kind == "end":
            return PatchPath(attribute, tree)
        suffix = self._take("word", "a sub-attribute").text
        self.expect_end()
        if not suffix.startswith(".") or not _NAME.fullmatch(suffix[1:]):
            raise invalid_path(f"{suffix[:200]!r} is not a sub-attribute")
        return PatchPath(AttributePath(attribute.urn, attribute.name, suffix[1:]), tree)

    def expect_end(self) -> None:
        if self._next.kind != "end":
            self._fail("expected 'and', 'or' or the end")

    def _conjunction(self) -> Filter:
        terms = [self._term()]
        while self._take_word("and"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _term(self) -> Filter:
        self._terms += 1
        if self._terms > TERM_LIMIT:
            raise invalid_filter(f"The filter has more than {TERM_LIMIT} terms")
        if self._next.text == "(":
            return self._group()
        word = self._take("word", "an attribute path")
        if word.text.lower() == "not" and self._next.text == "(":
            return Not(self._group())
        path = self._attribute(word)
        if self._next.text == "[":
            if self._in_value_filter:
                self._fail("a value filter inside a value filter")
            return ValueFilter(path, self._value_filter())
        return self._comparison(path)

    def _group(self) -> Filter:
        self._mark("(")
        tree = self._nested()
        self._mark(")")
        return tree

    def _value_filter(self) -> Filter:
        self._mark("[")
        self._in_value_filter = True
        tree = self._nested()
        self._in_value_filter = False
        self._mark("]")
        return tree

    def _nested(self) -> Filter:
        self._nesting += 1
        if self._nesting > NESTING_LIMIT:
            raise invalid_filter(f"The filter is nested deeper than {NESTING_LIMIT}")
        tree = self.disjunction()
        self._nesting -= 1
        return tree

    def _comparison(self, path: AttributePath) -> Filter:
        word = self._take("word", "an operator")
        name = word.text.lower()
        if name == "pr":
            return Present(path)
        if name not in Operator.__members__.values():
            self._fail("not an operator", word)
        return Compare(path, Operator(name), self._literal())

    def _attribute(self, word: _Token) -> AttributePath:
        try:
            return parse_attribute_path(word.text)
        except ScimError:
            self._fail("not an attribute path", word)

    def _literal(self) -> Literal:
        token = self._next
        if token.kind == "string":
            self._advance()
            return self._string(token)
        word = self._take("word", "a value")
        if word.text in _CONSTANTS:
            return _CONSTANTS[word.text]
        if not _NUMBER.fullmatch(word.text) or len(word.text) > 100:
            self._fail("not a JSON value (strings stand in double quotes)", word)
        number: Literal = json.loads(word.text)
        return number

    def _string(self, token: _Token) -> str:
        try:
            value: str = json.loads(token.text)
            value.encode()
        except ValueError:
            self._fail("not a JSON string", token)
        return value

    def _take_word(self, keyword: str) -> bool:
        if self._next.kind != "word" or self._next.text.lower() != keyword:
            return False
        self._advance()
        return True

    def _take(self, kind: str, expected: str) -> _Token:
        token = self._next
        if token.kind != kind:
            self._fail(f"expected {expected}")
        self._advance()
        return token

    def _mark(self, mark: str) -> None:
        if self._next.text != mark:
            self._fail(f"expected '{mark}'")
        self._advance()

    def _advance(self) -> None:
        self._next = self._scan()

    def _scan(self) -> _Token:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match.lastgroup is None:
            raise invalid_filter(f"Unterminated string at {self._position + 1} in {self._text[:200]!r}")
        self._position = match.end()
        return _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))

    def _fail(self, problem: str, token: _Token | None = None) -> NoReturn:
        culprit = token or self._next
        found = repr(culprit.text[:80]) if culprit.text else "the end"
        raise invalid_filter(f"Cannot read the filter at {culprit.position + 1}: {problem}, found {found}")
