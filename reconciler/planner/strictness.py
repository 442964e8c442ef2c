"""Two tenants' settings, the stricter of each: no change can loosen what judges it (SPEC section 8). Pure.

On a pull request the other side is the target branch, at apply what the last receipt was made under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.model.state import DesiredState, Exclusive, Override
from reconciler.model.tenant import (
    GroupRemoval,
    GuardSettings,
    Limits,
    Owned,
    Ownership,
    Removal,
    ShareLimit,
    Tenant,
    UserRemoval,
)
from reconciler.planner.guarding import DEFAULT_SHARES


def stricter_tenant(head: Tenant, other: Tenant) -> Tenant:
    """The head's tenant under the stricter of both sides' guards, ownership, removal, protected and nesting limit."""
    return replace(
        head,
        guards=_guards(head.guards, other.guards),
        ownership=_ownership(head.ownership, other.ownership),
        removal=_removal(head.removal, other.removal),
        limits=_limits(head.limits, other.limits),
    )


def stricter_state(head: DesiredState, exclusives: Iterable[Exclusive]) -> DesiredState:
    """The head's documents under the policies of both sides."""
    both = {*head.exclusives, *exclusives}
    return replace(head, exclusives=tuple(sorted(both, key=lambda rule: (rule.name, rule.roles, rule.groups))))


def same_override(one: Override, other: Override) -> bool:
    """Whether two overrides say the same, wherever they stand."""
    return replace(one, source=other.source) == other


def overruled(head: Tenant, other: Tenant, where: str) -> Iterator[str]:
    """Each setting of head that does not count because the other side, which stands `where`, is stricter; in words."""
    both = stricter_tenant(head, other)
    for name, value in _SETTINGS.items():
        here, there, counted = value(head), value(other), value(both)
        if here != counted:
            yield f"{name}: {_shown(here)} here, {_shown(there)} {where}: {_shown(counted)} counts"
    if missing := [entry for entry in other.guards.protected if entry not in head.guards.protected]:
        yield f"guards.protected: {', '.join(missing)} not listed here, but {where}: protected all the same"
    before = other.ownership.unmanaged
    if added := [pattern for pattern in head.ownership.unmanaged if pattern not in before]:
        yield f"ownership.unmanaged: {', '.join(added)} not listed {where}: only what is unmanaged there, too, counts"


def overruled_policies(head: DesiredState, exclusives: Iterable[Exclusive], where: str) -> Iterator[str]:
    """Each rule of the other side, which stands `where`, that head does not have as it is there; in words."""
    names = {rule.name for rule in head.exclusives}
    for rule in sorted({*exclusives} - {*head.exclusives}, key=lambda rule: (rule.name, rule.roles, rule.groups)):
        what = "another rule here than" if rule.name in names else "not here, but"
        yield f"policy {rule.name}: {what} {where}: it counts as it is there, too"


def _shown(value: object) -> str:
    return "no limit" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _limit(guard: str, half: str) -> Callable[[Tenant], object]:
    return lambda tenant: getattr(tenant.guards.share(guard, DEFAULT_SHARES[guard]), half)


_SETTINGS: Mapping[str, Callable[[Tenant], object]] = {
    **{f"guards.{guard}.{half}": _limit(guard, half) for guard in DEFAULT_SHARES for half in ("percent", "max")},
    "guards.minimum-members": lambda tenant: tenant.guards.minimum_members,
    "ownership.users": lambda tenant: tenant.ownership.users,
    "ownership.groups": lambda tenant: tenant.ownership.groups,
    "removal.users": lambda tenant: tenant.removal.users,
    "removal.groups": lambda tenant: tenant.removal.groups,
    "removal.deleteAfter": lambda tenant: tenant.removal.delete_after_days,
    "limits.nestedGroupDepth": lambda tenant: tenant.limits.nested_group_depth,
}
"""What has a stricter side and is one value, by the name that tenant.yaml has for it."""


def _guards(head: GuardSettings, other: GuardSettings) -> GuardSettings:
    return GuardSettings(
        shares={guard: _share(guard, head, other) for guard in DEFAULT_SHARES},
        protected=tuple(dict.fromkeys((*head.protected, *other.protected))),
        minimum_members=max(head.minimum_members, other.minimum_members),
    )


def _share(guard: str, *sides: GuardSettings) -> ShareLimit:
    shares = [side.share(guard, DEFAULT_SHARES[guard]) for side in sides]
    return ShareLimit(
        percent=min((s.percent for s in shares if s.percent is not None), default=None),
        max=min((s.max for s in shares if s.max is not None), default=None),
    )


def _ownership(head: Ownership, other: Ownership) -> Ownership:
    """Everything is owned where either side says so; unmanaged is only what both sides say is."""
    return Ownership(
        users=Owned.ALL if Owned.ALL in {head.users, other.users} else Owned.DECLARED,
        groups=Owned.ALL if Owned.ALL in {head.groups, other.groups} else Owned.DECLARED,
        unmanaged=head.unmanaged,
        unmanaged_before=other.unmanaged,
    )


def _removal(head: Removal, other: Removal) -> Removal:
    """Where the sides differ: a person who left loses access and keeps the account, a group stays."""
    if head.users is not other.users:
        users, days = UserRemoval.DEACTIVATE, None
    else:
        users = head.users
        waits = [days for days in (head.delete_after_days, other.delete_after_days) if days is not None]
        days = max(waits, default=None)
    groups = head.groups if head.groups is other.groups else GroupRemoval.KEEP
    return Removal(users=users, groups=groups, delete_after_days=days)


def _limits(head: Limits, other: Limits) -> Limits:
    return replace(head, nested_group_depth=min(head.nested_group_depth, other.nested_group_depth))
