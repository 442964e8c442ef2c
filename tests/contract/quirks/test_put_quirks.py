"""Quirks of scim-rfc.md section 12 in how services take a PUT (RFC 7644 section 3.5.1), over whole runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.scripted_service import Answer, Seen

URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
REPLACES = {"userUpdate": "put", "groupUpdate": "put"}
MANAGED = "enterprise: {department: Support, manager: {userName: cyd@example.com}}"


@pytest.fixture
def replacing(quirky: Quirky) -> Quirky:
    """Users and groups are replaced, never patched; Ann has a manager, and Support is in Sales."""
    quirky.settings(dialect=REPLACES)
    quirky.work.edit("acme/people.yaml", "familyName: Lee}", "familyName: Lee}, " + MANAGED)
    quirky.work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {group: Support}]")
    assert quirky.apply().code == 0
    return quirky


def test_q17_what_is_read_only_is_not_sent_back(replacing: Quirky) -> None:
    """Q17: pingidentity/scim2#93, goauthentik/authentik#23950 refuse what the RFC ignores."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PUT":
            return _with_everything_derived(pass_on())
        found = sorted(_read_only_in(document(seen)))
        return refused(400, f"read-only: {found}", "mutability") if found else pass_on()

    replacing.quirk = quirk
    replacing.work.edit("acme/people.yaml", "familyName: Lee}", "familyName: Leigh}")
    replacing.work.edit("acme/groups.yaml", "{group: Support}", "{group: Support}, {user: dan@example.com}")
    ended = replacing.apply()
    assert ended.code == 0, ended.out
    assert [write.method for write in replacing.writes] == ["PUT", "PUT"]
    assert replacing.is_settled()


def _with_everything_derived(answer: Answer) -> Answer:
    """An answer that shows all that a service may derive and a client must not write."""
    body = document(answer)
    for row in body.get("Resources", [body]):
        row["groups"] = [{"value": "g", "display": "G", "type": "direct"}] if "userName" in row else []
        manager = row.get(URN, {}).get("manager", {})
        manager.update({"displayName": "Cyd Poe", "$ref": "../Users/cyd"} if manager else {})
        for member in row.get("members", []):
            member.update({"display": "somebody", "$ref": f"../Users/{member['value']}"})
    return Answer(answer.status, body, answer.headers)


def _read_only_in(body: dict[str, Any]) -> set[str]:
    """RFC 7643 sections 3.1, 4.1.2, 4.3 and 8.7.1."""
    manager = body.get(URN, {}).get("manager", {})
    return (
        {"id", "meta", "groups", "password"} & set(body)
        | ({"manager.displayName"} if "displayName" in manager else set())
        | {f"members.{name}" for member in body.get("members", []) for name in member if name in {"display", "$ref"}}
    )


def test_q17_what_is_read_only_is_not_sent_on_creation(quirky: Quirky) -> None:
    """Q17: SAP-archive/scimono#176; membership goes by the group, whatever the user's document says."""
    quirky.work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\ngroups: [Sales]\n")
    assert quirky.apply().code == 0
    created, joined = quirky.writes
    assert set(created.body) == {"schemas", "userName", "active"}
    assert (joined.method, joined.path) == ("PATCH", f"/Groups/{quirky.id_of('Groups', 'Sales')}")


def test_q20_active_is_always_stated(replacing: Quirky) -> None:
    """Q20: vouch-sh/vouch#1415: a PUT without `active` reactivates. Also where the service does not return it."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if seen.method == "GET" and "/Users" in seen.path:
            body = document(answer)
            for row in body.get("Resources", [body]):
                row.pop("active", None)
            return Answer(answer.status, body, answer.headers)
        return answer

    replacing.work.edit("acme/people.yaml", "externalId: p-4, ", "externalId: p-4, active: false, ")
    assert replacing.apply().code == 0
    replacing.work.edit("acme/people.yaml", "externalId: p-4, active: false, ", "externalId: p-4, ")
    replacing.work.edit("acme/people.yaml", "defaults: {active: true}\n", "")
    replacing.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Former")
    assert replacing.apply().code == 0
    assert [write.body["active"] for write in replacing.writes] == [False]
    assert replacing.service.all("Users")["dan@example.com"]["active"] is False
    replacing.quirk = quirk
    replacing.work.edit("acme/people.yaml", "familyName: Lee}", "familyName: Leigh}")
    assert replacing.apply().code == 0
    assert [write.body["active"] for write in replacing.writes] == [True]


def test_q20_a_put_that_merges_leaves_a_residual_that_is_named(replacing: Quirky) -> None:
    """Q20: attevon-llc/OpenTranscribe#582: what a PUT leaves out stays. Said once a run, and nothing else is harmed."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PUT":
            return pass_on()
        before = document(replacing.current(seen))
        return replacing.resend(seen, {**before, **document(seen)})

    replacing.quirk = quirk
    replacing.work.edit("acme/people.yaml", "title: Coach", "title: null, nickName: Cy")
    ended = replacing.apply()
    assert ended.code == 6, ended.out + ended.err
    assert replacing.residual == [("User/cyd@example.com", "title", None, "Coach")]
    assert len(replacing.writes) == 1
    assert replacing.service.all("Users")["cyd@example.com"]["nickName"] == "Cy"


