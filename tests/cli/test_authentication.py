"""Each way to authenticate, over whole runs of the command line (SPEC section 4, cxone.md section 1)."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sandbox.config import Client
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import TOKEN, Service, Workplace
from tests.fakes.clock import FakeClock
from tests.fakes.interposed import PassOn, forward, interposed
from tests.fakes.scripted_service import Answer, Seen

SECRET = "cl1ent s3cr3t:+/%&"
SCOPES = ["SCIM.ReadWrite", "scim:groups:write"]
CLIENT = Client("acme", SECRET, tuple(SCOPES))
OAUTH2: dict[str, Any] = {
    "type": "oauth2",
    "clientId": "${env:CXONE_CLIENT_ID}",
    "clientSecret": "${env:CXONE_CLIENT_SECRET}",
    "scopes": SCOPES,
}
Refuses = Callable[[Seen], bool]


@pytest.fixture
def office(work: Workplace) -> Workplace:
    """A desk where the client's id and secret are exported."""
    work.environ |= {"CXONE_CLIENT_ID": "acme", "CXONE_CLIENT_SECRET": SECRET}
    return work


def _is_there(service: Service) -> bool:
    return len(service.all("Users")) == 4 and service.member_names("Support") == {"ann@example.com", "bob@example.com"}


@pytest.mark.parametrize("client_auth", ["basic", "form"])
@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_client_credentials_carry_a_whole_run(
    office: Workplace, start_sandbox: StartSandbox, client_auth: str, bulk: bool
) -> None:
    """D4: one token for plan, sending and proof; the secret goes to the token endpoint only, the token never there."""
    service = start_sandbox(clients=(CLIENT,), token=None, supports_bulk=bulk)
    with interposed(service.origin) as (hop, origin):
        dialect = {"clientAuth": client_auth}
        office.organisation(f"{origin}/scim/v2", auth=OAUTH2, dialect=dialect)
        office.converge()
        assert office.run("plan", "--detailed-exitcode").code == 0
    to_token = [seen for seen in hop.seen if seen.path == "/oauth/token"]
    others = [seen for seen in hop.seen if seen.path != "/oauth/token"]
    assert len(to_token) == 2, "one a command"
    assert all(b"scope=SCIM.ReadWrite+scim%3Agroups%3Awrite" in seen.body for seen in to_token)
    assert {seen.headers["authorization"].partition(" ")[0] for seen in others} == {"Bearer"}
    assert all(("authorization" in seen.headers) is (client_auth == "basic") for seen in to_token)


def test_tokens_that_expire_in_mid_run_are_replaced_and_nothing_is_refused(
    office: Workplace, start_sandbox: StartSandbox
) -> None:
    """S8, P7: a token of 10 seconds in a run of minutes; early refresh means that no request is answered 401."""
    clock = FakeClock()
    service = start_sandbox(clients=(CLIENT,), supports_bulk=False, token_lifetime=10, clock=clock)

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.path != "/oauth/token":
            clock.now += 4
            office.clock.now += 4
        return answer

    with interposed(service.origin, hook) as (hop, origin):
        office.organisation(f"{origin}/scim/v2", auth=OAUTH2)
        office.converge()
    statuses = Counter(entry["status"] for entry in service.log)
    assert statuses[401] == 0
    assert hop.lines.count("POST /oauth/token") >= 5
    assert _is_there(service)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_a_token_that_is_revoked_in_mid_run_is_replaced_and_nothing_is_done_twice(
    office: Workplace, start_sandbox: StartSandbox, method: str, bulk: bool
) -> None:
    """R9: one 401, one new token, the same request once more, be it a read or a create."""
    service = start_sandbox(clients=(CLIENT,), supports_bulk=bulk)
    refused: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == method and "/scim/v2" in seen.path and not refused:
            refused.append(seen.headers["authorization"])
            return Answer(401)
        if seen.headers.get("authorization") in refused:
            return Answer(401)
        return pass_on()

    office.organisation(service.base_url, auth=OAUTH2)
    office.converge()
    office.edit("acme/people.yaml", "title: Coach", "title: Chief")
    office.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\n")
    with interposed(service.origin, hook) as (hop, origin):
        office.tenant(f"{origin}/scim/v2", auth=OAUTH2)
        office.converge()
    assert hop.lines.count("POST /oauth/token") == 1 + len(refused)
    assert len(refused) == (0 if bulk and method == "PATCH" else 1)
    assert len(service.all("Users")) == 5


