"""What git declared before about each live resource: the memory behind "what git granted, git takes back". Pure.

A base holds whole states; here they are laid against the live state, so that for every live resource there is a short
list of what git said about it, oldest first, and for every group the members that git ever stated since it was proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reconciler.model.change import Reason
from reconciler.model.resource import (
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveGroup,
    LiveUser,
    Membership,
    Reference,
    unpack,
)
from reconciler.model.state import BaseState, DesiredState
from reconciler.model.tenant import People
from reconciler.planner.matching import Index, Match, match_leniently, name_of
from reconciler.planner.membership import Delta, stated_members
from reconciler.planner.pending import as_the_tenant_calls_them
from reconciler.planner.references import Directory, build_directory
from reconciler.semantics.canonical import (
    MANAGER_PATH,
    Equality,
    Equivalences,
    compare,
    fold,
    managed_paths,
    value_at,
)

Document = TypeVar("Document", DesiredUser, DesiredGroup)
Resource = TypeVar("Resource", LiveUser, LiveGroup)


@dataclass(frozen=True, slots=True)
class Past:
    """What git declared about one resource at one time. `manager` is the id that its manager reference meant."""

    document: DesiredUser | DesiredGroup
    manager: str | None = None

    @property
    def declared(self) -> dict[str, Any]:
        """Every declared attribute by managed path; the manager by id."""
        paths = dict(managed_paths(unpack(self.document.body)))
        if isinstance(self.document, DesiredUser) and self.document.manager is not None:
            paths[MANAGER_PATH] = self.manager
        return paths


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The base as the live state sees it.

    `users` and `groups` hold, by live id, what git declared, oldest first; `members` the ids that git stated as members
    of a group. `skipped` are ids that some state did not declare any more although an older one did: a run may have
    removed them. `gone` are the (kind, externalId or folded name) that the last proven state has and live has not;
    `unfound` those that any state has that counts.
    """

    users: Mapping[str, tuple[Past, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[Past, ...]] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    gone: frozenset[tuple[Kind, str]] = frozenset()
    unfound: frozenset[tuple[Kind, str]] = frozenset()

    def of(self, identifier: str) -> tuple[Past, ...]:
        """What git declared about one live resource."""
        return self.users.get(identifier) or self.groups.get(identifier) or ()


def identity_of(document: DesiredUser | DesiredGroup) -> tuple[Kind, str]:
    """What identifies a document across commits: its externalId, else its name."""
    if document.external_id is not None:
        return document.key.kind, f"externalId {document.external_id}"
    return document.key.kind, fold(name_of(document))


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """One state laid against the live state: who is who, and what its names mean."""

    state: DesiredState
    users: Sequence[Match[DesiredUser, LiveUser]]
    groups: Sequence[Match[DesiredGroup, LiveGroup]]
    directory: Directory


def recall(base: BaseState, now: Laid, users: Index[LiveUser], groups: Index[LiveGroup], people: People) -> History:
    """Lay the states of the base against the live state; `now` is the desired state, by which renames are followed."""
    if not base.states:
        return History()
    recollection = _Recollection(base, now, users, groups, people)
    for position, state in enumerate(base.states):
        recollection.add(position, now if state is now.state else recollection.lay(position))
    return recollection.result()


@dataclass(slots=True)
class _Recollection:
    """The history while it is collected, state by state."""

    base: BaseState
    now: Laid
    index_users: Index[LiveUser]
    index_groups: Index[LiveGroup]
    people: People
    users: dict[str, list[Past]] = field(default_factory=dict)
    groups: dict[str, list[Past]] = field(default_factory=dict)
    first_seen: dict[str, int] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    gone: frozenset[tuple[Kind, str]] = frozenset()
    unfound: set[tuple[Kind, str]] = field(default_factory=set)

    def lay(self, position: int) -> Laid:
        """A state of the base against the live state."""
        state = self.base.states[position]
        later = [*self.base.states[position + 1 :], self.now.state]
        trusted = self.base.known if position == 0 else None
        users = _matched(state.users, self.index_users, trusted, [s.users for s in later])
        groups = _matched(state.groups, self.index_groups, trusted, [s.groups for s in later])
        known, gone = self.now.directory, [match.desired for match in users if match.live is None]
        former: dict[str, str] = {}
        if self.people is People.EXTERNAL:
            users, former = as_the_tenant_calls_them(users)
        directory = build_directory(users, groups, known.users, known.groups, former=former, pending=gone)
        return Laid(state=state, users=users, groups=groups, directory=directory)

    def add(self, position: int, laid: Laid) -> None:
        """What a state said about everything for which it still counts."""
        self._remember(self.users, laid.users, position, laid.directory)
        self._remember(self.groups, laid.groups, position, laid.directory)
        for group, stated in stated_members(laid.users, laid.groups, laid.directory).items():
            if self._counts(group, position):
                self.members.setdefault(group, set()).update(stated)
        unfound = frozenset(identity_of(document) for document in _unmatched(laid, self.people))
        self.unfound |= unfound
        if position == 0 and self.base.known is not None:
            self.gone = unfound

    def result(self) -> History:
        """All of it."""
        total = len(self.base.states)
        pasts = {**self.users, **self.groups}
        return History(
            users={key: tuple(found) for key, found in self.users.items()},
            groups={key: tuple(found) for key, found in self.groups.items()},
            members={key: frozenset(stated) for key, stated in self.members.items()},
            skipped=frozenset(key for key, found in pasts.items() if len(found) < total - self.first_seen[key]),
            gone=self.gone,
            unfound=frozenset(self.unfound),
        )

    def _counts(self, identifier: str, position: int) -> bool:
        return self.base.proven.get(identifier, 0) <= position

    def _remember(
        self,
        pasts: dict[str, list[Past]],
        matches: Sequence[Match[Document, Resource]],
        position: int,
        directory: Directory,
    ) -> None:
        for match in matches:
            if match.live is not None and self._counts(match.live.id, position):
                self.first_seen.setdefault(match.live.id, position)
                pasts.setdefault(match.live.id, []).append(Past(match.desired, _manager(match.desired, directory)))


def _unmatched(laid: Laid, people: People) -> Iterable[DesiredUser | DesiredGroup]:
    """What is not in the tenant any more; people who come from elsewhere may not have come yet."""
    if people is People.MANAGED:
        yield from (user.desired for user in laid.users if user.live is None)
    yield from (group.desired for group in laid.groups if group.live is None)


def _matched(
    documents: Sequence[Document],
    index: Index[Resource],
    trusted: frozenset[str] | None,
    later: Sequence[Sequence[Document]],
) -> tuple[Match[Document, Resource], ...]:
    """Documents of an old state with the live resources they mean by now, renames followed; doubtful ones mean nobody.

    A resource that only shares the name of a document counts only if the receipt knew it (`trusted`): a new person
    under an old name is not the old person.
    """
    renamed: dict[str, Document] | None = None
    found: list[Match[Document, Resource]] = []
    for match in match_leniently(documents, index):
        document, live = match.desired, match.live
        if live is not None and trusted is not None and live.id not in trusted and _by_name(document, live):
            live = None
        if live is None:
            if renamed is None:
                renamed = {fold(d.previously): d for state in later for d in state if d.previously is not None}
            live = _renamed(document, renamed, index)
        found.append(match if live is match.live else Match(document, live))
    return tuple(found)


def _renamed(document: Document, renamed: Mapping[str, Document], index: Index[Resource]) -> Resource | None:
    successor, seen = renamed.get(fold(name_of(document))), {fold(name_of(document))}
    while successor is not None:
        (match,) = match_leniently([successor], index)
        if match.live is not None:
            return match.live
        name = fold(name_of(successor))
        if name in seen:
            return None
        seen.add(name)
        successor = renamed.get(name)
    return None


def _by_name(document: DesiredUser | DesiredGroup, live: LiveUser | LiveGroup) -> bool:
    return document.external_id is None or live.external_id != document.external_id


def _manager(document: DesiredUser | DesiredGroup, directory: Directory) -> str | None:
    reference: Reference | None = document.manager if isinstance(document, DesiredUser) else None
    targets = directory.resolve(reference) if reference is not None else ()
    return targets[0] if len(targets) == 1 and isinstance(targets[0], str) else None


def attribute_reason(
    path: str, wanted: Any, found: Any, pasts: Sequence[Mapping[str, Any]], equivalences: Equivalences
) -> Reason:
    """Who changed an attribute in which git and live differ: git, the tenant, or both (SPEC section 6).

    `pasts` are the declared attributes of each time that counts. Where git never declared it, git did now.
    """
    stated = [past[path] for past in pasts if path in past]
    if not stated:
        return Reason.DECLARED
    git_changed = len(stated) < len(pasts) or any(
        compare(path, wanted, value, equivalences) is Equality.DIFFERENT for value in stated
    )
    tenant_changed = all(compare(path, value, found, equivalences) is Equality.DIFFERENT for value in stated)
    if not tenant_changed:
        return Reason.DECLARED
    return Reason.BOTH if git_changed else Reason.DRIFTED


def membership_reasons(delta: Delta, history: History) -> list[Reason]:
    """Who changed the membership of a group: git stated or withdrew it, or the tenant did something else.

    What git stated all the while and live does not have was taken out in the tenant. What git never stated and an
    authoritative group does not want was put in there, if the group was authoritative before.
    """
    before = history.members.get(str(delta.group), frozenset())
    reasons = [Reason.DRIFTED if member in before else Reason.DECLARED for member in delta.added]
    reasons += [Reason.DECLARED for member in delta.removed if member in delta.withdrawn]
    strangers = len(delta.removed) - len(delta.withdrawn)
    was_authoritative = any(
        isinstance(past.document, DesiredGroup)
        and past.document.membership is Membership.AUTHORITATIVE
        and past.document.members is not None
        for past in history.groups.get(str(delta.group), ())
    )
    return reasons + [Reason.DRIFTED if was_authoritative else Reason.DECLARED] * strangers


def combined(reasons: Sequence[Reason]) -> Reason:
    """One reason for a change of several attributes and members."""
    kinds = set(reasons)
    if Reason.BOTH in kinds or {Reason.DECLARED, Reason.DRIFTED} <= kinds:
        return Reason.BOTH
    return Reason.DRIFTED if kinds == {Reason.DRIFTED} else Reason.DECLARED


def found_value(live: Mapping[str, Any], path: str) -> Any:
    """The live value at a managed path; the manager by id."""
    value = value_at(live, path)
    return value.get("value") if path == MANAGER_PATH and isinstance(value, Mapping) else value
