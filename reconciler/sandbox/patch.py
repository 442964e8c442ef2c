"""PATCH (RFC 7644 section 3.5.2): operations applied one after the other to the attributes of a resource.

Nothing here is stored: the caller hands in a copy and keeps it only when every operation went well, which makes a PATCH
atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.sandbox.definitions import ResourceKind
from reconciler.sandbox.errors import invalid_path, invalid_syntax, invalid_value, mutability, no_target
from reconciler.sandbox.filters import AttributePath, Filter, PatchPath, parse_patch_path
from reconciler.sandbox.matching import build_element_predicate, equal_values
from reconciler.sandbox.membership import MemberEdit
from reconciler.sandbox.schema import Attribute, Location, Mutability, Schema, Type
from reconciler.sandbox.validation import (
    clean_complex,
    clean_elements,
    clean_extension,
    clean_unknown,
    clean_value,
    is_primary,
    read_members,
)

PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Op(StrEnum):
    """What a PATCH operation does; read without regard to case, since clients send `Add` and `Replace`."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Operation:
    """One element of `Operations`."""

    op: Op
    path: str | None
    value: Any


@dataclass(slots=True)
class Target:
    """What a PATCH works on: the attributes of a resource (changed in place) and, for a group, its members."""

    kind: ResourceKind
    identifier: str
    attributes: dict[str, Any]
    members: MemberEdit | None = None


def read_patch(message: Mapping[str, Any], *, lenient: bool) -> list[Operation]:
    """The operations of a PATCH message; `lenient` also takes the envelope of the CXone samples."""
    schemas = message.get("schemas")
    if not lenient and (not isinstance(schemas, list) or PATCH_URN not in schemas):
        raise invalid_syntax(f"schemas does not name {PATCH_URN}")
    operations = message.get("Operations", message.get("operations") if lenient else None)
    if not isinstance(operations, list) or not operations:
        raise invalid_syntax("Operations is required and must be an array that is not empty")
    return [_read_operation(item) for item in operations]


def apply_patch(target: Target, operations: Iterable[Operation]) -> None:
    """Apply all operations to `target`; when one raises, the target is to be thrown away."""
    for operation in operations:
        if operation.path is None:
            _apply_object(target, operation)
        else:
            _apply_path(target, operation.op, parse_patch_path(operation.path, _urns(target)), operation.value)


def _read_operation(item: Any) -> Operation:
    if not isinstance(item, dict):
        raise invalid_syntax("Operations holds objects")
    fields = {name.lower(): value for name, value in item.items()}
    name, path = fields.get("op"), fields.get("path")
    if not isinstance(name, str) or name.lower() not in Op.__members__.values():
        raise invalid_syntax(f"op must be add, remove or replace, not {str(name)[:100]!r}")
    op = Op(name.lower())
    if path is not None and not isinstance(path, str):
        raise invalid_path("path must be a string")
    if op is Op.REMOVE and not path:
        raise no_target("remove needs a path")
    if op is not Op.REMOVE and "value" not in fields:
        raise invalid_value(f"{op} needs a value")
    return Operation(op, path or None, fields.get("value"))


def _apply_object(target: Target, operation: Operation) -> None:
    """Without path the value is a set of attributes, each handled as if it had been named in `path`."""
    if not isinstance(operation.value, dict):
        raise invalid_value(f"{operation.op} without path needs an object as value")
    for name, value in operation.value.items():
        if _repeats_what_is_there(target, name, value):
            continue
        urns = [*_urns(target), name] if _is_new_extension(target, name, value) else _urns(target)
        path = parse_patch_path(name, urns)
        if path.filter is None and not _is_known(target, path.attribute):
            continue  # unknown attributes are ignored, as in POST and PUT
        _apply_path(target, operation.op, path, value)


def _repeats_what_is_there(target: Target, name: str, value: Any) -> bool:
    """Clients send whole objects; `schemas` carries no change, and the resource's own `id` is none either."""
    return name.lower() == "schemas" or (name.lower() == "id" and value == target.identifier)


def _is_new_extension(target: Target, name: str, value: Any) -> bool:
    """Whether a member of an object is an extension nobody defined, and not an attribute named with its URN."""
    prefixes = tuple(f"{urn.lower()}:" for urn in _urns(target))
    return isinstance(value, dict) and name.lower().startswith("urn:") and not name.lower().startswith(prefixes)


def _is_known(target: Target, path: AttributePath) -> bool:
    return not path.name or path.urn is not None or target.kind.attribute(path.name) is not None


def _apply_path(target: Target, op: Op, path: PatchPath, value: Any) -> None:
    if not path.attribute.name:
        _apply_schema(target, op, path, value)
        return
    location = target.kind.locate(path.attribute)
    if location.attribute is None:
        _apply_undefined(target, op, path, location, value)
        return
    _check_mutable(path, location)
    if location.attribute.name == "schemas":
        _apply_schemas(op)
        return
    if location.attribute.name == "members" and target.members is not None:
        _apply_members(target.members, op, path, location.attribute, value)
        return
    _apply_attribute(_container(target, location.container), op, path, location, value)
    _drop_empty(target, location.container)


