"""SCIM JSON is read leniently (scim-rfc.md sections 3.1 and 13) and nothing that matters is lost or made up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ScimMalformed
from reconciler.messages.codec import (
    decode_configuration,
    decode_group,
    decode_list,
    decode_user,
    group_ids_of,
    has_members,
    id_in_location,
    other_version,
    parse_boolean,
    parse_count,
    parse_json,
    parse_object,
    resource_path,
    usable_version,
)
from reconciler.model.resource import ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA, Kind, unpack

JANE: dict[str, Any] = {
    "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
    "id": "2819c223",
    "externalId": "hr-1001",
    "meta": {"resourceType": "User", "version": 'W/"a330bc54f0671c9"'},
    "userName": "jane@example.com",
    "name": {"givenName": "Jane", "familyName": "Smith"},
    "emails": [{"value": "jane@example.com", "type": "work", "primary": True}],
    "active": True,
    "roles": [{"value": "Agent"}],
    "groups": [{"value": "g1", "display": "Support"}],
    ENTERPRISE_SCHEMA: {"department": "Support", "manager": {"value": "26118915"}},
    "urn:vendor:2.0:User": {"Shoe Size": 42, "nested": {"a": [1, 2]}},
    "vendorFlag": "True",
}


def test_a_canonical_user_keeps_everything_but_id_meta_and_groups() -> None:
    """What is not known is kept for PUT (scim-rfc.md section 13); what is read-only is not part of the body."""
    user = decode_user(JANE)
    assert (user.id, user.user_name, user.external_id, user.active) == ("2819c223", "jane@example.com", "hr-1001", True)
    assert user.version == 'W/"a330bc54f0671c9"'
    assert unpack(user.body) == {key: value for key, value in JANE.items() if key not in {"id", "meta", "groups"}}


def _recased(value: Any, change: Any) -> Any:
    """Known attribute names in another case."""
    if isinstance(value, dict):
        return {
            key if key.startswith(("urn:vendor", "vendor")) else change(key): (
                item if key.startswith("urn:vendor") else _recased(item, change)
            )
            for key, item in value.items()
        }
    return [_recased(item, change) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase], ids=["upper", "lower", "swapped"])
def test_the_case_of_attribute_names_is_no_matter(change: Any) -> None:
    """RFC 7643 section 2.1: names and URNs compare without case."""
    assert decode_user(_recased(JANE, change)) == decode_user(JANE)


def test_an_attribute_that_comes_in_two_spellings_counts_in_the_canonical_one() -> None:
    """Whichever comes first."""
    for row in ({"id": "1", "userName": "a", "username": "b"}, {"id": "1", "username": "b", "userName": "a"}):
        assert decode_user(row).user_name == "a"


def test_unassigned_is_absent_however_it_is_written() -> None:
    """RFC 7643 section 2.5: null, [] and absent are one state; an empty string is a value."""
    row = {
        **JANE,
        "title": None,
        "phoneNumbers": [],
        "photos": [None],
        "ims": [{}],
        "nickName": "",
        "addresses": [{"country": None}],
        "name": {**JANE["name"], "middleName": None},
        "vendorNull": None,
        "vendorList": [],
    }
    assert unpack(decode_user(row).body) == {**unpack(decode_user(JANE).body), "nickName": ""}


@pytest.mark.parametrize(
    ("value", "active"),
    [
        (True, True),
        (False, False),
        ("True", True),
        ("false", False),
        (" TRUE ", True),
        ("yes", None),
        (1, None),
        (None, None),
        ([], None),
    ],
    ids=repr,
)
def test_g3_active_is_read_from_strings_and_unknown_is_not_false(value: object, active: bool | None) -> None:
    """scim-rfc.md Q2; defect G3: a missing `active` counted as inactive."""
    assert decode_user({"id": "1", "userName": "a", "active": value}).active is active


def test_g3_a_user_without_active_is_not_inactive() -> None:
    """Defect G3."""
    assert decode_user({"id": "1", "userName": "a"}).active is None


def test_a_primary_flag_written_as_a_string_is_a_boolean() -> None:
    """scim-rfc.md Q2; strings of unknown attributes stay what they are."""
    body = unpack(decode_user({"id": "1", "emails": [{"value": "a", "primary": "True"}], "vendorFlag": "True"}).body)
    assert body == {"emails": [{"value": "a", "primary": True}], "vendorFlag": "True"}


def test_a_lone_value_stands_for_an_array_of_one() -> None:
    """scim-rfc.md section 13 and Q19: a single object, or a plain string, where an array of objects belongs."""
    body = unpack(
        decode_user({"id": "1", "schemas": USER_SCHEMA.lower(), "emails": {"value": "a"}, "roles": "Agent"}).body
    )
    assert body == {"schemas": [USER_SCHEMA], "emails": [{"value": "a"}], "roles": [{"value": "Agent"}]}
    mixed = decode_user({"id": "1", "roles": ["Agent", {"value": "Admin"}, None, ""]})
    assert unpack(mixed.body) == {"roles": [{"value": "Agent"}, {"value": "Admin"}]}


def test_p11_a_password_that_comes_back_is_dropped() -> None:
    """It is never returned by a sound service (RFC 7643 section 4.1.1) and never kept by us."""
    assert b"hunter2" not in decode_user({"id": "1", "userName": "a", "Password": "hunter2"}).body


@pytest.mark.parametrize("identifier", [None, "", True, 1.5, ["1"], {"value": "1"}])
def test_a_resource_without_an_id_is_malformed(identifier: object) -> None:
    """It could be neither addressed nor told from others."""
    with pytest.raises(ScimMalformed, match="without `id`"):
        decode_user({"id": identifier, "userName": "a"})


def test_an_id_is_text_also_where_it_is_written_as_a_number() -> None:
    """Digits beyond the precision of a float are kept (scim-rfc.md section 13)."""
    user = decode_user(parse_object(b'{"id": 900719925474099312345, "externalId": 7, "userName": 42}'))
    assert (user.id, user.external_id, user.user_name) == ("900719925474099312345", "7", "42")


def test_r8_an_empty_version_is_no_version() -> None:
    """Defect R8: `If-Match` was sent empty. Tags are kept byte for byte otherwise, weak prefix included."""
    assert decode_user({"id": "1", "meta": {"version": ""}}).version is None
    assert decode_user({"id": "1", "meta": {"Version": 'W/"x"'}}).version == 'W/"x"'
    assert decode_user({"id": "1", "meta": {"version": 7}}).version == "7"
    assert decode_user({"id": "1", "meta": {"version": 'W/"x"'}}, etag='"y"').version == '"y"'
    assert decode_user({"id": "1", "meta": {"version": 'W/"x"'}}, etag="").version == 'W/"x"'
    assert decode_user({"id": "1", "meta": None}).version is None
    for unusable in (None, "", "  ", "a\r\nX-Header: 1", "tag\u20ac", "\x00"):
        assert usable_version(unusable) is None


# --- groups ----------------------------------------------------------------------------------------------------------


def _members(members: object, **options: Any) -> tuple[str, ...] | None:
    group = {"id": "g", "displayName": "G", "members": members}
    return decode_group(group, absent_members=None, **options).members


def test_members_are_ids_in_order_without_duplicates() -> None:
    """A member may come twice with two types (RFC 7643 section 2.4)."""
    members = [{"value": "b"}, {"value": "a", "type": "User"}, {"value": "b", "type": "Group"}]
    assert _members(members) == ("a", "b")


@pytest.mark.parametrize(
    ("members", "ids"),
    [
        ([], ()),
        (None, ()),
        ({"value": "a"}, ("a",)),
        (["a", "b"], ("a", "b")),
        ([{"VALUE": "a"}], ("a",)),
        ([{"value": 7}], ("7",)),
        ([{"$ref": "https://x/scim/v2/Users/a%2Fb"}], ("a/b",)),
        ([None, {"value": "a"}], ("a",)),
        ([{"display": "Jane"}], None),
        ([{}], None),
        ([{"value": "a"}, {"value": ""}], None),
    ],
)
def test_members_are_read_leniently_and_half_a_list_is_unknown(members: object, ids: tuple[str, ...] | None) -> None:
    """A member that cannot be told makes the whole list unknown: it must not pass for the rest."""
    assert _members(members) == ids


def test_absent_members_are_what_the_caller_knows_them_to_be() -> None:
    """scim-rfc.md section 3.5: unknown never equals unassigned; only the caller knows which it is."""
    row = {"id": "g", "displayName": "G"}
    assert decode_group(row, absent_members=None).members is None
    assert decode_group(row, absent_members=()).members == ()
    assert has_members({"MEMBERS": []})
    assert not has_members(row)


def test_members_share_the_strings_of_known_ids() -> None:
    """Half a million memberships hold references, not copies."""
    known = str(b"user-1", "ascii")  # another string than the literal below
    shared = _members([{"value": "user-1"}], known_ids={known: known})
    assert shared is not None
    assert shared[0] is known


def test_a_group_body_keeps_unknown_attributes_and_no_members() -> None:
    """Defect G5: extensions and externalId were lost in a replace."""
    row = {
        "schemas": [GROUP_SCHEMA],
        "id": "g",
        "externalId": "x",
        "displayName": "G",
        "members": [],
        "vendor": {"a": 1},
    }
    group = decode_group(row, absent_members=None, etag='"1"')
    assert unpack(group.body) == {
        "schemas": [GROUP_SCHEMA],
        "externalId": "x",
        "displayName": "G",
        "vendor": {"a": 1},
    }
    assert (group.id, group.display_name, group.external_id, group.version) == ("g", "G", "x", '"1"')


def test_the_groups_of_a_user_row_are_found_in_any_case() -> None:
    """They tell that memberships exist, where groups do not show their members."""
    assert group_ids_of(JANE) == ("g1",)
    assert group_ids_of({"GROUPS": {"value": "g2"}}) == ("g2",)
    assert group_ids_of({"groups": None}) == ()
    assert group_ids_of({}) == ()


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "rows", "total"),
    [
        ({"totalResults": 2, "Resources": [{"id": "1"}]}, 1, 2),
        ({"TOTALRESULTS": "2", "resources": {"id": "1"}}, 1, 2),
        ({"totalResults": 0}, 0, 0),
        ({"totalResults": 0, "Resources": None}, 0, 0),
        ({"totalResults": 5.0, "Resources": []}, 0, 5),
        ({"Resources": []}, 0, None),
        ({"totalResults": "many", "Resources": []}, 0, None),
        ({"totalResults": -1, "Resources": []}, 0, None),
        ({"totalResults": True, "Resources": []}, 0, None),
    ],
)
def test_a_list_is_read_leniently(document: dict[str, Any], rows: int, total: int | None) -> None:
    """scim-rfc.md section 13; defect G8: a total that is no number made paging endless."""
    page = decode_list(document)
    assert (len(page.resources), page.total) == (rows, total)


@pytest.mark.parametrize("document", [{}, {"detail": "maintenance"}, {"schemas": ["x"], "status": "500"}])
def test_what_is_no_list_is_not_an_empty_one(document: dict[str, Any]) -> None:
    """Incident awslabs/ssosync #194: an error that looked like "nobody is there" deleted everyone."""
    with pytest.raises(ScimMalformed, match="no list"):
        decode_list(document)


