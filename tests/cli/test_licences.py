"""Licences of a CXone tenant, from the quota to the refusal (cxone.md section 4; SPEC section 8, `seats`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.workplace import Service, Workplace


def _person(number: int) -> str:
    return (
        f"{{kind: User, userName: p{number}@x.example, name: {{givenName: P, familyName: X}}, "
        f"emails: [{{value: p{number}@x.example, primary: true}}]}}\n"
    )


@pytest.fixture
def tenant(work: Workplace, start_sandbox: Callable[..., Service]) -> Service:
    """Three people to hire, and two licences."""
    sandbox = start_sandbox(profile="cxone", seats=2)
    work.tenant(sandbox.base_url, profile="cxone")
    work.write("acme/people.yaml", "---\n".join(_person(number) for number in range(3)))
    return sandbox


def test_a_shortage_of_licences_is_refused_in_the_plan(work: Workplace, tenant: Service) -> None:
    """INCIDENTS "More users than licences": bitwarden/directory-connector #28; user-sync.py #510.

    Found out before: one request more, and nothing is written.
    """
    [plan] = work.run("plan", "--format", "json").lines
    assert plan["estimate"]["seats"] == {"used": 0, "peak": 3, "total": 2}
    refused = work.run("apply", "--yes")
    assert refused.code == 4
    assert "0 of 2 licences are used (0 %), 3 would be at the peak" in refused.out
    assert tenant.all("Users") == {}
    asked = [entry for entry in tenant.log if entry["path"].endswith("/license/quotas")]
    assert {entry["method"] for entry in asked} == {"GET"}
    assert plan["inventory"]["requests"] == 6
    work.write("acme/people.yaml", "---\n".join(_person(number) for number in range(2)))
    work.converge()
    assert len(tenant.all("Users")) == 2
    count = len([entry for entry in tenant.log if entry["path"].endswith("/license/quotas")])
    assert work.run("plan").code == 0
    assert len([entry for entry in tenant.log if entry["path"].endswith("/license/quotas")]) == count  # nothing to do