def _urns(target: Target) -> list[str]:
    stored = [name for name in target.attributes if ":" in name]
    return [target.kind.schema.id, *(schema.id for schema in target.kind.extensions), *stored]


def _apply_schemas(op: Op) -> None:
    """`schemas` follows from the content: what a client adds to it changes nothing, and nothing can be taken away."""
    if op is Op.REMOVE:
        raise mutability("schemas is required and cannot be removed")


def _check_mutable(path: PatchPath, location: Location) -> None:
    for definition in (location.attribute, location.sub):
        if definition and definition.mutability is Mutability.READ_ONLY:
            raise mutability(f"{path.attribute} is read-only")


def _container(target: Target, urn: str | None) -> dict[str, Any]:
    if urn is None:
        return target.attributes
    content: dict[str, Any] = target.attributes.setdefault(_stored_urn(target, urn), {})
    return content


def _stored_urn(target: Target, urn: str) -> str:
    return next((name for name in target.attributes if name.lower() == urn.lower()), urn)


def _drop_empty(target: Target, urn: str | None) -> None:
    if urn is not None and not target.attributes.get(_stored_urn(target, urn), True):
        del target.attributes[_stored_urn(target, urn)]


def _apply_schema(target: Target, op: Op, path: PatchPath, value: Any) -> None:
    """The path is the URN of a schema: its attributes are merged, those of an extension can also all be removed."""
    urn = path.attribute.urn or ""
    if path.filter is not None:
        raise invalid_path(f"{urn} is a schema and has no elements to filter")
    if urn != target.kind.schema.id:
        _apply_extension(target, op, urn, value)
    elif op is Op.REMOVE:
        raise mutability(f"{urn} is what the resource is made of and cannot be removed")
    else:
        _apply_object(target, Operation(op, None, value))


def _apply_extension(target: Target, op: Op, urn: str, value: Any) -> None:
    if op is Op.REMOVE or value is None:
        target.attributes.pop(_stored_urn(target, urn), None)
        return
    extension = target.kind.extension(urn)
    if extension is None:
        _container(target, urn).update(clean_unknown(urn, value))
    else:
        _merge_extension(target, op, extension, value)
    _drop_empty(target, urn)


def _merge_extension(target: Target, op: Op, extension: Schema, value: Any) -> None:
    clean_extension(extension, value)
    for name, item in value.items():
        attribute = extension.attribute(name)
        if attribute is not None and attribute.mutability is not Mutability.READ_ONLY:
            _apply_path(target, op, PatchPath(AttributePath(extension.id, attribute.name)), item)


def _apply_undefined(target: Target, op: Op, path: PatchPath, location: Location, value: Any) -> None:
    """An attribute of an extension that no schema defines is kept as it is; everything else undefined is no path."""
    if location.container is None or target.kind.extension(location.container) or path.filter or path.attribute.sub:
        raise invalid_path(f"{path.attribute} is not an attribute of {target.kind.name}")
    content = _container(target, location.container)
    cleaned = clean_unknown(location.container, {path.attribute.name: value})
    content.pop(path.attribute.name, None)
    if op is not Op.REMOVE:
        content.update(cleaned)
    _drop_empty(target, location.container)


def _apply_attribute(content: dict[str, Any], op: Op, path: PatchPath, location: Location, value: Any) -> None:
    attribute = location.attribute
    if attribute is None:
        raise invalid_path(f"{path.attribute} is not defined")
    if path.attribute.sub and location.sub is None:
        raise invalid_path(f"{path.attribute} is not defined")
    if not attribute.multi_valued:
        if path.filter is not None:
            raise invalid_path(f"{attribute.name} is not multi-valued and cannot be filtered")
        _apply_single(content, op, attribute, location.sub, value)
    elif path.filter is not None or location.sub is not None:
        _apply_elements(content, op, path, location, value)
    else:
        _apply_array(content, op, attribute, value)


def _apply_single(content: dict[str, Any], op: Op, attribute: Attribute, sub: Attribute | None, value: Any) -> None:
    if sub is not None:
        inner = dict(content.get(attribute.name, {}))
        _apply_single(inner, op, sub, None, value)
        _set(content, attribute.name, inner or None)
        return
    cleaned = None if op is Op.REMOVE else clean_value(attribute, value)
    if cleaned is None and attribute.required:
        raise mutability(f"{attribute.name} is required and cannot be removed")
    if attribute.mutability is Mutability.WRITE_ONLY:
        return
    if attribute.type is Type.COMPLEX and op is not Op.REMOVE and value is not None:
        cleaned = _merged(content.get(attribute.name, {}), attribute, value)
    _set(content, attribute.name, cleaned)


def _merged(current: Mapping[str, Any], attribute: Attribute, value: Mapping[str, Any]) -> dict[str, Any] | None:
    """Given sub-attributes are set (null clears them), the others stay (RFC 7644 sections 3.5.2.1 and 3.5.2.3)."""
    given = {sub.name: item for name, item in value.items() if (sub := attribute.sub(name))}
    cleaned = clean_complex(attribute, value, attribute.name) or {}
    kept = {name: item for name, item in current.items() if name not in given}
    return {**kept, **cleaned} or None


