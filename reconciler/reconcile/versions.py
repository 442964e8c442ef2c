"""Whether a service heeds versions, remembered from the run that found it out (SPEC P3, scim-rfc.md Q14).

What is remembered only decides whether it is tried once more: `<state-dir>/<tenant>/cache/versions.json`, good for the
base URL and the way of sending that it was found out with, and for thirty days. A file that is missing, damaged or old
means that apply tries again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.errors import ConfigurationError
from reconciler.model.outcome import VersionUse
from reconciler.model.plan import Capabilities
from reconciler.model.tenant import Tenant
from reconciler.reconcile.rundir import make_private, write_private

GOOD_FOR = timedelta(days=30)
"""A service may be replaced by a better one, or by a worse."""

_MOST_BYTES = 64 * 1024
_KNOWN = {VersionUse.HEEDED, VersionUse.IGNORED}


def with_known_versions(capabilities: Capabilities, tenant: Tenant, state_dir: Path, now: datetime) -> Capabilities:
    """The capabilities, with what an earlier run found out: without versions where they are ignored."""
    if not capabilities.etag:
        return capabilities
    found = _read(_file(tenant, state_dir)).get(_way(capabilities), {})
    use, at = _use_of(found, tenant), _time_of(found)
    if use not in _KNOWN or at is None or not timedelta(0) <= now - at <= GOOD_FOR:
        return replace(capabilities, versions_in_doubt=True)
    if use is VersionUse.HEEDED:
        return capabilities
    note = f"the service shows versions and does not heed them, as an apply found out on {at:%Y-%m-%d}"
    return replace(capabilities, etag=False, notes=(*capabilities.notes, note))


def remember_versions(
    use: VersionUse, capabilities: Capabilities, tenant: Tenant, state_dir: Path, now: datetime
) -> None:
    """Keep what a run found out; where it cannot be written, the next run tries again."""
    if use not in _KNOWN:
        return
    path = _file(tenant, state_dir)
    found = {"target": tenant.target, "versions": use.value, "found": now.strftime(_FORMAT)}
    with suppress(ConfigurationError):
        make_private(path.parent)
        write_private(path, json.dumps({**_read(path), _way(capabilities): found}).encode())


_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def _file(tenant: Tenant, state_dir: Path) -> Path:
    return state_dir / tenant.name / "cache" / "versions.json"


def _way(capabilities: Capabilities) -> str:
    """Versions inside bulk may be heeded otherwise than `If-Match`."""
    return "bulk" if capabilities.bulk else "single"


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return (
        {key: value for key, value in document.items() if isinstance(value, dict)} if isinstance(document, dict) else {}
    )


def _use_of(found: dict[str, Any], tenant: Tenant) -> VersionUse:
    told = found.get("versions")
    if found.get("target") != tenant.target or told not in set(VersionUse):
        return VersionUse.NOT_TRIED
    return VersionUse(told)


def _time_of(found: dict[str, Any]) -> datetime | None:
    try:
        return datetime.strptime(str(found.get("found")), _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
