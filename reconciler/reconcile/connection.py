"""A tenant, reached: client, capabilities, snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind
from reconciler.model.state import LiveState
from reconciler.model.tenant import Tenant
from reconciler.reconcile.surroundings import PLURALS, Surroundings
from reconciler.report.values import many
from reconciler.scim.capabilities import read_capabilities
from reconciler.scim.client import ScimClient
from reconciler.scim.snapshot import read_live_state, reread_list
from reconciler.transport.opening import open_transport
from reconciler.transport.session import HttpTransport


@dataclass(frozen=True, slots=True)
class Connection:
    """What is needed to talk to one tenant; good for one run."""

    tenant: Tenant
    transport: HttpTransport
    client: ScimClient
    capabilities: Capabilities
    surroundings: Surroundings

    def read_live_state(self, *, configuration: bool) -> LiveState:
        """One snapshot. Its `requests` include those that found out the capabilities."""
        listener = self.surroundings.listener
        listener.phase_started("reading the tenant")
        live = read_live_state(
            self.client,
            self.tenant,
            self.capabilities,
            configuration=configuration,
            progress=lambda _, done, total: listener.phase_advanced(done, total),
        )
        read = (many(len(live.users), "user"), many(len(live.groups), "group"), many(self.client.requests, "request"))
        listener.phase_finished(", ".join(read))
        return live

    def reread(self, kind: Kind, live: LiveState) -> LiveState | None:
        """One list read again over a snapshot, or None where it cannot be read completely."""
        self.surroundings.listener.phase_started(f"reading {PLURALS[kind]} again")
        fresh = reread_list(self.client, self.tenant, self.capabilities, kind, live)
        self.surroundings.listener.phase_finished()
        return fresh


@contextmanager
def connect(tenant: Tenant, surroundings: Surroundings, *, read_only: bool) -> Iterator[Connection]:
    """A connection that can only read unless told otherwise (SPEC P1).

    Raises:
        ConfigurationError: a secret is missing, or the host is not bound to the tenant.
        ScimError: the service does not answer, or refuses.

    """
    with open_transport(
        tenant,
        surroundings.environ,
        surroundings.bindings,
        read_only=read_only,
        clock=surroundings.clock,
        sleep=surroundings.sleep,
        random=surroundings.random,
        on_retry=surroundings.listener.request_retried,
    ) as transport:
        client = ScimClient(transport, tenant.endpoints, tenant.dialect)
        yield Connection(tenant, transport, client, read_capabilities(client, tenant), surroundings)
