"""Lists that are paged by cursor (RFC 9865, scim-rfc.md section 4), and what proves that they are complete."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.messages.codec import ListPage
from reconciler.model.dialect import Dialect
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Attributes, Kind
from reconciler.model.state import Certificate, LiveState
from reconciler.scim.capabilities import as_found
from reconciler.scim.snapshot import read_live_state, reread_list
from tests.fakes.listed_service import ListedService, group, tenant, user


def _users(number: int) -> list[Attributes]:
    return [user(n) for n in range(number)]


def _read(service: ListedService, *, paging: str = "auto", announced: bool = True, **options: Any) -> LiveState:
    described = replace(tenant(page_size=10, parallel_reads=3), dialect=Dialect(paging=paging))
    return read_live_state(service, described, Capabilities(cursor=announced), configuration=False, **options)


def _complete(count: int) -> Certificate:
    return Certificate(count=count, complete=True, by_cursor=True)


@given(st.integers(0, 60), st.integers(0, 30), st.booleans())
def test_a_list_by_cursor_is_read_with_one_request_a_page(users: int, groups: int, totals: bool) -> None:
    """RFC 9865 section 2: an empty cursor first, then the one returned; no next one is the only end, total or not."""
    service = ListedService(users=_users(users), groups=[group(n) for n in range(groups)], totals=totals)
    live = _read(service)
    assert list(live.users) == [row["id"] for row in service.users]
    assert (live.certificate(Kind.USER), live.certificate(Kind.GROUP)) == (_complete(users), _complete(groups))
    pages = sum(max(1, -(-n // 10)) for n in (users, groups))
    behind = 0 if totals else sum(n == 10 for n in (users, groups))
    assert (len(service.cursors), len(service.asked)) == (pages, behind)
    assert service.cursors[0] == (Kind.USER, "", 10)
    assert {count for _, _, count in service.cursors} == {10}, "count stays the same from page to page"


def test_no_page_is_asked_for_ahead() -> None:
    """The next cursor is known only when its page has come; parallel reads do not apply."""
    service = ListedService(users=_users(35))
    _read(service)
    assert [cursor for kind, cursor, _ in service.cursors if kind is Kind.USER] == [
        "",
        "after-10",
        "after-20",
        "after-30",
    ]


def test_a_cursor_that_nobody_asked_for_is_followed() -> None:
    """RFC 9865 section 2: a service may force cursors by returning `nextCursor` uninvited."""
    service = ListedService(users=_users(25))
    service.misbehave = lambda k, s, c, p: replace(p, next_cursor="after-10") if k is Kind.USER and s == 1 else p
    live = _read(service, announced=False)
    assert live.certificate(Kind.USER) == Certificate(count=25, complete=True)
    assert service.pages_of(Kind.USER) == [1]
    assert [cursor for _, cursor, _ in service.cursors] == ["after-10", "after-20"]


def test_tenant_yaml_decides_how_lists_are_paged() -> None:
    """`paging: index` goes on by index whatever is offered; `paging: cursor` needs no announcement."""
    service = ListedService(users=_users(25))
    service.misbehave = lambda k, s, c, p: replace(p, next_cursor="trap")
    assert _read(service, paging="index", announced=False).certificate(Kind.USER).count == 25
    assert service.cursors == []


def test_a_total_that_a_cursor_scan_does_not_reach_is_incomplete() -> None:
    """It equals the total if one is given (scim-rfc.md section 4)."""
    service = ListedService(users=_users(25))
    service.misbehave = lambda k, s, c, p: replace(p, next_cursor=None) if s > 1 else p
    certificate = _read(service).certificate(Kind.USER)
    assert certificate.reason == "the service says it has 25 users and listed 20"
    assert len([cursor for cursor in service.cursors if cursor == (Kind.USER, "", 10)]) == 2, "listed once more"


def test_a_row_that_comes_twice_makes_a_cursor_scan_incomplete() -> None:
    """Without a total a duplicate is the only sign that something shifted."""
    service = ListedService(users=_users(25), totals=False)
    service.misbehave = lambda k, s, c, p: replace(p, resources=[service.users[0], *p.resources]) if s > 10 else p
    certificate = _read(service).certificate(Kind.USER)
    assert certificate.reason == "the service listed 2 of its users twice"


@pytest.mark.parametrize("scim_type", ["invalidCursor", "expiredCursor", "EXPIREDCURSOR"])
def test_a_lost_cursor_starts_the_scan_again_once(scim_type: str) -> None:
    """RFC 9865 section 2.1: restart, and the second scan alone counts."""
    service = ListedService(users=_users(35))
    lost: list[int] = []

    def lose(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if start == 21 and not lost:
            lost.append(start)
            raise ScimRejected(400, scim_type=scim_type)
        return page

    service.misbehave = lose
    assert _read(service).certificate(Kind.USER) == _complete(35)
    assert len([cursor for cursor in service.cursors if cursor == (Kind.USER, "", 10)]) == 2


def test_a_cursor_that_is_lost_again_is_an_error() -> None:
    """A failed read is never a smaller state."""
    service = ListedService(users=_users(35))

    def lose(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if start == 21:
            raise ScimRejected(400, scim_type="expiredCursor")
        return page

    service.misbehave = lose
    with pytest.raises(ScimRejected):
        _read(service)


def test_a_count_that_is_refused_is_left_to_the_service() -> None:
    """`invalidCount`: the scan starts again without one."""
    service = ListedService(users=_users(25), cap=7)

    def picky(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if count == 10:
            raise ScimRejected(400, scim_type="invalidCount")
        return page

    service.misbehave = picky
    assert _read(service).certificate(Kind.USER) == _complete(25)
    assert {count for _, _, count in service.cursors} == {10, None}


def test_an_announcement_that_is_not_kept_falls_back_to_index() -> None:
    """The service ignores `cursor` and pages by index: the first scan does not add up, the second goes by index."""
    service = ListedService(users=_users(25))
    service.misbehave = lambda k, s, c, p: replace(p, next_cursor=None)
    live = _read(service)
    assert live.certificate(Kind.USER).complete
    assert len(live.users) == 25
    assert service.pages_of(Kind.USER) == [1, 11, 21, 26]


def test_one_full_page_without_cursor_and_total_is_not_believed() -> None:
    """A service that announces cursors and does not know them would otherwise pass for one of ten users."""
    service = ListedService(users=_users(25), totals=False)
    service.misbehave = lambda k, s, c, p: replace(p, next_cursor=None)
    assert len(_read(service).users) == 25


def test_a_service_that_pages_by_cursor_only_may_refuse_the_look_behind() -> None:
    """Exactly one full page, no total, and 501 for `startIndex`: it is complete."""
    service = ListedService(users=_users(10), totals=False)

    def no_index(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if page.start_index is not None:
            raise ScimRejected(501, detail="Pagination by index is not supported")
        return page

    service.misbehave = no_index
    assert _read(service).certificate(Kind.USER) == _complete(10)


def test_the_same_cursor_for_ever_ends() -> None:
    """The same page again and again."""
    service = ListedService(users=_users(25), totals=False)
    service.misbehave = lambda k, s, c, p: replace(p, next_cursor="after-0")
    live = _read(service)
    assert not live.certificate(Kind.USER).complete
    assert len([cursor for cursor in service.cursors if cursor[0] is Kind.USER]) == 4


def test_cursors_that_bring_nothing_end() -> None:
    """A new cursor each time, and no rows."""
    service = ListedService(users=_users(25), totals=False)
    service.misbehave = lambda k, s, c, p: replace(p, resources=[], next_cursor=f"after-{s}")
    certificate = _read(service).certificate(Kind.USER)
    assert certificate.reason == "the service gives one cursor after the other and lists no more users"
    assert len(service.cursors) < 50


def test_a_list_without_end_is_an_error() -> None:
    """New users for ever: neither memory nor time is filled, and nothing is planned from what came."""
    service = ListedService()
    service.misbehave = lambda k, s, c, p: replace(
        p, resources=[user(n) for n in range(s, s + 10)], total=None, next_cursor=f"after-{s + 9}"
    )
    with pytest.raises(ScimMalformed, match="without end: gave up after 110"):
        _read(service, most_rows=100)


def test_one_list_is_read_again_by_cursor() -> None:
    """For the proof after an apply (SPEC P8)."""
    service = ListedService(users=_users(25))
    live = _read(service)
    service.users = _users(24)
    described = replace(tenant(page_size=10), dialect=Dialect())
    again = reread_list(service, described, Capabilities(cursor=True), Kind.USER, live)
    assert again is not None
    assert len(again.users) == 24


# --- cursors that are announced and not there ------------------------------------------------------------------------


class WithoutCursors(ListedService):
    """Announces cursors, and refuses them."""

    status = 501

    def cursor_page(self, kind: Kind, cursor: str, count: int | None) -> ListPage:
        """An error."""
        self.requests += 1
        raise ScimRejected(self.status)


@pytest.mark.parametrize("status", [400, 501])
def test_cursors_that_are_refused_are_done_without(status: int) -> None:
    """Asked for once; lists are read by index then, also in the proof, and the plan says so."""
    service = WithoutCursors(users=_users(25), groups=[group(1)])
    service.status = status
    live = _read(service)
    assert len(live.users) == 25
    assert live.certificate(Kind.USER) == Certificate(count=25, complete=True)
    assert live.lacking == {"cursor"}
    assert service.requests == 1 + 3 + 1
    found = as_found(Capabilities(cursor=True), live)
    assert found.cursor is False
    assert found.notes == ("paging by cursor is announced and refused: lists are read by index",)
    before = service.requests
    assert reread_list(service, tenant(page_size=10), Capabilities(cursor=True), Kind.USER, live) is not None
    assert service.requests - before == 3


def test_cursors_that_tenant_yaml_asks_for_are_not_done_without() -> None:
    """Who decides is told when it does not work."""
    with pytest.raises(ScimRejected):
        _read(WithoutCursors(users=_users(3)), paging="cursor")


@pytest.mark.parametrize("status", [401, 403, 500])
def test_an_error_that_is_not_about_cursors_is_an_error(status: int) -> None:
    """Reading by index would end the same way, or hide what is wrong."""
    service = WithoutCursors(users=_users(3))
    service.status = status
    with pytest.raises(ScimRejected):
        _read(service)
