"""Versions: strong entity tags, If-Match and If-None-Match (RFC 7644 section 3.14, RFC 9110 section 13)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.sandbox.errors import precondition_failed

_TAG = re.compile(r'\s*((?:W/)?"[^"]*")\s*(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What a request demands of the version it meets; None where it demands nothing."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check_write(self, version: str) -> None:
        """Raise 412 unless the resource may be changed at `version`."""
        if self.if_match is not None and not _matches(self.if_match, version, weakly=False):
            raise precondition_failed(f"The version is {version}, not {self.if_match[:200]}")
        if self.if_none_match is not None and _matches(self.if_none_match, version, weakly=True):
            raise precondition_failed(f"The version is {version}, which If-None-Match excludes")

    def is_not_modified(self, version: str) -> bool:
        """Whether a GET may be answered 304; raises 412 when If-Match fails."""
        if self.if_match is not None and not _matches(self.if_match, version, weakly=False):
            raise precondition_failed(f"The version is {version}, not {self.if_match[:200]}")
        return self.if_none_match is not None and _matches(self.if_none_match, version, weakly=True)


NONE = Preconditions()


def entity_tag(version: int) -> str:
    """The strong entity tag of a version, quotes included; header and `meta.version` carry the same text."""
    return f'"v{version}"'


def _matches(wanted: str, version: str, *, weakly: bool) -> bool:
    """If-Match compares strongly, so a weak tag never matches; If-None-Match weakly (RFC 9110 section 8.8.3.2)."""
    if wanted.strip() == "*":
        return True
    tags = _TAG.findall(wanted)
    return version in ([tag.removeprefix("W/") for tag in tags] if weakly else tags)
