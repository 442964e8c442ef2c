"""Secrets stay put, and requests go where they should (SPEC P11; section 4)."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import StartSandbox
from tests.cli.workplace import TOKEN, Ended, Service, Workplace
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, Seen, closed_port, scripted


def _texts(work: Workplace, *ended: Ended) -> list[str]:
    """Everything a run said or left behind."""
    files = [path.read_text(errors="replace") for path in work.state.rglob("*") if path.is_file()]
    return [*(each.out for each in ended), *(each.err for each in ended), *files]


def _has_secret(text: str) -> bool:
    return any(form in text for form in (TOKEN, base64.b64encode(TOKEN.encode()).decode().rstrip("=")))


def test_validate_show_and_explain_use_no_network(acme: Workplace, sandbox: Service) -> None:
    """SPEC section 5, column network: none; and no secret is needed."""
    path = acme.folder / "plan.json"
    acme.run("plan", "--out", path)
    asked = sandbox.count
    acme.environ["SCIM_TOKEN"] = ""
    for arguments in (("validate",), ("show", path), ("explain",), ("explain", "V101")):
        assert acme.run(*arguments).code == 0
    assert sandbox.count == asked


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500, 503])
@pytest.mark.parametrize("at", ["discovery", "list", "write"])
@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_secret_that_is_echoed_is_seen_nowhere(
    work: Workplace, start_sandbox: StartSandbox, status: int, at: str, format_: str
) -> None:
    """P11: error pages that repeat the Authorization header, in any form, are shown without it."""
    service = start_sandbox(supports_bulk=False)
    work.organisation(service.base_url)
    places = {"discovery": "/ServiceProviderConfig", "list": "/Groups", "write": "/Users"}

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        is_there = places[at] in seen.path and (seen.method == "POST") == (at == "write")
        if not is_there:
            return pass_on()
        echo = f"refused: {seen.headers['authorization']} / {TOKEN} / {seen.headers}"
        return Answer(status, {"status": str(status), "detail": echo} if format_ == "json" else echo.encode())

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2")
        planned = work.run("plan", "--out", work.folder / "plan.json")
        applied = work.run("apply", "--yes", "--log-format", "json")
        plain = work.run("apply", "--yes", "--format", "markdown")
    assert not any(_has_secret(text) for text in _texts(work, planned, applied, plain))
    assert not any("Traceback" in ended.err or "internal error" in ended.err for ended in (planned, applied, plain))
    if at != "discovery" or status not in {400, 403, 404}:
        assert applied.code in {1, 6}, applied.err
    if (work.folder / "plan.json").exists():
        assert not _has_secret((work.folder / "plan.json").read_text())


def test_a_wrong_token_is_said_in_words(acme: Workplace) -> None:
    """And it is not shown."""
    acme.environ["SCIM_TOKEN"] = "some-other-t0ken"
    ended = acme.run("plan")
    assert ended.code == 1
    assert "401" in ended.err
    assert "credentials were not accepted" in ended.err
    assert "some-other-t0ken" not in ended.err + ended.out


@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_missing_secret_names_its_variable(acme: Workplace, sandbox: Service, value: str | None) -> None:
    """Before anything is sent."""
    acme.environ["SCIM_TOKEN"] = value or ""
    if value is None:
        acme.monkeypatch.delenv("SCIM_TOKEN", raising=False)
        acme.edit("acme/tenant.yaml", "SCIM_TOKEN", "SCIM_TOKEN_OF_ACME")
    asked = sandbox.count
    ended = acme.run("plan")
    assert ended.code == 1, ended.err
    assert "SCIM_TOKEN" in ended.err
    assert sandbox.count == asked


@pytest.mark.parametrize("value", ["two\nlines", "naïve", "tab\tbed", " padded "], ids=repr)
def test_a_secret_that_no_header_can_hold_is_said_in_words(acme: Workplace, value: str) -> None:
    """No traceback, and the value is not shown."""
    acme.environ["SCIM_TOKEN"] = value
    ended = acme.run("plan")
    assert ended.code == 1, ended.err
    assert "internal error" not in ended.err
    assert value.strip() not in ended.err


# --- where requests go -----------------------------------------------------------------------------------------------


def test_a_dead_server_is_said_in_words(work: Workplace) -> None:
    """Exit code 1, the address, no traceback, and at most a few attempts."""
    port = closed_port()
    work.organisation(f"http://127.0.0.1:{port}/scim/v2")
    ended = work.run("plan")
    assert ended.code == 1
    assert f"127.0.0.1:{port}" in ended.err
    assert "Traceback" not in ended.err
    assert len(work.clock.slept) <= 3


def test_a_host_that_does_not_exist_is_said_in_words(work: Workplace) -> None:
    """A typing mistake in tenant.yaml; `.invalid` never resolves (RFC 2606)."""
    work.organisation("https://acme.invalid/scim/v2")
    work.environ["RECONCILER_BINDINGS"] = "acme=https://acme.invalid"
    ended = work.run("plan")
    assert ended.code == 1
    assert "acme.invalid" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_redirect_takes_no_credentials_along(work: Workplace, sandbox: Service, status: int, command: str) -> None:
    """SPEC section 4: no redirect is followed with credentials; the other host hears nothing."""
    with scripted([Answer(body={"ok": True})]) as (other, other_origin):

        def hook(seen: Seen, pass_on: PassOn) -> Answer:
            if seen.method == "GET" and command == "apply":
                return pass_on()
            return Answer(status, headers={"Location": f"{other_origin}{seen.path}"})

        with interposed(sandbox.origin, hook) as (_, origin):
            work.organisation(f"{origin}/scim/v2")
            ended = work.run(*(("plan",) if command == "plan" else ("apply", "--yes")))
    assert other.seen == []
    assert ended.code in {1, 6}, ended.err
    assert other_origin in ended.err + ended.out
    assert sandbox.all("Users") == {}


def test_an_unbound_host_is_refused_and_trust_is_named(work: Workplace) -> None:
    """SPEC section 4: before anything is sent."""
    work.organisation("https://acme.example.com/scim/v2")
    ended = work.run("plan")
    assert ended.code == 1
    assert "https://acme.example.com is not bound to tenant acme" in ended.err
    assert "reconciler trust acme" in ended.err


def test_plain_http_to_another_machine_is_refused(work: Workplace) -> None:
    """HTTPS is required except to loopback, and a binding does not change that."""
    work.organisation("http://acme.example.com/scim/v2")
    ended = work.run("plan")
    assert ended.code in {1, 3}
    assert "HTTPS" in ended.err or "https" in ended.err
    work.environ["RECONCILER_BINDINGS"] = "acme=http://acme.example.com"
    ended = work.run("plan")
    assert ended.code in {1, 3}


def test_trust_binds_after_a_yes_and_only_then(work: Workplace) -> None:
    """SPEC section 4: the user's own file, private, after showing the origins; exactly these origins of this tenant."""
    work.organisation("https://acme.invalid/scim/v2")
    bindings = work.folder / "config" / "reconciler" / "bindings"
    refused = work.run("trust", "acme", typed="n\n")
    assert refused.code == 1
    assert "https://acme.invalid" in refused.out
    assert not bindings.exists()
    bound = work.run("trust", "acme", typed="y\n")
    assert bound.code == 0, bound.err
    assert stat.S_IMODE(bindings.stat().st_mode) == 0o600
    assert "not bound" not in work.run("plan").err
    assert "acme.invalid" in work.run("plan").err  # unreachable by now, no longer refused
    work.tenant("https://other.invalid/scim/v2")
    assert "https://other.invalid is not bound" in work.run("plan").err
    work.organisation("https://acme.invalid/scim/v2", "bolt")
    assert "https://acme.invalid is not bound to tenant bolt" in work.run("plan", "bolt").err


