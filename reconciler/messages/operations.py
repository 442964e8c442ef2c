"""Changes -> steps -> operations: what is sent, and in which order (SPEC 7.4). Pure.

A *step* is one request's worth of a change; most changes are one step, a group that loses and gains members is two. The
estimate counts steps and the applier sends them: one function decides for both, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import Any

from reconciler.messages.codec import address_of, resource_path
from reconciler.messages.patch import Member, to_patch
from reconciler.model.change import Action, AttributeChange, Change
from reconciler.model.dialect import Dialect, Update
from reconciler.model.plan import Capabilities
from reconciler.model.resource import (
    Attributes,
    Kind,
    LiveGroup,
    LiveUser,
    ResourceKey,
    pack,
    unpack,
)
from reconciler.model.state import LiveState
from reconciler.model.tenant import Limits, Tenant
from reconciler.semantics.canonical import MANAGER_PATH, fold, merged_elements, set_at, value_at


class Phase(IntEnum):
    """The order of SPEC 7.4: revocations first, deletions last."""

    REVOKE = 1
    CONFIGURE = 2
    WRITE = 3
    GRANT = 4
    DELETE = 5


_KIND_ORDER = {Kind.USER: 0, Kind.SERVICE_PROVIDER_CONFIG: 1, Kind.GROUP: 2}
_REVOCABLE = ("active", "roles", "entitlements")
NAMED_BY = {Kind.USER: "userName", Kind.GROUP: "displayName"}
"""The attribute that people know a resource by."""

_MEMBER_BYTES = 160
"""More than one member takes in a PatchOp: its id, the JSON around it, a remove operation of its own."""

_PAYLOAD_WITHOUT_MEMBERS = 2048
"""More than a bulk request of one PATCH takes beside its members."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How changes reach this service: the tenant's wishes within what the service can do.

    `members_alone` and `members_in_bulk` are the most members that one PATCH adds or removes, by itself and in bulk;
    `versions` says whether `If-Match` guards writes. `joinable` holds the names of the groups, by id, that the create
    of a user may name (cxone.md D17): those that are there and share their name with no other, and none at all unless
    the dialect says so.
    """

    bulk: bool
    user_update: Update
    group_update: Update
    max_operations: int
    max_payload_bytes: int
    members_alone: int
    members_in_bulk: int
    versions: bool
    versions_in_doubt: bool
    dialect: Dialect
    joinable: Mapping[str, str]

    @property
    def member_batch(self) -> int:
        """The most members that one PATCH adds or removes."""
        return self.members_in_bulk if self.bulk else self.members_alone

    def by_put(self, kind: Kind) -> Sending:
        """The same for a service that does no PATCH on one kind of resource."""
        return replace(self, user_update=Update.PUT) if kind is Kind.USER else replace(self, group_update=Update.PUT)

    def update(self, kind: Kind) -> Update:
        """The verb of an update."""
        return self.user_update if kind is Kind.USER else self.group_update


def sending_for(tenant: Tenant, capabilities: Capabilities, groups: Iterable[LiveGroup] = ()) -> Sending:
    """Live limits can only lower the tenant's (SPEC section 4). `groups` are those that are there."""
    dialect, limits = tenant.dialect, tenant.limits
    patch = capabilities.patch and dialect.patch != "off"
    bulk = capabilities.bulk and dialect.bulk != "off"
    max_payload_bytes = _lower(limits, capabilities)
    return Sending(
        bulk=bulk,
        user_update=dialect.user_update if patch else Update.PUT,
        group_update=dialect.group_update if patch else Update.PUT,
        max_operations=max(1, min(limits.bulk_operations, capabilities.max_operations or limits.bulk_operations)),
        max_payload_bytes=max_payload_bytes,
        members_alone=limits.member_changes_per_request,
        members_in_bulk=max(1, (max_payload_bytes - _PAYLOAD_WITHOUT_MEMBERS) // _MEMBER_BYTES),
        versions=capabilities.etag and dialect.etag != "off",
        versions_in_doubt=capabilities.etag and dialect.etag != "off" and capabilities.versions_in_doubt,
        dialect=dialect,
        joinable=_joinable(groups) if dialect.inline_groups else {},
    )


def _joinable(groups: Iterable[LiveGroup]) -> dict[str, str]:
    named: dict[str, list[LiveGroup]] = {}
    for group in groups:
        named.setdefault(fold(group.display_name), []).append(group)
    return {found[0].id: found[0].display_name for name, found in named.items() if name and len(found) == 1}


def _lower(limits: Limits, capabilities: Capabilities) -> int:
    return min(limits.bulk_payload_bytes, capabilities.max_payload_bytes or limits.bulk_payload_bytes)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a change: the attributes it writes and the member labels it adds and removes.

    With inline groups (cxone.md D17) the create of a user names the groups of the changes in `joins`. Those changes
    still add that user, in a step that has them in `inlined`: it looks whether they came in, and adds who did not.
    """

    change: Change
    phase: Phase
    level: int
    attributes: tuple[AttributeChange, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    inlined: frozenset[str] = frozenset()
    joins: tuple[Change, ...] = ()

    @property
    def batch(self) -> tuple[int, int, int]:
        """Steps of one batch may share a bulk request; batches are sent in ascending order."""
        return (self.phase.value, _KIND_ORDER[self.change.key.kind], self.level)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that the step names."""
        managers = tuple(a.after for a in self.attributes if a.path == MANAGER_PATH and a.after is not None)
        return (*managers, *self.added, *self.removed)

    @property
    def is_creation(self) -> bool:
        """Whether it makes the resource."""
        return self.change.action is Action.CREATE and self.phase is Phase.WRITE

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send for it."""
        return not (self.attributes or self.added or self.removed or self.is_creation or self.phase is Phase.DELETE)

    def without(self, members: Collection[str]) -> Step:
        """The step without some of the members that it adds."""
        return replace(self, added=tuple(label for label in self.added if label not in members))


def to_steps(changes: Sequence[Change], sending: Sending) -> tuple[Step, ...]:
    """All steps of the changes in the order in which they are sent; what a step names was sent before it."""
    levels, deferred = _levels(changes)
    joined = _joined(changes, sending)
    steps = [
        step
        for change in changes
        for step in _steps_of(change, sending, levels.get(change.key, 0), deferred, joined.get(change.key, {}))
    ]
    return tuple(sorted(steps, key=lambda step: (step.batch, str(step.change.key))))


def _joined(changes: Sequence[Change], sending: Sending) -> dict[ResourceKey, dict[str, Change]]:
    """Who joins whom by a create: for a group the creates by label, for a user the groups' changes by name."""
    if not sending.joinable:
        return {}
    creates = {label_of(c.key): c for c in changes if c.key.kind is Kind.USER and c.action is Action.CREATE}
    joined: dict[ResourceKey, dict[str, Change]] = {}
    for change in changes:
        if change.id not in sending.joinable or _takes_name(change):
            continue
        for label in change.members.added:
            if label in creates:
                joined.setdefault(change.key, {})[label] = creates[label]
                joined.setdefault(creates[label].key, {})[change.key.name] = change
    return joined


def _steps_of(
    change: Change,
    sending: Sending,
    level: int,
    deferred: frozenset[ResourceKey],
    joined: Mapping[str, Change],
) -> list[Step]:
    match (change.key.kind, change.action):
        case (Kind.SERVICE_PROVIDER_CONFIG, _):
            return [Step(change, Phase.CONFIGURE, 0, change.attributes)]
        case (_, Action.DELETE):
            return [Step(change, Phase.DELETE, 0)]
        case (_, Action.CREATE):
            first, *rest = _creation_steps(change, sending, level, defer_manager=change.key in deferred)
            return [replace(first, joins=tuple(joined.values())), *rest]
        case (Kind.USER, _):
            return _user_steps(change, level, defer_manager=change.key in deferred)
        case _:
            return _group_steps(change, sending, level, frozenset(joined))


def _creation_steps(change: Change, sending: Sending, level: int, *, defer_manager: bool) -> list[Step]:
    """A create carries everything, members included; what has to wait is a manager that comes later.

    So do members beyond what one request may carry, where they can be added later.
    """
    now, later = _split(change.attributes, lambda a: not (defer_manager and a.path == MANAGER_PATH))
    whole = sending.group_update is Update.PUT
    parts = [change.members.added] if whole else _parts(change.members.added, sending.member_batch)
    steps = [Step(change, Phase.WRITE, level, now, added=parts[0] if parts else ())]
    steps += [Step(change, Phase.GRANT, 0, later)] if later else []
    return steps + [Step(change, Phase.GRANT, number, added=part) for number, part in enumerate(parts[1:])]


def _user_steps(change: Change, level: int, *, defer_manager: bool) -> list[Step]:
    """One step in the phase that the change belongs to, unless a part of it has to wait for another resource.

    A deactivation is sent by itself before everything else: what a service makes of another attribute cannot stop it.
    """
    cut, others = _split(change.attributes, lambda a: a.path == "active" and a.after is False)
    if not cut or not others:
        return _steps_of_user(change, change.attributes, 0, level, defer_manager=defer_manager)
    return [
        Step(change, Phase.REVOKE, 0, cut),
        *_steps_of_user(change, others, 1, level, defer_manager=defer_manager),
    ]


def _steps_of_user(
    change: Change, attributes: tuple[AttributeChange, ...], revoking: int, level: int, *, defer_manager: bool
) -> list[Step]:
    narrowing = any(narrows(attribute) for attribute in attributes)
    if narrowing and level == 0 and not defer_manager:
        return [Step(change, Phase.REVOKE, revoking, attributes)]
    first, rest = _split(attributes, lambda a: narrowing and a.path in _REVOCABLE)
    now, later = _split(rest, lambda a: not (defer_manager and a.path == MANAGER_PATH))
    steps = [Step(change, Phase.REVOKE, revoking, first)] if first else []
    steps += [Step(change, Phase.WRITE, level, now)] if now else []
    return steps + ([Step(change, Phase.GRANT, 0, later)] if later else [])


def _group_steps(change: Change, sending: Sending, level: int, inlined: frozenset[str]) -> list[Step]:
    """Members travel on their own, except in a PUT, which cannot help carrying everything.

    Parts of one group are batches of their own: each is guarded by the version that the one before it left. A rename is
    sent before additions even by PUT, because others may wait for the name.
    """
    removed, added = change.members.removed, change.members.added
    if sending.group_update is Update.PUT:
        steps = [Step(change, Phase.REVOKE, 0, removed=removed)] if removed else []
        if added and not _takes_name(change):
            return [*steps, Step(change, Phase.GRANT, 0, change.attributes, added=added, inlined=inlined)]
        steps += [Step(change, Phase.WRITE, level, change.attributes)] if change.attributes else []
        return steps + ([Step(change, Phase.GRANT, 0, added=added)] if added else [])
    parts = enumerate(_parts(removed, sending.member_batch))
    steps = [Step(change, Phase.REVOKE, number, removed=part) for number, part in parts]
    steps += [Step(change, Phase.WRITE, level, change.attributes)] if change.attributes else []
    own = tuple(label for label in added if label not in inlined)
    grants = [(part, frozenset[str]()) for part in _parts(own, sending.member_batch)]
    grants += [(part, inlined) for part in _parts(tuple(sorted(inlined)), sending.member_batch)]
    return steps + [
        Step(change, Phase.GRANT, number, added=part, inlined=awaited) for number, (part, awaited) in enumerate(grants)
    ]


def _parts(labels: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    return [labels[start : start + size] for start in range(0, len(labels), max(1, size))]


def cut_to(step: Step, sending: Sending) -> tuple[Step, ...]:
    """The step in parts of at most as many members as one request takes, each relying on the one before it.

    Steps are made within that limit; what one request takes may turn out to be less while they are sent.
    """
    if sending.update(step.change.key.kind) is Update.PUT or max(len(step.added), len(step.removed)) <= (
        most := sending.member_batch
    ):
        return (step,)
    removals = [replace(step, attributes=(), added=(), removed=part) for part in _parts(step.removed, most)]
    first, *rest = _parts(step.added, most) or [()]
    head = replace(step, added=first, removed=())
    tail = [replace(step, phase=Phase.GRANT, attributes=(), added=part, removed=()) for part in rest]
    return (*removals, *([head] if first or step.attributes else []), *tail)


def _split(
    attributes: Iterable[AttributeChange], first: Callable[[AttributeChange], bool]
) -> tuple[tuple[AttributeChange, ...], tuple[AttributeChange, ...]]:
    chosen = tuple(a for a in attributes if first(a))
    return chosen, tuple(a for a in attributes if a not in chosen)


def narrows(attribute: AttributeChange) -> bool:
    """Whether an attribute change takes access away: deactivates, or drops a role or an entitlement."""
    if attribute.path == "active":
        return attribute.after is False
    if attribute.path not in {"roles", "entitlements"}:
        return False
    return bool(access_values(attribute.before) - access_values(attribute.after))


def access_values(value: Any) -> frozenset[str]:
    """The folded values of a `roles` or `entitlements` attribute; accepts plain strings as elements (RFC 7643 2.4)."""
    elements = value if isinstance(value, list) else []
    values = (element.get("value") if isinstance(element, Mapping) else element for element in elements)
    return frozenset(fold(item) for item in values if isinstance(item, str))


def _levels(changes: Sequence[Change]) -> tuple[dict[ResourceKey, int], frozenset[ResourceKey]]:
    """How many other writes must come before each one, and the users whose manager reference has to wait (a cycle).

    Names cannot wait: where a cycle goes through a manager, it is broken there. The order of the changes is no matter.
    """
    needs, managers = _needs(changes)
    deferred: set[ResourceKey] = set()
    while True:
        levels, waiting = _ranked(needs, managers, deferred)
        if waiting is None:
            return levels, frozenset(deferred)
        deferred.add(waiting)
        needs[waiting].remove(managers.pop(waiting))


def _ranked(
    needs: Mapping[ResourceKey, Sequence[ResourceKey]],
    managers: Mapping[ResourceKey, ResourceKey],
    deferred: set[ResourceKey],
) -> tuple[dict[ResourceKey, int], ResourceKey | None]:
    """The levels; or somebody whose manager has to wait for there to be any. Adds to `deferred` who closes a cycle."""
    levels: dict[ResourceKey, int] = {}
    on_path: set[ResourceKey] = set()
    for start in sorted(needs):
        stack = [(start, iter(needs[start]))] if start not in levels else []
        on_path.update(key for key, _ in stack)
        while stack:
            key, rest = stack[-1]
            following = next((n for n in rest if n not in levels), None)
            if following is None:
                stack.pop()
                on_path.discard(key)
                ready = [levels[n] + 1 for n in needs[key] if n in levels]
                levels[key] = max(ready, default=0)
            elif following not in on_path:
                on_path.add(following)
                stack.append((following, iter(needs.get(following, ()))))
            elif managers.get(key) == following:
                deferred.add(key)
            else:
                path = [on_stack for on_stack, _ in stack]
                cycle = path[path.index(following) :]
                waiting = next((a for a, b in pairwise(cycle) if managers.get(a) == b), None)
                if waiting is not None:
                    return levels, waiting
    return levels, None


def _needs(
    changes: Sequence[Change],
) -> tuple[dict[ResourceKey, list[ResourceKey]], dict[ResourceKey, ResourceKey]]:
    """Which writes each write waits for: creates that it names, and renames that free the name it takes.

    Beside them, who waits for somebody only because that is their manager.
    """
    created = {label_of(change.key): change.key for change in changes if change.action is Action.CREATE}
    freed = {
        (change.key.kind, fold(item.before)): change.key
        for change in changes
        for item in change.attributes
        if item.path == NAMED_BY.get(change.key.kind)
        and change.action is not Action.CREATE
        and isinstance(item.before, str)
    }
    needs: dict[ResourceKey, list[ResourceKey]] = {}
    managers: dict[ResourceKey, ResourceKey] = {}
    for change in changes:
        named = [a.after for a in change.attributes if a.path == MANAGER_PATH]
        wanted = {created[name] for name in named if name in created}
        managers.update((change.key, manager) for manager in wanted)
        holder = freed.get((change.key.kind, fold(change.key.name)))
        if holder is not None and holder != change.key and _takes_name(change):
            wanted.add(holder)
        if change.action is Action.CREATE:
            wanted.update(created[name] for name in change.members.added if name in created)
        needs[change.key] = sorted(key for key in wanted if key.kind is change.key.kind)
    return needs, managers


def _takes_name(change: Change) -> bool:
    return any(attribute.path == NAMED_BY.get(change.key.kind) for attribute in change.attributes)


_PREFIXES = ("group:", "user:", "id:", "role:")


def label_of(key: ResourceKey) -> str:
    """How plans name a user or group as a member (see `MembershipChange`)."""
    if key.kind is Kind.GROUP:
        return f"group:{key.name}"
    return f"user:{key.name}" if key.name.startswith(_PREFIXES) else key.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One SCIM request, maybe inside bulk.

    `path` is relative to the base URL, `target` what addresses the resource in it (None for a create); `version` is the
    ETag to match, or None. `padding` are bytes that it counts for beyond those it has (see `Names`).
    """

    step: Step
    method: str
    path: str
    target: str | None
    version: str | None
    data: Attributes | None
    padding: int = 0


@dataclass(frozen=True, slots=True)
class Names:
    """What labels mean at the time of sending: the id of each, and which ids are groups'.

    The ids of `learned` labels were given by the service in this run. Each counts for at least `id_bytes`, as in the
    estimate, which is made before they are known: else chunks would not be cut where the estimate cut them.
    """

    ids: Mapping[str, str]
    is_group: Callable[[str], bool]
    learned: Container[str] = frozenset()
    id_bytes: int = 0

    def padding(self, step: Step) -> int:
        """The bytes that the ids a step names are short of `id_bytes`."""
        named = (*step.labels, label_of(step.change.key)) if step.change.action is Action.CREATE else step.labels
        return sum(
            max(0, self.id_bytes - len(self.ids[label].encode("utf-8", "replace")))
            for label in named
            if label in self.learned
        )

    def member(self, member_id: str, dialect: Dialect) -> Member:
        """An element of `members`; `type` is explicit unless the dialect omits it (cxone.md section 8)."""
        if dialect.member_type == "omit":
            return {"value": member_id}
        return {"value": member_id, "type": "Group" if self.is_group(member_id) else "User"}


def to_operation(
    step: Step, live: LiveUser | LiveGroup | None, names: Names, sending: Sending, *, version: str | None
) -> Operation:
    """The operation for a step on a user or group.

    `live` is the latest representation of the resource, None for a create. `version` is the tag to send, None where the
    service has none.
    """
    kind = step.change.key.kind
    if step.is_creation:
        return Operation(
            step=step,
            method="POST",
            path=kind.endpoint,
            target=None,
            version=None,
            data=_creation_body(step, names, sending),
            padding=names.padding(step),
        )
    if live is None:
        message = f"{step.change.key} has no live representation to update"
        raise ValueError(message)
    target = address_of(live, sending.dialect)
    path = resource_path(kind, target)
    if step.phase is Phase.DELETE:
        return Operation(step=step, method="DELETE", path=path, target=target, version=version, data=None)
    attributes = with_ids(step.attributes, names.ids)
    if sending.update(kind) is Update.PUT:
        data = _replacement_body(replace(step, attributes=attributes), live, names, sending)
        return Operation(
            step=step, method="PUT", path=path, target=target, version=version, data=data, padding=names.padding(step)
        )
    data = to_patch(
        kind,
        attributes,
        unpack(live.body),
        sending.dialect,
        removed=[names.ids[label] for label in step.removed],
        added=[names.member(names.ids[label], sending.dialect) for label in step.added],
    )
    return Operation(
        step=step, method="PATCH", path=path, target=target, version=version, data=data, padding=names.padding(step)
    )


def as_written(live: LiveUser | LiveGroup, step: Step, ids: Mapping[str, str]) -> LiveUser | LiveGroup:
    """The representation after a step was written, for what comes after it."""
    attributes = overlaid(unpack(live.body), with_ids(step.attributes, ids))
    body = pack(attributes)
    if isinstance(live, LiveUser):
        return replace(live, body=body, user_name=attributes.get("userName") or live.user_name)
    removed, added = {ids[label] for label in step.removed}, {ids[label] for label in step.added}
    members = {*(member for member in live.members or () if member not in removed), *added}
    return replace(live, body=body, members=tuple(sorted(members)))


_SHORTEST_ID_BYTES = 36
"""The length of a UUID."""


def id_bytes(live: LiveState) -> int:
    """The bytes that an id which the service has yet to give counts for: as many as the longest id it gave so far."""
    longest = max((len(id_) for ids in (live.users, live.groups) for id_ in ids), default=0)
    return max(_SHORTEST_ID_BYTES, longest)


def with_ids(attributes: Iterable[AttributeChange], ids: Mapping[str, str]) -> tuple[AttributeChange, ...]:
    """The attribute changes as they go over the wire: the manager as an id, everything else as it is."""
    return tuple(
        replace(a, after={"value": ids[a.after]}) if a.path == MANAGER_PATH and a.after is not None else a
        for a in attributes
    )


def overlaid(body: Attributes, attributes: Iterable[AttributeChange]) -> Attributes:
    """A body with changed attributes laid over it; the body itself is changed and returned."""
    for attribute in attributes:
        value = attribute.after
        if isinstance(value, list):
            value = merged_elements(value, value_at(body, attribute.path))
        set_at(body, attribute.path, value)
    return body


def _creation_body(step: Step, names: Names, sending: Sending) -> Attributes:
    body: Attributes = overlaid({}, with_ids(step.attributes, names.ids))
    if step.added:
        body["members"] = [names.member(names.ids[label], sending.dialect) for label in step.added]
    if step.joins:
        body["groups"] = [{"value": sending.joinable[group.id or ""]} for group in step.joins]
    return with_schemas(body, step.change.key.kind, ())


def _replacement_body(step: Step, live: LiveUser | LiveGroup, names: Names, sending: Sending) -> Attributes:
    """The latest representation with the managed attributes laid over it (scim-rfc.md section 6)."""
    body = unpack(live.body)
    schemas = body.pop("schemas", ())
    overlaid(body, step.attributes)
    if isinstance(live, LiveGroup):
        gone = {names.ids[label] for label in step.removed}
        kept = [m for m in live.members or () if m not in gone]
        joined = [names.ids[label] for label in step.added if names.ids[label] not in kept]
        body["members"] = [names.member(m, sending.dialect) for m in (*kept, *joined)]
        return with_schemas(body, step.change.key.kind, schemas)
    if "active" not in body:
        body["active"] = live.active is not False  # a PUT without `active` reactivates on some services (Q20)
    if isinstance(value_at(body, MANAGER_PATH), dict):
        set_at(body, f"{MANAGER_PATH}.displayName", None)  # read-only, and refused by some services (Q17)
    return with_schemas(body, step.change.key.kind, schemas)


def with_schemas(body: Attributes, kind: Kind, known: Iterable[str]) -> Attributes:
    """The body with `schemas` first: the core one, those known, and each extension that is there (RFC 7643 s3)."""
    extensions = [name for name in body if ":" in name]
    return {"schemas": list(dict.fromkeys([kind.schema, *known, *sorted(extensions)])), **body}
