"""Credentials go only to origins bound to the tenant outside git (SPEC section 4)."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ConfigurationError
from reconciler.transport.hosts import (
    check_binding,
    is_loopback,
    load_bindings,
    origin_of,
    parse_bindings,
    write_binding,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://acme.example.com/scim/v2?x=1#y", "https://acme.example.com"),
        ("HTTPS://ACME.Example.COM", "https://acme.example.com"),
        ("https://acme.example.com:443/x", "https://acme.example.com"),
        ("https://acme.example.com:0443/x", "https://acme.example.com"),
        ("https://acme.example.com:8443/x", "https://acme.example.com:8443"),
        ("http://localhost:80", "http://localhost"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
        ("https://acme。example.com", "https://acme.example.com"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
        ("https://[0:0:0:0:0:0:0:1]", "https://[::1]"),
        ("http://127.0.0.1:8990/v2", "http://127.0.0.1:8990"),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    """Case, default port, international names and long IPv6 forms make no difference."""
    assert origin_of(url) == origin
    assert origin_of(origin) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.example.com",
        "//acme.example.com",
        "ftp://acme.example.com",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://user:secret@acme.example.com",
        "https://acme.example.com@evil.example",
        "https://acme.example.com\\@evil.example",
        "https://acme.example.com\t.evil.example",
        "https://acme.example.com\n",
        " https://acme.example.com",
        "https://acme.example.com:99999",
        "https://acme.example.com:port",
        "https://acme.example.com.",
        "https://.example.com",
        "https://*.example.com",
        "https://exa%6dple.com",
        "https://127.1",
        "https://0x7f.0.0.1",
        "https://0x7f000001",
        "https://2130706433",
        "https://[::1",
        "https://[fe80::1%25eth0]",
    ],
)
def test_a_url_that_two_parsers_could_read_differently_is_refused(url: str) -> None:
    """User information, white space, backslashes and odd spellings of addresses are never sent credentials."""
    with pytest.raises(ConfigurationError) as refused:
        origin_of(url)
    assert "secret" not in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_an_origin_or_a_configuration_error(text: str) -> None:
    """No text of tenant.yaml ends in a traceback."""
    for url in (text, f"https://{text}", f"https://acme.example{text}"):
        try:
            origin = origin_of(url)
        except ConfigurationError:
            continue
        assert origin_of(origin) == origin


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.8.8.8", True),
        ("http://localhost", True),
        ("http://[::1]", True),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://10.0.0.1", False),
        ("http://[::ffff:10.0.0.1]", False),
    ],
)
def test_loopback_is_told_by_the_whole_host(url: str, loopback: bool) -> None:
    """A name that only starts like a loopback address is not one."""
    assert is_loopback(url) is loopback


def test_a_bound_origin_may_have_the_credentials_of_its_tenant_only() -> None:
    """Binding is per tenant name: another tenant's folder cannot borrow the origin."""
    bindings = parse_bindings("acme-prod=https://acme.example.com,https://auth.example.com;other=https://other.example")
    check_binding("acme-prod", "https://ACME.example.com:443/scim/v2/Users", bindings)
    check_binding("acme-prod", "https://auth.example.com/oauth/token", bindings)
    for tenant, url in [
        ("other", "https://acme.example.com"),
        ("acme-prod", "https://other.example"),
        ("acme-prod", "https://acme.example.com:8443"),
        ("acme-prod", "https://acme.example.com.evil.example"),
        ("acme-prod", "https://sub.acme.example.com"),
        ("unknown", "https://acme.example.com"),
    ]:
        with pytest.raises(ConfigurationError) as refused:
            check_binding(tenant, url, bindings)
        assert f"reconciler trust {tenant}" in str(refused.value.hint)


def test_http_is_refused_even_for_a_bound_host_but_not_on_loopback() -> None:
    """HTTPS is required except to loopback, and loopback is always bound."""
    bindings = parse_bindings("acme=https://acme.example.com")
    with pytest.raises(ConfigurationError, match="not HTTPS"):
        check_binding("acme", "http://acme.example.com", bindings)
    check_binding("acme", "http://127.0.0.1:8990/scim/v2", bindings)


