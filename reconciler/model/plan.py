"""The plan as a value: what would be done to one tenant, what it was computed from, and what the guards say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind

PLAN_FORMAT_VERSION = "1.0"


class Selection(StrEnum):
    """Which part of what git wants a plan is about.

    REVOKE: deactivations, and removals of memberships, roles and entitlements. SAFE: everything that takes nothing away
    and needs nothing that does. HELD: the rest of SAFE.
    """

    ALL = "all"
    REVOKE = "revoke"
    SAFE = "safe"
    HELD = "held"


class Verdict(StrEnum):
    """What a guard says about a plan."""

    PASS = "pass"  # noqa: S105 -- a verdict, no password
    REFUSE = "refuse"
    OVERRIDDEN = "overridden"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """One guard's answer. `count` is what it counted and `limit` what it admits, where it counts at all.

    `override` is the place (file:line) of the Override document that let it pass, None where none did.
    """

    id: str
    verdict: Verdict
    detail: str
    count: int | None = None
    limit: int | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a reviewer should know that is no change: asserted drift, a warning, an existing violation."""

    code: str
    message: str
    key: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class AccessChange:
    """One user and one group whose effective membership changes; `via` names the nested groups on the path, if any."""

    user: str
    group: str
    via: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who gains and who loses effective membership in which group."""

    gains: tuple[AccessChange, ...] = ()
    losses: tuple[AccessChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the plan was read from. `requests` counts what planning sent; `reason` says why it is not complete.

    `managed_*` count the live resources that git declares; the shares of guards are of them.
    """

    users: int
    groups: int
    managed_users: int = 0
    managed_groups: int = 0
    requests: int
    complete: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the service can do, as announced and as found out. None means that it did not say.

    `versions_in_doubt` says that versions are announced, and that no write has shown yet whether they are heeded.
    """

    bulk: bool = False
    max_operations: int | None = None
    max_payload_bytes: int | None = None
    patch: bool = True
    etag: bool = True
    filter: bool = True
    max_results: int | None = None
    sort: bool = False
    cursor: bool = False
    versions_in_doubt: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The licences of a tenant: how many there are, and how many are used."""

    total: int
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What applying the plan sends when nothing fails, proof included, and the seconds the rate limit asks for."""

    requests: int = 0
    seconds: int = 0
    seats: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredRevision:
    """The git revision the desired state was read from; all None outside a checkout. `base` comes with the ledger."""

    commit: str | None = None
    tree: str | None = None
    dirty: bool | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts over the plan. `memberships_*` count single memberships, those of created groups included."""

    create: int = 0
    update: int = 0
    deactivate: int = 0
    reactivate: int = 0
    delete: int = 0
    unchanged: int = 0
    unmanaged: int = 0
    memberships_added: int = 0
    memberships_removed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """Which live ids git has a say about, for the memory of the run; it is no part of what is approved or saved.

    `declared` are those that git declares, `former` those that it declared before or whose membership it stated, and
    does not any more. `waiting` are those of which something may be left to do that the plan does not hold: the service
    does not show enough, or only a part of the plan was asked for. `unplanned` counts what is left besides: what git
    gave up and an incomplete list does not show, and what was not asked for.
    """

    declared: Mapping[Kind, frozenset[str]] = field(default_factory=dict)
    former: Mapping[Kind, frozenset[str]] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    unplanned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Changes in the order in which they take effect, and all that a reviewer needs to judge them.

    `care` is there in a plan that was made from the desired state, and None in one that comes from a file.
    """

    tool: str
    tenant: str
    target: str
    created_at: str
    desired: DesiredRevision
    inventory: Inventory
    capabilities: Capabilities
    summary: Summary
    changes: tuple[Change, ...]
    access: Access = field(default_factory=Access)
    findings: tuple[Finding, ...] = ()
    guards: tuple[GuardVerdict, ...] = ()
    estimate: Estimate = field(default_factory=Estimate)
    digest: str = ""
    care: Care | None = field(default=None, compare=False, repr=False)

    @property
    def refused_by(self) -> tuple[GuardVerdict, ...]:
        """The guards that refuse this plan."""
        return tuple(guard for guard in self.guards if guard.verdict is Verdict.REFUSE)

    def count(self, kind: Kind, *actions: Action) -> int:
        """How many changes of one kind have one of the actions."""
        return sum(1 for change in self.changes if change.key.kind is kind and change.action in actions)

    def actions(self) -> Counter[tuple[Kind, Action]]:
        """How often each action is planned for each kind."""
        return Counter((change.key.kind, change.action) for change in self.changes)


PlanDocument = dict[str, Any]
"""A plan as JSON, by schemas/plan.schema.json."""
