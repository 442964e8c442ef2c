"""Lists: pages, projection, sorting, search by POST (RFC 7644 section 3.4.2 and 3.4.3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import StartTenant
from tests.sandbox.tenant_client import (
    ENTERPRISE_URN,
    GROUP_URN,
    SEARCH_URN,
    USER_URN,
    TenantClient,
    assert_error,
    path_of,
    user_body,
)


def _load(tenant: TenantClient, count: int) -> list[str]:
    names = [f"user-{number:03}" for number in range(count)]
    for name in names:
        tenant.user(name)
    return names


def _names(resources: list[dict[str, Any]]) -> list[str]:
    return [resource["userName"] for resource in resources]


def test_an_empty_list_is_an_answer(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.2: no match is 200 with totalResults 0."""
    response = tenant.get("/Users")

    assert response.status_code == 200
    assert response.json() == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 0,
        "startIndex": 1,
        "itemsPerPage": 0,
        "Resources": [],
    }


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_pages_follow_each_other_without_gap_or_overlap(tenant: TenantClient, count: int) -> None:
    """RFC 7644 section 3.4.2.4."""
    names = _load(tenant, 7)
    seen: list[str] = []

    while len(seen) < 7:
        page = tenant.get("/Users", startIndex=len(seen) + 1, count=count).json()
        assert (page["totalResults"], page["startIndex"]) == (7, len(seen) + 1)
        assert page["itemsPerPage"] == len(page["Resources"]) == min(count, 7 - len(seen))
        seen += _names(page["Resources"])

    assert seen == names


@pytest.mark.parametrize(
    ("query", "start_index", "positions"),
    [
        ({"startIndex": 0}, 1, [0, 1, 2]),
        ({"startIndex": -5, "count": 1}, 1, [0]),
        ({"startIndex": 3}, 3, [2]),
        ({"startIndex": 4}, 4, []),
        ({"startIndex": 10**30}, 10**30, []),
        ({"count": 0}, 1, []),
        ({"count": -1}, 1, []),
        ({"count": 10**30}, 1, [0, 1, 2]),
    ],
)
def test_odd_page_requests_are_read_as_the_rfc_says(
    tenant: TenantClient, query: dict[str, int], start_index: int, positions: list[int]
) -> None:
    """RFC 7644 section 3.4.2.4: startIndex below 1 is 1, a negative count is 0, count 0 asks for the total alone."""
    names = _load(tenant, 3)

    page = tenant.get("/Users", **query).json()

    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (3, start_index, len(positions))
    assert _names(page["Resources"]) == [names[position] for position in positions]


@pytest.mark.parametrize(
    "query", [{"startIndex": "x"}, {"count": "1.5"}, {"count": ""}, {"sortBy": "a b"}, {"sortOrder": "up"}]
)
def test_a_parameter_that_cannot_be_read_is_refused(tenant: TenantClient, query: dict[str, str]) -> None:
    """RFC 7644 section 3.4.2: wrong parameters are not silently another question."""
    assert_error(tenant.get("/Users", **query), 400)


def test_no_page_is_longer_than_the_tenant_allows(start_tenant: StartTenant) -> None:
    """RFC 7644 section 3.4.2.4: the service may return fewer than asked."""
    tenant = start_tenant(max_results=3)
    names = _load(tenant, 5)

    for query in ({}, {"count": 5}):
        page = tenant.get("/Users", **query).json()
        assert (page["totalResults"], page["itemsPerPage"], _names(page["Resources"])) == (5, 3, names[:3])


