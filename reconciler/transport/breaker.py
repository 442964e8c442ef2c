"""Stop asking a service that keeps failing (cxone.md section 10)."""

from __future__ import annotations

import threading
from collections.abc import Callable

_CONSECUTIVE = 5
_COOL_DOWN = 30.0


class CircuitBreaker:
    """Open after five requests in a row failed, each with all its retries; closed again by the first that succeeds.

    While open, nothing is sent for 30 seconds; then requests are tried again, and the next failure starts another 30.
    `clock` returns seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._opened = 0.0

    @property
    def failures(self) -> int:
        """How many requests in a row have failed."""
        return self._failures

    @property
    def is_open(self) -> bool:
        """Whether requests are held back at this moment."""
        return self._failures >= _CONSECUTIVE and self._clock() - self._opened < _COOL_DOWN

    def record(self, *, success: bool) -> None:
        """Note how a request ended."""
        with self._lock:
            self._failures = 0 if success else self._failures + 1
            self._opened = self._clock()
