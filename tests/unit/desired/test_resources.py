"""Documents to users and groups: the wire shape of what git declares."""

from __future__ import annotations

import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.resources import References, attribute_problems, to_group, to_user, with_defaults
from reconciler.model.diagnostic import Source
from reconciler.model.resource import ENTERPRISE_SCHEMA, Kind, Membership, Reference, unpack

SOURCE = Source("acme/users.yaml", 3)


def body_of(attributes: dict[str, Any]) -> dict[str, Any]:
    """The packed body of a user with these attributes, without userName."""
    body = unpack(to_user({"userName": "ann@example.com", **attributes}, SOURCE, References()).body)
    assert body.pop("userName") == "ann@example.com"
    return body


def test_a_user_has_everything_git_declared() -> None:
    """userName, externalId and active are in the body and beside it; kind, groups and previously are not in it."""
    attributes = {
        "kind": "User",
        "userName": "ann@example.com",
        "externalId": "hr-1",
        "active": False,
        "groups": ["Support", "Sales"],
        "previously": "a@example.com",
        "roles": [{"value": "Agent"}],
    }
    user = to_user(attributes, SOURCE, References())
    assert (user.user_name, user.external_id, user.active, user.previously) == (
        "ann@example.com",
        "hr-1",
        False,
        "a@example.com",
    )
    assert user.groups == ("Support", "Sales")
    assert user.source is SOURCE
    assert list(unpack(user.body)) == ["userName", "externalId", "active", "roles"]


def test_unstated_is_absent_and_empty_is_null() -> None:
    """RFC 7643 section 2.5: null, [] and {} are one state, "must be empty"; unstated is another (SPEC P9)."""
    assert body_of({}) == {}
    assert body_of({"emails": [], "title": None, "name": {}, "nickName": ""}) == {
        "emails": None,
        "title": None,
        "name": None,
        "nickName": "",
    }
    assert body_of({"name": {"middleName": None}}) == {"name": {"middleName": None}}


def test_enterprise_is_short_for_its_urn() -> None:
    """Both spellings give the same body, the extension as a container under its URN (RFC 7643 section 3.3)."""
    for key in ("enterprise", ENTERPRISE_SCHEMA):
        assert body_of({key: {"department": "Support"}}) == {ENTERPRISE_SCHEMA: {"department": "Support"}}
        assert body_of({key: None}) == {ENTERPRISE_SCHEMA: None}
        assert body_of({key: {}}) == {ENTERPRISE_SCHEMA: None}


def test_a_manager_is_a_reference_and_not_in_the_body() -> None:
    """By userName or externalId; an extension of which nothing else is stated is not stated."""
    user = to_user({"userName": "ann", "enterprise": {"manager": {"userName": "boss"}}}, SOURCE, References())
    assert user.manager == Reference(Kind.USER, name="boss")
    assert unpack(user.body) == {"userName": "ann"}
    user = to_user(
        {"userName": "ann", "enterprise": {"manager": {"externalId": "hr-1"}, "division": "x"}}, SOURCE, References()
    )
    assert user.manager == Reference(Kind.USER, external_id="hr-1")
    assert unpack(user.body) == {"userName": "ann", ENTERPRISE_SCHEMA: {"division": "x"}}


def test_no_manager_is_a_statement() -> None:
    """`manager: null` means that nobody is; it stays in the body, where an unstated manager is not."""
    assert body_of({"enterprise": {"manager": None}}) == {ENTERPRISE_SCHEMA: {"manager": None}}


def test_a_group_says_whether_it_writes_members() -> None:
    """`members: []` empties a group, no `members` leaves it alone (SPEC section 3, membership)."""
    references = References()
    assert to_group({"displayName": "A"}, SOURCE, references).members is None
    assert to_group({"displayName": "A", "members": []}, SOURCE, references).members == ()
    group = to_group(
        {
            "displayName": "A",
            "membership": "additive",
            "members": [{"user": "ann"}, {"group": "B"}, {"externalId": "x"}],
        },
        SOURCE,
        references,
    )
    assert group.membership is Membership.ADDITIVE
    assert group.members == (
        Reference(Kind.USER, name="ann"),
        Reference(Kind.GROUP, name="B"),
        Reference(None, external_id="x"),
    )
    assert unpack(group.body) == {"displayName": "A"}


def test_equal_references_are_one_object() -> None:
    """Half a million memberships name the same few people; they share what names them."""
    references = References()
    one = to_group({"displayName": "A", "members": [{"user": "ann"}]}, SOURCE, references)
    other = to_group({"displayName": "B", "members": [{"user": "ann"}]}, SOURCE, references)
    assert one.members is not None
    assert other.members is not None
    assert one.members[0] is other.members[0]


@given(st.text(max_size=12), st.text(min_size=1, max_size=12))
def test_all_text_is_in_normal_form(title: str, name: str) -> None:
    """Names typed on a Mac and on a PC are the same names: everything is NFC, keys of extensions included."""
    title, name = (text.encode("utf-8", "ignore").decode() for text in (title, name))
    user = to_user({"userName": name, "title": title, "urn:x:y": {name: [title]}}, SOURCE, References())
    assert user.user_name == unicodedata.normalize("NFC", name)
    body = unpack(user.body)
    assert body["title"] == unicodedata.normalize("NFC", title)
    assert all(unicodedata.is_normalized("NFC", key) for key in body["urn:x:y"])


def test_defaults_go_under_an_item() -> None:
    """SPEC section 3: mappings merge deeply, lists and scalars replace, and neither side is changed."""
    defaults = {"active": True, "roles": [{"value": "Agent"}], "name": {"honorificPrefix": "Dr", "familyName": "X"}}
    item = {"userName": "ann", "roles": [], "name": {"familyName": "Lee"}}
    assert with_defaults(defaults, item) == {
        "active": True,
        "roles": [],
        "name": {"honorificPrefix": "Dr", "familyName": "Lee"},
        "userName": "ann",
    }
    assert defaults["name"] == {"honorificPrefix": "Dr", "familyName": "X"}
    assert item["name"] == {"familyName": "Lee"}


def test_a_mapping_over_a_scalar_replaces_it_and_the_other_way_round() -> None:
    """Null in an item takes a mapping of the defaults away."""
    assert with_defaults({"name": {"givenName": "A"}}, {"name": None}) == {"name": None}
    assert with_defaults({"name": None}, {"name": {"givenName": "A"}}) == {"name": {"givenName": "A"}}


def test_the_same_value_under_two_types_is_two_elements() -> None:
    """RFC 7643 section 2.4: a (type, value) pair is what may not repeat."""
    attributes = {
        "emails": [{"value": "a@x.com", "type": "work"}, {"value": "a@x.com", "type": "home"}],
        "roles": [{"value": "Agent"}, {"value": "agent"}],
    }
    assert list(attribute_problems(attributes)) == []
