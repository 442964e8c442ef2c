"""JSON Schema violations in plain words: what is wrong, what is expected instead, and at which key or value.

The schemas carry the words as annotations: `x-expected` says what a value should be, `x-code`, `x-says` and `x-hint`
explain what is refused and why, `x-belongs` names the `type` that keys belong to, `x-secret` marks what is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from reconciler.desired.codes import Code
from reconciler.desired.loader import shown
from reconciler.desired.places import Path
from reconciler.schemas import Violation

_ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")
_TYPE_NAMES = {
    "object": "a mapping (`key: value`)",
    "array": "a list (`- ...`)",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_SYNONYMS = {
    "email": "emails",
    "mail": "emails",
    "firstname": "name: {givenName: ...}",
    "lastname": "name: {familyName: ...}",
    "surname": "name: {familyName: ...}",
    "givenname": "name: {givenName: ...}",
    "familyname": "name: {familyName: ...}",
    "department": "enterprise: {department: ...}",
    "costcenter": "enterprise: {costCenter: ...}",
    "employeenumber": "enterprise: {employeeNumber: ...}",
    "organization": "enterprise: {organization: ...}",
    "division": "enterprise: {division: ...}",
    "manager": "enterprise: {manager: {userName: ...}}",
    "enabled": "active",
    "disabled": "active: false",
    "phone": "phoneNumbers",
    "phones": "phoneNumbers",
    "role": "roles",
    "group": "groups",
    "username": "userName",
    "login": "userName",
    "url": "baseUrl",
    "description": "displayName",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A violation in words. `path` leads to the place; with `on_key` the key there is meant, not the value."""

    code: Code
    message: str
    help: str | None
    path: Path
    on_key: bool = False
    sensitive: bool = False


def explain(violations: Iterable[Violation]) -> Iterator[Explained]:
    """Violations in words. Of a key that is unknown it is not said as well that it does not belong."""
    explained = [_explained(violation) for violation in _leaves(violations)]
    unknown = {item.path for item in explained if item.code is Code.UNKNOWN_KEY}
    yield from (item for item in explained if item.code is not Code.DOES_NOT_BELONG or item.path not in unknown)


def _leaves(violations: Iterable[Violation]) -> Iterator[Violation]:
    for violation in violations:
        if violation.branches:
            yield from _leaves(violation.branches)
        else:
            yield violation


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None: one that differs in case or in a letter or two."""
    by_fold = {candidate.casefold(): candidate for candidate in sorted(known, reverse=True)}
    if name.casefold() in by_fold:
        return by_fold[name.casefold()]
    close = get_close_matches(name.casefold(), list(by_fold), n=1, cutoff=0.72)
    return by_fold[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`nearest` as a help line."""
    found = nearest(name, known)
    return f"did you mean `{found}`?" if found else None


def _explained(violation: Violation) -> Explained:
    by_keyword = _BY_KEYWORD.get(violation.keyword, _anything_else)
    return by_keyword(violation)


def _what(violation: Violation) -> str:
    """The value in question as a sentence begins with it: the key it stands under."""
    names = [step for step in violation.path if isinstance(step, str)]
    if not names:
        return "the document"
    return f"an entry of `{names[-1]}`" if isinstance(violation.path[-1], int) else f"`{names[-1]}`"


def _refused(violation: Violation) -> Explained:
    schema = violation.schema
    return Explained(
        code=Code(schema.get("x-code", Code.NOT_ALLOWED)),
        message=schema.get("x-says", f"{_what(violation)} is not allowed here"),
        help=schema.get("x-hint"),
        path=violation.path,
        on_key=True,
        sensitive=schema.get("x-code") == Code.PASSWORD,
    )


def _unknown_key(violation: Violation) -> Explained:
    key = str(violation.path[-1])
    known = [name for name, below in violation.schema.get("properties", {}).items() if not _is_refused(below)]
    help_ = did_you_mean(key, known)
    synonym = _SYNONYMS.get(key.casefold())
    if help_ is None and synonym and synonym.split(":")[0] in known:
        help_ = f"did you mean `{synonym}`?"
    if help_ is None:
        visible = [name for name in known if not name.startswith("urn:")]
        help_ = f"known here: {', '.join(visible)}" if len(visible) <= 16 else "attributes have the names of RFC 7643"
    return Explained(
        code=Code.UNKNOWN_KEY, message=f"unknown key {shown(key)}", help=help_, path=violation.path, on_key=True
    )


