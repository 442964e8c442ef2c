"""A service that keeps failing is left alone (cxone.md section 10)."""

from reconciler.transport.breaker import CircuitBreaker
from tests.fakes.clock import FakeClock


def _failing(clock: FakeClock, times: int) -> CircuitBreaker:
    breaker = CircuitBreaker(clock)
    for _ in range(times):
        breaker.record(success=False)
    return breaker


def test_five_failures_in_a_row_open_the_breaker() -> None:
    """Four do not."""
    assert not _failing(FakeClock(), 4).is_open
    assert _failing(FakeClock(), 5).is_open


def test_a_success_starts_the_count_again() -> None:
    """Only failures in a row count."""
    breaker = _failing(FakeClock(), 4)
    breaker.record(success=True)
    breaker.record(success=False)
    assert not breaker.is_open


def test_after_half_a_minute_one_more_failure_is_needed_to_keep_it_open() -> None:
    """It lets requests through again, and the next failure opens it for another half minute."""
    clock = FakeClock()
    breaker = _failing(clock, 5)
    clock.now += 30
    assert not breaker.is_open
    breaker.record(success=False)
    assert breaker.is_open
