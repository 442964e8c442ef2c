"""Lists (RFC 7644 section 3.4.2): filter, sort, pages, and the cache that keeps a walk through all pages linear."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import ResourceKind
from reconciler.sandbox.errors import ScimError, invalid_path, invalid_syntax, invalid_value
from reconciler.sandbox.filters import Filter, parse_attribute_path, parse_filter
from reconciler.sandbox.matching import build_predicate, find_lookups, mentioned_names, read_values
from reconciler.sandbox.projection import EVERYTHING, Projection, read_projection
from reconciler.sandbox.rendering import Renderer
from reconciler.sandbox.schema import Type, fold
from reconciler.sandbox.store import Record, Store
from reconciler.sandbox.validation import is_primary

LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
SEARCH_URN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
_CACHED_RESULTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a list request asks for. `count` None means as many as the tenant gives."""

    filter: str | None = None
    sort_by: str | None = None
    descending: bool = False
    start_index: int = 1
    count: int | None = None
    projection: Projection = EVERYTHING


def read_query(parameters: Mapping[str, str]) -> Query:
    """The query of a GET."""
    return Query(
        filter=parameters.get("filter"),
        sort_by=parameters.get("sortBy") or None,
        descending=_is_descending(parameters.get("sortOrder")),
        start_index=max(1, _integer("startIndex", parameters.get("startIndex"), 1)),
        count=_count(parameters.get("count")),
        projection=read_projection(_split(parameters.get("attributes")), _split(parameters.get("excludedAttributes"))),
    )


def read_search(message: Mapping[str, Any]) -> Query:
    """The query of a POST to `/.search` (RFC 7644 section 3.4.3)."""
    schemas = message.get("schemas")
    if not isinstance(schemas, list) or SEARCH_URN not in schemas:
        raise invalid_syntax(f"schemas does not name {SEARCH_URN}")
    return Query(
        filter=_optional_text(message, "filter"),
        sort_by=_optional_text(message, "sortBy"),
        descending=_is_descending(_optional_text(message, "sortOrder")),
        start_index=max(1, _integer("startIndex", message.get("startIndex"), 1)),
        count=_count(message.get("count")),
        projection=read_projection(_names(message, "attributes"), _names(message, "excludedAttributes")),
    )


class Lister:
    """Answers list requests of one tenant. Callers hold the store's lock."""

    def __init__(self, store: Store, config: SandboxConfig) -> None:
        self._store = store
        self._config = config
        self._results: OrderedDict[tuple[Any, ...], list[int]] = OrderedDict()

    def render_list(self, kinds: Sequence[ResourceKind], query: Query, renderer: Renderer, max_results: int) -> str:
        """The ListResponse; never more than `max_results` resources."""
        found = self._find(kinds, query, renderer)
        count = max_results if query.count is None else min(query.count, max_results)
        page = found[query.start_index - 1 : query.start_index - 1 + count]
        resources = renderer.render_all(self._store.records(page), query.projection)
        return (
            f'{{"schemas":["{LIST_URN}"],"totalResults":{len(found)},"startIndex":{query.start_index},'
            f'"itemsPerPage":{len(resources)},"Resources":[{",".join(resources)}]}}'
        )

    def _find(self, kinds: Sequence[ResourceKind], query: Query, renderer: Renderer) -> list[int]:
        """The sequence numbers of all results; the same question about the same data is answered from memory."""
        sort_by = query.sort_by if self._config.supports_sort else None
        if query.filter is None and sort_by is None:
            return self._store.roster(kinds)
        names = tuple(kind.name for kind in kinds)
        key = (self._store.generation, names, query.filter, sort_by, query.descending)
        found = self._results.get(key)
        if found is None:
            found = self._compute(kinds, query.filter, sort_by, renderer, descending=query.descending)
            self._results[key] = found
        self._results.move_to_end(key)
        while len(self._results) > _CACHED_RESULTS:
            self._results.popitem(last=False)
        return found

    def _compute(
        self,
        kinds: Sequence[ResourceKind],
        text: str | None,
        sort_by: str | None,
        renderer: Renderer,
        *,
        descending: bool,
    ) -> list[int]:
        tree = None if text is None else parse_filter(text)
        keyed: list[tuple[tuple[int, Any], int]] = []
        for kind in kinds:
            keyed.extend(self._matches(kind, tree, sort_by, renderer))
        # Sorted twice, since sorting is stable: among equal keys the older resource comes first in both orders.
        keyed.sort(key=lambda item: item[1])
        keyed.sort(key=lambda item: item[0], reverse=descending)
        return [seq for _, seq in keyed]

    def _matches(
        self, kind: ResourceKind, tree: Filter | None, sort_by: str | None, renderer: Renderer
    ) -> Iterable[tuple[tuple[int, Any], int]]:
        holds = build_predicate(tree, kind) if tree else None
        key_of = _sort_key(kind, sort_by) if sort_by else None
        names = (mentioned_names(tree) if tree else set[str]()) | (_first_name(sort_by) if sort_by else set())
        for record in self._candidates(kind, tree):
            resource = renderer.decode(record, names)
            if holds is None or holds(resource):
                yield (key_of(resource) if key_of else (0, 0)), record.seq

    def _candidates(self, kind: ResourceKind, tree: Filter | None) -> Iterable[Record]:
        lookups = find_lookups(tree, kind) if tree else None
        if lookups is None:
            return self._store.scan(kind)
        return self._store.records(self._store.lookup(kind, lookups))


