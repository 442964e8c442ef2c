"""Several requests at once, results in order."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.scim.readahead import read_ahead


@given(st.lists(st.integers(), max_size=30), st.integers(1, 8))
def test_results_come_in_the_order_of_the_jobs(jobs: list[int], workers: int) -> None:
    """SPEC P12: threads make no difference."""
    assert list(read_ahead(lambda job: job * 2, jobs, workers)) == [job * 2 for job in jobs]


def test_workers_work_at_the_same_time() -> None:
    """All four meet at a barrier, which one alone would never pass."""
    barrier = threading.Barrier(4)
    assert list(read_ahead(lambda _: barrier.wait(10) >= 0, range(8), 4)) == [True] * 8


def test_a_failure_is_raised_in_its_turn() -> None:
    """Results before it are handed out first."""

    def fetch(job: int) -> int:
        if job == 3:
            raise LookupError(job)
        return job

    results = read_ahead(fetch, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError):
        next(results)


def test_whoever_stops_listening_stops_the_fetching() -> None:
    """A service that lists for ever is not followed beyond what was already under way."""
    fetched: list[int] = []

    def fetch(job: int) -> int:
        fetched.append(job)
        return job

    results = read_ahead(fetch, iter(range(10**9)), 3)
    assert next(results) == 0
    del results
    assert len(fetched) <= 7


def test_no_jobs_start_no_threads() -> None:
    """Nothing to do, nothing done."""
    before = threading.active_count()
    assert list(read_ahead(lambda job: job, [], 4)) == []
    assert threading.active_count() == before
