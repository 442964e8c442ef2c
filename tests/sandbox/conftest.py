"""Tenants to test against, each fresh and on a port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reconciler.sandbox.server import SandboxConfig
from tests.sandbox.tenant_client import TenantClient

StartTenant = Callable[..., TenantClient]


@pytest.fixture
def start_tenant() -> Iterator[StartTenant]:
    """Starts tenants with the given settings; all of them stop after the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> TenantClient:
            return stack.enter_context(TenantClient(SandboxConfig(**settings)))

        yield start


@pytest.fixture
def tenant(start_tenant: StartTenant) -> TenantClient:
    """A tenant of profile cxone."""
    return start_tenant()


@pytest.fixture
def rfc_tenant(start_tenant: StartTenant) -> TenantClient:
    """A tenant of profile rfc7644."""
    return start_tenant(profile="rfc7644")
