"""The disagreements D1 to D34 of cxone.md section 11, each on the wire: what is sent by which switch, what is read.

Whole runs against the sandbox, with a hop in between that sees every request and now and then answers as the other
topic has it. D3, D29 to D31 and D34 speak of licences, alerts and webhooks, which nothing here asks for yet.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest

from reconciler.model.resource import GROUP_SCHEMA, USER_SCHEMA
from reconciler.sandbox.config import AsyncBulk
from reconciler.sandbox.quirks import Quirks
from tests.cli.workplace import TOKEN, call
from tests.contract.dialects.conftest import Open
from tests.contract.dialects.small_tenant import CLIENT, LEAD, SECRET, done, move, promote
from tests.contract.quirks.quirky import PATCH_OP, Quirky, document, refused
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DAN = """\
kind: User
userName: dan@example.com
name: {givenName: Dan, familyName: Fox}
emails: [{value: d@example.com}]
groups: [Support, Sales, New]
"""


def _bulks(tenant: Quirky) -> list[dict[str, Any]]:
    return [document(seen) for seen in tenant.hop.seen if seen.path == "/scim/v2/Bulk"]


# --- where: D1 to D3, D32 --------------------------------------------------------------------------------------------


def test_d1_token_scim_and_configuration_have_origins_of_their_own(open_tenant: Open) -> None:
    """D1: five hosts in five topics; each is asked for its own, and for nothing else."""
    tenant = open_tenant(settled=False)
    with interposed(tenant.service.origin) as (tokens, token_origin), interposed(tenant.service.origin) as (config, at):
        auth = {"type": "oauth2", "clientId": CLIENT, "clientSecret": "${env:CXONE_CLIENT_SECRET}"}
        urls = {
            "baseUrl": f"{tenant.origin}/scim/v2",
            "tokenUrl": f"{token_origin}/oauth/token",
            "serviceProviderConfigUrl": f"{at}/api/scim/v2/ServiceProviderConfig",
        }
        tenant.settings(profile="cxone", scim=urls, auth=auth)
        done(tenant.apply())
        assert set(tokens.lines) == {"POST /oauth/token"}
        assert set(config.lines) == {"GET /api/scim/v2/ServiceProviderConfig"}
        assert not any("oauth" in line or "ServiceProviderConfig" in line for line in tenant.hop.lines)


def test_d1_a_tenant_of_which_only_the_name_is_known_is_at_the_host_of_the_groups_topic(open_tenant: Open) -> None:
    """D1: `{tenant}.api.nicecxone.com`; whether that is right is asked before credentials go there."""
    tenant = open_tenant(settled=False)
    document = tenant.work.tenant("", profile="cxone")
    tenant.work.write("acme/tenant.yaml", json.dumps({k: v for k, v in document.items() if k != "scim"}))
    asked = tenant.work.run("trust", "acme", typed="n\n")
    assert [line.strip() for line in asked.out.splitlines() if "https://" in line] == ["https://acme.api.nicecxone.com"]


@pytest.mark.parametrize(
    ("profile", "path"),
    [("cxone", "/api/scim/v2/ServiceProviderConfig"), ("rfc7644", "/scim/v2/ServiceProviderConfig")],
)
def test_d2_the_configuration_of_cxone_has_a_base_path_of_its_own(open_tenant: Open, profile: str, path: str) -> None:
    """D2: users and groups at `/scim/v2`, the ServiceProviderConfig as the profile has it."""
    tenant = open_tenant(profile=profile, settled=False)
    done(tenant.apply())
    assert f"GET {path}" in tenant.hop.lines
    assert {line.partition("?")[0] for line in tenant.hop.lines if "Config" not in line and line.startswith("GET")} >= {
        "GET /scim/v2/Users",
        "GET /scim/v2/Groups",
    }


@pytest.mark.parametrize("written", [None, "https://platform.nicecxone.example/api/v3"])
def test_d3_the_platform_api_is_at_the_same_origin_unless_it_is_written(open_tenant: Open, written: str | None) -> None:
    """D3: credentials will go there, too, so its origin has to be bound."""
    tenant = open_tenant(settled=False)
    base = "https://acme.api.nicecxone.example/scim/v2"
    tenant.settings(profile="cxone", scim={"baseUrl": base, **({"platformUrl": written} if written else {})})
    asked = tenant.work.run("trust", "acme", typed="n\n")
    origins = [line.strip() for line in asked.out.splitlines() if "https://" in line]
    assert origins == [
        "https://acme.api.nicecxone.example",
        *(["https://platform.nicecxone.example"] if written else []),
    ]


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"CXONE_TENANT": "globex"}, "https://globex.api.nicecxone.com"),
        ({"CXONE_DOMAIN": "globex", "CXONE_TENANT": "no"}, "https://globex.api.cxone.com"),
        ({"CXONE_BASE_URL": "https://platform.nicecxone.com/", "CXONE_DOMAIN": "no"}, "https://platform.nicecxone.com"),
        ({"CXONE_TENANT": "evil.example/x#"}, None),
        ({"CXONE_BASE_URL": "http://platform.nicecxone.com"}, None),
        ({"CXONE_BASE_URL": "https://user:pass@platform.nicecxone.com"}, None),
    ],
)
def test_d32_the_names_of_all_topics_tell_where_a_tenant_is(
    open_tenant: Open, environ: dict[str, str], origin: str | None
) -> None:
    """D32: for profile cxone, where tenant.yaml has no `scim.baseUrl`; what is no host is an error, unrepeated."""
    tenant = open_tenant(settled=False)
    written = tenant.work.tenant("", profile="cxone", scim={})
    tenant.work.environ |= environ
    asked = tenant.work.run("trust", "acme", typed="n\n")
    if origin is None:
        assert asked.code == 3
        assert not any(value in asked.err + asked.out for value in environ.values())
    else:
        assert [line.strip() for line in asked.out.splitlines() if "https://" in line] == [origin]
    tenant.work.write("acme/tenant.yaml", json.dumps({**written, "profile": "rfc7644"}))
    told = tenant.work.run("validate", "acme")
    assert told.code == 3
    assert "`scim.baseUrl` is missing" in told.out


def test_d32_a_base_url_from_the_environment_is_used_and_one_in_git_wins(open_tenant: Open) -> None:
    """D32: fallbacks; and two tenants that the environment sends to one place are told so."""
    tenant = open_tenant(settled=False)
    written = tenant.work.tenant("", profile="cxone", scim={})
    tenant.work.environ["CXONE_BASE_URL"] = tenant.origin
    done(tenant.apply())
    assert "POST /scim/v2/Bulk" in tenant.hop.lines
    tenant.work.environ["CXONE_BASE_URL"] = "https://elsewhere.example"
    tenant.settings(profile="cxone")
    done(tenant.apply())
    tenant.work.write("acme/tenant.yaml", json.dumps(written))
    tenant.work.write("beta/tenant.yaml", json.dumps({**written, "name": "beta"}))
    told = tenant.work.run("validate")
    assert told.code == 3
    assert "the base URL is also that of acme/tenant.yaml" in told.out


# --- tokens: D4 to D6 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_auth", ["basic", "form"])
@pytest.mark.parametrize("scopes", [["scim:users:write", "scim:groups:write"], ["SCIM.ReadWrite", "User.ReadWrite"]])
def test_d4_d5_credentials_stand_where_the_dialect_says_and_scopes_are_asked_for_as_written(
    open_tenant: Open, client_auth: str, scopes: list[str]
) -> None:
    """D4: in the header or in the form, never in both; D5: any vocabulary, joined by blanks, and no more (C7)."""
    auth = {"type": "oauth2", "clientId": CLIENT, "clientSecret": "${env:CXONE_CLIENT_SECRET}", "scopes": scopes}
    tenant = open_tenant(settled=False, auth=auth, dialect={"clientAuth": client_auth})
    tenant.work.run("doctor", "acme")
    asked = next(seen for seen in tenant.hop.seen if seen.path == "/oauth/token")
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form.pop("grant_type") == "client_credentials"
    assert form.pop("scope") == " ".join(scopes)
    if client_auth == "form":
        assert form == {"client_id": CLIENT, "client_secret": SECRET}
        assert "authorization" not in asked.headers
    else:
        assert form == {}
        pair = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        assert asked.headers["authorization"] == f"Basic {pair}"


def test_d6_a_token_of_299_seconds_is_replaced_a_minute_early(open_tenant: Open) -> None:
    """D6: whatever `expires_in` says is obeyed, with a margin: the rate limit makes this run last longer."""
    auth = {"type": "oauth2", "clientId": CLIENT, "clientSecret": "${env:CXONE_CLIENT_SECRET}"}
    slow = {"requestsPerMinute": 1, "bulkOperations": 1}
    tenant = open_tenant(settled=False, auth=auth, limits=slow)
    clock, asked = tenant.work.clock, [0.0]
    ages: list[float] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.path != "/oauth/token":
            ages.append(clock.now - asked[-1])
            return pass_on()
        asked.append(clock.now)
        answer = pass_on()
        return Answer(200, {**document(answer), "expires_in": 299})

    tenant.quirk = quirk
    done(tenant.apply())
    assert len(asked) > 3
    assert max(ages) <= 239


# --- bulk: D7 to D13 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["application/scim+json", "application/json"])
@pytest.mark.parametrize("answered", ["application/scim+json", "application/json", "text/plain"])
def test_d7_the_media_type_is_that_of_the_dialect_and_any_is_read(
    open_tenant: Open, media_type: str, answered: str
) -> None:
    """D7: one for all requests to the SCIM service, both accepted in answers; licences (E3) are plain JSON."""
    tenant = open_tenant(settled=False, dialect={"mediaType": media_type})

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        return Answer(answer.status, answer.body, {**answer.headers, "Content-Type": answered})

    tenant.quirk = quirk
    done(tenant.apply())
    sent = [seen for seen in tenant.hop.seen if seen.body]
    assert sent
    assert {seen.headers["content-type"] for seen in sent} == {media_type}
    for seen in (seen for seen in tenant.hop.seen if "/license/" not in seen.path):
        assert {"application/scim+json", "application/json"} <= set(re.split(r"[,;] *", seen.headers["accept"]))


@pytest.mark.parametrize("prefix", ["", "/scim/v2"])
def test_d8_paths_inside_bulk_have_the_prefix_of_the_dialect(open_tenant: Open, prefix: str) -> None:
    """D8: `/Users` as the RFC has it, or `/scim/v2/Users`."""
    tenant = open_tenant(settled=False, dialect={"bulkPath": prefix} if prefix else {})
    done(tenant.apply())
    paths = {operation["path"] for bulk in _bulks(tenant) for operation in bulk["Operations"]}
    assert paths == {f"{prefix}/Users", f"{prefix}/Groups"}


@pytest.mark.parametrize(
    ("profile", "dialect", "both"),
    [("cxone", {}, True), ("cxone", {"bulkCorrelation": "bulkId"}, False), ("rfc7644", {}, False)],
)
def test_d9_d10_operations_are_told_apart_as_the_dialect_says(
    open_tenant: Open, profile: str, dialect: dict[str, str], both: bool
) -> None:
    """D9: `id` and `bulkId` alike, or `bulkId` alone; D10: the URN of the RFC, and no `failOnErrors`."""
    tenant = open_tenant(profile=profile, settled=False, dialect=dialect)
    done(tenant.apply())
    for bulk in _bulks(tenant):
        assert set(bulk) == {"schemas", "Operations"}
        assert bulk["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]
        names = [operation["bulkId"] for operation in bulk["Operations"]]
        assert len(set(names)) == len(names)
        assert [operation.get("id") for operation in bulk["Operations"]] == (names if both else [None] * len(names))


@pytest.mark.parametrize("named", ["bulkId", "id", "location"])
def test_d9_results_are_matched_by_any_name_and_never_by_place(open_tenant: Open, named: str) -> None:
    """D9: in any order, by `bulkId` or `id`, else by the resource in `location`; one fails, and it is the right one."""
    tenant = open_tenant()
    tenant.work.edit("acme/people.yaml", "title: Coach}", LEAD)
    promote(tenant)
    bob = tenant.id_of("Users", "bob@example.com")

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.path != "/scim/v2/Bulk":
            return answer
        results: list[dict[str, Any]] = []
        for operation, result in zip(document(seen)["Operations"], document(answer)["Operations"], strict=True):
            kept = {name: result[name] for name in ("method", "status")}
            if unquote(operation["path"]).endswith(bob):
                kept["status"] = "400"
            told = {"location": result["location"]} if named == "location" else {named: operation["bulkId"]}
            results.insert(0, {**kept, **told})
        return Answer(200, {"Operations": results})

    tenant.quirk = quirk
    assert tenant.apply().code == 6
    assert tenant.work.outcomes() == {"User/bob@example.com": "failed", "User/cyd@example.com": "applied"}


@pytest.mark.parametrize(
    "spelt",
    [int, str, lambda code: {"code": code}, lambda code: f"{code} OK"],
    ids=["number", "text", "object", "words"],
)
@pytest.mark.parametrize("answered", [200, 201])
def test_d11_d12_results_count_whatever_the_spelling_of_their_status(
    open_tenant: Open, spelt: Callable[[int], Any], answered: int
) -> None:
    """D11: 200 and 201 come with results; D12: their status is a number, text, or `{code}`."""
    tenant = open_tenant(settled=False)

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.path != "/scim/v2/Bulk":
            return answer
        results = [{**r, "status": spelt(int(r["status"]))} for r in document(answer)["Operations"]]
        return Answer(answered, {"Operations": results})

    tenant.quirk = quirk
    done(tenant.apply())
    assert set(tenant.work.outcomes().values()) == {"applied"}


@pytest.mark.parametrize("spelt", [str.upper, str.lower, str.title], ids=["upper", "lower", "title"])
def test_d11_d25_a_job_is_asked_after_and_its_words_are_read_in_any_case(
    open_tenant: Open, spelt: Callable[[str], str]
) -> None:
    """D11: the same tenant.yaml, and this time the answer is 202 and a job; D25: `COMPLETED` or `completed`."""
    tenant = open_tenant(settled=False, sandbox={"async_bulk": AsyncBulk(polls=3)})

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if "/Bulk/" not in seen.path:
            return answer
        job = document(answer)
        return Answer(200, {**job, "status": spelt(job["status"])})

    tenant.quirk = quirk
    done(tenant.apply())
    assert set(tenant.work.outcomes().values()) == {"applied"}
    polls = [line for line in tenant.hop.lines if line.startswith("GET /scim/v2/Bulk/")]
    assert len(polls) == 3 * len(_bulks(tenant))
    assert tenant.is_settled()


@pytest.mark.parametrize(
    "told",
    [
        {"response": {"status": "400", "detail": "no such role: Agnet"}},
        {"response": '{"status": "400", "detail": "no such role: Agnet"}'},
        {"detail": "no such role: Agnet", "errors": [{"detail": "no such role: Agnet", "status": 400}]},
        {"errors": [{"code": "invalidRole", "message": "no such role: Agnet"}]},
        {"Errors": ["no such role: Agnet"]},
    ],
    ids=["rfc", "rfc-as-text", "directory", "provisioning", "text"],
)
def test_d13_what_a_service_says_about_a_failed_operation_is_reported(open_tenant: Open, told: dict[str, Any]) -> None:
    """D13: three topics, three shapes; nothing of it is lost (P1)."""
    tenant = open_tenant()
    promote(tenant)

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.path != "/scim/v2/Bulk":
            return pass_on()
        (operation,) = document(seen)["Operations"]
        return Answer(200, {"Operations": [{"method": "PATCH", "bulkId": operation["bulkId"], "status": 400, **told}]})

    tenant.quirk = quirk
    ended = tenant.apply()
    assert ended.code == 1
    assert "no such role: Agnet" in ended.out
    (outcome,) = tenant.work.receipts()[-1]["outcomes"]
    assert "no such role: Agnet" in outcome["cause"]


# --- PATCH: D14, D15, D19 --------------------------------------------------------------------------------------------


def _strict(legacy: bool) -> Callable[[Seen, PassOn], Answer]:
    """A service that understands one envelope only, also in bulk requests."""
    name, urns = ("operations", {USER_SCHEMA, GROUP_SCHEMA}) if legacy else ("Operations", {PATCH_OP})

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        messages = [document(seen)] if seen.method == "PATCH" else []
        if seen.path.endswith("/Bulk"):
            messages += [o["data"] for o in document(seen)["Operations"] if o["method"] == "PATCH"]
        if all(set(message) == {"schemas", name} and set(message["schemas"]) <= urns for message in messages):
            return pass_on()
        return refused(400, "that is no PATCH here", "invalidSyntax")

    return quirk


@pytest.mark.parametrize("bulk", ["auto", "off"])
@pytest.mark.parametrize("patch", ["rfc", "legacy"])
def test_d14_the_envelope_is_that_of_the_dialect(open_tenant: Open, patch: str, bulk: str) -> None:
    """D14, defect P10: `legacy` has the schema of the resource and lower-case `operations`, and the same in them."""
    dialect = {"patch": patch, "bulk": bulk, "groupUpdate": "patch"}
    tenant = open_tenant(dialect=dialect)
    promote(tenant)
    move(tenant)
    tenant.quirk = _strict(legacy=patch == "legacy")
    done(tenant.apply())
    messages = {write.path.split("/")[1]: write.body for write in tenant.writes}
    name = "operations" if patch == "legacy" else "Operations"
    assert messages["Users"][name] == [{"op": "replace", "path": "title", "value": "Lead"}]
    assert [operation["path"] for operation in messages["Groups"][name]] == ["members"]
    schemas = {"Users": [USER_SCHEMA], "Groups": [GROUP_SCHEMA]} if patch == "legacy" else {}
    assert {plural: message["schemas"] for plural, message in messages.items()} == {
        plural: schemas.get(plural, [PATCH_OP]) for plural in messages
    }
    assert tenant.is_settled()


def test_d14_legacy_deactivation_is_that_of_the_provisioning_topic(open_tenant: Open) -> None:
    """cxone.md section 4: the very request of [provision], now with a version and to the user it means (defect P5)."""
    tenant = open_tenant(dialect={"patch": "legacy", "bulk": "off"})
    tenant.work.edit("acme/people.yaml", "title: Coach}", "title: Coach, active: false}")
    tenant.quirk = _strict(legacy=True)
    done(tenant.apply("--allow=removal-share", "--allow=access-loss", "--allow=membership-share"))
    (write,) = tenant.writes
    assert (write.method, write.path) == ("PATCH", f"/Users/{tenant.id_of('Users', 'cyd@example.com')}")
    assert write.version
    assert write.body == {
        "schemas": [USER_SCHEMA],
        "operations": [{"op": "replace", "path": "active", "value": False}],
    }


@pytest.mark.parametrize("op_case", ["lower", "capitalized"])
def test_q1_op_is_spelt_as_the_dialect_says(open_tenant: Open, op_case: str) -> None:
    """Q1: `opCase`, for the service that accepts capitals only."""
    tenant = open_tenant(dialect={"opCase": op_case, "groupUpdate": "patch"})
    promote(tenant)
    move(tenant)
    done(tenant.apply())
    spelt = {operation["op"] for write in tenant.writes for operation in write.operations}
    assert spelt == ({"replace", "add"} if op_case == "lower" else {"Replace", "Add"})


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("verb", ["patch", "put"])
def test_d15_d33_an_update_may_answer_with_or_without_the_resource(open_tenant: Open, status: int, verb: str) -> None:
    """D15: 200 and 204; D33: a PUT may also say 201. Each is proven by reading."""
    tenant = open_tenant(dialect={"bulk": "off", "userUpdate": verb})
    promote(tenant)

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != verb.upper():
            return answer
        assert answer.status == 200
        if status == 204:
            return Answer(204, b"", answer.headers)
        return Answer(201 if verb == "put" else 200, answer.body, answer.headers)

    tenant.quirk = quirk
    done(tenant.apply())
    assert tenant.work.outcomes() == {"User/bob@example.com": "applied"}


@pytest.mark.parametrize(
    ("profile", "dialect", "verbs"),
    [
        ("cxone", {}, {"Users": "PATCH", "Groups": "PUT"}),
        ("cxone", {"groupUpdate": "patch"}, {"Users": "PATCH", "Groups": "PATCH"}),
        ("cxone", {"userUpdate": "put"}, {"Users": "PUT", "Groups": "PUT"}),
        ("cxone", {"patch": "off", "groupUpdate": "patch"}, {"Users": "PUT", "Groups": "PUT"}),
        ("rfc7644", {}, {"Users": "PATCH", "Groups": "PATCH"}),
    ],
)
def test_d19_the_verb_of_an_update_is_that_of_the_dialect(
    open_tenant: Open, profile: str, dialect: dict[str, str], verbs: dict[str, str]
) -> None:
    """D19: [provision] patches users, [groups] replaces groups; where PATCH is off everything is replaced."""
    tenant = open_tenant(profile=profile, dialect=dialect)
    promote(tenant)
    move(tenant)
    done(tenant.apply())
    assert {write.path.split("/")[1]: write.method for write in tenant.writes} == verbs
    assert tenant.is_settled()


# --- who: D16 to D18 -------------------------------------------------------------------------------------------------


def _by_name(seen: Seen, pass_on: PassOn) -> Answer:
    """A service that knows users by userName only, and says so in every Location."""
    if any("@" not in unquote(key) for key in re.findall(r"/Users/([^/?\"]+)", _addresses(seen))):
        return refused(404, "no such user")
    answer = pass_on()
    if seen.method == "POST" and answer.status == 201 and seen.path.endswith("/Users"):
        named = quote(document(seen)["userName"], safe="")
        return Answer(201, b"", {"Location": f"https://x.example/scim/v2/Users/{named}"})
    if seen.path.endswith("/Bulk") and answer.status == 200:
        told = document(answer)
        for operation, result in zip(document(seen)["Operations"], told["Operations"], strict=True):
            if (operation["method"], operation["path"]) == ("POST", "/Users") and "location" in result:
                result["location"] = f"https://x.example/Users/{quote(operation['data']['userName'], safe='')}"
                result.pop("response", None)
        return Answer(200, told)
    return answer


def _addresses(seen: Seen) -> str:
    paths = [seen.path.partition("?")[0]]
    if seen.path.endswith("/Bulk"):
        paths += [operation["path"] for operation in document(seen)["Operations"]]
    return "\n".join(paths)


@pytest.mark.parametrize("bulk", ["auto", "off"])
@pytest.mark.parametrize("verb", ["patch", "put"])
@pytest.mark.parametrize("etag", ["auto", "off"])
def test_d16_d18_users_are_addressed_by_user_name_and_referred_to_by_id(
    open_tenant: Open, bulk: str, verb: str, etag: str
) -> None:
    """D16: `/Users/{userName}` percent-encoded, in single requests and in bulk; members and managers stay ids (D18)."""
    dialect = {"userKey": "userName", "bulk": bulk, "userUpdate": verb, "etag": etag}
    tenant = open_tenant(settled=False, dialect=dialect)
    tenant.quirk = _by_name
    ids = {}
    done(tenant.apply())
    ids = {name: user["id"] for name, user in tenant.service.all("Users").items()}
    promote(tenant)
    move(tenant)
    tenant.work.edit(
        "acme/people.yaml", "title: Coach}", "title: Coach, enterprise: {manager: {userName: bob@example.com}}}"
    )
    done(tenant.apply())
    users = {write.path: write for write in tenant.writes if write.path.startswith("/Users")}
    assert set(users) == {"/Users/bob%40example.com", "/Users/cyd%40example.com"}
    assert all(write.version for write in users.values()) is (etag == "auto")
    (group,) = [write for write in tenant.writes if write.path.startswith("/Groups")]
    assert {member["value"] for member in group.body["members"]} == set(ids.values())
    assert tenant.service.all("Users")["cyd@example.com"][ENTERPRISE]["manager"]["value"] == ids["bob@example.com"]
    assert tenant.is_settled()


@pytest.mark.parametrize("etag", ["auto", "off"])
def test_d16_a_rename_is_sent_to_the_old_name_and_costs_what_was_estimated(open_tenant: Open, etag: str) -> None:
    """D16: the old name addresses; the proof reads by the new one; nobody is taken for somebody else."""
    tenant = open_tenant(dialect={"userKey": "userName", "bulk": "off", "etag": etag})
    tenant.quirk = _by_name
    tenant.work.edit(
        "acme/people.yaml", "userName: bob@example.com", "userName: robért+ray@example.com, previously: bob@example.com"
    )
    tenant.work.edit("acme/groups.yaml", "{user: bob@example.com}", "{user: robért+ray@example.com}")
    plan = tenant.plan()
    bob = tenant.id_of("Users", "bob@example.com")
    done(tenant.apply("--allow=identity-reuse"))
    assert [write.path for write in tenant.writes] == ["/Users/bob%40example.com"]
    assert len(tenant.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    assert tenant.id_of("Users", "robért+ray@example.com") == bob
    assert tenant.is_settled()
    tenant.work.edit("acme/people.yaml", "familyName: Ray}", "familyName: Rays}")
    done(tenant.apply())
    assert [write.path for write in tenant.writes] == ["/Users/rob%C3%A9rt%2Bray%40example.com"]


@pytest.mark.parametrize("honoured", [True, False], ids=["honoured", "ignored"])
@pytest.mark.parametrize("verb", ["put", "patch"])
@pytest.mark.parametrize("etag", ["auto", "off"])
def test_d17_the_create_of_a_user_names_groups_and_nothing_is_done_twice(
    open_tenant: Open, honoured: bool, verb: str, etag: str
) -> None:
    """D17, P10: `groups` in the create, only where the dialect says so.

    RFC 7643 has it read-only, so the group is read, and who did not get in is added (SPEC P8); the estimate holds where
    the service does what its dialect says.
    """
    dialect = {"inlineGroups": True, "bulk": "off", "groupUpdate": verb, "etag": etag}
    tenant = open_tenant(dialect=dialect, sandbox={"quirks": Quirks(ignores_inline_groups=not honoured)})
    tenant.work.write("acme/dan.yaml", DAN)
    tenant.work.write("acme/new.yaml", "kind: Group\ndisplayName: New\n")
    move(tenant)
    plan = tenant.plan()
    done(tenant.apply())
    creates = [write for write in tenant.writes if (write.method, write.path) == ("POST", "/Users")]
    assert [write.body["groups"] for write in creates] == [[{"value": "Sales"}, {"value": "Support"}]]
    updated = [write.path for write in tenant.writes if write.path.startswith("/Groups/")]
    wanted = ["Support"] if honoured else ["Sales", "Support"]
    assert set(updated) == {f"/Groups/{tenant.id_of('Groups', name)}" for name in wanted}
    if honoured:
        assert len(updated) == 1
        assert len(tenant.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    for group in ("Support", "Sales", "New"):
        assert "dan@example.com" in tenant.service.member_names(group)
    assert set(tenant.work.outcomes().values()) == {"applied"}
    assert tenant.is_settled()


def test_d17_p10_groups_are_not_in_users_unless_the_dialect_says_so(open_tenant: Open) -> None:
    """Defect P10: `groups` is read-only in the RFC; members of groups carry memberships ([groups])."""
    tenant = open_tenant(settled=False)
    done(tenant.apply())
    creates = [write for write in tenant.writes if write.path == "/Users"]
    assert len(creates) == 3
    assert not any("groups" in write.body for write in creates)


# --- conflicts and errors: D20 to D23 --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [412, 409])
@pytest.mark.parametrize("same", [True, False], ids=["same-attribute", "other-attribute"])
def test_d20_both_codes_are_a_conflict_to_be_judged(open_tenant: Open, status: int, same: bool) -> None:
    """D20: 412 [directory] and 409 [groups]: read again; what others changed of ours stays, the rest goes through."""
    tenant = open_tenant(dialect={"bulk": "off"})
    promote(tenant)
    foreign: list[str] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PATCH" or foreign:
            return pass_on()
        assert seen.headers["if-match"]
        foreign.append("title" if same else "nickName")
        tenant.service.replace("Users", "bob@example.com", foreign[0], "Theirs")
        return refused(status, "the resource was changed")

    tenant.quirk = quirk
    ended = tenant.apply()
    assert ended.code == (5 if same else 0), ended.out
    bob = tenant.service.all("Users")["bob@example.com"]
    assert (bob["title"], bob.get("nickName")) == (("Theirs", None) if same else ("Lead", "Theirs"))


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("bulk", ["auto", "off"])
def test_d21_a_failed_validation_is_final(open_tenant: Open, status: int, bulk: str) -> None:
    """D21: neither is sent again, and the detail is shown."""
    tenant = open_tenant(dialect={"bulk": bulk})
    promote(tenant)

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return pass_on() if seen.method == "GET" else refused(status, "Lead is no title here")

    tenant.quirk = quirk
    ended = tenant.apply()
    assert ended.code == 1
    assert "Lead is no title here" in ended.out
    assert len(tenant.writes) == 1


@pytest.mark.parametrize(
    ("headers", "waits"),
    [({"Retry-After": "7"}, [7.0, 7.0]), ({}, None)],
    ids=["told", "not-told"],
)
def test_d22_a_busy_service_is_waited_for(
    open_tenant: Open, headers: dict[str, str], waits: list[float] | None
) -> None:
    """D22: as long as the header says, else with jitter up to 2, 4, 8, ... 60 s."""
    tenant = open_tenant(dialect={"bulk": "off"})
    promote(tenant)
    busy: list[int] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "GET" or len(busy) == 2:
            return pass_on()
        busy.append(1)
        return Answer(429, b"", headers)

    tenant.quirk = quirk
    tenant.work.clock.slept.clear()
    done(tenant.apply())
    slept = [seconds for seconds in tenant.work.clock.slept if seconds > 0.01]
    assert (
        slept == waits
        if waits
        else [seconds <= most for seconds, most in zip(slept, (2, 4), strict=True)] == [True] * 2
    )
    assert len(busy) == 2


@pytest.mark.parametrize(("status", "attempts"), [(503, 1 + 3), (429, 1 + 10)])
def test_d23_a_service_that_does_not_recover_is_given_up(open_tenant: Open, status: int, attempts: int) -> None:
    """D23: three more attempts after an error; being told to wait (429) is no error, and still has an end."""
    tenant = open_tenant()
    tenant.quirk = lambda seen, pass_on: Answer(status) if "/Groups?" in seen.path else pass_on()
    ended = tenant.apply()
    assert ended.code == 1
    assert str(status) in ended.err
    assert len([line for line in tenant.hop.lines if line.startswith("GET /scim/v2/Groups")]) == attempts
    assert tenant.writes == []


# --- reading: D24, D26 to D28 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_body", [True, False], ids=["in-the-body", "in-the-header"])
def test_d24_lists_are_paged_by_index_and_the_total_of_the_body_goes_first(open_tenant: Open, in_body: bool) -> None:
    """D24: `startIndex` and `count`; `X-Total-Results` counts only where the body has no total."""
    tenant = open_tenant(settled=True, limits={"requestsPerMinute": 60000, "pageSize": 2})

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if not re.search(r"/(Users|Groups)\?", seen.path):
            return answer
        listed = document(answer)
        total = listed["totalResults"] if in_body else listed.pop("totalResults")
        return Answer(200, listed, {"X-Total-Results": "99" if in_body else str(total)})

    tenant.quirk = quirk
    tenant.hop.seen.clear()
    plan = tenant.plan()
    assert plan["inventory"]["complete"] is True
    assert (plan["inventory"]["users"], plan["changes"]) == (3, [])
    asked = [line.partition("?")[2] for line in tenant.hop.lines if line.startswith("GET /scim/v2/Users?")]
    assert asked == ["startIndex=1&count=2", "startIndex=3&count=2"]


def _configuration(tenant: Quirky) -> dict[str, Any]:
    url = f"{tenant.service.origin}/api/scim/v2/ServiceProviderConfig"
    found: dict[str, Any] = call(url, "GET", None, {"Authorization": f"Bearer {TOKEN}"})[1]
    return found


def test_d26_the_enterprise_extension_may_be_listed_as_supported(open_tenant: Open) -> None:
    """D26: the topic's own pattern rejects what its builder adds; ours accepts it, and writes it."""
    tenant = open_tenant()
    urns = [USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE]
    before = _configuration(tenant)["schemasSupported"]
    tenant.work.write(
        "acme/provider.yaml", f"kind: ServiceProviderConfig\nschemasSupported: {json.dumps(urns)}\nvendorVersion: '9'\n"
    )
    done(tenant.apply())
    assert set(before) <= set(urns)
    assert set(_configuration(tenant)["schemasSupported"]) == set(urns)


