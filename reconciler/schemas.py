"""The JSON Schemas (draft 2020-12) that ship with the package, and validation with them.

Two engines, one verdict: jsonschema-rs accepts what is right in microseconds, jsonschema explains what is not. Patterns
are matched by the same engine in both, one that takes linear time whatever the pattern, so a schema cannot be made to
hang. Schemas refer to each other by URN within the package; nothing is ever fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import jsonschema
import jsonschema_rs
import referencing
from referencing.jsonschema import DRAFT202012

from reconciler.errors import ReconcilerError

URN = "urn:scim-reconciler:schema:"
"""What the `$id` of every schema of the package starts with."""

_SUFFIX = ".schema.json"


class SchemaError(ReconcilerError):
    """A JSON Schema that is none, refers to something outside itself, or holds a pattern that cannot be compiled."""

    reference = "invalid-schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One keyword of a schema that an instance does not meet.

    `path` leads to the value in question: keys and indexes from the top. `expected` is the value of the keyword,
    `schema` the subschema it stands in (the place of annotations such as `x-expected`), `found` the value itself.
    For anyOf and oneOf, `branches` holds the violations of the branch that fits best.
    """

    path: tuple[str | int, ...]
    keyword: str
    expected: Any
    schema: Mapping[str, Any]
    found: Any
    message: str
    branches: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """One compiled schema."""

    _accepting: jsonschema_rs.Draft202012Validator
    _explaining: Any

    def accepts(self, instance: Any) -> bool:
        """Whether the instance is valid; about a microsecond for a user."""
        return self._accepting.is_valid(instance)

    def violations(self, instance: Any) -> Iterator[Violation]:
        """Every violation, not only the first; a thousand times slower than `accepts`, for what it rejects."""
        for error in self._explaining.iter_errors(instance):
            yield _violation(error)


def schema_names() -> tuple[str, ...]:
    """The kinds and documents there are schemas for, sorted: `group`, `plan`, `user`, ..."""
    return tuple(sorted(_schemas()))


def schema_text(name: str) -> str:
    """The text of a schema, as it ships. Raises KeyError for a name that is not in `schema_names()`."""
    return _schemas()[name]


@cache
def checker(name: str, pointer: str = "") -> Checker:
    """The compiled schema `name`, or the part of it that a JSON pointer such as `/$defs/user` names."""
    return _compiled({"$ref": f"{URN}{name}#{pointer}" if pointer else f"{URN}{name}"})


def checker_of(schema: Any) -> Checker:
    """A compiled schema from elsewhere, such as a tenant's own for an extension. It can refer to nothing but itself.

    Raises SchemaError where it is no valid draft 2020-12 schema, refers elsewhere, or has a pattern that is too costly.
    """
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        place = "/".join(map(str, error.absolute_path))
        raise SchemaError("not a JSON Schema (draft 2020-12)", context=f"at /{place}: {error.message}") from None
    return _compiled(schema)


def pattern_error(pattern: str) -> str | None:
    """Why a pattern cannot be used, or None. Only what can be matched in linear time is a pattern."""
    try:
        _matcher(pattern)
    except ValueError as error:
        return str(error).splitlines()[0]
    return None


def _compiled(schema: Any) -> Checker:
    try:
        accepting = jsonschema_rs.Draft202012Validator(
            schema, registry=_fast_registry(), offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise SchemaError("the schema cannot be used", context=str(error).splitlines()[0]) from None
    return Checker(
        _accepting=accepting, _explaining=_ExplainingValidator(_without_dialect(schema), registry=_registry())
    )


def _without_dialect(schema: Any) -> Any:
    """A `$schema` makes jsonschema fall back from our validator to its own; all schemas here are draft 2020-12."""
    return {key: value for key, value in schema.items() if key != "$schema"} if isinstance(schema, dict) else schema


@cache
def _matcher(pattern: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not _matcher(pattern).is_valid(instance):
        yield jsonschema.ValidationError(f"does not match {pattern}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[jsonschema.ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if _matcher(pattern).is_valid(key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """One violation for each key, below the key, so that each has a place of its own."""
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in known or any(_matcher(pattern).is_valid(key) for pattern in patterns):
            continue
        if allowed is False:
            yield jsonschema.ValidationError(f"{key} is not known", path=[key])
        else:
            yield from validator.descend(value, allowed, path=key)


def _property_names(
    validator: Any, names: Any, instance: Any, _: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    if not isinstance(instance, dict):
        return
    for key in instance:
        if next(validator.descend(key, names), None) is not None:
            yield jsonschema.ValidationError(f"{key} is not allowed as a key", path=[key])


def _required(_: Any, required: Any, instance: Any, __: Mapping[str, Any]) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, dict):
        for key in required:
            if key not in instance:
                yield jsonschema.ValidationError(key)


_ExplainingValidator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # types-jsonschema has none for it
    jsonschema.Draft202012Validator,
    {
        "additionalProperties": _additional_properties,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "propertyNames": _property_names,
        "required": _required,
    },
)


def _violation(error: jsonschema.ValidationError) -> Violation:
    return Violation(
        path=tuple(error.absolute_path),
        keyword=str(error.validator),
        expected=error.validator_value,
        schema=error.schema if isinstance(error.schema, Mapping) else {},
        found=error.instance,
        message=error.message,
        branches=_best_branch(error) if error.validator in {"anyOf", "oneOf"} else (),
    )


def _best_branch(error: jsonschema.ValidationError) -> tuple[Violation, ...]:
    """The branch whose violations lie deepest, and of those the one with the fewest: what the author probably meant."""
    branches: dict[Any, list[jsonschema.ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    if not branches:
        return ()

    def fit(number: Any) -> tuple[bool, int, int, int]:
        inner = branches[number]
        wrong_type = any(item.validator == "type" and not item.relative_path for item in inner)
        depth = min(len(item.relative_path) for item in inner)
        return (wrong_type, -depth, len(inner), int(number))

    return tuple(_violation(item) for item in branches[min(branches, key=fit)])


@cache
def _schemas() -> dict[str, str]:
    return {
        entry.name.removesuffix(_SUFFIX): entry.read_text(encoding="utf-8")
        for entry in _folder().iterdir()
        if entry.name.endswith(_SUFFIX)
    }


def _folder() -> Traversable:
    package = files("reconciler")
    installed = package / "_schemas"
    # In a checkout the schemas are a folder for people and editors at the top; the wheel maps them into the package.
    return installed if installed.is_dir() else package / ".." / "schemas"


@cache
def _fast_registry() -> jsonschema_rs.Registry:
    parsed = {name: json.loads(text) for name, text in _schemas().items()}
    return jsonschema_rs.Registry([(schema["$id"], schema) for schema in parsed.values()])


@cache
def _registry() -> Any:
    parsed = [_without_dialect(json.loads(text)) for text in _schemas().values()]
    resources = [(schema["$id"], DRAFT202012.create_resource(schema)) for schema in parsed]
    return referencing.Registry().with_resources(resources).crawl()  # without `retrieve` nothing is fetched
