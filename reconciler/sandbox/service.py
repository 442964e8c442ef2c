"""The parts of one running tenant, put together once and handed to every request."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.sandbox.authentication import Tokens
from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.directory import Directory
from reconciler.sandbox.faults import Faults
from reconciler.sandbox.jobs import Jobs
from reconciler.sandbox.licences import Licences
from reconciler.sandbox.listing import Lister
from reconciler.sandbox.provider import Provider
from reconciler.sandbox.rate_limit import RateLimit
from reconciler.sandbox.request_log import RequestLog
from reconciler.sandbox.store import Store


@dataclass(frozen=True, slots=True)
class Service:
    """Everything a handler may need."""

    config: SandboxConfig
    store: Store
    directory: Directory
    lister: Lister
    provider: Provider
    jobs: Jobs
    log: RequestLog
    faults: Faults
    rate_limit: RateLimit
    licences: Licences
    tokens: Tokens

    def reset(self) -> None:
        """Empty the tenant, its jobs and the request log; faults and rate begin to count again."""
        with self.store.lock:
            self.store.clear()
            self.reload()
        self.log.clear()
        self.faults.restart()
        self.rate_limit.forget()

    def reload(self) -> None:
        """Read again what is kept outside the store, after the store lost something."""
        with self.store.lock:
            self.jobs.reload()
            self.provider.reload()


def open_service(config: SandboxConfig) -> Service:
    """Open the database of `config` and build the service on it."""
    store = Store(config.data)
    directory = Directory(store, config)
    return Service(
        config=config,
        store=store,
        directory=directory,
        lister=Lister(store, config),
        provider=Provider(store, config),
        jobs=Jobs(store, directory, config),
        log=RequestLog(),
        faults=Faults(config.faults),
        rate_limit=RateLimit(config.rate, config.clock),
        licences=Licences(store, config),
        tokens=Tokens(config),
    )
