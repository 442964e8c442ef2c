"""What decides about every change of a plan alike: the tenant's wishes and what its service can do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.change import Precondition, PreconditionKind
from reconciler.model.plan import Capabilities
from reconciler.model.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about every change alike."""

    tenant: Tenant
    capabilities: Capabilities

    def precondition(self, version: str | None) -> Precondition:
        """The strongest guard a resource can have: its version, else a comparison just before the write (P3)."""
        if version and self.capabilities.etag and self.tenant.dialect.etag != "off":
            return Precondition(PreconditionKind.VERSION, version)
        return Precondition(PreconditionKind.COMPARE)
