"""The services that the contract tests talk to over real HTTP: the sandbox in both profiles, and scim2-server."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from reconciler.model.dialect import PROFILES, Profile
from reconciler.model.tenant import Tenant
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from reconciler.scim.client import ScimClient
from reconciler.transport.tokens import BearerToken
from tests.contract.targets import scim2_server
from tests.fakes.listed_service import tenant
from tests.fakes.scripted_service import TOKEN, transport_to


@dataclass(frozen=True)
class Target:
    """A running service: a client for it, and the tenant it stands for."""

    name: str
    tenant: Tenant
    client: ScimClient

    @property
    def is_sandbox(self) -> bool:
        """Whether it is ours; the other one is lenient in places."""
        return self.name.startswith("sandbox")


def _target(name: str, base_url: str, profile: Profile, configuration_url: str) -> Target:
    described = tenant(base_url)
    endpoints = replace(described.endpoints, service_provider_config_url=configuration_url)
    described = replace(described, profile=profile, endpoints=endpoints, dialect=PROFILES[profile])
    return Target(name, described, ScimClient(transport_to(tokens=BearerToken(TOKEN)), endpoints, described.dialect))


@pytest.fixture(scope="session")
def second_service() -> Iterator[str]:
    """The base URL of a running scim2-server, shared by the tests of one process."""
    with scim2_server() as base_url:
        yield base_url


@pytest.fixture(params=["sandbox-cxone", "sandbox-rfc7644", "scim2-server"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each service in turn; a sandbox is empty, scim2-server holds what earlier tests left there."""
    if request.param == "scim2-server":
        base_url = request.getfixturevalue("second_service")
        yield _target(request.param, base_url, Profile.RFC7644, f"{base_url}/ServiceProviderConfig")
        return
    profile = Profile.CXONE if request.param == "sandbox-cxone" else Profile.RFC7644
    config = SandboxConfig(token=TOKEN, profile="cxone" if profile is Profile.CXONE else "rfc7644", max_results=20)
    with SandboxServer(config) as server:
        path = "/api/scim/v2" if profile is Profile.CXONE else "/scim/v2"
        yield _target(request.param, server.base_url, profile, f"{server.origin}{path}/ServiceProviderConfig")
