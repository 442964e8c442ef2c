"""When two values mean the same (scim-rfc.md section 3, invariants of section 14)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.messages.codec import decode_user
from reconciler.model.resource import ENTERPRISE_SCHEMA, unpack
from reconciler.semantics.canonical import (
    Equality,
    compare,
    diff_attributes,
    fold,
    is_unassigned,
    managed_paths,
    merged_elements,
    set_at,
    shown,
    split_path,
    value_at,
)

SAME, COSMETIC, DIFFERENT = Equality.SAME, Equality.COSMETIC, Equality.DIFFERENT


@pytest.mark.parametrize(
    ("path", "wanted", "found", "equality"),
    [
        ("title", "Agent", "Agent", SAME),
        ("title", "Agent", "agent", DIFFERENT),
        ("name.givenName", "ANN", "Ann", DIFFERENT),
        ("userName", "Ann@X", "ann@x", COSMETIC),
        ("userName", "straße", "STRASSE", COSMETIC),
        ("title", "e\u0301", "\u00e9", SAME),
        ("externalId", "A-1", "a-1", DIFFERENT),
        ("active", True, "True", SAME),
        ("active", False, "false", SAME),
        ("active", False, None, DIFFERENT),
        ("active", True, 1, DIFFERENT),
        ("x.count", 1, True, DIFFERENT),
        ("x.count", 1, 1.0, SAME),
        ("locale", "en-US", "en_us", SAME),
        ("timezone", "Europe/Berlin", "europe/berlin", SAME),
        ("x.since", "2024-01-02T03:04:05Z", "2024-01-02T04:04:05+01:00", SAME),
        ("x.since", "2024-01-02T03:04:05Z", "2024-01-02T03:04:06Z", DIFFERENT),
        ("x.since", "2024-01-02T99:99:99Z", "2024-01-02T03:04:06Z", DIFFERENT),
        ("title", None, "", SAME),
        ("title", None, [], SAME),
        ("emails", [], None, SAME),
        ("emails", None, [{"value": "a"}], DIFFERENT),
    ],
)
def test_single_values_compare_by_the_rules_of_their_attribute(
    path: str, wanted: Any, found: Any, equality: Equality
) -> None:
    """Case of identifiers is cosmetic, of names it counts; booleans may be strings, dates are instants."""
    assert compare(path, wanted, found, {}) is equality


@pytest.mark.parametrize(
    ("path", "wanted", "found", "equality"),
    [
        ("emails", [{"value": "a"}, {"value": "b"}], [{"value": "b"}, {"value": "a"}], SAME),
        ("emails", [{"value": "A@x"}], [{"value": "a@x"}], COSMETIC),
        ("emails", [{"value": "a"}], [{"value": "a", "type": "work", "primary": False}], SAME),
        ("emails", [{"value": "a", "type": "work"}], [{"value": "a", "type": "Work"}], SAME),
        ("emails", [{"value": "a", "type": "work"}], [{"value": "a", "type": "home"}], DIFFERENT),
        ("emails", [{"value": "a", "primary": True}], [{"value": "a"}], DIFFERENT),
        ("emails", [{"value": "a", "primary": False}], [{"value": "a"}], SAME),
        ("emails", [{"value": "a"}], [{"value": "a", "primary": True}], SAME),
        ("roles", [{"value": "Agent"}], [{"value": "Agent", "display": "The agent", "$ref": "x"}], SAME),
        ("roles", [{"value": "Agent"}], [{"value": "Agent", "display": "1"}, {"value": "Agent", "display": "2"}], SAME),
        ("roles", [{"value": "Agent"}], [{"value": "Agent"}, {"value": "Lead"}], DIFFERENT),
        ("roles", [{"value": "A"}, {"value": "A", "type": "x"}], [{"value": "A", "type": "x"}, {"value": "A"}], SAME),
        ("phoneNumbers", [{"value": "+1 (555) 12-34"}], [{"value": "tel:+1555.1234"}], SAME),
        ("phoneNumbers", [{"value": "+15551234"}], [{"value": "+15551235"}], DIFFERENT),
        ("x509Certificates", [{"value": "YWI="}], [{"value": "YWI"}], SAME),
        ("schemas", ["a", "b"], ["b", "a"], SAME),
        ("emails", [{"value": "a"}], {"value": "a"}, SAME),
    ],
)
def test_multi_valued_attributes_compare_as_sets(path: str, wanted: Any, found: Any, equality: Equality) -> None:
    """Order and duplicates do not count; only what git states about an element is looked at."""
    assert compare(path, wanted, found, {}) is equality


def test_a_learned_equivalence_is_equal() -> None:
    """INCIDENTS gestalt PR #3162: the server rewrites a value, and the plan would never be empty (scim-rfc.md 3.2)."""
    pairs = {"title": [("Agent ", "Agent")], "emails.value": [("a+x@y", "a@y")]}
    assert compare("title", "Agent ", "Agent", pairs) is SAME
    assert compare("title", "Agent", "Agent ", pairs) is DIFFERENT
    assert compare("emails", [{"value": "a+x@y"}], [{"value": "a@y"}], pairs) is SAME


