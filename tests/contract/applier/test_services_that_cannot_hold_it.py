"""Services that cannot hold what git declares: a named residual per attribute, and the line that cures it (SPEC P8).

Whatever a service makes of a value, the run says so and ends with 6; it never writes the same for ever unnoticed, never
removes the wrong one, and never ends in a traceback (scim-rfc.md section 12).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.quirks import Quirks
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from tests.cli.workplace import ADMIN, TOKEN, Ended, Service, Workplace, service_of

PEOPLE = """\
kind: Users
items:
  - userName: Ann.Lee@Example.com
    externalId: HR-1
    displayName: Ann Lee
    name: {givenName: Ann, familyName: Lee}
    title: team lead
    emails: [{value: ann@example.com, type: work, primary: true}, {value: ann@home.example, type: home}]
    phoneNumbers: [{value: "+1 (555) 010-99", type: work}]
    enterprise: {department: Support}
  - userName: bob@example.com
    externalId: HR-2
    name: {givenName: Bob, familyName: Ray}
    title: agent
"""
GROUPS = """\
kind: Groups
items:
  - {displayName: "Tier 1 Support", externalId: G-1, members: [{user: Ann.Lee@Example.com}]}
  - {displayName: Sales, members: [{user: bob@example.com}]}
"""


@dataclass(frozen=True)
class Tenant:
    """A service that cannot hold everything, and the desk before it."""

    work: Workplace
    service: Service
    document: dict[str, Any]

    def settings(self, equivalences: str = "equivalences: {}") -> None:
        """Write tenant.yaml, its last lines the equivalences."""
        lines = [f"{name}: {json.dumps(value)}" for name, value in self.document.items()]
        self.work.write("acme/tenant.yaml", "\n".join([*lines, equivalences, ""]))

    def apply(self, *options: str) -> Ended:
        """Apply whatever the plan of now says."""
        return self.work.run("apply", "--yes", *options)

    def paste(self, ended: Ended) -> str:
        """Put the block that a report ends with into tenant.yaml, exactly as it is printed."""
        lines = ended.out.splitlines()
        start = lines.index("equivalences:")
        block = "\n".join(lines[start : lines.index("", start)])
        self.settings(block)
        return block

    def is_settled(self) -> bool:
        """Whether the next plan has nothing to do."""
        ended = self.work.run("plan", "--detailed-exitcode")
        assert ended.code in {0, 2, 4}, ended.out + ended.err
        return ended.code == 0

    @property
    def residual(self) -> dict[tuple[str, str], str]:
        """Cause by (key, path) in the newest receipt."""
        return {(item["key"], item["path"]): item["cause"] for item in self.work.receipts()[-1]["residual"]}

    def advice(self, path: str) -> str:
        """What the newest receipt says about an attribute."""
        [advice] = {item["advice"] for item in self.work.receipts()[-1]["residual"] if item["path"] == path}
        return str(advice)


Start = Callable[..., Tenant]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a service with quirks, and declare two people and two groups for it."""
    with ExitStack() as stack:

        def run(quirks: Quirks, *, dialect: dict[str, str] | None = None, **settings: Any) -> Tenant:
            config = SandboxConfig(
                **{"token": TOKEN, "admin": ADMIN, "profile": "rfc7644", "quirks": quirks, **settings}
            )
            service = service_of(stack.enter_context(SandboxServer(config)))
            work = Workplace(tmp_path, monkeypatch)
            tenant = Tenant(work, service, work.tenant(service.base_url, dialect=dialect or {}))
            tenant.settings()
            tenant.work.write("acme/people.yaml", PEOPLE)
            tenant.work.write("acme/groups.yaml", GROUPS)
            return tenant

        yield run


def users_named(tenant: Tenant) -> set[str]:
    """Everybody by the name that the service has for them."""
    return set(tenant.service.all("Users"))


def tidied(text: str) -> str:
    """What a service makes of a number: nothing but digits."""
    return "".join(filter(str.isdigit, text))


