"""The labels of changes -> the live resources they mean now (SPEC P2: ids are never taken from a file). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.messages.operations import label_of
from reconciler.model.change import Action, Change
from reconciler.model.resource import Kind, LiveGroup, LiveUser
from reconciler.model.state import LiveState
from reconciler.planner.references import Target


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
    by_anchor = _by_anchor(wanted, live)
    targets: dict[str, Target] = {}
    for label, anchor in wanted.items():
        if anchor is None:
            if label in created:
                targets[label] = created[label]
        elif label.startswith("id:"):
            targets[label] = label.removeprefix("id:")
        elif (_kind_of(label), anchor) in by_anchor:
            targets[label] = by_anchor[_kind_of(label), anchor]
    return Bound(targets, frozenset(wanted.keys() - targets.keys()))


def _kind_of(label: str) -> Kind:
    return Kind.GROUP if label.startswith("group:") else Kind.USER


def _by_anchor(wanted: Mapping[str, str | None], live: LiveState) -> dict[tuple[Kind, str], str]:
    """Ids by (kind, anchor) for the anchors that are asked for; of two with one anchor the name decides."""
    anchors = {(_kind_of(label), anchor) for label, anchor in wanted.items() if anchor is not None}
    found: dict[tuple[Kind, str], str] = {}
    for resource in _resources(live) if anchors else ():
        key = (resource.key.kind, resource.anchor)
        if key in anchors and (key not in found or label_of(resource.key) in wanted):
            found[key] = resource.id
    return found


def _resources(live: LiveState) -> Iterable[LiveUser | LiveGroup]:
    yield from live.users.values()
    yield from live.groups.values()