def _sort_key(kind: ResourceKind, sort_by: str) -> Any:
    """A key for sorting: what has no value comes last ascending and first descending (RFC 7644 section 3.4.2.3)."""
    try:
        path = parse_attribute_path(sort_by)
    except ScimError:
        raise invalid_path(f"sortBy: {sort_by[:200]!r} is not an attribute") from None
    location = kind.locate(path)
    definition = location.sub or location.attribute
    exact = definition is not None and definition.case_exact
    complex_path = definition is not None and definition.type is Type.COMPLEX

    def key_of(resource: dict[str, Any]) -> tuple[int, Any]:
        values = read_values(resource, path, location)
        if complex_path:
            # A multi-valued attribute sorts by its primary value, else by the first one.
            chosen = next((value for value in values if is_primary(value)), values[0] if values else {})
            values = [chosen["value"]] if isinstance(chosen, dict) and "value" in chosen else []
        if not values:
            return 1, ""
        text = values[0] if isinstance(values[0], str) else str(values[0])
        return 0, text if exact else fold(text)

    return key_of


def _first_name(sort_by: str) -> set[str]:
    return {sort_by.rpartition(":")[2].partition(".")[0].lower()}


def _is_descending(order: str | None) -> bool:
    if order is None or order.lower() == "ascending":
        return False
    if order.lower() == "descending":
        return True
    raise invalid_value("sortOrder must be ascending or descending")


def _count(raw: Any) -> int | None:
    """A negative count means 0 (RFC 7644 section 3.4.2.4)."""
    return None if raw is None else max(0, _integer("count", raw, 0))


def _integer(name: str, raw: Any, default: int) -> int:
    if raw is None:
        return default
    if isinstance(raw, (int, str)):
        # Through text, so that true is no number although Python thinks so.
        with suppress(ValueError):
            return int(str(raw))
    raise invalid_value(f"{name} must be an integer")


def _split(raw: str | None) -> list[str]:
    return [name.strip() for name in raw.split(",")] if raw else []


def _names(message: Mapping[str, Any], name: str) -> list[str]:
    raw = message.get(name)
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        raise invalid_syntax(f"{name} must be an array of strings")
    return raw


def _optional_text(message: Mapping[str, Any], name: str) -> str | None:
    raw = message.get(name)
    if raw is not None and not isinstance(raw, str):
        raise invalid_syntax(f"{name} must be a string")
    return raw
