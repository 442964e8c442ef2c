"""Guards that need to know what git declared before: mass removals, recycled identities, undone suspensions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.messages.operations import access_values
from reconciler.model.change import Action, Change
from reconciler.model.resource import DesiredUser, Kind, LiveUser, unpack
from reconciler.model.state import Standing
from reconciler.model.tenant import Owned
from reconciler.planner.guarding import (
    SHARE_FLOOR,
    Count,
    GuardInputs,
    examples,
    limit_of,
    many,
    removal_limit,
    removed,
)
from reconciler.semantics.canonical import fold, value_at

_CHURN = 2
"""How many times what `removal-share` admits may go within a day (SPEC section 8)."""


def no_base(inputs: GuardInputs) -> Count:
    """What git declared before has to be known, or be nothing (SPEC section 6)."""
    if inputs.base.standing is Standing.UNUSABLE:
        return Count(1, 0, inputs.base.detail)
    return Count(
        0, 0, inputs.base.detail if inputs.base.standing is not Standing.USABLE else "what git declared is known"
    )


def empty_desired(inputs: GuardInputs) -> Count:
    """Git declares nothing of a kind of which it declared some before, or of which all live ones are said to be its."""
    owned, first = inputs.tenant.ownership, inputs.base.states[:1]
    before = {
        Kind.USER: any(state.users for state in first),
        Kind.GROUP: any(state.groups for state in first),
    }
    problems = []
    for kind, owner, count in (
        (Kind.USER, owned.users, len(inputs.live.users)),
        (Kind.GROUP, owned.groups, len(inputs.live.groups)),
    ):
        if inputs.declared[kind]:
            continue
        if before[kind]:
            problems.append(f"git declares no {kind.value} any more")
        elif owner is Owned.ALL and count:
            problems.append(f"git declares no {kind.value} although `ownership` claims all {count} live ones")
    return Count(len(problems), 0, "; ".join(problems) or "git declares something of every kind it owns")


def missing_share(inputs: GuardInputs) -> Count:
    """Much of what git declared before is not there any more: it may be the wrong tenant."""
    found: list[Count] = []
    for kind in (Kind.USER, Kind.GROUP):
        gone = sorted(name for of, name in inputs.history.gone if of is kind)
        known = len(inputs.history.users if kind is Kind.USER else inputs.history.groups) + len(gone)
        limit = limit_of(inputs.share("missing-share"), known, SHARE_FLOOR)
        detail = f"{len(gone)} of {known} {kind.value}s that git declared before are not in the tenant{examples(gone)}"
        found.append(Count(len(gone), limit, detail))
    return worst_of(found)


def churn(inputs: GuardInputs) -> Count:
    """Many small runs may not remove what one run may not (SPEC section 8)."""
    found: list[Count] = []
    for kind in (Kind.USER, Kind.GROUP):
        now, before = len(removed(inputs, kind)), inputs.base.recent_removals.get(kind, 0)
        limit = _CHURN * removal_limit(inputs, kind)
        count = now + before if now and before else 0  # what one run removes is the business of removal-share
        detail = f"{now} {kind.value}s would be removed, after {before} in the last 24 hours"
        found.append(Count(count, limit, detail))
    return worst_of(found)


def worst_of(counts: Sequence[Count]) -> Count:
    """The first that is over its limit, else the one that counted most."""
    over = [count for count in counts if count.count > count.limit]
    return over[0] if over else max(counts, key=lambda count: count.count)


def identity_reuse(inputs: GuardInputs) -> Count:
    """A recycled name or address would inherit somebody else's access."""
    problems: set[str] = set()
    holders, known = _holders(inputs), _known_holders(inputs)
    for change in inputs.changes:
        if change.key.kind is not Kind.USER:
            continue
        values = {attribute.path: attribute for attribute in change.attributes}
        user = inputs.live.users.get(change.id or "")
        external = values.get("externalId")
        if user is not None and external is not None and external.after is not None:
            problems |= _landing(change, user, external.after, inputs)
        if user is not None and "userName" in values:
            problems |= _renamed(change, user, inputs)
        own = external.after if external is not None else user.external_id if user is not None else None
        problems |= _taken(change, own, holders)
        problems |= {
            f"{identifier} was externalId {former}'s and would pass to {change.key.name}"
            for identifier in _new_identifiers(change)
            for former in sorted(known.get(identifier, set()))
            if own is not None and former != own
        }
    detail = f"{many(problems, 'identity', 'identities')} would pass to somebody else"
    return Count(len(problems), 0, detail + examples(problems))


