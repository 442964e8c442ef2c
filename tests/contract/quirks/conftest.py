"""A quirky service for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import TOKEN, Workplace, service_of
from tests.contract.quirks.quirky import Quirky
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen

StartQuirky = Callable[..., Quirky]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartQuirky]:
    """Start a service of profile rfc7644 with the small organisation in it, applied before any quirk begins.

    `bulk` is off unless asked for, because hardly any of the services with quirks has it; other settings are those of
    the sandbox.
    """
    with ExitStack() as stack:

        def run(*, bulk: bool = False, **settings: Any) -> Quirky:
            config = SandboxConfig(**{"token": TOKEN, "profile": "rfc7644", "supports_bulk": bulk, **settings})
            service = service_of(stack.enter_context(SandboxServer(config)))

            def hook(seen: Seen, pass_on: PassOn) -> Answer:
                return behind.quirk(seen, pass_on)

            hop, origin = stack.enter_context(interposed(service.origin, hook))
            work = Workplace(tmp_path, monkeypatch)
            behind = Quirky(work, service, hop, origin)
            work.organisation(f"{origin}/scim/v2")
            work.converge()
            return behind

        yield run


@pytest.fixture
def quirky(start: StartQuirky) -> Quirky:
    """A service without bulk."""
    return start()
