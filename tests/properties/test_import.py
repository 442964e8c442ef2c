"""Whatever is live, import gives files that are valid and that plan to nothing (issue 3, judged 2)."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired.parser import load_desired_state
from reconciler.errors import ConfigurationError
from reconciler.model.plan import Capabilities
from reconciler.model.resource import ENTERPRISE_SCHEMA
from reconciler.model.state import DesiredState
from reconciler.planner.planner import PlanInputs, build_plan
from reconciler.reconcile.declaring import Scope
from reconciler.reconcile.importing import Built, ImportInputs, build_import
from reconciler.scim.snapshot import read_live_state
from tests.fakes.directory_service import DirectoryService
from tests.states import BASE_URL

URNS = ("urn:acme:scim:schemas:1.0:Badge", "urn:acme:2.0:User", "urn:with blank:x", "x-unknown", "odd.name")
ODD = (
    "yes",
    "012",
    "null",
    "",
    " x ",
    "a\x85b",
    "\u2028",
    "e\u0301",
    "\ud800",
    "a@b.c",
    "😀",
    "\x1b[0m",
    "x" * 600,
    "true",
)
TEXTS = st.one_of(st.sampled_from(ODD), st.text(max_size=6))
ODD_VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.one_of(st.sampled_from(["ann", "Ann", "bob", "é", "e\u0301", "svc-x", "group:a", "id:1", "李"]), TEXTS)
IDS = st.one_of(st.none(), st.sampled_from(["p-1", "p-2", "P-1", "e\u0301", "é", 7, ""]), TEXTS)
ELEMENTS = st.lists(
    st.one_of(
        TEXTS,
        st.fixed_dictionaries(
            {},
            optional={
                "value": st.one_of(st.sampled_from(["a@b.c", "A@b.c", "d@e.f"]), TEXTS),
                "type": st.sampled_from(["work", "Work", "home", ""]),
                "primary": st.one_of(st.booleans(), st.just("True")),
                "display": TEXTS,
                "verified": st.booleans(),
            },
        ),
    ),
    max_size=3,
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "active": st.sampled_from([True, False, "False", "maybe", None]),
        "title": ODD_VALUES,
        "locale": TEXTS,
        "name": st.one_of(
            st.dictionaries(st.sampled_from(["givenName", "familyName", "formatted", "x"]), TEXTS), TEXTS
        ),
        "emails": ELEMENTS,
        "roles": ELEMENTS,
        "addresses": st.lists(
            st.dictionaries(
                st.sampled_from(["country", "locality", "type", "x"]), st.sampled_from(["DE", "usa", "work"])
            )
        ),
        **{urn: st.one_of(st.dictionaries(TEXTS, ODD_VALUES, max_size=3), ODD_VALUES) for urn in URNS},
    },
)
PLAIN = st.fixed_dictionaries(
    {"emails": st.just([{"value": "a@b.c"}]), "name": st.just({"givenName": "Ann"})},
    optional={"roles": st.sampled_from([[{"value": "Agent"}], [{"value": "Coach"}]]), "active": st.booleans()},
)


@st.composite
def services(draw: st.DrawFn) -> DirectoryService:
    """Users and groups as no sane tenant has them, and some as most tenants have."""
    service = DirectoryService(returns_active=draw(st.booleans()))
    users = [f"u{number}" for number in range(draw(st.integers(0, 6)))]
    groups = [f"g{number}" for number in range(draw(st.integers(0, 6)))]
    anybody = st.sampled_from([*users, *groups, "nobody", "svc-gone"])
    for id_ in users:
        attributes = draw(st.one_of(PLAIN, ATTRIBUTES))
        enterprise: dict[str, Any] = draw(st.dictionaries(st.sampled_from(["department", "costCenter", "x"]), TEXTS))
        if draw(st.booleans()):
            manager = draw(anybody)
            enterprise["manager"] = draw(st.sampled_from([{"value": manager, "displayName": "Boss"}, manager, {}]))
        if enterprise:
            attributes[ENTERPRISE_SCHEMA] = enterprise
        service.add_user(id_, draw(NAMES), externalId=draw(IDS), **attributes)
    for id_ in groups:
        extension = {URNS[0]: draw(ODD_VALUES)} if draw(st.booleans()) else {}
        members = draw(st.lists(anybody, max_size=5, unique=True))
        service.add_group(id_, draw(NAMES), *members, externalId=draw(IDS), **extension)
    return service


TENANTS = st.fixed_dictionaries(
    {
        "profile": st.sampled_from(["rfc7644", "cxone"]),
        "people": st.sampled_from(["managed", "external"]),
        "limits": st.fixed_dictionaries({"nestedGroupDepth": st.integers(1, 3)}),
        "ownership": st.fixed_dictionaries(
            {"unmanaged": st.sampled_from([[], ["svc-*", "group:a*"]]), "groups": st.sampled_from(["declared", "all"])}
        ),
    }
)


def write_tenant(root: Path, said: dict[str, Any]) -> None:
    """tenant.yaml, as JSON; which is YAML."""
    folder = root / "acme"
    folder.mkdir()
    document = {"kind": "Tenant", "name": "acme", "scim": {"baseUrl": BASE_URL}, "auth": {"type": "none"}, **said}
    (folder / "tenant.yaml").write_text(json.dumps(document), encoding="utf-8")


def run_import(root: Path, service: DirectoryService, scope: Scope) -> tuple[Built, ImportInputs] | ConfigurationError:
    """The files of an import, not written yet, or why there are none."""
    loaded = load_desired_state(root, "acme")
    assert loaded.tenant is not None, loaded.diagnostics
    capabilities = Capabilities()
    live = read_live_state(service, loaded.tenant, capabilities, configuration=False)
    inputs = ImportInputs(root, loaded.tenant, DesiredState(), live, capabilities, scope)
    try:
        return build_import(inputs), inputs
    except ConfigurationError as error:
        return error


@settings(max_examples=300)
@given(service=services(), said=TENANTS, scope=st.sampled_from(Scope))
def test_an_import_is_valid_and_plans_to_nothing(service: DirectoryService, said: dict[str, Any], scope: Scope) -> None:
    """Read from disk once more, as the next command does; and nobody is forgotten without a word."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_tenant(root, said)
        outcome = run_import(root, service, scope)
        if isinstance(outcome, ConfigurationError):
            assert "cannot be declared, and tenant.yaml says that git declares all groups" in outcome.message
            assert said["ownership"]["groups"] == "all"
            return
        built, inputs = outcome
        for name, data in built.files.items():
            path = root / "acme" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        loaded = load_desired_state(root, "acme")
        assert loaded.desired is not None, loaded.errors
        assert loaded.tenant is not None
        plan = build_plan(
            PlanInputs(tenant=loaded.tenant, desired=loaded.desired, live=inputs.live, capabilities=inputs.capabilities)
        )
        assert plan.changes == ()
        assert {guard.id for guard in plan.refused_by} <= {"empty-desired"}  # where all that is live is unmanaged
    account = built.account
    whole = sum(1 for item in account.left_out if not item.what)
    people = account.users + account.plain if scope is Scope.ALL else len(inputs.live.users)
    accounted = people + account.groups + whole + account.unmanaged
    assert accounted == len(inputs.live.users) + len(inputs.live.groups)
