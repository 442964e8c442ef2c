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
from reconciler.scim.capabilities import as_found
from reconciler.scim.snapshot import look_for_versions, read_live_state, reread_list
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
    service = ListedService(users=_users(30), groups=[group(1, "u0001")])
    live = _read(service)
    service.misbehave = lambda k, s, c, p: _from_page(p, total=31)
    assert reread_list(service, tenant(page_size=10), Capabilities(), Kind.USER, live) is None


def test_groups_of_which_none_shows_members_are_read_again_as_empty_ones() -> None:
    """Whether somebody should be in one is for those to know who added members."""
    service = ListedService(users=_users(3), groups=[group(1, silent=True), group(2, silent=True)])
    again = reread_list(service, tenant(page_size=10), Capabilities(), Kind.GROUP, _read(service))
    assert again is not None
    assert [found.members for found in again.groups.values()] == [(), ()]


def test_members_that_were_unknown_are_not_taken_for_none_when_read_again() -> None:
    """scim-rfc.md section 3.5: unknown never equals unassigned."""
    users = [user(1, groups=[{"value": "g0001"}])]
    service = ListedService(users=users, groups=[group(1, silent=True)])
    live = _read(service)
    assert live.groups["g0001"].members is None
    assert reread_list(service, tenant(page_size=10), Capabilities(), Kind.GROUP, live) is None


# --- versions --------------------------------------------------------------------------------------------------------


def test_versions_that_nothing_shows_are_lacking_after_one_look_at_a_resource_alone() -> None:
    """Some services tell them in the header of a single resource only (scim-rfc.md Q14)."""
    service = ListedService(users=_users(3))
    live = look_for_versions(service, _read(service))
    assert live.lacking == {"etag"}
    assert service.fetched == ["u0000"]
    assert as_found(Capabilities(), live).etag is False


def test_versions_that_one_resource_alone_shows_are_there() -> None:
    """The plan compares, and the version of the fresh read is sent along."""
    service = ListedService(users=_users(3))
    service.shown = {"u0000": {**_users(1)[0], "meta": {"version": 'W/"1"'}}}
    live = look_for_versions(service, _read(service))
    assert live.lacking == frozenset()
    assert [note.partition(":")[0] for note in live.notes] == ["lists show no versions"]


def test_versions_that_lists_show_cost_no_look() -> None:
    """Nor does a tenant without anybody, of which nothing can be told."""
    shown = ListedService(users=[user(1, meta={"version": 'W/"1"'})])
    for service in (shown, ListedService()):
        live = _read(service)
        assert look_for_versions(service, live) is live
        assert service.fetched == []


def test_groups_that_are_read_alone_anyway_tell_about_versions_too() -> None:
    """No request more than the probes of members."""
    service = ListedService(users=_users(1), groups=[group(1, silent=True)])
    live = _read(service)
    assert live.lacking == {"etag"}
    assert look_for_versions(service, live) is live


# --- services that do not count --------------------------------------------------------------------------------------


