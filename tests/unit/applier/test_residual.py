"""What a residual looks like, by what was there, what was sent and what came back (SPEC P8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.dialect import Dialect
from reconciler.model.outcome import Residual
from reconciler.model.resource import ENTERPRISE_SCHEMA, Attributes, Kind
from reconciler.semantics.equivalences import merged
from tests.fakes.directory_service import DirectoryService
from tests.states import (
    Run,
    World,
    capabilities_of,
    desired_group,
    desired_state,
    desired_user,
    put_dialect,
    tenant_for,
)

Store = Callable[[Kind, Attributes], Attributes]


def _world(store: Store | None = None, /, **attributes: Any) -> World:
    """Git declares Ann; the service stores what `store` says instead of what it was sent."""
    return World(DirectoryService(store=store), desired_state(desired_user("ann", **attributes)))


def _keeps(**stored: Any) -> Store:
    return lambda _kind, _resource: stored


def _told(run: Run) -> list[tuple[str, str]]:
    return [(item.path, item.cause.value) for item in run.residual]


def _cured(world: World, *residuals: Residual) -> World:
    """The same world after the pairs were pasted into tenant.yaml."""
    known = world.tenant.equivalences
    for residual in residuals:
        known = merged(known, residual.equivalences)
    return replace(world, tenant=replace(world.tenant, equivalences=known))


WORK, HOME = {"value": "a@x", "type": "work"}, {"value": "a@y", "type": "home"}


@pytest.mark.parametrize(
    ("sent", "stored", "pairs"),
    [
        ([WORK], [{"value": "A@X.example", "type": "work"}], {"emails.value": (("a@x", "A@X.example"),)}),
        ([WORK, HOME], [{**HOME, "type": "other"}, WORK], {"emails.type": (("home", "other"),)}),
        ([{**WORK, "primary": True}], [WORK], {"emails.primary": ((True, None),)}),
        ([WORK], [{"value": "a@x"}], {"emails.type": (("work", None),)}),
        (
            [WORK, HOME],
            [{"value": "a@x.example", "type": "work"}, {"value": "a@y.example", "type": "home"}],
            {"emails.value": (("a@y", "a@y.example"), ("a@x", "a@x.example"))},
        ),
    ],
    ids=["value", "type", "no primary", "no type", "two"],
)
def test_values_of_a_list_that_are_rewritten_are_paired_by_what_is_alike(
    sent: list[Any], stored: list[Any], pairs: dict[str, Any]
) -> None:
    """scim-rfc.md 3.2: the pair belongs to the sub-attribute, so that one line serves everybody."""
    world = _world(_keeps(emails=stored), emails=sent)
    run = world.run()
    [residual] = run.residual
    assert (residual.cause.value, residual.equivalences) == ("rewritten", pairs)
    assert not _cured(world, residual).plan().changes


@pytest.mark.parametrize(
    ("before", "sent", "stored", "cause"),
    [
        ([], [WORK, HOME], [WORK], "cut-short"),
        ([WORK], [WORK, HOME], [WORK], "cut-short"),
        ([WORK, HOME], [WORK], [WORK, HOME], "not-cleared"),
        ([WORK], [], [WORK], "not-cleared"),
        ([WORK], [HOME], [WORK, HOME], "not-cleared"),
        ([WORK], [HOME], [WORK], "not-changed"),
        ([], [WORK], [], "not-stored"),
        ([WORK], [HOME], [], "not-stored"),
    ],
    ids=["one of two", "still one of two", "kept", "not emptied", "merged", "unchanged", "dropped", "lost"],
)
def test_a_list_that_is_not_kept_is_told_by_what_came_back(
    before: list[Any], sent: list[Any], stored: list[Any], cause: str
) -> None:
    """Q8, Q20, Q31: services limited to one value, that merge, that answer without effect, that drop."""
    world = _world(emails=sent or None)
    world.service.add_user("u", "ann", **({"emails": before} if before else {}))
    world.service.store = _keeps(emails=stored)
    assert _told(world.run()) == [("emails", cause)]


@pytest.mark.parametrize(
    ("before", "sent", "stored", "cause", "curable"),
    [
        (None, "Lead", "lead", "rewritten", True),
        ("lead", "Lead", "lead", "rewritten", True),
        ("Agent", "Lead", "Chief", "rewritten", True),
        ("Agent", "Lead", "Agent", "not-changed", True),
        (None, "Lead", None, "not-stored", False),
        ("Agent", None, "Agent", "not-cleared", False),
        ("Agent", None, "(empty)", "rewritten", True),
        (None, "Lead", "x" * 300, "rewritten", False),
    ],
)
def test_a_single_value_is_told_by_what_came_back(
    before: str | None, sent: str | None, stored: str | None, cause: str, curable: bool
) -> None:
    """A pair is offered only where it makes the next plan empty, and a line that people can read."""
    world = _world(title=sent)
    world.service.add_user("u", "ann", **({} if before is None else {"title": before}))
    world.service.store = _keeps(title=stored)
    [residual] = world.run().residual
    assert (residual.path, residual.cause.value, bool(residual.equivalences)) == ("title", cause, curable)
    assert bool(_cured(world, residual).plan().changes) is not curable


def test_what_was_not_written_is_never_offered_as_equivalent() -> None:
    """Somebody else's edit between the write and the proof must not end up as a rule in tenant.yaml."""
    world = _world(title="new", userType="Agent")
    world.service.add_user("u", "ann", title="old", userType="Agent")
    world.service.store = lambda _kind, _resource: {"userType": "Guest"}
    [residual] = world.run().residual
    assert (residual.path, residual.cause.value, residual.equivalences) == ("userType", "not-written", {})


