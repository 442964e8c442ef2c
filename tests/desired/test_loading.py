"""A tenant's folder from disk: what is found, read, and made of it. What can be wrong is tested in tests/malformed."""

from __future__ import annotations

import os
import random
import tempfile
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired.files import read_text
from reconciler.desired.parser import check_root, list_tenants, load_desired_state
from reconciler.model.diagnostic import Severity, Source
from reconciler.model.resource import ConfigurationMode
from reconciler.model.state import Exclusive

TENANT = """\
kind: Tenant
name: acme
profile: {profile}
scim: {{baseUrl: "https://scim.example.com/v2"}}
auth: {{type: bearer, token: "${{env:SCIM_TOKEN}}"}}
{more}
"""


def write(root: Path, name: str, text: str) -> None:
    """One file of a root, with the folders it needs."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def acme(root: Path, *, profile: str = "rfc7644", more: str = "", **documents: str) -> Path:
    """A root with the tenant acme and some files named by keyword."""
    write(root, "acme/tenant.yaml", TENANT.format(profile=profile, more=more))
    for name, text in documents.items():
        write(root, f"acme/{name}.yaml", text)
    return root


def test_any_layout_gives_the_same_state(tmp_path: Path) -> None:
    """SPEC P12: one file or many, flat or deep, in any order, with either extension."""
    users = [f"kind: User\nuserName: user{number}@example.com\ngroups: [B, A]\n" for number in range(9)]
    groups = ["kind: Group\ndisplayName: A\n", "kind: Group\ndisplayName: B\n"]
    one = acme(tmp_path / "one", all="---\n".join(users + groups))
    shuffled = [*users, *groups]
    random.Random(7).shuffle(shuffled)
    many = acme(tmp_path / "many")
    for number, text in enumerate(shuffled):
        write(many, f"acme/{'deep/er/' * (number % 3)}{number}.{'yml' if number % 2 else 'YAML'}", text)
    states = []
    for root in (one, many):
        loaded = load_desired_state(root, "acme")
        assert loaded.diagnostics == ()
        assert loaded.desired is not None
        states.append(loaded.desired)
    assert [user.body for user in states[0].users] == [user.body for user in states[1].users]
    assert [user.user_name for user in states[1].users] == sorted(user.user_name for user in states[1].users)
    assert [group.display_name for group in states[1].groups] == ["A", "B"]


def test_sources_name_file_and_line_of_each_item(tmp_path: Path) -> None:
    """A reviewer finds the lines behind a change: file relative to the root, line of the item."""
    users = "# people\nkind: Users\nitems:\n  - userName: ann\n    title: x\n\n  # next\n  - {userName: bob}\n"
    text = f"{users}---\n\nkind: User\nuserName: cyd\n"
    loaded = load_desired_state(acme(tmp_path, people=text), "acme")
    assert loaded.desired is not None
    assert [user.source for user in loaded.desired.users] == [Source("acme/people.yaml", line) for line in (4, 8, 11)]
    assert (loaded.files, loaded.documents) == (2, 3)


def test_what_is_no_yaml_or_hidden_is_passed_over(tmp_path: Path) -> None:
    """Notes, editors' droppings and folders of tools are no desired state."""
    root = acme(tmp_path)
    for name in ("README.md", ".#users.yaml", ".git/config.yaml", "users.yaml~", "data.json"):
        write(root, f"acme/{name}", "]")
    loaded = load_desired_state(root, "acme")
    assert loaded.diagnostics == ()
    assert loaded.files == 1


def test_an_include_brings_in_a_shared_folder(tmp_path: Path) -> None:
    """Everything below it, once, with names relative to the root."""
    root = acme(tmp_path, more="include: [../_shared/admins]")
    write(root, "_shared/admins/deep/a.yaml", "kind: User\nuserName: ann\n")
    write(root, "_shared/others/b.yaml", "kind: User\nuserName: bob\n")
    loaded = load_desired_state(root, "acme")
    assert loaded.desired is not None
    assert [user.source.file for user in loaded.desired.users] == ["_shared/admins/deep/a.yaml"]
    assert check_root(root) == ()


def test_links_inside_the_root_are_followed_once(tmp_path: Path) -> None:
    """A file that is reached in two ways is one file; a loop of folders ends."""
    root = acme(tmp_path, users="kind: User\nuserName: ann\n")
    write(root, "_shared/x.yaml", "kind: User\nuserName: bob\n")
    (root / "acme" / "again.yaml").symlink_to("users.yaml")
    (root / "acme" / "shared").symlink_to("../_shared")
    (root / "acme" / "loop").symlink_to(".")
    loaded = load_desired_state(root, "acme")
    assert loaded.diagnostics == ()
    assert loaded.desired is not None
    assert [user.source.file for user in loaded.desired.users] == ["acme/users.yaml", "_shared/x.yaml"]


