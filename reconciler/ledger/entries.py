"""What one commit of the ledger says, and its form as `entry.json` (schemas/ledger-entry.schema.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.model.plan import Selection
from reconciler.schemas import checker

FORMAT_VERSION = "1.0"
_TIMES = ("started", "until", "ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What attempts and receipts have in common.

    `root` is the root of the desired state relative to that of the repository. `commit` is the one whose desired state
    was applied, `previous` the entry before this one, `continue_from` the one that memory goes on from instead.
    """

    run: str
    tenant: str
    target: str
    root: str
    commit: str
    selection: Selection = Selection.ALL
    allowed: Mapping[str, int | None] = field(default_factory=dict)
    previous: str | None = None
    continue_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Entry):
    """A run is about to send changes; after `until` (RFC 3339) it sends nothing more.

    `nonce` is chance: of two machines that say the same in the same second, still only one gets in.
    """

    digests: tuple[str, ...]
    actor: str
    started: str
    until: str
    nonce: str
    first_run: bool = False
    takes_over: str | None = None

    @property
    def time(self) -> str:
        """When it was written."""
        return self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Entry):
    """A run is over. `attempt` is the entry of its attempt, None where there was nothing to do.

    `counts` has how many of each kind were created, updated and removed. `released` are the users whom git does not
    declare any more and who are inactive, with the time since when.
    """

    attempt: str | None
    ended: str
    complete: bool
    counts: Mapping[str, Mapping[str, int]]
    released: Mapping[str, str]

    @property
    def time(self) -> str:
        """When it was written."""
        return self.ended


def dump_entry(entry: Attempt | Receipt) -> bytes:
    """The entry as a file: UTF-8 JSON, the same bytes for the same entry."""
    document: dict[str, Any] = {_camel(item.name): getattr(entry, item.name) for item in fields(entry)}
    document |= {"formatVersion": FORMAT_VERSION, "kind": _kind(type(entry))}
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def load_entry(data: bytes) -> Attempt | Receipt:
    """The entry in a file.

    Raises:
        LedgerRefused: it is none, or of a version that is not known here.

    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise not_ours("it is not JSON") from error
    version = document.get("formatVersion") if isinstance(document, dict) else None
    if isinstance(version, str) and version != FORMAT_VERSION:
        raise LedgerRefused(
            LedgerReason.UNREADABLE,
            "the ledger was written by another version of the tool",
            context=f"its format is {version[:16]!a}, and {FORMAT_VERSION} is read here",
            hint="use the newest version everywhere",
        )
    if not checker("ledger-entry").accepts(document):
        raise not_ours("it is not as schemas/ledger-entry.schema.json says")
    values = {_snake(name): value for name, value in document.items() if name not in {"formatVersion", "kind"}}
    values["selection"] = Selection(values["selection"])
    try:
        for time in (*(values[name] for name in _TIMES if name in values), *values.get("released", {}).values()):
            datetime.fromisoformat(time)
    except ValueError as error:
        raise not_ours("it names a time that there is not") from error
    if document["kind"] == _kind(Receipt):
        return Receipt(**values)
    return Attempt(**{**values, "digests": tuple(values["digests"])})


def dump_ids(identifiers: Iterable[str]) -> bytes:
    """SCIM ids as a file: sorted, one a line."""
    return "".join(f"{_as_line(identifier)}\n" for identifier in sorted(identifiers)).encode()


def load_ids(data: bytes) -> frozenset[str]:
    """The SCIM ids in a file.

    Raises:
        LedgerRefused: it is no text.

    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise not_ours("its list of ids is no text") from error
    return frozenset(unquote(line, errors="surrogatepass") if "%" in line else line for line in lines if line)


def _as_line(identifier: str) -> str:
    """An id without anything that could end a line: such characters, and percent signs, are percent-encoded."""
    plain = identifier.isprintable() and "%" not in identifier
    return identifier if plain else quote(identifier, errors="surrogatepass")


def not_ours(why: str) -> LedgerRefused:
    """What is to be raised for something that this tool never writes."""
    return LedgerRefused(LedgerReason.FORGED, "an entry of the ledger is not one that this tool wrote", context=why)


def _kind(of: type[Attempt | Receipt]) -> str:
    return of.__name__.lower()


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)
