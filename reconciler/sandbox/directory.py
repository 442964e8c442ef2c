"""Create, replace, patch and delete resources: RFC 7644 section 3, the same for single requests and bulk."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import GROUP, KINDS, USER, ResourceKind
from reconciler.sandbox.errors import invalid_value, not_found, not_implemented, uniqueness
from reconciler.sandbox.licences import Licences
from reconciler.sandbox.membership import MemberEdit
from reconciler.sandbox.patch import PATCH_URN, Op, Operation, Target, apply_patch, read_patch
from reconciler.sandbox.preconditions import NONE, Preconditions, entity_tag
from reconciler.sandbox.quirks import as_kept, as_replaced
from reconciler.sandbox.schema import fold
from reconciler.sandbox.store import Record, Store
from reconciler.sandbox.tenant_rules import check_depth, check_new_user, check_roles, group_errors, inline_groups
from reconciler.sandbox.validation import Draft, check_required, read_resource, same_content


class Directory:
    """The resources of a tenant. Every method is one transaction, or a savepoint inside the caller's."""

    def __init__(self, store: Store, config: SandboxConfig) -> None:
        self._store = store
        self._config = config
        self._licences = Licences(store, config)

    def read(self, kind: ResourceKind, key: str) -> Record:
        """The resource with that id; a CXone tenant also knows users by userName."""
        record = self._store.find(kind, key)
        if record is None and kind is USER and self._config.is_cxone:
            record = self._store.find_user(key)
        if record is None:
            raise not_found(f"{kind.name} {key[:200]!r} does not exist")
        return record

    def create(self, kind: ResourceKind, payload: Mapping[str, Any]) -> Record:
        """POST (RFC 7644 section 3.3)."""
        with self._store.transaction(), self._errors_of(kind):
            draft = read_resource(kind, payload)
            attributes = as_kept(draft.attributes, self._config.quirks)
            groups = self._checked_new(kind, payload, draft)
            self._check_unique(kind, attributes, None)
            members = MemberEdit(self._store, None)
            members.add(draft.members or [])
            record = self._store.insert(kind, attributes)
            added, _ = members.difference()
            self._change_members(record, added, ())
            self._settle_licence(record, None, attributes)
            for group in groups:
                self._store.change_members(group.seq, {record.seq: None}, ())
                self._store.update(group, group.attributes())
            return record

    def replace(
        self, kind: ResourceKind, key: str, payload: Mapping[str, Any], preconditions: Preconditions = NONE
    ) -> Record:
        """PUT (RFC 7644 section 3.5.1): what the body leaves out is cleared."""
        with self._store.transaction(), self._errors_of(kind):
            record = self._guarded(kind, key, preconditions)
            draft = read_resource(kind, payload)
            members = self._replaced_members(record, draft)
            attributes = as_replaced(record.attributes(), draft.attributes, self._config.quirks)
            return self._save(record, attributes, members)

    def patch(
        self, kind: ResourceKind, key: str, message: Mapping[str, Any], preconditions: Preconditions = NONE
    ) -> Record:
        """PATCH (RFC 7644 section 3.5.2)."""
        if not self._config.supports_patch:
            raise not_implemented("PATCH")
        with self._store.transaction(), self._errors_of(kind):
            record = self._guarded(kind, key, preconditions)
            operations = read_patch(message, lenient=self._config.is_cxone)
            if self._config.quirks.ignores_member_removals:
                operations = [operation for operation in operations if not _removes_members(operation)]
            return self._patched(record, operations)

    def edit(self, record: Record, operations: Sequence[Mapping[str, Any]] | None) -> Record:
        """What somebody else does to a resource behind the client's back; without operations only its version rises."""
        with self._store.transaction():
            if operations is None:
                return self._store.update(record, record.attributes())
            return self._patched(record, read_patch({"schemas": [PATCH_URN], "Operations": operations}, lenient=False))

    def delete(self, kind: ResourceKind, key: str, preconditions: Preconditions = NONE) -> Record:
        """DELETE (RFC 7644 section 3.6); the answer is what was deleted."""
        with self._store.transaction():
            record = self._guarded(kind, key, preconditions)
            self._store.delete(record)
            return record

    def _patched(self, record: Record, operations: Sequence[Operation]) -> Record:
        kind = KINDS[record.kind]
        members = MemberEdit(self._store, record.seq) if kind is GROUP else None
        target = Target(kind, record.id, copy.deepcopy(record.attributes()), members)
        apply_patch(target, operations)
        check_required(kind, target.attributes)
        return self._save(record, target.attributes, members)

    def _guarded(self, kind: ResourceKind, key: str, preconditions: Preconditions) -> Record:
        record = self.read(kind, key)
        if self._config.supports_etag and not self._config.quirks.ignores_if_match:
            preconditions.check_write(entity_tag(record.version))
        return record

    def _replaced_members(self, record: Record, draft: Draft) -> MemberEdit | None:
        if record.kind != GROUP.name:
            return None
        if draft.members is None and self._config.is_cxone:
            raise invalid_value("members is missing")
        quirks = self._config.quirks
        if quirks.ignores_members_on_put:
            return None
        members = MemberEdit(self._store, record.seq)
        if not quirks.merges_on_put:
            members.clear()
        members.add(draft.members or [])
        return members

    def _save(self, record: Record, written: dict[str, Any], members: MemberEdit | None) -> Record:
        """Store what changed; when nothing did, version and lastModified stay as they are."""
        before, attributes = record.attributes(), as_kept(written, self._config.quirks)
        added, removed = members.difference() if members else ({}, set[int]())
        if not added and not removed and same_content(before, attributes):
            return record
        self._check_unique(KINDS[record.kind], attributes, record.seq)
        if self._config.is_cxone:
            check_roles(attributes, self._config.roles)
        self._change_members(record, added, removed)
        self._settle_licence(record, before, attributes)
        return self._store.update(record, attributes)

    def _checked_new(self, kind: ResourceKind, payload: Mapping[str, Any], draft: Draft) -> Sequence[Record]:
        """What CXone asks of a new user; the answer is the groups that the user is to be in."""
        if kind is not USER or not self._config.is_cxone:
            return ()
        check_new_user(draft.attributes)
        check_roles(draft.attributes, self._config.roles)
        return () if self._config.quirks.ignores_inline_groups else inline_groups(self._store, payload)

    def _change_members(self, record: Record, added: Mapping[int, str | None], removed: Iterable[int]) -> None:
        self._store.change_members(record.seq, added, removed)
        if self._config.is_cxone:
            check_depth(self._store, record.seq, added, self._config.nested_group_depth)

    def _settle_licence(self, record: Record, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        if self._config.is_cxone and record.kind == USER.name:
            self._licences.settle(record, before, after)

    def _errors_of(self, kind: ResourceKind) -> AbstractContextManager[None]:
        return group_errors(kind) if self._config.is_cxone else nullcontext()

    def _check_unique(self, kind: ResourceKind, attributes: Mapping[str, Any], but: int | None) -> None:
        """409 for a taken userName or externalId, under CXone also for a taken group name."""
        columns = [("externalId", "external_id", attributes.get("externalId"))]
        if kind is USER:
            columns.append(("userName", "user_name", fold(attributes["userName"])))
        elif self._config.is_cxone:
            columns.append(("displayName", "display_name", fold(attributes["displayName"])))
        for name, column, value in columns:
            if value is not None and self._store.find_clash(kind, column, value, but):
                raise uniqueness(f"Another {kind.name} has the {name} {attributes[name][:200]!r}")


def _removes_members(operation: Operation) -> bool:
    return operation.op is Op.REMOVE and (operation.path or "").lower().startswith("members")
