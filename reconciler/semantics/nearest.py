"""Did you mean ...? The known name that is closest to one that is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from reconciler.semantics.canonical import fold


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The closest known name, or None where none is close enough to be a slip."""
    spellings = {fold(candidate): candidate for candidate in known}
    close = get_close_matches(fold(name), spellings, n=1, cutoff=0.75)
    return spellings[close[0]] if close else None
