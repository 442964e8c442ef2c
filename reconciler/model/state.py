"""The three states a plan is made from: what git declared, declares now, and what the service holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from reconciler.model.diagnostic import Source
from reconciler.model.plan import Quota
from reconciler.model.resource import (
    DesiredConfiguration,
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveConfiguration,
    LiveGroup,
    LiveUser,
    ResourceKey,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusive:
    """Roles and groups of which nobody may hold more than one (separation of duties)."""

    name: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One guard that may pass certain changes, by their digests, where it counts at most `max` (SPEC section 8).

    `expires` is the last day on which it counts, in UTC, as YYYY-MM-DD.
    """

    guard: str
    changes: frozenset[str]
    max: int
    expires: str
    reason: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """Everything one tenant folder declares, checked; tuples are in canonical order whatever the file layout."""

    users: tuple[DesiredUser, ...] = ()
    groups: tuple[DesiredGroup, ...] = ()
    configuration: DesiredConfiguration | None = None
    exclusives: tuple[Exclusive, ...] = ()
    overrides: tuple[Override, ...] = ()


class Standing(StrEnum):
    """Whether what git declared before is known, and if not, why that is so (SPEC section 6)."""

    USABLE = "usable"
    FIRST_RUN = "first-run"
    UNTRACKED = "untracked"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseState:
    """What git declared at the last complete receipt (`states[0]`) and at every attempt since, oldest first.

    `standing` other than USABLE has no states, and `detail` says why in plain words. `commit` is that of the receipt.
    `proven` maps the ids of resources that were proven since to the position of the first state that still counts for
    them; for all others every state does. `known` are the ids that the receipt proved to be git's, None
    where no run was complete yet, so that `states[0]` is an attempt as well. `released` has the users that git took out
    and deactivated, with the RFC 3339 time. `recent_removals` are those of the last 24 hours.
    """

    standing: Standing = Standing.UNTRACKED
    detail: str = "outside a git checkout"
    commit: str | None = None
    states: tuple[DesiredState, ...] = ()
    proven: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[str] | None = None
    released: Mapping[str, str] = field(default_factory=dict)
    recent_removals: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Whether one list was read completely (SPEC P4). `reason` says in plain words why not.

    `by_cursor` says that it was paged by cursor as the service announces, and not by index. `uncounted` says that it is
    complete because it is empty, on a service that does not say how many there are: once somebody is in it, reading it
    again proves nothing.
    """

    count: int
    complete: bool
    reason: str | None = None
    by_cursor: bool = False
    uncounted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """One snapshot: users and groups by id, the configuration where it was asked for, and how complete the read is.

    `notes` say in plain words where the read had to take another way than usual. `members_by_group` says that lists do
    not show all members, so that groups were read by themselves. `proven_absent` are resources that a look-up of their
    own, found to work, did not find: they may be created although the list is not complete (SPEC P4). `lacking` names
    features of `Capabilities` that are announced or assumed, and that reading showed not to be there.
    """

    users: Mapping[str, LiveUser] = field(default_factory=dict)
    groups: Mapping[str, LiveGroup] = field(default_factory=dict)
    configuration: LiveConfiguration | None = None
    certificates: Mapping[Kind, Certificate] = field(default_factory=dict)
    requests: int = 0
    notes: tuple[str, ...] = ()
    members_by_group: bool = False
    quota: Quota | None = None
    proven_absent: frozenset[ResourceKey] = frozenset()
    lacking: frozenset[str] = frozenset()

    def certificate(self, kind: Kind) -> Certificate:
        """The certificate of one list; a list that was never read is incomplete."""
        return self.certificates.get(kind) or Certificate(count=0, complete=False, reason="it was not read")

    def updated(
        self,
        *,
        users: Mapping[str, LiveUser | None] | None = None,
        groups: Mapping[str, LiveGroup | None] | None = None,
        configuration: LiveConfiguration | None = None,
    ) -> LiveState:
        """This snapshot with fresh reads laid over it; None stands for a resource that is gone."""
        return replace(
            self,
            users=_overlaid(self.users, users or {}),
            groups=_overlaid(self.groups, groups or {}),
            configuration=configuration or self.configuration,
        )


_Resource = TypeVar("_Resource", LiveUser, LiveGroup)


def _overlaid(old: Mapping[str, _Resource], new: Mapping[str, _Resource | None]) -> Mapping[str, _Resource]:
    if not new:
        return old
    merged = dict(old)
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged
