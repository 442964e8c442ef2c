"""What the guards are given and what they answer; the arithmetic of shares. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.messages.operations import access_values
from reconciler.model.change import Action, Change
from reconciler.model.plan import Access
from reconciler.model.resource import Kind, LiveUser, unpack
from reconciler.model.state import BaseState, Exclusive, LiveState
from reconciler.model.tenant import ShareLimit, Tenant
from reconciler.planner.access import AccessGraph
from reconciler.planner.history import History
from reconciler.planner.references import Directory, Target

DEFAULT_SHARES: Mapping[str, ShareLimit] = {
    "removal-share": ShareLimit(percent=10, max=25),
    "access-loss": ShareLimit(percent=10, max=100),
    "membership-share": ShareLimit(percent=50, max=None),
    "update-share": ShareLimit(percent=10, max=200),
    "missing-share": ShareLimit(percent=10, max=None),
}
SHARE_FLOOR = 5
_EXAMPLES = 3
_SMALL_FOR_REMOVALS = 10


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one user holds beside groups: folded roles and entitlements, effective (none while inactive)."""

    roles: frozenset[str] = frozenset()
    entitlements: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardInputs:
    """What the guards judge: the changes, and the world before and after them.

    `managed` counts the live resources of each kind that git declares, now or in the base. `holdings` has
    (before, after) for every user with a change. `declared` counts what git declares of each kind. `own_account` is how
    the reconciler signs in, where that is a name; `minutes` what the plan is estimated to take, `max_minutes` what it
    may take. `seats` are the licences used now, at the peak and in all, where known. `leaving` are the members,
    each as `<label> of <group>`, whom git never named and who leave a group although names of it are pending.
    """

    tenant: Tenant
    changes: Sequence[Change]
    live: LiveState
    directory: Directory
    targets: Mapping[str, Target]
    graph: AccessGraph
    access: Access
    managed: Mapping[Kind, int]
    declared: Mapping[Kind, int]
    exclusives: Sequence[Exclusive]
    leaving: Sequence[str] = ()
    base: BaseState = field(default_factory=BaseState)
    history: History = field(default_factory=History)
    own_account: str | None = None
    seats: Mapping[str, int] | None = None
    minutes: int = 0
    max_minutes: int | None = None
    holdings: Mapping[Target, tuple[Holdings, Holdings]] = field(default_factory=dict)

    def share(self, guard: str) -> ShareLimit:
        """The tenant's limit for a guard, each half of it defaulting to SPEC section 8."""
        return self.tenant.guards.share(guard, DEFAULT_SHARES[guard])

    def user_changes(self, *actions: Action) -> list[Change]:
        """The changes of users with one of the actions."""
        return [c for c in self.changes if c.key.kind is Kind.USER and c.action in actions]


@dataclass(frozen=True, slots=True)
class Count:
    """What a guard found: how many, how many it admits, and what they are."""

    count: int
    limit: int
    detail: str


Guard = Callable[[GuardInputs], Count]


def holdings_of(changes: Sequence[Change], live: LiveState) -> dict[Target, tuple[Holdings, Holdings]]:
    """Before and after for every user with a change; an inactive user holds nothing effectively."""
    holdings: dict[Target, tuple[Holdings, Holdings]] = {}
    for change in changes:
        if change.key.kind is not Kind.USER:
            continue
        user = live.users.get(change.id) if change.id is not None else None
        after = {attribute.path: attribute.after for attribute in change.attributes}
        was_active = user is not None and user.active is not False
        is_active = after.get("active", was_active) is not False and change.action is not Action.DELETE
        held = held_by(user) if user is not None else Holdings()
        future = Holdings(
            access_values(after["roles"]) if "roles" in after else held.roles,
            access_values(after["entitlements"]) if "entitlements" in after else held.entitlements,
        )
        holdings[change.id or change.key] = (held if was_active else Holdings(), future if is_active else Holdings())
    return holdings


def held_by(user: LiveUser) -> Holdings:
    """The roles and entitlements in a live user's attributes, whether active or not."""
    body = unpack(user.body)
    return Holdings(access_values(body.get("roles")), access_values(body.get("entitlements")))


def limit_of(share: ShareLimit, managed: int, floor: int) -> int:
    """The most that a share guard admits: its percentage, at least the floor, at most the absolute cap."""
    percent = math.floor(managed * (share.percent if share.percent is not None else 100) / 100)
    admitted = max(floor, percent)
    return admitted if share.max is None else min(admitted, share.max)


def removal_limit(inputs: GuardInputs, kind: Kind) -> int:
    """How many of a kind may go at once (guard `removal-share`, SPEC section 8)."""
    managed = inputs.managed[kind]
    floor = 1 if managed < _SMALL_FOR_REMOVALS else SHARE_FLOOR
    return limit_of(inputs.share("removal-share"), managed, floor)


def removed(inputs: GuardInputs, kind: Kind) -> list[Change]:
    """The deactivations and deletions of a kind."""
    return [c for c in inputs.changes if c.key.kind is kind and c.action in {Action.DEACTIVATE, Action.DELETE}]


def many(items: Collection[object], one: str, several: str = "") -> str:
    """How many there are, in words."""
    return f"{len(items)} {one if len(items) == 1 else several or one + 's'}"


def examples(names: Iterable[str]) -> str:
    """The first few, as the end of a sentence."""
    listed = sorted(names)
    if not listed:
        return ""
    more = f" and {len(listed) - _EXAMPLES} more" if len(listed) > _EXAMPLES else ""
    return f": {', '.join(listed[:_EXAMPLES])}{more}"