def test_only_what_git_states_is_compared() -> None:
    """SPEC P9; `null` means that it must be empty."""
    desired = {"title": None, "name": {"givenName": "Ann"}, ENTERPRISE_SCHEMA: {"department": "Sales"}}
    live = {
        "title": "x",
        "nickName": "n",
        "name": {"givenName": "Ann", "familyName": "Lee"},
        ENTERPRISE_SCHEMA: {"costCenter": "7"},
    }
    changes, cosmetic = diff_attributes(desired, live, {})
    assert [(c.path, c.before, c.after) for c in changes] == [
        ("title", "x", None),
        (f"{ENTERPRISE_SCHEMA}:department", None, "Sales"),
    ]
    assert cosmetic == []


def test_cosmetic_differences_are_told_and_not_written() -> None:
    """The server lower-cases userName and e-mail: no update on every run (scim-rfc.md Q12)."""
    desired = {"userName": "Ann@X", "emails": [{"value": "Ann@X"}], "name": {"givenName": "Ann"}}
    live = {"userName": "ann@x", "emails": [{"value": "ann@x"}], "name": {"givenName": "ann"}}
    changes, cosmetic = diff_attributes(desired, live, {})
    assert [change.path for change in changes] == ["name.givenName"]
    assert cosmetic == ["userName", "emails"]


_RAW = {
    "id": "1",
    "userName": "ann",
    "title": "Agent",
    "emails": [{"value": "a@x", "type": "work", "primary": True}, {"value": "b@x"}],
    "active": True,
    ENTERPRISE_SCHEMA: {"department": "Sales"},
    "meta": {"version": 'W/"1"'},
}


@pytest.mark.parametrize(
    "changed",
    [
        {**_RAW, "emails": list(reversed(_RAW["emails"]))},  # type: ignore[call-overload]
        {key.upper() if key not in {"id", "meta"} else key: value for key, value in _RAW.items()},
        {**_RAW, "nickName": None, "roles": [], "addresses": None},
        {**_RAW, "meta": {"version": '"1"'}},
        {**_RAW, "active": "True"},
        {**_RAW, "emails": [{**e, "display": "x", "$ref": "y"} for e in _RAW["emails"]]},  # type: ignore[attr-defined]
    ],
)
def test_the_plan_of_an_unchanged_resource_is_empty_however_it_is_spelled(changed: dict[str, Any]) -> None:
    """Invariant 1 of scim-rfc.md section 14: arrays, attribute-name case, nulls, tags, booleans as strings."""
    desired = {name: value for name, value in _RAW.items() if name not in {"id", "meta"}}
    assert diff_attributes(desired, unpack(decode_user(changed).body), {}) == ([], [])


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_unassigned_has_four_spellings(value: Any) -> None:
    """RFC 7643 section 2.5."""
    assert is_unassigned(value)
    assert not is_unassigned(False)
    assert not is_unassigned(0)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("title", (None, "title", None)),
        ("name.givenName", (None, "name", "givenName")),
        (f"{ENTERPRISE_SCHEMA}:manager", (ENTERPRISE_SCHEMA, "manager", None)),
        (f"{ENTERPRISE_SCHEMA}:manager.value", (ENTERPRISE_SCHEMA, "manager", "value")),
        ("urn:acme:1.0:level", ("urn:acme:1.0", "level", None)),
    ],
)
def test_a_urn_is_split_at_its_last_colon(path: str, parts: tuple[str | None, str, str | None]) -> None:
    """RFC 7644 section 3.10: a URN holds colons and dots itself."""
    assert split_path(path) == parts


