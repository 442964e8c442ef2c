"""The client against services that answer oddly, each as a scripted service over real HTTP."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.errors import PreconditionFailed, ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.model.dialect import Dialect
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Kind, LiveGroup
from reconciler.model.state import LiveState
from reconciler.scim.client import ScimClient
from reconciler.scim.snapshot import read_live_state
from tests.fakes.clock import FakeClock
from tests.fakes.listed_service import tenant, user
from tests.fakes.scripted_service import TOKEN, Answer, ScriptedService, Seen, scripted, transport_to

Start = Callable[..., tuple[ScriptedService, ScimClient]]

JANE = {"id": "u1", "userName": "jane@example.com", "meta": {"version": 'W/"1"'}}
ERROR = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"]}


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a scripted service; gives the service and a client for it."""
    with ExitStack() as stack:

        def run(script: Any, dialect: Dialect | None = None, **options: Any) -> tuple[ScriptedService, ScimClient]:
            service, origin = stack.enter_context(scripted(script))
            transport = stack.enter_context(transport_to(**options))
            return service, ScimClient(transport, tenant(f"{origin}/v2").endpoints, dialect or Dialect())

        yield run


# --- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [None, ""], ids=["none", "empty"])
def test_r8_no_version_sends_no_if_match(start: Start, version: str | None) -> None:
    """Defect R8: `If-Match` was sent empty when no ETag had been read."""
    service, client = start([Answer(body=JANE)])
    client.put(Kind.USER, "u1", {}, version)
    client.patch(Kind.USER, "u1", {}, version)
    client.delete(Kind.USER, "u1", version)
    assert not any("if-match" in seen.headers for seen in service.seen)


@pytest.mark.parametrize("tag", ['W/"a330bc54"', '"strong"', "unquoted", 'W/"ünï"'])
def test_a_tag_goes_back_byte_for_byte(start: Start, tag: str) -> None:
    """scim-rfc.md section 9: weak prefix included, nothing repaired."""
    service, client = start([Answer(body={"id": "u1"}, headers={"ETag": tag.encode().decode("latin-1")})])
    resource = client.get(Kind.USER, "u1")
    assert resource is not None
    client.put(Kind.USER, "u1", {}, resource.version)
    assert service.seen[1].headers["if-match"].encode("latin-1").decode() == tag


def test_a_lost_put_is_repeated_only_under_a_version(start: Start) -> None:
    """SPEC P5: with `If-Match` a second arrival cannot do a thing twice; without, it could undo another's write."""
    answers = [Answer(status=503), Answer(status=204)]
    service, client = start(list(answers))
    client.put(Kind.USER, "u1", {}, '"1"')
    assert len(service.seen) == 2
    service, client = start(list(answers))
    with pytest.raises(ScimRejected):
        client.put(Kind.USER, "u1", {}, None)
    assert len(service.seen) == 1


def test_media_types_are_sent_both_and_accepted_both(start: Start) -> None:
    """D7, scim-rfc.md Q22: one service refuses the one, another the other."""
    service, client = start([Answer(status=201, body=JANE, headers={"Content-Type": "text/plain"})])
    client.create(Kind.USER, {"userName": "ü"})
    assert service.seen[0].headers["content-type"] == "application/scim+json"
    assert service.seen[0].headers["accept"] == "application/scim+json, application/json;q=0.9"
    assert service.seen[0].body == '{"userName":"ü"}'.encode()
    service, client = start([Answer(status=201, body=JANE)], Dialect(media_type="application/json"))
    client.create(Kind.USER, {})
    assert service.seen[0].headers["content-type"] == "application/json"
    assert service.seen[0].headers["accept"] == "application/json, application/scim+json;q=0.9"


def test_what_has_a_version_is_not_asked_for_compressed(start: Start) -> None:
    """A compressing proxy weakens or renames ETags (scim-rfc.md section 9)."""
    service, client = start([Answer(body=JANE)])
    client.get(Kind.USER, "u1")
    client.put(Kind.USER, "u1", {}, '"1"')
    assert [seen.headers["accept-encoding"] for seen in service.seen] == ["identity", "identity"]


