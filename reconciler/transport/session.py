"""Sending requests to a tenant: bindings, rate, retries, read-only mode, and limits on what comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Self
from urllib.parse import urlsplit

from requests import Request as Unprepared
from requests import Response as Answer
from requests import Session, exceptions
from urllib3.exceptions import DecodeError
from urllib3.exceptions import HTTPError as Urllib3Error

import reconciler
from reconciler.errors import ConfigurationError, ReadOnlyViolation, ScimMalformed, ScimUnreachable
from reconciler.transport.breaker import CircuitBreaker
from reconciler.transport.exchange import Request, Response
from reconciler.transport.hosts import Bindings, check_binding
from reconciler.transport.limiter import RateLimiter
from reconciler.transport.retry import (
    TOO_MANY_REQUESTS,
    TRANSIENT,
    Attempts,
    Failure,
    RetryPolicy,
    next_wait,
    parse_http_date,
    parse_retry_after,
)
from reconciler.transport.tokens import FORM, TokenSource, redact
from reconciler.transport.unreachable import CertificateRefused, unreachable

__all__ = ["HttpTransport", "Request", "Response", "RetryEvent"]

_CHUNK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEvent:
    """A request that is about to be sent again, in `wait` seconds. `path` has no query: it could hold personal data."""

    method: str
    path: str
    reason: str
    attempt: int
    wait: float


class HttpTransport:
    """Sends requests for one tenant. Safe to use from several threads; every connection serves one at a time.

    Credentials go only to bound origins, over TLS that is verified, and never along a redirect. Proxies, `.netrc` and
    certificate settings of the environment are ignored: what is sent where is decided by tenant.yaml and the bindings
    alone. Cookies are not kept.

    `read_only` lets nothing through that could write (SPEC P1). A transport with a `token_url` is for asking tokens: a
    form posted to exactly that URL passes it, too.

    `clock` returns seconds that never run backwards, `sleep` waits, `random` draws from 0..1. `timeout` is (connect,
    read) in seconds; `deadline` bounds one attempt as a whole, against answers that drip; `max_body_bytes` bounds an
    answer after decompression.
    """

    def __init__(
        self,
        tenant_name: str,
        bindings: Bindings,
        token_source: TokenSource,
        limiter: RateLimiter,
        *,
        read_only: bool,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        random: Callable[[], float],
        on_retry: Callable[[RetryEvent], object] | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        deadline: float = 300.0,
        max_body_bytes: int = 64 * 1024 * 1024,
        policy: RetryPolicy | None = None,
        token_url: str | None = None,
    ) -> None:
        self._tenant = tenant_name
        self._bindings = bindings
        self._tokens = token_source
        self._limiter = limiter
        self._read_only = read_only
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._on_retry = on_retry
        self._timeout = timeout
        self._deadline = deadline
        self._max_body_bytes = max_body_bytes
        self._policy = policy or RetryPolicy()
        self._token_url = token_url
        self._breaker = CircuitBreaker(clock)
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._requests = 0
        self._retries = 0

    @property
    def requests(self) -> int:
        """Requests sent so far; one that was sent again counts once."""
        return self._requests

    @property
    def retries(self) -> int:
        """How often a request was sent again."""
        return self._retries

    @property
    def token_source(self) -> TokenSource:
        """Where the credentials of this transport come from."""
        return self._tokens

    def send(self, request: Request) -> Response:
        """Send a request, again where that is safe, and return the final answer, which may be an error or a redirect.

        A 401 is answered once with fresh credentials, where there can be any (cxone.md section 10).

        Raises ReadOnlyViolation and ConfigurationError before anything is sent, ScimUnreachable where no answer came
        (its `maybe_sent` is False only if no attempt can have arrived), ScimMalformed for an answer that is no HTTP
        body or too large. Both of the latter leave the outcome of a write unknown.
        """
        self._check(request)
        with self._lock:
            self._requests += 1
        progress = _Progress()
        response = self._send_with_retries(request, progress)
        if response.status == 401 and self._tokens.refresh(progress.authorization):
            self._count_retry(RetryEvent(method=request.method, path=_path(request), reason="401", attempt=1, wait=0.0))
            response = self._send_with_retries(request, progress)
        return response

    def redact(self, text: str) -> str:
        """The text without this tenant's secrets, for what a service echoes in its errors."""
        return redact(text, self._tokens.secrets())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _check(self, request: Request) -> None:
        if self._read_only and not _only_reads(request) and not self._asks_for_token(request):
            raise ReadOnlyViolation(
                f"{request.method} {_path(request)} was held back: this command may not write",
                hint="this is a bug in the reconciler; nothing was sent",
            )
        check_binding(self._tenant, request.url, self._bindings)

    def _asks_for_token(self, request: Request) -> bool:
        """The one POST that a preview may send (SPEC P1): a form, to exactly the URL that tokens come from."""
        is_form = request.headers.get("Content-Type") == FORM
        return request.method == "POST" and is_form and request.url == self._token_url

    def _send_with_retries(self, request: Request, progress: _Progress) -> Response:
        so_far = Attempts()
        while True:
            self._check_breaker(progress)
            self._limiter.acquire()
            self._authorize(progress)
            outcome = self._attempt(request, progress.authorization)
            failure = _failure(outcome)
            if failure is None:
                self._breaker.record(success=True)
                return _answer(outcome)
            progress.arrived = progress.arrived or failure.maybe_sent
            policy = request.policy or self._policy
            wait = next_wait(policy, failure, so_far, idempotent=request.idempotent, jitter=self._random())
            if wait is None:
                return self._give_up(outcome, failure, maybe_sent=progress.arrived)
            attempt = so_far.transient + so_far.throttled + 1
            self._count_retry(
                RetryEvent(
                    method=request.method, path=_path(request), reason=_reason(outcome), attempt=attempt, wait=wait
                )
            )
            if failure.status == TOO_MANY_REQUESTS:
                self._limiter.pause(wait)
                so_far = Attempts(
                    transient=so_far.transient, throttled=so_far.throttled + 1, waited=so_far.waited + wait
                )
            else:
                self._sleep(wait)
                so_far = Attempts(
                    transient=so_far.transient + 1, throttled=so_far.throttled, waited=so_far.waited + wait
                )

    def _give_up(self, outcome: Response | ScimUnreachable, failure: Failure, *, maybe_sent: bool) -> Response:
        self._breaker.record(success=failure.status == TOO_MANY_REQUESTS)
        if isinstance(outcome, Response):
            return outcome
        outcome.maybe_sent = maybe_sent
        raise outcome

    def _authorize(self, progress: _Progress) -> None:
        """Take the credentials of now: those of the first attempt may have expired while it was waited."""
        try:
            progress.authorization = self._tokens.header()
        except ScimUnreachable as error:
            error.maybe_sent = progress.arrived  # it speaks of the token request, and is about this one
            raise

    def _check_breaker(self, progress: _Progress) -> None:
        if self._breaker.is_open:
            raise ScimUnreachable(
                f"not sent: the last {self._breaker.failures} requests failed",
                maybe_sent=progress.arrived,
                hint="the service seems to be down; run the command again later",
            )

    def _count_retry(self, event: RetryEvent) -> None:
        with self._lock:
            self._retries += 1
        if self._on_retry is not None:
            self._on_retry(event)

    def _attempt(self, request: Request, authorization: str | None) -> Response | ScimUnreachable:
        """One attempt. The request is built anew each time, so that a body is never half consumed (cxone.md C1)."""
        headers = {
            "User-Agent": f"scim-reconciler/{reconciler.__version__}",
            "Accept-Encoding": "gzip",
            **request.headers,
        }
        if authorization is not None:
            headers["Authorization"] = authorization
        started = self._clock()
        with self._session() as session:
            try:
                prepared = session.prepare_request(
                    Unprepared(request.method, request.url, headers=headers, data=request.body)
                )
                check_binding(self._tenant, prepared.url or "", self._bindings)
                answer = session.send(
                    prepared, stream=True, timeout=self._timeout, allow_redirects=False, verify=True, proxies={}
                )
            except exceptions.InvalidHeader:
                raise ConfigurationError("a header value holds characters that HTTP does not allow") from None
            except exceptions.RequestException as error:
                return unreachable(request.method, request.url, error)
            try:
                body = self._read_body(request, answer, started)
            except DecodeError:
                raise ScimMalformed(
                    f"the answer to {request.method} {_path(request)} is not compressed as it says"
                ) from None
            except (Urllib3Error, OSError) as error:
                return unreachable(request.method, request.url, error)
            finally:
                answer.close()
        headers_seen = {name.lower(): value for name, value in answer.headers.items()}
        return Response(status=answer.status_code, headers=headers_seen, body=body)

    def _read_body(self, request: Request, answer: Answer, started: float) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := answer.raw.read1(_CHUNK, decode_content=True):
            size += len(piece)
            if size > self._max_body_bytes:
                raise ScimMalformed(
                    f"the answer to {request.method} {_path(request)} is larger than {self._max_body_bytes} bytes"
                )
            if self._clock() - started > self._deadline:
                raise TimeoutError("the answer did not end in time")
            pieces.append(piece)
        return b"".join(pieces)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or _new_session()
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append(session)


