"""A SCIM service for snapshots, in memory: it lists what it has, or misbehaves in one named way."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.messages.codec import ListPage, decode_configuration, decode_group, decode_user
from reconciler.model.dialect import Profile
from reconciler.model.resource import Attributes, Kind, LiveConfiguration, LiveGroup, LiveUser
from reconciler.model.tenant import Auth, AuthType, Endpoints, Limits, Tenant

Misbehaviour = Callable[[Kind, int, int, ListPage], ListPage]


def user(number: int, **attributes: Any) -> Attributes:
    """A User row."""
    return {"id": f"u{number:04}", "userName": f"user{number}@example.com", "active": True, **attributes}


def group(number: int, *members: str, silent: bool = False) -> Attributes:
    """A Group row; `silent` leaves out `members`."""
    row: Attributes = {"id": f"g{number:04}", "displayName": f"Group {number}"}
    return row if silent else {**row, "members": [{"value": member} for member in members]}


@dataclass
class ListedService:
    """A well-behaved service, unless told otherwise.

    `asked` keeps every list request as (kind, startIndex, count), `cursors` those by cursor as (kind, cursor, count),
    `fetched` every resource read by itself. `cap` is the most rows a page has; `misbehave` may change each page on its
    way out, where a page by cursor starts behind the rows before it; `shown` is what reading one group by itself
    returns, in place of its row. `totals` off leaves the total out of pages by cursor, as RFC 9865 allows.
    """

    users: list[Attributes] = field(default_factory=list)
    groups: list[Attributes] = field(default_factory=list)
    cap: int = 1000
    misbehave: Misbehaviour | None = None
    shown: dict[str, Attributes] = field(default_factory=dict)
    asked: list[tuple[Kind, int, int]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    cursors: list[tuple[Kind, str, int | None]] = field(default_factory=list)
    totals: bool = True
    requests: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def list_page(self, kind: Kind, start_index: int, count: int) -> ListPage:
        """Rows from `start_index` on."""
        with self._lock:
            self.requests += 1
            self.asked.append((kind, start_index, count))
            rows = self.users if kind is Kind.USER else self.groups
            first = max(1, start_index) - 1
            listed = rows[first : first + min(count, self.cap)]
            page = ListPage(resources=listed, total=len(rows), start_index=start_index, items_per_page=len(listed))
            return self.misbehave(kind, start_index, count, page) if self.misbehave else page

    def cursor_page(self, kind: Kind, cursor: str, count: int | None) -> ListPage:
        """Rows from where the cursor points, and the cursor of the next page."""
        with self._lock:
            self.requests += 1
            self.cursors.append((kind, cursor, count))
            rows = self.users if kind is Kind.USER else self.groups
            first = int(cursor.removeprefix("after-") or 0)
            behind = first + min(count or self.cap, self.cap)
            page = ListPage(
                resources=rows[first:behind],
                total=len(rows) if self.totals else None,
                start_index=None,
                items_per_page=None,
                next_cursor=f"after-{behind}" if behind < len(rows) else None,
            )
            return self.misbehave(kind, first + 1, count or self.cap, page) if self.misbehave else page

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002
        """One resource, decoded as the client does."""
        with self._lock:
            self.requests += 1
            self.fetched.append(id)
        rows = self.users if kind is Kind.USER else self.groups
        row = self.shown.get(id) or next((row for row in rows if row["id"] == id), None)
        if row is None:
            return None
        return decode_user(row) if kind is Kind.USER else decode_group(row, absent_members=())

    def get_configuration(self) -> LiveConfiguration | None:
        """A ServiceProviderConfig."""
        self.requests += 1
        return decode_configuration({"patch": {"supported": True}}, etag='"1"')

    def pages_of(self, kind: Kind) -> list[int]:
        """The start indexes asked for, in order of arrival."""
        return [start for asked_kind, start, _ in self.asked if asked_kind is kind]


def tenant(base_url: str = "https://acme.example.com/scim/v2", /, **limits: int) -> Tenant:
    """A tenant of profile rfc7644 with a few limits set."""
    return Tenant(
        name="acme",
        profile=Profile.RFC7644,
        endpoints=Endpoints(
            base_url=base_url,
            service_provider_config_url=f"{base_url}/ServiceProviderConfig",
            platform_url=base_url,
            token_url=None,
        ),
        auth=Auth(type=AuthType.NONE),
        limits=Limits(**limits),
    )