def test_a_list_is_asked_for_by_the_rules(start: Start) -> None:
    """RFC 7644 section 3.4.2: startIndex, count, filter; a plus and an ampersand stay what they are."""
    service, client = start([Answer(body={"totalResults": 0})])
    client.list_page(Kind.USER, 101, 50, 'userName eq "a+b&c"')
    query = urlsplit(service.seen[0].path).query
    assert parse_qs(query) == {"startIndex": ["101"], "count": ["50"], "filter": ['userName eq "a+b&c"']}
    assert "+" not in query


def test_an_id_that_no_path_can_carry_is_refused_unsent(start: Start) -> None:
    """`..` would be resolved away, and the request would hit the list."""
    service, client = start([Answer(body=JANE)])
    for identifier in ("", ".", ".."):
        with pytest.raises(ScimMalformed):
            client.delete(Kind.USER, identifier, None)
    client.get(Kind.USER, "a/../b")
    assert service.lines == ["GET /v2/Users/a%2F..%2Fb"]


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("status", [200, 204])
def test_d15_d33_a_write_may_return_nothing(start: Start, method: str, status: int) -> None:
    """200 with an empty body and 204 are successes; the version comes from the header, or there is none."""
    _, client = start([Answer(status=status, headers={"ETag": '"2"'}), Answer(status=status)])
    first, second = (getattr(client, method)(Kind.USER, "u1", {}, '"1"') for _ in range(2))
    assert (first.id, first.version, first.resource) == ("u1", '"2"', None)
    assert second.version is None


def test_a_create_may_return_a_location_only(start: Start) -> None:
    """The id is in it."""
    _, client = start([Answer(status=201, headers={"Location": "https://x/v2/Users/a%2Fb", "ETag": '"1"'})])
    written = client.create(Kind.USER, {})
    assert (written.id, written.version, written.resource) == ("a/b", '"1"', None)


def test_a_create_that_does_not_say_what_it_created_is_malformed(start: Start) -> None:
    """The outcome is unknown, and will be looked up."""
    _, client = start([Answer(status=201)])
    with pytest.raises(ScimMalformed, match="did not say its id"):
        client.create(Kind.USER, {})


def test_a_written_group_that_shows_no_members_says_nothing_about_them(start: Start) -> None:
    """Unknown, not empty (scim-rfc.md section 3.5); read by itself, absent means none."""
    _, client = start([Answer(body={"id": "g", "displayName": "G"})])
    written = client.put(Kind.GROUP, "g", {}, None).resource
    read = client.get(Kind.GROUP, "g")
    assert isinstance(written, LiveGroup)
    assert isinstance(read, LiveGroup)
    assert (written.members, read.members) == (None, ())


def test_d24_the_total_may_come_in_a_header(start: Start) -> None:
    """The body wins where both say something."""
    header = {"X-Total-Results": "7"}
    _, client = start(
        [Answer(body={"Resources": []}, headers=header), Answer(body={"totalResults": 3}, headers=header)]
    )
    assert client.list_page(Kind.USER, 1, 10).total == 7
    assert client.list_page(Kind.USER, 1, 10).total == 3


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>login</html>", b"[]", b"null", b'{"message": "maintenance"}', b'{"Resources": "x"}', b"{" * 5000],
    ids=["empty", "html", "array", "null", "message", "rows", "deep"],
)
def test_a_list_that_is_none_is_malformed(start: Start, body: bytes) -> None:
    """Incident awslabs/ssosync #194: with status 200, and yet not "nobody is there"."""
    _, client = start([Answer(body=body)])
    with pytest.raises(ScimMalformed):
        client.list_page(Kind.USER, 1, 10)


@pytest.mark.parametrize("status", [202, 204, 206])
def test_a_success_that_means_nothing_is_malformed(start: Start, status: int) -> None:
    """A read wants 200 and nothing else."""
    _, client = start([Answer(status=status)])
    with pytest.raises(ScimMalformed):
        client.get(Kind.USER, "u1")