@pytest.mark.parametrize("shape", ["cxone", "rfc"])
def test_d27_d28_the_configuration_is_written_in_the_shape_of_the_dialect(open_tenant: Open, shape: str) -> None:
    """D27: either shape is read, in git and on the service; D28: the type of a scheme goes out as git has it."""
    tenant = open_tenant(dialect={"configShape": shape})
    schemes = "[{name: OAuth2 Client Credentials, type: oauthClient, description: machines}]"
    tenant.work.write(
        "acme/provider.yaml",
        f"kind: ServiceProviderConfig\nfilter: {{maxResults: 50}}\nauthenticationSchemes: {schemes}\n",
    )
    written: list[dict[str, Any]] = []
    seen_as: dict[str, Any] = {}

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        """Whatever is written is what is read back."""
        if not seen.path.endswith("ServiceProviderConfig"):
            return pass_on()
        if seen.method == "PUT":
            written.append(document(seen))
            seen_as.update(document(seen))
            return Answer(200, b"", {"ETag": '"2"'})
        return Answer(200, dict(seen_as), {"ETag": '"2"'}) if seen_as else pass_on()

    tenant.quirk = quirk
    done(tenant.apply("--allow=self-lockout"))
    (document_,) = written
    names = {"cxone": ["bulkConfig", "filterConfig", "sortConfig"], "rfc": ["bulk", "filter", "sort"]}
    assert {name for name in document_ if re.match("bulk|filter|sort", name)} == set(names[shape])
    assert document_[names[shape][1]]["maxResults"] == 50
    assert document_["authenticationSchemes"][0]["type"] == "oauthClient"
    assert "etag" not in document_
    assert "meta" not in document_
