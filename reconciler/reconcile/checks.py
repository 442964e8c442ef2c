"""One check of an examination, in plain words: what works, what is missing, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How one check came out."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check in plain words. `next` says what to do, or what the reconciler does about it by itself.

    `needed` is set where no plan can be made without it.
    """

    subject: str
    state: State
    says: str
    next: str | None = None
    needed: bool = True


def ok(subject: str, says: str) -> Check:
    """It works."""
    return Check(subject=subject, state=State.OK, says=says)


def wrong(subject: str, says: str, next_: str | None) -> Check:
    """It is there, and stands in the way of a plan."""
    return Check(subject=subject, state=State.WRONG, says=says, next=next_)


def limited(subject: str, state: State, says: str, next_: str | None) -> Check:
    """It is not as it could be, and a plan works all the same."""
    return Check(subject=subject, state=state, says=says, next=next_, needed=False)


def skipped(subjects: Sequence[str], why: str) -> Iterator[Check]:
    """What could not be looked at, because of something else."""
    for subject in subjects:
        yield Check(subject=subject, state=State.SKIPPED, says=why)
