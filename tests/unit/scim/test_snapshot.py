"""A snapshot is complete, says that it is not, or is an error (SPEC P4)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ScimMalformed, ScimUnreachable
from reconciler.messages.codec import ListPage
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind
from reconciler.model.state import Certificate, LiveState
from reconciler.scim.snapshot import read_live_state, reread_list
from tests.fakes.listed_service import ListedService, group, tenant, user


def _read(
    service: ListedService, *, max_results: int | None = None, configuration: bool = False, **limits: int
) -> LiveState:
    limits = {"page_size": 10, **limits}
    return read_live_state(
        service, tenant(**limits), Capabilities(max_results=max_results), configuration=configuration
    )


def _users(number: int) -> list[dict[str, Any]]:
    return [user(n) for n in range(number)]


# --- the good case ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 30), st.integers(1, 12), st.integers(1, 5))
def test_a_sound_service_is_read_with_one_request_a_page(users: int, groups: int, page: int, workers: int) -> None:
    """SPEC section 6: max(1, ceil(n / page)) for each kind, one more where n is exactly one page."""
    service = ListedService(users=_users(users), groups=[group(n) for n in range(groups)])
    live = _read(service, page_size=page, parallel_reads=workers)
    assert list(live.users) == [row["id"] for row in service.users]
    assert list(live.groups) == [row["id"] for row in service.groups]
    assert live.certificate(Kind.USER) == Certificate(count=users, complete=True)
    assert live.certificate(Kind.GROUP) == Certificate(count=groups, complete=True)
    expected = sum(max(1, -(-n // page)) + (n == page) for n in (users, groups))
    assert live.requests == service.requests == expected


def test_the_configuration_is_read_where_it_is_asked_for() -> None:
    """One request more."""
    assert _read(ListedService()).configuration is None
    live = _read(ListedService(), configuration=True)
    assert live.configuration is not None
    assert live.configuration.version == '"1"'
    assert live.requests == 3


def test_a_page_is_as_large_as_both_sides_agree() -> None:
    """Live limits can only lower those of the tenant (SPEC section 4)."""
    for announced, asked in ((None, 10), (7, 7), (500, 10), (0, 10)):
        service = ListedService()
        _read(service, max_results=announced)
        assert {count for _, _, count in service.asked} == {asked}


def test_progress_is_told_page_by_page() -> None:
    """For bars and plain lines; the last call has it all."""
    told: list[tuple[Kind, int, int | None]] = []
    service = ListedService(users=_users(25))
    read_live_state(
        service,
        tenant(page_size=10),
        Capabilities(),
        configuration=False,
        progress=lambda kind, done, total: told.append((kind, done, total)),
    )
    assert told == [(Kind.USER, 10, 25), (Kind.USER, 20, 25), (Kind.USER, 25, 25), (Kind.GROUP, 0, 0)]


def test_g8_paging_advances_by_rows_received() -> None:
    """Defect G8: it advanced by the requested count, so rows were skipped where the service caps its pages."""
    service = ListedService(users=_users(23), cap=4)
    live = _read(service)
    assert live.certificate(Kind.USER) == Certificate(count=23, complete=True)
    assert sorted(service.pages_of(Kind.USER)) == [1, 5, 9, 13, 17, 21]


# --- services that misbehave -----------------------------------------------------------------------------------------


def _from_page(page: ListPage, **changes: Any) -> ListPage:
    fields = {name: getattr(page, name) for name in ("resources", "total", "start_index", "items_per_page")}
    return ListPage(**{**fields, **changes})


def test_a_short_read_is_no_smaller_state() -> None:
    """Incidents awslabs/ssosync #194, #236, #278: a short read looked like "nobody is there"."""
    service = ListedService(
        users=_users(40), misbehave=lambda k, s, c, p: _from_page(p, resources=p.resources if s < 20 else [])
    )
    certificate = _read(service).certificate(Kind.USER)
    assert certificate.complete is False
    assert certificate.reason == "the service says it has 40 users and listed 20"


def test_an_empty_page_under_a_total_is_incomplete() -> None:
    """Nothing listed, forty promised."""
    service = ListedService(users=_users(40), misbehave=lambda k, s, c, p: _from_page(p, resources=[]))
    assert _read(service).certificate(Kind.USER) == Certificate(
        count=0, complete=False, reason="the service says it has 40 users and listed 0"
    )


