"""Evaluates the expressions that our workflows use; a form that none of them needs is an error, never a guess."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<op>==|!=|&&|\|\||[!(),])|(?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*))"
)
_PART = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_STATUS = ("success", "failure", "cancelled", "always")


@dataclass
class Contexts:
    """What expressions can see. `has_failed` is whether a step of the job, or a job it needs, failed before."""

    values: Mapping[str, Any]
    has_failed: bool = False
    read: set[str] = field(default_factory=set)

    def text(self, template: str) -> str:
        """A text with its expressions put in, as GitHub turns values into text."""
        return _PART.sub(lambda found: _as_text(self.value(found[1])), template)

    def value(self, expression: str) -> Any:
        """The value of a bare expression."""
        return _Parser(self, expression).whole()

    def anything(self, template: Any) -> Any:
        """The value of a text that is one expression; other texts are put in, other values stay."""
        if not isinstance(template, str):
            return template
        whole = _PART.fullmatch(template.strip())
        return self.value(whole[1]) if whole else self.text(template)

    def condition(self, written: str | None) -> bool:
        """Whether an `if` lets its step or job run."""
        expression = _PART.sub(lambda found: found[1], written or "success()")
        asks_status = any(f"{name}(" in expression for name in _STATUS)
        return bool(self.value(expression)) and (asks_status or not self.has_failed)

    def call(self, name: str, arguments: list[Any]) -> Any:
        """The functions we use."""
        match name, arguments:
            case "fromJSON", [str(text)]:
                return json.loads(text)
            case "success", []:
                return not self.has_failed
            case "always", []:
                return True
            case "cancelled", []:
                return False
        raise AssertionError(f"no function {name} with {len(arguments)} arguments is known here")

    def look_up(self, path: str) -> Any:
        """A value of a context. Contexts are listed whole; what is not in one is empty, as on GitHub."""
        self.read.add(path)
        first, *rest = path.split(".")
        assert first in self.values, f"no context {first} is known here"
        found: Any = self.values[first]
        for name in rest:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


class _Parser:
    def __init__(self, contexts: Contexts, expression: str) -> None:
        self._contexts = contexts
        self._tokens = list(_tokens(expression.strip()))
        self._expression = expression

    def whole(self) -> Any:
        value = self._either()
        assert not self._tokens, f"not understood: {self._expression}"
        return value

    def _take(self, *operators: str) -> str | None:
        if self._tokens and self._tokens[0] in operators:
            return self._tokens.pop(0)
        return None

    def _either(self) -> Any:
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._take("&&"):
            other = self._compared()
            value = value and other
        return value

    def _compared(self) -> Any:
        value = self._single()
        operator = self._take("==", "!=")
        if operator is None:
            return value
        other = self._single()
        return (_as_text(value) == _as_text(other)) is (operator == "==")

    def _single(self) -> Any:
        if self._take("!"):
            return not self._single()
        if self._take("("):
            value = self._either()
            assert self._take(")"), f"not understood: {self._expression}"
            return value
        assert self._tokens, f"not understood: {self._expression}"
        token = self._tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        assert token[0].isalpha(), f"not understood: {self._expression}"
        if self._take("("):
            arguments = [] if self._take(")") else [self._either()]
            if arguments:
                assert self._take(")"), f"not understood: {self._expression}"
            return self._contexts.call(token, arguments)
        return self._contexts.look_up(token)


def _tokens(expression: str) -> list[str]:
    tokens, at = [], 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        assert found, f"not understood: {expression}"
        tokens.append(found[found.lastgroup or "op"])
        at = found.end()
    return tokens


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    assert isinstance(value, str | int), f"{value!r} is no text"
    return str(value)
