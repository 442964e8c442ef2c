"""Exit codes (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """What the process tells its caller."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    INVALID = 3
    REFUSED = 4
    STALE = 5
    PARTLY = 6
    USAGE = 64
    INTERRUPTED = 130


_PRECEDENCE = (
    Exit.INTERRUPTED,
    Exit.PARTLY,
    Exit.ERROR,
    Exit.USAGE,
    Exit.INVALID,
    Exit.REFUSED,
    Exit.STALE,
    Exit.CHANGES,
    Exit.DONE,
)


def worst(exits: Iterable[Exit]) -> Exit:
    """The code for several tenants: the first of 130, 6, 1, 64, 3, 4, 5, 2, 0 that occurred."""
    occurred = set(exits)
    return next((code for code in _PRECEDENCE if code in occurred), Exit.DONE)