def test_a_failed_page_is_an_error() -> None:
    """Incident argoproj/argo-cd #15058: a failed read is never a smaller state."""

    def fail(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if start > 20:
            raise ScimUnreachable("lost", maybe_sent=True)
        return page

    with pytest.raises(ScimUnreachable):
        _read(ListedService(users=_users(40), misbehave=fail))


def test_a_row_without_an_id_is_an_error() -> None:
    """Leaving it out would make the state smaller."""
    with pytest.raises(ScimMalformed):
        _read(ListedService(users=[user(1), {"userName": "nameless"}]))


def test_pages_that_shift_once_are_read_again() -> None:
    """Incidents snipe/snipe-it PR #19343, wso2/product-is #9957: rows twice, rows never. A second read settles it."""
    users = _users(30)
    service = ListedService(users=users)
    removed: list[dict[str, Any]] = []

    def shift(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if kind is Kind.USER and start == 1 and not removed:
            removed.append(users.pop(0))
        return page

    service.misbehave = shift
    live = _read(service)
    assert live.certificate(Kind.USER) == Certificate(count=29, complete=True)
    assert removed[0]["id"] not in live.users


def test_pages_that_keep_shifting_are_incomplete() -> None:
    """SPEC P4: unique ids = totalResults, stable, else a rescan, else nothing is removed."""
    service = ListedService(users=_users(30))

    def repeat_a_row(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        return _from_page(page, resources=[service.users[0], *page.resources[1:]]) if start > 1 else page

    service.misbehave = repeat_a_row
    live = _read(service)
    assert live.certificate(Kind.USER).complete is False
    assert len(live.users) == 28


def test_a_total_that_moves_is_incomplete() -> None:
    """wso2/product-is #13772: totalResults shrinks with startIndex."""
    service = ListedService(users=_users(30))
    service.misbehave = lambda k, s, c, p: _from_page(p, total=30 - s + 1)
    certificate = _read(service).certificate(Kind.USER)
    assert certificate.complete is False
    assert "changed from 30 to" in str(certificate.reason)


def test_a_total_that_counts_the_page_is_found_out() -> None:
    """wso2/product-is #13752: totalResults is the size of the page. A list of exactly one page is looked behind."""
    service = ListedService(users=_users(35))
    service.misbehave = lambda k, s, c, p: _from_page(p, total=len(p.resources))
    live = _read(service)
    assert live.certificate(Kind.USER).complete is False
    assert len(live.users) >= 30


def test_a_service_that_ignores_start_index_is_bounded() -> None:
    """wso2/product-is #4601: the first page again and again."""
    service = ListedService(users=_users(1000))
    service.misbehave = lambda k, s, c, p: _from_page(p, resources=service.users[:c])
    live = _read(service, parallel_reads=2)
    assert live.certificate(Kind.USER).complete is False
    assert len(live.users) == 10


def test_a_service_that_ignores_count_is_read_in_one_request() -> None:
    """Everything at once is complete."""
    service = ListedService(users=_users(35))
    service.misbehave = lambda k, s, c, p: _from_page(p, resources=service.users) if k is Kind.USER else p
    live = _read(service)
    assert live.certificate(Kind.USER) == Certificate(count=35, complete=True)
    assert service.pages_of(Kind.USER) == [1]


@pytest.mark.parametrize("total", [None, 10**12])
def test_g8_endless_lists_end(total: int | None) -> None:
    """Defect G8: paging never ended when the total was not a number; here rows stop being new."""
    service = ListedService(users=_users(25))
    service.misbehave = lambda k, s, c, p: _from_page(p, total=total)
    live = _read(service)
    assert len(live.users) == 25
    assert live.certificate(Kind.USER).complete is False
    assert len(service.pages_of(Kind.USER)) < 30


def test_more_rows_than_announced_are_incomplete() -> None:
    """The count must equal, not only reach, the total."""
    service = ListedService(users=_users(9))
    service.misbehave = lambda k, s, c, p: _from_page(p, total=5 if k is Kind.USER else p.total)
    assert _read(service).certificate(Kind.USER).complete is False


def test_an_incomplete_list_keeps_every_row_that_was_seen() -> None:
    """More that is known to be there means fewer wrong creates; removals are barred anyway."""
    service = ListedService(users=_users(30))
    passes: list[int] = []

    def hide_one(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if kind is Kind.USER and start == 1:
            passes.append(start)
        return _from_page(page, resources=[row for row in page.resources if row["id"] != f"u{len(passes):04}"])

    service.misbehave = hide_one
    live = _read(service)
    assert live.certificate(Kind.USER).complete is False
    assert len(live.users) == 30


# --- members ---------------------------------------------------------------------------------------------------------


def test_members_share_their_strings_with_the_users() -> None:
    """Half a million memberships cost references only (SPEC section 11)."""
    live = _read(ListedService(users=_users(3), groups=[group(1, "u0001", "u0002")]))
    ids = {id_: id_ for id_ in live.users}
    assert live.groups["g0001"].members == ("u0001", "u0002")
    assert all(member is ids[member] for member in live.groups["g0001"].members)


def test_an_absent_members_attribute_is_empty_where_others_show_theirs() -> None:
    """RFC 7643 section 2.5: absent is unassigned, on a service known to return members in lists."""
    service = ListedService(groups=[group(1, "u0001"), group(2, silent=True)])
    live = _read(service)
    assert live.groups["g0002"].members == ()
    assert service.fetched == []


def test_lists_without_members_are_read_group_by_group() -> None:
    """SPEC section 6: one request per group if a probe shows that lists do not carry members, and the plan says so."""
    groups = [group(n, silent=True) for n in range(1, 31)]
    shown = {f"g{n:04}": group(n, "u0001") for n in range(1, 31)}
    service = ListedService(groups=groups, shown=shown)
    live = _read(service)
    assert all(live_group.members == ("u0001",) for live_group in live.groups.values())
    assert sorted(service.fetched) == sorted(shown)
    assert live.notes == ("lists do not show members: each group was read by itself",)
    assert live.requests == 1 + 3 + 30


def test_a_group_that_a_user_is_in_is_probed_first() -> None:
    """Most groups are empty, but somebody is in one: that one tells whether reading by itself shows members."""
    groups = [group(n, silent=True) for n in range(1, 41)]
    service = ListedService(
        users=[user(1), user(2, groups=[{"value": "g0037"}])],
        groups=groups,
        shown={"g0037": group(37, "u0002")},
    )
    live = _read(service)
    assert live.groups["g0037"].members == ("u0002",)
    assert live.groups["g0001"].members == ()
    assert len(service.fetched) == 40


def test_hidden_members_stay_unknown() -> None:
    """scim-rfc.md Q6: users say they are in groups, and no group says so: unknown never equals unassigned."""
    service = ListedService(users=[user(1, groups=[{"value": "g0001"}])], groups=[group(1, silent=True)])
    live = _read(service)
    assert live.groups["g0001"].members is None
    assert live.notes == ("users are in groups, but the service does not show the members of groups",)


def test_groups_that_are_all_empty_cost_a_few_probes() -> None:
    """A fresh tenant of a service that leaves out empty arrays; the note says what was looked at."""
    service = ListedService(groups=[group(n, silent=True) for n in range(1, 31)])
    live = _read(service)
    assert all(live_group.members == () for live_group in live.groups.values())
    assert len(service.fetched) == 4
    assert live.notes == ("no group shows members: taken as empty after reading 4 of 30 one by one",)


def test_a_member_that_cannot_be_told_leaves_its_group_unknown() -> None:
    """Its group alone; the others are as they are."""
    odd = {"id": "g0002", "displayName": "Odd", "members": [{"display": "somebody"}]}
    live = _read(ListedService(groups=[group(1, "u0001"), odd]))
    assert live.groups["g0001"].members == ("u0001",)
    assert live.groups["g0002"].members is None


# --- reading one list again ------------------------------------------------------------------------------------------


def test_one_list_read_again_replaces_that_list_only() -> None:
    """For the proof after an apply (SPEC P8): what is gone is gone, what is new is there."""
    service = ListedService(users=_users(3), groups=[group(1, "u0001")])
    live = _read(service)
    service.users = _users(2)
    service.groups = [group(2), group(3, silent=True)]
    again = reread_list(service, tenant(page_size=10), Capabilities(), Kind.GROUP, live)
    assert again is not None
    assert again.users == live.users
    assert {id_: found.members for id_, found in again.groups.items()} == {"g0002": (), "g0003": ()}


def test_one_list_that_cannot_be_read_completely_again_is_none() -> None:
    """Then the touched resources are read one by one."""
    service = ListedService(users=_users(30), groups=[group(1, silent=True)])
    live = _read(service)
    assert reread_list(service, tenant(page_size=10), Capabilities(), Kind.GROUP, live) is None
    service.misbehave = lambda k, s, c, p: _from_page(p, total=31)
    assert reread_list(service, tenant(page_size=10), Capabilities(), Kind.USER, live) is None
