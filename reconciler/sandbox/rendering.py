"""Stored resources as answers: text joined from stored parts where possible, decoded only for a projection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.definitions import GROUP, KINDS
from reconciler.sandbox.preconditions import entity_tag
from reconciler.sandbox.projection import EVERYTHING, Projection
from reconciler.sandbox.store import BASE_MARK, Record, Store
from reconciler.sandbox.wire import encode_json


class Renderer:
    """Turns records into JSON text for one base URL. Callers hold the store's lock."""

    def __init__(self, store: Store, config: SandboxConfig, base_url: str) -> None:
        self._store = store
        self._config = config
        self._base_text = json.dumps(base_url)[1:-1]

    def render(self, record: Record, projection: Projection = EVERYTHING) -> str:
        """One resource."""
        computed = self._computed([record], projection, in_list=False)
        return self._projected(record, self._text(record, computed.get(record.seq)), projection)

    def render_all(self, records: Sequence[Record], projection: Projection = EVERYTHING) -> list[str]:
        """The resources of a list, with one query for all members and one for all groups."""
        computed = self._computed(records, projection, in_list=True)
        return [self._projected(record, self._text(record, computed.get(record.seq)), projection) for record in records]

    def decode(self, record: Record, names: set[str]) -> dict[str, Any]:
        """A resource as values, with members or groups only when `names` (lower case) mentions them."""
        computed_name = computed_attribute(record.kind)
        computed = None
        if computed_name in names:
            computed = self._computed([record], EVERYTHING, in_list=False).get(record.seq)
        resource: dict[str, Any] = json.loads(
            self._text(record, computed) if computed or "meta" in names else record.body
        )
        return resource

    def _computed(self, records: Sequence[Record], projection: Projection, *, in_list: bool) -> dict[int, str]:
        """The text of `members` for groups and of `groups` for users, by sequence number."""
        users, groups = (
            [record.seq for record in records if record.kind == name and projection.wants(KINDS[name], attribute)]
            for name, attribute in (("User", "groups"), ("Group", "members"))
        )
        found: dict[int, str] = {}
        if users and not self._config.quirks.hides_groups:
            found |= {seq: f',"groups":[{text}]' for seq, text in self._store.groups_text(users).items()}
        if groups:
            members = self._members(groups, in_list=in_list)
            found |= {seq: f',"members":[{text}]' for seq, text in members.items()}
        return found

    def _members(self, groups: list[int], *, in_list: bool) -> dict[int, str]:
        """The elements of `members` as they are shown; a group without an entry shows no `members`."""
        quirks = self._config.quirks
        if quirks.hides_members or (in_list and quirks.hides_members_in_lists):
            return {}
        empty = dict.fromkeys(groups, "") if self._config.is_cxone or quirks.empties_members else {}
        if quirks.empties_members:
            return empty
        found = self._store.members_text(groups)
        if quirks.truncates_members is not None:
            found = {seq: self._first(text, quirks.truncates_members) for seq, text in found.items()}
        return empty | found

    def _first(self, elements: str, count: int) -> str:
        shown = json.loads(f"[{elements.replace(BASE_MARK, self._base_text)}]")[:count]
        return ",".join(map(encode_json, shown))

    def _text(self, record: Record, computed: str | None) -> str:
        kind = KINDS[record.kind]
        version = f',"version":{json.dumps(entity_tag(record.version))}' if self._config.supports_etag else ""
        text = (
            f'{record.body[:-1]}{computed or ""},"meta":{{"resourceType":"{kind.name}","created":"{record.created}",'
            f'"lastModified":"{record.modified}","location":"{BASE_MARK}{kind.endpoint}/{record.id}"{version}}}}}'
        )
        return text.replace(BASE_MARK, self._base_text)

    def _projected(self, record: Record, text: str, projection: Projection) -> str:
        kind = KINDS[record.kind]
        if projection.is_trivial(kind, computed_attribute(record.kind)):
            return text
        return encode_json(projection.apply(kind, json.loads(text)))


def computed_attribute(kind_name: str) -> str:
    """The attribute that is not stored in the body of a resource."""
    return "members" if kind_name == GROUP.name else "groups"
