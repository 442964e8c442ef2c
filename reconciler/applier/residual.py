"""What is not as declared after a change was applied, attribute by attribute: what it looks like, and what to do. Pure.

A service answers with success and holds something else (scim-rfc.md Q5, Q6, Q12, Q16, Q20, Q25, Q31). What was there
before, what was sent and what came back tell the cases apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.applier.conflict import WHOLE_RESOURCE
from reconciler.messages.operations import NAMED_BY, Sending
from reconciler.model.change import Action, AttributeChange, Change
from reconciler.model.dialect import Update
from reconciler.model.outcome import Residual, ResidualCause
from reconciler.model.resource import ENTERPRISE_SCHEMA, Kind, LiveGroup, LiveUser
from reconciler.semantics.canonical import MANAGER_PATH, Equality, Equivalences, compare, fold, is_unassigned, unmatched
from reconciler.semantics.equivalences import is_alike, learn

_NEVER_EQUIVALENT = frozenset({"active", MANAGER_PATH, "roles", "roles.value", "entitlements", "entitlements.value"})
"""A pair here would keep somebody from ever being suspended, compare names where ids are stored, or let one right pass
for another, which policies and protected lists know by its name in git."""

Pairs = Mapping[str, tuple[tuple[Any, Any], ...]]


@dataclass(frozen=True, slots=True)
class Sent:
    """How this run writes to the service: `patch` says whether the service takes PATCH at all."""

    sending: Sending
    patch: bool
    equivalences: Equivalences

    def put(self, kind: Kind) -> bool:
        """Whether an update of this kind is a PUT."""
        return self.sending.update(kind) is Update.PUT


def residuals_of(
    left: Change, change: Change, now: LiveUser | LiveGroup | None, sent: Sent, *, members_shown: bool
) -> Iterator[Residual]:
    """The residuals of one applied change.

    `left` is what is still to do: a CREATE where planning again does not recognise what was written, so that it would
    write it once more. `change` is what was carried out, `now` the resource as it was read afterwards. `members_shown`
    says whether any group of the tenant shows a member.
    """
    if change.action is Action.DELETE:
        yield Residual(
            key=str(change.key),
            path=WHOLE_RESOURCE,
            expected="deleted",
            found="still there",
            cause=ResidualCause.NOT_CHANGED,
            advice=_NOT_DELETED,
        )
        return
    recognised = left.action is not Action.CREATE
    before = {item.path: item for item in change.attributes}
    for item in left.attributes if now is not None else ():
        yield _of_attribute(item, before.get(item.path), change, sent, recognised=recognised)
    if now is not None:
        yield from _of_members(left, change, now, sent, members_shown=members_shown)
    if now is None or not (left.attributes or left.members):
        created = change.action is Action.CREATE
        yield Residual(
            key=str(change.key),
            path=WHOLE_RESOURCE,
            expected="there",
            found="not found",
            cause=ResidualCause.NOT_FOUND if created else ResidualCause.NOT_WRITTEN,
            advice=_NOT_FOUND if created else _NOT_WRITTEN,
        )


def _of_attribute(
    item: AttributeChange, before: AttributeChange | None, change: Change, sent: Sent, *, recognised: bool
) -> Residual:
    path, wanted, found = item.path, item.after, item.before
    pairs: Pairs = learn(path, wanted, found, sent.equivalences)
    if before is None and change.action is not Action.CREATE:
        cause = ResidualCause.NOT_WRITTEN
    else:
        cause = _cause(path, wanted, found, None if before is None else before.before, pairs)
    if cause not in {ResidualCause.REWRITTEN, ResidualCause.NOT_CHANGED} or not _NEVER_EQUIVALENT.isdisjoint(pairs):
        pairs = {}
    advice = _advice(cause, path, change, sent, curable=bool(pairs))
    if not recognised and _tells_who(path, wanted, found, change.key.kind):
        advice += _CREATED_AGAIN
    return Residual(
        key=str(change.key),
        path=path,
        expected=wanted,
        found=found,
        cause=cause,
        advice=advice,
        equivalences=pairs,
    )


def _tells_who(path: str, wanted: Any, found: Any, kind: Kind) -> bool:
    """Whether planning again does not recognise the resource because of this attribute."""
    if path == NAMED_BY[kind]:
        return not isinstance(wanted, str) or not isinstance(found, str) or fold(wanted) != fold(found)
    return path == "externalId"


def _cause(path: str, wanted: Any, found: Any, before: Any, pairs: Pairs) -> ResidualCause:
    if is_unassigned(found):
        return ResidualCause.NOT_STORED
    unchanged = not is_unassigned(before) and compare(path, before, found, {}) is not Equality.DIFFERENT
    if is_unassigned(wanted):
        return ResidualCause.NOT_CLEARED if unchanged else ResidualCause.REWRITTEN
    if isinstance(wanted, list):
        missing, surplus = unmatched(path, wanted, found if isinstance(found, list) else [], {})
        if not surplus:
            return ResidualCause.CUT_SHORT
        if not missing:
            return ResidualCause.NOT_CLEARED
    tidied = bool(pairs) and all(is_alike(sent, stored) for each in pairs.values() for sent, stored in each)
    return ResidualCause.NOT_CHANGED if unchanged and not tidied else ResidualCause.REWRITTEN


def _of_members(
    left: Change, change: Change, now: LiveUser | LiveGroup, sent: Sent, *, members_shown: bool
) -> Iterator[Residual]:
    visible = isinstance(now, LiveGroup) and now.members is not None and (bool(now.members) or members_shown)
    key, path = str(change.key), "members"
    for label in left.members.added:
        cause = ResidualCause.MEMBERS_NOT_ADDED if visible else ResidualCause.MEMBERS_NOT_SHOWN
        if visible and label not in change.members.added:
            cause = ResidualCause.NOT_WRITTEN
        advice = _advice(cause, path, change, sent)
        yield Residual(key=key, path=path, expected=label, found=None, cause=cause, advice=advice)
    for label in left.members.removed:
        ours = label in change.members.removed
        cause = ResidualCause.MEMBERS_NOT_REMOVED if ours else ResidualCause.NOT_WRITTEN
        advice = _advice(cause, path, change, sent)
        yield Residual(key=key, path=path, expected=None, found=label, cause=cause, advice=advice)


def _advice(cause: ResidualCause, path: str, change: Change, sent: Sent, *, curable: bool = False) -> str:
    """What to do, in plain words; no value is quoted."""
    kind = change.key.kind
    switch = "userUpdate" if kind is Kind.USER else "groupUpdate"
    created, put = change.action is Action.CREATE, sent.put(kind)
    other = f"`dialect: {{{switch}: patch}}`" if put else f"`dialect: {{{switch}: put}}`"
    can_switch = not created and (sent.patch or not put)
    match cause:
        case ResidualCause.REWRITTEN:
            line = "add its line to equivalences, or " if curable else ""
            return f"the service makes another value of it: {line}write it in git as the service has it"
        case ResidualCause.NOT_STORED:
            return _NOT_STORED.get(path, _not_stored(path))
        case ResidualCause.NOT_CHANGED:
            line = "; if it makes this of it each time, its line in equivalences says so" if curable else ""
            return (
                "the service says that it wrote it and keeps what it had: it may not let it be changed, or derive it "
                f"from other attributes. Write it in git as the service has it, or do not declare it{line}"
            )
        case ResidualCause.NOT_CLEARED if can_switch:
            does = "its PUT adds to what is there instead of replacing it" if put else "its PATCH does not clear it"
            return f"the service keeps what git wants gone; it looks as if {does}: try {other}"
        case ResidualCause.NOT_CLEARED:
            return (
                "the service keeps what git wants gone, and nothing else clears it there: "
                "write it in git as the service has it, or do not declare it"
            )
        case ResidualCause.CUT_SHORT:
            return "the service keeps fewer values than were sent: declare only those it keeps"
        case ResidualCause.MEMBERS_NOT_SHOWN if put and not created:
            remedy = f"{other} only adds" if sent.patch else "manage the members where the service itself lets you"
            return f"{_MEMBERS_NOT_SHOWN}. A PUT may leave nobody in it but those that git states: {remedy}"
        case ResidualCause.MEMBERS_NOT_SHOWN:
            return f"{_MEMBERS_NOT_SHOWN}. Each run adds them again, which is harmless; nobody is ever removed"
        case ResidualCause.MEMBERS_NOT_ADDED if created:
            return "the service takes no members with a create: apply again, which adds them to the group that is there"
        case ResidualCause.MEMBERS_NOT_ADDED | ResidualCause.MEMBERS_NOT_REMOVED:
            does = "adds nobody" if cause is ResidualCause.MEMBERS_NOT_ADDED else "removes nobody"
            verb = "PUT" if put else "PATCH"
            remedy = f"try {other}" if can_switch else "change its members where the service itself lets you"
            return f"the service says that it wrote the members, and its {verb} {does}: {remedy}"
        case _:
            return _NOT_WRITTEN


def _not_stored(path: str) -> str:
    if path.startswith("urn:") and not path.startswith(ENTERPRISE_SCHEMA):
        return "the service does not keep attributes of this extension: do not declare them for this tenant"
    return "the service takes it and keeps nothing of it: do not declare it for this tenant"


_CREATED_AGAIN = "; do so before the next apply, which would not recognise it and create it once more"
_NOT_FOUND = (
    "the service says that it was created and does not show it: it may be slow; plan again later, and ask whoever runs "
    "the service before applying again"
)
_NOT_DELETED = "the service says that it deleted it and still shows it: look there whether it can be deleted at all"
_NOT_WRITTEN = (
    "this run did not write it: somebody else changed it meanwhile, or the service does so when something else is "
    "written. Plan again"
)
_NOT_STORED: Mapping[str, str] = {
    "externalId": "the service keeps no externalId: do not declare it for this tenant; who is who is then told by name",
    "active": (
        "the service does not show who is inactive: nothing proves that the person is, and each run suspends the "
        "person again, which is harmless"
    ),
    "roles": "the service keeps no roles: do not declare them for this tenant",
    "entitlements": "the service keeps no entitlements: do not declare them for this tenant",
}
_MEMBERS_NOT_SHOWN = (
    "the service shows nobody in the group: it may not show members at all, or not have taken them, and nothing proves "
    "that they are in it"
)
