"""A CXone tenant of its own for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.config import Client, SandboxConfig
from reconciler.sandbox.server import SandboxServer
from tests.cli.workplace import TOKEN, Workplace, service_of
from tests.contract.dialects.small_tenant import CLIENT, GROUPS, PEOPLE, SCOPES, SECRET
from tests.contract.quirks.quirky import Quirky
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen

Open = Callable[..., Quirky]


@pytest.fixture
def open_tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """An embedded tenant, and three people and two groups declared for it; `settled` has them applied already."""
    with ExitStack() as stack:

        def run(
            *, profile: str = "cxone", settled: bool = True, sandbox: Mapping[str, Any] | None = None, **settings: Any
        ) -> Quirky:
            client = Client(CLIENT, SECRET, SCOPES)
            config = SandboxConfig(token=TOKEN, profile=profile, clients=(client,), **(sandbox or {}))  # type: ignore[arg-type]
            service = service_of(stack.enter_context(SandboxServer(config)))

            def hook(seen: Seen, pass_on: PassOn) -> Answer:
                return behind.quirk(seen, pass_on)

            hop, origin = stack.enter_context(interposed(service.origin, hook))
            behind = Quirky(Workplace(tmp_path, monkeypatch), service, hop, origin)
            behind.work.environ = {"CXONE_CLIENT_ID": CLIENT, "CXONE_CLIENT_SECRET": SECRET}
            behind.settings(profile=profile)
            behind.work.write("acme/people.yaml", PEOPLE)
            behind.work.write("acme/groups.yaml", GROUPS)
            if settled:
                behind.work.converge()
            behind.settings(profile=profile, **settings)
            return behind

        yield run