REWRITES: dict[str, tuple[Quirks, dict[tuple[str, str], str]]] = {
    "group names in lower case": (
        Quirks(rewrites=(("displayName", str.lower),)),
        {
            ("User/Ann.Lee@Example.com", "displayName"): "rewritten",
            ("Group/Tier 1 Support", "displayName"): "rewritten",
            ("Group/Sales", "displayName"): "rewritten",
        },
    ),
    "titles in title case": (
        Quirks(rewrites=(("title", str.title),)),
        {("User/Ann.Lee@Example.com", "title"): "rewritten", ("User/bob@example.com", "title"): "rewritten"},
    ),
    "e-mail addresses of its own domain": (
        Quirks(rewrites=(("emails.value", lambda value: value.replace("home.example", "example.com")),)),
        {("User/Ann.Lee@Example.com", "emails"): "rewritten"},
    ),
    "telephone numbers without the plus": (
        Quirks(rewrites=(("phoneNumbers.value", tidied),)),
        {("User/Ann.Lee@Example.com", "phoneNumbers"): "rewritten"},
    ),
    "user names without their domain": (
        Quirks(rewrites=(("userName", lambda value: value.partition("@")[0]),)),
        {("User/Ann.Lee@Example.com", "userName"): "rewritten", ("User/bob@example.com", "userName"): "rewritten"},
    ),
    "externalIds in lower case": (
        Quirks(rewrites=(("externalId", str.lower),)),
        {
            ("User/Ann.Lee@Example.com", "externalId"): "rewritten",
            ("User/bob@example.com", "externalId"): "rewritten",
            ("Group/Tier 1 Support", "externalId"): "rewritten",
        },
    ),
    "group names with dashes for blanks": (
        Quirks(rewrites=(("displayName", lambda value: value.lower().replace(" ", "-")),)),
        {
            ("User/Ann.Lee@Example.com", "displayName"): "rewritten",
            ("Group/Tier 1 Support", "displayName"): "rewritten",
            ("Group/Sales", "displayName"): "rewritten",
        },
    ),
    "group names cut off": (
        Quirks(rewrites=(("displayName", lambda value: value.removesuffix("Support").strip()),)),
        {("Group/Tier 1 Support", "displayName"): "rewritten"},
    ),
    "another given name": (
        Quirks(rewrites=(("name.givenName", lambda value: f"{value}."),)),
        {
            ("User/Ann.Lee@Example.com", "name.givenName"): "rewritten",
            ("User/bob@example.com", "name.givenName"): "rewritten",
        },
    ),
}


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
@pytest.mark.parametrize("name", REWRITES)
def test_q12_what_a_service_rewrites_is_cured_by_the_lines_that_apply_prints(
    start: Start, name: str, bulk: bool
) -> None:
    """Q12, INCIDENTS valon-technologies/gestalt#3162: pasting what the report ends with gives 0 changes."""
    quirks, causes = REWRITES[name]
    tenant = start(quirks, supports_bulk=bulk)
    ended = tenant.apply()
    assert ended.code == 6, ended.out + ended.err
    assert tenant.residual == causes
    tenant.paste(ended)
    assert tenant.is_settled()
    assert tenant.apply().code == 0


def test_on_the_next_run_the_cure_is_still_offered(start: Start) -> None:
    """Without the lines the same is sent and found again, and said again: never silently, never as a success."""
    tenant = start(Quirks(rewrites=(("emails.value", lambda value: value.replace("home.example", "example.com")),)))
    tenant.apply()
    ended = tenant.apply()
    assert ended.code == 6
    assert tenant.residual == {("User/Ann.Lee@Example.com", "emails"): "not-changed"}
    assert "only if the service derives the value" in tenant.paste(ended)
    assert tenant.is_settled()


def test_lines_that_are_there_already_stay_when_new_ones_are_pasted(start: Start) -> None:
    """The block is the whole of `equivalences`, so that pasting it loses nothing."""
    tenant = start(Quirks(rewrites=(("displayName", str.upper), ("title", str.title))))
    tenant.work.edit("acme/people.yaml", "    title: team lead\n", "")
    tenant.work.edit("acme/people.yaml", "    title: agent\n", "")
    tenant.paste(tenant.apply())
    assert tenant.is_settled()
    tenant.work.edit(
        "acme/people.yaml", "    displayName: Ann Lee\n", "    displayName: Ann Lee\n    title: team lead\n"
    )
    block = tenant.paste(tenant.apply())
    assert '{sent: "Ann Lee", stored: "ANN LEE"}' in block
    assert '{sent: "team lead", stored: "Team Lead"}' in block
    assert tenant.is_settled()


