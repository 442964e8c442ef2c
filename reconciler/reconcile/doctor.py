"""Examine one tenant: what works, what is missing, what to do; over a transport that can only read (SPEC P1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from reconciler.desired.files import TENANT_FILE
from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.errors import ConfigurationError, ReconcilerError, ScimError, ScimMalformed, ScimRejected
from reconciler.messages.codec import ListPage
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.plan import Capabilities
from reconciler.model.resource import Attributes, Kind
from reconciler.model.tenant import AuthType, Tenant
from reconciler.reconcile.surroundings import PLURALS, Surroundings
from reconciler.scim.capabilities import NOT_SHOWN, to_capabilities
from reconciler.scim.client import ScimClient
from reconciler.transport.hosts import check_binding, is_loopback, origin_of
from reconciler.transport.opening import open_transport
from reconciler.transport.retry import RetryPolicy
from reconciler.transport.session import HttpTransport
from reconciler.transport.tokens import ClientCredentials, read_secret, secret_references

_PATIENCE = RetryPolicy(transient=1, throttled=2, longest_wait=60.0)
"""Somebody is waiting, and an examination that fails may be repeated."""

_SERVICE_CHECKS = (
    "ServiceProviderConfig",
    "ResourceTypes",
    "Schemas",
    "Users",
    "Groups",
    "bulk",
    "patch",
    "versions",
    "filter",
    "paging",
)


class State(StrEnum):
    """How one check came out."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check in plain words. `next` says what to do, or what the reconciler does about it by itself.

    `needed` is set where no plan can be made without it.
    """

    subject: str
    state: State
    says: str
    next: str | None = None
    needed: bool = True


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
        checks += _connected_checks(tenant, surroundings)
    return Diagnosis(
        tenant=tenant_name,
        target=None if tenant is None else tenant.target,
        is_valid=not loaded.errors,
        checks=tuple(checks),
    )


# --- before anything is sent -----------------------------------------------------------------------------------------


def _desired_state_checks(loaded: Loaded) -> Iterator[Check]:
    tenant_file = f"{loaded.tenant_name}/{TENANT_FILE}"
    inside = [item for item in loaded.errors if item.file == tenant_file]
    others = [item for item in loaded.errors if item.file != tenant_file]
    validate = f"`reconciler validate {loaded.tenant_name}` shows every problem with its place"
    if loaded.tenant is None:
        yield _wrong(TENANT_FILE, _problems(inside or others), validate)
        return
    yield _ok(TENANT_FILE, f"valid; profile {loaded.tenant.profile}, auth type {loaded.tenant.auth.type}")
    if loaded.errors:
        yield _wrong("desired state", _problems(loaded.errors), validate)
    else:
        yield _ok("desired state", f"valid; documents: {loaded.documents}, files: {loaded.files}")


def _problems(errors: Sequence[Diagnostic]) -> str:
    first = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{first.file}:{first.line}: {first.message}{more}"


def _host_checks(
    tenant: Tenant, surroundings: Surroundings, bindings_problem: ReconcilerError | None
) -> Iterator[Check]:
    if bindings_problem is not None:
        yield _wrong("bindings", bindings_problem.message, bindings_problem.hint)
    uses: dict[str, list[str]] = {}
    for use, url in _urls(tenant):
        try:
            uses.setdefault(origin_of(url), []).append(use)
        except ConfigurationError as error:
            yield _wrong("host", f"the URL for {use}: {error.message}", "write it in its plain spelling")
    for origin, named in uses.items():
        what = f"{origin} ({', '.join(named)})"
        try:
            check_binding(tenant.name, origin, surroundings.bindings)
        except ConfigurationError as error:
            state = State.MISSING if origin.startswith("https://") else State.WRONG
            yield Check(subject="host", state=state, says=f"{what}: {error.message}", next=error.hint)
        else:
            how = "this machine, always bound" if is_loopback(origin) else f"bound to {tenant.name}"
            yield _ok("host", f"{what}: {how}")


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
        return _ok("secrets", f"none needed for auth type {tenant.auth.type}")
    if problems:
        says = "; ".join(problem.message for problem in problems)
        hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
        state = State.MISSING if hints else State.WRONG
        return Check(subject="secrets", state=state, says=says, next="; ".join(hints) or "look at what was exported")
    return _ok("secrets", f"set: {', '.join(reference.variable for reference in references)}")


# --- with a connection -----------------------------------------------------------------------------------------------


def _connected_checks(tenant: Tenant, surroundings: Surroundings) -> Iterator[Check]:
    secrets = _secrets_check(tenant, surroundings)
    with ExitStack() as stack:
        transport: HttpTransport | None = None
        if secrets.state is State.OK:
            try:
                transport = stack.enter_context(_opened(tenant, surroundings))
            except ConfigurationError as error:  # set, and yet of no use
                secrets = _wrong("secrets", error.message, error.hint)
        yield secrets
        if transport is None:
            yield from _skipped(("token", *_SERVICE_CHECKS), tenant, "there are no credentials to ask with")
            return
        if isinstance(transport.token_source, ClientCredentials):
            token = _token_check(tenant, transport.token_source)
            yield token
            if token.needed and token.state is not State.OK:
                yield from _skipped(_SERVICE_CHECKS, tenant, "there is no token to ask with")
                return
        yield from _Service(tenant, ScimClient(transport, tenant.endpoints, tenant.dialect)).checks()


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


def _skipped(subjects: Sequence[str], tenant: Tenant, why: str) -> Iterator[Check]:
    for subject in subjects:
        if subject != "token" or tenant.auth.type is AuthType.OAUTH2:
            yield Check(subject=subject, state=State.SKIPPED, says=why)


def _token_check(tenant: Tenant, source: ClientCredentials) -> Check:
    try:
        grant = source.grant()
    except ConfigurationError as error:
        return Check(subject="token", state=State.SKIPPED, says=error.message)
    except ScimError as error:
        return _wrong("token", error.message, error.hint or "look at tokenUrl, and whether the service is up")
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
    return _ok("token", f"obtained, {life}; {scopes}")


class _Service:
    """The checks that ask the service itself; what it answered is kept for those that build on it."""

    def __init__(self, tenant: Tenant, client: ScimClient) -> None:
        self._tenant = tenant
        self._client = client
        self._away: str | None = None
        self._documents: dict[str, Attributes] = {}
        self._rows: dict[Kind, ListPage] = {}

    def checks(self) -> Iterator[Check]:
        """In an order in which each builds on those before."""
        yield self._discovery("ServiceProviderConfig", self._client.service_provider_config)
        yield self._discovery("ResourceTypes", self._client.resource_types)
        yield self._discovery("Schemas", self._client.schemas)
        for kind in (Kind.USER, Kind.GROUP):
            yield self._list(kind)
        features = _SERVICE_CHECKS[_SERVICE_CHECKS.index("bulk") :]
        if self._away is not None:
            yield from _skipped(features, self._tenant, self._away)
            return
        yield from self._features()

    def _discovery(self, name: str, read: Callable[[], Attributes | None]) -> Check:
        if self._away is not None:
            return Check(subject=name, state=State.SKIPPED, says=self._away)
        assumed = "nothing to do: the defaults of the profile are assumed"
        try:
            document = read()
        except ScimMalformed as error:
            return Check(subject=name, state=State.WRONG, says=error.message, next=assumed, needed=False)
        except ScimRejected as error:
            if error.status in NOT_SHOWN:
                return Check(subject=name, state=State.MISSING, says=error.message, next=assumed, needed=False)
            return _wrong(name, error.message, error.hint)
        except (ScimError, ConfigurationError) as error:
            return self._unasked(name, error)
        if document is None:
            says = "the service has none"
            return Check(subject=name, state=State.MISSING, says=says, next=assumed, needed=False)
        self._documents[name] = document
        return _ok(name, "readable")

    def _list(self, kind: Kind) -> Check:
        name = f"{kind.value}s"
        if self._away is not None:
            return Check(subject=name, state=State.SKIPPED, says=self._away)
        try:
            page = self._client.list_page(kind, 1, 1)
        except (ScimRejected, ScimMalformed) as error:
            return _wrong(name, error.message, error.hint)
        except (ScimError, ConfigurationError) as error:
            return self._unasked(name, error)
        self._rows[kind] = page
        if page.total is None:
            return Check(
                subject=name,
                state=State.WRONG,
                says=f"readable, but the service does not say how many {PLURALS[kind]} there are",
                next="nothing is created or removed on such a list: it cannot be proven complete",
                needed=False,
            )
        return _ok(name, f"readable; {page.total:,} in all")

    def _unasked(self, subject: str, error: ReconcilerError) -> Check:
        """A request that could not be made: the host is not bound, or nobody answers, and then nobody will."""
        if isinstance(error, ConfigurationError):
            return Check(subject=subject, state=State.SKIPPED, says=error.message)
        self._away = "the service does not answer"
        return _wrong(subject, error.message, error.hint or "look at scim.baseUrl, and whether the service is up")

    def _features(self) -> Iterator[Check]:
        tenant = self._tenant
        announced = to_capabilities(
            self._documents.get("ServiceProviderConfig"), self._documents.get("ResourceTypes"), _unswitched(tenant)
        )
        yield _bulk_check(announced, tenant)
        yield _feature(
            "patch",
            "updates send only what changes",
            "updates send the whole resource (PUT), with everything as it was read but for what changes",
            announced=announced.patch,
            switched_off=tenant.dialect.patch == "off",
        )
        yield self._versions_check(announced)
        yield _feature(
            "filter",
            "resources can be looked up by name",
            "resources are found by reading the lists",
            announced=announced.filter,
            switched_off=False,
        )
        yield self._paging_check(announced)
        for note in announced.notes:
            yield Check(
                subject="announcements",
                state=State.MISSING,
                says=note,
                next="nothing to do; `dialect` in tenant.yaml can say otherwise",
                needed=False,
            )

    def _versions_check(self, announced: Capabilities) -> Check:
        compared = "each resource is read and compared right before it is written"
        rows = [row for page in self._rows.values() for row in page.resources]
        if announced.etag and self._tenant.dialect.etag != "off" and rows and not any(map(_has_version, rows)):
            return Check(
                subject="versions",
                state=State.WRONG,
                says="announced (etag), but the resources read have no version",
                next=f"nothing to do: {compared}",
                needed=False,
            )
        return _feature(
            "versions",
            "a write fails if somebody else was first (ETag)",
            compared,
            announced=announced.etag,
            switched_off=self._tenant.dialect.etag == "off",
        )

    def _paging_check(self, announced: Capabilities) -> Check:
        limit = self._tenant.limits.page_size
        size = min(limit, announced.max_results or limit)
        longest = max((len(page.resources) for page in self._rows.values()), default=0)
        if longest > 1:
            return Check(
                subject="paging",
                state=State.WRONG,
                says=f"asked for one resource, the service sent {longest}: it ignores `count`",
                next="nothing to do: lists are read as they come, and checked against their number",
                needed=False,
            )
        return _ok("paging", f"by index, {size:,} resources a page")


def _bulk_check(announced: Capabilities, tenant: Tenant) -> Check:
    limits = tenant.limits
    operations = min(limits.bulk_operations, announced.max_operations or limits.bulk_operations)
    size = min(limits.bulk_payload_bytes, announced.max_payload_bytes or limits.bulk_payload_bytes)
    return _feature(
        "bulk",
        f"at most {operations:,} operations and {size:,} bytes a request",
        "each change is a request of its own",
        announced=announced.bulk,
        switched_off=tenant.dialect.bulk == "off",
    )


def _feature(subject: str, with_it: str, without: str, *, announced: bool, switched_off: bool) -> Check:
    if announced and not switched_off:
        return _ok(subject, with_it)
    says = "switched off in tenant.yaml (dialect)" if switched_off else "the service does not have it"
    return Check(subject=subject, state=State.MISSING, says=says, next=f"nothing to do: {without}", needed=False)


def _unswitched(tenant: Tenant) -> Tenant:
    """The tenant with nothing switched off, to tell what the service announces from what tenant.yaml decides."""
    return replace(tenant, dialect=replace(tenant.dialect, bulk="auto", patch="rfc", etag="auto"))


def _has_version(row: Attributes) -> bool:
    meta = next((value for name, value in row.items() if name.lower() == "meta"), None)
    return isinstance(meta, dict) and any(name.lower() == "version" and value for name, value in meta.items())


def _ok(subject: str, says: str) -> Check:
    return Check(subject=subject, state=State.OK, says=says)


def _wrong(subject: str, says: str, next_: str | None) -> Check:
    return Check(subject=subject, state=State.WRONG, says=says, next=next_)
