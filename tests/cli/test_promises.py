"""The promises of SPEC section 2, each by its number, over whole runs.

More about each of them is where its subject is tested; here is the one test that breaks when the promise does.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import Any

import pytest

from reconciler.cli.main import COMMANDS
from tests.cli.conftest import StartSandbox
from tests.cli.versioned import under_version_control
from tests.cli.workplace import ADMIN, TOKEN, Service, Workplace, call
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import DROP, Answer, Seen

READ_WRITE = {"apply", "demo"}
"""What SPEC section 5 marks read-write."""
NO_TENANT = {"sandbox", "trust"}
"""One is a tenant, the other asks none."""
ALLOWED = {"GET", "HEAD"}
BULK = pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])


def _titles(service: Service) -> dict[str, str]:
    return {name.partition("@")[0]: user.get("title", "") for name, user in service.all("Users").items()}


def _promote(work: Workplace, name: str, title: str) -> None:
    """A commit that gives somebody another title."""
    family = {"ann": "Lee", "bob": "Ray", "dan": "Fox"}[name]
    work.edit("acme/people.yaml", f"{family}}}, title: Agent", f"{family}}}, title: {title}")


def _settled(work: Workplace, service: Service) -> Workplace:
    work.organisation(service.base_url)
    work.converge()
    return work


def test_p1_a_preview_cannot_write(work: Workplace, sandbox: Service) -> None:
    """SPEC P1: every command that is not marked read-write, also where there is a lot to do; seen at the service."""
    with interposed(sandbox.origin) as (hop, origin):
        work.organisation(f"{origin}/scim/v2")
        desk = under_version_control(work)
        desk.apply("--first-run")
        sandbox.replace("Users", "bob@example.com", "title", "drifted")
        work.edit("acme/people.yaml", "title: Coach", "title: Chief")
        work.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\n")
        work.write("acme/more.yaml", "kind: ServiceProviderConfig\nmode: apply\nsort: {supported: false}\n")
        path = work.folder / "plan.json"
        previews: dict[str, tuple[str, ...]] = {
            "validate": (),
            "plan": ("--out", str(path), "--allow", "removal-share"),
            "show": (str(path),),
            "diff": ("--base", "HEAD"),
            "drift": (),
            "doctor": ("acme",),
            "explain": ("removal-share",),
            "import": ("acme",),
        }
        assert set(previews) == set(COMMANDS) - READ_WRITE - NO_TENANT, "a new command promises, too"
        before = (sandbox.all("Users"), sandbox.all("Groups"))
        hop.seen.clear()
        for command, arguments in previews.items():
            if command == "import":
                for file in work.root.glob("acme/[!t]*.yaml"):
                    file.unlink()
            ended = work.run(command, *arguments)
            assert ended.code == 0, ended.out + ended.err
        assert hop.seen
        assert {seen.method for seen in hop.seen} <= ALLOWED
    assert (sandbox.all("Users"), sandbox.all("Groups")) == before


def test_p2_what_was_approved_is_what_is_applied(acme: Workplace, sandbox: Service) -> None:
    """SPEC P2: neither what git says later, nor what the tenant became, nor ids and verdicts in the file count."""
    _promote(acme, "bob", "Lead")
    path = acme.folder / "plan.json"
    acme.run("plan", "--out", path)
    document = json.loads(path.read_text(encoding="utf-8"))
    _promote(acme, "dan", "Lead")
    sandbox.replace("Users", "ann@example.com", "title", "drifted")
    ended = acme.run("apply", "--plan", path, "--expect-seal", document["seal"])
    assert ended.code == 0, ended.out + ended.err
    assert _titles(sandbox) == {"ann": "drifted", "bob": "Lead", "cyd": "Coach", "dan": "Agent"}
    assert acme.run("apply", "--expect-digest", document["digest"]).code == 5
    assert _titles(sandbox)["dan"] == "Agent"


@BULK
@pytest.mark.parametrize("versions", [True, False], ids=["versions", "no-versions"])
def test_p3_nothing_is_overwritten_blindly(
    work: Workplace, start_sandbox: StartSandbox, bulk: bool, versions: bool
) -> None:
    """SPEC P3: every PUT, PATCH and DELETE carries a version, or is compared right before; the plan says which."""
    service = start_sandbox(supports_bulk=bulk, supports_etag=versions)
    _settled(work, service)
    _promote(work, "bob", "Lead")
    work.edit("acme/groups.yaml", "[{user: cyd@example.com}]", "[{user: dan@example.com}]")
    requests: list[Seen] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        requests.append(seen)
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        [plan] = work.run("plan", "--format", "json").lines
        requests.clear()
        ended = work.run("apply", "--yes", "--allow", "membership-share")
    assert ended.code == 0, ended.out + ended.err
    kinds = {change["precondition"]["kind"] for change in plan["changes"]}
    assert kinds == ({"version"} if versions else {"compare"})
    writes = [(number, seen) for number, seen in enumerate(requests) if seen.method != "GET"]
    assert writes
    for number, seen in writes:
        inside = json.loads(seen.body)["Operations"] if seen.path.endswith("/Bulk") else []
        if versions and inside:
            assert all(operation["version"] for operation in inside)
        elif versions:
            assert seen.headers["if-match"]
        else:
            read = {line.path.partition("?")[0] for line in requests[:number] if line.method == "GET"}
            paths = [operation["path"] for operation in inside] or [seen.path.partition("/scim/v2")[2]]
            assert all(f"/scim/v2{path.partition('?')[0]}" in read for path in paths)


def test_p4_absence_is_never_inferred_from_an_incomplete_read(acme: Workplace, sandbox: Service) -> None:
    """SPEC P4: of four people the lists show two, and look-ups find nobody. Refused, and nothing but reads is sent."""

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if "/Users?" not in seen.path:
            return answer
        assert isinstance(answer.body, bytes)
        document: dict[str, Any] = json.loads(answer.body)
        if "filter=" in seen.path:
            return Answer(body={**document, "totalResults": 0, "Resources": []})
        shown = [row for row in document["Resources"] if row["externalId"] in {"p-1", "p-2"}]
        return Answer(body={**document, "Resources": shown})

    before = sandbox.all("Users")
    with interposed(sandbox.origin, hook) as (hop, origin):
        acme.tenant(f"{origin}/scim/v2", removal={"users": "delete"})
        ended = acme.run("apply", "--yes")
        assert {seen.method for seen in hop.seen} == {"GET"}
    assert ended.code == 4, ended.out + ended.err
    assert "incomplete-inventory" in ended.out
    assert acme.run("apply", "--yes", "--allow", "incomplete-inventory").code == 64
    assert sandbox.all("Users") == before


def test_p5_a_retry_never_does_a_thing_twice(work: Workplace, start_sandbox: StartSandbox) -> None:
    """SPEC P5: the answer to every create is lost. Each is sent once, and found by reading."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    sent: Counter[str] = Counter()

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "POST":
            return pass_on()
        body = json.loads(seen.body)
        sent[body.get("userName") or body["displayName"]] += 1
        pass_on()
        return DROP

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert len(sent) == 6
    assert set(sent.values()) == {1}
    assert len(service.all("Users")) == 4
    assert len(service.all("Groups")) == 2


