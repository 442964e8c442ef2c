"""Two revisions of an organisation: the real one beside the checkout, and a made-up one of its size and oddities.

What changes between the revisions of the made-up one is known by construction: see `Organisation.after`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

COMMUNITY = Path(__file__).resolve().parents[3] / "shared" / "data" / "community"
"""The people and teams of a real community; it lies beside the checkout, not in it."""

GIVEN = ("Anaïs", "Bjørn", "Çelik", "Dara", "Eoin", "Fátima", "Grażyna", "Håkon", "Irène", "Jürgen", "Keïta", "Łucja")
FAMILY = ("O'Hara", "van der Berg", "Nguyễn", "Smith-Jones", "Ōta", "d'Arc", "Müller", "Silva e Sousa", "李", "Ćosić")
ODD = ("", " (EMEA)", " – Tier 2", " & Partners", ' "Night"', " #1", "/on-call", " 日本", " <beta>")


@dataclass(frozen=True)
class Organisation:
    """How large it is. Users in no group leave the files in the second revision; the last five groups hold groups."""

    users: int
    groups: int
    without_group: int
    losing: int
    changing: int
    gaining: int
    created_users: int
    created_groups: int

    def before(self) -> tuple[list[Json], list[Json]]:
        """Users and groups of the first revision."""
        users = [_user(number) for number in range(self.users)]
        return users, [self._group(number) for number in range(self.groups)]

    def after(self) -> tuple[list[Json], list[Json]]:
        """The second revision.

        People without a group left the files; one title changed; `created_users` and `created_groups` of four members
        (every twentieth of three) are new. The first `losing` groups lose two members (every sixth has no more),
        the next `changing` lose one and gain one, the next `gaining` gain two and three in turn.
        """
        users, groups = self.before()
        users = users[: self.users - self.without_group] + [
            _user(number) for number in range(self.users, self.users + self.created_users)
        ]
        users[-1 - self.created_users]["title"] = "Chief of Staff"
        first = self.users
        for number in range(self.losing):
            groups[number]["members"] = groups[number]["members"][2:]
        for number in range(self.losing, self.losing + self.changing):
            groups[number]["members"] = [*groups[number]["members"][1:], _member(first + number - self.losing)]
        start = self.losing + self.changing
        for number in range(start, start + self.gaining):
            joining = 2 + number % 2
            groups[number]["members"] += [
                _member(first + (number * 2 + each) % self.created_users) for each in range(joining)
            ]
        return users, groups + [self._created(number) for number in range(self.created_groups)]

    def _group(self, number: int) -> Json:
        members = [_member(each % (self.users - self.without_group)) for each in range(number * 6, number * 6 + 6)]
        if number < self.losing and number % 6 == 0:
            members = members[:2]
        nested = number - (self.groups - 5)
        if nested == 4:  # the top of a chain of three
            members = [{"group": _group_name(number - 1)}]
        elif nested >= 0:
            members = [{"group": _group_name(each)} for each in range(nested, self.groups - 5, 60)]
        return {"displayName": _group_name(number), "externalId": f"t-{number:04}", "members": members}

    def _created(self, number: int) -> Json:
        size = 3 if number % 20 == 0 else 4
        members = [_member(self.users + (number * 4 + each) % self.created_users) for each in range(size)]
        number += self.groups
        return {"displayName": _group_name(number), "externalId": f"t-{number:04}", "members": members}


LARGE = Organisation(
    users=1090,
    groups=363,
    without_group=231,
    losing=44,
    changing=51,
    gaining=22,
    created_users=285,
    created_groups=55,
)
SMALL = Organisation(
    users=60,
    groups=25,
    without_group=10,
    losing=2,
    changing=4,
    gaining=4,
    created_users=20,
    created_groups=6,
)


def copy_community(revision: str, folder: Path, base_url: str) -> None:
    """The `before` or `after` of the community as a tenant folder, aimed at a service."""
    shutil.copytree(COMMUNITY / revision / "kubernetes-sigs", folder, copy_function=shutil.copyfile)
    tenant_file = folder / "tenant.yaml"
    text = tenant_file.read_text(encoding="utf-8")
    assert text.count("http://127.0.0.1:8990/scim/v2") == 1
    tenant_file.write_text(text.replace("http://127.0.0.1:8990/scim/v2", base_url), encoding="utf-8")


def write(folder: Path, tenant: Json, users: Sequence[Json], groups: Sequence[Json]) -> None:
    """Write a tenant folder as people do, twenty to a file. JSON is YAML."""
    folder.mkdir(parents=True)
    (folder / "tenant.yaml").write_text(json.dumps(tenant), encoding="utf-8")
    for kind, items in (("Users", users), ("Groups", groups)):
        for number, part in enumerate(batched_by(items, 20)):
            text = json.dumps({"kind": kind, "items": part}, ensure_ascii=False, indent=1)
            (folder / f"{kind.lower()}-{number}.yaml").write_text(text, encoding="utf-8")


def batched_by(items: Sequence[Json], size: int) -> list[list[Json]]:
    """The items in lists of at most `size`."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _user_name(number: int) -> str:
    return f"{GIVEN[number % len(GIVEN)].lower()}.{number:04}@example.org"


def _user(number: int) -> Json:
    given, family = GIVEN[number % len(GIVEN)], FAMILY[number % len(FAMILY)]
    return {
        "userName": _user_name(number),
        "externalId": f"p-{number:04}",
        "name": {"givenName": given, "familyName": family, "formatted": f"{given} {family}"},
        "displayName": f"{given} {family}",
        "emails": [{"value": f"{number:04}@example.org", "type": "work", "primary": True}],
        "title": ("Agent", "Coach", "Lead")[number % 3],
        "active": True,
    }


def _group_name(number: int) -> str:
    return f"team-{number:03}{ODD[number % len(ODD)]}"


def _member(number: int) -> Json:
    return {"user": _user_name(number)}