def test_c4_the_write_of_a_configuration_may_be_accepted_for_later(start: Start) -> None:
    """202: only reading it back proves anything."""
    _, client = start([Answer(status=202, headers={"ETag": '"2"'})])
    assert client.put_configuration({}, '"1"').version == '"2"'


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 500])
def test_r1_a_failed_bulk_is_an_error_whatever_its_body(start: Start, status: int) -> None:
    """Defect R1: the status was unchecked and the error body decoded to zero operations, reported as success."""
    _, client = start([Answer(status=status, body={"Operations": []})])
    with pytest.raises(ScimRejected) as rejected:
        client.bulk({})
    assert rejected.value.status == status


def test_r10_a_bulk_that_is_too_large_says_so(start: Start) -> None:
    """413 (RFC 7644 section 3.7.4), for the applier to halve the chunk."""
    _, client = start([Answer(status=413, body={**ERROR, "detail": "maxPayloadSize (1048576) exceeded"})])
    with pytest.raises(ScimRejected) as rejected:
        client.bulk({})
    assert (rejected.value.status, rejected.value.detail) == (413, "maxPayloadSize (1048576) exceeded")


@pytest.mark.parametrize(
    ("status", "body", "guarded", "conflict"),
    [
        (412, {}, True, True),
        (412, {}, False, True),
        (409, {"detail": "version mismatch"}, True, True),
        (409, {}, True, True),
        (409, {"detail": "version mismatch"}, False, False),
        (409, {"scimType": "uniqueness"}, True, False),
        (409, {"detail": "userName already exists"}, True, False),
        (400, {}, True, False),
    ],
)
def test_d20_a_stale_version_is_told_from_a_taken_name(
    start: Start, status: int, body: dict[str, Any], guarded: bool, conflict: bool
) -> None:
    """412, or 409 on a guarded write that speaks of no duplicate (scim-rfc.md section 9, Q11)."""
    _, client = start([Answer(status=status, body=body)])
    with pytest.raises(ScimRejected) as rejected:
        client.put(Kind.USER, "u1", {}, '"1"' if guarded else None)
    assert isinstance(rejected.value, PreconditionFailed) is conflict
    assert rejected.value.status == status


def test_p11_an_error_shows_no_secret(start: Start) -> None:
    """Also where the token stands across the cut of a long detail, or its slashes are escaped."""
    for body in (
        json.dumps({"detail": f"token {TOKEN} refused"}),
        json.dumps({"detail": "x" * 290 + TOKEN}),
        f"<h1>Authorization: Bearer {TOKEN}</h1>",
        f"\x1b[31m{TOKEN}",
    ):
        _, client = start([Answer(status=400, body=body.encode())])
        with pytest.raises(ScimRejected) as rejected:
            client.get(Kind.USER, "u1")
        assert TOKEN[:8] not in str(rejected.value)
        assert "\x1b" not in str(rejected.value)


def test_a_redirect_is_an_error_that_says_where_to(start: Start) -> None:
    """cxone.md section 2: never followed with credentials; the hint shows the origin and nothing more of the URL."""
    _, client = start([Answer(status=302, headers={"Location": "https://login.example.com/?token=abc"})])
    with pytest.raises(ScimRejected) as rejected:
        client.get(Kind.USER, "u1")
    assert "https://login.example.com;" in str(rejected.value.hint)
    assert "abc" not in str(rejected.value.hint)


def test_discovery_that_is_not_there_is_none(start: Start) -> None:
    """404, 405 and 501 mean "no such thing"; everything else is an error."""
    for status in (404, 405, 501):
        _, client = start([Answer(status=status)])
        assert client.service_provider_config() is None
        assert client.resource_types() is None
        assert client.schemas() is None
        assert client.get_configuration() is None
    _, client = start([Answer(status=403)])
    with pytest.raises(ScimRejected):
        client.schemas()


# --- look-ups --------------------------------------------------------------------------------------------------------