def _stops(work: Workplace, service: Service, auth: dict[str, Any], refuses: Refuses) -> Counter[str]:
    """Every request from the second create on is refused: the run ends, and each change has its outcome."""

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        posts.append(seen.path) if seen.method == "POST" and "/Users" in seen.path else None
        return Answer(401, b'{"error": "invalid_token"}') if len(posts) > 1 and refuses(seen) else pass_on()

    posts: list[str] = []
    with interposed(service.origin, hook) as (_, origin):
        work.organisation(f"{origin}/scim/v2", auth=auth)
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert "Traceback" not in ended.err
    assert "credentials were not accepted" in ended.out + ended.err
    return Counter(work.outcomes().values())


def test_a_new_token_that_is_refused_too_ends_the_run(office: Workplace, start_sandbox: StartSandbox) -> None:
    """cxone.md section 10: one retry, then the run stops; what was not sent is not attempted."""
    service = start_sandbox(clients=(CLIENT,), supports_bulk=False)
    outcomes = _stops(office, service, OAUTH2, lambda seen: "/scim/v2" in seen.path)
    assert outcomes == {"applied": 1, "failed": 1, "not-attempted": 4}
    assert len(service.all("Users")) == 1
    office.tenant(service.base_url, auth=OAUTH2)
    office.converge()
    assert _is_there(service)


def test_a_static_token_that_is_refused_in_mid_run_ends_it(work: Workplace, start_sandbox: StartSandbox) -> None:
    """There is no other one: a 401 is final for `bearer`."""
    service = start_sandbox(supports_bulk=False)
    bearer = {"type": "bearer", "token": "${env:SCIM_TOKEN}"}
    outcomes = _stops(work, service, bearer, lambda seen: True)
    assert outcomes == {"applied": 1, "failed": 1, "not-attempted": 4}


def test_no_token_to_go_on_with_ends_the_run(office: Workplace, start_sandbox: StartSandbox) -> None:
    """The token endpoint refuses from the second token on: nothing is sent without one, and nothing is guessed."""
    clock = FakeClock()
    service = start_sandbox(clients=(CLIENT,), supports_bulk=False, token_lifetime=10, clock=clock)
    tokens: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.path == "/oauth/token":
            tokens.append(seen.path)
            return pass_on() if len(tokens) == 1 else Answer(400, {"error": "invalid_client"})
        if seen.method == "POST":
            office.clock.now += 10
        return pass_on()

    with interposed(service.origin, hook) as (hop, origin):
        office.organisation(f"{origin}/scim/v2", auth=OAUTH2)
        ended = office.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert Counter(office.outcomes().values()) == {"applied": 1, "not-attempted": 5}
    assert "invalid_client" in ended.out + ended.err
    assert len([line for line in hop.lines if line.startswith("POST /scim")]) == 1


def test_user_and_password_carry_a_whole_run(work: Workplace, sandbox: Service) -> None:
    """RFC 7617: the same header on every request, and no token is asked for."""
    work.environ["SCIM_PASSWORD"] = "pä:ss wörd"

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        scheme, _, encoded = seen.headers["authorization"].partition(" ")
        assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "ann:pä:ss wörd")
        headers = {**seen.headers, "authorization": f"Bearer {TOKEN}"}
        return forward(Seen(seen.method, seen.path, headers, seen.body), sandbox.origin)

    with interposed(sandbox.origin, hook) as (hop, origin):
        auth = {"type": "basic", "username": "ann", "password": "${env:SCIM_PASSWORD}"}
        work.organisation(f"{origin}/scim/v2", auth=auth)
        work.converge()
    assert not any("/oauth" in line for line in hop.lines)
    assert _is_there(sandbox)


def test_without_authentication_nothing_is_sent(work: Workplace, start_sandbox: StartSandbox) -> None:
    """`auth: {type: none}`: no header, also where a secret happens to be in the environment."""
    service = start_sandbox(token=None)
    with interposed(service.origin) as (hop, origin):
        work.organisation(f"{origin}/scim/v2", auth={"type": "none"})
        work.converge()
    assert not any("authorization" in seen.headers for seen in hop.seen)


def test_no_secret_is_left_behind(office: Workplace, start_sandbox: StartSandbox) -> None:
    """SPEC P11: neither secret nor token is in what is printed, logged or written to disk."""
    service = start_sandbox(clients=(CLIENT,))
    with interposed(service.origin) as (hop, origin):
        office.organisation(f"{origin}/scim/v2", auth=OAUTH2)
        ended = office.run("apply", "--yes", "--log-format", "json")
    tokens = {seen.headers["authorization"].partition(" ")[2] for seen in hop.seen if seen.method == "GET"}
    texts = [ended.out, ended.err]
    texts += [path.read_text("utf-8", "replace") for path in office.folder.rglob("*") if path.is_file()]
    for hidden in (SECRET, json.dumps(SECRET)[1:-1], *tokens):
        assert not any(hidden in text for text in texts)