def test_the_mode_of_a_configuration_follows_the_profile(tmp_path: Path) -> None:
    """SPEC section 3: apply for profile cxone, assert otherwise, unless it is written."""
    for profile, written, mode in (
        ("cxone", "", ConfigurationMode.APPLY),
        ("rfc7644", "", ConfigurationMode.ASSERT),
        ("rfc7644", "mode: apply\n", ConfigurationMode.APPLY),
    ):
        text = f"kind: ServiceProviderConfig\n{written}productName: X\n"
        loaded = load_desired_state(acme(tmp_path / f"{profile}{written[:4]}", profile=profile, spc=text), "acme")
        assert loaded.desired is not None
        assert loaded.desired.configuration is not None
        assert loaded.desired.configuration.mode is mode
        assert loaded.desired.configuration.body == b'{"productName":"X"}'


def test_only_what_guards_a_plan_has_to_be_valid_where_documents_are_not_asked_for(tmp_path: Path) -> None:
    """`apply --plan` needs tenant.yaml and policies; a broken user must not stand in the way, a broken policy must."""
    policy = "kind: Policy\nexclusive: [{name: one, roles: [A, B]}]\n"
    root = acme(tmp_path, broken="kind: User\nuserName: [\n", wrong="kind: User\n", policy=policy)
    assert load_desired_state(root, "acme").desired is None
    loaded = load_desired_state(root, "acme", documents=False)
    assert loaded.errors == ()
    assert loaded.desired is not None
    assert loaded.desired.exclusives == (Exclusive(name="one", roles=("A", "B"), groups=()),)
    assert loaded.desired.users == ()
    write(root, "acme/policy.yaml", policy.replace("name", "nane"))
    assert load_desired_state(root, "acme", documents=False).desired is None
    write(root, "acme/policy.yaml", "kind: Policy\nexclusive: [\n")
    assert load_desired_state(root, "acme", documents=False).desired is None


def test_a_bad_tenant_is_no_tenant_and_its_documents_are_checked_all_the_same(tmp_path: Path) -> None:
    """Everything that is wrong is found in one run."""
    loaded = load_desired_state(acme(tmp_path, more="people: nobody", users="kind: User\n"), "acme")
    assert loaded.tenant is None
    assert loaded.desired is None
    assert [item.file for item in loaded.errors] == ["acme/tenant.yaml", "acme/users.yaml"]


def test_a_bad_document_leaves_the_tenant(tmp_path: Path) -> None:
    """Commands that need only the tenant go on."""
    loaded = load_desired_state(acme(tmp_path, users="kind: User\n"), "acme")
    assert loaded.tenant is not None
    assert loaded.desired is None


def test_a_name_in_an_invalid_document_is_not_reported_as_unknown(tmp_path: Path) -> None:
    """One mistake, one message: who refers to a user whose title is wrong makes no mistake."""
    text = "kind: User\nuserName: ann\ntitle: [x]\n---\nkind: Group\ndisplayName: A\nmembers: [{user: Ann}]\n"
    loaded = load_desired_state(acme(tmp_path, more="ownership: {users: all}", users=text), "acme")
    assert [(item.code, item.line) for item in loaded.diagnostics] == [("V205", 3)]


def test_names_are_not_reported_as_unknown_where_a_file_could_not_be_read(tmp_path: Path) -> None:
    """They may be in the part that was not read."""
    group = "kind: Group\ndisplayName: A\nmembers: [{user: ann}]\n"
    loaded = load_desired_state(acme(tmp_path, group=group, users="kind: User\nuserName: 'ann\n"), "acme")
    assert [item.code for item in loaded.diagnostics] == ["V106"]


@pytest.mark.parametrize("name", ["", ".", "..", "nobody", "_shared", ".git", "a/b", "../outside", "a\0b"])
def test_what_is_no_tenant_is_diagnosed(tmp_path: Path, name: str) -> None:
    """Whatever name is asked for: a diagnostic, no exception, nothing outside the root is looked at."""
    write(tmp_path, "outside/tenant.yaml", TENANT)
    loaded = load_desired_state(acme(tmp_path / "root"), name)
    assert [item.code for item in loaded.diagnostics] == ["V405"]
    assert loaded.tenant is None


def test_a_root_that_is_not_there_is_diagnosed(tmp_path: Path) -> None:
    """For one tenant and for all of them."""
    missing = tmp_path / "missing"
    assert [item.code for item in load_desired_state(missing, "acme").diagnostics] == ["V411"]
    assert [item.code for item in check_root(missing)] == ["V411"]
    assert list_tenants(missing) == ()