@pytest.mark.parametrize("attribute", ["roles", "entitlements"])
def test_a_role_that_stays_is_never_offered_as_equivalent_to_another(attribute: str) -> None:
    """A pair would make everybody with the old role count as one with the new."""
    world = _world(None, **{attribute: [{"value": "Agent"}]})
    world.service.add_user("u", "ann", **{attribute: [{"value": "Admin"}]})
    world.service.store = _keeps(**{attribute: [{"value": "Admin"}]})
    [residual] = world.run().residual
    assert (residual.cause.value, residual.equivalences) == ("not-changed", {})


def test_a_suspension_that_is_not_shown_is_sent_again_and_never_equivalent() -> None:
    """cxone.md G3: where `active` is not returned, nothing proves it; a pair would keep people from being suspended."""
    world = _world(active=False)
    world.service.add_user("u", "ann")
    world.service.returns_active = False
    for _ in range(2):
        run = world.run()
        [residual] = run.residual
        assert (residual.path, residual.cause.value, residual.equivalences) == ("active", "not-stored", {})
    assert world.service.users["u"]["active"] is False


def test_a_manager_that_is_not_kept_is_named_by_name() -> None:
    """The manager is compared by id and told by name; ids are no text that a pair could hold."""
    boss = desired_user("boss")
    ann = desired_user("ann", enterprise={"manager": {"userName": "boss"}})
    world = World(DirectoryService(store=_keeps(**{ENTERPRISE_SCHEMA: {}})), desired_state(ann, boss))
    [residual] = world.run().residual
    assert (residual.path, residual.expected, residual.found) == (f"{ENTERPRISE_SCHEMA}:manager", "boss", None)
    assert (residual.cause.value, residual.equivalences) == ("not-stored", {})


def test_an_attribute_of_an_extension_that_nobody_knows_is_named_by_its_urn() -> None:
    """A service without the extension strips it; the path says which."""
    urn = "urn:acme:params:scim:schemas:extension:shift:1.0:User"
    world = _world(_keeps(**{urn: None}), **{urn: {"shift": "night"}})
    [residual] = world.run().residual
    assert (residual.path, residual.cause.value) == (f"{urn}:shift", "not-stored")
    assert "extension" in residual.advice


