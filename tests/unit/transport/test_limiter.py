"""One rate per tenant, whatever the number of threads (cxone.md section 9)."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ConfigurationError
from reconciler.transport.limiter import RateLimiter
from tests.fakes.clock import FakeClock


def _times(per_minute: int, gaps: list[float]) -> list[float]:
    """When each request is let through, if it is asked for `gap` seconds after the one before."""
    clock = FakeClock()
    limiter = RateLimiter(per_minute, clock=clock, sleep=clock.sleep)
    times = []
    for gap in gaps:
        clock.now += gap
        limiter.acquire()
        times.append(clock.now)
    return times


@given(st.integers(1, 120), st.lists(st.floats(0, 90, allow_nan=False), min_size=1, max_size=200))
def test_no_minute_ever_sees_more_than_the_rate(per_minute: int, gaps: list[float]) -> None:
    """A service that counts in any window of a minute, sliding or fixed, never has a reason for 429."""
    times = _times(per_minute, gaps)
    for first, last in zip(times, times[per_minute:], strict=False):
        assert last - first >= 60


def test_a_short_run_does_not_wait_and_a_long_one_gets_the_whole_rate() -> None:
    """A quarter of a minute's worth goes at once; ten minutes carry ten minutes' worth."""
    times = _times(100, [0.0] * 1000)
    assert times[24] == pytest.approx(times[0])
    assert times[25] > times[0] + 0.5
    assert times[-1] - times[0] <= 10 * 61


@given(st.integers(1, 200))
def test_requests_are_spaced_and_never_come_in_one_burst(per_minute: int) -> None:
    """After the first quarter, requests come one by one."""
    times = _times(per_minute, [0.0] * per_minute)
    quarter = max(1, per_minute // 4)
    for one, next_ in zip(times[quarter:], times[quarter + 1 :], strict=False):
        assert next_ > one


def test_a_pause_holds_every_thread_back() -> None:
    """A 429 of one request is an answer to all of them (incident: okta provider #2166)."""
    clock = FakeClock()
    limiter = RateLimiter(60, clock=clock, sleep=clock.sleep)
    limiter.pause(30)
    limiter.pause(10)
    limiter.pause(-5)
    limiter.acquire()
    assert clock.now == 1030


def test_a_pause_that_comes_during_a_wait_is_obeyed_too() -> None:
    """A thread that already waits for its turn waits for the pause as well."""
    clock = FakeClock()

    def sleep(seconds: float) -> None:
        if not clock.slept:
            limiter.pause(seconds + 20)
        clock.sleep(seconds)

    limiter = RateLimiter(1, clock=clock, sleep=sleep)
    limiter.acquire()
    limiter.acquire()
    assert clock.now == 1000 + 61 + 20


def test_threads_share_the_rate() -> None:
    """Four threads get together what one would get: 120 requests at 60 a minute take more than a minute."""
    clock = FakeClock()
    limiter = RateLimiter(60, clock=clock, sleep=clock.sleep)

    def work() -> None:
        for _ in range(30):
            limiter.acquire()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now - 1000 >= 60


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_lets_nothing_through_is_an_error(rate: int) -> None:
    """It would wait for ever."""
    with pytest.raises(ConfigurationError):
        RateLimiter(rate, clock=FakeClock(), sleep=lambda _: None)
