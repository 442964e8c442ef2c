"""What was asked of the tenant, for tests that count requests; bounded, so that a benchmark cannot fill the memory."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

_KEPT = 10_000


class RequestLog:
    """The last requests, and how many there were of each method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._by_method: Counter[str] = Counter()

    def add(
        self,
        *,
        method: str,
        path: str,
        query: str,
        status: int,
        bytes_in: int,
        operations: int,
        fault: str | None = None,
    ) -> None:
        """Note one request: `status` is 0 where it got no answer, `operations` counts those inside a bulk request."""
        with self._lock:
            self._by_method[method] += 1
            entry = {
                "n": self._by_method.total(),
                "method": method,
                "path": path,
                "query": query,
                "status": status,
                "bytesIn": bytes_in,
                "operations": operations,
            }
            self._entries.append(entry if fault is None else {**entry, "fault": fault})

    def clear(self) -> None:
        """Forget everything and count from 1 again."""
        with self._lock:
            self._entries.clear()
            self._by_method.clear()

    def to_json(self) -> dict[str, Any]:
        """The log as `/_sandbox/requests` shows it."""
        with self._lock:
            total = self._by_method.total()
            return {"requests": list(self._entries), "total": total, "byMethod": dict(self._by_method)}
