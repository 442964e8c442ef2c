"""Which hosts a tenant's credentials may be sent to (SPEC section 4).

The answer lives outside git, so that no change to a tenant folder can send a credential somewhere else: in the
environment variable RECONCILER_BINDINGS, or in the user's own bindings file. Nothing here reads the environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import idna

from reconciler.errors import ConfigurationError

Bindings: TypeAlias = Mapping[str, frozenset[str]]
"""Tenant name -> the origins its credentials may go to, each as `origin_of` writes it."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INLINE = re.compile(r"\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*=")
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NEVER_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\]")


def origin_of(url: str) -> str:
    """The origin of an absolute http(s) URL, in the one spelling that bindings are compared in.

    Scheme and host in lower case, an international name in its ASCII form (the same mapping `requests` connects with),
    no default port. Raises ConfigurationError for anything that two parsers could read differently: user information,
    white space, backslashes, a trailing dot, an unusual way to write an address.
    """
    if _NEVER_IN_A_URL.search(url):
        raise ConfigurationError("a URL may not contain white space, control characters or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        raise ConfigurationError("not a URL: its host or port cannot be read") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ConfigurationError("not an absolute http or https URL")
    if "@" in parts.netloc:
        raise ConfigurationError(f"the URL of {host} may not carry a user name or password")
    suffix = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{_normalised_host(host)}{suffix}"


def is_loopback(url: str) -> bool:
    """Whether the URL stays on this machine: `localhost`, 127.0.0.0/8 or ::1, in their plain spelling."""
    host = urlsplit(origin_of(url)).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_binding(tenant: str, url: str, bindings: Bindings) -> None:
    """Raise ConfigurationError unless credentials of `tenant` may be sent to `url`.

    They may if the exact origin is bound to the tenant and uses HTTPS; loopback is always bound and may use HTTP.
    """
    origin = origin_of(url)
    if is_loopback(origin):
        return
    if not origin.startswith("https://"):
        raise ConfigurationError(
            f"{origin} is not HTTPS", hint="credentials are sent in clear only to loopback addresses"
        )
    if origin not in bindings.get(tenant, frozenset()):
        raise ConfigurationError(
            f"{origin} is not bound to tenant {tenant}",
            context="credentials go only to origins that were bound to the tenant's name outside git",
            hint=f"look at the address, then run `reconciler trust {tenant}` or set RECONCILER_BINDINGS",
        )


def parse_bindings(text: str) -> Bindings:
    """Read `tenant=origin,origin` entries, separated by `;` or line ends; `#` starts a comment line.

    A tenant named twice gets the origins of both entries. Raises ConfigurationError for wildcards, paths, and plain
    HTTP to anything but loopback.
    """
    bindings: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        for entry in filter(str.strip, line.split(";")):
            tenant, origins = _parse_entry(entry)
            bindings[tenant] = bindings.get(tenant, frozenset()) | origins
    return bindings


def load_bindings(environ_value: str | None, user_file: Path | None) -> Bindings:
    """The bindings of this run.

    `environ_value` is what RECONCILER_BINDINGS holds: entries, or the path of a file with one entry a line. Where it is
    set it is the only source, so that a pipeline decides alone. Otherwise `user_file` is read if it exists. Raises
    ConfigurationError for a file that is missing, or that somebody else could have written.
    """
    if environ_value is not None and environ_value.strip():
        if _INLINE.match(environ_value):
            return parse_bindings(environ_value)
        return parse_bindings(_read_private(Path(environ_value.strip())))
    if user_file is not None and user_file.exists():
        return parse_bindings(_read_private(user_file))
    return {}


def write_binding(user_file: Path, tenant: str, origins: Iterable[str]) -> None:
    """Make `origins` the ones bound to `tenant` in the user's file; entries of other tenants and comments stay.

    The file is replaced in one step and readable by its owner only.
    """
    _check_tenant(tenant)
    bound = ",".join(sorted({_parse_origin(origin) for origin in origins}))
    kept = _without_tenant(_read_private(user_file), tenant) if user_file.exists() else []
    user_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(user_file, "\n".join([*kept, f"{tenant}={bound}", ""]))


def _parse_entry(entry: str) -> tuple[str, frozenset[str]]:
    tenant, separator, listed = entry.partition("=")
    if not separator:
        raise ConfigurationError(
            f"a binding is written TENANT=ORIGIN,ORIGIN; `{entry.strip()}` has no `=`", context="RECONCILER_BINDINGS"
        )
    _check_tenant(tenant.strip())
    return tenant.strip(), frozenset(_parse_origin(origin.strip()) for origin in listed.split(",") if origin.strip())


def _parse_origin(text: str) -> str:
    if "*" in text:
        raise ConfigurationError(f"{text}: wildcards are not bound", hint="name each origin")
    origin = origin_of(text)
    if urlsplit(text).path not in {"", "/"} or "?" in text or "#" in text:
        raise ConfigurationError(f"{text} is more than an origin", hint=f"write {origin}")
    if not origin.startswith("https://") and not is_loopback(origin):
        raise ConfigurationError(f"{origin} is not HTTPS", hint="only loopback addresses may be bound without HTTPS")
    return origin


def _check_tenant(name: str) -> None:
    if not _TENANT.fullmatch(name):
        raise ConfigurationError(f"`{name}` cannot be the name of a tenant in a binding")


def _normalised_host(host: str) -> str:
    if ":" in host:
        return f"[{ipaddress.ip_address(host).compressed}]" if "%" not in host else _refuse_host(host)
    try:
        ascii_host = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return _refuse_host(host)
    if not _HOST_NAME.fullmatch(ascii_host):
        return _refuse_host(host)
    last_label = ascii_host.rpartition(".")[2]
    if last_label.isdigit() or last_label.startswith("0x"):  # resolvers read 127.1 and 0x7f000001 as addresses
        try:
            return ipaddress.IPv4Address(ascii_host).compressed
        except ValueError:
            return _refuse_host(host)
    return ascii_host


def _refuse_host(host: str) -> str:
    raise ConfigurationError(f"`{host}` is not a host name or address in its plain spelling")


def _read_private(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            _check_private(path, status)
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"the bindings file {path} cannot be read: {reason}") from None


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"the bindings file {path} is not a regular file")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(f"others may write to the bindings file {path}", hint=f"chmod go-w {path}")
    if status.st_uid not in {0, os.getuid()}:
        raise ConfigurationError(f"the bindings file {path} belongs to somebody else")


def _without_tenant(text: str, tenant: str) -> list[str]:
    kept = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            kept.append(line)
            continue
        entries = [entry for entry in line.split(";") if entry.partition("=")[0].strip() != tenant]
        if any(map(str.strip, entries)):
            kept.append(";".join(entries))
    return kept


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made readable by the owner only
    written = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 -- the descriptor is already open
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
