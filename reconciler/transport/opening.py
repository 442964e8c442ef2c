"""The transports of one tenant: one for its services, and behind it one that can only ask for tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from reconciler.model.tenant import AuthType, Tenant
from reconciler.transport.hosts import Bindings
from reconciler.transport.limiter import RateLimiter
from reconciler.transport.retry import RetryPolicy
from reconciler.transport.session import HttpTransport, RetryEvent
from reconciler.transport.tokens import NoToken, TokenEndpoint, token_source_for

_TOKEN_TIMEOUT = (10.0, 30.0)
_TOKEN_DEADLINE = 60.0
_LARGEST_TOKEN_ANSWER = 1024 * 1024


@contextmanager
def open_transport(
    tenant: Tenant,
    environ: Mapping[str, str],
    bindings: Bindings,
    *,
    read_only: bool,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    random: Callable[[], float],
    on_retry: Callable[[RetryEvent], object] | None = None,
    policy: RetryPolicy | None = None,
) -> Iterator[HttpTransport]:
    """A transport with the credentials that tenant.yaml names; nothing is sent before the first request.

    Token requests share the tenant's rate and are not among the transport's `requests` (SPEC section 6). They go over
    a connection of their own, which lets nothing else but reads through.

    Raises:
        ConfigurationError: a secret is missing or cannot be sent.

    """
    limiter = RateLimiter(tenant.limits.requests_per_minute, clock=clock, sleep=sleep)
    token_url = tenant.endpoints.token_url if tenant.auth.type is AuthType.OAUTH2 else None
    with HttpTransport(
        tenant.name,
        bindings,
        NoToken(),
        limiter,
        read_only=True,
        clock=clock,
        sleep=sleep,
        random=random,
        on_retry=on_retry,
        timeout=_TOKEN_TIMEOUT,
        deadline=_TOKEN_DEADLINE,
        max_body_bytes=_LARGEST_TOKEN_ANSWER,
        policy=policy,
        token_url=token_url,
    ) as tokens:
        endpoint = None
        if token_url is not None:
            endpoint = TokenEndpoint(
                url=token_url, client_auth=tenant.dialect.client_auth, send=tokens.send, clock=clock
            )
        with HttpTransport(
            tenant.name,
            bindings,
            token_source_for(tenant.auth, environ, endpoint),
            limiter,
            read_only=read_only,
            clock=clock,
            sleep=sleep,
            random=random,
            on_retry=on_retry,
            policy=policy,
        ) as transport:
            yield transport
