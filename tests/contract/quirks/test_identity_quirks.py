"""Quirks of scim-rfc.md section 12 about who is who and who is there already, over whole runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import Hook, PassOn
from tests.fakes.scripted_service import Answer, Seen

EVE = """\
kind: User
userName: eve@example.com
externalId: p-5
name: {givenName: Eve, familyName: Orr}
emails: [{value: eve@example.com}]
"""
MESSAGES = "urn:ietf:params:scim:api:messages:2.0"


def _hiring(quirky: Quirky, more: str = "") -> Quirky:
    quirky.work.write("acme/eve.yaml", EVE + more)
    return quirky


def _just_before_creation(quirky: Quirky, happens: Callable[[], object], answer: Answer | None = None) -> Hook:
    """Somebody else is faster than our POST; the service answers as told, else by itself."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST":
            happens()
            return answer or pass_on()
        return pass_on()

    return quirk


@pytest.mark.parametrize(
    "answer",
    [
        Answer(409, {"schemas": [f"{MESSAGES}:Error"], "status": "409", "detail": "eve@example.com is in use"}),
        Answer(409),
        refused(400, "userName must be unique", "uniqueness"),
        Answer(500, b"duplicate key value violates unique constraint"),
    ],
    ids=["no scimType", "no body", "400", "500 in a race"],
)
def test_q11_a_duplicate_is_a_conflict_however_it_is_told(quirky: Quirky, answer: Answer) -> None:
    """Q11: getsentry/sentry#117860, FusionAuth/fusionauth-issues#1776, gravitee-io/gravitee-access-management#8290."""
    _hiring(quirky)
    other: dict[str, Any] = {"userName": "eve@example.com", "title": "somebody else"}
    created: list[Any] = []

    def somebody_else() -> None:
        if not created:
            created.append(quirky.service.create("Users", **other))

    quirky.quirk = _just_before_creation(quirky, somebody_else, answer)
    ended = quirky.apply()
    assert ended.code == 5, ended.out + ended.err
    assert quirky.work.outcomes() == {"User/eve@example.com": "conflict"}
    assert [write.method for write in quirky.writes] == ["POST"]
    found = quirky.service.all("Users")["eve@example.com"]
    assert (found["title"], found.get("externalId"), found.get("name")) == ("somebody else", None, None)


def test_q11_a_500_that_committed_is_this_runs_own_create(quirky: Quirky) -> None:
    """Q11, Q30: after a 5xx look first; the create is there exactly as wanted, and is not sent again."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        return Answer(500, b"timeout") if seen.method == "POST" else answer

    _hiring(quirky).quirk = quirk
    assert quirky.apply().code == 0
    assert [write.method for write in quirky.writes] == ["POST"]
    assert len(quirky.service.all("Users")) == 5


def test_q11_a_conflict_on_another_attribute_is_told_in_the_words_of_the_service(quirky: Quirky) -> None:
    """Q11: ory/polis#4066: the e-mail is taken and not the name: nobody of that name is found, and nobody touched."""
    quirky.quirk = _just_before_creation(quirky, lambda: None, refused(409, "emails.value is taken", "uniqueness"))
    ended = _hiring(quirky).apply()
    assert ended.code == 5, ended.out + ended.err
    assert "emails.value is taken" in ended.out
    assert "it cannot be seen which resource stands in the way" in ended.out
    assert [write.method for write in quirky.writes] == ["POST"]
    assert "eve@example.com" not in quirky.service.all("Users")


def test_q12_a_name_in_other_case_is_no_change_and_no_other_person(quirky: Quirky) -> None:
    """Q12: valon-technologies/gestalt#3162: a server that lower-cases names made clients update on every run."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "POST":
            return pass_on()
        sent = document(seen)
        lowered = [{**email, "value": email["value"].lower()} for email in sent["emails"]]
        return quirky.resend(seen, {**sent, "userName": sent["userName"].lower(), "emails": lowered})

    quirky.quirk = quirk
    quirky.work.write("acme/eve.yaml", EVE.replace("eve@", "Eve.ORR@"))
    assert quirky.apply().code == 0
    assert quirky.is_settled()
    assert "eve.orr@example.com" in quirky.service.all("Users")
    plan = quirky.plan()
    assert any("userName" in finding["message"] for finding in plan["findings"]), "said once, as a difference in case"


def test_q12_two_who_differ_in_case_only_are_never_guessed(start: StartQuirky) -> None:
    """Q12: langfuse/langfuse#13528 holds both; an error names both, and nothing is written."""
    quirky = start()

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method == "GET" and "/Users?" in seen.path:
            body = document(answer)
            body["Resources"].append({"id": "twin", "userName": "DAN@example.com"})
            body["Resources"].append({"id": "other", "userName": "Zoe@example.com"})
            body["Resources"].append({"id": "another", "userName": "zoe@example.com"})
            body["totalResults"] += 3
            return Answer(200, body)
        return answer

    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "userName: dan@example.com, externalId: p-4, ", "userName: dan@example.com, ")
    ended = quirky.apply()
    assert ended.code == 3, ended.out + ended.err
    assert "dan@example.com" in ended.err
    assert "DAN@example.com" in ended.err
    assert quirky.writes == []
    assert "zoe" not in ended.err.lower(), "nobody asked about her"


