"""Quirks of scim-rfc.md section 12 in how services take a PATCH (RFC 7644 section 3.5.2), over whole runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.contract.quirks.conftest import StartQuirky
from tests.contract.quirks.quirky import Quirky, document, refused
from tests.fakes.interposed import PassOn
from tests.fakes.scripted_service import Answer, Seen

ONE_MEMBER = re.compile(r'members\[value eq "[^"]+"\]')

CHANGED = """\
kind: Users
defaults: {active: true}
items:
  - userName: ann@example.com
    externalId: p-1
    name: {givenName: Anna, familyName: Lee}
    title: null
    emails: [{value: a@example.com, type: work, primary: true}, {value: b@example.com, type: home}]
    enterprise: {department: Support, manager: {userName: cyd@example.com}}
  - {userName: bob@example.com, externalId: p-2, name: {givenName: Bob, familyName: Ray}, title: Lead, active: false}
  - {userName: cyd@example.com, externalId: p-3, name: {givenName: Cyd, familyName: Poe}, title: Coach}
  - {userName: dan@example.com, externalId: p-4, name: {givenName: Dan, familyName: Fox}, title: Agent}
"""
REGROUPED = """\
kind: Groups
items:
  - {displayName: Support Team, externalId: g-1, members: [{user: bob@example.com}, {user: dan@example.com}]}
  - {displayName: Sales, externalId: g-2, members: [{user: cyd@example.com}, {group: Support Team}]}
"""
"""Support is renamed, loses Ann and gains Dan; Sales gains a group."""


def _reorganised(quirky: Quirky) -> Quirky:
    """Git changes a bit of everything: values set, cleared and replaced, a rename, members in both directions."""
    quirky.work.write("acme/people.yaml", CHANGED)
    quirky.work.write("acme/groups.yaml", REGROUPED)
    return quirky


def _patches(quirky: Quirky, plural: str = "") -> list[list[dict[str, Any]]]:
    """The operations of each PATCH of users, groups or both."""
    return [
        write.operations for write in quirky.writes if write.method == "PATCH" and write.path.startswith(f"/{plural}")
    ]


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q1_op_is_lower_case(start: StartQuirky, bulk: bool) -> None:
    """Q1: a strict server knows `add`, `remove` and `replace` only, as the RFC spells them; others take any case."""
    quirky = _reorganised(start(bulk=bulk))
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    operations = [operation for patch in _patches(quirky) for operation in patch]
    assert {operation["op"] for operation in operations} == {"add", "remove", "replace"}


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q3_members_are_removed_by_a_filter_each_and_never_without(start: StartQuirky, bulk: bool) -> None:
    """Q3: a server that empties the group on `remove members`, with or without `value`, never gets to see that."""
    quirky = _reorganised(start(bulk=bulk))
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    removals = [o for patch in _patches(quirky, "Groups") for o in patch if o["op"] == "remove"]
    assert removals
    assert all(ONE_MEMBER.fullmatch(removal["path"]) for removal in removals)
    assert not any("value" in removal for removal in removals)
    assert quirky.service.member_names("Support Team") == {"bob@example.com", "dan@example.com"}


def test_q3_a_removal_that_changes_nothing_is_found_by_reading_back(quirky: Quirky) -> None:
    """Q3: goauthentik/authentik#24173 answers 200 to the RFC's form. Who stayed is named, and it is no success."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return quirky.current(seen) if b"members[value eq" in seen.body else pass_on()

    quirky.quirk = quirk
    quirky.work.edit("acme/groups.yaml", "{user: ann@example.com}, ", "")
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert quirky.residual == [("Group/Support", "members", None, "ann@example.com")]
    assert len(quirky.writes) == 1
    assert quirky.service.member_names("Support") == {"ann@example.com", "bob@example.com"}


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q4_every_operation_has_a_path_and_writes_one_attribute(start: StartQuirky, bulk: bool) -> None:
    """Q4: pathless operations with dotted or URN keys, or with `id` and `members` in one object, mean many things."""
    quirky = _reorganised(start(bulk=bulk))
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    operations = [operation for patch in _patches(quirky) for operation in patch]
    assert all(operation.get("path") for operation in operations)
    values = [operation["value"] for operation in operations if isinstance(operation.get("value"), dict)]
    assert all(set(value) == {"value"} for value in values), "only the manager is an object"
    assert not {"id", "schemas", "meta"} & {operation["path"] for operation in operations}


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q5_members_travel_in_requests_of_their_own(start: StartQuirky, bulk: bool) -> None:
    """Q5: INCIDENTS langwatch/langwatch#7131. A group's members never share a PATCH with its other attributes."""
    quirky = _reorganised(start(bulk=bulk))
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    about_members = [{o["path"].startswith("members") for o in patch} for patch in _patches(quirky, "Groups")]
    assert sorted(map(list, about_members)) == [[False], [True], [True], [True]]


def test_q5_a_replace_that_empties_the_group_is_found_by_reading_back(quirky: Quirky) -> None:
    """Q5: the server drops the members with another attribute's `replace`; who is missing is named, not forgotten."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "PATCH" or b"displayName" not in seen.body:
            return pass_on()
        sent = document(seen)
        sent["Operations"].append({"op": "remove", "path": "members"})
        return quirky.resend(seen, sent)

    quirky.quirk = quirk
    quirky.work.edit("acme/groups.yaml", "displayName: Sales", "displayName: Selling")
    ended = quirky.apply()
    assert ended.code == 6, ended.out + ended.err
    assert quirky.residual == [("Group/Selling", "members", "cyd@example.com", None)]
    assert not quirky.is_settled(), "the next run gives the members back"
    quirky.converged()


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q15_nothing_is_ever_null_and_clearing_is_a_remove(start: StartQuirky, bulk: bool) -> None:
    """Q15: Captain-P-Goldfish/SCIM-SDK#103 refuses `null`, others keep it as a key. Creates, PUT and PATCH alike."""
    quirky = _reorganised(start(bulk=bulk))
    quirky.work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\ntitle: null\nnickName: ''\nemails: []\n")
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    assert not any(b"null" in seen.body for seen in quirky.hop.seen)
    assert {"op": "remove", "path": "title"} in [operation for patch in _patches(quirky) for operation in patch]
    assert "title" not in quirky.service.all("Users")["ann@example.com"]
    assert quirky.is_settled()


