"""One request rate for everything that talks to a tenant (cxone.md section 9)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from reconciler.errors import ConfigurationError

_MINUTE = 60.0
_WINDOW = 61.0
"""Seconds in which at most a minute's worth is sent. One more than the service counts in: requests sent a minute apart
may arrive a little closer together."""


class RateLimiter:
    """Lets through at most `per_minute` requests in any minute, whatever the number of threads.

    A quarter of a minute's worth may go at once, then requests are spaced evenly: a short run does not wait, and a long
    one gets the whole rate without ever filling the window in a burst. `clock` returns seconds that never run
    backwards; `sleep` waits for as many. Raises ConfigurationError for a rate below one.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        if per_minute < 1:
            raise ConfigurationError(f"a rate of {per_minute} requests per minute lets nothing through")
        self._interval = _MINUTE / per_minute
        self._tolerance = self._interval * (max(1, per_minute // 4) - 1)
        self._recent: deque[float] = deque(maxlen=per_minute)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._due = float("-inf")
        self._paused_until = float("-inf")

    def acquire(self) -> None:
        """Wait until the next request may be sent."""
        slot = self._reserve()
        while (wait := max(slot, self._paused_until) - self._clock()) > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Hold back every thread for `seconds`: the service said 429, and others would be told the same."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + max(0.0, seconds))

    def _reserve(self) -> float:
        with self._lock:
            slot = max(self._clock(), self._due - self._tolerance, self._paused_until)
            if len(self._recent) == self._recent.maxlen:
                slot = max(slot, self._recent[0] + _WINDOW)
            self._due = max(self._due, slot) + self._interval
            self._recent.append(slot)
            return slot