def test_lists_show_resources_as_single_reads_do(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.2: complete resources by default, with members, groups and versions."""
    ann = tenant.user("ann", **{ENTERPRISE_URN: {"department": "Support"}})
    tenant.group("Outer", tenant.group("Inner", ann))

    for path in ("/Users", "/Groups"):
        assert tenant.find(path) == [tenant.get(path_of(resource)).json() for resource in tenant.find(path)]


def test_resources_that_come_and_go_between_pages_shift_them(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.2.4: index pages are not stateful; clients have to notice."""
    names = _load(tenant, 6)
    first = tenant.find("/Users", count=2)

    tenant.delete(path_of(first[0]))

    assert _names(tenant.find("/Users", startIndex=3, count=2)) == names[3:5]
    assert tenant.get("/Users", count=0).json()["totalResults"] == 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"attributes": "userName"}, {"userName"}),
        ({"attributes": "USERNAME,title"}, {"userName", "title"}),
        ({"attributes": f"{USER_URN}:title"}, {"title"}),
        ({"attributes": "groups"}, {"groups"}),
        ({"attributes": "meta"}, {"meta"}),
        ({"attributes": "password"}, set()),
        ({"attributes": "nothing"}, set()),
        ({"attributes": ENTERPRISE_URN}, {ENTERPRISE_URN}),
        ({"attributes": USER_URN}, {"userName", "title", "name", "emails", "groups", "meta"}),
        ({"attributes": "urn:acme:nothing:1.0:x"}, set()),
        ({"attributes": f"{ENTERPRISE_URN}:department"}, {ENTERPRISE_URN}),
        ({"attributes": f"{ENTERPRISE_URN}:nothing"}, set()),
        ({"excludedAttributes": "userName,title,id,schemas"}, {"name", "emails", "groups", "meta", ENTERPRISE_URN}),
        ({"excludedAttributes": "groups"}, {"userName", "title", "name", "emails", "meta", ENTERPRISE_URN}),
        (
            {"excludedAttributes": f"groups,{ENTERPRISE_URN}:department"},
            {"userName", "title", "name", "emails", "meta"},
        ),
        (
            {"excludedAttributes": f"meta,emails,{ENTERPRISE_URN}"},
            {"userName", "title", "name", "groups"},
        ),
    ],
)
def test_a_projection_shows_what_is_asked_and_always_id_and_schemas(
    tenant: TenantClient, query: dict[str, str], expected: set[str]
) -> None:
    """RFC 7644 section 3.9, RFC 7643 section 7: returned `always` cannot be left out, `never` cannot be asked for."""
    user = tenant.user(
        "ann",
        title="Boss",
        name={"givenName": "Ann", "familyName": "Lee"},
        emails=[{"value": "a@b", "type": "work"}],
        **{ENTERPRISE_URN: {"department": "Support"}},
    )
    tenant.group("Staff", user)

    listed = tenant.find("/Users", **query)[0]

    assert listed.keys() == {"id", "schemas"} | expected
    assert listed == tenant.get(path_of(user), **query).json()


def test_a_projection_reaches_sub_attributes(tenant: TenantClient) -> None:
    """RFC 7644 section 3.10: `name.familyName`, `emails.value`."""
    user = tenant.user("ann", name={"givenName": "A", "familyName": "L"}, emails=[{"value": "a@b", "type": "work"}])

    shown = tenant.get(path_of(user), attributes="name.familyName,emails.value,emails.type").json()
    hidden = tenant.get(path_of(user), excludedAttributes="name.familyName,emails.type,meta.version").json()

    assert shown["name"] == {"familyName": "L"}
    assert shown["emails"] == [{"value": "a@b", "type": "work"}]
    assert hidden["name"] == {"givenName": "A"}
    assert hidden["emails"] == [{"value": "a@b"}]
    assert hidden["meta"].keys() == user["meta"].keys() - {"version"}


def test_groups_can_be_read_without_members(tenant: TenantClient) -> None:
    """RFC 7644 section 3.9: `excludedAttributes=members` is how inventories stay small."""
    tenant.group("Staff", tenant.user("ann"))

    assert "members" not in tenant.find("/Groups", excludedAttributes="members")[0]
    assert tenant.find("/Groups", attributes="members.value")[0]["members"] == [
        {"value": tenant.find("/Users")[0]["id"]}
    ]


def test_attributes_and_excluded_attributes_exclude_each_other(tenant: TenantClient) -> None:
    """RFC 7644 section 3.9."""
    tenant.user("ann")

    assert_error(tenant.get("/Users", attributes="a b"), 400, "invalidValue")
    assert_error(tenant.get("/Users", attributes="title", excludedAttributes="title"), 400, "invalidValue")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sortBy": "title"}, ["c", "a", "b", "d"]),
        ({"sortBy": "TITLE", "sortOrder": "descending"}, ["d", "b", "a", "c"]),
        ({"sortBy": "userName", "sortOrder": "descending"}, ["d", "c", "b", "a"]),
        ({"sortBy": "emails"}, ["b", "a", "c", "d"]),
        ({"sortBy": "name.familyName"}, ["a", "b", "c", "d"]),
        ({"sortBy": f"{ENTERPRISE_URN}:department"}, ["b", "a", "c", "d"]),
        ({"sortBy": "nothing"}, ["a", "b", "c", "d"]),
    ],
)
def test_sorting_puts_what_has_no_value_last(tenant: TenantClient, query: dict[str, str], expected: list[str]) -> None:
    """RFC 7644 section 3.4.2.3: missing values last when ascending, first when descending; primary or first value."""
    tenant.user(
        "a",
        title="Beta",
        emails=[{"value": "y"}, {"value": "b", "primary": True}],
        **{ENTERPRISE_URN: {"department": "X"}},
    )
    tenant.user("b", title="gamma", emails=[{"value": "a"}], **{ENTERPRISE_URN: {"department": "B"}})
    tenant.user("c", title="alpha")
    tenant.user("d")

    found = _names(tenant.find("/Users", **query))

    assert found == expected


