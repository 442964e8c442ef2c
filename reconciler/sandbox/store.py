"""Resources and memberships in SQLite.

One connection and one lock: whoever holds the lock reads and writes a consistent state, and nobody sees half a
transaction. Resources are kept as the JSON text that answers are made of; what an answer adds (members, groups, meta)
is kept beside it, so that a list is joined text and never one query per resource.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from reconciler.sandbox.definitions import KINDS, ResourceKind
from reconciler.sandbox.matching import Lookup
from reconciler.sandbox.schema import fold
from reconciler.sandbox.wire import encode_json

BASE_MARK = "\x01"
"""Stands for the base URL in stored references. JSON text holds no raw control character, so no value can forge it."""

_MARKS = {"application_id": 0x5C1B0C5, "user_version": 2}
"""What says that a database file is ours, and which layout it has."""

_TABLES = """
CREATE TABLE IF NOT EXISTS resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    user_name TEXT,
    display_name TEXT,
    external_id TEXT,
    reference TEXT NOT NULL,
    display TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    created TEXT NOT NULL,
    modified TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS resources_by_kind ON resources (kind, seq);
CREATE INDEX IF NOT EXISTS resources_by_user_name ON resources (user_name) WHERE user_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS resources_by_display_name ON resources (display_name) WHERE display_name IS NOT NULL;
CREATE INDEX IF NOT EXISTS resources_by_external_id ON resources (external_id) WHERE external_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS members (
    group_seq INTEGER NOT NULL,
    member_seq INTEGER NOT NULL,
    display TEXT,
    PRIMARY KEY (group_seq, member_seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_by_member ON members (member_seq, group_seq);
CREATE TABLE IF NOT EXISTS licences (user_seq INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_SELECT = "SELECT seq, resources.id, kind, body, version, created, modified FROM "
_GROUPS_OF = """
WITH RECURSIVE above (user_seq, group_seq, direct) AS (
    SELECT member_seq, group_seq, 1 FROM members WHERE member_seq IN (SELECT value FROM json_each(?))
    UNION
    SELECT above.user_seq, members.group_seq, 0 FROM above JOIN members ON members.member_seq = above.group_seq
)
SELECT above.user_seq, resources.reference || ',"display":' || resources.display, max(above.direct)
FROM above JOIN resources ON resources.seq = above.group_seq
GROUP BY above.user_seq, above.group_seq
"""
_MEMBERS_OF = """
SELECT members.group_seq,
       group_concat(
           '{' || resources.reference || ',"display":' || coalesce(members.display, resources.display)
           || ',"type":"' || resources.kind || '"}',
           ','
       )
FROM members JOIN resources ON resources.seq = members.member_seq
WHERE members.group_seq IN (SELECT value FROM json_each(?))
GROUP BY members.group_seq
"""
_CHAIN_ABOVE = """
WITH RECURSIVE chain (seq, length) AS (
    SELECT ?, 1
    UNION
    SELECT members.group_seq, chain.length + 1 FROM chain JOIN members ON members.member_seq = chain.seq
    WHERE chain.length <= ?
)
SELECT max(length) FROM chain
"""
_CHAIN_BELOW = """
WITH RECURSIVE chain (seq, length) AS (
    SELECT ?, 1
    UNION
    SELECT members.member_seq, chain.length + 1
    FROM chain JOIN members ON members.group_seq = chain.seq JOIN resources ON resources.seq = members.member_seq
    WHERE chain.length <= ? AND resources.kind = 'Group'
)
SELECT max(length) FROM chain
"""
_LOOKUPS = {
    "id": "SELECT seq FROM resources WHERE id = ? AND kind = ?",
    "user_name": "SELECT seq FROM resources WHERE user_name = ? AND kind = ?",
    "display_name": "SELECT seq FROM resources WHERE display_name = ? AND kind = ?",
    "external_id": "SELECT seq FROM resources WHERE external_id = ? AND kind = ?",
    "members": """
        SELECT members.group_seq FROM members JOIN resources ON resources.seq = members.member_seq
        WHERE resources.id = ? AND ? = 'Group'
    """,
}


class Record(NamedTuple):
    """One stored resource; `body` is a JSON object without `meta`, `members` and `groups`."""

    seq: int
    id: str
    kind: str
    body: str
    version: int
    created: str
    modified: str

    def attributes(self) -> dict[str, Any]:
        """The attributes a client wrote, in canonical form."""
        content: dict[str, Any] = json.loads(self.body)
        del content["schemas"], content["id"]
        return content


class MemberRow(NamedTuple):
    """A resource as a possible member."""

    id: str
    seq: int
    kind: str


class DataFileError(Exception):
    """The file cannot hold the tenant: it is in use, out of reach, or something else's."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")
        self.path = path
        self.reason = reason


class Store:
    """The data of one tenant. Callers hold `lock` (or are inside `transaction`) around calls that belong together."""

    def __init__(self, path: str | None) -> None:
        self.lock = threading.RLock()
        self._connection = _connect(path)
        self._depth = 0
        self._changes = int(self.read_state("changes") or 0)
        self._licences = self._count_licences()
        self._rosters: dict[tuple[str, ...], list[int]] = {}

    def close(self) -> None:
        """Close the database; what was committed stays in the file."""
        with self.lock:
            self._connection.close()

    @property
    def generation(self) -> int:
        """Rises with every change to any resource; equal generations mean equal data."""
        return self._changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside becomes visible together or not at all; nested inside another one it is a savepoint."""
        with self.lock:
            begin, commit, undo = _transaction_words(self._depth)
            licences = self._licences
            self._connection.execute(begin)
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self.write_state("changes", str(self._changes))
                self._connection.execute(commit)
            except BaseException:
                for statement in undo:
                    self._connection.execute(statement)
                self._licences = licences
                self._rosters.clear()
                raise
            finally:
                self._depth -= 1

    def insert(self, kind: ResourceKind, attributes: dict[str, Any]) -> Record:
        """Store a new resource under an id of its own."""
        identifier, now = str(uuid.uuid4()), _now()
        body = encode_body(kind, identifier, attributes)
        version = self._next_version()
        self._rosters.clear()
        cursor = self._connection.execute(
            "INSERT INTO resources (id, kind, user_name, display_name, external_id, reference, display, body, version,"
            " created, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                identifier,
                kind.name,
                *_keys(attributes),
                f'"value":"{identifier}","$ref":"{BASE_MARK}{kind.endpoint}/{identifier}"',
                _display(attributes),
                body,
                version,
                now,
                now,
            ),
        )
        return Record(cursor.lastrowid or 0, identifier, kind.name, body, version, now, now)

    def update(self, record: Record, attributes: dict[str, Any]) -> Record:
        """Store new content for an existing resource, with a new version."""
        kind = KINDS[record.kind]
        changed = record._replace(
            body=encode_body(kind, record.id, attributes), version=self._next_version(), modified=_now()
        )
        self._connection.execute(
            "UPDATE resources SET user_name = ?, display_name = ?, external_id = ?, display = ?, body = ?,"
            " version = ?, modified = ? WHERE seq = ?",
            (
                *_keys(attributes),
                _display(attributes),
                changed.body,
                changed.version,
                changed.modified,
                record.seq,
            ),
        )
        return changed

    def delete(self, record: Record) -> None:
        """Remove a resource and all its memberships; groups it was a member of get a new version."""
        groups = self._connection.execute(
            "SELECT group_seq FROM members WHERE member_seq = ?", (record.seq,)
        ).fetchall()
        self._connection.execute("DELETE FROM members WHERE group_seq = ? OR member_seq = ?", (record.seq, record.seq))
        for (group_seq,) in groups:
            self._connection.execute(
                "UPDATE resources SET version = ?, modified = ? WHERE seq = ?",
                (self._next_version(), _now(), group_seq),
            )
        self._connection.execute("DELETE FROM resources WHERE seq = ?", (record.seq,))
        self.release_licence(record.seq)
        self._next_version()
        self._rosters.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            self._licences = 0
            for table in ("members", "resources", "licences", "state"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
            self._next_version()
            self._rosters.clear()

    def find(self, kind: ResourceKind, identifier: str) -> Record | None:
        """The resource with that id."""
        return self._one(_SELECT + "resources WHERE id = ? AND kind = ?", identifier, kind.name)

    def find_user(self, user_name: str) -> Record | None:
        """The user with that userName."""
        return self._one(_SELECT + "resources WHERE user_name = ?", fold(user_name))

    def find_clash(self, kind: ResourceKind, column: str, value: str, but: int | None) -> bool:
        """Whether a resource other than `but` has `value` in an indexed column."""
        rows = self._connection.execute(_LOOKUPS[column], (value, kind.name))
        return any(seq != but for (seq,) in rows)

    def lookup(self, kind: ResourceKind, lookups: Iterable[Lookup]) -> list[int]:
        """The sequence numbers that index look-ups find, ascending."""
        found: set[int] = set()
        for item in lookups:
            found.update(seq for (seq,) in self._connection.execute(_LOOKUPS[item.column], (item.value, kind.name)))
        return sorted(found)

    def roster(self, kinds: Sequence[ResourceKind]) -> list[int]:
        """The sequence numbers of all resources of some kinds, ascending; kept until a resource comes or goes."""
        key = tuple(kind.name for kind in kinds)
        roster = self._rosters.get(key)
        if roster is None:
            rows = self._connection.execute(
                "SELECT seq FROM resources WHERE kind IN (SELECT value FROM json_each(?)) ORDER BY seq",
                (json.dumps(key),),
            )
            roster = self._rosters[key] = [seq for (seq,) in rows]
        return roster

    def records(self, seqs: Sequence[int]) -> list[Record]:
        """The resources with those sequence numbers, in that order."""
        rows = self._connection.execute(
            _SELECT + "json_each(?) AS wanted JOIN resources ON resources.seq = wanted.value ORDER BY wanted.key",
            (json.dumps(seqs),),
        )
        return [Record._make(row) for row in rows]

    def scan(self, kind: ResourceKind) -> Iterator[Record]:
        """All resources of a kind, ascending."""
        rows = self._connection.execute(_SELECT + "resources WHERE kind = ? ORDER BY seq", (kind.name,))
        return map(Record._make, rows)

    def members_text(self, group_seqs: Sequence[int]) -> dict[int, str]:
        """For each group that has any, its member elements as JSON text, joined by commas."""
        return dict(self._connection.execute(_MEMBERS_OF, (json.dumps(group_seqs),)).fetchall())

    def groups_text(self, user_seqs: Sequence[int]) -> dict[int, str]:
        """For each user that has any, the direct and indirect groups as JSON text, joined by commas."""
        found: dict[int, list[str]] = {}
        for user_seq, reference, direct in self._connection.execute(_GROUPS_OF, (json.dumps(user_seqs),)):
            kind = "direct" if direct else "indirect"
            found.setdefault(user_seq, []).append(f'{{{reference},"type":"{kind}"}}')
        return {user_seq: ",".join(parts) for user_seq, parts in found.items()}

    def find_members(self, identifiers: Iterable[str]) -> dict[str, MemberRow]:
        """The resources with those ids."""
        rows = self._connection.execute(
            "SELECT id, seq, kind FROM resources WHERE id IN (SELECT value FROM json_each(?))",
            (encode_json(list(identifiers)),),
        )
        return {row[0]: MemberRow._make(row) for row in rows}

    def members(self, group_seq: int) -> dict[int, str | None]:
        """The members of a group, with the name to show where a client gave one."""
        rows = self._connection.execute("SELECT member_seq, display FROM members WHERE group_seq = ?", (group_seq,))
        return {seq: None if display is None else json.loads(display) for seq, display in rows}

    def is_member(self, group_seq: int, member_seq: int) -> bool:
        """Whether a group has a member."""
        row = self._connection.execute(
            "SELECT 1 FROM members WHERE group_seq = ? AND member_seq = ?", (group_seq, member_seq)
        ).fetchone()
        return row is not None

    def change_members(self, group_seq: int, added: Mapping[int, str | None], removed: Iterable[int]) -> None:
        """Add members, with the name to show where the client gave one, and remove members.

        The caller gives the group its new version.
        """
        self._connection.executemany(
            "DELETE FROM members WHERE group_seq = ? AND member_seq = ?", [(group_seq, seq) for seq in removed]
        )
        self._connection.executemany(
            "INSERT OR IGNORE INTO members (group_seq, member_seq, display) VALUES (?, ?, ?)",
            [(group_seq, seq, None if name is None else encode_json(name)) for seq, name in added.items()],
        )

    def group_seqs(self, seqs: Iterable[int]) -> list[int]:
        """Those of some resources that are groups."""
        rows = self._connection.execute(
            "SELECT seq FROM resources WHERE seq IN (SELECT value FROM json_each(?)) AND kind = 'Group'",
            (json.dumps(list(seqs)),),
        )
        return [seq for (seq,) in rows]

    def groups_named(self, name: str) -> list[Record]:
        """The groups that have `name` as id or, without regard to case, as displayName."""
        rows = self._connection.execute(
            _SELECT + "resources WHERE kind = 'Group' AND (id = ? OR display_name = ?)", (name, fold(name))
        )
        return [Record._make(row) for row in rows]

    def chain_above(self, group_seq: int, limit: int) -> int:
        """The groups on the longest chain from a group to what it is in, itself included; stops behind `limit`."""
        return self._number(_CHAIN_ABOVE, group_seq, limit)

    def chain_below(self, group_seq: int, limit: int) -> int:
        """The groups on the longest chain from a group to what is in it, itself included; stops behind `limit`."""
        return self._number(_CHAIN_BELOW, group_seq, limit)

    @property
    def licences_used(self) -> int:
        """How many licences are assigned."""
        return self._licences

    def has_licence(self, user_seq: int) -> bool:
        """Whether a user has a licence."""
        return self._number("SELECT count(*) FROM licences WHERE user_seq = ?", user_seq) > 0

    def assign_licence(self, user_seq: int) -> None:
        """Give a licence to a user who has none."""
        self._connection.execute("INSERT INTO licences (user_seq) VALUES (?)", (user_seq,))
        self._licences += 1

    def release_licence(self, user_seq: int) -> bool:
        """Take the licence from a user; says whether there was one."""
        released = self._connection.execute("DELETE FROM licences WHERE user_seq = ?", (user_seq,)).rowcount
        self._licences -= released
        return released > 0

    def read_state(self, key: str) -> str | None:
        """A value that is no resource, such as the ServiceProviderConfig document."""
        row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def write_state(self, key: str, value: str) -> None:
        """Keep a value that is no resource."""
        self._connection.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def _next_version(self) -> int:
        self._changes += 1
        return self._changes

    def _count_licences(self) -> int:
        return self._number("SELECT count(*) FROM licences")

    def _number(self, query: str, *parameters: int) -> int:
        number: int = self._connection.execute(query, parameters).fetchone()[0]
        return number

    def _one(self, query: str, *parameters: str) -> Record | None:
        row = self._connection.execute(query, parameters).fetchone()
        return Record._make(row) if row else None


def _connect(path: str | None) -> sqlite3.Connection:
    """Open and, if new, prepare the database; a file belongs to one process at a time."""
    connection = None
    try:
        connection = sqlite3.connect(path or ":memory:", timeout=1, isolation_level=None, check_same_thread=False)
        _prepare(connection)
    except sqlite3.Error as error:
        if connection:
            connection.close()
        raise DataFileError(path or ":memory:", str(error)) from error
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    (application, layout) = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _MARKS)
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and (application, layout) != tuple(_MARKS.values()):
        raise sqlite3.DatabaseError("it is not the data of a sandbox of this version")
    for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
        connection.execute(f"PRAGMA {setting}")
    for name, value in _MARKS.items():
        connection.execute(f"PRAGMA {name} = {value}")
    connection.executescript(_TABLES)


def encode_body(kind: ResourceKind, identifier: str, attributes: dict[str, Any]) -> str:
    """The stored text of a resource; `schemas` lists the core schema and the extensions that are there."""
    extensions = [name for name in attributes if name[:4].lower() == "urn:"]
    return encode_json({"schemas": [kind.schema.id, *extensions], "id": identifier, **attributes})


def _keys(attributes: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    user_name, display_name = attributes.get("userName"), attributes.get("displayName")
    return (
        fold(user_name) if user_name is not None else None,
        fold(display_name) if display_name is not None else None,
        attributes.get("externalId"),
    )


def _display(attributes: dict[str, Any]) -> str:
    """The name under which `members` and `groups` show this resource, as JSON text."""
    return encode_json(attributes.get("displayName") or attributes.get("userName"))


def _transaction_words(depth: int) -> tuple[str, str, tuple[str, ...]]:
    if depth == 0:
        return "BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",)
    name = f"level_{depth}"
    return f"SAVEPOINT {name}", f"RELEASE {name}", (f"ROLLBACK TO {name}", f"RELEASE {name}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