def test_p6_every_change_ends_in_exactly_one_outcome(work: Workplace, start_sandbox: StartSandbox) -> None:
    """SPEC P6: applied, conflict, failed and unknown in one run, each told once, and none of them guessed."""
    service = start_sandbox(supports_bulk=False)
    _settled(work, service)
    for name in ("ann", "bob", "dan"):
        _promote(work, name, "Lead")
    work.edit("acme/people.yaml", "title: Coach", "title: Lead")
    work.write("acme/new.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\ngroups: [Sales]\n")
    ids = {user["id"]: name.partition("@")[0] for name, user in service.all("Users").items()}
    lost: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        who = ids.get(seen.path.partition("?")[0].rpartition("/")[2])
        if lost and seen.method == "GET":
            return Answer(503)
        if seen.method == "PATCH" and who == "ann":
            return Answer(403, {"status": "403", "detail": "not her"})
        if seen.method == "PATCH" and who == "dan":
            lost.append(who)
            pass_on()
            return DROP
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        [plan] = work.run("plan", "--format", "json").lines
        path = work.folder / "plan.json"
        work.run("plan", "--out", path)
        service.replace("Users", "bob@example.com", "title", "Director")
        ended = work.run("apply", "--plan", path, "--expect-seal", json.loads(path.read_text())["seal"])
    assert ended.code == 6, ended.out + ended.err
    outcomes = [(item["key"], item["outcome"]) for item in work.receipts()[-1]["outcomes"]]
    assert sorted(key for key, _ in outcomes) == sorted(change["key"] for change in plan["changes"])
    told = dict(outcomes)
    assert told["User/ann@example.com"] == "failed"
    assert told["User/bob@example.com"] == "conflict"
    assert told["User/dan@example.com"] == "unknown"
    assert {key for key, outcome in outcomes if outcome == "applied"} == {
        "User/cyd@example.com",
        "User/eve@example.com",
        "Group/Sales",
    }
    assert _titles(service) == {"ann": "Agent", "bob": "Director", "cyd": "Lead", "dan": "Lead", "eve": ""}
    assert service.member_names("Sales") == {"cyd@example.com", "eve@example.com"}


