"""tenant.yaml to a Tenant: defaults, derived URLs, profiles, secrets (SPEC section 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.desired.codes import Code
from reconciler.desired.tenant import DIALECT_KEYS, _snake, is_loopback, tenant_problems, to_tenant
from reconciler.model.diagnostic import Source
from reconciler.model.dialect import Dialect, Profile, Update
from reconciler.model.tenant import (
    AuthType,
    GuardSettings,
    Limits,
    Notification,
    Owned,
    Ownership,
    People,
    Removal,
    SecretReference,
    ShareLimit,
    Tenant,
    UserRemoval,
)
from reconciler.schemas import checker, schema_text

SOURCE = Source("acme/tenant.yaml", 1)
SMALLEST = {
    "kind": "Tenant",
    "name": "acme",
    "profile": "rfc7644",
    "scim": {"baseUrl": "https://scim.example.com/v2/"},
    "auth": {"type": "none"},
}


def tenant(**changes: Any) -> Tenant:
    """The smallest tenant with changes, checked as the loader checks it."""
    document = {**SMALLEST, **changes}
    assert checker("tenant").accepts(document), list(checker("tenant").violations(document))
    assert list(tenant_problems(document, "acme", {})) == []
    return to_tenant(document, SOURCE, {})


def test_the_smallest_tenant_has_the_defaults_of_the_specification() -> None:
    """What is not written has the documented default."""
    found = tenant()
    assert (found.name, found.profile, found.people) == ("acme", Profile.RFC7644, People.MANAGED)
    assert (found.limits, found.ownership, found.removal) == (Limits(), Ownership(), Removal())
    assert (found.guards, found.dialect) == (GuardSettings(), Dialect())
    assert found.auth.type is AuthType.NONE
    assert found.target == "https://scim.example.com/v2"


def test_urls_are_derived_from_the_base_url() -> None:
    """cxone.md D1 to D3: CXone keeps its ServiceProviderConfig and its platform API elsewhere on the same origin."""
    rfc = tenant().endpoints
    assert rfc.service_provider_config_url == "https://scim.example.com/v2/ServiceProviderConfig"
    assert rfc.token_url is None
    cxone = tenant(
        profile="cxone",
        scim={"baseUrl": "https://acme.api.nicecxone.com/scim/v2"},
        auth={"type": "oauth2", "clientId": "app", "clientSecret": "${env:CXONE_CLIENT_SECRET}"},
    ).endpoints
    assert cxone.service_provider_config_url == "https://acme.api.nicecxone.com/api/scim/v2/ServiceProviderConfig"
    assert cxone.platform_url == "https://acme.api.nicecxone.com/api/v2"
    assert cxone.token_url == "https://acme.api.nicecxone.com/oauth/token"


def test_urls_that_are_written_win() -> None:
    """Token, SCIM and platform origins are separately overridable (D1); trailing slashes do not matter."""
    endpoints = tenant(
        scim={
            "baseUrl": "https://scim.example.com/v2",
            "serviceProviderConfigUrl": "https://scim.example.com/config/",
            "platformUrl": "https://platform.example.com/",
            "tokenUrl": "https://auth.example.com/token",
        }
    ).endpoints
    assert endpoints.service_provider_config_url == "https://scim.example.com/config"
    assert endpoints.platform_url == "https://platform.example.com"
    assert endpoints.token_url == "https://auth.example.com/token"


def test_a_token_url_is_used_as_it_is_written() -> None:
    """Some token services answer only with a slash at the end, and a redirect is not followed."""
    auth = {
        "type": "oauth2",
        "clientId": "a",
        "clientSecret": "${env:CXONE_S}",
        "tokenUrl": "https://a.example/o/token/",
    }
    assert tenant(auth=auth).endpoints.token_url == "https://a.example/o/token/"


def test_secrets_are_kept_by_name_only() -> None:
    """SPEC P11: what is kept is the name of the variable, in every field that can hold a secret."""
    found = tenant(
        auth={"type": "basic", "username": "${env:SCIM_USER}", "password": "${env:SCIM_PASSWORD}"},
        notifications=[
            {"url": "https://hooks.example.com/x", "events": ["apply.completed"], "secret": "${env:RECONCILER_S}"}
        ],
    )
    assert found.auth.username == SecretReference("SCIM_USER")
    assert found.auth.password == SecretReference("SCIM_PASSWORD")
    assert found.notifications == (
        Notification(
            url="https://hooks.example.com/x", events=("apply.completed",), secret=SecretReference("RECONCILER_S")
        ),
    )


def test_everything_that_can_be_written_is_understood() -> None:
    """Each setting of SPEC section 4 arrives in its field."""
    found = tenant(
        profile="cxone",
        people="managed",
        limits={"requestsPerMinute": 60, "bulkPayloadBytes": 2048, "memberChangesPerRequest": 7},
        ownership={"users": "all", "groups": "all", "unmanaged": ["svc-*", "group:Everyone"]},
        removal={"users": "delete", "groups": "delete", "deleteAfter": "30d"},
        guards={
            "removal-share": {"percent": 5, "max": 3},
            "access-loss": {"max": None},
            "protected": ["boss@example.com", "group:Supervisors", "role:Administrator"],
            "minimum-members": 3,
        },
        dialect={"groupUpdate": "patch", "patch": "legacy", "inlineGroups": True, "bulkPath": "/scim/v2"},
        equivalences={"phoneNumbers.value": [{"sent": "+1 2", "stored": "tel:+12"}]},
        include=["../_shared/admins"],
    )
    assert found.people is People.MANAGED
    assert tenant(people="external").people is People.EXTERNAL
    assert found.limits == Limits(requests_per_minute=60, bulk_payload_bytes=2048, member_changes_per_request=7)
    assert found.ownership == Ownership(users=Owned.ALL, groups=Owned.ALL, unmanaged=("svc-*", "group:Everyone"))
    assert (found.removal.users, found.removal.delete_after_days) == (UserRemoval.DELETE, 30)
    assert found.guards.shares == {"access-loss": ShareLimit(), "removal-share": ShareLimit(percent=5, max=3)}
    assert found.guards.minimum_members == 3
    assert (found.dialect.group_update, found.dialect.patch, found.dialect.inline_groups) == (
        Update.PATCH,
        "legacy",
        True,
    )
    assert found.dialect.bulk_correlation == "both"
    assert found.equivalences == {"phoneNumbers.value": (("+1 2", "tel:+12"),)}


def test_the_schema_knows_every_switch_of_the_model() -> None:
    """A switch added to the model and forgotten in the schema could not be written, and the other way round."""
    properties = json.loads(schema_text("tenant"))["properties"]
    assert {_snake(key) for key in properties["dialect"]["properties"]} == DIALECT_KEYS
    assert {_snake(key) for key in properties["limits"]["properties"]} == set(Limits.__dataclass_fields__)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_needs_no_https(host: str) -> None:
    """SPEC section 4: https is required except to loopback."""
    assert is_loopback(host)
    url = f"http://[{host}]:8990/v2" if ":" in host else f"http://{host}:8990/v2"
    assert list(tenant_problems({**SMALLEST, "scim": {"baseUrl": url}}, "acme", {})) == []


@pytest.mark.parametrize("host", ["localhost.example.com", "example.com", "10.0.0.1", "0.0.0.0", "127.0.0.1.nip.io"])
def test_what_only_looks_like_loopback_needs_https(host: str) -> None:
    """Names that merely begin or end like loopback are other machines."""
    problems = list(tenant_problems({**SMALLEST, "scim": {"baseUrl": f"http://{host}/v2"}}, "acme", {}))
    assert [problem[0] for problem in problems] == [Code.NOT_HTTPS]


@pytest.mark.parametrize(
    "url",
    [
        "", "scim.example.com", "//scim.example.com", "ftp://scim.example.com", "https://", "https:///v2",
        "https://user@scim.example.com", "https://u:p@scim.example.com", "https://scim.example.com/v2?x=y",
        "https://scim.example.com/v2#x", "https://scim.example.com:port/v2", "https://[::1/v2",
        "https://a b.example.com",
        "https://${env:CXONE_HOST}/v2",
    ],
)  # fmt: skip
def test_what_is_no_usable_url_is_refused_without_repeating_it(url: str) -> None:
    """It may hold credentials; it is refused before anything could be sent there."""
    problems = list(tenant_problems({**SMALLEST, "scim": {"baseUrl": url}}, "acme", {}))
    assert [problem[0] for problem in problems] == [Code.BAD_URL]
    assert not url or url not in problems[0][1]