def test_an_ignored_filter_finds_nobody_else(start: Start) -> None:
    """INCIDENTS "Filter ignored": Metatavu/keycloak-scim-server #46; langwatch/langwatch #6973.

    The first row of the whole list was adopted there.
    """
    rows = [{"id": "u0", "userName": "somebody@else"}, JANE]
    _, client = start([Answer(body={"totalResults": 2, "Resources": rows})])
    assert [found.id for found in client.find(Kind.USER, "userName", "JANE@example.com")] == ["u1"]
    assert client.find(Kind.USER, "userName", "nobody") == ()


def test_an_ignored_filter_over_many_pages_proves_nothing(start: Start) -> None:
    """What was not shown may hold the name: an answer "not there" would become a duplicate."""
    _, client = start([Answer(body={"totalResults": 500, "Resources": [JANE]})])
    with pytest.raises(ScimMalformed, match="ignores the filter on userName"):
        client.find(Kind.USER, "userName", "nobody")


def test_names_compare_without_case_and_external_ids_exactly(start: Start) -> None:
    """RFC 7643 sections 4.1.1 and 3.1; in one Unicode form (NFC)."""
    rows = [{"id": "1", "userName": "Zoe\u0308@x", "externalId": "A"}, {"id": "2", "userName": "b", "externalId": "a"}]
    _, client = start([Answer(body={"totalResults": 2, "Resources": rows})])
    assert [found.id for found in client.find(Kind.USER, "userName", "ZO\u00cb@X")] == ["1"]
    assert [found.id for found in client.find(Kind.USER, "externalId", "a")] == ["2"]


# --- snapshots over real HTTP ----------------------------------------------------------------------------------------


def _directory(users: int, interfere: Callable[[int, Seen], Answer | None]) -> Callable[[Seen], Answer]:
    """A list of users in pages of ten; `interfere` may answer the n-th request itself."""
    rows = [user(number) for number in range(users)]
    asked = [0]

    def script(seen: Seen) -> Answer:
        asked[0] += 1
        if (answer := interfere(asked[0], seen)) is not None:
            return answer
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(seen.path).query).items()}
        mine = rows if "/Users" in seen.path else []
        first = query["startIndex"] - 1
        return Answer(body={"totalResults": len(mine), "Resources": mine[first : first + min(10, query["count"])]})

    return script


def _snapshot(client: ScimClient) -> LiveState:
    return read_live_state(client, tenant(), Capabilities(), configuration=False)


def test_a_rate_limit_in_the_middle_of_a_list_is_waited_out(start: Start) -> None:
    """Incidents octodns-cloudflare #108, okta provider #2166: the limit never recovered and the run died half way."""
    clock = FakeClock()
    throttle = Answer(status=429, headers={"Retry-After": "20"})
    service, client = start(_directory(60, lambda n, seen: throttle if n in {3, 4} else None), clock=clock)
    live = _snapshot(client)
    assert live.certificate(Kind.USER).complete is True
    assert len(live.users) == 60
    assert live.requests == 7
    assert len(service.seen) == 9
    assert clock.now >= 1020


def test_a_list_that_breaks_for_good_is_an_error(start: Start) -> None:
    """Incident argoproj/argo-cd #14090: never a smaller state."""
    gone = Answer(status=503)
    _, client = start(_directory(60, lambda n, seen: gone if "startIndex=31" in seen.path else None))
    with pytest.raises(ScimRejected) as rejected:
        _snapshot(client)
    assert rejected.value.status == 503


def test_a_page_cut_short_is_read_again(start: Start) -> None:
    """Incident slashdevops/idp-scim-sync #70."""
    cut = Answer(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"totalResults": 60, "Resources": [')
    _, client = start(_directory(60, lambda n, seen: cut if n == 4 else None))
    live = _snapshot(client)
    assert live.certificate(Kind.USER).complete is True
    assert len(live.users) == 60


def test_a_page_that_never_comes_whole_is_an_error(start: Start) -> None:
    """After its retries."""
    cut = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
    _, client = start(_directory(60, lambda n, seen: cut if "startIndex=21" in seen.path else None))
    with pytest.raises(ScimUnreachable):
        _snapshot(client)
