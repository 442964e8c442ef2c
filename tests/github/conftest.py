"""A repository with a tenant behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import ADMIN, TOKEN, service_of
from tests.github.forge import Forge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """A repository on GitHub, and an embedded tenant that was never applied to."""
    with SandboxServer(SandboxConfig(token=TOKEN, admin=ADMIN, profile="rfc7644")) as server:
        yield Forge(tmp_path, service_of(server))
