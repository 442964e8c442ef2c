"""What a CXone tenant demands beyond RFC 7643: of new users, of roles, and of groups inside groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from reconciler.sandbox.definitions import GROUP, ResourceKind
from reconciler.sandbox.errors import ScimError, invalid_value
from reconciler.sandbox.store import Record, Store

REQUIRED_ON_CREATE = ("name", "emails")
"""What a new user needs beside `schemas` and `userName` (cxone.md section 4)."""


def check_new_user(attributes: Mapping[str, Any]) -> None:
    """Raise 400 when a new user lacks what CXone needs."""
    for name in REQUIRED_ON_CREATE:
        if name not in attributes:
            raise invalid_value(f"{name} is required")


def check_roles(attributes: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise 400 for a role that the tenant does not have; names are compared exactly. `known` empty: any is known."""
    for role in attributes.get("roles", ()) if known else ():
        if role.get("value") not in known:
            raise invalid_value(f"roles: there is no role {str(role.get('value'))[:100]!r}")


def inline_groups(store: Store, payload: Mapping[str, Any]) -> list[Record]:
    """The groups that a new user names as theirs (cxone.md D17), by exact displayName or id. Raises 400."""
    raw = next((value for name, value in payload.items() if name.lower() == "groups"), None)
    if raw is None:
        return []
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise invalid_value("groups is multi-valued and needs an array of objects")
    found = [_named_group(store, item.get("value")) for item in raw]
    return list({record.seq: record for record in found}.values())


def check_depth(store: Store, group_seq: int, added: Collection[int], limit: int) -> None:
    """Raise 422 when a chain of groups through new members of a group is longer than `limit` groups, or has no end.

    The chain counts every group on it, with all that the group is in (cxone.md section 8).
    """
    inner = store.group_seqs(added)
    if inner and store.chain_above(group_seq, limit) + max(store.chain_below(seq, limit) for seq in inner) > limit:
        raise ScimError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"Groups may be nested {limit} deep and not in circles", "invalidValue"
        )


@contextmanager
def group_errors(kind: ResourceKind) -> Iterator[None]:
    """Answer 422 instead of 400 where the content of a group breaks its schema (cxone.md section 10, D21)."""
    try:
        yield
    except ScimError as error:
        if kind is GROUP and error.scim_type == "invalidValue":
            raise ScimError(HTTPStatus.UNPROCESSABLE_ENTITY, error.detail, error.scim_type) from None
        raise


def _named_group(store: Store, name: Any) -> Record:
    for record in store.groups_named(name) if isinstance(name, str) else ():
        if name in (record.id, record.attributes()["displayName"]):
            return record
    raise invalid_value(f"groups: there is no group {str(name)[:100]!r}")
