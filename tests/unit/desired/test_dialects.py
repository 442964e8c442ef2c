"""The switches of SPEC section 4: exactly those, with exactly those values, and the defaults of each profile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.dialect import PROFILES, Dialect, Profile, Update
from reconciler.schemas import checker, schema_text

SPECIFICATION = Path(__file__).resolve().parents[4] / "shared" / "SPEC.md"

SWITCHES: dict[str, list[Any]] = {
    "clientAuth": ["basic", "form"],
    "mediaType": ["application/scim+json", "application/json"],
    "bulkPath": ["", "/scim/v2"],
    "bulkCorrelation": ["bulkId", "both"],
    "bulk": ["auto", "off"],
    "patch": ["rfc", "legacy", "off"],
    "opCase": ["lower", "capitalized"],
    "userKey": ["id", "userName"],
    "inlineGroups": [False, True],
    "userUpdate": ["patch", "put"],
    "groupUpdate": ["patch", "put"],
    "memberType": ["send", "omit"],
    "etag": ["auto", "off"],
    "paging": ["auto", "index", "cursor"],
    "configShape": ["cxone", "rfc"],
}
"""Of each switch all values; `bulkPath` takes any path, and the two are examples."""

CXONE = {
    "client_auth": ("basic", "D4 [provision]"),
    "media_type": ("application/scim+json", "D7 [groups]"),
    "bulk_path": ("", "D8 [directory]"),
    "bulk_correlation": ("both", "D9"),
    "bulk": ("auto", "D11"),
    "patch": ("rfc", "D14"),
    "op_case": ("lower", "Q1"),
    "user_key": ("id", "D16"),
    "inline_groups": (False, "D17 [groups]"),
    "user_update": (Update.PATCH, "D19 [provision]"),
    "group_update": (Update.PUT, "D19 [groups]"),
    "member_type": ("send", "cxone.md section 8"),
    "etag": ("auto", "D20 [directory]"),
    "paging": ("auto", "D24"),
    "config_shape": ("cxone", "D27 [metadata]"),
}
"""The column "Default follows" of cxone.md section 11."""


def test_profile_cxone_is_the_set_of_defaults_of_the_fact_sheet() -> None:
    """SPEC section 4: profile `cxone` answers D1 to D34 as the column "Default follows" does."""
    assert {name: getattr(PROFILES[Profile.CXONE], name) for name in CXONE} == {n: v for n, (v, _) in CXONE.items()}
    assert set(CXONE) == set(Dialect.__dataclass_fields__)


def test_profile_rfc7644_differs_where_the_rfc_does() -> None:
    """D9: strict servers refuse `id`; D19: PATCH; D27: the RFC's own names. Nothing else."""
    rfc, cxone = PROFILES[Profile.RFC7644], PROFILES[Profile.CXONE]
    differing = {name for name in CXONE if getattr(rfc, name) != getattr(cxone, name)}
    assert differing == {"bulk_correlation", "group_update", "config_shape"}
    assert (rfc.bulk_correlation, rfc.group_update, rfc.config_shape) == ("bulkId", Update.PATCH, "rfc")


def _schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(schema_text("tenant"))["properties"]["dialect"]
    return found


def test_the_schema_has_exactly_these_switches_and_values() -> None:
    """SPEC section 3: unknown keys are errors; so are values of another switch."""
    properties = _schema()["properties"]
    assert set(properties) == set(SWITCHES)
    for name, values in SWITCHES.items():
        assert properties[name].get("enum") in (values, None), name
    assert [name for name in SWITCHES if "enum" not in properties[name]] == ["bulkPath", "inlineGroups"]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in SWITCHES for value in SWITCHES[name]])
def test_every_value_of_a_switch_is_accepted_and_no_other(name: str, value: object) -> None:
    """By the schema that ships; the other values are those of all other switches, booleans and nothing."""
    found = checker("tenant", "/properties/dialect")
    assert found.accepts({name: value})
    others = [other for values in SWITCHES.values() for other in values if other not in SWITCHES[name]]
    for other in [*others, None, "", 1, [], "RFC", "On"]:
        assert other in SWITCHES[name] or not found.accepts({name: other}), other


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="the specification lies beside the checkout, not in it")
def test_the_switches_are_those_of_the_specification() -> None:
    """The sentence of SPEC section 4 that lists the keys, word by word."""
    text = SPECIFICATION.read_text(encoding="utf-8")
    listed = text[text.index("`dialect` keys:") : text.index("They answer D1 to D34")]
    spelt = {
        match[1]: match[2].split("|") if match[2] else []
        for match in re.finditer(r"`(\w+)`(?: ([\w|]+))?", re.sub(r"\([^)]*\)", "", listed.partition(":")[2]))
    }
    assert set(spelt) == set(SWITCHES)
    for name, values in spelt.items():
        assert not values or set(values) == {str(value) for value in SWITCHES[name]}, name
