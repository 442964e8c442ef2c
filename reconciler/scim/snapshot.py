"""One complete read of the live state, and the certificate that says whether it is complete (SPEC P4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from reconciler.messages.codec import ListPage, decode_group, decode_user, group_ids_of, has_members
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Attributes, Kind, LiveConfiguration, LiveGroup, LiveUser
from reconciler.model.state import Certificate, LiveState
from reconciler.model.tenant import Tenant
from reconciler.scim.readahead import read_ahead

Progress = Callable[[Kind, int, int | None], None]
"""Told after each page: the kind, the resources read so far, and how many there are, if the service says so."""

_PROBES = 4
"""Groups looked at to find out whether lists show members. With four requests for discovery and one look behind the end
of each list that makes the ten of SPEC section 6."""

_MOST_ROWS = 5_000_000
"""Where a service that never says how many there are is no longer followed."""

_Resource = TypeVar("_Resource", LiveUser, LiveGroup)


class Service(Protocol):
    """What a snapshot needs of a service; `ScimClient` is one."""

    @property
    def requests(self) -> int:
        """Requests sent so far."""

    def list_page(self, kind: Kind, start_index: int, count: int) -> ListPage:
        """One page of a list."""

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002 -- the RFC's word
        """One resource, or None."""

    def get_configuration(self) -> LiveConfiguration | None:
        """The ServiceProviderConfig, or None."""


def read_live_state(
    client: Service,
    tenant: Tenant,
    capabilities: Capabilities,
    *,
    configuration: bool,
    progress: Progress | None = None,
) -> LiveState:
    """Read all users, then all groups, page by page, `limits.parallelReads` at a time.

    Sends ceil(n / page) requests per kind, and at least one, when the service lists what it says it has; one more where
    n is exactly one page, because some services count the page instead of the list. What does not add up is listed once
    more, page after page. If it then still does not, the certificate says so. A page that cannot be read is an error:
    it never makes the state smaller (SPEC P4).
    """
    before = client.requests
    reader = _Reader(client, tenant, capabilities, progress)
    membership = _Membership()
    users = reader.read(Kind.USER, membership.note_user)
    groups = reader.read(Kind.GROUP, membership.group_decoder(users.rows))
    with_members, notes = _with_members(reader, groups.rows, membership)
    return LiveState(
        users=users.rows,
        groups=with_members,
        configuration=client.get_configuration() if configuration else None,
        certificates={Kind.USER: users.certificate(), Kind.GROUP: groups.certificate()},
        requests=client.requests - before,
        notes=notes,
    )


def reread_list(
    client: Service, tenant: Tenant, capabilities: Capabilities, kind: Kind, live: LiveState
) -> LiveState | None:
    """The snapshot with one list read again, or None where it cannot be read completely or does not show members."""
    reader = _Reader(client, tenant, capabilities, None)
    membership = _Membership()
    if kind is Kind.USER:
        users = reader.read(kind, membership.note_user)
        return replace(live, users=users.rows) if users.certificate().complete else None
    groups = reader.read(kind, membership.group_decoder(live.users))
    if not groups.certificate().complete or (membership.silent and not membership.seen):
        return None
    return replace(live, groups=groups.rows | _emptied(groups.rows, membership.silent))


@dataclass(slots=True)
class _Listing(Generic[_Resource]):
    """The rows of one list so far, and what is known about their completeness."""

    rows: dict[str, _Resource] = field(default_factory=dict)
    total: int | None = None
    problem: str | None = None

    def certificate(self) -> Certificate:
        return Certificate(count=len(self.rows), complete=self.problem is None, reason=self.problem)


class _Membership:
    """What the rows tell about memberships besides the members themselves."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.seen = False
        self.witness: str | None = None

    def note_user(self, row: Attributes) -> LiveUser:
        """Decode a user, and remember one group that is known to have a member."""
        if self.witness is None:
            self.witness = next(iter(group_ids_of(row)), None)
        return decode_user(row)

    def group_decoder(self, users: Mapping[str, LiveUser]) -> Callable[[Attributes], LiveGroup]:
        """Decode groups, whose members share their id strings with `users`, and note which show no members at all."""
        known_ids = {id_: id_ for id_ in users}

        def decode(row: Attributes) -> LiveGroup:
            group = decode_group(row, absent_members=None, known_ids=known_ids)
            if has_members(row):
                self.seen = True
                self.silent.discard(group.id)
            else:
                self.silent.add(group.id)
            return group

        return decode