def _is_refused(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("not") == {}


def _missing_key(violation: Violation) -> Explained:
    key = violation.message
    subject = f" in {_what(violation)}" if violation.path else ""
    belongs = violation.schema.get("x-belongs")
    because = f" (`type: {belongs}` needs it)" if belongs else ""
    return Explained(
        code=Code.MISSING_KEY,
        message=f"`{key}` is missing{subject}{because}",
        help=f"add `{key}: ...`",
        path=violation.path,
    )


def _wrong_type(violation: Violation) -> Explained:
    expected = violation.expected if isinstance(violation.expected, list) else [violation.expected]
    found = violation.found
    if "string" in expected and isinstance(found, bool | int | float):
        text = {True: "true", False: "false"}[found] if isinstance(found, bool) else str(found)
        return Explained(
            code=Code.QUOTE_IT,
            message=f"{_what(violation)} is text, but {shown(text)} without quotes is {_kind_of(found)}",
            help=f'quote it: "{text}"',
            path=violation.path,
            sensitive=_is_secret(violation),
        )
    wanted = violation.schema.get("x-expected") or " or ".join(_TYPE_NAMES[name] for name in expected if name != "null")
    help_ = violation.schema.get("x-hint")
    if "boolean" in expected and isinstance(found, str):
        help_ = "write true or false, without quotes"
    elif "array" in expected and found is not None and not isinstance(found, Mapping):
        help_ = help_ or "write a list, one entry after each `- `, or [one, two]"
    elif "array" in expected and isinstance(found, Mapping):
        help_ = help_ or "write `- ` before the mapping: it is a list"
    elif "integer" in expected and isinstance(found, str):
        help_ = "write the number without quotes"
    return Explained(
        code=Code.WRONG_TYPE,
        message=f"{_what(violation)} must be {wanted}, not {_kind_of(found)}",
        help=help_,
        path=violation.path,
        sensitive=_is_secret(violation),
    )


def _kind_of(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a mapping"


def _not_allowed(violation: Violation) -> Explained:
    allowed = violation.expected if isinstance(violation.expected, list) else [violation.expected]
    texts = [str(value) for value in allowed]
    found = violation.found
    if isinstance(found, str):
        help_ = did_you_mean(found, texts)
        value = shown(found)
    else:
        help_, value = None, _kind_of(found)
    listed = ", ".join(f"`{text}`" for text in texts)
    return Explained(
        code=Code.NOT_ALLOWED,
        message=f"{_what(violation)} must be {'one of ' if len(texts) > 1 else ''}{listed}, not {value}",
        help=help_,
        path=violation.path,
    )


def _wrong_form(violation: Violation) -> Explained:
    if _is_secret(violation):
        return _wrong_secret(violation)
    found = str(violation.found)
    wanted = violation.schema.get("x-expected")
    if wanted is None:
        wanted = {"minLength": "text that is not empty", "maxLength": f"at most {violation.expected} characters"}.get(
            violation.keyword, f"text of the form {violation.expected}"
        )
    value = "" if "://" in found else f", not {shown(found)}" if found.strip() else ", not blank"
    return Explained(
        code=Code.WRONG_FORM,
        message=f"{_what(violation)} must be {wanted}{value}",
        help=violation.schema.get("x-hint"),
        path=violation.path,
    )


def _is_secret(violation: Violation) -> bool:
    return bool(violation.schema.get("x-secret"))


def _wrong_secret(violation: Violation) -> Explained:
    """Never repeats the value: it is a secret, or what somebody took for one."""
    reference = _ENVIRONMENT.fullmatch(str(violation.found))
    if reference:
        return Explained(
            code=Code.SECRET_NAME,
            message=f"the environment variable {shown(reference[1])} cannot hold a secret of {_what(violation)}",
            help="the name is in capitals and starts with CXONE_, SCIM_ or RECONCILER_",
            path=violation.path,
        )
    return Explained(
        code=Code.LITERAL_SECRET,
        message=f"{_what(violation)} holds a secret in clear",
        help='write "${env:NAME}" with NAME starting CXONE_, SCIM_ or RECONCILER_, and change the secret now: '
        "it is in the file and its history",
        path=violation.path,
        sensitive=True,
    )


def _out_of_bounds(violation: Violation) -> Explained:
    bound = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
    }
    words = bound.get(violation.keyword, "a multiple of")
    return Explained(
        code=Code.OUT_OF_BOUNDS,
        message=f"{_what(violation)} must be {words} {violation.expected}, not {violation.found}",
        help=None,
        path=violation.path,
    )


def _wrong_count(violation: Violation) -> Explained:
    least = violation.keyword.startswith("min")
    entries = "entries" if violation.keyword.endswith("Items") else "keys"
    wanted = (
        violation.schema.get("x-expected") or f"{'at least' if least else 'at most'} {violation.expected} {entries}"
    )
    found: Any = violation.found
    count = "nothing is written" if not found else f"{len(found)} {entries} are"
    if found and isinstance(found, Mapping):
        count = f"found {', '.join(map(str, found))}"
    return Explained(
        code=Code.WRONG_COUNT,
        message=f"{_what(violation)} must have {wanted}; {count}",
        help=violation.schema.get("x-hint"),
        path=violation.path,
    )


def _listed_twice(violation: Violation) -> Explained:
    found: list[Any] = violation.found
    seen: set[str] = set()
    index = 0
    for at, entry in enumerate(found):
        key = repr(entry)
        if key in seen:
            index = at
            break
        seen.add(key)
    value = shown(found[index]) if isinstance(found[index], str) else "an entry"
    return Explained(
        code=Code.LISTED_TWICE,
        message=f"{value} is listed twice",
        help="remove one of them",
        path=(*violation.path, index),
    )


def _does_not_belong(violation: Violation) -> Explained:
    key = str(violation.path[-1])
    belongs = violation.schema.get("x-belongs")
    names = violation.expected.get("enum") if isinstance(violation.expected, Mapping) else None
    if belongs and names:
        others = [name for name in names if name != "type"]
        return Explained(
            code=Code.DOES_NOT_BELONG,
            message=f"{shown(key)} does not belong to `type: {belongs}`",
            help=f"`type: {belongs}` has {', '.join(others)}" if others else f"`type: {belongs}` has nothing beside it",
            path=violation.path,
            on_key=True,
        )
    wanted = violation.expected.get("x-expected") if isinstance(violation.expected, Mapping) else None
    return Explained(
        code=Code.WRONG_FORM,
        message=f"the key {shown(key)} is not {wanted or 'allowed here'}",
        help=did_you_mean(key, names or ()),
        path=violation.path,
        on_key=True,
    )


def _anything_else(violation: Violation) -> Explained:
    return Explained(
        code=Code.DOES_NOT_FIT,
        message=f"{_what(violation)} does not fit its schema ({violation.keyword})",
        help=violation.schema.get("x-hint") or violation.schema.get("description"),
        path=violation.path,
    )


_BY_KEYWORD = {
    "not": _refused,
    "additionalProperties": _unknown_key,
    "required": _missing_key,
    "type": _wrong_type,
    "enum": _not_allowed,
    "const": _not_allowed,
    "pattern": _wrong_form,
    "format": _wrong_form,
    "minLength": _wrong_form,
    "maxLength": _wrong_form,
    "minimum": _out_of_bounds,
    "maximum": _out_of_bounds,
    "exclusiveMinimum": _out_of_bounds,
    "exclusiveMaximum": _out_of_bounds,
    "multipleOf": _out_of_bounds,
    "minItems": _wrong_count,
    "maxItems": _wrong_count,
    "minProperties": _wrong_count,
    "maxProperties": _wrong_count,
    "uniqueItems": _listed_twice,
    "propertyNames": _does_not_belong,
}
