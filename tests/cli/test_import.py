"""`reconciler import`: what it writes and says, and what it refuses before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ConfigurationError
from reconciler.reconcile.importing import _publish
from tests.cli.workplace import Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen

StartSandbox = Callable[..., Service]


@pytest.fixture
def live(acme: Workplace, sandbox: Service) -> Workplace:
    """The small organisation is live; the folder holds nothing but tenant.yaml."""
    for name in ("people.yaml", "groups.yaml"):
        (acme.root / "acme" / name).unlink()
    acme.tenant(sandbox.base_url)
    return acme


def yaml_files(work: Workplace) -> dict[str, str]:
    """Every YAML file of the tenant but tenant.yaml, by its name in the tenant's folder."""
    folder = work.root / "acme"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "tenant.yaml"
    }


def test_an_import_says_what_it_wrote_and_what_comes_next(live: Workplace, sandbox: Service) -> None:
    """Summary on stdout, progress on stderr; nothing but reads reaches the tenant (SPEC P1)."""
    asked = sandbox.count
    ended = live.run("import", "acme", "--root", live.root)
    assert ended.code == 0, ended.err
    folder = live.root / "acme"
    assert ended.out.splitlines() == [
        "acme: 4 users and 2 groups in 6 files",
        f"  {folder / 'users'}: 4 files",
        f"  {folder / 'groups'}: 2 files",
        "Proven: these files are valid, and planning them changes nothing.",
        f"Next: git add {folder}, then reconciler plan acme --root {live.root}",
    ]
    assert "reading the tenant: 4 users, 2 groups" in ended.err
    assert {entry["method"] for entry in sandbox.log[asked:]} == {"GET"}
    files = yaml_files(live)
    assert list(files) == [
        *("groups/sales.yaml", "groups/support.yaml"),
        *(f"users/{letter}.yaml" for letter in "abcd"),
    ]
    assert files["groups/support.yaml"] == (
        f"# Imported from {sandbox.base_url} by `reconciler import`. From now on it is yours: edit it.\n"
        "kind: Group\ndisplayName: Support\nexternalId: g-1\n"
        "members:\n  - user: ann@example.com\n  - user: bob@example.com\n"
    )
    assert live.run("plan", "acme", "--detailed-exitcode").code == 0


def test_importing_twice_elsewhere_gives_the_same_bytes(live: Workplace, sandbox: Service) -> None:
    """SPEC P12: no time stamp, no chance; a second import shows in a diff what has changed in the tenant."""
    live.run("import", "acme")
    first = yaml_files(live)
    other = Workplace(live.folder / "other", live.monkeypatch)
    other.tenant(sandbox.base_url)
    assert other.run("import", "acme").code == 0
    assert yaml_files(other) == first


@pytest.mark.parametrize("root", ["desired-state", "not-there-yet"])
def test_without_a_tenant_file_one_is_shown_that_works(work: Workplace, root: str) -> None:
    """The first command of somebody new: what to write is in the message, and it is valid as it stands."""
    if root == "desired-state":
        work.tenant("http://127.0.0.1:1/scim/v2", "other")
    ended = work.run("import", "acme", "--root", work.folder / root)
    assert ended.code == 64
    lines = ended.err.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == "kind: Tenant")
    end = next(number for number, line in enumerate(lines) if line.startswith("hint: "))
    work.write("acme/tenant.yaml", "\n".join(line.removeprefix("    ") for line in lines[start:end]))
    validated = work.run("validate", "acme")
    assert validated.code == 0, validated.out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("team/people.yaml", "kind: User\nuserName: eve@example.com\n"),
        ("provider.yaml", "kind: ServiceProviderConfig\nproductName: x\n"),
        ("users/notes.txt", "mine"),
        ("groups/.hidden", "mine"),
    ],
)
def test_what_is_there_is_never_overwritten(live: Workplace, name: str, text: str) -> None:
    """Documents, or anything at all under the names that an import would use; nothing is asked of the tenant."""
    live.write(f"acme/{name}", text)
    before = yaml_files(live)
    ended = live.run("import", "acme")
    assert ended.code == 1
    assert "has documents already, and import overwrites nothing" in ended.err
    assert f"acme/{name.partition('/')[0]}" in ended.err
    assert "reconciler import acme --root NEW" in ended.err
    assert yaml_files(live) == before


