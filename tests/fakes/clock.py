"""Time that passes only when somebody sleeps."""

import threading


class FakeClock:
    """`clock()` tells the time, `clock.sleep(seconds)` lets it pass; `slept` keeps every wait in order."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Return at once, `seconds` later."""
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds
