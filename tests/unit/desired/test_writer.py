"""Documents as files: what is written reads back as what it was, and reads well."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.loader import decode, parse
from reconciler.desired.resources import with_defaults
from reconciler.desired.writer import (
    configuration_files,
    fits_a_file,
    group_files,
    user_files,
    why_unwritable,
)
from reconciler.model.resource import ENTERPRISE_SCHEMA, Attributes

HEADER = "From a test."
URN = "urn:acme:scim:schemas:1.0:Badge"

ODD_TEXTS = (
    *(
        "yes",
        "No",
        "on",
        "y",
        "N",
        "true",
        "False",
        "null",
        "~",
        "Null",
        "",
        " ",
        "012",
        "0x1F",
        "1e3",
        "1_000",
        "12:30",
    ),
    *("2024-01-02", ".5", "-", "- a", "?", "? a", ":", "a:", "a: b", "a :b", "a #b", "#a", "@ann", "`x`", "%TAG", "&a"),
    *(
        "*a",
        "!tag",
        "|",
        ">",
        "'",
        "it's",
        '"',
        'a"b',
        "\\",
        "a\\nb",
        "[a]",
        "{a}",
        "a,b",
        "a]",
        "=",
        "<<",
        "---",
        "...",
    ),
    *(
        "trailing ",
        " leading",
        "two  blanks",
        "tab\tinside",
        "multi\nline",
        "end\n",
        "\r\n",
        "\x85",
        "a\u2028b",
        "\u2029",
    ),
    *(
        "\x00",
        "\x07",
        "\x1b[31m",
        "\x7f",
        "\x9f",
        "\ufeff",
        "\ufffe",
        "\uffff",
        "\u202eevil",
        "a\u200bb",
        "\u3164",
        "\xa0",
    ),
    *(
        "😀",
        "Zoë",
        "e\u0301",
        "李",
        "\u0661\u0662",
        "x" * 300,
        "https://x.example/?a=b&c#d",
        "urn:a:b",
        "0",
        "-1",
        "1.0",
    ),
    *(
        "\U000e0001",
        "\U0010ffff",
        "+1 303",
        "tel:+1-303",
        "a@b",
        "a;b",
        "99999999999999999999",
        ".inf",
        ".nan",
        "NO",
        "DE",
    ),
)
TEXTS = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text(st.sampled_from("aZ09 :#-_.,'\"\\[]{}&*!|>%@`\n\t\u00e9\u0301\u2028😀"), max_size=12),
)
SCALARS = st.one_of(
    TEXTS,
    st.booleans(),
    st.none(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
KEYS = TEXTS.filter(lambda key: len(key) < 60)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def read(files: dict[str, bytes], *, by_all: bool = True) -> dict[str, Any]:
    """What our own loader makes of the files; PyYAML itself, libyaml or not, has to agree (which takes its time)."""
    found: dict[str, Any] = {}
    for name, data in files.items():
        text, fault = decode(data)
        assert fault is None, fault
        for libyaml in (True, False) if by_all else (True,):
            parsed = parse(text, libyaml=libyaml)
            assert parsed.faults == []
            [document] = parsed.documents
            assert found.setdefault(name, document.value) == document.value
        assert not by_all or exactly(yaml.load(text, yaml.CSafeLoader)) == exactly(found[name])
    return found


def users_of(files: dict[str, bytes], *, by_all: bool = True) -> list[Attributes]:
    """Every user of the files, defaults laid under, by the name of the wire."""
    return [
        {ENTERPRISE_SCHEMA if name == "enterprise" else name: value for name, value in merged.items()}
        for document in read(files, by_all=by_all).values()
        for item in document["items"]
        for merged in [with_defaults(document.get("defaults", {}), item)]
    ]


def exactly(value: Any) -> str:
    """A text that is equal for equal values of equal type only; 0.0 is -0.0."""
    return repr(value).replace("-0.0", "0.0")


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_value_reads_back_as_itself(extension: dict[str, Any]) -> None:
    """In items of Users, in a Group, in ServiceProviderConfig; by our loader and by PyYAML, in C and in Python."""
    assert why_unwritable(extension) is None
    [user] = users_of(user_files([{"userName": "ann", URN: extension}], HEADER))
    assert exactly(user[URN]) == exactly(extension)
    for files in (
        group_files([{"displayName": "Support", URN: extension}], HEADER),
        configuration_files({URN: extension}, HEADER),
    ):
        [document] = read(files).values()
        assert exactly(document[URN]) == exactly(extension)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
def test_text_that_yaml_would_misread_stays_text(text: str) -> None:
    """Words of YAML 1.1, dates, numbers, indicators, line ends, what cannot be seen: alone, in a list, and as a key."""
    value = {
        "one": text,
        "flow": {"in": [text, {"deeper": text}]},
        "long": [{"a": "x" * 70, "b": text}, {"c": "y" * 70}],
    }
    [user] = users_of(user_files([{"userName": "ann", "title": text, URN: value}], HEADER))
    assert user == {"userName": "ann", "title": text, URN: value}


def test_a_text_of_200_kilobytes_stays_on_its_line() -> None:
    """Folding it would be a change of what it says."""
    text = "lorem ipsum: " * 16_000
    [document] = read(user_files([{"userName": "ann", "title": text, URN: {"a": [text]}}], HEADER)).values()
    assert (document["items"][0]["title"], document["items"][0][URN]["a"]) == (text, [text])


def test_nothing_in_a_file_is_hidden_from_its_reader() -> None:
    """A bidirectional override in a name would show a reviewer something else than what is there."""
    files = user_files([{"userName": "ann", "title": "\u202egnitcart\u202c a\u200bb 😀 Zoë"}], HEADER)
    text = files["users/a.yaml"].decode()
    assert 'title: "\\u202egnitcart\\u202c a\\u200bb 😀 Zoë"' in text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ([2**63], "number beyond"),
        ([float("inf")], "number without end"),
        ({"k" * 251: 1}, "key of more than 250 bytes"),
    ],
)
def test_what_yaml_cannot_hold_is_named(value: Any, why: str) -> None:
    """Such a value is left out by whoever writes, with these words."""
    assert why in str(why_unwritable(value))


def test_depth_is_counted_without_recursion() -> None:
    """A value nested a hundred thousand deep costs no stack, and one at the limit reads back."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    assert "nested deeper" in str(why_unwritable(value))
    edge: Any = "x"
    while why_unwritable([edge]) is None:
        edge = [edge]
    [user] = users_of(user_files([{"userName": "ann", URN: {"deep": edge}}], HEADER))
    assert user[URN] == {"deep": edge}


PEOPLE = [
    {
        "userName": f"{name}@example.com",
        "name": {"givenName": name.title()},
        "active": name != "bea",
        "roles": [{"value": "Agent"}],
        ENTERPRISE_SCHEMA: {"department": "Support", "manager": {"userName": "zoe@example.com"}},
    }
    for name in ("ann", "abe", "ada", "alf", "bea", "zoe")
]


def test_users_go_by_letter_and_share_what_most_share() -> None:
    """The files are those that a person would have written; this is how they look."""
    files = user_files(PEOPLE, HEADER)
    assert list(files) == ["users/a.yaml", "users/b.yaml", "users/z.yaml"]
    assert files["users/a.yaml"].decode() == (
        "# From a test.\n"
        "kind: Users\n"
        "defaults:\n"
        "  active: true\n"
        "  roles: [{value: Agent}]\n"
        "  enterprise: {department: Support}\n"
        "items:\n"
        "  - userName: abe@example.com\n"
        "    name: {givenName: Abe}\n"
        "    enterprise: {manager: {userName: zoe@example.com}}\n"
        "  - userName: ada@example.com\n"
        "    name: {givenName: Ada}\n"
        "    enterprise: {manager: {userName: zoe@example.com}}\n"
        "  - userName: alf@example.com\n"
        "    name: {givenName: Alf}\n"
        "    enterprise: {manager: {userName: zoe@example.com}}\n"
        "  - userName: ann@example.com\n"
        "    name: {givenName: Ann}\n"
        "    enterprise: {manager: {userName: zoe@example.com}}\n"
    )
    assert "defaults" not in files["users/b.yaml"].decode()  # one person shares nothing


def test_the_order_of_users_does_not_matter() -> None:
    """SPEC P12: lists come in any order, files are the same."""
    assert user_files(PEOPLE[::-1], HEADER) == user_files(PEOPLE, HEADER)


def test_defaults_give_nobody_what_they_do_not_have() -> None:
    """A list is taken back; a single value is no default where somebody has none: null would make it managed."""
    some = [{"userName": f"a{n}", "userType": "Employee", "roles": [{"value": "Agent"}]} for n in range(5)]
    some.append({"userName": "a5"})
    some.append({"userName": "a6", "userType": "Guest", "roles": [{"value": "Coach"}]})
    [document] = read(user_files(some, HEADER)).values()
    assert document["defaults"] == {"roles": [{"value": "Agent"}]}
    assert document["items"][5] == {"userName": "a5", "roles": []}
    assert document["items"][6]["roles"] == [{"value": "Coach"}]


