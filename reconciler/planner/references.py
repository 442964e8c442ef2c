"""Names and externalIds -> the users and groups they mean, and back to labels for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.messages.operations import label_of
from reconciler.model.resource import (
    DesiredGroup,
    DesiredUser,
    Kind,
    LiveGroup,
    LiveUser,
    Reference,
    ResourceKey,
)
from reconciler.planner.matching import Match, name_of
from reconciler.semantics.canonical import fold

Target = str | ResourceKey
"""What a reference means: the id of a live resource, or the key of one that this plan creates."""


@dataclass(frozen=True, slots=True)
class Directory:
    """All users and groups that a plan can name: those that git declares and those that only live knows.

    `shared` holds the names (by kind) and externalIds (kind None) that several of them have.
    """

    users: Mapping[str, LiveUser]
    groups: Mapping[str, LiveGroup]
    by_name: Mapping[Kind, Mapping[str, Target]]
    by_external_id: Mapping[str, Target]
    shared: Mapping[tuple[Kind | None, str], tuple[Target, ...]]
    labels: Mapping[str, str]

    def resolve(self, reference: Reference) -> tuple[Target, ...]:
        """Every resource the reference may mean: one is the good case, none is unknown, more is ambiguous."""
        if reference.name is not None and reference.kind is not None:
            name = fold(reference.name)
            return self.shared.get((reference.kind, name)) or _one(self.by_name[reference.kind].get(name))
        external_id = reference.external_id or ""
        return self.shared.get((None, external_id)) or _one(self.by_external_id.get(external_id))

    def label(self, target: Target) -> str:
        """How plans name a member (see `MembershipChange`)."""
        if isinstance(target, ResourceKey):
            return label_of(target)
        return self.labels.get(target) or f"id:{target}"

    def anchor(self, target: Target) -> str | None:
        """The anchor of a live resource, the id itself of a dangling one, None for one that is yet to be created."""
        if isinstance(target, ResourceKey):
            return None
        resource = self.users.get(target) or self.groups.get(target)
        return resource.anchor if resource is not None else target

    def is_group(self, target: Target) -> bool:
        """Whether the target is a group; dangling ids count as users."""
        return target.kind is Kind.GROUP if isinstance(target, ResourceKey) else target in self.groups

    def names(self, kind: Kind) -> Iterable[str]:
        """Every name of a kind, folded; for did-you-mean."""
        return self.by_name[kind]


def _one(target: Target | None) -> tuple[Target, ...]:
    return () if target is None else (target,)


def build_directory(
    users: Sequence[Match[DesiredUser, LiveUser]],
    groups: Sequence[Match[DesiredGroup, LiveGroup]],
    live_users: Mapping[str, LiveUser],
    live_groups: Mapping[str, LiveGroup],
    *,
    former: Mapping[str, str] | None = None,
    pending: Iterable[DesiredUser] = (),
) -> Directory:
    """A directory over matches and the rest of the live state.

    A matched resource is known by its desired name only. `former` has further names of users, with their ids. The names
    of `pending` users mean nobody yet, not even a live user who has the name and is somebody else.
    """
    by_name: dict[Kind, dict[str, Target]] = {Kind.USER: {}, Kind.GROUP: {}}
    by_external_id: dict[str, Target] = {}
    shared: dict[tuple[Kind | None, str], tuple[Target, ...]] = {}
    labels: dict[str, str] = {}

    def add(kind: Kind, target: Target, name: str, external_id: str | None) -> None:
        _note(by_name[kind], shared, (kind, fold(name)), target)
        if external_id is not None:
            _note(by_external_id, shared, (None, external_id), target)
        if isinstance(target, str):
            labels[target] = label_of(ResourceKey(kind, name))

    def add_match(desired: DesiredUser | DesiredGroup, live: LiveUser | LiveGroup | None) -> None:
        external_id = desired.external_id or (live.external_id if live else None)
        add(desired.key.kind, live.id if live else desired.key, desired.key.name, external_id)

    def add_rest(live: LiveUser | LiveGroup) -> None:
        if live.id not in labels:
            add(live.key.kind, live.id, name_of(live), live.external_id)

    for user in users:
        add_match(user.desired, user.live)
    for group in groups:
        add_match(group.desired, group.live)
    for live_user in live_users.values():
        add_rest(live_user)
    for live_group in live_groups.values():
        add_rest(live_group)
    ambiguous = {target for (kind, _), targets in shared.items() if kind is not None for target in targets}
    labels |= {target: f"id:{target}" for target in ambiguous if isinstance(target, str)}
    for name, identifier in (former or {}).items():
        _note(by_name[Kind.USER], shared, (Kind.USER, fold(name)), identifier)
    for document in pending:
        by_name[Kind.USER].pop(fold(document.user_name), None)
        shared.pop((Kind.USER, fold(document.user_name)), None)
    return Directory(
        users=live_users,
        groups=live_groups,
        by_name=by_name,
        by_external_id=by_external_id,
        shared=shared,
        labels=labels,
    )


def _note(
    known: dict[str, Target],
    shared: dict[tuple[Kind | None, str], tuple[Target, ...]],
    key: tuple[Kind | None, str],
    target: Target,
) -> None:
    """Enter a target under a name; a name that is taken is shared from then on."""
    first = known.setdefault(key[1], target)
    if first != target:
        shared[key] = (*shared.get(key, (first,)), target)