def test_the_verb_that_is_advised_is_the_other_one() -> None:
    """Q20: nobody is told to try what was just used, or what the service does not have."""
    for dialect, patch, advised in (
        (Dialect(), True, "put"),
        (put_dialect(), True, "patch"),
        (put_dialect(), False, None),
    ):
        service = DirectoryService(patch_supported=patch)
        service.add_user("u", "ann", title="Agent")
        service.store = _keeps(title="Agent")
        desired = desired_state(desired_user("ann", title=None))
        world = World(service, desired, replace(tenant_for(), dialect=dialect), capabilities_of(service))
        [residual] = world.run().residual
        assert residual.cause.value == "not-cleared"
        assert (f"`dialect: {{userUpdate: {advised}}}`" in residual.advice) is (advised is not None)


def test_a_created_group_without_its_members_is_completed_by_the_next_run() -> None:
    """Services that take no members with a POST: the advice is to apply again, and that converges."""
    service = DirectoryService()
    first = service.add_user("u", "ann")
    service.add_group("other", "Other", first)
    store = {"on": True}

    def without_members(kind: Kind, resource: Attributes) -> Attributes:
        return {"members": []} if store.pop("on", False) and kind is Kind.GROUP else {}

    service.store = without_members
    world = World(service, desired_state(desired_user("ann"), desired_group("Team", members=[{"user": "ann"}])))
    [residual] = world.run().residual
    assert (residual.cause.value, residual.expected) == ("members-not-added", "ann")
    assert "apply again" in residual.advice
    assert world.run().all_applied


def test_a_name_that_is_rewritten_is_said_before_it_is_created_twice() -> None:
    """Without externalId the next plan does not know the group; the pair makes it known, and the update is not sent."""
    service = DirectoryService(store=lambda kind, resource: _dashed(resource) if kind is Kind.GROUP else {})
    service.add_user("u", "ann")
    world = World(service, desired_state(desired_user("ann"), desired_group("Tier 1", members=[{"user": "ann"}])))
    run = world.run()
    [residual] = run.residual
    assert (residual.path, residual.expected, residual.found) == ("displayName", "Tier 1", "tier-1")
    assert "before the next apply" in residual.advice
    assert [change.action.value for change in world.plan().changes] == ["create"]
    cured = _cured(world, residual)
    assert not cured.plan().changes
    renamed = cured.wanting(desired_user("ann"), desired_group("Tier 1", members=[]))
    [change] = renamed.plan().changes
    assert (str(change.key), change.id, change.members.removed) == ("Group/Tier 1", service.id_of("tier-1"), ("ann",))


def _dashed(resource: Attributes) -> Attributes:
    return {"displayName": resource["displayName"].lower().replace(" ", "-")}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
WRITTEN = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXT,
        "nickName": TEXT,
        "externalId": TEXT,
        "emails": st.lists(
            st.fixed_dictionaries(
                {"value": TEXT, "type": st.sampled_from(["work", "home"])}, optional={"primary": st.booleans()}
            ),
            min_size=1,
            max_size=3,
            unique_by=str,
        ),
        "enterprise": st.fixed_dictionaries({"department": TEXT}),
    },
)


@given(written=WRITTEN, stored=st.lists(TEXT, min_size=1, max_size=4), name=TEXT)
def test_pasting_what_is_offered_always_leaves_nothing_to_do(
    written: dict[str, Any], stored: list[str], name: str
) -> None:
    """P8: whatever texts a service makes of those it was sent, each attribute that is offered a pair is cured by it."""

    def rewritten(value: Any) -> Any:
        if isinstance(value, str):
            return stored[len(value) % len(stored)] + value[:1]
        if isinstance(value, list):
            return [rewritten(item) for item in value]
        return {key: rewritten(item) for key, item in value.items()} if isinstance(value, dict) else value

    def store(_kind: Kind, resource: Attributes) -> Attributes:
        return {key: rewritten(value) for key, value in resource.items()}

    world = _world(**written)
    world = replace(world, desired=desired_state(desired_user(name, **written)))
    world.service.store = store
    run = world.run()
    cured = _cured(world, *run.residual)
    left = {attribute.path for change in cured.plan().changes for attribute in change.attributes}
    assert left <= {residual.path for residual in run.residual if not residual.equivalences}
