"""The name that was probably meant, among a hundred thousand."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_CANDIDATES = 2_000
_MOST_QUESTIONS = 200
_PIECE = 3


class Nearest:
    """Answers which of many names is nearest to one that is not among them.

    Only names that begin or end like it (the part before an @) are compared, and only the first couple of hundred
    questions are answered: it is for messages, and must not cost more than what it helps to mend.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names
        self._pieces: dict[str, list[str]] | None = None
        self._questions = 0

    def to(self, name: str) -> str | None:
        """The nearest name, or None where nothing comes close."""
        self._questions += 1
        if self._questions > _MOST_QUESTIONS:
            return None
        if self._pieces is None:
            self._pieces = _by_piece(self._names)
        wanted = name.casefold()
        candidates: dict[str, str] = {}
        for piece in _pieces_of(wanted):
            for known in self._pieces.get(piece, ())[:_MOST_CANDIDATES]:
                candidates.setdefault(known.casefold(), known)
        close = get_close_matches(wanted, sorted(candidates), n=1, cutoff=0.75)
        return candidates[close[0]] if close else None


def _by_piece(names: Iterable[str]) -> dict[str, list[str]]:
    pieces: dict[str, list[str]] = {}
    for name in names:
        for piece in _pieces_of(name.casefold()):
            pieces.setdefault(piece, []).append(name)
    return pieces


def _pieces_of(name: str) -> tuple[str, str]:
    local = name.split("@", 1)[0]
    return "<" + local[:_PIECE], ">" + local[-_PIECE:]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The nearest of a few names, or None where nothing comes close."""
    return Nearest(known).to(name)
