"""Three people and two groups of a CXone tenant, and what may happen to them in git."""

from __future__ import annotations

from tests.cli.workplace import Ended
from tests.contract.quirks.quirky import Quirky

CLIENT, SECRET = "reconciler", "cl1ent-s3cret"
SCOPES = ("SCIM.ReadWrite", "User.ReadWrite", "scim:users:write", "scim:groups:write", "scim:write", "scim:read")

PEOPLE = """\
kind: Users
defaults: {active: true}
items:
  - {userName: ann@example.com, name: {givenName: Ann, familyName: Lee}, emails: [{value: a@example.com}], title: Agent}
  - {userName: bob@example.com, name: {givenName: Bob, familyName: Ray}, emails: [{value: b@example.com}], title: Agent}
  - {userName: cyd@example.com, name: {givenName: Cyd, familyName: Poe}, emails: [{value: c@example.com}], title: Coach}
"""
GROUPS = """\
kind: Groups
items:
  - {displayName: Support, members: [{user: ann@example.com}, {user: bob@example.com}]}
  - {displayName: Sales, members: [{user: cyd@example.com}]}
"""
LEAD = "title: Lead}"
"""What Bob's line ends with after a promotion."""


def promote(tenant: Quirky) -> None:
    """Bob gets another title."""
    tenant.work.edit(
        "acme/people.yaml",
        "emails: [{value: b@example.com}], title: Agent}",
        f"emails: [{{value: b@example.com}}], {LEAD}",
    )


def move(tenant: Quirky) -> None:
    """Cyd joins Support."""
    tenant.work.edit(
        "acme/groups.yaml", "{user: bob@example.com}]", "{user: bob@example.com}, {user: cyd@example.com}]"
    )


def done(ended: Ended) -> None:
    """It succeeded; else what it said is shown."""
    assert ended.code == 0, ended.out + ended.err