def test_q12_user_names_in_lower_case_are_no_difference_worth_a_write(start: Start) -> None:
    """Q12: userName is not case exact (RFC 7643 section 4.1). It is said, and no update is ever planned for it."""
    tenant = start(Quirks(lower_cases_user_names=True))
    ended = tenant.apply()
    assert ended.code == 0, ended.out + ended.err
    assert "ann.lee@example.com" in users_named(tenant)
    plan = tenant.work.run("plan", "--format", "json").lines[0]
    assert plan["changes"] == []
    assert {"cosmetic"} == {finding["code"] for finding in plan["findings"]} - {"no-protected"}
    assert tenant.service.member_names("Tier 1 Support") == {"ann.lee@example.com"}


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_without_external_id_people_are_told_by_name_and_nobody_is_created_twice(start: Start, bulk: bool) -> None:
    """SPEC section 3: matching falls back to userName. The residual is named each time; not declaring it cures it."""
    tenant = start(Quirks(drops_external_id=True), supports_bulk=bulk)
    for _ in range(2):
        ended = tenant.apply()
        assert ended.code == 6, ended.out + ended.err
        assert tenant.residual == {
            ("User/Ann.Lee@Example.com", "externalId"): "not-stored",
            ("User/bob@example.com", "externalId"): "not-stored",
            ("Group/Tier 1 Support", "externalId"): "not-stored",
        }
        assert "do not declare it" in tenant.advice("externalId")
        assert "equivalences:" not in ended.out
    assert (len(users_named(tenant)), len(tenant.service.all("Groups"))) == (2, 2)
    for name, file in (("HR-1", "people"), ("HR-2", "people")):
        tenant.work.edit(f"acme/{file}.yaml", f"    externalId: {name}\n", "")
    tenant.work.edit("acme/groups.yaml", "externalId: G-1, ", "")
    assert tenant.is_settled()


def test_somebody_suspended_is_not_held_up_for_ever_where_external_ids_are_dropped(start: Start) -> None:
    """`identity-reuse` refuses to adopt an inactive user by userName, as it must; its remedy lets git go on."""
    tenant = start(Quirks(drops_external_id=True))
    tenant.apply()
    tenant.work.edit("acme/people.yaml", "    title: agent\n", "    title: agent\n    active: false\n")
    assert tenant.apply("--allow=membership-share").code == 6
    assert tenant.service.all("Users")["bob@example.com"]["active"] is False
    refused = tenant.apply()
    assert refused.code == 4
    assert "identity-reuse" in refused.out
    assert tenant.apply("--allow=identity-reuse=1").code == 6
    tenant.work.edit("acme/people.yaml", "    externalId: HR-2\n", "")
    tenant.work.edit("acme/people.yaml", "    externalId: HR-1\n", "")
    tenant.work.edit("acme/groups.yaml", "externalId: G-1, ", "")
    assert tenant.is_settled()


@pytest.mark.parametrize(
    ("dropped", "causes"),
    [
        (
            "title",
            {("User/Ann.Lee@Example.com", "title"): "not-stored", ("User/bob@example.com", "title"): "not-stored"},
        ),
        ("emails", {("User/Ann.Lee@Example.com", "emails"): "not-stored"}),
        (
            "name",
            {
                ("User/Ann.Lee@Example.com", "name.familyName"): "not-stored",
                ("User/Ann.Lee@Example.com", "name.givenName"): "not-stored",
                ("User/bob@example.com", "name.familyName"): "not-stored",
                ("User/bob@example.com", "name.givenName"): "not-stored",
            },
        ),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            {
                (
                    "User/Ann.Lee@Example.com",
                    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                ): "not-stored"
            },
        ),
    ],
    ids=["title", "emails", "name", "enterprise"],
)
def test_what_a_service_does_not_keep_is_named_and_no_line_is_offered(
    start: Start, dropped: str, causes: dict[tuple[str, str], str]
) -> None:
    """Q25, Q31: a value that is gone is not equal to any; what helps is not to declare it."""
    tenant = start(Quirks(drops=(dropped,)))
    for _ in range(2):
        ended = tenant.apply()
        assert ended.code == 6, ended.out + ended.err
        assert tenant.residual == causes
        assert "do not declare it" in ended.out
        assert "equivalences:" not in ended.out