@dataclass(slots=True)
class _Progress:
    """What has become of one request: whether an attempt may have arrived, and the credentials of the last one."""

    arrived: bool = False
    authorization: str | None = field(default=None, repr=False)


def _new_session() -> Session:
    session = Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return session


def _only_reads(request: Request) -> bool:
    """GET, HEAD, and queries by POST (RFC 7644 section 3.4.3)."""
    return request.method in {"GET", "HEAD"} or (
        request.method == "POST" and urlsplit(request.url).path.endswith("/.search")
    )


def _failure(outcome: Response | ScimUnreachable) -> Failure | None:
    if isinstance(outcome, CertificateRefused):
        raise outcome
    if isinstance(outcome, ScimUnreachable):
        return Failure(status=None, maybe_sent=outcome.maybe_sent)
    if outcome.status == TOO_MANY_REQUESTS or outcome.status in TRANSIENT:
        now = parse_http_date(outcome.header("date"))
        return Failure(
            status=outcome.status,
            maybe_sent=outcome.status != TOO_MANY_REQUESTS,  # 429 says that nothing was done
            retry_after=parse_retry_after(outcome.header("retry-after"), now),
        )
    return None


def _answer(outcome: Response | ScimUnreachable) -> Response:
    if isinstance(outcome, ScimUnreachable):
        raise outcome
    return outcome


def _reason(outcome: Response | ScimUnreachable) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else outcome.message


def _path(request: Request) -> str:
    return urlsplit(request.url).path
