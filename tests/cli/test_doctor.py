"""`reconciler doctor`: what works, what is missing, what to do; and it is right about whether a plan would work."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sandbox.authentication import ALL_SCOPES
from reconciler.sandbox.config import Client
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import TOKEN, Ended, Service, Workplace
from tests.fakes.scripted_service import Answer, Seen, closed_port, scripted

SECRET = "cl1ent-s3cr3t"
CLIENT = Client("acme", SECRET, ("SCIM.ReadWrite", "scim:groups:write", "admin"))
OAUTH2 = {
    "type": "oauth2",
    "clientId": "${env:CXONE_CLIENT_ID}",
    "clientSecret": "${env:CXONE_CLIENT_SECRET}",
    "scopes": ["SCIM.ReadWrite"],
}
PAGE = {"totalResults": 0, "Resources": []}


@pytest.fixture
def office(work: Workplace) -> Workplace:
    """A desk where the client's id and secret are exported."""
    work.environ |= {"CXONE_CLIENT_ID": "acme", "CXONE_CLIENT_SECRET": SECRET}
    return work


def states(ended: Ended) -> dict[str, str]:
    """Subject -> state, of the JSON format."""
    [document] = ended.lines
    return {check["subject"]: check["state"] for check in document["checks"]}


def said(ended: Ended, subject: str) -> str:
    """What one check says, and what to do."""
    [document] = ended.lines
    return "\n".join(f"{row['says']} -> {row['next']}" for row in document["checks"] if row["subject"] == subject)


def doctor(work: Workplace, *options: str) -> Ended:
    """Run doctor in JSON."""
    return work.run("doctor", "acme", "--format", "json", *options)


# --- all is well -----------------------------------------------------------------------------------------------------


def test_a_healthy_tenant_is_told_line_by_line(office: Workplace, start_sandbox: StartSandbox) -> None:
    """One line a check, in plain words, and the command to go on with."""
    sandbox = start_sandbox(clients=(CLIENT,), profile="cxone")
    office.tenant(sandbox.base_url, auth=OAUTH2, profile="cxone")
    ended = office.run("doctor", "acme")
    assert ended.code == 0, ended.out + ended.err
    first, *lines, last = ended.out.splitlines()
    assert first == f"acme: {sandbox.base_url}"
    assert [re.split(r"\s{2,}", line.strip())[:2] for line in lines] == [
        ["ok", "tenant.yaml"],
        ["ok", "desired state"],
        ["ok", "host"],
        ["ok", "secrets"],
        ["ok", "token"],
        ["ok", "ServiceProviderConfig"],
        ["ok", "ResourceTypes"],
        ["ok", "Schemas"],
        ["ok", "Users"],
        ["ok", "Groups"],
        ["ok", "bulk"],
        ["ok", "patch"],
        ["ok", "versions"],
        ["ok", "filter"],
        ["ok", "paging"],
        ["ok", "members"],
        ["ok", "configuration"],
    ]
    assert "set: CXONE_CLIENT_ID, CXONE_CLIENT_SECRET" in ended.out
    assert "obtained, good for 3600 s; scopes: SCIM.ReadWrite" in ended.out
    assert "at most 500 operations and 10,485,760 bytes" in ended.out
    assert last == "A plan would work: reconciler plan acme"
    assert SECRET not in ended.out + ended.err


def test_nothing_is_written_and_little_is_asked(office: Workplace, start_sandbox: StartSandbox) -> None:
    """SPEC P1: reads and one token request."""
    sandbox = start_sandbox(clients=(CLIENT,))
    office.organisation(sandbox.base_url, auth=OAUTH2)
    assert doctor(office).code == 0
    asked = [(row["method"], row["path"].removeprefix("/scim/v2"), row["query"]) for row in sandbox.log]
    assert asked == [
        ("POST", "/oauth/token", ""),
        ("GET", "/ServiceProviderConfig", ""),
        ("GET", "/ResourceTypes", ""),
        ("GET", "/Schemas", ""),
        ("GET", "/Users", "cursor=&count=1"),
        ("GET", "/Groups", "cursor=&count=5"),
    ]


