"""One complete read of the live state, and the certificate that says whether it is complete (SPEC P4)."""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind
from reconciler.model.state import LiveState
from reconciler.model.tenant import Tenant
from reconciler.scim.capabilities import as_found
from reconciler.scim.listing import MOST_ROWS, ListReader, Progress, Service
from reconciler.scim.membership import Membership, Settled, emptied, settle


def read_live_state(
    client: Service,
    tenant: Tenant,
    capabilities: Capabilities,
    *,
    configuration: bool,
    progress: Progress | None = None,
    most_rows: int = MOST_ROWS,
) -> LiveState:
    """Read all users, then all groups, page by page; by index `limits.parallelReads` pages at a time.

    Sends ceil(n / page) requests per kind, and at least one, when the service lists what it says it has; by index one
    more where n is exactly one page, because some services count the page instead of the list. What does not add up is
    listed once more, page after page. If it then still does not, the certificate says so. A page that cannot be read is
    an error, and so are more than `most_rows` resources of a kind: neither makes the state smaller (SPEC P4).
    """
    before = client.requests
    reader = ListReader(client, tenant, capabilities, progress, most_rows=most_rows)
    membership = Membership()
    users = reader.read(Kind.USER, membership.note_user)
    groups = reader.read(Kind.GROUP, membership.group_decoder(users.rows))
    settled = settle(reader, groups.rows, membership)
    live = LiveState(
        users=users.rows,
        groups=settled.groups,
        configuration=client.get_configuration() if configuration else None,
        certificates={
            Kind.USER: users.certificate(by_cursor=reader.by_cursor),
            Kind.GROUP: groups.certificate(by_cursor=reader.by_cursor),
        },
        requests=client.requests - before,
        notes=settled.notes,
        members_by_group=settled.by_group,
    )
    return replace(live, lacking=_lacking(capabilities, reader, live, settled))


def _lacking(capabilities: Capabilities, reader: ListReader, live: LiveState, settled: Settled) -> frozenset[str]:
    """What is announced or assumed, and was seen not to be there."""
    without = {"cursor"} if capabilities.cursor and not reader.by_cursor else set[str]()
    if capabilities.etag and settled.probed and not shows_versions(live):
        without.add("etag")
    return frozenset(without)


def shows_versions(live: LiveState) -> bool:
    """Whether anything that was read has a version."""
    return any(user.version for user in live.users.values()) or any(group.version for group in live.groups.values())


def look_for_versions(client: Service, live: LiveState) -> LiveState:
    """The snapshot, with what one more request tells about versions where nothing that was read has one.

    Some services tell them in the answer to a GET of one resource only (scim-rfc.md Q14). Without resources nothing can
    be told; a resource that cannot be read tells nothing either.
    """
    if "etag" in live.lacking or shows_versions(live) or not (live.users or live.groups):
        return live
    kind, resources = (Kind.USER, live.users.keys()) if live.users else (Kind.GROUP, live.groups.keys())
    try:
        alone = client.get(kind, next(iter(resources)))
    except (ScimRejected, ScimMalformed):
        return live
    if alone is None or not alone.version:
        return replace(live, lacking=live.lacking | {"etag"})
    note = "lists show no versions: each resource is read again right before it is written, and its version sent"
    return replace(live, notes=(*live.notes, note))


def reread_list(
    client: Service, tenant: Tenant, capabilities: Capabilities, kind: Kind, live: LiveState
) -> LiveState | None:
    """The snapshot with one list read again, or None where it cannot be read completely or does not show members.

    A list in which no group shows members is taken for one of empty groups: whoever knows better does not believe it.
    """
    reader = ListReader(client, tenant, as_found(capabilities, live), None)
    membership = Membership()
    if kind is Kind.USER:
        users = reader.read(kind, membership.note_user)
        return replace(live, users=users.rows) if users.problem is None else None
    if live.members_by_group:
        return None
    groups = reader.read(kind, membership.group_decoder(live.users))
    unknown = any(group.members is None for group in live.groups.values())
    if groups.problem is not None or (unknown and membership.silent and not membership.seen):
        return None
    return replace(live, groups=groups.rows | emptied(groups.rows, membership.silent))
