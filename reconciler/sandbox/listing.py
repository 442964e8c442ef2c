"""Lists (RFC 7644 section 3.4.2): filter, sort, pages, and the cache that keeps a walk through all pages linear.

Pages go by index, or by cursor (RFC 9865).
"""

from __future__ import annotations

import base64
import hashlib
import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import ResourceKind
from reconciler.sandbox.errors import (
    ScimError,
    expired_cursor,
    invalid_count,
    invalid_cursor,
    invalid_path,
    invalid_syntax,
    invalid_value,
)
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
    """What a list request asks for. `count` None means as many as the tenant gives.

    `cursor` is None where the request does not page by cursor, and empty for the first page.
    """

    filter: str | None = None
    sort_by: str | None = None
    descending: bool = False
    start_index: int = 1
    count: int | None = None
    cursor: str | None = None
    projection: Projection = EVERYTHING


def read_query(parameters: Mapping[str, str]) -> Query:
    """The query of a GET."""
    return Query(
        filter=parameters.get("filter"),
        sort_by=parameters.get("sortBy") or None,
        descending=_is_descending(parameters.get("sortOrder")),
        start_index=max(1, _integer("startIndex", parameters.get("startIndex"), 1)),
        count=_count(parameters.get("count")),
        cursor=parameters.get("cursor"),
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
        cursor=_optional_text(message, "cursor"),
        projection=read_projection(_names(message, "attributes"), _names(message, "excludedAttributes")),
    )


class Lister:
    """Answers list requests of one tenant. Callers hold the store's lock."""

    def __init__(self, store: Store, config: SandboxConfig) -> None:
        self._store = store
        self._config = config
        self._results: OrderedDict[tuple[Any, ...], list[int]] = OrderedDict()

    def render_list(
        self,
        kinds: Sequence[ResourceKind],
        query: Query,
        renderer: Renderer,
        max_results: int,
        *,
        shift: int = 0,
    ) -> tuple[str, int]:
        """The ListResponse, with never more than `max_results` resources, and how many there are in all.

        A page by index begins `shift` rows behind where it should, as if so many rows before it had just gone.
        """
        found = self._find(kinds, query, renderer)
        if self._pages_by_cursor(query):
            return self._render_cursor_page(kinds, query, renderer, max_results, found), len(found)
        count = max_results if query.count is None else min(query.count, max_results)
        first = max(0, query.start_index - 1 + shift)
        page = found[first : first + count]
        resources = renderer.render_all(self._store.records(page), query.projection)
        text = (
            f'{{"schemas":["{LIST_URN}"],"totalResults":{len(found)},"startIndex":{query.start_index},'
            f'"itemsPerPage":{len(resources)},"Resources":[{",".join(resources)}]}}'
        )
        return text, len(found)

    def _pages_by_cursor(self, query: Query) -> bool:
        config = self._config
        if query.cursor is None:
            if config.cursor_only and query.start_index > 1:
                raise invalid_value("startIndex is not supported: this service pages by cursor only")
            return config.cursor_only
        return config.supports_cursor or config.cursor_only  # who does not know the parameter ignores it

    def _render_cursor_page(
        self, kinds: Sequence[ResourceKind], query: Query, renderer: Renderer, max_results: int, found: Sequence[int]
    ) -> str:
        """The page behind a cursor, which is that of the last resource shown: nothing shifts while it is followed."""
        if query.count is not None and query.count > max_results:
            raise invalid_count(f"count must be at most {max_results}")
        count = max_results if query.count is None else query.count
        asked = _digest(kinds, query)
        after = read_cursor(query.cursor or "", asked, count, self._now(), self._config.cursor_timeout)
        page, more = _page_behind(found, after, count, ordered=query.filter is None and query.sort_by is None)
        resources = renderer.render_all(self._store.records(page), query.projection)
        next_cursor = write_cursor(asked, count, page[-1], self._now()) if more and page else None
        link = f'"nextCursor":"{next_cursor}",' if next_cursor else ""
        return (
            f'{{"schemas":["{LIST_URN}"],"totalResults":{len(found)},"itemsPerPage":{len(resources)},{link}'
            f'"Resources":[{",".join(resources)}]}}'
        )

    def _now(self) -> int:
        return int(self._config.clock())

    def _find(self, kinds: Sequence[ResourceKind], query: Query, renderer: Renderer) -> list[int]:
        """The sequence numbers of all results; the same question about the same data is answered from memory."""
        wanted = None if self._config.quirks.ignores_filters else query.filter
        if wanted is None and query.sort_by is None:
            return self._store.roster(kinds)
        names = tuple(kind.name for kind in kinds)
        key = (self._store.generation, names, wanted, query.sort_by, query.descending)
        found = self._results.get(key)
        if found is None:
            found = self._compute(kinds, wanted, query.sort_by, renderer, descending=query.descending)
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


def write_cursor(asked: str, count: int, last: int, now: int) -> str:
    """The cursor of the page behind the resource `last`, in unreserved characters (RFC 9865 section 2)."""
    return base64.urlsafe_b64encode(json.dumps([asked, count, last, now]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, asked: str, count: int, now: int, timeout: int) -> int | None:
    """The resource behind which the page begins; None for the first page. Raises the errors of RFC 9865 section 2.1."""
    if not cursor:
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        asked_then, count_then, last, then = told
    except (ValueError, TypeError, RecursionError):
        raise invalid_cursor("this is no cursor") from None
    if asked_then != asked or not all(type(number) is int for number in (count_then, last, then)):
        raise invalid_cursor("the cursor belongs to another query")
    if count_then != count:
        raise invalid_count(f"count must stay {count_then} from page to page")
    if now - then > timeout:
        raise expired_cursor(f"the cursor was valid for {timeout} seconds")
    number: int = last
    return number


def _page_behind(found: Sequence[int], after: int | None, count: int, *, ordered: bool) -> tuple[Sequence[int], bool]:
    """The page behind a resource, and whether there is more behind the page."""
    if after is None:
        start = 0
    elif ordered:
        start = bisect_right(found, after)
    else:
        try:
            start = found.index(after) + 1
        except ValueError:
            raise expired_cursor("the resource that the cursor points at is not among the results any more") from None
    return found[start : start + count], start + count < len(found)


def _digest(kinds: Sequence[ResourceKind], query: Query) -> str:
    """What must not change from page to page."""
    parts = [[kind.name for kind in kinds], query.filter, query.sort_by, query.descending]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


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
