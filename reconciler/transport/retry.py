"""When a request is sent again, and after how long. Pure: the transport does the waiting.

Rules: cxone.md section 10 with D22 and D23. What was certainly not sent, and 429, may always be repeated; a 5xx answer
or a lost connection only where repeating cannot do a thing twice (SPEC P5).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

TOO_MANY_REQUESTS = 429
TRANSIENT = frozenset({500, 502, 503, 504})

_LONGEST_WAIT = 86_400.0
_DELTA_SECONDS = re.compile(r"\s*\+?(\d+)(\.\d+)?\s*")


def parse_retry_after(value: str | None, now: float | None) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110 section 10.2.3), or None where it says nothing usable.

    Both forms are read, numbers with a fraction too. `now` is the service's own time, in seconds since the epoch, from
    the `Date` header of the same answer, so that a wrong clock on either side does no harm; without it the date form
    says nothing. A moment in the past is 0, and more than a day is a day.
    """
    if value is None:
        return None
    if match := _DELTA_SECONDS.fullmatch(value[:40]):
        return min(float(match.group(1) + (match.group(2) or "")), _LONGEST_WAIT)
    until = parse_http_date(value)
    if until is None or now is None:
        return None
    return min(max(0.0, until - now), _LONGEST_WAIT)


def parse_http_date(value: str | None) -> float | None:
    """Seconds since the epoch for an HTTP date, or None."""
    if value is None:
        return None
    try:
        seconds = parsedate_to_datetime(value[:64]).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return seconds if math.isfinite(seconds) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient to be with one request; waits in seconds.

    `transient` bounds repeats after 5xx answers and lost connections, `throttled` those after 429. `longest_wait` is
    what all waits of one request may add up to: a service that asks for more is not waited for.
    """

    transient: int = 3
    throttled: int = 10
    base: float = 2.0
    cap: float = 60.0
    longest_wait: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What has happened to one request so far; `waited` in seconds."""

    transient: int = 0
    throttled: int = 0
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How one attempt failed. `status` is None where no answer came; `maybe_sent` False where it never left."""

    status: int | None
    maybe_sent: bool = True
    retry_after: float | None = None


def next_wait(
    policy: RetryPolicy, failure: Failure, so_far: Attempts, *, idempotent: bool, jitter: float
) -> float | None:
    """Seconds to wait before the next attempt, or None where there must be none.

    `so_far` counts the attempts before this failure; `jitter` is a random number in 0..1. `Retry-After` is obeyed, else
    the wait is drawn evenly from 0 to a limit that doubles each time (full jitter).
    """
    if failure.status == TOO_MANY_REQUESTS:
        round_, allowed = so_far.throttled, policy.throttled
    elif failure.status is None or failure.status in TRANSIENT:
        if failure.maybe_sent and not idempotent:
            return None
        round_, allowed = so_far.transient, policy.transient
    else:
        return None
    if round_ >= allowed:
        return None
    wait = failure.retry_after
    if wait is None:
        wait = jitter * min(policy.cap, policy.base * 2.0 ** min(round_, 32))
    return wait if so_far.waited + wait <= policy.longest_wait else None
