"""So many requests a minute and no more (cxone.md section 9): what comes too early is answered 429."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from reconciler.sandbox.errors import too_many_requests

_MINUTE = 60.0


class RateLimit:
    """Counts requests over the last minute, by the clock of the tenant. Safe to use from several threads."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float]) -> None:
        """`per_minute` None is no limit."""
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._answered: deque[float] = deque()

    def check(self) -> None:
        """Count one request; raises 429 with `Retry-After` in seconds when it is one too many, which does not count."""
        if self._per_minute is None:
            return
        with self._lock:
            now = self._clock()
            while self._answered and now - self._answered[0] >= _MINUTE:
                self._answered.popleft()
            if len(self._answered) >= self._per_minute:
                raise too_many_requests(str(math.ceil(self._answered[0] + _MINUTE - now)))
            self._answered.append(now)

    def forget(self) -> None:
        """Begin a new minute."""
        with self._lock:
            self._answered.clear()