def test_q13_who_is_inactive_and_has_the_external_id_is_reactivated_and_not_created(quirky: Quirky) -> None:
    """Q13: better-auth/better-auth#11111: the inactive user still has the externalId, and a POST would be 409."""
    quirky.service.create("Users", userName="eve.old@example.com", externalId="p-5", active=False)
    _hiring(quirky, "active: true")
    plan = quirky.plan()
    assert [(change["key"], change["action"]) for change in plan["changes"]] == [("User/eve@example.com", "reactivate")]
    refusing = [guard["id"] for guard in plan["guards"] if guard["verdict"] == "refuse"]
    ended = quirky.apply(*(f"--allow={guard}" for guard in refusing))
    assert ended.code == 0, ended.out + ended.err
    assert {write.method for write in quirky.writes} == {"PATCH"}
    found = quirky.service.all("Users")["eve@example.com"]
    assert (found["active"], found["externalId"]) == (True, "p-5")


def test_q13_a_soft_deleted_namesake_is_a_conflict_and_not_an_endless_try(quirky: Quirky) -> None:
    """Q13: 15five/django-scim2#83: no list and no look-up shows who is in the way."""
    quirky.quirk = _just_before_creation(quirky, lambda: None, refused(409, "exists", "uniqueness"))
    ended = _hiring(quirky).apply()
    assert ended.code == 5, ended.out + ended.err
    assert quirky.work.outcomes() == {"User/eve@example.com": "conflict"}
    assert [write.method for write in quirky.writes] == ["POST"]


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q24_a_created_resource_that_shows_late_is_waited_for(start: StartQuirky, bulk: bool) -> None:
    """Q24: jelhub/scimgateway#168: created, not found at once, and read again before it is missing."""
    quirky = start(bulk=bulk)
    hidden: dict[str, int] = {}

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or answer.status != 200:
            return answer
        body = document(answer)
        rows = body.get("Resources", [body])
        late = [row for row in rows if row.get("userName") == "eve@example.com" or row.get("displayName") == "New"]
        for row in late:
            hidden[row["id"]] = hidden.get(row["id"], 0) + 1
        late = [row for row in late if hidden[row["id"]] <= 1]
        if "Resources" not in body:
            return Answer(404) if late else answer
        shown = [row for row in rows if row not in late]
        return Answer(200, {**body, "totalResults": body["totalResults"] - len(late), "Resources": shown})

    _hiring(quirky).quirk = quirk
    members = "".join(f"  - {{user: {name}@example.com}}\n" for name in ("ann", "bob", "cyd", "dan", "eve"))
    quirky.work.write("acme/new.yaml", f"kind: Group\ndisplayName: New\nmembers:\n{members}")
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert set(hidden.values()) >= {2}
    assert len([write for write in quirky.writes if write.method == "POST"]) == 2
    assert quirky.is_settled()


def test_q24_a_group_that_shows_late_is_filled_all_the_same(quirky: Quirky) -> None:
    """Q24: created with its first hundred members; the others wait until it is there, and it is not called gone."""
    shown: list[int] = []

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method == "GET" and "/Groups/" in seen.path and answer.status == 200:
            shown.append(answer.status)
            return answer if len(shown) > 1 else Answer(404)
        return answer

    quirky.quirk = quirk
    names = [f"p{number}@example.com" for number in range(150)]
    quirky.work.write("acme/more.yaml", "kind: Users\nitems:\n" + "".join(f"  - userName: {n}\n" for n in names))
    quirky.work.write(
        "acme/new.yaml", "kind: Group\ndisplayName: New\nmembers:\n" + "".join(f"  - user: {n}\n" for n in names)
    )
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert len(shown) > 1
    assert quirky.service.member_names("New") == set(names)


def test_q24_who_is_created_and_never_shown_is_a_residual_and_is_created_once(quirky: Quirky) -> None:
    """Q24: keycloak/keycloak#52635: created in a federated store, and unreachable ever after."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method != "GET" or answer.status != 200 or "/Users" not in seen.path:
            return answer
        body = document(answer)
        rows = body.get("Resources", [body])
        shown = [row for row in rows if row.get("userName") != "eve@example.com"]
        if "Resources" not in body:
            return answer if shown else Answer(404)
        return Answer(200, {**body, "totalResults": len(shown), "Resources": shown})

    _hiring(quirky).quirk = quirk
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert [(key, found) for key, _, _, found in quirky.residual] == [("User/eve@example.com", "not found")]
    assert len(quirky.writes) == 1
    again = quirky.apply()
    assert again.code == 5, "the service knows her: a conflict, and no second Eve"
    assert list(quirky.service.all("Users")).count("eve@example.com") == 1


@pytest.mark.parametrize("verb", ["patch", "put"])
def test_q25_an_answer_that_echoes_nothing_is_not_taken_for_the_state(quirky: Quirky, verb: str) -> None:
    """Q25: goauthentik/authentik#25024. 204 for every write: the next one has a fresh version all the same."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method in {"PATCH", "PUT"} and answer.status == 200:
            return Answer(204)
        return answer

    quirky.quirk = quirk
    quirky.settings(dialect={"userUpdate": verb, "groupUpdate": verb})
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.edit("acme/groups.yaml", "{user: ann@example.com}, ", "")
    quirky.work.edit("acme/groups.yaml", "displayName: Support, ", "displayName: Help, ")
    quirky.work.edit(
        "acme/groups.yaml", "[{user: bob@example.com}]", "[{user: bob@example.com}, {user: dan@example.com}]"
    )
    ended = quirky.apply()
    assert ended.code == 0, ended.out + ended.err
    assert all(write.version for write in quirky.writes)
    versions = [write.version for write in quirky.writes if write.path.startswith("/Groups")]
    assert len(versions) == len(set(versions)) > 1
    assert quirky.is_settled()


