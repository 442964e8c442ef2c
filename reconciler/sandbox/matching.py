"""Filters at work: a syntax tree becomes a predicate over resources, and a hint which index can narrow them."""

from __future__ import annotations

import operator as functions
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.sandbox.definitions import ResourceKind
from reconciler.sandbox.errors import invalid_filter
from reconciler.sandbox.filters import (
    And,
    AttributePath,
    Compare,
    Filter,
    Literal,
    Not,
    Operator,
    Or,
    Present,
    ValueFilter,
)
from reconciler.sandbox.schema import Attribute, Location, Returned, Type, fold

Predicate = Callable[[dict[str, Any]], bool]
Locate = Callable[[AttributePath], Location]

_ORDERINGS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.GT: functions.gt,
    Operator.GE: functions.ge,
    Operator.LT: functions.lt,
    Operator.LE: functions.le,
}
_TEXT_TESTS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.CO: lambda found, wanted: wanted in found,
    Operator.SW: str.startswith,
    Operator.EW: str.endswith,
}
_TEXT_TYPES = (Type.STRING, Type.REFERENCE, Type.BINARY)
_INDEXED = {"id": "id", "externalid": "external_id", "username": "user_name", "displayname": "display_name"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """A value in an indexed column; `members` stands for the membership index."""

    column: str
    value: str


def build_predicate(tree: Filter, kind: ResourceKind) -> Predicate:
    """The filter as a test on resources of `kind`; raises `invalidFilter` where types do not fit."""
    return _build(tree, kind.locate)


def build_element_predicate(tree: Filter, attribute: Attribute) -> Predicate:
    """The filter of a value path as a test on the elements of a multi-valued attribute."""

    def locate(path: AttributePath) -> Location:
        known = None if path.urn or path.sub else attribute.sub(path.name)
        return Location(attribute=known)

    return _build(tree, locate)


def find_lookups(tree: Filter, kind: ResourceKind) -> list[Lookup] | None:
    """Index look-ups whose united results contain every match of the filter, or None when only a scan will do."""
    match tree:
        case Compare(path=path, operator=Operator.EQ, value=str(value)):
            return _indexed(path, value, kind)
        case And(terms=terms):
            return next((found for term in terms if (found := find_lookups(term, kind)) is not None), None)
        case Or(terms=terms):
            parts = [find_lookups(term, kind) for term in terms]
            return (
                [found for part in parts for found in part or ()] if all(part is not None for part in parts) else None
            )
        case ValueFilter(path=path, filter=inner) if _is_members(path, kind):
            values = equal_values(inner)
            return None if values is None else [Lookup("members", value) for value in values]
        case _:
            return None


def equal_values(tree: Filter) -> list[str] | None:
    """The values of `value eq "a" or value eq "b" ...`; None for a filter of any other form."""
    match tree:
        case Compare(path=AttributePath(urn=None, name=name, sub=None), operator=Operator.EQ, value=str(value)):
            return [value] if name.lower() == "value" else None
        case Or(terms=terms):
            parts = [equal_values(term) for term in terms]
            return (
                [value for part in parts for value in part or ()] if all(part is not None for part in parts) else None
            )
        case _:
            return None


def mentioned_names(tree: Filter) -> set[str]:
    """The lower-case top-level attribute names that the filter reads."""
    match tree:
        case Compare(path=path) | Present(path=path) | ValueFilter(path=path):
            return {path.name.lower()}
        case Not(term=term):
            return mentioned_names(term)
        case And(terms=terms) | Or(terms=terms):
            return set[str]().union(*(mentioned_names(term) for term in terms))


def read_values(resource: dict[str, Any], path: AttributePath, location: Location) -> list[Any]:
    """All values at a path, through multi-valued attributes, without what is unassigned."""
    name = location.attribute.name if location.attribute else path.name
    source = resource if location.container is None else _member(resource, location.container)
    values = _flatten(_member(source, name))
    if path.sub is None:
        return values
    sub = location.sub.name if location.sub else path.sub
    return [value for item in values for value in _flatten(_member(item, sub))]


def parse_instant(text: str) -> datetime:
    """An xsd:dateTime as a point in time; without zone it is UTC. Raises ValueError."""
    if "T" not in text:
        raise ValueError("a dateTime has a date and a time")
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else datetime.fromisoformat(f"{text}+00:00")


def _build(tree: Filter, locate: Locate) -> Predicate:
    match tree:
        case Compare():
            return _build_compare(tree, locate)
        case Present(path=path):
            location = _readable(path, locate)
            return lambda resource: bool(_assigned(read_values(resource, path, location)))
        case ValueFilter(path=path, filter=inner):
            return _build_value_filter(path, inner, locate)
        case Not(term=term):
            negated = _build(term, locate)
            return lambda resource: not negated(resource)
        case And(terms=terms):
            parts = [_build(term, locate) for term in terms]
            return lambda resource: all(part(resource) for part in parts)
        case Or(terms=terms):
            parts = [_build(term, locate) for term in terms]
            return lambda resource: any(part(resource) for part in parts)


def _build_value_filter(path: AttributePath, inner: Filter, locate: Locate) -> Predicate:
    location = _readable(path, locate)
    attribute = location.attribute
    if attribute is None:
        return lambda _resource: False
    if attribute.type is not Type.COMPLEX or path.sub:
        raise invalid_filter(f"{path} is not a complex attribute")
    holds = build_element_predicate(inner, attribute)
    return lambda resource: any(holds(item) for item in read_values(resource, path, location))


def _build_compare(term: Compare, locate: Locate) -> Predicate:
    path, location = _default_value(term.path, _readable(term.path, locate))
    definition = location.sub or location.attribute
    if definition is None:
        return _build_undefined(term, path, location)
    if term.value is None:
        return _build_null(term, path, location)
    normalise = _normaliser(definition)
    try:
        wanted = normalise(term.value)
    except (TypeError, ValueError):
        raise invalid_filter(f"{path} is of type {definition.type}; {term.value!r} does not compare with it") from None
    test = _test(term.operator, definition)
    if term.operator is Operator.NE:
        return lambda resource: _differs([normalise(value) for value in read_values(resource, path, location)], wanted)
    return lambda resource: any(test(normalise(value), wanted) for value in read_values(resource, path, location))


def _build_null(term: Compare, path: AttributePath, location: Location) -> Predicate:
    """`eq null` is the opposite of `pr` and `ne null` the same (RFC 7643 section 2.5: null is unassigned)."""
    if term.operator not in (Operator.EQ, Operator.NE):
        raise invalid_filter(f"{term.operator} does not compare with null")
    wanted = term.operator is Operator.NE
    return lambda resource: bool(_assigned(read_values(resource, path, location))) is wanted


def _build_undefined(term: Compare, path: AttributePath, location: Location) -> Predicate:
    """An attribute no schema defines: compared by what is found, and usually nothing is."""
    wanted = _loose(term.value)
    test: Callable[[Any, Any], bool] = (_ORDERINGS | _TEXT_TESTS).get(term.operator, functions.eq)

    def holds(resource: dict[str, Any]) -> bool:
        found = [_loose(value) for value in read_values(resource, path, location)]
        if term.operator is Operator.NE:
            return _differs(found, wanted)
        if wanted is None:
            return not found
        return any(type(value) is type(wanted) and test(value, wanted) for value in found)

    if term.operator in _TEXT_TESTS and not isinstance(wanted, str):
        raise invalid_filter(f"{term.operator} needs a string")
    if term.operator in _ORDERINGS and (wanted is None or isinstance(wanted, bool)):
        raise invalid_filter(f"{term.operator} does not compare with {term.value!r}")
    return holds


def _default_value(path: AttributePath, location: Location) -> tuple[AttributePath, Location]:
    """A complex attribute alone means its `value` (RFC 7644 section 3.4.2.2: emails co "example.com")."""
    attribute = location.attribute
    if attribute is None or attribute.type is not Type.COMPLEX:
        return path, location
    if path.sub is not None:
        return path, location
    value = attribute.sub("value")
    if value is None:
        raise invalid_filter(f"{path} is complex; name one of its sub-attributes")
    return AttributePath(path.urn, path.name, "value"), Location(
        container=location.container,
        attribute=attribute,
        sub=value,
    )


def _readable(path: AttributePath, locate: Locate) -> Location:
    location = locate(path)
    definition = location.sub or location.attribute
    if definition and definition.returned is Returned.NEVER:
        raise invalid_filter(f"{path} is never returned and cannot be filtered on")
    if path.sub and location.attribute and location.sub is None:
        # Defined parent, undefined sub-attribute: nothing has a value there.
        return Location(container=location.container)
    return location


def _test(operator: Operator, definition: Attribute) -> Callable[[Any, Any], bool]:
    if operator in _TEXT_TESTS:
        if definition.type not in _TEXT_TYPES:
            raise invalid_filter(f"{operator} compares text; {definition.name} is of type {definition.type}")
        return _TEXT_TESTS[operator]
    if operator in _ORDERINGS:
        if definition.type in (Type.BOOLEAN, Type.BINARY):
            raise invalid_filter(f"{operator} does not compare values of type {definition.type}")
        return _ORDERINGS[operator]
    return functions.eq


def _normaliser(definition: Attribute) -> Callable[[Any], Any]:
    """What turns values of a type into comparable ones; raises TypeError or ValueError for values of another type."""
    match definition.type:
        case Type.BOOLEAN:
            return lambda value: _of_type(value, bool)
        case Type.INTEGER | Type.DECIMAL:
            return lambda value: _of_type(value, int, float)
        case Type.DATE_TIME:
            return lambda value: parse_instant(_of_type(value, str))
        case _:
            return (lambda value: _of_type(value, str)) if definition.case_exact else _fold_text


def _fold_text(value: Any) -> str:
    return fold(_of_type(value, str))


def _of_type(value: Any, *types: type) -> Any:
    if type(value) not in types:
        raise TypeError(type(value).__name__)
    return value


def _loose(value: Literal) -> Literal:
    if isinstance(value, str):
        return fold(value)
    return float(value) if type(value) is int else value


def _differs(found: list[Any], wanted: Any) -> bool:
    return not found or any(value != wanted for value in found)


def _assigned(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value not in ("", {}, [])]


def _member(source: Any, name: str) -> Any:
    if not isinstance(source, dict):
        return None
    if name in source:
        return source[name]
    return next((value for key, value in source.items() if key.lower() == name.lower()), None)


def _flatten(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _indexed(path: AttributePath, value: str, kind: ResourceKind) -> list[Lookup] | None:
    if _is_members(path, kind):
        return [Lookup("members", value)]
    if path.sub or (path.urn and path.urn.lower() != kind.schema.id.lower()):
        return None
    attribute = kind.attribute(path.name)
    column = _INDEXED.get(path.name.lower())
    if attribute is None or column is None:
        return None
    return [Lookup(column, value if attribute.case_exact else fold(value))]


def _is_members(path: AttributePath, kind: ResourceKind) -> bool:
    in_core = path.urn is None or path.urn.lower() == kind.schema.id.lower()
    names_value = path.sub is None or path.sub.lower() == "value"
    return in_core and names_value and path.name.lower() == "members" and kind.schema.attribute("members") is not None