def test_a_policy_and_empty_folders_are_not_in_the_way(live: Workplace) -> None:
    """A policy declares nobody; `mkdir users` is what a careful person does first."""
    live.write("acme/policy.yaml", "kind: Policy\nexclusive: [{name: x, roles: [A, B]}]\n")
    (live.root / "acme" / "users").mkdir()
    assert live.run("import", "acme").code == 0
    assert live.run("plan", "acme", "--detailed-exitcode").code == 0


def test_a_policy_that_live_violates_stops_the_import(live: Workplace, sandbox: Service) -> None:
    """Files that are not valid are never written (SPEC section 3)."""
    sandbox.create("Users", userName="eve@example.com", roles=[{"value": "Maker"}, {"value": "Checker"}])
    live.write("acme/policy.yaml", "kind: Policy\nexclusive: [{name: four-eyes, roles: [Maker, Checker]}]\n")
    before = yaml_files(live)
    ended = live.run("import", "acme")
    assert ended.code == 1
    assert "V514: eve@example.com would hold role Maker and role Checker" in ended.err
    assert yaml_files(live) == before


def test_documents_that_are_included_are_not_declared_again(live: Workplace, sandbox: Service) -> None:
    """A shared folder declares Ann, under the name she is to have; members are still named as git names them."""
    live.write("_shared/admins/ann.yaml", "kind: User\nuserName: ann.lee@example.com\nexternalId: p-1\n")
    live.tenant(sandbox.base_url, include=["../_shared/admins"])
    ended = live.run("import", "acme")
    assert ended.code == 0, ended.err
    assert "left out: 1 declared already" in ended.out
    assert "Documents that were there before ask for 1 change." in ended.out
    files = yaml_files(live)
    assert "users/a.yaml" not in files
    assert "  - user: ann.lee@example.com\n" in files["groups/support.yaml"]
    [plan] = live.run("plan", "acme", "--format", "json").lines
    assert [(change["key"], change["action"]) for change in plan["changes"]] == [("User/ann.lee@example.com", "update")]


def test_a_short_read_is_refused(live: Workplace, sandbox: Service) -> None:
    """SPEC P4, incident awslabs/ssosync #194: whom a read misses would be missing in git."""

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        answer = pass_on()
        if "/Users?" not in seen.path:
            return answer
        assert isinstance(answer.body, bytes)
        document = json.loads(answer.body)
        return Answer(body={**document, "totalResults": 5})

    with interposed(sandbox.origin, hook) as (_, origin):
        live.tenant(f"{origin}/scim/v2")
        ended = live.run("import", "acme")
    assert ended.code == 4
    assert "refused by incomplete-inventory" in ended.err
    assert "users: " in ended.err
    assert yaml_files(live) == {}


def test_where_git_owns_everybody_nobody_may_be_left_out(live: Workplace, sandbox: Service) -> None:
    """Who is not declared would be taken for somebody who left (SPEC section 4, ownership)."""
    sandbox.create("Users", userName="eve\x07@example.com")
    live.tenant(sandbox.base_url, ownership={"users": "all"})
    ended = live.run("import", "acme")
    assert ended.code == 1
    assert "1 resource cannot be declared, and tenant.yaml says that git declares all users" in ended.err
    assert yaml_files(live) == {}
    live.tenant(sandbox.base_url, ownership={"users": "all", "unmanaged": ["eve*"]})
    assert live.run("import", "acme").code == 0
    assert live.run("plan", "acme", "--detailed-exitcode").code == 0