@pytest.mark.parametrize(
    "text",
    [
        "acme=*",
        "acme=https://*.example.com",
        "acme=http://acme.example.com",
        "acme=https://acme.example.com/scim/v2",
        "acme=https://acme.example.com?x",
        "acme https://acme.example.com",
        "=https://acme.example.com",
        "a b=https://acme.example.com",
        "acme=https://u:p@acme.example.com",
    ],
)
def test_bindings_take_exact_origins_only(text: str) -> None:
    """No wildcards, no paths, no plain HTTP."""
    with pytest.raises(ConfigurationError):
        parse_bindings(text)


def test_bindings_come_from_the_variable_alone_where_it_is_set(tmp_path: Path) -> None:
    """A pipeline decides by itself: the file of whoever runs it does not count."""
    user_file = tmp_path / "bindings"
    user_file.write_text("acme=https://mine.example\n")
    assert load_bindings("acme=https://ci.example", user_file) == {"acme": frozenset({"https://ci.example"})}
    assert load_bindings(None, user_file) == {"acme": frozenset({"https://mine.example"})}
    assert load_bindings(" ", user_file) == {"acme": frozenset({"https://mine.example"})}
    assert load_bindings(None, tmp_path / "missing") == {}
    assert load_bindings(None, None) == {}


def test_the_variable_may_name_a_file_with_one_binding_a_line(tmp_path: Path) -> None:
    """Comments and empty lines are skipped, a tenant named twice has both."""
    file = tmp_path / "bindings"
    file.write_text(
        "# ours\n\nacme=https://a.example, https://b.example\nacme=https://c.example\nother=https://o.example\n"
    )
    assert load_bindings(str(file), None) == {
        "acme": frozenset({"https://a.example", "https://b.example", "https://c.example"}),
        "other": frozenset({"https://o.example"}),
    }


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_bindings_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Otherwise another account of the machine could redirect credentials."""
    file = tmp_path / "bindings"
    file.write_text("acme=https://a.example")
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="others may write"):
        load_bindings(str(file), None)


@pytest.mark.parametrize("content", [None, b"acme=https://\xff.example"])
def test_a_bindings_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    """A path in RECONCILER_BINDINGS that is missing, or no text, never means "nothing is bound"."""
    file = tmp_path / "bindings"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_bindings(str(file), None)


def test_trust_replaces_one_tenant_and_keeps_the_rest(tmp_path: Path) -> None:
    """Comments and other tenants stay; the file is private and complete at every moment."""
    file = tmp_path / "config" / "bindings"
    write_binding(file, "acme", ["https://old.example"])
    write_binding(file, "other", ["https://o.example"])
    file.write_text("# kept\n" + file.read_text() + "third=https://t.example;acme=https://old2.example\n")
    write_binding(file, "acme", ["https://NEW.example:443", "https://auth.example"])
    assert load_bindings(None, file) == {
        "acme": frozenset({"https://new.example", "https://auth.example"}),
        "other": frozenset({"https://o.example"}),
        "third": frozenset({"https://t.example"}),
    }
    assert file.read_text().startswith("# kept\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["bindings"]


def test_trust_writes_nothing_for_an_origin_that_cannot_be_bound(tmp_path: Path) -> None:
    """A refused origin leaves the file as it was."""
    file = tmp_path / "bindings"
    write_binding(file, "acme", ["https://a.example"])
    before = file.read_bytes()
    for origins in (["http://plain.example"], ["https://a.example\nother=https://evil.example"], ["https://*"]):
        with pytest.raises(ConfigurationError):
            write_binding(file, "acme", origins)
    with pytest.raises(ConfigurationError):
        write_binding(file, "a=b", ["https://a.example"])
    assert file.read_bytes() == before