def test_a_sorted_and_filtered_list_is_paged_like_any_other(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.2: the parameters combine."""
    names = _load(tenant, 5)
    tenant.user("other")
    query = {"filter": 'userName sw "user"', "sortBy": "userName", "sortOrder": "descending", "count": 2}

    pages = [tenant.get("/Users", startIndex=start, **query).json() for start in (1, 3, 5)]

    assert [name for page in pages for name in _names(page["Resources"])] == names[::-1]
    assert {page["totalResults"] for page in pages} == {5}


def test_a_list_that_was_asked_before_sees_later_changes(tenant: TenantClient) -> None:
    """What the tenant remembers of a list must not outlive the data."""
    query = {"filter": "title pr", "sortBy": "title"}
    user = tenant.user("ann", title="Boss")
    assert _names(tenant.find("/Users", **query)) == ["ann"]

    tenant.patch(path_of(user), {"op": "remove", "path": "title"})
    assert tenant.find("/Users", **query) == []
    tenant.user("bob", title="Boss")
    assert _names(tenant.find("/Users", **query)) == ["bob"]


def test_search_by_post_answers_like_get(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.3: `/.search` keeps names out of URLs."""
    _load(tenant, 3)
    search = {
        "schemas": [SEARCH_URN],
        "filter": 'userName sw "user"',
        "sortBy": "userName",
        "sortOrder": "descending",
        "startIndex": 2,
        "count": 1,
        "attributes": ["userName"],
    }

    found = tenant.post("/Users/.search", search)

    assert found.status_code == 200
    assert found.json()["totalResults"] == 3
    assert _names(found.json()["Resources"]) == ["user-001"]
    assert found.json()["Resources"][0].keys() == {"schemas", "id", "userName"}


def test_a_search_at_the_root_finds_all_kinds(tenant: TenantClient) -> None:
    """RFC 7644 sections 3.4.2.1 and 3.4.3: across resource types, an attribute a kind lacks has no value."""
    tenant.user("ann", displayName="Same")
    tenant.group("Same")

    both = tenant.post("/.search", {"schemas": [SEARCH_URN], "filter": 'displayName eq "same"'}).json()
    users = tenant.get("/", filter="userName pr").json()

    assert [resource["schemas"] for resource in both["Resources"]] == [[USER_URN], [GROUP_URN]]
    assert _names(users["Resources"]) == ["ann"]
    assert tenant.get("", count=0).json()["totalResults"] == 2


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"schemas": [USER_URN]},
        {"schemas": [SEARCH_URN], "filter": 5},
        {"schemas": [SEARCH_URN], "attributes": "userName"},
        {"schemas": [SEARCH_URN], "count": True},
        {"schemas": [SEARCH_URN], "startIndex": [1]},
    ],
)
def test_a_malformed_search_is_refused(tenant: TenantClient, message: dict[str, Any]) -> None:
    """RFC 7644 section 3.4.3."""
    assert_error(tenant.post("/Users/.search", message), 400)


def test_a_tenant_without_sorting_ignores_it_and_one_without_filters_says_so(start_tenant: StartTenant) -> None:
    """RFC 7644 sections 3.4.2.3 (sorting is optional and then ignored) and 3.12 (501)."""
    tenant = start_tenant(supports_sort=False, supports_filter=False)
    names = _load(tenant, 3)

    assert _names(tenant.find("/Users", sortBy="userName", sortOrder="descending")) == names
    assert_error(tenant.get("/Users", filter='userName eq "x"'), 501)
    assert tenant.post("/Users", user_body("x")).status_code == 201


# --- pages by cursor -------------------------------------------------------------------------------------------------