def test_the_json_format_is_one_line_with_all_of_it(office: Workplace, start_sandbox: StartSandbox) -> None:
    """For programs; states are `ok`, `missing`, `wrong` and `skipped`."""
    sandbox = start_sandbox(clients=(CLIENT,))
    office.organisation(sandbox.base_url, auth=OAUTH2)
    [document] = doctor(office).lines
    assert (document["tenant"], document["target"], document["wouldPlan"]) == ("acme", sandbox.base_url, True)
    assert {check["state"] for check in document["checks"]} == {"ok"}
    assert all(set(check) == {"subject", "state", "says", "next", "needed"} for check in document["checks"])


def test_a_whole_run_works_by_client_credentials(office: Workplace, start_sandbox: StartSandbox) -> None:
    """What doctor promises: plan and apply, with as many requests as estimated; token requests stand outside."""
    sandbox = start_sandbox(clients=(CLIENT,))
    office.organisation(sandbox.base_url, auth=OAUTH2)
    [plan] = office.run("plan", "--format", "json").lines
    planning = sandbox.count
    assert plan["inventory"]["requests"] == planning - 1
    assert office.run("apply", "--yes").code == 0
    assert sandbox.count - planning == 1 + plan["inventory"]["requests"] + plan["estimate"]["requests"]
    assert sandbox.member_names("Support") == {"ann@example.com", "bob@example.com"}
    assert office.run("plan", "--detailed-exitcode").code == 0


# --- something is missing or wrong -----------------------------------------------------------------------------------


def _missing_secret(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth=OAUTH2)
    del work.environ["CXONE_CLIENT_SECRET"]


def _wrong_secret(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth=OAUTH2)
    work.environ["CXONE_CLIENT_SECRET"] = "another-s3cr3t"


def _foreign_scope(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth={**OAUTH2, "scopes": ["License.Read"]})


def _too_few_scopes(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth={**OAUTH2, "scopes": ["scim:groups:write"]})


def _wrong_bearer_token(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url)
    work.environ["SCIM_TOKEN"] = "not-the-token"


def _unusable_bearer_token(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url)
    work.environ["SCIM_TOKEN"] = "two words"


def _unbound_host(work: Workplace, sandbox: Service) -> None:
    work.organisation("https://acme.example/scim/v2", auth=OAUTH2)


def _unbound_token_host(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth={**OAUTH2, "tokenUrl": "https://auth.example/token"})


def _wrong_base_url(work: Workplace, sandbox: Service) -> None:
    work.organisation(f"{sandbox.origin}/elsewhere", auth={**OAUTH2, "tokenUrl": f"{sandbox.origin}/oauth/token"})


def _nobody_there(work: Workplace, sandbox: Service) -> None:
    work.organisation(f"http://127.0.0.1:{closed_port()}/scim/v2")


def _unreadable_bindings(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth=OAUTH2)
    work.environ["RECONCILER_BINDINGS"] = "/nonexistent/bindings"


def _healthy(work: Workplace, sandbox: Service) -> None:
    work.organisation(sandbox.base_url, auth=OAUTH2)


CASES: list[tuple[Callable[[Workplace, Service], None], dict[str, str], str]] = [
    (_missing_secret, {"secrets": "missing", "token": "skipped", "Users": "skipped"}, "export CXONE_CLIENT_SECRET"),
    (_wrong_secret, {"secrets": "ok", "token": "wrong", "Users": "skipped"}, "invalid_client"),
    (_foreign_scope, {"token": "wrong", "Users": "skipped"}, "look at auth.scopes"),
    (_too_few_scopes, {"token": "ok", "Schemas": "ok", "Users": "wrong", "Groups": "ok"}, "403"),
    (_wrong_bearer_token, {"secrets": "ok", "ServiceProviderConfig": "wrong", "Users": "wrong"}, "401"),
    (_unusable_bearer_token, {"secrets": "wrong", "Users": "skipped"}, "no token can have"),
    (_unbound_host, {"host": "missing", "secrets": "ok", "token": "skipped"}, "reconciler trust acme"),
    (_unbound_token_host, {"host": "missing", "token": "skipped"}, "https://auth.example (tokens)"),
    (_wrong_base_url, {"token": "ok", "ServiceProviderConfig": "missing", "Users": "wrong"}, "404"),
    (_nobody_there, {"ServiceProviderConfig": "wrong", "ResourceTypes": "skipped", "bulk": "skipped"}, "scim.baseUrl"),
    (_unreadable_bindings, {"bindings": "wrong", "token": "ok", "Users": "ok"}, "cannot be read"),
    (_healthy, {"token": "ok", "Users": "ok"}, "obtained"),
]