@pytest.mark.parametrize("rows", [["1"], [None], [[{"id": "1"}]], "x"])
def test_a_row_that_is_no_resource_is_malformed(rows: object) -> None:
    """Skipping it would make the list smaller."""
    with pytest.raises(ScimMalformed):
        decode_list({"totalResults": 1, "Resources": rows})


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (7, 7),
        ("7", 7),
        (" 7 ", 7),
        (7.0, 7),
        (7.5, None),
        ("-7", None),
        (None, None),
        (False, None),
        ("9" * 30, None),
    ],
    ids=repr,
)
def test_counts_are_numbers_or_nothing(value: object, count: int | None) -> None:
    """As numbers or numeric strings (scim-rfc.md section 13)."""
    assert parse_count(value) == count


def test_booleans_are_booleans_or_nothing() -> None:
    """As JSON booleans or as the words."""
    assert [parse_boolean(value) for value in (True, "TRUE", "false", "1", 1, None)] == [
        True,
        True,
        False,
        None,
        None,
        None,
    ]


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<html>",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"\xff\xfe",
        b'{"a": 1}{"b": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"id": ' + b"9" * 10_000 + b"}",
    ],
    ids=["empty", "open", "html", "nan", "infinity", "encoding", "two", "deep-list", "deep-object", "long-number"],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """No traceback, whatever a service or a proxy sends."""
    with pytest.raises(ScimMalformed):
        parse_json(body)