@pytest.mark.parametrize("kept", [True, False], ids=["ignored", "dropped"])
def test_q20_q31_a_put_that_does_not_store_members_is_found_by_reading_back(replacing: Quirky, kept: bool) -> None:
    """Q20, Q31: Metatavu/keycloak-scim-server#111 ignores them, gravitational/teleport#67372 stores none."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PUT" or "/Groups" not in seen.path:
            return pass_on()
        members = document(replacing.current(seen))["members"] if kept else []
        return replacing.resend(seen, {**document(seen), "members": members})

    replacing.quirk = quirk
    replacing.work.edit(
        "acme/groups.yaml", "{user: ann@example.com}", "{user: ann@example.com}, {user: dan@example.com}"
    )
    ended = replacing.apply()
    assert ended.code == 6, ended.out + ended.err
    missing = ["dan@example.com"] if kept else ["ann@example.com", "bob@example.com", "dan@example.com"]
    assert replacing.residual == [("Group/Support", "members", name, None) for name in missing]
    assert len(replacing.writes) == 1


def test_q20_membership_that_cannot_be_put_can_be_patched(replacing: Quirky) -> None:
    """Q20: keycloak/keycloak#46216 plans 501. The service's words are in the report, and PATCH helps."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        is_it = seen.method == "PUT" and "/Groups" in seen.path
        return refused(501, "membership is not changed by PUT") if is_it else pass_on()

    replacing.quirk = quirk
    replacing.work.edit(
        "acme/groups.yaml", "{user: ann@example.com}", "{user: ann@example.com}, {user: dan@example.com}"
    )
    ended = replacing.apply()
    assert ended.code == 1, ended.out + ended.err
    assert "membership is not changed by PUT" in ended.out
    assert replacing.work.outcomes() == {"Group/Support": "failed"}
    replacing.settings(dialect={"groupUpdate": "patch"})
    assert replacing.apply().code == 0
    assert replacing.is_settled()


def test_q20_a_service_that_has_only_put_is_served_by_put(start: StartQuirky) -> None:
    """Q20: Okta uses nothing else, and services follow; announced is enough, tenant.yaml need not say it."""
    quirky = start(supports_patch=False)
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: null")
    quirky.work.edit("acme/groups.yaml", "{user: ann@example.com}, ", "")
    assert quirky.apply().code == 0
    assert {write.method for write in quirky.writes} == {"PUT"}
    assert quirky.is_settled()


def test_q15_q16_a_put_leaves_out_what_is_to_be_empty(replacing: Quirky) -> None:
    """Q15, Q16: neither null nor [] in a user; an emptied group says `members: []`, as CXone wants."""
    replacing.work.edit("acme/people.yaml", "title: Coach", "title: null")
    replacing.work.edit("acme/groups.yaml", "[{user: ann@example.com}, {user: bob@example.com}]", "[]")
    assert replacing.apply("--allow=access-loss", "--allow=membership-share").code == 0
    group, user = replacing.writes
    assert "title" not in user.body
    assert b"null" not in b"".join(seen.body for seen in replacing.hop.seen)
    assert group.body["members"] == []
    assert replacing.is_settled()


def test_q31_a_200_without_any_effect_is_no_success(quirky: Quirky) -> None:
    """Q31, INCIDENTS `62 changes applied, one had landed`: one attribute of two, and one user of two."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "PATCH" and b"Chief" in seen.body:
            return quirky.current(seen)
        return pass_on()

    quirky.quirk = quirk
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: Chief")
    quirky.work.edit("acme/people.yaml", "familyName: Fox}, title: Agent", "familyName: Fox}, title: Lead")
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert quirky.residual == [("User/cyd@example.com", "title", "Chief", "Coach")]
    assert quirky.service.all("Users")["dan@example.com"]["title"] == "Lead"
