"""Values that nobody sane would choose, through the whole chain (INCIDENTS: attribute values rendered unescaped)."""

from __future__ import annotations

import json
import re

import pytest
from markdown_it import MarkdownIt

from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.scripted_service import Answer, scripted

HOSTILE = {
    "quotes": 'O\'Brien "Bob" `x` \\ end',
    "emoji": "Zoë 👩‍👩‍👧 🇨🇭 ﷽",
    "markup": "<img src=x onerror=alert(1)> &amp; <!-- --> [a](javascript:b) | **b** _c_ ~d~ # e",
    "newlines": "one\ntwo\r\nthree\u2028four\u2029five\x85six",
    "bidi": "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "escapes": "\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m",
    "nul-and-friends": "a\x00b\x07c\x08d\x7fe",
    "template": "{{ 7*7 }} {% raw %} ${env:SCIM_TOKEN} %s {0}",
    "commands": "::error::owned\n::set-output name=x::y",
    "fence": "```\n~~~\n</details>\n| --- |",
    "long": "x" * 3000,
    "surrogate-pair": "\U0001f600" * 5,
    "combining": "é" + "\u0301" * 20,
    "mention": "@everyone #1 https://evil.example/x",
    "blank": "   \t ",
}
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _check_printed(text: str) -> None:
    found = DANGEROUS.search(text)
    assert found is None, f"{found.group()!r} is printed as it is: {text[max(0, found.start() - 60) : found.end()]!r}"


@pytest.mark.parametrize("features", [{}, {"supports_bulk": False}, {"supports_patch": False}], ids=str)
def test_hostile_values_in_git_reach_the_tenant_as_they_are(
    work: Workplace, start_sandbox: StartSandbox, features: dict[str, bool]
) -> None:
    """What git says is what is there, and a new plan finds no difference."""
    service = start_sandbox(**features)
    work.tenant(service.base_url)
    usable = {name: value for name, value in HOSTILE.items() if not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", value)}
    users = [
        {"userName": f"{name}@example.com", "externalId": f"<{name}>", "displayName": value, "title": value}
        for name, value in usable.items()
    ]
    groups = [
        {"displayName": value, "externalId": name, "members": [{"user": f"{name}@example.com"}]}
        for name, value in usable.items()
        if value.strip() and len(value) < 200 and "\n" not in value
    ]
    work.write("acme/users.yaml", json.dumps({"kind": "Users", "items": users}, ensure_ascii=False))
    work.write("acme/groups.yaml", json.dumps({"kind": "Groups", "items": groups}, ensure_ascii=False))
    planned = [work.run("plan", "--format", format_) for format_ in ("text", "markdown", "html", "json")]
    assert [ended.code for ended in planned] == [0, 0, 0, 0], planned[0].err
    for ended in planned:
        _check_printed(ended.out + ended.err)
    work.converge()
    live = service.all("Users")
    assert {name: live[f"{name}@example.com"]["title"] for name in usable} == usable
    assert work.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("format_", ["text", "markdown", "html", "json"])
def test_hostile_values_in_the_tenant_are_shown_harmless(work: Workplace, sandbox: Service, format_: str) -> None:
    """INCIDENTS "Attribute values rendered unescaped": octodns plan renderers.

    Somebody with rights in the tenant must not be able to write into the reviewer's terminal or comment.
    """
    work.tenant(sandbox.base_url)
    users, groups = [], []
    for number, (name, value) in enumerate(HOSTILE.items()):
        user = sandbox.create("Users", userName=f"{name}@example.com", externalId=name, title=value, displayName=value)
        users.append({"userName": f"{name}@example.com", "externalId": name, "title": "Agent"})
        live_name = f"{number} {value}"[:900]
        sandbox.create("Groups", displayName=live_name, externalId=f"g-{name}", members=[{"value": user["id"]}])
        groups.append({"displayName": f"team-{number}", "externalId": f"g-{name}", "members": []})
    sandbox.create("Users", userName="\x1b[31mstranger\u202e@example.com", externalId="x-1")
    stranger = sandbox.all("Users")["\x1b[31mstranger\u202e@example.com"]
    sandbox.patch(
        "Groups", f"0 {HOSTILE['quotes']}", {"op": "add", "path": "members", "value": [{"value": stranger["id"]}]}
    )
    work.write("acme/users.yaml", json.dumps({"kind": "Users", "items": users}))
    work.write("acme/groups.yaml", json.dumps({"kind": "Groups", "items": groups}))
    path = work.folder / "plan.json"
    allow = [
        f"--allow={guard}"
        for guard in ("access-loss", "membership-share", "protected", "update-share", "minimum-members")
    ]
    ended = work.run("plan", "--out", path, "--format", format_, *allow)
    assert ended.code == 0, ended.out + ended.err
    shown = work.run("show", path, "--format", format_)
    applied = work.run("apply", "--yes", "--format", format_, *allow)
    assert applied.code == 0, applied.out + applied.err
    for each in (ended, shown, applied):
        _check_printed(each.out)
        _check_printed(each.err)
        if format_ == "markdown":
            html = MarkdownIt("gfm-like", {"linkify": False}).render(each.out)
            assert not re.search(r"<(img|script|input)|javascript:[^&]*\"|onerror=\S+ [^&]*>", html)
            assert "<a " not in html
    assert work.run("plan", "--detailed-exitcode").code == 0


def test_hostile_errors_of_the_service_are_shown_harmless(work: Workplace) -> None:
    """An error page is text like any other."""
    page = "\x1b[2J\u202e<script>::error::owned\n::stop-commands::x\x07".encode()
    with scripted([Answer(400, page)]) as (_, origin):
        work.organisation(f"{origin}/scim/v2")
        for log_format in ("text", "json"):
            ended = work.run("plan", "--log-format", log_format)
            assert ended.code == 1
            _check_printed(ended.err)
            assert not any(line.startswith("::") for line in ended.err.splitlines())


@pytest.mark.parametrize("name", ["\x1b[31m", "a\nb", "\u202ex", "../../etc", "a/b", "", "-x", "--yes"])
def test_hostile_arguments_are_usage_errors(acme: Workplace, name: str) -> None:
    """A name from a pull request may end up on the command line."""
    ended = acme.run("plan", "--", name)
    assert ended.code == 64, ended.err
    _check_printed(ended.err)