def test_json_is_read_with_a_byte_order_mark_and_duplicate_keys() -> None:
    """Of keys that appear twice the last counts, as with most parsers."""
    assert parse_object(b'\xef\xbb\xbf{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"7"])
def test_what_must_be_an_object_is_nothing_else(body: bytes) -> None:
    """A message of SCIM is an object."""
    with pytest.raises(ScimMalformed, match="not a JSON object"):
        parse_object(body)


def test_a_resource_too_deep_to_pack_is_malformed() -> None:
    """It could be parsed, and must not end in a traceback afterwards."""
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100_000):
        inner["a"] = {}
        inner = inner["a"]
    with pytest.raises(ScimMalformed, match="too deep"):
        decode_user({"id": "1", "userName": "a", "vendor": [deep]})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from([*JANE, "members", "displayName", "MEMBERS", "active", "$ref", "password"]) | st.text(
    max_size=8
)


@given(st.dictionaries(_NAMES, _JSON, max_size=8))
def test_any_object_is_a_resource_or_malformed(row: dict[str, Any]) -> None:
    """And reading what was packed gives the same resource again."""
    for decode in (decode_user, lambda r: decode_group(r, absent_members=None)):
        try:
            resource = decode(row)
        except ScimMalformed:
            continue
        again = decode({**unpack(resource.body), "id": resource.id})
        assert unpack(again.body) == unpack(resource.body)
        json.dumps(unpack(resource.body), allow_nan=False)