def test_tenants_are_the_folders_with_a_tenant_file(tmp_path: Path) -> None:
    """Sorted; folders for sharing and hidden ones are none."""
    for name in ("beta", "alpha", "_shared", ".hidden"):
        write(tmp_path, f"{name}/tenant.yaml", "")
    (tmp_path / "empty").mkdir()
    assert list_tenants(tmp_path) == ("alpha", "beta")


def test_what_cannot_be_opened_is_diagnosed(tmp_path: Path) -> None:
    """A file that vanished, or that one may not read: V100, with the reason the system gives."""
    _, fault = read_text(os.fspath(tmp_path / "gone.yaml"))
    assert fault is not None
    assert (fault.code, fault.message) == ("V100", "cannot be read: no such file or directory")
    _, fault = read_text(os.fspath(tmp_path))
    assert fault is not None
    assert fault.code == "V101"


@given(st.binary(max_size=400) | st.text("kind: UserGroTnai\n-[]{}\"'&*!?|>,#%@`\tяé\0", max_size=400).map(str.encode))
@settings(max_examples=150)
def test_no_file_makes_loading_raise(data: bytes) -> None:
    """Whatever bytes are in a file: errors with a place in the file, or a state."""
    with tempfile.TemporaryDirectory() as folder:
        root = acme(Path(folder))
        (root / "acme" / "x.yaml").write_bytes(data)
        loaded = load_desired_state(root, "acme")
        assert (loaded.desired is None) == bool(loaded.errors)
        assert all(item.line for item in loaded.errors)


@given(st.data())
@settings(max_examples=60)
def test_no_tenant_file_makes_loading_raise(data: st.DataObject) -> None:
    """The same for tenant.yaml, made of its own words in the wrong places."""
    words = st.sampled_from(
        [
            "kind",
            "Tenant",
            "name",
            "acme",
            "scim",
            "baseUrl",
            "auth",
            "type",
            "guards",
            "protected",
            "include",
            "removal",
        ]
    )
    values = st.recursive(
        words | st.none() | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner),
        max_leaves=8,
    )
    document = {"kind": "Tenant", **data.draw(st.dictionaries(words, values))}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), "acme/tenant.yaml", str(document).replace("None", "null"))
        loaded = load_desired_state(Path(folder), "acme")
        assert loaded.tenant is None
        assert loaded.errors
        check_root(Path(folder))


def test_the_sample_tenant_is_without_blemish() -> None:
    """desired-state/ is what people copy from: no error, no warning, and the size the documentation promises."""
    root = Path(str(files("reconciler"))).parent / "desired-state"
    assert check_root(root) == ()
    (name,) = list_tenants(root)
    loaded = load_desired_state(root, name)
    assert loaded.diagnostics == ()
    assert loaded.desired is not None
    assert (len(loaded.desired.users), len(loaded.desired.groups)) == (60, 12)
    assert loaded.desired.configuration is not None
    assert loaded.desired.exclusives
    assert loaded.tenant is not None


def test_hundreds_of_warnings_are_all_there(tmp_path: Path) -> None:
    """Every problem of every file in one run, however many."""
    members = ", ".join(f"{{user: nobody{number}}}" for number in range(500))
    loaded = load_desired_state(acme(tmp_path, group=f"kind: Group\ndisplayName: A\nmembers: [{members}]\n"), "acme")
    assert len(loaded.diagnostics) == 500
    assert {item.severity for item in loaded.diagnostics} == {Severity.WARNING}
    assert loaded.desired is not None


def test_a_file_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    """Names on disk are bytes; a diagnostic about such a file can be printed."""
    root = acme(tmp_path)
    Path(os.fsdecode(os.fsencode(root) + b"/acme/\xff.yaml")).write_text("kind: Usr\n", encoding="utf-8")
    (item,) = load_desired_state(root, "acme").diagnostics
    assert item.file == "acme/\N{REPLACEMENT CHARACTER}.yaml"
    assert item.excerpt == "kind: Usr"


def test_a_tenant_file_that_leads_out_of_the_root_is_not_read(tmp_path: Path) -> None:
    """Neither by loading the tenant nor by comparing it with others."""
    write(tmp_path, "outside/tenant.yaml", TENANT.format(profile="rfc7644", more=""))
    root = acme(tmp_path / "root")
    (root / "beta").mkdir()
    (root / "beta" / "tenant.yaml").symlink_to("../../outside/tenant.yaml")
    (root / "gamma").symlink_to("../outside")
    assert check_root(root) == ()
    for name, file in (("beta", "beta/tenant.yaml"), ("gamma", "gamma")):
        loaded = load_desired_state(root, name)
        assert [(item.code, item.file) for item in loaded.errors if item.code != "V405"] == [("V116", file)]
        assert loaded.tenant is None