def test_q20_a_put_that_merges_is_told_by_what_it_does_not_clear(start: Start) -> None:
    """Q20: attevon-llc/OpenTranscribe#582. The advice is the verb that clears; with it the next run converges."""
    tenant = start(Quirks(merges_on_put=True), dialect={"userUpdate": "put"})
    assert tenant.apply().code == 0
    tenant.work.edit("acme/people.yaml", "    title: team lead\n", "    title: null\n")
    ended = tenant.apply()
    assert ended.code == 6
    assert tenant.residual == {("User/Ann.Lee@Example.com", "title"): "not-cleared"}
    assert "`dialect: {userUpdate: patch}`" in ended.out
    tenant.document["dialect"] = {"userUpdate": "patch"}
    tenant.settings()
    assert tenant.apply().code == 0
    assert "title" not in tenant.service.all("Users")["Ann.Lee@Example.com"]


def test_where_a_put_merges_and_there_is_no_patch_the_advice_is_to_leave_the_value(start: Start) -> None:
    """Q20: no switch is recommended that the service does not have."""
    tenant = start(Quirks(merges_on_put=True), supports_patch=False)
    assert tenant.apply().code == 0
    tenant.work.edit("acme/people.yaml", "    title: team lead\n", "    title: null\n")
    assert tenant.apply().code == 6
    assert tenant.residual == {("User/Ann.Lee@Example.com", "title"): "not-cleared"}
    assert "dialect" not in tenant.advice("title")


def test_q20_a_put_never_reactivates_anybody(start: Start) -> None:
    """Q20: vouch-sh/vouch#1415. Every PUT states `active`, also where git does not manage it."""
    tenant = start(Quirks(reactivates_on_put=True), dialect={"userUpdate": "put"})
    assert tenant.apply().code == 0
    tenant.service.patch("Users", "bob@example.com", {"op": "replace", "path": "active", "value": False})
    tenant.work.edit("acme/people.yaml", "    title: agent\n", "    title: Agent\n")
    assert tenant.apply().code == 0
    assert tenant.service.all("Users")["bob@example.com"]["active"] is False


def test_q20_q31_members_that_a_put_ignores_are_named_and_the_other_verb_is_advised(start: Start) -> None:
    """Q20, Q31: gravitational/teleport#67372, Metatavu/keycloak-scim-server#111."""
    tenant = start(Quirks(ignores_members_on_put=True), dialect={"groupUpdate": "put"})
    assert tenant.apply().code == 0
    tenant.work.edit("acme/groups.yaml", "{user: bob@example.com}", "{user: Ann.Lee@Example.com}")
    ended = tenant.apply("--allow=access-loss", "--allow=membership-share")
    assert ended.code == 6
    [added, removed] = tenant.work.receipts()[-1]["residual"]
    assert (added["cause"], added["expected"]) == ("members-not-added", "Ann.Lee@Example.com")
    assert (removed["cause"], removed["found"]) == ("members-not-removed", "bob@example.com")
    assert "`dialect: {groupUpdate: patch}`" in ended.out
    tenant.document["dialect"] = {"groupUpdate": "patch"}
    tenant.settings()
    assert tenant.apply("--allow=access-loss", "--allow=membership-share").code == 0


def test_q3_a_removal_by_patch_without_effect_names_who_still_has_access(start: Start) -> None:
    """Q3: goauthentik/authentik#24173."""
    tenant = start(Quirks(ignores_member_removals=True))
    assert tenant.apply().code == 0
    tenant.work.edit("acme/groups.yaml", "[{user: bob@example.com}]", "[]")
    ended = tenant.apply("--allow=access-loss", "--allow=membership-share")
    assert ended.code == 6
    assert tenant.residual == {("Group/Sales", "members"): "members-not-removed"}
    assert "`dialect: {groupUpdate: put}`" in ended.out


@pytest.mark.parametrize(
    ("quirks", "finding"),
    [
        (Quirks(hides_members=True), "members-unreadable"),
        (Quirks(hides_members=True, hides_groups=True), "members-unseen"),
        (Quirks(empties_members=True, hides_groups=True), "members-unseen"),
    ],
    ids=["hidden", "hidden from both sides", "empty"],
)
def test_q6_members_that_a_service_never_shows_are_not_proven_and_nobody_is_removed(
    start: Start, quirks: Quirks, finding: str
) -> None:
    """Q6: AWS and others. Each run adds them again, which changes nothing, says so, and never ends as a success."""
    tenant = start(quirks)
    for _ in range(2):
        ended = tenant.apply()
        assert ended.code == 6, ended.out + ended.err
        assert tenant.residual == {
            ("Group/Tier 1 Support", "members"): "members-not-shown",
            ("Group/Sales", "members"): "members-not-shown",
        }
        plan = tenant.work.run("plan", "--format", "json").lines[0]
        assert plan["summary"]["membershipsRemoved"] == 0
        assert plan["summary"]["membershipsAdded"] == 2
        assert finding in {item["code"] for item in plan["findings"]}
        assert "counts for no guard" in " ".join(item["message"] for item in plan["findings"])