# --- configuration, addresses ----------------------------------------------------------------------------------------


def test_the_version_of_a_configuration_comes_from_wherever_there_is_one() -> None:
    """The header, else `meta.version`, else CXone's own `etag`, quoted as in the header (cxone.md section 7)."""
    cxone = {"productName": "X", "etag": "a1b2"}
    assert decode_configuration(cxone, etag='"h"').version == '"h"'
    assert decode_configuration({**cxone, "meta": {"version": '"m"'}}).version == '"m"'
    assert decode_configuration(cxone).version == '"a1b2"'
    assert decode_configuration({"etag": 'W/"q"'}).version == 'W/"q"'
    assert decode_configuration({"etag": {"supported": True}}).version is None
    assert unpack(decode_configuration(cxone).body) == cxone


def test_an_id_is_one_segment_of_a_path() -> None:
    """Slashes, quotes, dots and query characters in ids stay inside the segment."""
    assert resource_path(Kind.USER, 'a/b"c?d#e f%é..') == "/Users/a%2Fb%22c%3Fd%23e%20f%25%C3%A9.."
    for identifier in ("", ".", ".."):
        with pytest.raises(ScimMalformed, match="cannot be addressed"):
            resource_path(Kind.GROUP, identifier)


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_an_id_survives_the_way_into_a_location_and_back(identifier: str) -> None:
    """Whatever the id is made of."""
    location = f"https://acme.example.com/scim/v2{resource_path(Kind.USER, identifier)}"
    assert id_in_location(location) == identifier


def test_no_location_has_no_id() -> None:
    """Rather none than a wrong one."""
    assert [id_in_location(value) for value in (None, 7, "", "https://[", "/")] == [None] * 5


@pytest.mark.parametrize(
    ("tag", "other"),
    [
        ('"3"', '"2"'),
        ('W/"10"', 'W/"19"'),
        ('"0"', '"9"'),
        ('"2024-01-02T03:04:05Z"', '"2024-01-02T03:04:04Z"'),
        ('W/"abc"', 'W/"abd"'),
        ('"f"', '"A"'),
        ("W/", None),
        ('""', None),
        ("", None),
    ],
)
def test_a_version_that_cannot_match_has_the_form_of_one_that_can(tag: str, other: str | None) -> None:
    """SPEC P3: a service that parses its versions reads it, and one that counts them never comes back to it."""
    assert other_version(tag) == other


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20))
def test_another_version_is_never_the_same(tag: str) -> None:
    """Whatever the tag holds."""
    other = other_version(tag)
    assert other != tag
    assert other is None or (len(other) == len(tag) and usable_version(other) == other)
