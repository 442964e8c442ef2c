"""The services that the contract tests talk to over real HTTP: the sandbox in both profiles, and scim2-server."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.model.dialect import PROFILES, Profile
from reconciler.model.tenant import Tenant
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from reconciler.scim.client import ScimClient
from reconciler.transport.tokens import BearerToken
from tests.fakes.listed_service import tenant
from tests.fakes.scripted_service import TOKEN, closed_port, transport_to


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
def scim2_server() -> Iterator[str]:
    """The base URL of a running scim2-server, shared by the tests of one process."""
    port = closed_port()
    program = Path(sys.executable).with_name("scim2-server")
    options = ["--hostname", "127.0.0.1", "--port", str(port), "--bearer-token", TOKEN]
    silent = subprocess.DEVNULL
    with subprocess.Popen([program, *options], stdout=silent, stderr=silent) as process:
        while not _listens(port):
            assert process.poll() is None, "scim2-server did not start"
        yield f"http://127.0.0.1:{port}/v2"
        process.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture(params=["sandbox-cxone", "sandbox-rfc7644", "scim2-server"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each service in turn; a sandbox is empty, scim2-server holds what earlier tests left there."""
    if request.param == "scim2-server":
        base_url = request.getfixturevalue("scim2_server")
        yield _target(request.param, base_url, Profile.RFC7644, f"{base_url}/ServiceProviderConfig")
        return
    profile = Profile.CXONE if request.param == "sandbox-cxone" else Profile.RFC7644
    config = SandboxConfig(token=TOKEN, profile="cxone" if profile is Profile.CXONE else "rfc7644", max_results=20)
    with SandboxServer(config) as server:
        path = "/api/scim/v2" if profile is Profile.CXONE else "/scim/v2"
        yield _target(request.param, server.base_url, profile, f"{server.origin}{path}/ServiceProviderConfig")