class _Reader:
    """Reads lists of one service, with the page size both sides agree on."""

    def __init__(self, client: Service, tenant: Tenant, capabilities: Capabilities, progress: Progress | None) -> None:
        self._client = client
        self._count = max(1, min(tenant.limits.page_size, capabilities.max_results or tenant.limits.page_size))
        self._workers = max(1, tenant.limits.parallel_reads)
        self._progress = progress

    def read(self, kind: Kind, decode: Callable[[Attributes], _Resource]) -> _Listing[_Resource]:
        """One list: in parallel first; again, one page after the other, if that did not add up."""
        listing: _Listing[_Resource] = _Listing()
        listing.problem = self._scan(kind, decode, listing, self._parallel_pages(kind))
        if listing.problem is None and len(listing.rows) == self._count:
            listing.problem = self._look_behind(kind, decode, listing)
        if listing.problem is None:
            return listing
        again: _Listing[_Resource] = _Listing()
        again.problem = self._scan(kind, decode, again, self._pages_in_turn(kind, again.rows))
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
        decode: Callable[[Attributes], _Resource],
        listing: _Listing[_Resource],
        pages: Iterator[ListPage],
    ) -> str | None:
        """Take in pages; returns in plain words why the list is not complete, or None if it is."""
        for page in pages:
            if listing.total is None:
                listing.total = page.total
            elif page.total != listing.total:
                return (
                    f"the number of {_plural(kind)} changed from {listing.total} to {page.total} while they were listed"
                )
            for row in page.resources:
                resource = decode(row)
                listing.rows[resource.id] = resource
            if self._progress is not None:
                self._progress(kind, len(listing.rows), listing.total)
        if listing.total is None:
            return f"the service does not say how many {_plural(kind)} there are"
        if len(listing.rows) != listing.total:
            return f"the service says it has {listing.total} {_plural(kind)} and listed {len(listing.rows)}"
        return None

    def _parallel_pages(self, kind: Kind) -> Iterator[ListPage]:
        """The first page, then the others at once, as far apart as it is long; stops at a page that is short."""
        first = self._client.list_page(kind, 1, self._count)
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

    def _look_behind(
        self, kind: Kind, decode: Callable[[Attributes], _Resource], listing: _Listing[_Resource]
    ) -> str | None:
        """Whether a list of exactly one full page really ends there: some services count the page only (Q9)."""
        page = self._client.list_page(kind, self._count + 1, self._count)
        if any(decode(row).id not in listing.rows for row in page.resources):
            return f"the service says it has {listing.total} {_plural(kind)} and lists more"
        return None

    def _pages_in_turn(self, kind: Kind, rows: Mapping[str, object]) -> Iterator[ListPage]:
        """Page after page, each starting behind the rows received (cxone.md G8); `rows` are those taken in.

        Ends at a page that is empty or brings nothing new, so that it always ends, and believes no total on the way.
        """
        start = 1
        while start <= _MOST_ROWS:
            before = len(rows)
            page = self._client.list_page(kind, start, self._count)
            yield page
            start += len(page.resources)
            if len(rows) == before:
                return


def _with_members(
    reader: _Reader, groups: Mapping[str, LiveGroup], membership: _Membership
) -> tuple[Mapping[str, LiveGroup], tuple[str, ...]]:
    """Settle what a group row without `members` means: no members, members shown by GET only, or unknown."""
    silent = sorted(membership.silent & groups.keys())
    if not silent:
        return groups, ()
    if membership.seen:  # the service shows members where there are any
        return {**groups, **_emptied(groups, silent)}, ()
    probes = _probes(silent, membership.witness)
    probed = {group.id: group for group in reader.get_each(probes)}
    if any(group.members for group in probed.values()):
        rest = [id_ for id_ in silent if id_ not in probed]
        probed |= {group.id: group for group in reader.get_each(rest)}
        return {**groups, **probed}, ("lists do not show members: each group was read by itself",)
    if membership.witness is not None:
        return groups, ("users are in groups, but the service does not show the members of groups",)
    note = f"no group shows members: taken as empty after reading {len(probed)} of {len(silent)} one by one"
    return {**groups, **_emptied(groups, silent)}, (note,)


def _probes(silent: list[str], witness: str | None) -> list[str]:
    """A few groups spread over the list, the one known to have a member first."""
    step = max(1, len(silent) // _PROBES)
    spread = silent[::step][:_PROBES]
    return [witness, *spread][:_PROBES] if witness in silent and witness not in spread else spread


def _emptied(groups: Mapping[str, LiveGroup], ids: Iterable[str]) -> dict[str, LiveGroup]:
    return {id_: replace(groups[id_], members=()) for id_ in ids}


def _plural(kind: Kind) -> str:
    return f"{kind.value.lower()}s"
