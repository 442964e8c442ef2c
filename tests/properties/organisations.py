"""Random organisations: what is live, and what git wants instead. Every one of them can be reached.

People and groups are numbered. Number n may be live, declared, both or neither; nesting goes from lower to higher
numbers only, so that it never closes a cycle, whatever git and live say together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from reconciler.model.dialect import Dialect
from reconciler.model.resource import ENTERPRISE_SCHEMA, DesiredGroup, DesiredUser
from reconciler.model.tenant import Limits
from tests.fakes.directory_service import DirectoryService
from tests.states import World, capabilities_of, desired_group, desired_state, desired_user, put_dialect, tenant_for

ACME_SCHEMA = "urn:acme:scim:schemas:1.0:Badge"
UNMANAGED = ("nickName", ACME_SCHEMA, "x-unknown")
"""Attributes that the live side has and git never mentions."""

_TITLES = st.sampled_from(["Agent", "agent", "Lead", "Größe", "a/b", None])
_ROLES = st.lists(st.sampled_from(["Agent", "AGENT", "Supervisor", "Payments-Maker"]), max_size=2, unique_by=str.lower)
_EMAILS = st.lists(st.sampled_from(["a@x.example", "B@x.example", "c@x.example"]), max_size=2, unique_by=str.lower)


@dataclass(frozen=True)
class Features:
    """How a service can be, and how the tenant wants to be talked to."""

    bulk: bool
    put: bool
    versions: bool
    max_operations: int
    page: int
    batch: int
    legacy: bool
    by_name: bool
    inline: bool

    def service(self) -> DirectoryService:
        """An empty one."""
        return DirectoryService(
            bulk_supported=self.bulk,
            patch_supported=not self.put,
            versions=self.versions,
            max_operations=self.max_operations,
            page_cap=self.page,
            legacy_patch=self.legacy,
            keyed_by_name=self.by_name,
            inline_groups=self.inline,
        )

    def dialect(self) -> Dialect:
        """What the tenant says about it."""
        return replace(
            put_dialect() if self.put else Dialect(),
            patch="legacy" if self.legacy else "rfc",
            user_key="userName" if self.by_name else "id",
            inline_groups=self.inline,
        )


FEATURES = st.builds(
    Features,
    bulk=st.booleans(),
    put=st.booleans(),
    versions=st.booleans(),
    max_operations=st.sampled_from([1, 2, 3, 100]),
    page=st.sampled_from([2, 3, 100]),
    batch=st.sampled_from([1, 2, 100]),
    legacy=st.booleans(),
    by_name=st.booleans(),
    inline=st.booleans(),
)


@st.composite
def _attributes(draw: st.DrawFn, *, explicit: bool) -> dict[str, Any]:
    """Attributes as either side may have them; `explicit` adds nulls and empty lists, which git may state."""
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        title = draw(_TITLES)
        if title is not None or explicit:
            found["title"] = title
    if draw(st.booleans()):
        found["name"] = {"givenName": draw(st.sampled_from(["Ann", "Bob"])), "familyName": "Lee"}
        if explicit and draw(st.booleans()):
            found["name"]["middleName"] = None
    for attribute, values in (("roles", _ROLES), ("emails", _EMAILS)):
        if draw(st.booleans()):
            listed = [_element(draw, attribute, value) for value in draw(values)]
            if listed or explicit:
                found[attribute] = listed
    if draw(st.booleans()):
        found["active"] = draw(st.booleans())
    return found


def _element(draw: st.DrawFn, attribute: str, value: str) -> dict[str, Any]:
    extra = draw(st.sampled_from([{}, {"type": "work"}, {"display": "shown"} if attribute == "emails" else {}]))
    return {"value": value, **extra}


@st.composite
def worlds(draw: st.DrawFn, features: Features | None = None, *, people: int = 5, groups: int = 4) -> World:
    """A service with things in it, and a desired state for it."""
    features = features or draw(FEATURES)
    service = features.service()
    live_users = _live_users(draw, service, people)
    live_groups = _live_groups(draw, service, live_users, groups)
    users, names = _declared_users(draw, service, live_users, people)
    documents, known = _declared_groups(draw, service, live_groups, names, groups)
    limits = Limits(page_size=features.page, member_changes_per_request=features.batch)
    tenant = tenant_for(limits=limits, dialect=features.dialect())
    users = [_with_groups(draw, user, known) for user in users]
    return World(service, desired_state(*users, *documents), tenant, capabilities_of(service))


def _live_users(draw: st.DrawFn, service: DirectoryService, people: int) -> dict[int, str]:
    found: dict[int, str] = {}
    for number in range(people):
        if not draw(st.booleans()):
            continue
        attributes = draw(_attributes(explicit=False))
        for name in UNMANAGED:
            if draw(st.booleans()):
                attributes[name] = {"number": number} if ":" in name else f"kept {number}"
        enterprise: dict[str, Any] = {}
        if draw(st.booleans()) and found:
            enterprise["manager"] = {"value": draw(st.sampled_from(sorted(found.values())))}
        if draw(st.booleans()):
            enterprise["costCenter"] = "unmanaged"
        if enterprise:
            attributes[ENTERPRISE_SCHEMA] = enterprise
        name = draw(st.sampled_from([f"p{number}", f"P{number}", f"old{number}"]))
        if name.startswith("old") or draw(st.booleans()):
            attributes["externalId"] = f"hr-{number}"
        found[number] = service.add_user(f"u{number}", name, **attributes)
    return found


def _live_groups(draw: st.DrawFn, service: DirectoryService, users: dict[int, str], groups: int) -> dict[int, str]:
    found: dict[int, str] = {}
    for number in reversed(range(groups)):
        if not draw(st.booleans()):
            continue
        below = [id_ for other, id_ in found.items() if other > number]
        members = draw(st.lists(st.sampled_from([*users.values(), *below]), unique=True)) if users or below else []
        attributes: dict[str, Any] = {"x-unknown": "kept"} if draw(st.booleans()) else {}
        name = draw(st.sampled_from([f"G{number}", f"g{number}", f"Old{number}"]))
        if name.startswith("Old") or draw(st.booleans()):
            attributes["externalId"] = f"grp-{number}"
        found[number] = service.add_group(f"g{number}", name, *members, **attributes)
    return found


def _declared_users(
    draw: st.DrawFn, service: DirectoryService, live: dict[int, str], people: int
) -> tuple[list[DesiredUser], list[str]]:
    declared = [number for number in range(people) if draw(st.booleans())]
    # Who is live, not declared and under an old name cannot be named: git would not know that name.
    names = {number: f"p{number}" for number in declared}
    for number, id_ in live.items():
        names.setdefault(number, service.users[id_]["userName"])
    documents = []
    for number in declared:
        attributes = draw(_attributes(explicit=True))
        was = service.users.get(live.get(number, ""), {})
        if was.get("userName", "").startswith("old") or draw(st.booleans()):
            attributes["externalId"] = f"hr-{number}"
        enterprise: dict[str, Any] = {}
        if draw(st.booleans()):
            manager = draw(st.sampled_from(sorted(names.values())))
            enterprise["manager"] = draw(st.sampled_from([{"userName": manager}, None]))
        if draw(st.booleans()):
            enterprise["department"] = draw(st.sampled_from(["Sales", "Support", None]))
        if enterprise:
            attributes["enterprise"] = enterprise
        documents.append(desired_user(names[number], line=number + 1, **attributes))
    return documents, sorted(names.values())


def _declared_groups(
    draw: st.DrawFn, service: DirectoryService, live: dict[int, str], names: list[str], groups: int
) -> tuple[list[DesiredGroup], list[str]]:
    declared = [number for number in range(groups) if draw(st.booleans())]
    known = {number: f"G{number}" for number in declared}
    for number, id_ in live.items():
        known.setdefault(number, service.groups[id_]["displayName"])
    documents = []
    for number in declared:
        attributes: dict[str, Any] = {}
        was = service.groups.get(live.get(number, ""), {})
        if was.get("displayName", "").startswith("Old") or draw(st.booleans()):
            attributes["externalId"] = f"grp-{number}"
        if draw(st.booleans()):
            candidates = [{"user": name} for name in names]
            candidates += [{"group": known[other]} for other in sorted(known) if other > number]
            chosen = draw(st.lists(st.sampled_from(candidates), unique_by=str)) if candidates else []
            attributes["members"] = chosen
            attributes["membership"] = draw(st.sampled_from(["authoritative", "additive"]))
        documents.append(desired_group(known[number], line=number + 1, **attributes))
    return documents, sorted(known.values())


def _with_groups(draw: st.DrawFn, user: DesiredUser, known: list[str]) -> DesiredUser:
    if not known or not draw(st.booleans()):
        return user
    return replace(user, groups=tuple(draw(st.lists(st.sampled_from(known), unique_by=str.lower, max_size=2))))
