"""The filter language: what parses, what it means, what is refused (RFC 7644 section 3.4.2.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sandbox.definitions import GROUP, USER
from reconciler.sandbox.errors import ScimError
from reconciler.sandbox.filters import (
    NESTING_LIMIT,
    TERM_LIMIT,
    And,
    AttributePath,
    Compare,
    Filter,
    Not,
    Operator,
    Or,
    Present,
    ValueFilter,
    parse_filter,
    parse_patch_path,
)
from reconciler.sandbox.matching import Lookup, build_predicate, find_lookups
from tests.sandbox.tenant_client import ENTERPRISE_URN, USER_URN, TenantClient, assert_error, path_of

ANN: dict[str, Any] = {
    "schemas": [USER_URN, ENTERPRISE_URN],
    "id": "Id-1",
    "externalId": "HR-1",
    "userName": "Ann@Example.com",
    "name": {"givenName": "Ann", "familyName": "O'Malley"},
    "title": "",
    "displayName": 'A "quoted" \\ name',
    "nickName": "M\u00fcller",
    "active": True,
    "profileUrl": "https://example.com/Ann",
    "emails": [
        {"value": "ann@work.example.com", "type": "work", "primary": True},
        {"value": "ann@home.example.org", "type": "home"},
    ],
    ENTERPRISE_URN: {"department": "Support", "manager": {"value": "Id-2"}},
    "urn:acme:ext:1.0": {"badge": 7, "color": "Red"},
    "meta": {"created": "2024-05-06T07:08:09.000Z", "lastModified": "2024-05-06T07:08:09.000Z", "resourceType": "User"},
}


def _holds(text: str, resource: dict[str, Any] = ANN) -> bool:
    return build_predicate(parse_filter(text), USER)(resource)


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "ann@example.com"',
        'USERNAME EQ "ANN@EXAMPLE.COM"',
        f'{USER_URN}:userName eq "ann@example.com"',
        f'{USER_URN.upper()}:USERNAME sw "ann"',
        'userName sw "ANN"',
        'userName ew ".COM"',
        'userName co "@exam"',
        'userName ne "bob"',
        'userName gt "ann"',
        'userName le "ann@example.com"',
        'userName ge "ann@example.com"',
        'userName lt "b"',
        'id eq "Id-1"',
        'externalId eq "HR-1"',
        'profileUrl sw "https://example.com/A"',
        'name.familyName eq "o\'malley"',
        'displayName eq "A \\"quoted\\" \\\\ name"',
        'nickName eq "M\\u00dcLLER"',
        'nickName eq "mu\u0308ller"',
        "active eq true",
        "active ne false",
        "active pr",
        "not (title pr)",
        "not(nothing pr)",
        "nothing eq null",
        "userName ne null",
        'nothing ne "x"',
        'emails co "WORK.example"',
        'emails.value ew ".org"',
        'emails[type eq "work" and value co "@work"]',
        'emails[type eq "home"] and active eq true',
        "emails[primary eq true]",
        'emails[not (type eq "work")]',
        'emails.type eq "home"',
        f'{ENTERPRISE_URN}:department eq "support"',
        f'{ENTERPRISE_URN.upper()}:DEPARTMENT eq "support"',
        f'{ENTERPRISE_URN}:manager.value eq "Id-2"',
        f'{ENTERPRISE_URN}:manager eq "Id-2"',
        f"{ENTERPRISE_URN}:manager pr",
        "urn:acme:ext:1.0:badge eq 7",
        "urn:acme:ext:1.0:badge ge 6.5",
        'urn:acme:ext:1.0:color eq "red"',
        'meta.created gt "2024-05-06T07:08:08Z"',
        'meta.created eq "2024-05-06T09:08:09+02:00"',
        'meta.lastModified le "2024-05-06T07:08:09"',
        f'schemas eq "{USER_URN}"',
        'userName eq "x" or active eq true and active eq true',
        '(userName eq "x" or active eq true) and active eq true',
        'active eq true or active eq true and userName eq "x"',
        'not (userName eq "x" and active eq true) and (((active eq true)))',
        '  userName   eq   "ann@example.com"  ',
    ],
)
def test_filters_that_hold(text: str) -> None:
    """RFC 7644 section 3.4.2.2; case rules by the schema (RFC 7643 section 2.2), null by section 2.5."""
    assert _holds(text)


@pytest.mark.parametrize(
    "text",
    [
        'id eq "id-1"',
        'externalId eq "hr-1"',
        'profileUrl sw "HTTPS"',
        'userName eq "ann"',
        'userName co "*"',
        "active eq false",
        "title pr",
        "nothing pr",
        'nothing eq "x"',
        'nothing gt "x"',
        "userName eq null",
        'emails[type eq "home" and value co "@work"]',
        'emails[type eq "work"] and active eq false',
        "emails[nothing pr]",
        'emails.nothing eq "x"',
        'nothing[type eq "x"]',
        'userName.sub eq "ann@example.com"',
        'department eq "support"',
        'urn:acme:ext:1.0:badge eq "7"',
        "urn:acme:ext:1.0:badge eq true",
        'urn:other:badge eq "7"',
        'meta.created gt "2024-05-06T07:08:09Z"',
        'members.value eq "Id-1"',
        'active eq true and (userName eq "x" or userName eq "y")',
        "not (active eq true or active eq false)",
    ],
)
def test_filters_that_do_not_hold(text: str) -> None:
    """RFC 7644 section 3.4.2.2; what a resource type lacks has no value (section 3.4.2.1)."""
    assert not _holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "userName",
        "userName eq",
        "eq",
        'userName = "x"',
        'userName like "x"',
        "userName eq x",
        "userName eq 'x'",
        'userName eq "x',
        'userName eq "\\x"',
        'userName eq "\\ud800"',
        'userName eq "x" and',
        'userName eq "x" userName eq "x"',
        'or userName eq "x"',
        '(userName eq "x"',
        'userName eq "x")',
        "()",
        "not userName pr",
        'not "x"',
        "userName pr pr",
        "userName eq TRUE",
        "userName eq 01",
        "userName eq +1",
        "userName eq [1]",
        "user name pr",
        "1name pr",
        "name..sub pr",
        "name.a.b pr",
        "x:y pr",
        "emails[",
        "emails[]",
        "emails[type pr",
        'emails[type eq "x"]]',
        'emails[type eq "x"].value eq "y"',
        'emails[addresses[type eq "x"]]',
        'emails.value[type eq "x"]',
        'userName[type eq "x"]',
        "active gt true",
        'active co "t"',
        'active eq "true"',
        "active eq 1",
        "userName eq 1",
        "userName co 1",
        "userName gt null",
        "userName co null",
        'x509Certificates gt "a"',
        'meta.created gt "yesterday"',
        'meta.created gt "2024-05-06"',
        'meta.created co "2024"',
        'name eq "Ann"',
        'password eq "x"',
        "password pr",
        "nothing co 5",
        "nothing gt true",
    ],
)
def test_filters_that_are_refused(text: str) -> None:
    """RFC 7644 section 3.12: invalidFilter, with a detail that says where."""
    with pytest.raises(ScimError) as caught:
        _holds(text)

    assert (caught.value.status, caught.value.scim_type) == (400, "invalidFilter")
    assert caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "not(" * 100_000 + "a pr",
        "(" * (NESTING_LIMIT + 1) + "a pr" + ")" * (NESTING_LIMIT + 1),
        " or ".join(["a pr"] * (TERM_LIMIT + 1)),
        '"' + "\\" * 100_001,
        "a" * 1_000_000 + ":b pr",
        "emails[" * 100_000,
        "a eq " + "9" * 10_000,
    ],
)
def test_hostile_filters_are_refused_and_never_run_out_of_stack(text: str) -> None:
    """Nesting and size have limits."""
    with pytest.raises(ScimError) as caught:
        parse_filter(text)

    assert caught.value.scim_type == "invalidFilter"


def test_long_flat_filters_are_fine() -> None:
    """A look-up of many names in one request is what clients do."""
    text = " or ".join(f'userName eq "user-{number}"' for number in range(TERM_LIMIT))

    assert find_lookups(parse_filter(text), USER) == [
        Lookup("user_name", f"user-{number}") for number in range(TERM_LIMIT)
    ]


_PATHS = st.builds(
    AttributePath,
    st.sampled_from([None, ENTERPRISE_URN, "urn:acme:ext:1.0"]),
    st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,8}\Z"),
    st.none() | st.from_regex(r"\A\$?[A-Za-z][A-Za-z0-9_-]{0,8}\Z"),
).filter(lambda path: path.name.lower() != "not")
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_LITERALS = st.one_of(_TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
_LEAVES: st.SearchStrategy[Filter] = st.builds(Present, _PATHS) | st.builds(
    Compare, _PATHS, st.sampled_from(Operator), _LITERALS
)


def _several(terms: st.SearchStrategy[Filter], kind: type[And | Or]) -> st.SearchStrategy[Filter]:
    # A conjunction directly inside a conjunction has no text of its own.
    flat = terms.filter(lambda term: not isinstance(term, kind))
    return st.lists(flat, min_size=2, max_size=4).map(lambda found: kind(tuple(found)))


_SIMPLE = st.recursive(
    _LEAVES,
    lambda terms: st.one_of(st.builds(Not, terms), _several(terms, And), _several(terms, Or)),
    max_leaves=6,
)
_FILTERS = st.recursive(
    _SIMPLE | st.builds(ValueFilter, _PATHS, _SIMPLE),
    lambda terms: st.one_of(st.builds(Not, terms), _several(terms, And), _several(terms, Or)),
    max_leaves=6,
)


def _write(tree: Filter) -> str:
    """The shortest text of a tree: parentheses only where precedence needs them."""
    match tree:
        case Present(path=path):
            return f"{path} pr"
        case Compare(path=path, operator=operator, value=value):
            return f"{path} {operator} {json.dumps(value)}"
        case ValueFilter(path=path, filter=inner):
            return f"{path}[{_write(inner)}]"
        case Not(term=term):
            return f"not ({_write(term)})"
        case And(terms=terms):
            return " and ".join(f"({_write(term)})" if isinstance(term, Or) else _write(term) for term in terms)
        case Or(terms=terms):
            return " or ".join(_write(term) for term in terms)


@given(_FILTERS)
def test_every_filter_is_read_back_as_it_was_written(tree: Filter) -> None:
    """RFC 7644 section 3.4.2.2: grouping, then not, then and, then or."""
    assert parse_filter(_write(tree)) == tree


@given(st.text() | st.text(st.sampled_from('()[]" eqornadpt.:\\1')))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """RFC 7644 section 3.12: 400, never a defect of ours."""
    for parse in (parse_filter, parse_patch_path):
        problem = None
        try:
            parse(text)
        except ScimError as error:
            problem = error
        assert problem is None or problem.status == 400


@given(_FILTERS, st.booleans())
def test_negation_turns_every_filter_around(tree: Filter, of_group: bool) -> None:
    """RFC 7644 section 3.4.2.2: `not` inverts, whatever is unassigned."""
    kind = GROUP if of_group else USER
    problem = None
    try:
        holds = build_predicate(tree, kind)(ANN)
        assert build_predicate(Not(tree), kind)(ANN) is not holds
    except ScimError as error:
        problem = error
    assert problem is None or problem.scim_type == "invalidFilter"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('userName eq "Ann"', ["ann"]),
        ('active eq true and userName eq "ann" or id eq "{bob}"', ["ann", "bob"]),
        ('externalId eq "x-1" and title eq "boss"', ["bob"]),
        ('externalId eq "x-1" and title eq "other"', []),
        ('displayName eq "SAME"', ["ann", "bob"]),
        ('id eq "{ann}" or title pr', ["ann", "bob"]),
        ('groups.display eq "staff"', ["ann"]),
        ('groups[type eq "direct"]', ["ann"]),
        ('groups.value eq "{staff}"', ["ann"]),
        ('meta.resourceType eq "User" and meta.created gt "2020-01-01T00:00:00Z"', ["ann", "bob"]),
        ('meta.location ew "{ann}"', ["ann"]),
    ],
)
def test_filtered_lists(tenant: TenantClient, text: str, expected: list[str]) -> None:
    """RFC 7644 section 3.4.2.2 over HTTP: with and without an index behind it, also on what is computed."""
    ann = tenant.user("ann", displayName="Same", active=True)
    bob = tenant.user("bob", displayName="same", externalId="x-1", title="Boss")
    staff = tenant.group("Staff", ann)
    for name, resource in (("ann", ann), ("bob", bob), ("staff", staff)):
        text = text.replace(f"{{{name}}}", resource["id"])

    assert [user["userName"] for user in tenant.find("/Users", filter=text)] == expected


@pytest.mark.parametrize(
    "text",
    ['members.value eq "{ann}"', 'members[value eq "{ann}"]', 'members eq "{ann}"', 'members[display eq "ANN"]'],
)
def test_the_groups_of_a_user_are_found_by_member(tenant: TenantClient, text: str) -> None:
    """RFC 7644 section 3.4.2.2 on a multi-valued attribute."""
    ann = tenant.user("ann")
    group = tenant.group("Staff", tenant.user("bob"), ann)
    tenant.group("Other")

    assert tenant.find("/Groups", filter=text.format(ann=ann["id"])) == [group]


@pytest.mark.parametrize("path", ["/Users", "/Groups", "/"])
def test_a_wrong_filter_is_an_error_and_not_an_empty_list(tenant: TenantClient, path: str) -> None:
    """RFC 7644 section 3.4.2.2, also when there is nothing to filter."""
    error = assert_error(tenant.get(path, filter="userName is 5"), 400, "invalidFilter")

    assert "10" in error["detail"]


def test_a_filter_may_carry_any_character(tenant: TenantClient) -> None:
    """RFC 7644 section 3.4.2.2: JSON strings, URL-encoded."""
    name = 'plus+and&per%cent="quote"\\#?\u00e9\U0001f600'
    user = tenant.user(name)

    assert tenant.find("/Users", filter=f"userName eq {json.dumps(name)}") == [tenant.get(path_of(user)).json()]
