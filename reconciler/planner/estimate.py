"""How many requests applying a plan sends when nothing fails, and how long the rate limit makes that.

The sums of SPEC section 6. Steps and chunks come from the functions the applier sends them with. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from reconciler.messages.chunking import chunk, operation_bytes
from reconciler.messages.operations import (
    Names,
    Phase,
    Sending,
    Step,
    as_written,
    id_bytes,
    to_operation,
    to_steps,
)
from reconciler.model.change import Action, Change, PreconditionKind
from reconciler.model.dialect import Update
from reconciler.model.plan import Capabilities, Estimate
from reconciler.model.resource import Kind, LiveGroup, LiveUser, ResourceKey
from reconciler.model.state import LiveState
from reconciler.model.tenant import Limits
from reconciler.planner.references import Target

_CONFIGURATION_REQUESTS = 3  # GET, PUT, GET


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateInputs:
    """What the requests of an apply depend on; `targets` is what the labels of the changes mean."""

    changes: Sequence[Change]
    targets: Mapping[str, Target]
    live: LiveState
    sending: Sending
    capabilities: Capabilities
    limits: Limits


def estimate_requests(inputs: EstimateInputs) -> Estimate:
    """What apply adds to the requests of planning."""
    live, sending, limits = inputs.live, inputs.sending, inputs.limits
    steps = to_steps(inputs.changes, sending)
    requests = _comparisons(steps, sending) + _doubts(steps, sending)
    names = _names_to_be(inputs.targets, live)
    written: dict[ResourceKey, LiveUser | LiveGroup] = {}
    for batch, members in groupby(steps, key=lambda step: step.batch):
        group = [step for step in members if not step.without(step.inlined).is_empty]
        if batch[0] == Phase.CONFIGURE:
            requests += _CONFIGURATION_REQUESTS
        elif sending.bulk:
            requests += _chunks(group, live, names, sending, written)
        else:
            requests += len(group)
    for kind in (Kind.USER, Kind.GROUP):
        requests += verification_requests(kind, inputs.changes, live, page_size(limits, inputs.capabilities))
    return Estimate(requests=requests, seconds=math.ceil(requests * 60 / limits.requests_per_minute))


def page_size(limits: Limits, capabilities: Capabilities) -> int:
    """Rows to ask for: the tenant's wish within what the service admits."""
    return max(1, min(limits.page_size, capabilities.max_results or limits.page_size))


def verification_requests(kind: Kind, changes: Sequence[Change], live: LiveState, page: int) -> int:
    """One verifying list read or one GET per touched resource, whichever is less (SPEC section 6).

    One GET each where a list proves nothing: it was not complete before, will not be, or does not show all members.
    """
    touched = [change for change in changes if change.key.kind is kind]
    if not touched:
        return 0
    certificate = live.certificate(kind)
    if not certificate.complete or certificate.uncounted or (kind is Kind.GROUP and live.members_by_group):
        return len(touched)
    created = sum(1 for change in touched if change.action is Action.CREATE)
    deleted = sum(1 for change in touched if change.action is Action.DELETE)
    total = len(live.users if kind is Kind.USER else live.groups) + created - deleted
    return min(len(touched), list_requests(total, page, by_cursor=certificate.by_cursor))


def list_requests(total: int, page: int, *, by_cursor: bool = False) -> int:
    """Requests that reading a whole list takes; by index the reader looks once more behind exactly one page."""
    return max(1, math.ceil(total / page)) + (1 if total == page and not by_cursor else 0)


def _comparisons(steps: Sequence[Step], sending: Sending) -> int:
    """Steps before which the resource is read.

    No version guards them, or they are the first to complete a create, or the first for a group that users joined by
    their own creates.
    """
    count = 0
    completed: set[ResourceKey] = set()
    joined = {group.key for step in steps for group in step.joins}
    for step in steps:
        change = step.change
        if change.action is Action.CREATE:
            if step.phase is not Phase.WRITE:
                count += 1 if change.key not in completed or not sending.versions else 0
                completed.add(change.key)
        elif change.precondition.kind is PreconditionKind.COMPARE:
            count += 1 if change.key.kind is not Kind.SERVICE_PROVIDER_CONFIG else 0
        elif change.key in joined and step.phase is not Phase.REVOKE:
            count += 1 if change.key not in completed else 0
            completed.add(change.key)
    return count


def _doubts(steps: Sequence[Step], sending: Sending) -> int:
    """What finding out takes whether versions are heeded: a read and a write that must not happen (SPEC P3)."""
    guarded = {PreconditionKind.VERSION, PreconditionKind.ABSENT}  # ABSENT: what completes a create has its version
    tries = any(
        step.change.precondition.kind in guarded and not step.is_creation
        for step in steps
        if step.phase is not Phase.CONFIGURE
    )
    return 2 if sending.versions_in_doubt and tries else 0


def _names_to_be(targets: Mapping[str, Target], live: LiveState) -> Names:
    """What labels mean, with made-up ids for what is to be created, as long as the applier counts them to be."""
    length = id_bytes(live)
    made_up = {Kind.USER: "u" * length, Kind.GROUP: "g" * length}
    ids = {
        label: made_up[target.kind] if isinstance(target, ResourceKey) else target for label, target in targets.items()
    }
    return Names(ids, lambda member: member in live.groups or member == made_up[Kind.GROUP], id_bytes=length)


def _chunks(
    steps: Sequence[Step],
    live: LiveState,
    names: Names,
    sending: Sending,
    written: dict[ResourceKey, LiveUser | LiveGroup],
) -> int:
    """How many bulk requests the steps of one batch are; `written` is what earlier batches made of the resources."""
    operations = []
    for step in steps:
        change = step.change
        resource = written.get(change.key) or _live_resource(change, live, names.id_bytes)
        puts = sending.update(change.key.kind) is Update.PUT
        sent = step if puts else step.without(step.inlined)  # a PUT carries those too who came in before it
        operations.append(to_operation(sent, resource, names, sending, version=change.precondition.value))
        if puts:  # the next one carries all of it again
            written[change.key] = as_written(resource, step, names.ids)
    chunks = chunk(
        operations, operation_bytes, max_operations=sending.max_operations, max_bytes=sending.max_payload_bytes
    )
    return len(chunks)


def _live_resource(change: Change, live: LiveState, length: int) -> LiveUser | LiveGroup:
    """The live resource that a change is about; for a create a stand-in of its future shape."""
    found = live.users.get(change.id or "") or live.groups.get(change.id or "")
    if found is not None:
        return found
    id_ = "0" * length
    if change.key.kind is Kind.USER:
        return LiveUser(id=id_, user_name=change.key.name, external_id=None, active=True, version=None, body=b"{}")
    return LiveGroup(id=id_, display_name=change.key.name, external_id=None, version=None, body=b"{}", members=())
