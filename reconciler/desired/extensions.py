"""Schemas that a tenant keeps for its own SCIM extensions, beside its documents.

`<tenant>/schemas/<URN with _ for every colon>.json` is a JSON Schema (draft 2020-12) for what stands there, such as
`schemas/urn_example_params_scim_schemas_extension_acme_2.0_User.json`. It refers to nothing outside itself, and its
patterns are matched in linear time; what would only be safe elsewhere by luck is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.desired.codes import Code
from reconciler.desired.files import is_inside, link_out, read_text, relative_name
from reconciler.desired.places import Finding
from reconciler.schemas import Checker, SchemaError, checker_of, pattern_error

FOLDER = "schemas"
MAX_BYTES = 256_000
MAX_DEPTH = 32

_REPEATING = frozenset("*+{")
_VARYING = frozenset("*+{?|")


@dataclass(frozen=True, slots=True)
class ExtensionSchema:
    """A compiled schema and the file it came from, relative to the root."""

    checker: Checker
    file: str


ExtensionSchemas = Mapping[str, ExtensionSchema]
"""By URN."""


def load_extension_schemas(root: Path, tenant_folder: Path, findings: list[Finding]) -> ExtensionSchemas:
    """The schemas in a tenant's folder, those that cannot be used reported instead."""
    folder = tenant_folder / FOLDER
    if not folder.is_dir() or not is_inside(root, os.path.realpath(folder)):
        return {}
    schemas: dict[str, ExtensionSchema] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix != ".json" or path.name.startswith("."):
            continue
        name = relative_name(root, path)
        if not is_inside(root, os.path.realpath(path)):
            findings.append(link_out(name))
            continue
        checker, problem = _load(path)
        if checker is None:
            findings.append(
                Finding(
                    code=Code.EXTENSION_SCHEMA,
                    message=f"cannot be used as the schema of an extension: {problem}",
                    file=name,
                    help="a JSON Schema (draft 2020-12) that refers to nothing outside itself, with simple patterns",
                )
            )
        else:
            schemas[path.stem.replace("_", ":").casefold()] = ExtensionSchema(checker, name)
    return schemas


def _load(path: Path) -> tuple[Checker | None, str]:
    text, fault = read_text(os.fspath(path))
    if fault is not None:
        return None, fault.message
    if len(text) > MAX_BYTES:
        return None, f"it is larger than {MAX_BYTES // 1000} kB"
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        return None, f"it is not JSON ({error})" if isinstance(error, ValueError) else "it is nested too deep"
    problem = _problem(schema)
    if problem is not None:
        return None, problem
    try:
        return checker_of(schema), ""
    except SchemaError as error:
        return None, f"{error.message}: {error.context}" if error.context else error.message


def _problem(schema: Any) -> str | None:
    """The first thing in a schema that is not allowed here, walking without recursion."""
    todo: list[tuple[Any, int]] = [(schema, 1)]
    while todo:
        node, depth = todo.pop()
        if depth > MAX_DEPTH:
            return f"it is nested deeper than {MAX_DEPTH} levels"
        if isinstance(node, list):
            todo.extend((item, depth + 1) for item in node)
        elif isinstance(node, dict):
            problem = _keyword_problem(node, is_top=depth == 1)
            if problem is not None:
                return problem
            todo.extend((item, depth + 1) for item in node.values())
    return None


def _keyword_problem(node: Mapping[str, Any], *, is_top: bool) -> str | None:
    for keyword in ("$ref", "$dynamicRef"):
        if isinstance(node.get(keyword), str) and not node[keyword].startswith("#"):
            return f"{keyword} leads outside the file"
    if not is_top and ("$id" in node or "$schema" in node):
        return "$id and $schema stand at the top only"
    patterns = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    if isinstance(node.get("patternProperties"), dict):
        patterns.extend(node["patternProperties"])
    return next((problem for pattern in patterns if (problem := _pattern_problem(pattern))), None)


def _pattern_problem(pattern: str) -> str | None:
    """Ours are matched in linear time; editors match the same pattern with engines that backtrack."""
    if _repeats_a_repetition(pattern):
        return f"the pattern {pattern!r} repeats a group that itself repeats or branches"
    problem = pattern_error(pattern)
    return None if problem is None else f"the pattern {pattern!r} cannot be used: {problem}"


def _repeats_a_repetition(pattern: str) -> bool:
    """Whether a group with a quantifier or an alternative in it is followed by an unbounded quantifier."""
    stack: list[bool] = []
    in_class = False
    index = 0
    while index < len(pattern):
        character = pattern[index]
        if character == "\\":
            index += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            stack.append(False)
            index += pattern.startswith("?", index + 1)  # (?:...), not an optional something
        elif character == ")" and stack:
            varies = stack.pop()
            if varies and pattern[index + 1 : index + 2] in _REPEATING:
                return True
            if stack and varies:
                stack[-1] = True
        elif character in _VARYING and stack:
            stack[-1] = True
        index += 1
    return False
