"""A sandbox of its own and a desk for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import ADMIN, TOKEN, Service, Workplace, service_of

StartSandbox = Callable[..., Service]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A desk with an empty folder."""
    return Workplace(tmp_path, monkeypatch)


@pytest.fixture
def start_sandbox() -> Iterator[StartSandbox]:
    """Starts embedded tenants with the given settings; all of them stop after the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Service:
            config = SandboxConfig(**{"token": TOKEN, "admin": ADMIN, "profile": "rfc7644", **settings})
            return service_of(stack.enter_context(SandboxServer(config)))

        yield start


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> Service:
    """An embedded tenant of profile rfc7644."""
    return start_sandbox()


@pytest.fixture
def acme(work: Workplace, sandbox: Service) -> Workplace:
    """The small organisation, applied to the sandbox."""
    work.organisation(sandbox.base_url)
    work.converge()
    return work
