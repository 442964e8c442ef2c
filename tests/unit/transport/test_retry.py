"""When a request is sent again (cxone.md section 10, D22, D23; SPEC P5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.transport.retry import (
    Attempts,
    Failure,
    RetryPolicy,
    next_wait,
    parse_http_date,
    parse_retry_after,
)

NOON = "Sun, 06 Nov 1994 12:00:00 GMT"
NOON_SECONDS = 784_123_200.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("99999999999999999999", 86_400.0),
        ("Sun, 06 Nov 1994 12:00:30 GMT", 30.0),
        ("Sunday, 06-Nov-94 12:00:30 GMT", 30.0),
        ("Sun Nov  6 12:00:30 1994", 30.0),
        ("Sun, 06 Nov 1994 11:00:00 GMT", 0.0),
        ("Sun, 06 Nov 2094 12:00:00 GMT", 86_400.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("5 seconds", None),
        ("0x10", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", 3.0),
        ("Sun, 99 Foo 1994 25:00:00 GMT", None),
        ("9" * 5000, 86_400.0),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    """Seconds or a date (RFC 9110 section 10.2.3); anything else says nothing (defects S6, G4)."""
    assert parse_retry_after(value, NOON_SECONDS) == seconds


def test_a_date_means_nothing_without_the_services_own_time() -> None:
    """Our clock may be wrong, so a date is only compared with the `Date` of the same answer."""
    assert parse_http_date(NOON) == NOON_SECONDS
    assert parse_retry_after(NOON, None) is None
    assert parse_retry_after("5", None) == 5.0


@given(st.text(max_size=60) | st.none(), st.floats(0, 1e10) | st.none())
def test_no_header_breaks_the_parser(value: str | None, now: float | None) -> None:
    """Whatever a service sends, the wait is None or between nothing and a day."""
    seconds = parse_retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 86_400


POLICY = RetryPolicy()


@pytest.mark.parametrize("status", [500, 502, 503, 504, None])
def test_what_may_have_arrived_is_repeated_only_where_that_is_harmless(status: int | None) -> None:
    """SPEC P5; defect P3: POST and PATCH replayed blindly create duplicates."""
    lost = Failure(status=status)
    assert next_wait(POLICY, lost, Attempts(), idempotent=False, jitter=1.0) is None
    assert next_wait(POLICY, lost, Attempts(), idempotent=True, jitter=1.0) == 2.0


def test_what_never_left_is_repeated_whatever_it_is() -> None:
    """A refused connection did nothing to the service."""
    failure = Failure(status=None, maybe_sent=False)
    assert next_wait(POLICY, failure, Attempts(), idempotent=False, jitter=1.0) == 2.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422, 501, 505, 200])
def test_r3_permanent_answers_are_not_repeated(status: int) -> None:
    """Defect R3: everything was retried, 400 and 403 included."""
    assert next_wait(POLICY, Failure(status=status), Attempts(), idempotent=True, jitter=1.0) is None


def test_r4_waits_grow_with_full_jitter_and_obey_the_header() -> None:
    """Defect R4: linear waits, no jitter, header ignored. D22: header, else 2 s doubling up to 60 s."""
    waits = [
        next_wait(POLICY, Failure(status=429), Attempts(throttled=n), idempotent=False, jitter=1.0) for n in range(7)
    ]
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    half = next_wait(POLICY, Failure(status=429), Attempts(throttled=1), idempotent=False, jitter=0.5)
    assert half == 2.0
    obeyed = next_wait(POLICY, Failure(status=503, retry_after=7.0), Attempts(), idempotent=True, jitter=1.0)
    assert obeyed == 7.0


def test_patience_ends() -> None:
    """Three repeats after failures, ten after 429, ten minutes in all (D23; defect S6: a loop without bound)."""
    assert next_wait(POLICY, Failure(status=503), Attempts(transient=3), idempotent=True, jitter=0.0) is None
    assert next_wait(POLICY, Failure(status=429), Attempts(throttled=10), idempotent=True, jitter=0.0) is None
    long = Failure(status=429, retry_after=601.0)
    assert next_wait(POLICY, long, Attempts(), idempotent=True, jitter=0.0) is None
    nearly = Attempts(throttled=1, waited=590.0)
    assert next_wait(POLICY, Failure(status=429, retry_after=11.0), nearly, idempotent=True, jitter=0.0) is None


@given(
    st.lists(st.tuples(st.sampled_from([429, 500, 503, None]), st.floats(0, 1), st.none() | st.floats(0, 86_400))),
    st.booleans(),
)
def test_every_request_ends(script: list[tuple[int | None, float, float | None]], idempotent: bool) -> None:
    """However a service fails, a request is sent at most 14 times and waits at most ten minutes."""
    so_far = Attempts()
    for status, jitter, retry_after in script * 20:
        wait = next_wait(
            POLICY, Failure(status=status, retry_after=retry_after), so_far, idempotent=idempotent, jitter=jitter
        )
        if wait is None:
            break
        throttled = status == 429
        so_far = Attempts(
            transient=so_far.transient + (not throttled),
            throttled=so_far.throttled + throttled,
            waited=so_far.waited + wait,
        )
    assert so_far.transient + so_far.throttled <= 13
    assert so_far.waited <= 600