def test_groups_alone_need_people_from_elsewhere_where_git_owns_everybody(live: Workplace, sandbox: Service) -> None:
    """Every member would be an unknown name."""
    live.tenant(sandbox.base_url, ownership={"users": "all"})
    ended = live.run("import", "acme", "--groups-only")
    assert ended.code == 1
    assert "write `people: external`" in ended.err
    assert yaml_files(live) == {}


def test_groups_alone_come_with_advice_where_git_manages_people(live: Workplace) -> None:
    """Otherwise `validate` warns about every member, for ever."""
    ended = live.run("import", "acme", "--groups-only")
    assert ended.code == 0
    assert "  note: write `people: external` in tenant.yaml where people come from elsewhere" in ended.out
    assert live.run("plan", "acme", "--detailed-exitcode").code == 0


def test_what_is_left_out_is_told_with_its_reason(live: Workplace, sandbox: Service) -> None:
    """In lines for people, cut off where a whole tenant has the same oddity; as one event each for programs."""
    for number in range(12):
        sandbox.create("Users", userName=f"eve\x07{number}@example.com")
    ended = live.run("import", "acme")
    assert ended.code == 0
    assert "left out (12): text of the wrong form (V207)\n" in ended.err
    assert "  User/eve\\x073@example.com\n" in ended.err
    assert "  ... and 2 more; --log-format json lists all" in ended.err
    assert "left out: 12 things that git cannot declare, told above" in ended.out
    other = Workplace(live.folder / "other", live.monkeypatch)
    other.tenant(sandbox.base_url)
    events = [event for event in other.run("import", "acme", "--log-format", "json").events if "key" in event]
    assert len(events) == 12
    assert {(event["event"], event["code"], event["severity"]) for event in events} == {
        ("diagnostic", "left-out", "warning")
    }


def test_an_empty_tenant_gives_no_files(work: Workplace, sandbox: Service) -> None:
    """Nothing to write is not an error, and is said."""
    work.tenant(sandbox.base_url)
    ended = work.run("import", "acme")
    assert (ended.code, ended.out) == (0, "acme: 0 users and 0 groups in 0 files\nNothing was written.\n")
    assert yaml_files(work) == {}


def test_the_configuration_is_imported_where_it_is_asked_for(work: Workplace, start_sandbox: StartSandbox) -> None:
    """In the shape of CXone, and with `mode: assert`: nothing is written to the service until somebody says so."""
    service = start_sandbox(profile="cxone")
    work.tenant(service.base_url, profile="cxone")
    assert work.run("import", "acme").code == 0
    assert yaml_files(work) == {}
    ended = work.run("import", "acme", "--configuration")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[1] == f"  {work.root / 'acme' / 'service-provider-config.yaml'}"
    text = yaml_files(work)["service-provider-config.yaml"]
    assert "mode: assert\n" in text
    assert "bulkConfig: {supported: true" in text
    plan = work.run("plan", "acme")
    assert plan.code == 0
    assert "configuration " not in plan.out


def test_all_files_are_moved_into_place_or_none(tmp_path: Path) -> None:
    """Somebody else writes `groups` between the look and the move: it stays, and `users` is taken back."""
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "mine.yaml").write_text("mine")
    with pytest.raises(ConfigurationError, match="cannot write into"):
        _publish(tmp_path, {"users/a.yaml": b"a", "groups/b.yaml": b"b", "service-provider-config.yaml": b"c"})
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "groups",
        "groups/mine.yaml",
    ]
    (tmp_path / "service-provider-config.yaml").write_text("mine")
    with pytest.raises(ConfigurationError, match="cannot write into"):
        _publish(tmp_path, {"users/a.yaml": b"a", "service-provider-config.yaml": b"c"})
    assert (tmp_path / "service-provider-config.yaml").read_text() == "mine"
    assert not (tmp_path / "users").exists()


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    """Never a traceback."""
    with pytest.raises(ConfigurationError, match="cannot write into gone"):
        _publish(tmp_path / "gone", {"users/a.yaml": b"a"})
