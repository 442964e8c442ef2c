"""One planned step from the live state towards the desired state."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.diagnostic import Source
from reconciler.model.resource import ResourceKey


class Action(StrEnum):
    """What a change does. Deactivate and reactivate are updates whose main effect deserves its own word."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"
    DELETE = "delete"


class Reason(StrEnum):
    """Why the planner chose the action. For people reading the plan; the applier ignores it (SPEC section 6)."""

    DECLARED = "declared"
    DRIFTED = "drifted"
    BOTH = "both"
    REMOVED = "removed"
    MISSING = "missing"
    ADOPTED = "adopted"


class PreconditionKind(StrEnum):
    """The kind of guard a write carries (SPEC P3). A missing guard is a value, not a None."""

    VERSION = "version"
    ABSENT = "absent"
    COMPARE = "compare"
    UNGUARDED = "unguarded"


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must still hold when the change is sent. `value` is the version for VERSION, else None."""

    kind: PreconditionKind
    value: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One managed attribute: its RFC 7644 path (`name.givenName`, `emails`, `urn:...:User:department`) and values.

    None stands for unassigned. References are shown as member labels (see `MembershipChange`). `differences` say in
    which elements two structured values differ; they are for people, and no part of what is approved.
    """

    path: str
    before: Any
    after: Any
    differences: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """Members to add and to remove, as sorted labels.

    A label is the userName of a user, `group:<displayName>` of a group, `user:<userName>` where a userName would read
    as another form, and `id:<id>` of a member that resolves to nobody.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """CREATE has no `id` and no `anchor`; every other action on a user or group has both.

    `references` pairs every label that the change names with the anchor of the live resource it meant, or None for one
    that this plan creates. `digest` covers what `semantics.digest.change_digest` says.
    """

    key: ResourceKey
    action: Action
    reason: Reason
    source: Source | None
    anchor: str | None
    id: str | None
    precondition: Precondition
    attributes: tuple[AttributeChange, ...] = ()
    members: MembershipChange = MembershipChange()
    references: tuple[tuple[str, str | None], ...] = ()
    reversible: bool = True
    digest: str = ""