def _uncounted(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
    return _from_page(page, total=None)


def test_a_list_that_is_empty_twice_and_behind_its_end_is_empty() -> None:
    """A service that never tells a total: nobody is there by whom to try whether look-ups work."""
    service = ListedService(misbehave=_uncounted)
    live = _read(service)
    for kind in (Kind.USER, Kind.GROUP):
        assert live.certificate(kind).complete
        assert live.certificate(kind).uncounted
        assert service.pages_of(kind) == [1, 1, 11]


def test_a_list_without_a_total_that_shows_somebody_is_not_complete() -> None:
    """An end that nothing vouches for may be anywhere (SPEC P4)."""
    service = ListedService(users=_users(3), misbehave=_uncounted)
    assert _read(service).certificate(Kind.USER).complete is False


def test_an_empty_first_page_before_others_is_not_the_end() -> None:
    """Whoever hides the first page hides people."""
    rows = _users(25)
    service = ListedService(
        users=rows, misbehave=lambda k, s, c, p: _from_page(p, total=None, resources=[] if s == 1 else p.resources)
    )
    assert _read(service).certificate(Kind.USER).complete is False


# --- members that are cut off ----------------------------------------------------------------------------------------


def _cut(service: ListedService, most: int) -> None:
    """Lists show the first `most` members of a group."""

    def cut(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if kind is Kind.USER:
            return page
        return _from_page(page, resources=[{**row, "members": row["members"][:most]} for row in page.resources])

    service.misbehave = cut


def _crowd(number: int, size: int) -> dict[str, Any]:
    return group(number, *(f"u{n:04}" for n in range(size)))


def test_q6_members_that_lists_cut_off_are_read_group_by_group() -> None:
    """FusionAuth/fusionauth-issues#2784: the first 100, and whoever believed that removed or dropped the rest."""
    service = ListedService(groups=[_crowd(1, 140), _crowd(2, 120), _crowd(3, 7)])
    _cut(service, 100)
    live = _read(service)
    assert [len(found.members or ()) for found in live.groups.values()] == [140, 120, 7]
    assert sorted(service.fetched) == ["g0001", "g0002"]
    assert live.members_by_group
    assert live.notes == ("lists do not show all members: 2 groups were read by themselves",)
    assert reread_list(service, tenant(page_size=10), Capabilities(), Kind.GROUP, live) is None


def test_q6_members_that_are_never_all_shown_are_unknown() -> None:
    """Users say they are in the group, the group does not show them: nobody is removed from it."""
    users = [user(n, groups=[{"value": "g0001", "type": "direct"}]) for n in range(30)]
    shown = {"g0001": _crowd(1, 20)}
    live = _read(ListedService(users=users, groups=[_crowd(1, 20), _crowd(2, 3)], shown=shown))
    assert live.groups["g0001"].members is None
    assert live.groups["g0002"].members == ("u0000", "u0001", "u0002")
    assert live.notes == ("1 groups do not show all users who say they are in them: nobody is removed from those",)


def test_rows_that_come_twice_are_no_evidence() -> None:
    """A list that is read again, or repeats rows, makes nobody a member twice."""
    users = [user(n, groups=[{"value": "g0001", "type": "direct"}]) for n in range(20)]
    service = ListedService(users=users, groups=[_crowd(1, 20)])
    service.misbehave = lambda k, s, c, p: _from_page(p, total=21) if k is Kind.USER else p
    live = _read(service)
    assert live.certificate(Kind.USER).complete is False
    assert (len(live.groups["g0001"].members or ()), service.fetched) == (20, [])


def test_memberships_through_nested_groups_are_no_evidence() -> None:
    """RFC 7643 section 4.1.2: `groups` of a user holds indirect ones, too, and need not say which is which."""
    through = [{"value": "g0001", "type": "indirect"}, {"value": "g0001"}]
    users = [user(n, groups=through) for n in range(30)]
    service = ListedService(users=users, groups=[_crowd(1, 20)])
    assert len(_read(service).groups["g0001"].members or ()) == 20
    assert service.fetched == []


def test_several_groups_of_one_round_size_are_a_suspicion() -> None:
    """One of them is read by itself; where that shows no more, a note is all there is to say."""
    service = ListedService(groups=[_crowd(1, 50), _crowd(2, 50), _crowd(3, 7)])
    live = _read(service)
    assert [len(found.members or ()) for found in live.groups.values()] == [50, 50, 7]
    assert service.fetched == ["g0001"]
    assert not live.members_by_group
    [note] = live.notes
    assert note.startswith("2 groups have exactly 50 members, and none has more")


@pytest.mark.parametrize("sizes", [(50,), (24, 24), (50, 50, 51)], ids=str)
def test_other_sizes_are_no_suspicion(sizes: tuple[int, ...]) -> None:
    """No probe, no note."""
    service = ListedService(groups=[_crowd(number, size) for number, size in enumerate(sizes)])
    live = _read(service)
    assert (service.fetched, live.notes) == ([], ())


# --- more services that misbehave ------------------------------------------------------------------------------------


def test_the_newest_first_is_as_good_as_the_oldest_first() -> None:
    """RFC 7644 section 3.4.2.3: without `sortBy` a service lists in any order."""
    service = ListedService(users=_users(35)[::-1])
    assert _read(service).certificate(Kind.USER) == Certificate(count=35, complete=True)


def test_newest_first_with_a_hire_in_the_middle_is_read_again() -> None:
    """Everybody moves one place: a row comes twice, and the total with it."""
    service = ListedService(users=_users(35)[::-1])
    hired: list[int] = []

    def hire(kind: Kind, start: int, count: int, page: ListPage) -> ListPage:
        if kind is Kind.USER and start == 11 and not hired:
            hired.append(start)
            service.users.insert(0, user(99))
        return page

    service.misbehave = hire
    live = _read(service, parallel_reads=1)
    assert live.certificate(Kind.USER) == Certificate(count=36, complete=True)


def test_q9_a_row_that_comes_twice_at_the_seam_of_pages_is_one() -> None:
    """wso2/product-is #22589: the last row of a page is the first of the next; unique rows are what counts."""
    service = ListedService(users=_users(25))
    service.misbehave = lambda k, s, c, p: (
        _from_page(p, resources=service.users[s - 2 : s - 2 + c]) if k is Kind.USER and s > 1 else p
    )
    assert _read(service).certificate(Kind.USER) == Certificate(count=25, complete=True)


def test_q9_rows_that_are_skipped_and_counted_are_missed() -> None:
    """wso2/product-is #27973."""
    service = ListedService(users=_users(30))
    service.misbehave = lambda k, s, c, p: _from_page(
        p, resources=[row for row in p.resources if row["id"] != "u0015"] if k is Kind.USER else p.resources
    )
    assert _read(service).certificate(Kind.USER).reason == "the service says it has 30 users and listed 29"


def test_two_resources_under_one_id_are_incomplete() -> None:
    """RFC 7643 section 3.1: an id is unique. Taking one of the two would make the state smaller."""
    twin = user(3, userName="somebody@else")
    service = ListedService(users=[*_users(5), twin])
    service.misbehave = lambda k, s, c, p: _from_page(p, total=5) if k is Kind.USER else p
    assert "two different users under one id" in str(_read(service).certificate(Kind.USER).reason)


def test_the_first_page_for_ever_ends_whatever_the_total() -> None:
    """A total of a thousand billion, and each page the first one."""
    service = ListedService(users=_users(10))
    service.misbehave = lambda k, s, c, p: _from_page(p, resources=service.users, total=10**15)
    assert not _read(service).certificate(Kind.USER).complete
    assert len(service.asked) < 60


def test_new_rows_for_ever_are_an_error() -> None:
    """No total is believed, and memory is not filled."""
    service = ListedService()
    service.misbehave = lambda k, s, c, p: _from_page(p, resources=[user(n) for n in range(s, s + 10)], total=10**15)
    with pytest.raises(ScimMalformed, match="without end"):
        read_live_state(service, tenant(page_size=10), Capabilities(), configuration=False, most_rows=100)


def test_a_list_that_hardly_brings_anything_new_is_given_up() -> None:
    """One new row a page, and the rest again and again."""
    service = ListedService(users=_users(2000))
    service.misbehave = lambda k, s, c, p: _from_page(p, resources=[*service.users[:9], user(s)])
    assert not _read(service).certificate(Kind.USER).complete
    assert len(service.asked) < 500
