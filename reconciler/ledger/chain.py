"""Reads the ledger of one tenant from git's objects: entry by entry from the tip, each held against its own commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.entries import Attempt, Receipt, load_entry, load_ids, not_ours
from reconciler.ledger.git import Git, Objects

ENTRY_FILE = "entry.json"
ID_FILES = ("users", "groups")

_LARGEST_COMMIT = 64_000
_LARGEST_TREE = 4_000
_LARGEST_ENTRY = 64_000_000
"""A run of half a million changes has a digest for each."""

_LARGEST_ID_FILE = 512_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One entry with its commit. `files` are the blobs of its id files by name.

    `vouched` says that it was reached through a `--continue-from`: a person decided that memory goes on from there.
    """

    sha: str
    entry: Attempt | Receipt
    files: Mapping[str, str] = field(default_factory=dict)
    vouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a ledger remembers: the last complete receipt, and all entries after it, oldest first.

    `recent` are the receipts of the time that was asked for, also older ones.
    """

    receipt: Link | None = None
    later: tuple[Link, ...] = ()
    recent: tuple[Receipt, ...] = ()

    @property
    def links(self) -> tuple[Link, ...]:
        """All that base is made of, oldest first."""
        return (self.receipt, *self.later) if self.receipt is not None else self.later

    @property
    def newest_receipt(self) -> Receipt | None:
        """The last receipt, complete or not."""
        return next((link.entry for link in reversed(self.links) if isinstance(link.entry, Receipt)), None)

    def open_attempt(self, now: str) -> Attempt | None:
        """The attempt of a run that may still be sending: no receipt, not taken over, `until` not over."""
        entries = [link.entry for link in self.later]
        ended = {entry.attempt for entry in entries if isinstance(entry, Receipt)}
        taken = {entry.takes_over for entry in entries if isinstance(entry, Attempt)}
        for link in reversed(self.later):
            entry = link.entry
            if isinstance(entry, Attempt) and entry.until > now and link.sha not in ended and entry.run not in taken:
                return entry
        return None


def read_chain(git: Git, tip: str | None, since: str, *, vouched: bool = False) -> Chain:
    """The memory that ends at `tip`; receipts since the RFC 3339 time `since` are told even if they are older.

    `vouched` says that a person named this tip.

    Raises:
        LedgerRefused: an entry is forged, or not here.

    """
    receipt: Link | None = None
    later: list[Link] = []
    recent: list[Receipt] = []
    with git.objects() as objects:
        for link in _walk(objects, tip, vouched=vouched):
            entry = link.entry
            if receipt is not None and entry.time < since:
                break
            if isinstance(entry, Receipt) and entry.ended >= since:
                recent.append(entry)
            if receipt is None and _is_the_whole_truth(entry):
                receipt = link
            elif receipt is None:
                later.append(link)
    return Chain(receipt=receipt, later=tuple(reversed(later)), recent=tuple(recent))


def _is_the_whole_truth(entry: Attempt | Receipt) -> bool:
    """Whether all of the tenant was as this entry's commit declares when it was written.

    A complete receipt that was overtaken by another run's attempt does not know what that one sent.
    """
    return isinstance(entry, Receipt) and entry.complete and entry.attempt in {None, entry.previous}


def read_ids(git: Git, link: Link) -> frozenset[str]:
    """The SCIM ids of users and groups that a receipt proved."""
    ids: frozenset[str] = frozenset()
    with git.objects() as objects, _about(link.sha):
        for blob in link.files.values():
            ids |= load_ids(_must(objects, blob, "blob", _LARGEST_ID_FILE))
    return ids


def _walk(objects: Objects, tip: str | None, *, vouched: bool) -> Iterator[Link]:
    """Entry by entry, from the newest to the oldest, on through what `--continue-from` named."""
    at = tip
    while at is not None:
        link = _read_link(objects, at, vouched=vouched)
        yield link
        vouched = vouched or link.entry.continue_from is not None
        at = link.entry.continue_from or link.entry.previous


def _read_link(objects: Objects, sha: str, *, vouched: bool) -> Link:
    with _about(sha):
        entry, files = _read_commit(objects, sha)
    return Link(sha=sha, entry=entry, files=files, vouched=vouched)


def _read_commit(objects: Objects, sha: str) -> tuple[Attempt | Receipt, Mapping[str, str]]:
    commit = _must(objects, sha, "commit", _LARGEST_COMMIT)
    headers = [line.partition(" ") for line in commit.split(b"\n\n", 1)[0].decode("ascii", "replace").split("\n")]
    tree = next((value for name, _, value in headers if name == "tree"), "")
    parents = [value for name, _, value in headers if name == "parent"]
    files = dict(_read_tree(_must(objects, tree, "tree", _LARGEST_TREE), len(sha) // 2))
    if ENTRY_FILE not in files:
        raise not_ours(f"it has no {ENTRY_FILE}")
    entry = load_entry(_must(objects, files.pop(ENTRY_FILE), "blob", _LARGEST_ENTRY))
    if parents != parents_of(entry):
        raise not_ours("the commits before it are not those that it names")
    if isinstance(entry, Attempt) and files:
        raise not_ours("an attempt proves nothing, and has lists of ids")
    return entry, files


def parents_of(entry: Attempt | Receipt) -> list[str]:
    """The parents of an entry's commit: the entry before it, the desired commit, and where memory goes on from."""
    parents = [*filter(None, [entry.previous]), entry.commit, *filter(None, [entry.continue_from])]
    return list(dict.fromkeys(parents))  # git keeps each parent once


def _read_tree(data: bytes, width: int) -> Iterator[tuple[str, str]]:
    """The files of an entry's tree: nothing but what belongs there."""
    while data:
        about, _, rest = data.partition(b"\0")
        mode, _, name = about.decode("utf-8", "replace").partition(" ")
        if mode != "100644" or name not in {ENTRY_FILE, *ID_FILES}:
            raise not_ours("it holds something else than an entry")
        yield name, rest[:width].hex()
        data = rest[width:]


def _must(objects: Objects, identifier: str, kind: str, most: int) -> bytes:
    found = objects.read(identifier, most) if identifier else None
    if found is None:
        raise LedgerRefused(
            LedgerReason.UNREADABLE,
            "a part of the ledger is not here",
            context=f"git has no {kind} {identifier}",
            hint="fetch the whole branch, or `git fsck` tells whether the repository is damaged",
        )
    if found.kind != kind:
        raise not_ours(f"it is a {found.kind} where a {kind} belongs")
    return found.data


@contextmanager
def _about(sha: str) -> Iterator[None]:
    """Name the entry in which something is that this tool does not write."""
    try:
        yield
    except LedgerRefused as refused:
        if refused.reason is not LedgerReason.FORGED:
            raise
        raise LedgerRefused(
            LedgerReason.FORGED,
            f"the entry {sha} of the ledger is not one that this tool wrote",
            context=refused.context,
            hint="find out who pushed it; `apply --continue-from ENTRY` goes on from the last entry that you trust",
        ) from refused
