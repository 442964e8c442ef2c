"""A generated organisation: desired state as YAML files, and the same as a service lists it, 1 % different."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FAMILY = ("Abe", "Bianchi", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Haddad", "Ito", "Jansen")
GIVEN = ("Aisha", "Ben", "Carmen", "Dmitri", "Eszter", "Farid", "Giulia", "Hiro", "Irene", "Joao", "Kofi")
USERS_A_FILE = 1000
GROUPS_A_FILE = 100
MEMBERS_A_GROUP = 100
CHANGED = 100  # one in so many users has another title in git than in the tenant


def user(number: int) -> dict[str, Any]:
    """The user as git declares it, in wire shape."""
    given, family = GIVEN[number % len(GIVEN)], FAMILY[number % len(FAMILY)]
    name = f"{given}.{family}.{number}@example.com".lower()
    return {
        "userName": name,
        "externalId": f"hr-{number:07d}",
        "name": {"givenName": given, "familyName": family},
        "title": "Agent",
        "emails": [{"value": name, "type": "work", "primary": True}],
        "active": True,
    }


def group_count(users: int) -> int:
    """5 % as many groups as users."""
    return max(1, users // 20)


def members_of(group: int, users: int) -> Iterator[int]:
    """The users in a group: 5 memberships a user on average."""
    return ((group * 37 + step * 101) % users for step in range(min(MEMBERS_A_GROUP, users)))


def write_desired_state(root: Path, users: int, base_url: str) -> Path:
    """Write the tenant folder `bench`; returns it."""
    tenant = root / "bench"
    tenant.mkdir(parents=True)
    (tenant / "tenant.yaml").write_text(
        "kind: Tenant\nname: bench\nprofile: rfc7644\n"
        f"scim: {{baseUrl: {base_url}}}\nauth: {{type: none}}\nlimits: {{requestsPerMinute: 600000}}\n"
    )
    for start in range(0, users, USERS_A_FILE):
        lines = ["kind: Users", "items:"]
        for number in range(start, min(start + USERS_A_FILE, users)):
            one = user(number)
            lines += [
                f"- userName: {one['userName']}",
                f"  externalId: {one['externalId']}",
                f"  name: {{givenName: {one['name']['givenName']}, familyName: {one['name']['familyName']}}}",
                f"  title: {'Senior Agent' if number % CHANGED == 0 else 'Agent'}",
                "  emails:",
                f"  - value: {one['userName']}",
                "    type: work",
                "    primary: true",
                "  active: true",
            ]
        (tenant / f"users-{start:08d}.yaml").write_text("\n".join(lines) + "\n")
    groups = group_count(users)
    for start in range(0, groups, GROUPS_A_FILE):
        lines = ["kind: Groups", "items:"]
        for number in range(start, min(start + GROUPS_A_FILE, groups)):
            lines += [f"- displayName: team-{number}", f"  externalId: g-{number}", "  members:"]
            lines += [f"  - user: {user(member)['userName']}" for member in dict.fromkeys(members_of(number, users))]
        (tenant / f"groups-{start:08d}.yaml").write_text("\n".join(lines) + "\n")
    return tenant


def _uuid(kind: int, number: int) -> str:
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def _meta(kind: str, identifier: str) -> dict[str, str]:
    stamp = "2026-01-01T00:00:00Z"
    return {"resourceType": kind, "created": stamp, "lastModified": stamp, "version": f'"{identifier[-6:]}"'}


def live_resource(kind: str, number: int, users: int) -> dict[str, Any]:
    """One row of a list."""
    if kind == "User":
        identifier = _uuid(1, number)
        schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"]
        return {"schemas": schemas, "id": identifier, **user(number), "meta": _meta(kind, identifier)}
    identifier = _uuid(2, number)
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "id": identifier,
        "displayName": f"team-{number}",
        "externalId": f"g-{number}",
        "members": [{"value": _uuid(1, m), "type": "User"} for m in dict.fromkeys(members_of(number, users))],
        "meta": _meta(kind, identifier),
    }


def list_page(kind: str, start_index: int, count: int, users: int) -> bytes:
    """A ListResponse as a service sends it."""
    total = users if kind == "User" else group_count(users)
    numbers = range(start_index - 1, min(start_index - 1 + count, total))
    rows = [live_resource(kind, number, users) for number in numbers]
    return json.dumps(
        {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total,
            "startIndex": start_index,
            "itemsPerPage": len(rows),
            "Resources": rows,
        }
    ).encode()