def test_q26_an_external_id_of_another_provisioner_is_never_destroyed_and_created_anew(quirky: Quirky) -> None:
    """Q26: databricks/terraform-provider-databricks#1099. The same name with another externalId is somebody else."""
    known = quirky.service.create("Users", userName="eve@example.com", externalId="azure-77", title="Theirs")
    _hiring(quirky)
    plan = quirky.plan()
    assert {change["action"] for change in plan["changes"]} <= {"create"}
    assert quirky.apply().code == 4, "refused, for the name would pass to another person"
    assert quirky.writes == []
    ended = quirky.apply("--allow=identity-reuse")
    assert ended.code == 5, ended.out + ended.err
    assert not {"DELETE", "PUT", "PATCH"} & {write.method for write in quirky.writes}
    assert quirky.service.all("Users")["eve@example.com"] == known


def test_q26_a_group_that_belongs_to_somebody_else_fails_alone(quirky: Quirky) -> None:
    """Q26: databricks/terraform-provider-databricks#4358: immutable from here; the words are told, the rest goes on."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        is_it = seen.method == "PATCH" and seen.path.endswith(support)
        return refused(403, "externally owned groups are immutable") if is_it else pass_on()

    support = quirky.id_of("Groups", "Support")
    quirky.quirk = quirk
    quirky.work.edit("acme/groups.yaml", "{user: ann@example.com}, ", "")
    quirky.work.edit(
        "acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {user: dan@example.com}]"
    )
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert "externally owned groups are immutable" in ended.out
    assert quirky.work.outcomes() == {"Group/Support": "failed", "Group/Sales": "applied"}


def test_q32_a_group_name_that_is_taken_is_a_conflict_and_not_adopted(quirky: Quirky) -> None:
    """Q32: hashicorp/web-unified-docs#3250 answers 409, although RFC 7643 lets two groups have one name."""
    quirky.service.create("Groups", displayName="New", externalId="theirs")
    quirky.work.write(
        "acme/new.yaml", "kind: Group\ndisplayName: New\nexternalId: g-3\nmembers: [{user: ann@example.com}]"
    )
    quirky.quirk = _just_before_creation(quirky, lambda: None, refused(409, "displayName exists", "uniqueness"))
    ended = quirky.apply()
    assert ended.code == 5, ended.out + ended.err
    assert [
        group.get("externalId") for group in quirky.service.all("Groups").values() if group["displayName"] == "New"
    ] == ["theirs"]
    assert quirky.service.member_names("New") == set()


def test_q32_two_groups_of_one_name_are_never_guessed(quirky: Quirky) -> None:
    """Q32: where a service allows it, an error names both; with an externalId in git it is clear who is meant."""
    for number in (1, 2):
        quirky.service.create("Groups", displayName="Twin", externalId=f"t-{number}")
    quirky.work.write("acme/twin.yaml", "kind: Group\ndisplayName: Twin\nmembers: [{user: ann@example.com}]\n")
    ended = quirky.apply()
    assert ended.code == 3, ended.out + ended.err
    assert "t-1" in ended.err
    assert "t-2" in ended.err
    assert quirky.writes == []


@pytest.mark.parametrize(
    "answer",
    [refused(400, "userName cannot be changed", "mutability"), Answer(200)],
    ids=["refused", "ignored"],
)
def test_q32_a_user_name_that_is_fixed_is_told_and_nothing_else_suffers(quirky: Quirky, answer: Answer) -> None:
    """Q32: getsentry/sentry#119884: refused, or 200 and the old name; one try a run, and no delete and create."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "PATCH" and b"userName" in seen.body:
            return answer if answer.status == 400 else quirky.current(seen)
        return pass_on()

    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "cyd@example.com", "cy@example.com")
    quirky.work.edit("acme/groups.yaml", "cyd@example.com", "cy@example.com")
    quirky.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Lead")
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert "userName" in ended.out
    renames = [write for write in quirky.writes if "Users" in write.path and b"userName" in repr(write.body).encode()]
    assert [write.method for write in renames] == ["PATCH"]
    assert quirky.service.all("Users")["dan@example.com"]["title"] == "Lead"
    assert quirky.service.member_names("Sales") == {"cyd@example.com"}