def test_trust_needs_somebody_at_the_terminal(work: Workplace) -> None:
    """A pipeline cannot bind anything by feeding a y."""
    work.organisation("https://acme.invalid/scim/v2")
    process = work.start("trust", "acme")
    _, err = process.communicate(timeout=60)
    assert process.returncode in {64, 130}, err
    assert not (work.folder / "config").exists()


def test_loopback_needs_no_trust(acme: Workplace) -> None:
    """Nothing to bind is said, and nobody is asked."""
    ended = acme.run("trust", "acme", typed="")
    assert ended.code == 0, ended.err
    assert "Nothing to bind" in ended.out


def test_a_bindings_file_that_others_may_write_is_refused(work: Workplace) -> None:
    """Whoever can write it could take the credentials."""
    work.organisation("https://acme.invalid/scim/v2")
    bindings = work.folder / "config" / "reconciler" / "bindings"
    bindings.parent.mkdir(parents=True)
    bindings.write_text("acme=https://acme.invalid\n")
    bindings.chmod(0o666)
    ended = work.run("plan")
    assert ended.code == 1
    assert "others may write" in ended.err


def test_dot_env_files_are_not_read(work: Workplace, sandbox: Service, tmp_path: Path) -> None:
    """SPEC section 4."""
    work.organisation(sandbox.base_url)
    work.environ["SCIM_TOKEN"] = ""
    work.monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, work.root, work.root / "acme"):
        (folder / ".env").write_text(f"SCIM_TOKEN={TOKEN}\n")
    assert work.run("plan").code == 1
