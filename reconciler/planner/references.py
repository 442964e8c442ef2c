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
    """All users and groups that a plan can name: those that git declares and those that only live knows."""

    users: Mapping[str, LiveUser]
    groups: Mapping[str, LiveGroup]
    by_name: Mapping[tuple[Kind, str], tuple[Target, ...]]
    by_external_id: Mapping[str, tuple[Target, ...]]
    labels: Mapping[str, str]

    def resolve(self, reference: Reference) -> tuple[Target, ...]:
        """Every resource the reference may mean: one is the good case, none is unknown, more is ambiguous."""
        if reference.name is not None and reference.kind is not None:
            return self.by_name.get((reference.kind, fold(reference.name)), ())
        return self.by_external_id.get(reference.external_id or "", ())

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
        return (name for known, name in self.by_name if known is kind)


def build_directory(
    users: Sequence[Match[DesiredUser, LiveUser]],
    groups: Sequence[Match[DesiredGroup, LiveGroup]],
    live_users: Mapping[str, LiveUser],
    live_groups: Mapping[str, LiveGroup],
) -> Directory:
    """A directory over matches and the rest of the live state. A matched resource is known by its desired name only."""
    by_name: dict[tuple[Kind, str], list[Target]] = {}
    by_external_id: dict[str, list[Target]] = {}
    display: dict[Target, tuple[Kind, str]] = {}

    def add(kind: Kind, target: Target, name: str, external_id: str | None) -> None:
        by_name.setdefault((kind, fold(name)), []).append(target)
        if external_id is not None:
            by_external_id.setdefault(external_id, []).append(target)
        display[target] = (kind, name)

    def add_match(desired: DesiredUser | DesiredGroup, live: LiveUser | LiveGroup | None) -> None:
        external_id = desired.external_id or (live.external_id if live else None)
        add(desired.key.kind, live.id if live else desired.key, desired.key.name, external_id)

    def add_rest(live: LiveUser | LiveGroup) -> None:
        if live.id not in display:
            add(live.key.kind, live.id, name_of(live), live.external_id)

    for user in users:
        add_match(user.desired, user.live)
    for group in groups:
        add_match(group.desired, group.live)
    for live_user in live_users.values():
        add_rest(live_user)
    for live_group in live_groups.values():
        add_rest(live_group)
    labels = {
        target: label_of(ResourceKey(kind, name)) if len(by_name[kind, fold(name)]) == 1 else f"id:{target}"
        for target, (kind, name) in display.items()
        if isinstance(target, str)
    }
    return Directory(
        users=live_users,
        groups=live_groups,
        by_name={key: tuple(targets) for key, targets in by_name.items()},
        by_external_id={key: tuple(targets) for key, targets in by_external_id.items()},
        labels=labels,
    )
