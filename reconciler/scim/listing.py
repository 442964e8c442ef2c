"""Reading one list to its end, by index (RFC 7644 section 3.4.2.4) or by cursor (RFC 9865), and what proves the end.

No service is believed: a list is complete only where what was received adds up, and reading it always ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.messages.codec import ListPage
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Attributes, Kind, LiveConfiguration, LiveGroup, LiveUser
from reconciler.model.state import Certificate
from reconciler.model.tenant import Tenant
from reconciler.scim.client import is_about
from reconciler.scim.readahead import read_ahead

Progress = Callable[[Kind, int, int | None], None]
"""Told after each page: the kind, the resources read so far, and how many there are, if the service says so."""

MOST_ROWS = 2_000_000
"""Resources of one kind beyond which a service is no longer followed."""

_MOST_PAGES = 100_000
_MOST_EMPTY_PAGES = 10
_REPEATED_ROWS = 1000
"""Rows that come again before a scan gives up, over twice what it has."""

_LOST = ("invalidCursor", "expiredCursor", "invalidCount")
"""Errors that ask for a fresh scan (RFC 9865 section 2.1)."""

_REFUSES_CURSORS = frozenset({400, 501})
"""How a service answers a cursor that it does not know what to do with (RFC 7644 section 3.12)."""

_Resource = TypeVar("_Resource", LiveUser, LiveGroup)
_Decode = Callable[[Attributes], _Resource]


class Service(Protocol):
    """What a snapshot needs of a service; `ScimClient` is one."""

    @property
    def requests(self) -> int:
        """Requests sent so far."""

    def list_page(self, kind: Kind, start_index: int, count: int) -> ListPage:
        """One page of a list."""

    def cursor_page(self, kind: Kind, cursor: str, count: int | None) -> ListPage:
        """One page of a list by its cursor."""

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002 -- the RFC's word
        """One resource, or None."""

    def get_configuration(self) -> LiveConfiguration | None:
        """The ServiceProviderConfig, or None."""


@dataclass(slots=True)
class Listing(Generic[_Resource]):
    """The rows of one list so far, and what is known about their completeness.

    `received` counts rows, those that came twice included. `cursors` says that the service gave at least one cursor,
    `lost` with which error it ended the scan.
    """

    rows: dict[str, _Resource] = field(default_factory=dict)
    received: int = 0
    total: int | None = None
    cursors: bool = False
    lost: str | None = None
    problem: str | None = None

    def certificate(self, *, by_cursor: bool) -> Certificate:
        """What the listing proves."""
        return Certificate(
            count=len(self.rows),
            complete=self.problem is None,
            reason=self.problem,
            by_cursor=by_cursor,
            uncounted=self.problem is None and self.total is None and not by_cursor and not self.cursors,
        )


class ListReader:
    """Reads lists of one service, with the page size both sides agree on, and by cursor where `capabilities` say so."""

    def __init__(
        self,
        client: Service,
        tenant: Tenant,
        capabilities: Capabilities,
        progress: Progress | None,
        *,
        most_rows: int = MOST_ROWS,
    ) -> None:
        self._client = client
        self._count = max(1, min(tenant.limits.page_size, capabilities.max_results or tenant.limits.page_size))
        self._cursor_count: int | None = self._count
        self._workers = max(1, tenant.limits.parallel_reads)
        self._paging = tenant.dialect.paging
        self._progress = progress
        self._most_rows = most_rows
        self.by_cursor = capabilities.cursor

    def read(self, kind: Kind, decode: _Decode[_Resource]) -> Listing[_Resource]:
        """One list; again, one page after the other, if that did not add up.

        Raises:
            ScimError: a page cannot be read, or there is no end of pages.

        """
        listing: Listing[_Resource] = Listing()
        listing.problem = self._scan(kind, decode, listing, self._pages(kind), may_lose=True)
        if listing.problem is None:
            listing.problem = _shortfall(kind, listing, by_cursor=self.by_cursor or listing.cursors)
        if listing.problem is None:
            listing.problem = self._look_behind(kind, decode, listing)
        if listing.problem is None:
            return listing
        again: Listing[_Resource] = Listing()
        by_cursor = listing.cursors or (self.by_cursor and (self._paging == "cursor" or listing.lost == "invalidCount"))
        pages = self._cursor_pages(kind, "") if by_cursor else self._pages_in_turn(kind, again.rows)
        again.problem = self._scan(kind, decode, again, pages, may_lose=False)
        if again.problem is None and not self._is_empty(kind, again, listing):
            again.problem = _shortfall(kind, again, by_cursor=by_cursor or again.cursors)
        if again.problem is not None:
            again.rows = {**listing.rows, **again.rows}
        return again

    def get_each(self, ids: Iterable[str]) -> Iterator[LiveGroup]:
        """Groups by id, each read by itself; those that are gone by now are left out."""
        for group in read_ahead(lambda id_: self._client.get(Kind.GROUP, id_), ids, self._workers):
            if isinstance(group, LiveGroup):
                yield group

    def _scan(
        self,
        kind: Kind,
        decode: _Decode[_Resource],
        listing: Listing[_Resource],
        pages: Iterator[ListPage],
        *,
        may_lose: bool,
    ) -> str | None:
        """Take in pages; returns in plain words what went wrong on the way, or None."""
        try:
            return self._take(kind, decode, listing, pages)
        except ScimRejected as rejected:
            if not may_lose or not is_about(rejected, *_LOST):
                raise
            listing.lost = next(scim_type for scim_type in _LOST if is_about(rejected, scim_type))
            if listing.lost == "invalidCount":
                self._cursor_count = None
            return f"the service ended the list of {_plural(kind)} in the middle ({listing.lost})"

    def _take(
        self, kind: Kind, decode: _Decode[_Resource], listing: Listing[_Resource], pages: Iterator[ListPage]
    ) -> str | None:
        """Take in pages until they end or bring nothing new; returns what contradicts itself on the way."""
        empty = 0
        for number, page in enumerate(pages, start=1):
            listing.cursors = listing.cursors or page.next_cursor is not None
            if listing.total is None:
                listing.total = page.total
            elif page.total != listing.total and not (page.total is None and listing.cursors):
                return (
                    f"the number of {_plural(kind)} changed from {listing.total} to {page.total} while they were listed"
                )
            before = len(listing.rows)
            for row in page.resources:
                resource = decode(row)
                if listing.rows.setdefault(resource.id, resource) != resource:
                    return f"the service lists two different {_plural(kind)} under one id, or one changed meanwhile"
            listing.received += len(page.resources)
            self._check_bounds(kind, listing, number)
            if self._progress is not None:
                self._progress(kind, len(listing.rows), listing.total)
            empty = 0 if page.resources else empty + 1
            if empty > _MOST_EMPTY_PAGES:
                return f"the service gives one cursor after the other and lists no more {_plural(kind)}"
            nothing_new = bool(page.resources) and len(listing.rows) == before
            if nothing_new or listing.received > 2 * len(listing.rows) + _REPEATED_ROWS:
                break
        return None

    def _check_bounds(self, kind: Kind, listing: Listing[_Resource], pages: int) -> None:
        if len(listing.rows) > self._most_rows or pages > _MOST_PAGES:
            raise ScimMalformed(
                f"the service lists {_plural(kind)} without end: gave up after {len(listing.rows):,}",
                hint="its lists cannot be read; nothing was planned",
            )

    def _pages(self, kind: Kind) -> Iterator[ListPage]:
        """All pages, by cursor or by index; by index also where the service refuses the cursors it announces."""
        if not self.by_cursor:
            yield from self._parallel_pages(kind)
            return
        try:
            first = self._client.cursor_page(kind, "", self._cursor_count)
        except ScimRejected as rejected:
            if self._paging == "cursor" or rejected.status not in _REFUSES_CURSORS or is_about(rejected, *_LOST):
                raise
            self.by_cursor = False
            yield from self._parallel_pages(kind)
            return
        yield first
        yield from self._cursor_pages(kind, first.next_cursor)

    def _parallel_pages(self, kind: Kind) -> Iterator[ListPage]:
        """The first page, then the others at once, as far apart as it is long; stops at a page that is short.

        A service that gives a cursor nobody asked for wants it to be used (RFC 9865 section 2).
        """
        first = self._client.list_page(kind, 1, self._count)
        if first.next_cursor is not None and self._paging != "index":
            yield first
            yield from self._cursor_pages(kind, first.next_cursor)
            return
        yield first
        stride, total = len(first.resources), first.total or 0
        if stride == 0:
            return
        rest = read_ahead(
            lambda start: self._client.list_page(kind, start, self._count),
            range(1 + stride, total + 1, stride),
            self._workers,
        )
        seen = stride
        for page in rest:
            yield page
            seen += len(page.resources)
            if len(page.resources) != stride and seen != total:
                return

    def _cursor_pages(self, kind: Kind, cursor: str | None) -> Iterator[ListPage]:
        """Page after page; the only end is a page that names no next one."""
        while cursor is not None:
            page = self._client.cursor_page(kind, cursor, self._cursor_count)
            yield page
            cursor = page.next_cursor

    def _pages_in_turn(self, kind: Kind, rows: Mapping[str, object]) -> Iterator[ListPage]:
        """Page after page, each starting behind the rows received (cxone.md G8); `rows` are those taken in.

        Ends at a page that is empty or brings nothing new, so that it always ends, and believes no total on the way.
        """
        start = 1
        while True:
            before = len(rows)
            page = self._client.list_page(kind, start, self._count)
            yield page
            start += len(page.resources)
            if len(rows) == before:
                return

    def _is_empty(self, kind: Kind, *readings: Listing[_Resource]) -> bool:
        """Whether nobody is there, on a service that does not say how many there are.

        Read twice, the first page is empty, and so is the page behind it.
        """
        if any(listing.rows or listing.cursors or listing.total is not None for listing in readings) or self.by_cursor:
            return False
        return not self._client.list_page(kind, self._count + 1, self._count).resources

    def _look_behind(self, kind: Kind, decode: _Decode[_Resource], listing: Listing[_Resource]) -> str | None:
        """Whether a list of exactly one full page really ends there.

        Some services count the page only (scim-rfc.md Q9), and one that announces cursors and gives neither a cursor
        nor a total may not have understood the question.
        """
        if len(listing.rows) != self._count or listing.cursors or (self.by_cursor and listing.total is not None):
            return None
        try:
            page = self._client.list_page(kind, self._count + 1, self._count)
        except ScimRejected as rejected:
            if self.by_cursor and rejected.status in {400, 501}:  # it pages by cursor only, as it says
                return None
            raise
        if any(decode(row).id not in listing.rows for row in page.resources):
            return f"the service says it has {listing.total} {_plural(kind)} and lists more"
        return None


def _shortfall(kind: Kind, listing: Listing[_Resource], *, by_cursor: bool) -> str | None:
    """Why what was received does not prove that it is everything, or None if it does (scim-rfc.md section 4)."""
    unique = len(listing.rows)
    if by_cursor and listing.received != unique:
        return f"the service listed {listing.received - unique} of its {_plural(kind)} twice"
    if listing.total is None:
        return None if by_cursor else f"the service does not say how many {_plural(kind)} there are"
    if unique != listing.total:
        return f"the service says it has {listing.total} {_plural(kind)} and listed {unique}"
    return None


def _plural(kind: Kind) -> str:
    return f"{kind.value.lower()}s"