def _renamed(change: Change, user: LiveUser, inputs: GuardInputs) -> set[str]:
    """A live user is about to get another userName: `previously` may name only who git knows to be that person."""
    if (Kind.USER, fold(change.key.name)) in inputs.history.gone:
        return {f"{change.key.name} was somebody else in git and would take over {user.user_name}"}
    known = inputs.base.standing is not Standing.USABLE or user.id in inputs.history.users
    if known or user.id in inputs.base.released:
        return set()
    return {f"{user.user_name} is nobody whom git declared before, and {change.key.name} would take over the account"}


def _landing(change: Change, user: LiveUser, external_id: str, inputs: GuardInputs) -> set[str]:
    """An externalId is about to be written to a live user: only to the person whom git knows there."""
    name = change.key.name
    if user.external_id is not None:
        return {f"{name} has another externalId ({user.external_id})"}
    if user.id in inputs.base.released:
        return {f"{name} was taken out of git and would be adopted by userName alone"}
    documents = [past.document for past in inputs.history.users.get(user.id, ())]
    if any(
        document.external_id == external_id or (document.external_id is None and fold(document.key.name) == fold(name))
        for document in documents
    ):
        return set()
    if documents:
        return {f"git knew {documents[-1].key.name} there, and {name} would take over the account"}
    if user.active is False:
        return {f"{name} is inactive and would be adopted by userName alone"}
    if inputs.base.standing is Standing.USABLE:
        return {f"{name} is nobody whom git declared before, and would be adopted by userName alone"}
    return set()


def _known_holders(inputs: GuardInputs) -> Mapping[str, set[str]]:
    """Under which externalIds git knew each userName and e-mail address that the plan gives to somebody."""
    wanted: set[str] = set()
    for change in inputs.changes:
        if change.key.kind is Kind.USER:
            wanted |= _new_identifiers(change)
    known: dict[str, set[str]] = {}
    for state in inputs.base.states if wanted else ():
        for user in state.users:
            if user.external_id is not None:
                for identifier in _identifiers(user) & wanted:
                    known.setdefault(identifier, set()).add(user.external_id)
    return known


def _identifiers(user: DesiredUser) -> set[str]:
    known = {fold(user.user_name)}
    if b'"emails"' in user.body:
        known |= access_values(unpack(user.body).get("emails"))
    return known


def _new_identifiers(change: Change) -> set[str]:
    """The userName and e-mail addresses that a change brings, folded."""
    new: set[str] = set()
    for attribute in change.attributes:
        if attribute.path == "userName" and isinstance(attribute.after, str):
            new.add(fold(attribute.after))
        elif attribute.path == "emails":
            new |= access_values(attribute.after) - access_values(attribute.before)
    return new


def _holders(inputs: GuardInputs) -> dict[str, list[LiveUser]]:
    """Who has each of the identifiers that the plan gives to somebody; empty where nothing is given."""
    wanted: set[str] = set()
    for change in inputs.changes:
        if change.key.kind is Kind.USER:
            wanted |= _new_identifiers(change)
    holders: dict[str, list[LiveUser]] = {}
    for user in inputs.live.users.values() if wanted else ():
        known = {fold(user.user_name)}
        if b'"emails"' in user.body:
            known |= access_values(value_at(unpack(user.body), "emails"))
        for identifier in known & wanted:
            holders.setdefault(identifier, []).append(user)
    return holders


def _taken(change: Change, own: str | None, holders: Mapping[str, Sequence[LiveUser]]) -> set[str]:
    """Identifiers that a live user under another externalId has."""
    return {
        f"{identifier} belongs to externalId {holder.external_id} and would pass to {change.key.name}"
        for identifier in _new_identifiers(change)
        for holder in holders.get(identifier, ())
        if holder.id != change.id and holder.external_id is not None and holder.external_id != own
    }


def drifted_reactivation(inputs: GuardInputs) -> Count:
    """Somebody suspended the user in the tenant, and git did not change its mind since."""
    names = [change.key.name for change in inputs.user_changes(Action.REACTIVATE) if not _git_meant_it(change, inputs)]
    return Count(len(names), 0, f"{many(names, 'inactive user')} would be reactivated{examples(names)}")


def _git_meant_it(change: Change, inputs: GuardInputs) -> bool:
    """Whether git took the user out, or declared it inactive, and has now changed that."""
    identifier = change.id or ""
    if inputs.base.standing is not Standing.USABLE:
        return False
    if identifier in inputs.base.released or identifier in inputs.history.skipped:
        return True
    documents = [past.document for past in inputs.history.users.get(identifier, ())]
    return any(isinstance(document, DesiredUser) and document.active is False for document in documents)
