"""People whom git names and the tenant does not have yet, and those it has otherwise than git says. Pure.

Under `people: external` somebody else creates, suspends and renames people (SPEC sections 3 and 4): what git wants for
them waits, and every plan says for whom and what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.model.plan import Finding
from reconciler.model.resource import DesiredUser, Kind, LiveUser, Reference, ResourceKey, unpack
from reconciler.planner.matching import Match
from reconciler.semantics.canonical import fold

_NAMES_TOLD = 10


@dataclass(frozen=True, slots=True)
class Expected:
    """The documents of users who are still to come from elsewhere, by what references call them."""

    documents: Sequence[DesiredUser]
    by_name: Mapping[str, DesiredUser]
    by_external_id: Mapping[str, DesiredUser]

    def document_of(self, reference: Reference) -> DesiredUser | None:
        """The document that a reference means, or None where git has none for it."""
        if reference.name is not None:
            return self.by_name.get(fold(reference.name))
        return self.by_external_id.get(reference.external_id or "")

    def name_of(self, reference: Reference) -> str:
        """What plans call whom a reference means."""
        document = self.document_of(reference)
        return str(reference) if document is None else document.user_name


NOBODY_EXPECTED = Expected((), {}, {})
"""Where git creates the people it names, nobody is waited for."""


def expected_people(documents: Sequence[DesiredUser]) -> Expected:
    """The documents that match no live user, where git does not create users."""
    return Expected(
        documents=documents,
        by_name={fold(document.user_name): document for document in documents},
        by_external_id={document.external_id: document for document in documents if document.external_id is not None},
    )


@dataclass(slots=True)
class _Pending:
    """One person who is to come; without a name where git knows an externalId only."""

    label: str
    key: ResourceKey | None
    waits: list[str]
    somebody_else: list[str] = field(default_factory=list)


def pending_findings(
    expected: Expected,
    references: Iterable[tuple[Reference, ResourceKey]],
    live: Iterable[LiveUser],
    *,
    complete: bool,
) -> list[Finding]:
    """One finding for each person who is to come, with all that waits for them.

    `references` are the names that mean nobody yet, each with the group that names it; `complete` says whether the list
    of live users was read completely.
    """
    people = {fold(document.user_name): _declared(document) for document in expected.documents}
    for reference, group in sorted(references, key=lambda named: (fold(named[1].name), str(named[0]))):
        label = expected.name_of(reference)
        is_name = reference.name is not None or expected.document_of(reference) is not None
        key = ResourceKey(Kind.USER, label) if is_name else None
        people.setdefault(fold(label), _Pending(label, key, [])).waits.append(f"group {group.name}")
    for user in live if people else ():
        if (namesake := people.get(fold(user.user_name))) is not None:
            namesake.somebody_else.append(f"externalId {user.external_id}")
    absent = "not in the tenant yet" if complete else "not found, in a list of users that is not complete"
    return [_described(person, absent) for _, person in sorted(people.items())]


def _described(person: _Pending, absent: str) -> Finding:
    said = [absent if person.key is not None else f"{person.label} is {absent}"]
    if person.somebody_else:  # an address that was given to somebody else is no way to access
        said.append(f"the user of that name is somebody else ({', '.join(sorted(person.somebody_else))})")
    if person.waits:
        said.append(f"waits: {', '.join(dict.fromkeys(person.waits))}")
    return Finding(code="pending", message="; ".join(said), key=None if person.key is None else str(person.key))


def _declared(document: DesiredUser) -> _Pending:
    """A person with a document of their own, and the access that it states."""
    body = unpack(document.body)
    waits = [
        f"{word} {element['value']}"
        for word, path in (("role", "roles"), ("entitlement", "entitlements"))
        for element in body.get(path) or ()
    ]
    return _Pending(document.user_name, document.key, waits + [f"group {name}" for name in document.groups])


def as_the_tenant_calls_them(
    matches: Sequence[Match[DesiredUser, LiveUser]],
) -> tuple[tuple[Match[DesiredUser, LiveUser], ...], dict[str, str]]:
    """The documents that have a live user, under the userName of the tenant; and their own names where they differ.

    Git renames nobody who comes from elsewhere, so plans name people as reviewers find them in the tenant.
    """
    found: list[Match[DesiredUser, LiveUser]] = []
    former: dict[str, str] = {}
    for match in matches:
        if match.live is None:
            continue
        name = match.desired.user_name
        if fold(name) != fold(match.live.user_name):
            former[name] = match.live.id
        found.append(Match(replace(match.desired, user_name=match.live.user_name), match.live))
    return tuple(found), former


def divergence_findings(
    former: Mapping[str, str], named: Iterable[str], users: Mapping[str, LiveUser]
) -> list[Finding]:
    """People whom git calls otherwise than the tenant (`former`), and those of the `named` whom it has suspended."""
    findings = [
        Finding(
            code="renamed",
            message=f"git calls this person {name}; nobody is renamed from here, so write the name of now",
            key=str(users[id_].key),
        )
        for name, id_ in former.items()
    ]
    findings += [
        Finding(
            code="inactive",
            message="inactive in the tenant; what git gives has no effect meanwhile",
            key=str(users[id_].key),
        )
        for id_ in named
        if users[id_].active is False
    ]
    return sorted(findings, key=lambda finding: (finding.code, finding.key or ""))


def in_short(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - _NAMES_TOLD:,} more" if len(names) > _NAMES_TOLD else ""
    return ", ".join(names[:_NAMES_TOLD]) + more