def test_what_is_common_among_few_is_no_default() -> None:
    """Three administrators under one letter must not make the next hire there an administrator."""
    people = [{"userName": f"a{n}", "roles": [{"value": "Administrator"}]} for n in range(3)]
    people += [{"userName": f"b{n}", "roles": [{"value": "Agent"}]} for n in range(20)]
    documents = read(user_files(people, HEADER))
    assert "defaults" not in documents["users/a.yaml"]
    assert documents["users/b.yaml"]["defaults"] == {"roles": [{"value": "Agent"}]}


SCALARS_OF_DEFAULTS = st.sampled_from([True, False, None])


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "active": st.booleans(),
                "userType": st.sampled_from(["Employee", "yes"]),
                "roles": st.sampled_from([[{"value": "Agent"}], [{"value": "Coach"}]]),
                "locale": st.sampled_from(["en-US", "NO"]),
                ENTERPRISE_SCHEMA: st.dictionaries(
                    st.sampled_from(["department", "costCenter"]), st.sampled_from(["0110", "Sales"]), min_size=1
                ),
            },
        ),
        max_size=12,
    )
)
def test_defaults_change_nothing_but_the_length(attributes: list[Attributes]) -> None:
    """Laid under each item again they give every user back; `[]` stands for a list that is not there."""
    users = [{"userName": f"{'ab'[n % 2]}{n:02}", **each} for n, each in enumerate(attributes)]
    again = [
        {name: value for name, value in user.items() if value != []} for user in users_of(user_files(users, HEADER))
    ]
    assert again == sorted(users, key=lambda user: user["userName"])


def test_letters_have_numbered_files_where_there_are_many() -> None:
    """At most a thousand users a file, evenly; accents, digits and other scripts have their place."""
    names = [f"u{n:04}" for n in range(2001)] + ["Élise", "7up", "李", "_x", "ß"]
    files = user_files([{"userName": name} for name in names], HEADER)
    sizes = {name: len(document["items"]) for name, document in read(files).items()}
    assert sizes == {
        "users/0-9.yaml": 1,
        "users/e.yaml": 1,
        "users/other.yaml": 2,
        "users/s.yaml": 1,
        "users/u-1.yaml": 667,
        "users/u-2.yaml": 667,
        "users/u-3.yaml": 667,
    }


def test_a_file_stays_small_enough_to_be_read_again() -> None:
    """Four large users do not fit into one file of six megabytes; one that is too large alone is known before."""
    users = [{"userName": f"a{n}", "title": "x" * 2_000_000} for n in range(4)]
    files = user_files(users, HEADER)
    assert list(files) == ["users/a-1.yaml", "users/a-2.yaml"]
    assert users_of(files, by_all=False) == users
    assert fits_a_file(users[0])
    assert not fits_a_file({"userName": "b", "title": "\x00" * 2_000_000})


def test_groups_have_a_file_each() -> None:
    """A group is one file, so that its owners can be asked about it; members are one a line."""
    members = [{"group": "Tier 2"}, {"user": "ann@example.com"}, {"externalId": "0110"}]
    groups: list[Attributes] = [
        {"displayName": "Support / Größe", "members": members},
        {"displayName": "Empty", "members": []},
    ]
    files = group_files(groups, HEADER)
    assert files == {
        "groups/empty.yaml": b"# From a test.\nkind: Group\ndisplayName: Empty\nmembers: []\n",
        "groups/support-grosse.yaml": (
            "# From a test.\nkind: Group\ndisplayName: Support / Größe\nmembers:\n"
            '  - group: Tier 2\n  - user: ann@example.com\n  - externalId: "0110"\n'
        ).encode(),
    }


def test_file_names_of_groups_never_clash() -> None:
    """Names that look alike without case, accents and signs, and names without any letter of ASCII."""
    names = ["a b", "A-B", "a/b", "á b", "李", "日本", "../x", ".x", "CON", "x" * 300, "x" * 301, "a-b-2"]
    files = group_files([{"displayName": name} for name in names], HEADER)
    assert len(files) == len(names)
    assert {document["displayName"] for document in read(files).values()} == set(names)
    assert all(
        name.removeprefix("groups/").removesuffix(".yaml").strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
        for name in files
    )


def test_more_groups_than_anybody_wants_files_go_by_letter() -> None:
    """From 1,001 on."""
    files = group_files([{"displayName": f"{'ab'[n % 2]}-{n:04}", "members": []} for n in range(1001)], HEADER)
    assert list(files) == ["groups/a.yaml", "groups/b.yaml"]
    assert sum(len(document["items"]) for document in read(files).values()) == 1001