_JSON = st.recursive(
    st.text(min_size=1, max_size=5) | st.booleans(), lambda inner: st.lists(inner, min_size=1), max_leaves=3
)
_BODIES = st.dictionaries(
    st.sampled_from(["title", "name", "emails", ENTERPRISE_SCHEMA, "urn:acme:2.0:Badge"]),
    st.one_of(_JSON, st.dictionaries(st.sampled_from(["a", "b"]), _JSON, min_size=1)),
).map(lambda body: {k: v if isinstance(v, dict) == (":" in k) or ":" not in k else {"a": v} for k, v in body.items()})


@given(_BODIES)
def test_every_managed_path_leads_back_to_its_value(body: dict[str, Any]) -> None:
    """What is compared at a path is what is written there."""
    rebuilt: dict[str, Any] = {}
    for path, value in managed_paths(body):
        assert value_at(body, path) == value
        set_at(rebuilt, path, value)
    assert rebuilt == body


def test_setting_nothing_removes_and_leaves_no_empty_container() -> None:
    """An emptied extension goes, so that it is not listed in `schemas`."""
    body: dict[str, Any] = {"name": {"givenName": "Ann"}, ENTERPRISE_SCHEMA: {"department": "x"}}
    set_at(body, "name.givenName", None)
    set_at(body, f"{ENTERPRISE_SCHEMA}:department", None)
    assert body == {}


def test_an_extension_that_must_be_empty_goes_whole() -> None:
    """`enterprise: null` (RFC 7643 section 2.5)."""
    live = {ENTERPRISE_SCHEMA: {"department": "x"}}
    (change,), _ = diff_attributes({ENTERPRISE_SCHEMA: None}, live, {})
    assert (change.path, change.before, change.after) == (ENTERPRISE_SCHEMA, {"department": "x"}, None)
    set_at(live, change.path, change.after)
    assert live == {}
    set_at(live, change.path, change.after)
    assert diff_attributes({ENTERPRISE_SCHEMA: None}, live, {}) == ([], [])


def test_elements_that_stay_keep_what_git_does_not_state() -> None:
    """SPEC P9 inside multi-valued attributes."""
    live = [{"value": "a@x", "type": "work", "display": "Ann", "x": 1}, {"value": "b@x", "primary": True}]
    assert merged_elements([{"value": "A@x"}], live) == [{"value": "A@x", "type": "work", "display": "Ann", "x": 1}]
    assert merged_elements([{"value": "b@x"}], live) == [{"value": "b@x", "primary": True}]
    assert merged_elements([{"value": "a@x", "primary": True}, {"value": "b@x"}], live)[1] == {"value": "b@x"}
    assert merged_elements([{"type": "home", "locality": "Ulm"}], [{"type": "home", "country": "DE"}]) == [
        {"type": "home", "country": "DE", "locality": "Ulm"}
    ]


def test_an_exact_counterpart_is_not_taken_by_a_similar_element() -> None:
    """Of one value with two types each keeps its own unstated sub-attributes, whatever the order."""
    live = [{"value": "1", "type": "home", "display": "H"}, {"value": "1", "type": "work", "display": "W"}]
    wanted = [{"value": "1", "type": "mobile"}, {"value": "1", "type": "home"}]
    assert merged_elements(wanted, live) == [
        {"value": "1", "type": "mobile", "display": "W"},
        {"value": "1", "type": "home", "display": "H"},
    ]


def test_values_are_shown_sorted_and_without_what_the_service_derives() -> None:
    """Digests do not depend on the order of lists, nor on `display` and `$ref` of one reading."""
    found = [{"value": "b", "$ref": "x"}, {"value": "a", "display": "A", "type": None}]
    assert shown(found, [{"value": "a"}]) == [{"value": "a"}, {"value": "b"}]
    assert shown(found, [{"value": "a", "display": "A"}]) == [{"display": "A", "value": "a"}, {"value": "b"}]
    assert shown([], None) is None


@given(st.text())
def test_folding_is_stable(name: str) -> None:
    """SPEC 3: NFC and casefold, and folding again changes nothing."""
    assert fold(fold(name)) == fold(name)
    assert fold(name.upper()) == fold(fold(name).upper())
