"""Examine one tenant: what works, what is missing, what to do; over a transport that can only read (SPEC P1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from reconciler.desired.files import TENANT_FILE
from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.errors import ConfigurationError, ReconcilerError, ScimError
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.resource import DesiredConfiguration
from reconciler.model.tenant import AuthType, Tenant
from reconciler.reconcile.checks import Check, State, ok, skipped, wrong
from reconciler.reconcile.service_checks import SERVICE_CHECKS, ServiceChecks
from reconciler.reconcile.surroundings import Surroundings
from reconciler.scim.client import ScimClient
from reconciler.transport.hosts import check_binding, is_loopback, origin_of
from reconciler.transport.opening import open_transport
from reconciler.transport.retry import RetryPolicy
from reconciler.transport.session import HttpTransport
from reconciler.transport.tokens import ClientCredentials, read_secret, secret_references

_PATIENCE = RetryPolicy(transient=1, throttled=2, longest_wait=60.0)
"""Somebody is waiting, and an examination that fails may be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All checks of one tenant, in the order in which they build on each other."""

    tenant: str
    target: str | None
    is_valid: bool
    checks: tuple[Check, ...]

    @property
    def would_plan(self) -> bool:
        """Whether a plan would work."""
        return not self.to_mend

    @property
    def to_mend(self) -> tuple[Check, ...]:
        """What stands in the way of a plan, skipped checks left out: they follow from others."""
        return tuple(check for check in self.checks if check.needed and check.state in {State.MISSING, State.WRONG})


def examine(
    root: Path, tenant_name: str, surroundings: Surroundings, *, bindings_problem: ReconcilerError | None = None
) -> Diagnosis:
    """Every check that can be made; one that fails stops only those that build on it. Nothing is written.

    `bindings_problem` is why the bindings could not be read, where that failed. Never raises for what is wrong with the
    tenant, its surroundings or its service.
    """
    loaded = load_desired_state(root, tenant_name, environ=surroundings.environ)
    checks = [*_desired_state_checks(loaded)]
    tenant = loaded.tenant
    if tenant is not None:
        checks += _host_checks(tenant, surroundings, bindings_problem)
        configuration = loaded.desired.configuration if loaded.desired is not None else None
        checks += _connected_checks(tenant, surroundings, configuration)
    return Diagnosis(
        tenant=tenant_name,
        target=None if tenant is None else tenant.target,
        is_valid=not loaded.errors,
        checks=tuple(checks),
    )


def _desired_state_checks(loaded: Loaded) -> Iterator[Check]:
    tenant_file = f"{loaded.tenant_name}/{TENANT_FILE}"
    inside = [item for item in loaded.errors if item.file == tenant_file]
    others = [item for item in loaded.errors if item.file != tenant_file]
    validate = f"`reconciler validate {loaded.tenant_name}` shows every problem with its place"
    if loaded.tenant is None:
        yield wrong(TENANT_FILE, _problems(inside or others), validate)
        return
    yield ok(TENANT_FILE, f"valid; profile {loaded.tenant.profile}, auth type {loaded.tenant.auth.type}")
    if loaded.errors:
        yield wrong("desired state", _problems(loaded.errors), validate)
    else:
        yield ok("desired state", f"valid; documents: {loaded.documents}, files: {loaded.files}")


def _problems(errors: Sequence[Diagnostic]) -> str:
    first = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{first.file}:{first.line}: {first.message}{more}"


def _host_checks(
    tenant: Tenant, surroundings: Surroundings, bindings_problem: ReconcilerError | None
) -> Iterator[Check]:
    if bindings_problem is not None:
        yield wrong("bindings", bindings_problem.message, bindings_problem.hint)
    uses: dict[str, list[str]] = {}
    for use, url in _urls(tenant):
        try:
            uses.setdefault(origin_of(url), []).append(use)
        except ConfigurationError as error:
            yield wrong("host", f"the URL for {use}: {error.message}", "write it in its plain spelling")
    for origin, named in uses.items():
        what = f"{origin} ({', '.join(named)})"
        try:
            check_binding(tenant.name, origin, surroundings.bindings)
        except ConfigurationError as error:
            state = State.MISSING if origin.startswith("https://") else State.WRONG
            yield Check(subject="host", state=state, says=f"{what}: {error.message}", next=error.hint)
        else:
            how = "this machine, always bound" if is_loopback(origin) else f"bound to {tenant.name}"
            yield ok("host", f"{what}: {how}")


def _urls(tenant: Tenant) -> Iterator[tuple[str, str]]:
    """What credentials are sent to, with what for."""
    yield "SCIM", tenant.endpoints.base_url
    yield "ServiceProviderConfig", tenant.endpoints.service_provider_config_url
    if tenant.auth.type is AuthType.OAUTH2 and tenant.endpoints.token_url is not None:
        yield "tokens", tenant.endpoints.token_url


def _secrets_check(tenant: Tenant, surroundings: Surroundings) -> Check:
    """Names of variables only, never what they hold."""
    problems: list[ConfigurationError] = []
    references = secret_references(tenant.auth)
    for reference in references:
        try:
            read_secret(reference, surroundings.environ)
        except ConfigurationError as error:
            problems.append(error)
    if not references:
        return ok("secrets", f"none needed for auth type {tenant.auth.type}")
    if problems:
        says = "; ".join(problem.message for problem in problems)
        hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
        state = State.MISSING if hints else State.WRONG
        return Check(subject="secrets", state=state, says=says, next="; ".join(hints) or "look at what was exported")
    return ok("secrets", f"set: {', '.join(reference.variable for reference in references)}")


def _connected_checks(
    tenant: Tenant, surroundings: Surroundings, configuration: DesiredConfiguration | None
) -> Iterator[Check]:
    secrets = _secrets_check(tenant, surroundings)
    with ExitStack() as stack:
        transport: HttpTransport | None = None
        if secrets.state is State.OK:
            try:
                transport = stack.enter_context(_opened(tenant, surroundings))
            except ConfigurationError as error:  # set, and yet of no use
                secrets = wrong("secrets", error.message, error.hint)
        yield secrets
        if transport is None:
            asked = SERVICE_CHECKS if tenant.auth.type is not AuthType.OAUTH2 else ("token", *SERVICE_CHECKS)
            yield from skipped(asked, "there are no credentials to ask with")
            return
        if isinstance(transport.token_source, ClientCredentials):
            token = _token_check(tenant, transport.token_source)
            yield token
            if token.needed and token.state is not State.OK:
                yield from skipped(SERVICE_CHECKS, "there is no token to ask with")
                return
        client = ScimClient(transport, tenant.endpoints, tenant.dialect)
        yield from ServiceChecks(tenant, client, configuration).checks()


def _opened(tenant: Tenant, surroundings: Surroundings) -> AbstractContextManager[HttpTransport]:
    return open_transport(
        tenant,
        surroundings.environ,
        surroundings.bindings,
        read_only=True,
        clock=surroundings.clock,
        sleep=surroundings.sleep,
        random=surroundings.random,
        on_retry=surroundings.listener.request_retried,
        policy=_PATIENCE,
    )


def _token_check(tenant: Tenant, source: ClientCredentials) -> Check:
    try:
        grant = source.grant()
    except ConfigurationError as error:
        return Check(subject="token", state=State.SKIPPED, says=error.message)
    except ScimError as error:
        return wrong("token", error.message, error.hint or "look at tokenUrl, and whether the service is up")
    life = "its lifetime is not said" if grant.lifetime is None else f"good for {grant.lifetime:g} s"
    scopes = f"scopes: {' '.join(grant.scopes)}" if grant.scopes else "no scopes are said"
    if refused := [scope for scope in tenant.auth.scopes if scope not in grant.scopes]:
        return Check(
            subject="token",
            state=State.MISSING,
            says=f"obtained, {life}, but not for the scopes {' '.join(refused)}",
            next="have these scopes granted to the client, or take them out of auth.scopes",
            needed=False,
        )
    return ok("token", f"obtained, {life}; {scopes}")
