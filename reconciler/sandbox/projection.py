"""`attributes` and `excludedAttributes` (RFC 7644 section 3.9): which parts of a resource an answer shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.definitions import ResourceKind
from reconciler.sandbox.errors import ScimError, invalid_value
from reconciler.sandbox.filters import AttributePath, parse_attribute_path
from reconciler.sandbox.schema import Returned

_ALWAYS = frozenset({"schemas", "id"})


@dataclass(frozen=True, slots=True)
class Projection:
    """The names asked for, or the names not wanted; at most one of the two is set."""

    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def wants(self, kind: ResourceKind, name: str) -> bool:
        """Whether an answer of this kind shows anything of a top-level core attribute."""
        if self.included:
            return any(path.name.lower() in ("", name) for path in _paths(kind, self.included) if _in_core(kind, path))
        return not any(
            path.name.lower() == name and path.sub is None
            for path in _paths(kind, self.excluded)
            if _in_core(kind, path)
        )

    def is_trivial(self, kind: ResourceKind, computed: str) -> bool:
        """Whether leaving out the computed attribute (or nothing) is all there is to do."""
        return not self.included and all(
            path.sub is None and path.name.lower() == computed and _in_core(kind, path)
            for path in _paths(kind, self.excluded)
        )

    def apply(self, kind: ResourceKind, resource: Mapping[str, Any]) -> dict[str, Any]:
        """What remains of a resource; attributes that are always returned stay."""
        if self.included:
            return _include(kind, resource, _paths(kind, self.included))
        return _exclude(kind, resource, _paths(kind, self.excluded))


EVERYTHING = Projection()


def read_projection(included: Iterable[str], excluded: Iterable[str]) -> Projection:
    """The projection of a request; the two parameters exclude each other."""
    projection = Projection(tuple(name for name in included if name), tuple(name for name in excluded if name))
    if projection.included and projection.excluded:
        raise invalid_value("attributes and excludedAttributes exclude each other")
    return projection


def _paths(kind: ResourceKind, names: Iterable[str]) -> list[AttributePath]:
    urns = [kind.schema.id, *(schema.id for schema in kind.extensions)]
    paths = []
    for name in names:
        try:
            paths.append(parse_attribute_path(name.strip(), urns))
        except ScimError:
            raise invalid_value(f"{name[:200]!r} is not an attribute name") from None
    return paths


def _in_core(kind: ResourceKind, path: AttributePath) -> bool:
    return path.urn is None or path.urn.lower() == kind.schema.id.lower()


def _include(kind: ResourceKind, resource: Mapping[str, Any], paths: list[AttributePath]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: value for name, value in resource.items() if name in _ALWAYS}
    for path in paths:
        for container, name, value in _found(kind, resource, path):
            part = value if path.sub is None else _only_sub(value, path.sub)
            if part is not None:
                place = shown if container is None else shown.setdefault(container, {})
                place[name] = _united(place.get(name), part)
    return shown


def _exclude(kind: ResourceKind, resource: Mapping[str, Any], paths: list[AttributePath]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: dict(value) if name[:4].lower() == "urn:" else value for name, value in resource.items()
    }
    for path in paths:
        for container, name, value in list(_found(kind, shown, path)):
            if _is_always(kind, name) and container is None:
                continue
            place = shown if container is None else shown[container]
            part = None if path.sub is None else _without_sub(value, path.sub)
            if part is None:
                place.pop(name, None)
            else:
                place[name] = part
    return {name: value for name, value in shown.items() if value != {} or name[:4].lower() != "urn:"}


def _found(
    kind: ResourceKind, resource: Mapping[str, Any], path: AttributePath
) -> Iterable[tuple[str | None, str, Any]]:
    """What a path names in a resource: container, stored name and value."""
    source: Mapping[str, Any] = resource
    container = None
    if not _in_core(kind, path):
        container = _stored_name(resource, path.urn or "")
        whole = _stored_name(resource, str(path)) if path.sub is None else None
        if whole is not None:
            return [(None, whole, resource[whole])]
        if container is None:
            return []
        source = resource[container]
    if not path.name:
        return [(container, name, value) for name, value in source.items() if ":" not in name]
    name = _stored_name(source, path.name)
    return [] if name is None else [(container, name, source[name])]


def _stored_name(source: Mapping[str, Any], name: str) -> str | None:
    if name in source:
        return name
    return next((key for key in source if key.lower() == name.lower()), None)


def _is_always(kind: ResourceKind, name: str) -> bool:
    attribute = kind.attribute(name)
    return attribute is not None and attribute.returned is Returned.ALWAYS


def _only_sub(value: Any, sub: str) -> Any:
    if isinstance(value, list):
        return [part for item in value if (part := _only_sub(item, sub)) is not None] or None
    name = _stored_name(value, sub) if isinstance(value, dict) else None
    return None if name is None else {name: value[name]}


def _without_sub(value: Any, sub: str) -> Any:
    if isinstance(value, list):
        return [part for item in value if (part := _without_sub(item, sub)) is not None] or None
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if name.lower() != sub.lower()} or None


def _united(present: Any, part: Any) -> Any:
    """Two sub-attributes of the same attribute, asked for one by one, are shown together."""
    if isinstance(present, dict) and isinstance(part, dict):
        return {**present, **part}
    if isinstance(present, list) and isinstance(part, list) and len(present) == len(part):
        return [_united(left, right) for left, right in zip(present, part, strict=True)]
    return part
