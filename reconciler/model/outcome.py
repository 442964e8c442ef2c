"""What became of each change (SPEC P6), and the receipt of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.change import Change

RECEIPT_FORMAT_VERSION = "1.0"


class Outcome(StrEnum):
    """Every change ends in exactly one. Nobody guesses APPLIED."""

    APPLIED = "applied"
    CONFLICT = "conflict"
    FAILED = "failed"
    NOT_ATTEMPTED = "not-attempted"
    UNKNOWN = "unknown"


class VersionUse(StrEnum):
    """Whether the service heeds the versions that writes carry, as this run found out (SPEC P3)."""

    NOT_TRIED = "not-tried"
    HEEDED = "heeded"
    IGNORED = "ignored"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A conflict on one attribute: what was approved to be there before, what is there now, what would be written."""

    path: str
    approved: Any
    now: Any
    would_be: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResult:
    """The one outcome of one change. `cause` is in plain words; None only for a plain APPLIED.

    `held` marks a NOT_ATTEMPTED that waits for an approval of its own, as opposed to one that a run did not get to.
    """

    change: Change
    outcome: Outcome
    id: str | None = None
    version: str | None = None
    cause: str | None = None
    disagreements: tuple[Disagreement, ...] = ()
    rebased: bool = False
    held: bool = False


class ResidualCause(StrEnum):
    """What it looks like that the service did with a value; `reconciler explain` has a page for each."""

    REWRITTEN = "rewritten"
    NOT_STORED = "not-stored"
    NOT_CHANGED = "not-changed"
    NOT_CLEARED = "not-cleared"
    CUT_SHORT = "cut-short"
    NOT_FOUND = "not-found"
    MEMBERS_NOT_SHOWN = "members-not-shown"
    MEMBERS_NOT_ADDED = "members-not-added"
    MEMBERS_NOT_REMOVED = "members-not-removed"
    NOT_WRITTEN = "not-written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """A managed attribute that is not as declared although its change was applied (SPEC P8).

    `expected` is what was sent and `found` what came back; of `members` the labels that are not there, or that still
    are. `advice` is what to do, in plain words that quote no value. `equivalences` are the pairs (sent, stored), by
    attribute path, with which tenant.yaml would accept what came back; empty where no pair can say it.
    """

    key: str
    path: str
    expected: Any
    found: Any
    cause: ResidualCause
    advice: str
    equivalences: Mapping[str, tuple[tuple[Any, Any], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """All that apply has to tell. `equivalences` is what tenant.yaml says already about this service.

    `notes` say in plain words which other way was taken where the service does not have what it announces.
    """

    run: str
    tenant: str
    target: str
    commit: str | None
    digest: str
    started: str
    ended: str
    results: tuple[ChangeResult, ...]
    residual: tuple[Residual, ...] = ()
    equivalences: Mapping[str, tuple[tuple[Any, Any], ...]] = field(default_factory=dict)
    proven: bool = False
    requests: int = 0
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every change was applied and proven."""
        return self.proven and not self.residual and all(r.outcome is Outcome.APPLIED for r in self.results)
