"""Who is who: pairs what git declares with what lives (SPEC section 3). Pure; order of input never matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.errors import AmbiguousMatch
from reconciler.messages.operations import NAMED_BY
from reconciler.model.change import Action, Change
from reconciler.model.resource import DesiredGroup, DesiredUser, LiveGroup, LiveUser
from reconciler.semantics.canonical import Equivalences, fold
from reconciler.semantics.equivalences import stored_as

Desired = TypeVar("Desired", DesiredUser, DesiredGroup)
Live = TypeVar("Live", LiveUser, LiveGroup)
Found = TypeVar("Found", bound=LiveUser | LiveGroup)


@dataclass(frozen=True, slots=True)
class Match(Generic[Desired, Live]):
    """One document and the live resource it means, or None where there is none yet."""

    desired: Desired
    live: Live | None


@dataclass(frozen=True, slots=True)
class Index(Generic[Live]):
    """Live resources of one kind by what they can be found by, and what the service is known to make of such values."""

    by_id: Mapping[str, Live]
    by_external_id: Mapping[str, Sequence[Live]]
    by_name: Mapping[str, Sequence[Live]]
    equivalences: Equivalences


def name_of(resource: DesiredUser | DesiredGroup | LiveUser | LiveGroup) -> str:
    """The userName of a user, the displayName of a group."""
    return resource.user_name if isinstance(resource, DesiredUser | LiveUser) else resource.display_name


def index_live(resources: Iterable[Live], equivalences: Equivalences) -> Index[Live]:
    """An index over live resources; those that share a key are in order of id."""
    by_id: dict[str, Live] = {}
    by_external_id: dict[str, tuple[Live, ...]] = {}
    by_name: dict[str, tuple[Live, ...]] = {}
    for resource in sorted(resources, key=lambda resource: resource.id):
        alone = (resource,)  # hardly any key is shared: a tuple of one is the smallest container there is
        by_id[resource.id] = resource
        if resource.external_id is not None:
            earlier = by_external_id.get(resource.external_id)
            by_external_id[resource.external_id] = alone if earlier is None else earlier + alone
        name = fold(name_of(resource))
        namesakes = by_name.get(name)
        by_name[name] = alone if namesakes is None else namesakes + alone
    return Index(by_id, by_external_id, by_name, equivalences)


def find_live(change: Change, index: Index[Live]) -> Live | None:
    """The live resource a change is about: by id, else by anchor; for a create whatever matches it (SPEC section 3)."""
    if change.action is Action.CREATE:
        return matching_creation(change, _alike(change, index), index.equivalences)
    if change.id is not None:
        return index.by_id.get(change.id)
    anchor = change.anchor or ""
    anchored = {live.id: live for live in index.by_external_id.get(anchor, ())}
    if anchor in index.by_id:
        anchored[anchor] = index.by_id[anchor]
    if (
        len(anchored) > 1
    ):  # somebody's externalId is somebody else's id, or is there twice: the name decides, or nothing
        names = {fold(change.key.name), *_former_names(change)}
        anchored = {id_: live for id_, live in anchored.items() if fold(name_of(live)) in names}
    return next(iter(anchored.values())) if len(anchored) == 1 else None


def _former_names(change: Change) -> Iterable[str]:
    path = NAMED_BY.get(change.key.kind)
    return (fold(a.before) for a in change.attributes if a.path == path and isinstance(a.before, str))


def matching_creation(change: Change, candidates: Iterable[Found], equivalences: Equivalences) -> Found | None:
    """Of resources, the one that a create made or would duplicate: by externalId, else by name (SPEC section 3).

    One that has the name but another externalId is somebody else.
    """
    wanted = _external_ids(change, equivalences)
    names = {fold(name) for name in stored_as(NAMED_BY[change.key.kind], change.key.name, equivalences)}
    named = None
    for candidate in candidates:
        if candidate.external_id in wanted:
            return candidate
        is_other = wanted and candidate.external_id is not None
        if named is None and not is_other and fold(name_of(candidate)) in names:
            named = candidate
    return named


def _alike(change: Change, index: Index[Live]) -> list[Live]:
    return [
        live
        for attribute, value in identifiers_of(change, index.equivalences)
        for live in (
            index.by_external_id.get(value, ()) if attribute == "externalId" else index.by_name.get(fold(value), ())
        )
    ]


def identifiers_of(change: Change, equivalences: Equivalences) -> list[tuple[str, str]]:
    """(attribute, value) of all that identifies what a create makes: externalId where it states one, and the name.

    Each as git has it and as the service is known to store it.
    """
    name = NAMED_BY[change.key.kind]
    by_name = [(name, value) for value in stored_as(name, change.key.name, equivalences)]
    return [*(("externalId", value) for value in _external_ids(change, equivalences)), *by_name]


def _external_ids(change: Change, equivalences: Equivalences) -> tuple[str, ...]:
    stated = _stated_external_id(change)
    return () if stated is None else stored_as("externalId", stated, equivalences)


def _stated_external_id(change: Change) -> str | None:
    return next((a.after for a in change.attributes if a.path == "externalId" and isinstance(a.after, str)), None)


def match_all(desired: Sequence[Desired], live: Index[Live]) -> tuple[Match[Desired, Live], ...]:
    """A match for every document, in their order.

    Raises:
        AmbiguousMatch: two live candidates for one document, or one live resource wanted by two documents.

    """
    claimed_names = {fold(name_of(document)) for document in desired}
    matches: list[Match[Desired, Live]] = []
    problems: list[str] = []
    for document in desired:
        candidates = _candidates(document, live, claimed_names)
        if len(candidates) > 1:
            problems.append(f"{_place(document)} could mean {' or '.join(_described(c) for c in candidates)}")
        matches.append(Match(document, candidates[0] if candidates else None))
    problems += _claimed_twice(matches)
    if problems:
        raise AmbiguousMatch(
            "it is not clear who is who",
            context="\n".join(problems),
            hint="state the externalId of each document, or clean up the duplicates in the tenant",
        )
    return tuple(matches)


def match_leniently(desired: Sequence[Desired], live: Index[Live]) -> tuple[Match[Desired, Live], ...]:
    """A match for every document of a state that is not to be carried out; what is ambiguous matches nobody."""
    claimed_names = {fold(name_of(document)) for document in desired}
    return tuple(
        Match(document, candidates[0] if len(candidates) == 1 else None)
        for document in desired
        for candidates in (_candidates(document, live, claimed_names),)
    )


def _candidates(document: Desired, live: Index[Live], claimed_names: set[str]) -> list[Live]:
    found: dict[str, Live] = {}
    known = live.equivalences
    for value in stored_as("externalId", document.external_id, known) if document.external_id is not None else ():
        found |= {candidate.id: candidate for candidate in live.by_external_id.get(value, ())}
    for value in stored_as(NAMED_BY[document.key.kind], name_of(document), known):
        for candidate in live.by_name.get(fold(value), ()):
            if document.external_id is None or candidate.external_id is None:
                found[candidate.id] = candidate
    if not found and document.previously is not None:
        found = {candidate.id: candidate for candidate in _former(document, live, claimed_names)}
    return list(found.values())


def _former(document: Desired, live: Index[Live], claimed_names: set[str]) -> Iterable[Live]:
    """`previously` counts only if no live resource has the new name and no document claims the old one."""
    former = fold(document.previously or "")
    if former in claimed_names or live.by_name.get(fold(name_of(document))):
        return ()
    candidates = live.by_name.get(former, ())
    return [c for c in candidates if document.external_id is None or c.external_id is None]


def _claimed_twice(matches: Sequence[Match[Desired, Live]]) -> list[str]:
    owners: dict[str, Match[Desired, Live]] = {}
    problems = []
    for match in matches:
        if match.live is None:
            continue
        first = owners.setdefault(match.live.id, match)
        if first is not match:
            problems.append(f"{_place(first.desired)} and {_place(match.desired)} both mean {_described(match.live)}")
    return problems


def _place(document: DesiredUser | DesiredGroup) -> str:
    return f"{document.key} ({document.source.file}:{document.source.line})"


def _described(resource: LiveUser | LiveGroup) -> str:
    external = f", externalId {resource.external_id}" if resource.external_id is not None else ""
    return f"live {resource.key} (id {resource.id}{external})"
