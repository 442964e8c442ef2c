"""What of a live resource git may declare: each is held against the very rules by which documents are read.

A candidate is made of the attributes that the schemas know and that are assigned. It is read as if it stood in a file,
and compared with what is live as a plan compares. Whatever does not pass is taken out, with the reason, until the rest
does. What rests on other resources (references, names that two share) is decided elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.desired.codes import CODES
from reconciler.desired.documents import DocumentReader, Draft
from reconciler.desired.extensions import ExtensionSchemas
from reconciler.desired.loader import Document
from reconciler.desired.places import Path
from reconciler.desired.writer import fits_a_file, why_unwritable
from reconciler.model.resource import Attributes, Kind, unpack
from reconciler.model.tenant import Tenant
from reconciler.schemas import schema_text
from reconciler.semantics.canonical import diff_attributes, is_unassigned, manager_id
from reconciler.semantics.configuration import diff_configuration

_SCHEMAS = {Kind.USER: "user", Kind.GROUP: "group", Kind.SERVICE_PROVIDER_CONFIG: "service-provider-config"}
_NAMED_BY = {Kind.USER: "userName", Kind.GROUP: "displayName", Kind.SERVICE_PROVIDER_CONFIG: ""}
_OF_GIT = frozenset({"kind", "mode", "enterprise", "groups", "previously", "members", "membership"})
"""Keys of documents that are no attributes, or say again what others say."""

_OF_THE_SERVICE = frozenset({"schemas", "meta", "id", "etag", "manager", "display", "$ref"})
"""What is left out without a word: set or derived by the service, or a reference, which the caller adds by name."""

_LARGE = 1_000_000
"""Bytes of a resource that may not fit into a file; smaller ones do."""

_NOBODY_KNOWS = "no schema knows this attribute"
_READ_DIFFERENTLY = "git would read it as something else than the tenant has"

Shape = Mapping[str, tuple[str, ...]]
"""The attributes that a document may state, in order, with the sub-attributes of those that have some."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The document that git may hold, in wire shape, or None where the resource cannot be declared at all.

    `left_out` has the path and the reason of each attribute that is not in it; without a document the last reason has
    the path "" and is why. `manager` is the id of a user's manager, whom the document does not name yet.
    """

    document: Attributes | None
    left_out: tuple[tuple[str, str], ...] = ()
    manager: str | None = None


class Screen:
    """Screens the resources of one tenant, with the schemas it keeps for its extensions."""

    def __init__(self, tenant: Tenant, extensions: ExtensionSchemas) -> None:
        self._tenant = tenant
        self._extensions = extensions
        self._shapes = {kind: _shape(schema) for kind, schema in _SCHEMAS.items()}

    def screen(
        self, kind: Kind, body: bytes, *, only: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()
    ) -> Screened:
        """What git may state of a live body. `only` names the attributes to look at, none meaning all of them."""
        live = unpack(body)
        asked = {name: value for name, value in live.items() if name not in without and (not only or name in only)}
        left_out: list[tuple[str, str]] = []
        candidate = _candidate(asked, self._shapes[kind], left_out, is_odd=not _is_text(body))
        name = _NAMED_BY[kind]
        if name and name not in candidate:
            return Screened(None, (*left_out, ("", f"it has no usable {name}")))
        if len(body) > _LARGE and not fits_a_file(candidate):
            return Screened(None, (*left_out, ("", "it is too large for a file")))
        while faults := list(self._faults(kind, candidate, live)):
            hopeless = [why for path, why in faults if path[:1] in {(), (name,)}]
            drops = [] if hopeless else [(_drop(candidate, path), why) for path, why in faults]
            dropped = [(_shown(path), why) for path, why in drops if path]
            if not dropped:
                return Screened(None, (*left_out, ("", (hopeless or [faults[0][1]])[0])))
            left_out += dropped
        return Screened(candidate, tuple(left_out), manager_id(live))

    def _faults(self, kind: Kind, candidate: Attributes, live: Attributes) -> Iterator[tuple[Path, str]]:
        """Path and reason of what its rules have against the document, else of where live differs."""
        draft = Draft(tenant=self._tenant)
        reader = DocumentReader(draft, "", "", self._extensions, {})
        reader.read("", Document(0, 1, {"kind": kind.value, **candidate}, {}))
        for finding in draft.findings:
            yield finding.paths[0], f"{CODES[finding.code].title} ({finding.code})"
        if not draft.findings:
            for path in self._differences(draft, live):
                yield _steps(candidate, path), _READ_DIFFERENTLY

    def _differences(self, draft: Draft, live: Attributes) -> list[str]:
        if draft.configurations:
            changes = diff_configuration(unpack(draft.configurations[0].value.body), live)
        else:
            desired = draft.users[0] if draft.users else draft.groups[0]
            changes, _ = diff_attributes(unpack(desired.body), live, self._tenant.equivalences)
        return [change.path for change in changes]


def _shape(schema: str) -> Shape:
    """The attributes of a schema of ours; `not` stands for what is never written."""
    document = json.loads(schema_text(schema))
    definitions: Mapping[str, Any] = document.get("$defs", {})
    properties = definitions[schema]["properties"] if schema in definitions else document["properties"]

    def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
        return definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node

    def writable(node: Mapping[str, Any]) -> tuple[str, ...]:
        found = resolved(node)
        subs = resolved(found.get("items", found)).get("properties", {})
        return tuple(sub for sub in _in_reading_order(subs) if "not" not in subs[sub] and sub not in _OF_THE_SERVICE)

    return {
        name: writable(node) for name, node in properties.items() if "not" not in resolved(node) and name not in _OF_GIT
    }


def _in_reading_order(names: Mapping[str, Any]) -> list[str]:
    """As the schema has them, but a given name comes first."""
    return sorted(names, key=lambda name: name != "givenName")


def _candidate(live: Attributes, shape: Shape, left_out: list[tuple[str, str]], *, is_odd: bool) -> Attributes:
    candidate: Attributes = {}
    for name in (*shape, *sorted(live.keys() - shape.keys())):
        value = live.get(name)
        if is_unassigned(value) or _is_of_the_service(name, value):
            continue
        if name in shape:
            value = _stated(name, value, shape[name], left_out)
        elif ":" not in name:
            left_out.append((name, _NOBODY_KNOWS))
            continue
        if is_odd or name not in shape:
            value = _writable(name, value, left_out)
        if not is_unassigned(value):
            candidate[name] = value
    return candidate


def _is_of_the_service(name: str, value: Any) -> bool:
    """In RFC shape `etag` of a ServiceProviderConfig says something, in that of CXone it is a version."""
    return name in _OF_THE_SERVICE and not (name == "etag" and isinstance(value, dict))


def _stated(name: str, value: Any, subs: tuple[str, ...], left_out: list[tuple[str, str]]) -> Any:
    """A value with the sub-attributes that git can state; the elements of a list without repetition, in one order."""
    if isinstance(value, dict) and subs:
        return _element(name, value, subs, left_out)
    if not isinstance(value, list):
        return value
    stated = [_element(name, item, subs, left_out) if isinstance(item, dict) and subs else item for item in value]
    if len(stated) == 1:
        return stated
    elements = {json.dumps(element, sort_keys=True): element for element in stated}
    return [elements[key] for key in sorted(elements, key=lambda key: (_rank(elements[key]), key))]


def _rank(element: Any) -> bool:
    return not (isinstance(element, dict) and element.get("primary") is True)


def _element(name: str, value: Attributes, subs: tuple[str, ...], left_out: list[tuple[str, str]]) -> Attributes:
    for sub in sorted(value.keys() - set(subs) - _OF_THE_SERVICE):
        path = (f"{name}:{sub}" if ":" in name else f"{name}.{sub}", _NOBODY_KNOWS)
        if path not in left_out:
            left_out.append(path)
    return {
        sub: value[sub]
        for sub in subs
        if sub in value and not is_unassigned(value[sub]) and not (sub == "primary" and value[sub] is False)
    }


def _writable(name: str, value: Any, left_out: list[tuple[str, str]]) -> Any:
    """The value, or what of an extension or complex attribute can stand in a file."""
    whys = {sub: why_unwritable({sub: value[sub]}) for sub in value} if isinstance(value, dict) else {}
    left_out += [(f"{name}:{sub}" if ":" in name else f"{name}.{sub}", f"it {why}") for sub, why in whys.items() if why]
    if whys:
        return {sub: value[sub] for sub in sorted(value) if whys[sub] is None}
    why = why_unwritable(value)
    if why is not None:
        left_out.append((name, f"it {why}"))
        return None
    return value


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:  # `pack` lets lone surrogates through
        return False
    return True


def _shown(path: Path) -> str:
    names = [step for step in path if isinstance(step, str)]
    return ":".join(names[:2]) if names and ":" in names[0] else ".".join(names[:2])


def _drop(document: Attributes, path: Path) -> Path:
    """Take out what a path means: a sub-attribute where that leaves something, else the attribute. What was taken."""
    name = str(path[0])
    value = document.get(name)
    if isinstance(value, dict) and len(path) > 1 and path[1] in value and len(value) > 1:
        del value[str(path[1])]
        return path[:2]
    if isinstance(value, list) and len(path) > 2 and path[2] != "value":
        element = value[int(path[1])]
        if isinstance(element, dict) and len(element) > 1 and path[2] in element:
            del element[str(path[2])]
            return (name, path[2])
    return () if document.pop(name, None) is None else (name,)


def _steps(document: Attributes, path: str) -> Path:
    """Where a managed path leads in a document; names may hold any character, also those that separate names."""
    pairs = [(name, sub) for name, value in document.items() if isinstance(value, dict) for sub in value]
    shown = {_shown(pair): pair for pair in pairs}
    if path in document:
        return (path,)
    return shown.get(path) or next((pair for found, pair in shown.items() if path.startswith(f"{found}.")), ())
