"""The labels of changes -> the live resources they mean now (SPEC P2: ids are never taken from a file). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.messages.operations import NAMED_BY, label_of
from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import LiveState
from reconciler.planner.references import Target
from reconciler.semantics.canonical import fold


@dataclass(frozen=True, slots=True)
class Bound:
    """What labels mean: ids of live resources and keys of creates. `missing` mean nothing that is there or will be."""

    targets: Mapping[str, Target]
    missing: frozenset[str]

    @property
    def ids(self) -> dict[str, str]:
        """The labels of resources that are there already."""
        return {label: target for label, target in self.targets.items() if isinstance(target, str)}


def bind_labels(changes: Sequence[Change], live: LiveState) -> Bound:
    """For each label that a change names, the live resource with its anchor, or the create among the changes it is."""
    created = {label_of(change.key): change.key for change in changes if change.action is Action.CREATE}
    wanted = {label: anchor for change in changes for label, anchor in change.references}
    former = _former_labels(changes)
    by_anchor = _by_anchor(wanted, live)
    targets: dict[str, Target] = {}
    for label, anchor in wanted.items():
        if anchor is None:
            if label in created:
                targets[label] = created[label]
        elif label.startswith("id:"):
            targets[label] = label.removeprefix("id:")
        else:
            names = {fold(label), fold(former.get(label, label))}
            meant = _meant(names, anchor, by_anchor.get((_kind_of(label), anchor), ()))
            if meant is not None:
                targets[label] = meant
    return Bound(targets, frozenset(wanted.keys() - targets.keys()))


def _former_labels(changes: Sequence[Change]) -> dict[str, str]:
    """The labels that renamed resources still have in the tenant, by their new ones."""
    return {
        label_of(change.key): label_of(ResourceKey(change.key.kind, item.before))
        for change in changes
        for item in change.attributes
        if item.path == NAMED_BY.get(change.key.kind) and isinstance(item.before, str)
    }


def _meant(names: Collection[str], anchor: str, candidates: Sequence[LiveUser | LiveGroup]) -> str | None:
    """Of the resources with one anchor the one of that name, else the only one whose externalId it is."""
    named = [candidate for candidate in candidates if fold(label_of(candidate.key)) in names]
    known = [candidate for candidate in candidates if candidate.external_id == anchor]
    for chosen in (candidates, named, known):
        if len(chosen) == 1:
            return chosen[0].id
    return None


def _kind_of(label: str) -> Kind:
    return Kind.GROUP if label.startswith("group:") else Kind.USER


def _by_anchor(wanted: Mapping[str, str | None], live: LiveState) -> dict[tuple[Kind, str], list[LiveUser | LiveGroup]]:
    """Resources by (kind, externalId or id) for the anchors that are asked for.

    Somebody's externalId may be somebody else's id, and an externalId may be there twice.
    """
    anchors = {(_kind_of(label), anchor) for label, anchor in wanted.items() if anchor is not None}
    found: dict[tuple[Kind, str], list[LiveUser | LiveGroup]] = {}
    for resource in _resources(live) if anchors else ():
        for anchor in {resource.external_id, resource.id} - {None}:
            key = (resource.key.kind, anchor)
            if anchor is not None and key in anchors:
                found.setdefault((resource.key.kind, anchor), []).append(resource)
    return found


def _resources(live: LiveState) -> Iterable[LiveUser | LiveGroup]:
    yield from live.users.values()
    yield from live.groups.values()