def test_p7_a_killed_apply_reruns_to_the_same_end(work: Workplace, start_sandbox: StartSandbox) -> None:
    """SPEC P7: killed outright in the middle of a write; nobody is there twice and nothing is lost."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    writes: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        writes.extend([seen.path] if seen.method != "GET" else [])
        answer = pass_on()
        if len(writes) == 3 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        return answer

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        process = work.start("apply", "--yes")
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(service.all("Users")) == 3
    work.tenant(service.base_url)
    work.converge()
    assert set(_titles(service)) == {"ann", "bob", "cyd", "dan"}
    assert service.member_names("Support") == {"ann@example.com", "bob@example.com"}
    assert work.run("plan", "--detailed-exitcode").code == 0


@BULK
def test_p8_success_is_proven(work: Workplace, start_sandbox: StartSandbox, bulk: bool) -> None:
    """SPEC P8: the service says 200 to everything, and somebody undoes one of two before the run reads again."""
    service = start_sandbox(supports_bulk=bulk)
    _settled(work, service)
    _promote(work, "bob", "Lead")
    _promote(work, "dan", "Lead")
    written: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method != "GET":
            written.append(seen.path)
        elif written and _titles(service)["bob"] == "Lead":
            service.replace("Users", "bob@example.com", "title", "Agent")
        return pass_on()

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        ended = work.run("apply", "--yes")
    assert ended.code == 6, ended.out + ended.err
    assert not work.receipts()[-1]["complete"]
    [residual] = work.receipts()[-1]["residual"]
    assert (residual["key"], residual["path"], residual["found"]) == ("User/bob@example.com", "title", "Agent")


@pytest.mark.parametrize("patch", [True, False], ids=["patch", "put"])
def test_p9_unstated_means_unmanaged(work: Workplace, start_sandbox: StartSandbox, patch: bool) -> None:
    """SPEC P9: attributes and resources that git never declared keep their values across a write."""
    service = start_sandbox(supports_patch=patch)
    _settled(work, service)
    service.replace("Users", "bob@example.com", "nickName", "Bobby")
    service.replace("Groups", "Sales", "externalId", "g-2")
    service.create("Users", userName="stranger@example.com", title="Visitor", active=True)
    stranger = service.all("Users")["stranger@example.com"]
    _promote(work, "bob", "Lead")
    work.converge()
    users = service.all("Users")
    assert (users["bob@example.com"]["title"], users["bob@example.com"]["nickName"]) == ("Lead", "Bobby")
    assert users["bob@example.com"]["name"] == {"givenName": "Bob", "familyName": "Ray"}
    assert users["stranger@example.com"] == stranger


def test_p10_guards_are_on_and_overridden_one_at_a_time(acme: Workplace, sandbox: Service) -> None:
    """SPEC P10: by default, by name, up to a number; allowing one allows no other."""
    for number in (1, 2):
        acme.edit("acme/people.yaml", f"externalId: p-{number}, ", f"externalId: p-{number}, active: false, ")
    both = ("--allow", "removal-share=2", "--allow", "membership-share")
    for options in ((), both[:2], both[2:], ("--allow", "removal-share=1", *both[2:])):
        ended = acme.run("apply", "--yes", *options)
        assert ended.code == 4, ended.out + ended.err
    refused = acme.run("apply", "--yes").out
    assert "removal-share" in refused
    assert "membership-share" in refused
    assert all(user["active"] for user in sandbox.all("Users").values())
    assert acme.run("apply", "--yes", *both).code == 0
    assert [user["active"] for user in sandbox.all("Users").values()].count(False) == 2


def test_p11_secrets_stay_put(acme: Workplace, sandbox: Service) -> None:
    """SPEC P11: not printed, not written, not sent to another host; a literal one in YAML is not accepted."""
    _promote(acme, "bob", "Lead")
    ended = [acme.run("plan", "--format", "json"), acme.run("apply", "--yes", "--log-format", "json")]
    said = "".join(each.out + each.err for each in ended)
    kept = "".join(path.read_text(errors="replace") for path in acme.folder.rglob("*") if path.is_file())
    assert TOKEN not in said + kept
    with interposed("http://127.0.0.1:9") as (elsewhere, _):
        acme.tenant("https://elsewhere.invalid/scim/v2")
        assert acme.run("plan").code == 1
        assert elsewhere.seen == []
    acme.tenant(sandbox.base_url, auth={"type": "bearer", "token": "literal-s3cret"})
    literal = acme.run("plan")
    assert literal.code == 3
    assert "literal-s3cret" not in literal.out + literal.err


def test_p12_the_same_input_gives_the_same_plan(work: Workplace, sandbox: Service) -> None:
    """SPEC P12: byte-identical digests whatever the order of files, lists and pages."""
    work.organisation(sandbox.base_url, limits={"requestsPerMinute": 60000, "pageSize": 1})
    digests = [work.run("plan", "--format", "json").lines[0]["digest"]]
    folder = work.root / "acme"
    lines = (folder / "people.yaml").read_text(encoding="utf-8").splitlines()
    work.write("acme/a/zzz.yaml", "\n".join([*lines[:3], *reversed(lines[3:])]) + "\n")
    (folder / "people.yaml").unlink()
    (folder / "groups.yaml").rename(folder / "0.yaml")
    work.edit(
        "acme/0.yaml",
        "[{user: ann@example.com}, {user: bob@example.com}]",
        "[{user: bob@example.com}, {user: ann@example.com}]",
    )
    work.tenant(sandbox.base_url, limits={"requestsPerMinute": 60000, "pageSize": 100, "parallelReads": 1})
    digests.append(work.run("plan", "--format", "json").lines[0]["digest"])
    assert digests[0] == digests[1]
    work.edit("acme/0.yaml", ", {user: ann@example.com}", "")
    assert work.run("plan", "--format", "json").lines[0]["digest"] != digests[0]


def test_p13_what_git_granted_git_takes_back(work: Workplace, sandbox: Service) -> None:
    """SPEC P13: what a run applied, and what a run applied that failed elsewhere: account, role, memberships.

    Who and what git never declared stays.
    """
    limits = {name: {"percent": 100} for name in ("removal-share", "access-loss", "membership-share")}
    work.organisation(sandbox.base_url, guards=limits)
    work.edit("acme/groups.yaml", "g-2, members:", "g-2, membership: additive, members:")
    before = {path: path.read_text(encoding="utf-8") for path in (work.root / "acme").iterdir()}
    eve = work.write("acme/eve.yaml", "kind: User\nuserName: eve@example.com\nexternalId: p-5\ngroups: [Support]\n")
    desk = under_version_control(work)
    desk.apply("--first-run")
    assert "eve@example.com" in sandbox.member_names("Support")
    sandbox.create("Users", userName="stranger@example.com", active=True)
    stranger = sandbox.all("Users")["stranger@example.com"]

    work.edit("acme/people.yaml", "title: Coach", "title: Coach, roles: [{value: Lead}]")
    work.edit("acme/groups.yaml", "{user: cyd@example.com}]", "{user: cyd@example.com}, {user: dan@example.com}]")
    _promote(work, "dan", "Lead")
    desk.commit("grant")
    broken = {"match": {"method": "POST", "path": "/scim/v2/Bulk", "nth": 1}, "fault": "partial-bulk"}
    faults = [{**broken, "args": {"operations": 1, "status": 400}}]
    status, _ = call(f"{sandbox.origin}/_sandbox/faults", "PUT", faults, {"Authorization": f"Bearer {ADMIN}"})
    assert status == 200
    assert work.run("apply", "--yes").code == 6
    assert work.outcomes()["User/dan@example.com"] == "failed"
    assert sandbox.all("Users")["cyd@example.com"]["roles"] == [{"value": "Lead"}]
    assert "dan@example.com" in sandbox.member_names("Sales")

    for path, text in before.items():
        path.write_text(text, encoding="utf-8")
    eve.unlink()
    desk.commit("take back")
    desk.apply()
    users = sandbox.all("Users")
    assert users["eve@example.com"]["active"] is False
    assert not users["cyd@example.com"].get("roles")
    assert sandbox.member_names("Sales") == {"cyd@example.com"}
    assert sandbox.member_names("Support") == {"ann@example.com", "bob@example.com"}
    assert users["stranger@example.com"] == stranger
    assert work.run("plan", "--detailed-exitcode").code == 0
