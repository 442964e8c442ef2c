"""The client against services that were written without it (RFC 7644)."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import PreconditionFailed, ScimRejected
from reconciler.messages.bulk import BulkJob, BulkOperation, parse_bulk_response, to_bulk_request
from reconciler.messages.codec import resource_path
from reconciler.model.resource import GROUP_SCHEMA, USER_SCHEMA, Kind, LiveGroup, LiveUser, unpack
from reconciler.scim.capabilities import read_capabilities
from reconciler.scim.snapshot import read_live_state
from tests.contract.scim.conftest import Target


def _user(name: str | None = None, **attributes: Any) -> dict[str, Any]:
    name = name or f"user-{uuid.uuid4().hex}@example.com"
    return {
        "schemas": [USER_SCHEMA],
        "userName": name,
        "name": {"givenName": "Jane", "familyName": "Smith"},
        "emails": [{"value": name, "type": "work", "primary": True}],
        "active": True,
        **attributes,
    }


def _group(*members: str) -> dict[str, Any]:
    elements = [{"value": member, "type": "User"} for member in members]
    return {"schemas": [GROUP_SCHEMA], "displayName": f"Group {uuid.uuid4().hex}", "members": elements}


def _replace(path: str, value: object) -> dict[str, Any]:
    urn = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
    return {"schemas": [urn], "Operations": [{"op": "replace", "path": path, "value": value}]}


def test_a_created_user_is_read_back_as_it_was_sent(target: Target) -> None:
    """Sections 3.3 and 3.4.1: 201 with the resource, and the same again by GET."""
    body = _user(externalId="hr-1")
    written = target.client.create(Kind.USER, body)
    assert isinstance(written.resource, LiveUser)
    read = target.client.get(Kind.USER, written.id)
    assert isinstance(read, LiveUser)
    assert (read.id, read.version) == (written.id, written.version)
    assert (read.user_name, read.external_id, read.active) == (body["userName"], "hr-1", True)
    assert unpack(read.body)["emails"] == body["emails"]


def test_what_is_not_there_is_none(target: Target) -> None:
    """Section 3.4.1: 404; also for ids that are no ids."""
    for identifier in ("nobody", "a/b", 'qu"ote', "with space", "100%", "ünïcode", "a?b=c", "a#b", "..x"):
        assert target.client.get(Kind.USER, identifier) is None


def test_a_name_that_is_taken_is_rejected(target: Target) -> None:
    """Section 3.3: 409 with scimType uniqueness."""
    body = _user()
    target.client.create(Kind.USER, body)
    with pytest.raises(ScimRejected) as rejected:
        target.client.create(Kind.USER, body)
    assert not isinstance(rejected.value, PreconditionFailed)
    assert (rejected.value.status, rejected.value.scim_type) == (409, "uniqueness")


def test_a_put_with_the_current_version_replaces(target: Target) -> None:
    """Sections 3.5.1 and 3.14: the version changes with it."""
    written = target.client.create(Kind.USER, _user())
    again = target.client.put(Kind.USER, written.id, _user(title="Agent"), written.version)
    assert isinstance(again.resource, LiveUser)
    assert unpack(again.resource.body)["title"] == "Agent"
    assert again.version not in {None, written.version}


@pytest.mark.parametrize("verb", ["put", "patch", "delete"])
def test_a_stale_version_is_a_failed_precondition(target: Target, verb: str) -> None:
    """SPEC P3, RFC 7644 section 3.14: 412, and nothing is written."""
    client = target.client
    body = _user()
    written = client.create(Kind.USER, body)
    newer = client.put(Kind.USER, written.id, {**body, "title": "newer"}, written.version)
    write: dict[str, Callable[[], object]] = {
        "put": lambda: client.put(Kind.USER, written.id, {**body, "title": "stale"}, written.version),
        "patch": lambda: client.patch(Kind.USER, written.id, _replace("title", "stale"), written.version),
        "delete": lambda: client.delete(Kind.USER, written.id, written.version),
    }
    with pytest.raises(PreconditionFailed) as failed:
        write[verb]()
    assert failed.value.status == 412
    live = client.get(Kind.USER, written.id)
    assert live is not None
    assert live.version == newer.version
    assert unpack(live.body)["title"] == "newer"


def test_a_patch_changes_one_attribute(target: Target) -> None:
    """Section 3.5.2: 200 or 204, the rest stays."""
    body = _user(title="Agent")
    written = target.client.create(Kind.USER, body)
    target.client.patch(Kind.USER, written.id, _replace("active", value=False), written.version)
    live = target.client.get(Kind.USER, written.id)
    assert isinstance(live, LiveUser)
    assert live.active is False
    assert unpack(live.body)["title"] == "Agent"


def test_a_delete_of_what_is_gone_is_done(target: Target) -> None:
    """Section 3.6: 204, then 404, which is what was wanted."""
    written = target.client.create(Kind.USER, _user())
    target.client.delete(Kind.USER, written.id, written.version)
    assert target.client.get(Kind.USER, written.id) is None
    target.client.delete(Kind.USER, written.id, None)


def test_a_user_is_found_by_name_whatever_the_case(target: Target) -> None:
    """Section 3.4.2.2: userName is not caseExact."""
    written = target.client.create(Kind.USER, _user(f"Case-{uuid.uuid4().hex}@Example.com"))
    assert isinstance(written.resource, LiveUser)
    name = written.resource.user_name
    assert [found.id for found in target.client.find(Kind.USER, "userName", name.upper())] == [written.id]
    assert target.client.find(Kind.USER, "userName", name + "x") == ()


@pytest.mark.parametrize(
    "value",
    [
        'quo"te',
        "back\\slash",
        "a+b",
        "per%cent",
        "am&per=sand",
        "o'brien",
        "spa ce",
        "ünïcødé",
        "a#b?c/d",
        "𝒳",
        "]) or (a",
    ],
)
def test_a_filter_carries_any_value(target: Target, value: str) -> None:
    """Section 3.4.2.2: JSON escapes, then URL encoding; a raw plus would become a space (Q10)."""
    external_id = f"{value}-{uuid.uuid4().hex}"
    written = target.client.create(Kind.USER, _user(externalId=external_id))
    assert [found.id for found in target.client.find(Kind.USER, "externalId", external_id)] == [written.id]


def test_a_group_shows_its_members(target: Target) -> None:
    """RFC 7643 section 4.2; a group without members has none when it is read by itself."""
    member = target.client.create(Kind.USER, _user()).id
    full = target.client.create(Kind.GROUP, _group(member)).id
    empty = target.client.create(Kind.GROUP, _group()).id
    one, other = target.client.get(Kind.GROUP, full), target.client.get(Kind.GROUP, empty)
    assert isinstance(one, LiveGroup)
    assert isinstance(other, LiveGroup)
    assert (one.members, other.members) == ((member,), ())


def test_bulk_gives_each_operation_its_own_result(target: Target) -> None:
    """Section 3.7: one call, HTTP 200, a result each: created, updated, stale, refused, deleted."""
    client = target.client
    first, second, third = (client.create(Kind.USER, _user()) for _ in range(3))
    client.patch(Kind.USER, second.id, _replace("title", "newer"), second.version)
    name = f"bulk-{uuid.uuid4().hex}@example.com"
    operations = (
        BulkOperation(bulk_id="a", method="POST", path="/Users", data=_user(name)),
        BulkOperation(
            bulk_id="b",
            method="PATCH",
            path=resource_path(Kind.USER, first.id),
            version=first.version,
            data=_replace("title", "bulk"),
        ),
        BulkOperation(bulk_id="d", method="POST", path="/Users", data=_user(name)),
        BulkOperation(bulk_id="e", method="DELETE", path=resource_path(Kind.USER, third.id)),
    )
    answer = client.bulk(to_bulk_request(operations, target.tenant.dialect))
    assert not isinstance(answer, BulkJob)
    created, patched, duplicate, deleted = parse_bulk_response(answer, operations)
    assert created.status == 201
    assert created.id is not None
    live = client.get(Kind.USER, created.id)
    assert isinstance(live, LiveUser)
    assert (live.user_name, live.version) == (name, created.version)
    assert (patched.status in {200, 204}, patched.id) == (True, first.id)
    assert duplicate.status == 409
    assert duplicate.detail
    assert deleted.status == 204
    assert client.get(Kind.USER, third.id) is None


def test_a_stale_version_inside_bulk_is_refused(target: Target) -> None:
    """Section 3.7: `version` guards the operation as `If-Match` does a request."""
    client = target.client
    written = client.create(Kind.USER, _user())
    client.patch(Kind.USER, written.id, _replace("title", "newer"), written.version)
    operation = BulkOperation(
        bulk_id="a",
        method="PATCH",
        path=resource_path(Kind.USER, written.id),
        version=written.version,
        data=_replace("title", "stale"),
    )
    answer = client.bulk(to_bulk_request([operation], target.tenant.dialect))
    assert not isinstance(answer, BulkJob)
    [result] = parse_bulk_response(answer, [operation])
    assert result.status == 412
    live = client.get(Kind.USER, written.id)
    assert live is not None
    assert unpack(live.body)["title"] == "newer"


def test_wrong_credentials_are_told(target: Target) -> None:
    """401 is an error with a hint, and no inventory of nobody."""
    from reconciler.scim.client import ScimClient
    from reconciler.transport.tokens import BearerToken
    from tests.fakes.scripted_service import transport_to

    stranger = ScimClient(transport_to(tokens=BearerToken("wrong")), target.tenant.endpoints, target.tenant.dialect)
    with pytest.raises(ScimRejected) as rejected:
        stranger.list_page(Kind.USER, 1, 10)
    assert rejected.value.status == 401
    assert "wrong" not in str(rejected.value)


def test_capabilities_are_what_the_service_announces(target: Target) -> None:
    """Section 4, in three requests, in both shapes of cxone.md D27."""
    before = target.client.requests
    capabilities = read_capabilities(target.client, target.tenant)
    assert target.client.requests - before == 3
    assert (capabilities.bulk, capabilities.max_operations) == (True, 1000)
    assert (capabilities.patch, capabilities.etag, capabilities.filter, capabilities.sort) == (True, True, True, True)
    assert capabilities.max_results == (20 if target.is_sandbox else 1000)


def test_a_snapshot_is_complete_and_certified(target: Target) -> None:
    """SPEC P4 and section 6: all users and groups, in as many requests as there are pages."""
    client = target.client
    users = [client.create(Kind.USER, _user()).id for _ in range(45)]
    full = client.create(Kind.GROUP, _group(*users)).id
    empty = client.create(Kind.GROUP, _group()).id
    capabilities = read_capabilities(client, target.tenant)
    live = read_live_state(client, target.tenant, capabilities, configuration=False)
    assert live.users.keys() >= set(users)
    assert live.groups[full].members == tuple(sorted(users))
    assert live.groups[empty].members == ()
    for kind, found in ((Kind.USER, live.users), (Kind.GROUP, live.groups)):
        assert live.certificate(kind).complete is True
        assert live.certificate(kind).count == len(found)
    page = min(target.tenant.limits.page_size, capabilities.max_results or 0)
    assert live.requests == sum(-(-len(found) // page) for found in (live.users, live.groups))
    versions = {id_: live.users[id_].version for id_ in users}
    assert {id_: read.version for id_ in users[:3] if (read := client.get(Kind.USER, id_))}.items() <= versions.items()


def test_the_configuration_is_read_and_written_with_its_version(target: Target) -> None:
    """cxone.md section 7; RFC 7644 defines only GET, so others refuse the PUT."""
    live = target.client.get_configuration()
    assert live is not None
    body = unpack(live.body)
    if target.name != "sandbox-cxone":
        with pytest.raises(ScimRejected) as rejected:
            target.client.put_configuration(body, live.version)
        assert rejected.value.status in {404, 405, 501}
        return
    assert live.version is not None
    changed = {**body, "filterConfig": {"supported": True, "maxResults": 50}}
    target.client.put_configuration(changed, live.version)
    again = target.client.get_configuration()
    assert again is not None
    assert unpack(again.body)["filterConfig"] == {"supported": True, "maxResults": 50}
    with pytest.raises(PreconditionFailed):
        target.client.put_configuration(body, live.version)