@pytest.mark.parametrize(("arrange", "expected", "told"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_doctor_finds_what_would_stop_a_plan(
    office: Workplace,
    start_sandbox: StartSandbox,
    arrange: Callable[[Workplace, Service], None],
    expected: dict[str, str],
    told: str,
) -> None:
    """Each cause by its check, with what to do; later checks are made where they can be. And plan agrees."""
    arrange(office, start_sandbox(clients=(CLIENT,)))
    ended = doctor(office)
    found = states(ended)
    assert {subject: found[subject] for subject in expected} == expected
    assert told in ended.out
    assert (ended.code == 0) == (arrange is _healthy)
    assert (office.run("plan").code == 0) == (ended.code == 0)
    assert not [secret for secret in (SECRET, "another-s3cr3t", "not-the-token") if secret in ended.out + ended.err]


def test_in_text_what_follows_from_one_cause_is_one_line(office: Workplace, start_sandbox: StartSandbox) -> None:
    """And the last line names the cause."""
    _missing_secret(office, start_sandbox(clients=(CLIENT,)))
    ended = office.run("doctor", "acme")
    assert ended.code == 1
    skipped = [line for line in ended.out.splitlines() if line.strip().startswith("skipped")]
    assert len(skipped) == 1
    assert "there are no credentials to ask with: token, ServiceProviderConfig" in skipped[0]
    assert "  -> export CXONE_CLIENT_SECRET" in ended.out
    assert ended.out.splitlines()[-1] == "A plan would not work yet: secrets"


def test_an_invalid_tenant_yaml_is_3(work: Workplace, sandbox: Service) -> None:
    """Without it nothing else can be looked at."""
    work.organisation(sandbox.base_url, profile="nonsense")
    ended = doctor(work)
    assert ended.code == 3
    assert states(ended) == {"tenant.yaml": "wrong"}
    assert "reconciler validate acme" in said(ended, "tenant.yaml")


def test_another_invalid_file_is_3_and_the_service_is_looked_at_all_the_same(work: Workplace, sandbox: Service) -> None:
    """One problem does not hide the others."""
    work.organisation(sandbox.base_url)
    work.write("acme/more.yaml", "kind: Nonsense\n")
    ended = doctor(work)
    assert ended.code == 3
    found = states(ended)
    assert (found["tenant.yaml"], found["desired state"], found["Users"]) == ("ok", "wrong", "ok")
    assert "acme/more.yaml:1" in said(ended, "desired state")


def test_doctor_is_for_one_tenant_that_is_there(work: Workplace, sandbox: Service) -> None:
    """As `trust`."""
    work.organisation(sandbox.base_url)
    assert work.run("doctor").code == 64
    assert work.run("doctor", "acne").code == 64
    assert "tenants there: acme" in work.run("doctor", "acne").err


# --- what the service does not have ----------------------------------------------------------------------------------


def test_what_the_service_does_not_have_is_told_with_what_is_done_instead(
    work: Workplace, start_sandbox: StartSandbox
) -> None:
    """SPEC section 4: worked around; a plan works all the same."""
    off = {f"supports_{feature}": False for feature in ("bulk", "patch", "etag", "filter")}
    sandbox = start_sandbox(**off, max_results=7)
    work.organisation(sandbox.base_url)
    ended = doctor(work)
    assert ended.code == 0
    found = states(ended)
    assert {found[subject] for subject in ("bulk", "patch", "versions", "filter")} == {"missing"}
    assert "each change is a request of its own" in said(ended, "bulk")
    assert "PUT" in said(ended, "patch")
    assert "compared right before it is written" in said(ended, "versions")
    assert "reading the lists" in said(ended, "filter")
    assert "7 resources a page" in said(ended, "paging")


def test_what_tenant_yaml_switches_off_is_told_as_that(work: Workplace, sandbox: Service) -> None:
    """And limits are the lower of both sides."""
    work.organisation(
        sandbox.base_url,
        dialect={"bulk": "off", "patch": "off", "etag": "off"},
        limits={"pageSize": 3, "requestsPerMinute": 60000},
    )
    ended = doctor(work)
    assert ended.code == 0
    for subject in ("bulk", "patch", "versions"):
        assert "switched off in tenant.yaml" in said(ended, subject)
    assert "3 resources a page" in said(ended, "paging")


def _scripted_tenant(work: Workplace, origin: str, **auth: Any) -> None:
    bearer = {"type": "bearer", "token": "${env:SCIM_TOKEN}"}
    work.tenant(f"{origin}/v2", auth={**OAUTH2, "tokenUrl": f"{origin}/oauth/token", **auth} if auth else bearer)


def _bare(seen: Seen) -> Answer:
    """A service with two empty lists and nothing else."""
    return Answer(body=PAGE) if "startIndex" in seen.path else Answer(status=404)


def test_a_service_that_announces_nothing_can_do(work: Workplace) -> None:
    """scim-rfc.md section 13: each of the three documents may be absent."""
    with scripted(_bare) as (_, origin):
        _scripted_tenant(work, origin)
        ended = doctor(work)
        assert ended.code == 0
        assert work.run("plan").code == 0
    assert [states(ended)[name] for name in ("ServiceProviderConfig", "ResourceTypes", "Schemas")] == ["missing"] * 3
    assert "defaults of the profile" in said(ended, "ServiceProviderConfig")


@pytest.mark.parametrize(
    ("page", "subject", "told"),
    [
        ({"Resources": []}, "Users", "does not say how many users"),
        (
            {"totalResults": 2, "Resources": [{"id": "1"}, {"id": "2"}]},
            "paging",
            "asked for 1 user, and got 2",
        ),
        ({"totalResults": 1, "Resources": [{"id": "1", "meta": {}}]}, "versions", "have no version"),
    ],
)
def test_what_the_service_does_and_does_not_announce_is_noticed(
    work: Workplace, page: dict[str, Any], subject: str, told: str
) -> None:
    """Found out, not believed (SPEC P3)."""
    with scripted(lambda seen: Answer(body=page) if "startIndex" in seen.path else Answer(status=404)) as (_, origin):
        _scripted_tenant(work, origin)
        ended = doctor(work)
    assert ended.code == 0
    assert states(ended)[subject] == "wrong"
    assert told in said(ended, subject)


ANN = {"id": "u1", "userName": "ann", "groups": [{"value": "g1"}], "meta": {"version": 'W/"1"'}}
BOB = {"id": "u2", "userName": "bob"}
TEAM = {"id": "g1", "displayName": "Team"}
PAGE_OF_FIVE = Answer(body={"totalResults": 5, "Resources": [ANN, BOB]})
CURSOR_ONLY = Answer(status=501, body={"detail": "index paging is not implemented"})


def _list_of(*rows: dict[str, Any], **more: Any) -> Answer:
    return Answer(body={"totalResults": len(rows), "Resources": list(rows), **more})


def _service(users: Answer, looked_up: Answer, groups: Answer, group: Answer) -> Callable[[Seen], Answer]:
    """A service without discovery; what it answers to lists, a look-up, and a group by itself."""

    def answer(seen: Seen) -> Answer:
        path = seen.path.removeprefix("/v2")
        for start, wanted in (("/Groups/", group), ("/Groups", groups)):
            if path.startswith(start):
                return wanted
        if path.startswith("/Users"):
            return looked_up if "filter=" in path else users
        return Answer(status=404)

    return answer


@pytest.mark.parametrize(
    ("script", "subject", "state", "told"),
    [
        (_service(_list_of(ANN), _list_of(ANN), _list_of(TEAM), Answer(body=TEAM)), "filter", "ok", "finds who is"),
        (_service(_list_of(ANN), PAGE_OF_FIVE, _list_of(), CURSOR_ONLY), "filter", "wrong", "ignores the filter"),
        (_service(_list_of(ANN), _list_of(), _list_of(), CURSOR_ONLY), "filter", "wrong", "does not find who is there"),
        (_service(_list_of(ANN), CURSOR_ONLY, _list_of(), CURSOR_ONLY), "filter", "wrong", "not implemented"),
        (_service(_list_of(), CURSOR_ONLY, _list_of(), CURSOR_ONLY), "filter", "ok", "no user to try"),
        (
            _service(_list_of(ANN), _list_of(ANN), _list_of({**TEAM, "members": []}), CURSOR_ONLY),
            "members",
            "ok",
            "say who is in them",
        ),
        (
            _service(_list_of(ANN), _list_of(ANN), _list_of(TEAM), Answer(body={**TEAM, "members": [{"value": "u1"}]})),
            "members",
            "missing",
            "each group is read by itself",
        ),
        (
            _service(_list_of(ANN), _list_of(ANN), _list_of(TEAM), Answer(body=TEAM)),
            "members",
            "wrong",
            "nobody can be removed",
        ),
        (_service(_list_of(BOB), _list_of(BOB), _list_of(TEAM), Answer(body=TEAM)), "members", "ok", "have none"),
        (_service(_list_of(BOB), _list_of(BOB), _list_of(), CURSOR_ONLY), "members", "ok", "no group to look at"),
        (_service(_list_of(BOB), _list_of(BOB), _list_of(TEAM), CURSOR_ONLY), "members", "wrong", "not implemented"),
        (
            _service(_list_of(BOB, nextCursor="n"), _list_of(BOB), _list_of(), CURSOR_ONLY),
            "paging",
            "ok",
            "by cursor, 100 resources",
        ),
        (_service(_list_of(BOB), _list_of(BOB), _list_of(), CURSOR_ONLY), "paging", "ok", "by index, 100 resources"),
    ],
)
def test_what_a_service_really_does_is_tried_with_reads(
    work: Workplace, script: Callable[[Seen], Answer], subject: str, state: str, told: str
) -> None:
    """scim-rfc.md Q6, Q9 and Q10: a look-up of somebody who is there, a group by itself; a plan works all the same."""
    with scripted(script) as (service, origin):
        _scripted_tenant(work, origin)
        ended = doctor(work)
    assert ended.code == 0
    assert states(ended)[subject] == state
    assert told in said(ended, subject)
    assert {seen.method for seen in service.seen} == {"GET"}


def test_a_service_that_pages_by_cursor_only_and_does_not_say_so_gets_the_switch_named(work: Workplace) -> None:
    """What to do, and that it helps: with the switch a plan works, and doctor says so."""

    def answer(seen: Seen) -> Answer:
        if "startIndex" in seen.path:
            return CURSOR_ONLY
        return _list_of() if "cursor" in seen.path else Answer(status=404)

    with scripted(answer) as (_, origin):
        _scripted_tenant(work, origin)
        ended = doctor(work)
        assert (ended.code, states(ended)["Users"]) == (1, "wrong")
        assert "`dialect: {paging: cursor}`" in said(ended, "Users")
        assert work.run("plan").code == 1
        work.edit("acme/tenant.yaml", '"limits"', '"dialect": {"paging": "cursor"}, "limits"')
        assert doctor(work).code == work.run("plan").code == 0
        assert "by cursor" in said(doctor(work), "paging")


def test_a_service_that_wants_no_count_with_cursors_is_asked_without(work: Workplace) -> None:
    """RFC 9865 section 2.1, `invalidCount`; lists that say no number end with the last cursor."""

    def answer(seen: Seen) -> Answer:
        if "count=" in seen.path:
            return Answer(status=400, body={"scimType": "invalidCount", "detail": "no count"})
        return Answer(body={"Resources": []}) if "cursor" in seen.path else Answer(status=404)

    with scripted(answer) as (_, origin):
        _scripted_tenant(work, origin)
        work.edit("acme/tenant.yaml", '"limits"', '"dialect": {"paging": "cursor"}, "limits"')
        ended = doctor(work)
        assert ended.code == work.run("plan").code == 0
    assert "the last cursor is the end" in said(ended, "Users")


@pytest.mark.parametrize(
    ("profile", "document", "check"),
    [
        ("rfc7644", None, ("ok", "declares no ServiceProviderConfig")),
        ("rfc7644", "", ("ok", "asserts")),
        ("rfc7644", "mode: apply", ("missing", "mode: assert")),
        ("cxone", "", ("ok", "only a write tells")),
        ("cxone", "mode: assert", ("ok", "asserts")),
    ],
)
def test_whether_git_writes_the_configuration_is_told(
    work: Workplace, start_sandbox: StartSandbox, profile: str, document: str | None, check: tuple[str, str]
) -> None:
    """cxone.md section 7: no read tells whether a service takes it, so that is what doctor says."""
    state, told = check
    sandbox = start_sandbox(profile=profile)
    work.tenant(sandbox.base_url, profile=profile)
    if document is not None:
        work.write("acme/config.yaml", f"kind: ServiceProviderConfig\n{document}\nproductName: X\n")
    ended = doctor(work)
    assert ended.code == 0, ended.out
    assert states(ended)["configuration"] == state
    assert told in said(ended, "configuration")


def test_what_is_replaced_and_what_is_patched_is_told(work: Workplace, start_sandbox: StartSandbox) -> None:
    """cxone.md D19: the profile replaces groups although the service has PATCH."""
    sandbox = start_sandbox(profile="cxone")
    work.tenant(sandbox.base_url, profile="cxone")
    assert "users by PATCH, groups by PUT" in said(doctor(work), "patch")


def test_scopes_that_were_not_granted_are_named(office: Workplace) -> None:
    """RFC 6749 section 5.1: the answer says what was granted where it is not what was asked for."""
    token = {"access_token": "t", "token_type": "Bearer", "scope": "a c"}
    with scripted(lambda seen: Answer(body=token) if seen.method == "POST" else _bare(seen)) as (_, origin):
        _scripted_tenant(office, origin, scopes=["a", "b"])
        ended = doctor(office)
    assert ended.code == 0
    assert states(ended)["token"] == "missing"
    assert "its lifetime is not said, but not for the scopes b" in said(ended, "token")


def test_a_hostile_error_cannot_paint_over_the_terminal(office: Workplace) -> None:
    """What a service says is made printable."""
    hostile = Answer(status=400, body={"error": "\x1b[2Jowned", "error_description": "a\nok  token  fine\u202e"})
    with scripted([hostile]) as (_, origin):
        _scripted_tenant(office, origin, scopes=["a"])
        ended = office.run("doctor", "acme")
    assert ended.code == 1
    assert all(line.isprintable() for line in ended.out.splitlines())
    assert not [line for line in ended.out.splitlines() if line.startswith("ok")]


# --- the sandbox ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_given", [True, False], ids=["given", "made up"])
def test_the_sandbox_prints_the_client_it_offers(work: Workplace, is_given: bool) -> None:
    """SPEC section 10: it works beside the static token; a secret that was given is not repeated."""
    work.environ |= {"CXONE_CLIENT_ID": "mine", "CXONE_CLIENT_SECRET": SECRET} if is_given else {}
    with work.start("sandbox", "serve", "--port", "0") as process:
        printed = ""
        assert process.stdout is not None
        while "listening on" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        try:
            base_url = re.findall(r"listening on (\S+)", printed)[0]
            assert f"tokens from {base_url.removesuffix('/scim/v2')}/oauth/token" in printed
            if is_given:
                assert SECRET not in printed
                assert "OAuth client mine with the scopes" in printed
            else:
                [exported] = re.findall(r"^export (CXONE_CLIENT_ID.*)$", printed, flags=re.MULTILINE)
                work.environ |= dict(item.split("=") for item in exported.split())
            assert set(ALL_SCOPES) <= set(printed.split())
            work.organisation(base_url, auth={**OAUTH2, "scopes": list(ALL_SCOPES)})
            assert doctor(work).code == 0
            work.organisation(base_url)
            assert doctor(work).code == 0
        finally:
            process.terminate()
    assert TOKEN not in printed