def test_q15_an_empty_string_is_as_good_as_nothing(quirky: Quirky) -> None:
    """Q15: simpleidserver/SimpleIdServer#295 stores an empty string as null; that is no update on every run."""
    quirky.work.edit("acme/people.yaml", "title: Coach", "title: ''")
    assert quirky.apply().code == 0
    assert "title" not in quirky.service.all("Users")["cyd@example.com"]
    assert quirky.is_settled()


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q16_no_empty_array_is_sent_and_a_group_is_emptied_one_by_one(start: StartQuirky, bulk: bool) -> None:
    """Q16: pingidentity/scim2#103 refuses `replace` with `[]`: lists are cleared by `remove`, members one by one."""
    quirky = start(bulk=bulk)
    quirky.work.edit("acme/people.yaml", "title: Coach", "emails: [{value: c@example.com}]")
    assert quirky.apply().code == 0
    quirky.work.edit("acme/people.yaml", "emails: [{value: c@example.com}]", "emails: []")
    quirky.work.edit("acme/groups.yaml", "[{user: ann@example.com}, {user: bob@example.com}]", "[]")
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    assert not any(b"[]" in seen.body for seen in quirky.hop.seen)
    [cleared] = _patches(quirky, "Users")
    assert cleared == [{"op": "remove", "path": "emails"}]
    [emptied] = _patches(quirky, "Groups")
    assert [bool(ONE_MEMBER.fullmatch(operation["path"])) for operation in emptied] == [True, True]
    assert quirky.service.member_names("Support") == set()
    assert quirky.is_settled()


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q18_no_value_filter_but_for_one_member(start: StartQuirky, bulk: bool) -> None:
    """Q18: a filter without a match is `noTarget` here and an implied create there; lists of users go as a whole."""
    quirky = _reorganised(start(bulk=bulk))
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    quirky.work.edit("acme/people.yaml", "{value: b@example.com, type: home}", "{value: b@example.com, type: other}")
    assert quirky.apply().code == 0
    [[operation]] = _patches(quirky)
    assert (operation["op"], operation["path"]) == ("replace", "emails")
    assert [email["value"] for email in operation["value"]] == ["a@example.com", "b@example.com"]


def test_q28_a_big_group_gets_the_difference_and_not_the_whole(quirky: Quirky) -> None:
    """Q28: Captain-P-Goldfish/scim-for-keycloak#134 timed out on whole groups for one change."""
    names = [f"p{number}@example.com" for number in range(150)]
    quirky.work.write("acme/more.yaml", "kind: Users\nitems:\n" + "".join(f"  - userName: {n}\n" for n in names))
    quirky.work.write("acme/big.yaml", _group(names[:149]))
    assert quirky.apply().code == 0
    quirky.work.write("acme/big.yaml", _group(names[1:]))
    assert quirky.apply("--allow=access-loss").code == 0
    removal, addition = quirky.writes
    assert removal.operations == [{"op": "remove", "path": f'members[value eq "{quirky.id_of("Users", names[0])}"]'}]
    assert [element["value"] for element in addition.operations[0]["value"]] == [quirky.id_of("Users", names[149])]


def _group(names: list[str]) -> str:
    return "kind: Group\ndisplayName: Everybody\nmembers:\n" + "".join(f"  - user: {name}\n" for name in names)


@pytest.mark.parametrize("verb", ["patch", "put"])
@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q29_every_member_says_what_it_is(start: StartQuirky, bulk: bool, verb: str) -> None:
    """Q29: without `type` one server breaks, another creates users with the ids of nested groups."""
    quirky = start(bulk=bulk)
    quirky.settings(dialect={"groupUpdate": verb})
    quirky.work.write("acme/groups.yaml", REGROUPED)
    quirky.work.write(
        "acme/new.yaml", "kind: Group\ndisplayName: New\nmembers: [{group: Sales}, {user: dan@example.com}]"
    )
    assert quirky.apply("--allow=access-loss", "--allow=membership-share").code == 0
    users = {row["id"] for row in quirky.service.all("Users").values()}
    sent = [member for write in quirky.writes for member in _members_in(write.body)]
    assert len(sent) >= 4
    assert all(member["type"] == ("User" if member["value"] in users else "Group") for member in sent)


def test_q29_type_is_left_out_where_a_service_refuses_it(quirky: Quirky) -> None:
    """Q29: `dialect: {memberType: omit}`."""

    def quirk(seen: Seen, pass_on: PassOn) -> Answer:
        return refused(400, "no such attribute: type") if b'"type"' in seen.body else pass_on()

    quirky.quirk = quirk
    quirky.settings(dialect={"memberType": "omit"})
    quirky.work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: cyd@example.com}, {group: Support}]")
    assert quirky.apply().code == 0
    assert quirky.service.member_names("Sales") == {"cyd@example.com", "Support"}


def _members_in(body: Any) -> list[dict[str, Any]]:
    operations = body.get("Operations", [])
    added = [member for o in operations if o["path"] == "members" for member in o["value"]]
    return [*body.get("members", []), *added]
