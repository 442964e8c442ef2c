"""Several requests under way at once, their results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_AHEAD = 2
"""Jobs handed out per worker before the first result is taken."""


def read_ahead(fetch: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int) -> Iterator[_Result]:
    """`fetch(job)` for each job, in the order of `jobs`, with up to `workers` threads at work.

    What a fetch raises is raised here in its turn. Whoever stops taking results also stops the fetching, but for what
    is under way. The threads are daemons: an interrupted program does not wait for answers nobody wants any more.
    """
    crew = _Crew(fetch, workers)
    pending: deque[Future[_Result]] = deque()
    remaining = iter(jobs)
    try:
        while True:
            while len(pending) < workers * _AHEAD and (job := next(remaining, None)) is not None:
                pending.append(crew.submit(job))
            if not pending:
                return
            yield pending.popleft().result()
    finally:
        crew.dismiss()


class _Crew(Generic[_Job, _Result]):
    """Threads that start when there is work for them and end when dismissed."""

    def __init__(self, fetch: Callable[[_Job], _Result], workers: int) -> None:
        self._fetch = fetch
        self._workers = workers
        self._queue: SimpleQueue[tuple[_Job, Future[_Result]] | None] = SimpleQueue()
        self._started = 0
        self._dismissed = False

    def submit(self, job: _Job) -> Future[_Result]:
        future: Future[_Result] = Future()
        self._queue.put((job, future))
        if self._started < self._workers:
            self._started += 1
            threading.Thread(target=self._work, name=f"read-ahead-{self._started}", daemon=True).start()
        return future

    def dismiss(self) -> None:
        self._dismissed = True
        for _ in range(self._started):
            self._queue.put(None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            if self._dismissed:
                continue
            job, future = task
            try:
                future.set_result(self._fetch(job))
            except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits for the result
                future.set_exception(error)