def _walk(tenant: TenantClient, **query: Any) -> list[dict[str, Any]]:
    """Every page from the empty cursor to the end."""
    pages = [tenant.get("/Users", cursor="", **query).json()]
    while "nextCursor" in pages[-1]:
        pages.append(tenant.get("/Users", cursor=pages[-1]["nextCursor"], **query).json())
    return pages


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("query", [{}, {"filter": 'userName sw "user"'}, {"sortBy": "userName"}], ids=str)
def test_cursors_lead_through_the_whole_list(tenant: TenantClient, count: int, query: dict[str, str]) -> None:
    """RFC 9865 section 2: an empty cursor first; no next one is the end, and there is no page behind the last."""
    names = _load(tenant, 7)

    pages = _walk(tenant, count=count, **query)

    assert [name for page in pages for name in _names(page["Resources"])] == names
    assert len(pages) == -(-7 // count)
    assert all(page["totalResults"] == 7 and "startIndex" not in page for page in pages)
    assert all(page.get("nextCursor", "a").replace("-", "").replace("_", "").isalnum() for page in pages)


def test_nothing_shifts_while_a_cursor_is_followed(tenant: TenantClient) -> None:
    """RFC 9865 section 1: that is what cursors are for."""
    names = _load(tenant, 6)
    first = tenant.get("/Users", cursor="", count=3).json()
    tenant.delete(path_of(first["Resources"][0]))
    tenant.delete(path_of(first["Resources"][2]))

    rest = tenant.get("/Users", cursor=first["nextCursor"], count=3).json()

    assert _names(rest["Resources"]) == names[3:]


@pytest.mark.parametrize(
    ("query", "scim_type"),
    [
        ({"cursor": "nonsense"}, "invalidCursor"),
        ({"cursor": "WzEsMl0"}, "invalidCursor"),
        ({"cursor": "\u00fc"}, "invalidCursor"),
        ({"count": 3}, "invalidCount"),
        ({"count": 101}, "invalidCount"),
        ({"filter": "active eq true"}, "invalidCursor"),
    ],
)
def test_a_cursor_is_good_for_its_own_query_only(tenant: TenantClient, query: dict[str, Any], scim_type: str) -> None:
    """RFC 9865 section 2.1: invalidCursor and invalidCount."""
    _load(tenant, 5)
    cursor = tenant.get("/Users", cursor="", count=2).json()["nextCursor"]

    assert_error(tenant.get("/Users", **{"cursor": cursor, "count": 2, **query}), 400, scim_type)


def test_a_cursor_expires(start_tenant: StartTenant) -> None:
    """RFC 9865 section 2.1: expiredCursor, after as long as the ServiceProviderConfig says."""
    now = [1000.0]
    tenant = start_tenant(profile="rfc7644", cursor_timeout=60, clock=lambda: now[0])
    _load(tenant, 5)
    assert tenant.get("/ServiceProviderConfig").json()["pagination"]["cursorTimeout"] == 60
    cursor = tenant.get("/Users", cursor="", count=2).json()["nextCursor"]
    now[0] += 60
    cursor = tenant.get("/Users", cursor=cursor, count=2).json()["nextCursor"]
    now[0] += 61

    assert_error(tenant.get("/Users", cursor=cursor, count=2), 400, "expiredCursor")


def test_a_tenant_may_page_by_cursor_only(start_tenant: StartTenant) -> None:
    """RFC 9865 section 2: it returns `nextCursor` uninvited, and has no index to start from."""
    tenant = start_tenant(profile="rfc7644", cursor_only=True, max_results=2)
    names = _load(tenant, 3)
    announced = tenant.get("/ServiceProviderConfig").json()["pagination"]
    assert (announced["cursor"], announced["index"], announced["maxPageSize"]) == (True, False, 2)

    first = tenant.get("/Users").json()

    assert _names(first["Resources"]) == names[:2]
    assert _names(tenant.get("/Users", cursor=first["nextCursor"]).json()["Resources"]) == names[2:]
    assert_error(tenant.get("/Users", startIndex=3), 400)


def test_a_tenant_without_cursors_ignores_them(start_tenant: StartTenant) -> None:
    """Unknown parameters are ignored, as older services do."""
    tenant = start_tenant(profile="rfc7644", supports_cursor=False)
    names = _load(tenant, 3)
    assert tenant.get("/ServiceProviderConfig").json()["pagination"]["cursor"] is False

    page = tenant.get("/Users", cursor="", count=2).json()

    assert (page["startIndex"], _names(page["Resources"])) == (1, names[:2])
    assert "nextCursor" not in page


def test_a_search_pages_by_cursor(tenant: TenantClient) -> None:
    """RFC 9865 section 2: `cursor` in a SearchRequest."""
    names = _load(tenant, 3)
    message = {"schemas": [SEARCH_URN], "cursor": "", "count": 2}

    first = tenant.post("/Users/.search", message).json()
    rest = tenant.post("/Users/.search", {**message, "cursor": first["nextCursor"]}).json()

    assert _names(first["Resources"] + rest["Resources"]) == names
