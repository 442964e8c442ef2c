"""What becomes of people and groups that git declared and does not declare any more (SPEC sections 3 and 4). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from reconciler.model.change import Action, AttributeChange, Change, Reason
from reconciler.model.plan import Finding
from reconciler.model.resource import LiveGroup, LiveUser, unpack
from reconciler.model.state import BaseState, LiveState, Standing
from reconciler.model.tenant import GroupRemoval, Owned, People, UserRemoval
from reconciler.planner.diff import Named, modification
from reconciler.planner.history import History
from reconciler.planner.membership import is_unmanaged
from reconciler.planner.references import Directory
from reconciler.planner.rules import Rules
from reconciler.planner.withdrawal import withdraw_access

Live = TypeVar("Live", LiveUser, LiveGroup)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removing:
    """What removals depend on. `now` is an RFC 3339 timestamp; `matched` are the live ids that git declares."""

    base: BaseState
    history: History
    live: LiveState
    directory: Directory
    matched: Collection[str]
    rules: Rules
    now: str

    def is_ours(self, identifier: str, owner: Owned, declared: Collection[str]) -> bool:
        """Whether git may take this resource away: it declared it, or owns everything; and it does not any more."""
        if identifier in self.matched or (identifier not in declared and owner is not Owned.ALL):
            return False
        return not is_unmanaged(identifier, self.directory, self.rules.tenant.ownership)


def remove_orphans(removing: Removing) -> tuple[list[Change], list[Finding]]:
    """Changes and findings for every resource that is git's and not declared any more; none without a usable base."""
    if removing.base.standing is not Standing.USABLE:
        return [], []
    tenant, history = removing.rules.tenant, removing.history
    changes: dict[str, Change] = {}
    findings: list[Finding] = []
    for user in _orphans(removing.live.users.values(), removing, tenant.ownership.users, history.users):
        change = _without_user(user, removing)
        if change is not None:
            changes[user.id] = change
    for group in _orphans(removing.live.groups.values(), removing, tenant.ownership.groups, history.groups):
        if tenant.removal.groups is GroupRemoval.DELETE:
            changes[group.id] = _deletion(group, removing)
    waits = tenant.removal.users is UserRemoval.DELETE and tenant.removal.delete_after_days is not None
    if tenant.people is People.MANAGED and waits:
        due, findings = _released(removing)
        changes |= due
    return list(changes.values()), findings


def _orphans(resources: Iterable[Live], removing: Removing, owner: Owned, declared: Collection[str]) -> list[Live]:
    return [resource for resource in resources if removing.is_ours(resource.id, owner, declared)]


def _without_user(user: LiveUser, removing: Removing) -> Change | None:
    tenant, pasts = removing.rules.tenant, removing.history.users.get(user.id, ())
    removal = UserRemoval.KEEP if tenant.people is People.EXTERNAL else tenant.removal.users
    if removal is UserRemoval.DELETE and tenant.removal.delete_after_days is None:
        return _deletion(user, removing)
    changes: list[AttributeChange] = list(withdraw_access(unpack(user.body), pasts, tenant.equivalences))
    if removal is not UserRemoval.KEEP and user.active is not False:
        changes.append(AttributeChange("active", user.active, after=False))
    if not changes:
        return None
    source = pasts[-1].document.source if pasts else None
    return modification(Named(user.key, source), user, changes, Reason.REMOVED, removing.rules)


def _deletion(resource: LiveUser | LiveGroup, removing: Removing) -> Change:
    pasts = removing.history.of(resource.id)
    return Change(
        key=resource.key,
        action=Action.DELETE,
        reason=Reason.REMOVED,
        source=pasts[-1].document.source if pasts else None,
        anchor=resource.anchor,
        id=resource.id,
        precondition=removing.rules.precondition(resource.version),
        reversible=False,
    )


def _released(removing: Removing) -> tuple[dict[str, Change], list[Finding]]:
    """Users whom git took out earlier: deleted once `deleteAfter` is over, unless somebody reactivated them."""
    changes: dict[str, Change] = {}
    findings: list[Finding] = []
    wait = timedelta(days=removing.rules.tenant.removal.delete_after_days or 0)
    for identifier, since in sorted(removing.base.released.items()):
        user = removing.live.users.get(identifier)
        if user is None or not removing.is_ours(identifier, Owned.ALL, ()):
            continue
        if user.active is not False:
            message = f"git took this user out on {since[:10]}, and somebody reactivated them since: not deleted"
            findings.append(Finding(code="deletion-cancelled", message=message, key=str(user.key)))
        elif datetime.fromisoformat(since) + wait <= datetime.fromisoformat(removing.now):
            changes[user.id] = _deletion(user, removing)
        else:
            day = (datetime.fromisoformat(since) + wait).date().isoformat()
            message = f"deactivated on {since[:10]}, will be deleted on {day}"
            findings.append(Finding(code="deletion-pending", message=message, key=str(user.key)))
    return changes, findings