def _apply_array(content: dict[str, Any], op: Op, attribute: Attribute, value: Any) -> None:
    """A multi-valued attribute as a whole: append to it, replace it, or remove everything."""
    if op is Op.REMOVE or value is None:
        _set(content, attribute.name, None)
        return
    given = clean_elements(attribute, value if isinstance(value, list) else [value], attribute.name)
    if op is Op.REPLACE:
        _set(content, attribute.name, given or None)
        return
    elements = list(content.get(attribute.name, []))
    for element in given:
        _append(elements, element)
    _set(content, attribute.name, elements or None)


def _append(elements: list[Any], element: Any) -> None:
    """Add one element; one with the same value and type is the same and takes over what is new about it."""
    same = next((index for index, present in enumerate(elements) if _is_same(present, element)), None)
    if same is None:
        elements.append(element)
    elif element != elements[same]:
        elements[same] = {**elements[same], **element}
    if is_primary(element):
        _keep_primary(elements, {len(elements) - 1 if same is None else same})


def _is_same(present: Any, given: Any) -> bool:
    if not isinstance(present, dict) or "value" not in given:
        return bool(present == given)
    return (present.get("value"), present.get("type")) == (given["value"], given.get("type"))


def _keep_primary(elements: list[Any], chosen: set[int]) -> None:
    """A value set to primary takes the mark from the one that had it (RFC 7644 section 3.5.2)."""
    for index, element in enumerate(elements):
        if index not in chosen and is_primary(element):
            elements[index] = {**element, "primary": False}


def _apply_elements(content: dict[str, Any], op: Op, path: PatchPath, location: Location, value: Any) -> None:
    """Some elements of a multi-valued attribute, or one sub-attribute of them."""
    attribute = location.attribute
    if attribute is None or attribute.type is not Type.COMPLEX:
        raise invalid_path(f"{path.attribute} has no sub-attributes")
    elements: list[Any] = list(content.get(attribute.name, []))
    chosen = _chosen(elements, path.filter, attribute)
    if not chosen and op is not Op.REMOVE:
        if path.filter is not None or location.sub is None:
            raise no_target(f"No value of {attribute.name} satisfies the filter")
        elements, chosen = [{}], [0]  # nothing there yet: the sub-attribute starts the first value
    change = _element_change(op, attribute, location.sub, value)
    for index in chosen:
        elements[index] = change(elements[index])
    _check_one_primary(elements, chosen, attribute)
    _set(content, attribute.name, [element for element in elements if element] or None)


def _chosen(elements: list[Any], tree: Filter | None, attribute: Attribute) -> list[int]:
    if tree is None:
        return list(range(len(elements)))
    holds = build_element_predicate(tree, attribute)
    return [index for index, element in enumerate(elements) if holds(element)]


def _element_change(
    op: Op, attribute: Attribute, sub: Attribute | None, value: Any
) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """How one element changes; None means it goes."""
    if sub is not None:
        return lambda element: _with_sub(element, op, sub, value)
    if op is Op.REMOVE:
        return lambda _element: None
    given = clean_complex(attribute, value, attribute.name)
    if given is None:
        return lambda _element: None
    if op is Op.REPLACE:
        return lambda _element: dict(given)
    return lambda element: {**element, **given}


def _with_sub(element: dict[str, Any], op: Op, sub: Attribute, value: Any) -> dict[str, Any]:
    changed = dict(element)
    _apply_single(changed, op, sub, None, value)
    return changed


def _check_one_primary(elements: list[Any], chosen: list[int], attribute: Attribute) -> None:
    marked = {index for index in chosen if is_primary(elements[index])}
    if len(marked) > 1:
        raise invalid_value(f"{attribute.name} has more than one primary value")
    if marked:
        _keep_primary(elements, marked)


def _apply_members(members: MemberEdit, op: Op, path: PatchPath, attribute: Attribute, value: Any) -> None:
    """Members are added and removed as a whole; nothing inside one can be changed (RFC 7643 section 4.2)."""
    if path.attribute.sub:
        raise mutability(f"members.{path.attribute.sub} cannot be changed; add or remove the member")
    if path.filter is not None:
        _apply_filtered_members(members, op, path.filter, attribute, value)
        return
    if op is not Op.ADD:
        members.clear()
    if op is not Op.REMOVE:
        members.add(read_members(value if isinstance(value, list) or value is None else [value]))


def _apply_filtered_members(members: MemberEdit, op: Op, tree: Filter, attribute: Attribute, value: Any) -> None:
    if op is Op.ADD:
        raise mutability("A member cannot be changed; add another one")
    named = equal_values(tree)
    found = members.matching(build_element_predicate(tree, attribute)) if named is None else named
    removed = members.remove(found)
    if op is Op.REPLACE:
        if not removed:
            raise no_target("No member satisfies the filter")
        members.add(read_members(value if isinstance(value, list) else [value]))


def _set(content: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        content.pop(name, None)
    else:
        content[name] = value