def test_q6_a_put_never_drops_members_that_cannot_be_read(start: Start) -> None:
    """SPEC 7.5, Q6: somebody else's members are in a group that shows nobody; a PUT of ours would remove them."""
    tenant = start(Quirks(hides_members=True), dialect={"groupUpdate": "put"})
    tenant.apply()
    group = tenant.service.all("Groups")["Sales"]["id"]
    carol = tenant.service.create("Users", userName="carol@example.com")["id"]
    added = {"op": "add", "path": "members", "value": [{"value": carol}]}
    tenant.service.patch("Groups", "Sales", added)
    ended = tenant.apply()
    assert ended.code == 1, ended.out + ended.err
    assert set(tenant.work.outcomes().values()) == {"failed"}
    assert "`dialect: {groupUpdate: patch}`" in ended.out
    groups = tenant.service.all("Users")["carol@example.com"]["groups"]
    assert [element["value"] for element in groups] == [group]


def test_a_saved_plan_ends_with_the_same_residuals_and_the_same_cure(start: Start, tmp_path: Path) -> None:
    """SPEC 7.3: without desired state to plan again from, each change is compared with what came of it."""
    tenant = start(Quirks(rewrites=(("displayName", lambda value: value.lower().replace(" ", "-")),), drops=("title",)))
    saved = tmp_path / "plan.json"
    assert tenant.work.run("plan", "--out", saved).code in {0, 2}
    seal = json.loads(saved.read_text(encoding="utf-8"))["seal"]
    ended = tenant.work.run("apply", "--plan", saved, "--expect-seal", seal)
    assert ended.code == 6, ended.out + ended.err
    assert tenant.residual == {
        ("User/Ann.Lee@Example.com", "displayName"): "rewritten",
        ("User/Ann.Lee@Example.com", "title"): "not-stored",
        ("User/bob@example.com", "title"): "not-stored",
        ("Group/Sales", "displayName"): "rewritten",
        ("Group/Tier 1 Support", "displayName"): "rewritten",
    }
    tenant.paste(ended)
    changes = tenant.work.run("plan", "--format", "json").lines[0]["changes"]
    assert {attribute["path"] for change in changes for attribute in change["attributes"]} == {"title"}


def test_the_receipt_has_the_pairs_for_programs(start: Start) -> None:
    """`--format json`: what a script would put into tenant.yaml, in the shape that tenant.yaml has."""
    tenant = start(Quirks(rewrites=(("displayName", str.upper),)))
    [receipt] = tenant.apply("--format", "json").lines
    pairs: dict[str, Any] = {}
    for residual in receipt["residual"]:
        for path, listed in residual["equivalences"].items():
            pairs.setdefault(path, []).extend(listed)
    assert pairs["displayName"][0] == {"sent": "Ann Lee", "stored": "ANN LEE"}
    tenant.settings(f"equivalences: {json.dumps(pairs)}")
    assert tenant.is_settled()


def test_markdown_has_the_same_block(start: Start) -> None:
    """What goes into a pull request can be pasted from there."""
    tenant = start(Quirks(rewrites=(("displayName", str.upper),)))
    lines = tenant.apply("--format", "markdown").out.splitlines()
    begin = lines.index("```yaml")
    tenant.settings("\n".join(lines[begin + 1 : lines.index("```", begin + 1)]))
    assert tenant.is_settled()


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_q31_a_service_that_keeps_nothing_at_all_ends_in_residuals(start: Start, bulk: bool) -> None:
    """Q31: everything is answered with success; each attribute is named, and nobody is created twice."""
    kept = ("title", "name", "emails", "phoneNumbers", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")
    tenant = start(Quirks(drops=kept, drops_external_id=True), supports_bulk=bulk)
    for _ in range(2):
        ended = tenant.apply()
        assert ended.code == 6, ended.out + ended.err
        assert set(tenant.residual.values()) == {"not-stored"}
        assert len(tenant.residual) == 12
        assert (len(users_named(tenant)), len(tenant.service.all("Groups"))) == (2, 2)
