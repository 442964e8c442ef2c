"""What an approval stands for (SPEC section 6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.change import Change, Precondition, PreconditionKind, Reason
from reconciler.model.diagnostic import Source
from reconciler.model.plan import AccessChange
from reconciler.semantics.canonical import MANAGER_PATH
from reconciler.semantics.digest import canonical_json, change_digest, plan_digest
from tests.builders import TARGET, TENANT, build_change

CHANGE = build_change("Group/Team", attributes=[("displayName", "Old", "Team")], added=["ann", "bob"], removed=["eve"])


def _digest(change: Change, **where: str) -> str:
    return change_digest(change, **{"tenant": TENANT, "target": TARGET, **where})


@pytest.mark.parametrize(
    "other",
    [
        replace(CHANGE, id="other"),
        replace(CHANGE, precondition=Precondition(PreconditionKind.VERSION, "other")),
        replace(CHANGE, precondition=Precondition(PreconditionKind.COMPARE)),
        replace(CHANGE, source=Source("elsewhere.yaml", 99)),
        replace(CHANGE, reason=Reason.ADOPTED),
        replace(CHANGE, digest="sha256:x"),
        replace(CHANGE, reversible=False),
    ],
)
def test_a_digest_leaves_out_what_may_differ_between_two_readings(other: Change) -> None:
    """Ids of others, versions, file positions."""
    assert _digest(other) == _digest(CHANGE)


@pytest.mark.parametrize(
    "other",
    [
        replace(CHANGE, anchor="somebody else"),
        replace(CHANGE, key=build_change("Group/Other").key),
        replace(CHANGE, attributes=()),
        replace(CHANGE, attributes=build_change("Group/T", attributes=[("displayName", "X", "Team")]).attributes),
        replace(CHANGE, members=replace(CHANGE.members, added=("ann",))),
        replace(CHANGE, members=replace(CHANGE.members, added=("ann", "bob", "zoe"))),
        replace(CHANGE, references=(("ann", "somebody else"), *CHANGE.references[1:])),
        replace(CHANGE, precondition=Precondition(PreconditionKind.UNGUARDED)),
    ],
)
def test_a_digest_covers_who_what_from_where_to_where(other: Change) -> None:
    """SPEC P2: who is meant by a member label counts too."""
    assert _digest(other) != _digest(CHANGE)


def test_a_digest_is_bound_to_tenant_and_target() -> None:
    """An approval for one tenant is none for another."""
    assert _digest(CHANGE, tenant="other") != _digest(CHANGE)
    assert _digest(CHANGE, target="https://other") != _digest(CHANGE)


def test_a_manager_counts_by_who_is_meant() -> None:
    """Two people may have had one name."""
    one = replace(build_change("User/a", attributes=[(MANAGER_PATH, None, "boss")]), references=(("boss", "hr-1"),))
    assert _digest(one) != _digest(replace(one, references=(("boss", "hr-2"),)))


def test_canonical_json_knows_neither_key_order_nor_unicode_form() -> None:
    """UTF-8, sorted keys, no spaces, NFC."""
    assert canonical_json({"b": "e\u0301", "a": [1, None, True]}) == '{"a":[1,null,true],"b":"é"}'.encode()


def test_the_digest_of_a_plan_covers_order_and_gains() -> None:
    """A plan that gives access to one more person is another plan."""
    gain = AccessChange("ann", "Team")
    assert plan_digest(["a", "b"], []) != plan_digest(["b", "a"], [])
    assert plan_digest(["a"], []) != plan_digest(["a"], [gain])
    other = AccessChange("bob", "Team", ("Inner",))
    assert plan_digest(["a"], [gain, other]) == plan_digest(["a"], [other, gain])
