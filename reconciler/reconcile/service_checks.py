"""The checks of one service: what it announces, what it shows, and what is done about what it does not have.

Only reads are sent. What a service does with a write, no read tells; that is said where it matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from reconciler.errors import ConfigurationError, ReconcilerError, ScimError, ScimMalformed, ScimRejected
from reconciler.messages.codec import ListPage, decode_user, group_ids_of, has_members
from reconciler.messages.operations import sending_for
from reconciler.model.dialect import Profile
from reconciler.model.plan import Capabilities
from reconciler.model.resource import (
    Attributes,
    ConfigurationMode,
    DesiredConfiguration,
    Kind,
    LiveGroup,
    LiveUser,
)
from reconciler.model.tenant import Tenant
from reconciler.reconcile.checks import Check, State, limited, ok, skipped, wrong
from reconciler.reconcile.surroundings import PLURALS
from reconciler.report.values import many
from reconciler.report.ways import WITHOUT_BULK, WITHOUT_FILTERS, WITHOUT_PATCH, WITHOUT_VERSIONS
from reconciler.scim.capabilities import NOT_SHOWN, to_capabilities
from reconciler.scim.client import ScimClient, is_about

SERVICE_CHECKS = (
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
    "members",
    "configuration",
)

_ROWS = {Kind.USER: 1, Kind.GROUP: 5}
"""How many resources are looked at; of groups a few, for some have no members to show."""


class ServiceChecks:
    """The checks that ask the service itself; what it answered is kept for those that build on it."""

    def __init__(self, tenant: Tenant, client: ScimClient, configuration: DesiredConfiguration | None) -> None:
        self._tenant = tenant
        self._client = client
        self._configuration = configuration
        self._announced = Capabilities()
        self._away: str | None = None
        self._documents: dict[str, Attributes] = {}
        self._rows: dict[Kind, ListPage] = {}

    def checks(self) -> Iterator[Check]:
        """In an order in which each builds on those before."""
        yield self._discovery("ServiceProviderConfig", self._client.service_provider_config)
        yield self._discovery("ResourceTypes", self._client.resource_types)
        yield self._discovery("Schemas", self._client.schemas)
        configuration, types = (self._documents.get(name) for name in ("ServiceProviderConfig", "ResourceTypes"))
        self._announced = to_capabilities(configuration, types, _unswitched(self._tenant))
        for kind in (Kind.USER, Kind.GROUP):
            yield self._list(kind)
        features = SERVICE_CHECKS[SERVICE_CHECKS.index("bulk") :]
        if self._away is not None:
            yield from skipped(features, self._away)
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
            return wrong(name, error.message, error.hint)
        except (ScimError, ConfigurationError) as error:
            return self._unasked(name, error)
        if document is None:
            says = "the service has none"
            return Check(subject=name, state=State.MISSING, says=says, next=assumed, needed=False)
        self._documents[name] = document
        return ok(name, "readable")

    def _list(self, kind: Kind) -> Check:
        name = f"{kind.value}s"
        if self._away is not None:
            return Check(subject=name, state=State.SKIPPED, says=self._away)
        try:
            page = self._page(kind)
        except ScimRejected as error:
            return wrong(name, error.message, error.hint or self._paging_hint(error))
        except ScimMalformed as error:
            return wrong(name, error.message, error.hint)
        except (ScimError, ConfigurationError) as error:
            return self._unasked(name, error)
        self._rows[kind] = page
        if page.total is None and self._by_cursor:
            return ok(name, "readable; their number is not said, the last cursor is the end")
        if page.total is None:
            return Check(
                subject=name,
                state=State.WRONG,
                says=f"readable, but the service does not say how many {PLURALS[kind]} there are",
                next="nothing is created or removed on such a list: it cannot be proven complete",
                needed=False,
            )
        return ok(name, f"readable; {page.total:,} in all")

    @property
    def _by_cursor(self) -> bool:
        """Whether lists are read by cursor, as planning would; a service may give one that nobody asked for."""
        given = any(page.next_cursor is not None for page in self._rows.values())
        return self._announced.cursor or (given and self._tenant.dialect.paging != "index")

    def _page(self, kind: Kind) -> ListPage:
        """The beginning of a list, asked for the way planning does."""
        if not self._announced.cursor:
            return self._client.list_page(kind, 1, _ROWS[kind])
        try:
            return self._client.cursor_page(kind, "", _ROWS[kind])
        except ScimRejected as rejected:
            if not is_about(rejected, "invalidCount"):
                raise
            return self._client.cursor_page(kind, "", None)

    def _paging_hint(self, rejected: ScimRejected) -> str | None:
        """Services that page one way only refuse the other."""
        if rejected.status not in {400, 501}:
            return None
        other = "index" if self._announced.cursor else "cursor"
        return f"if it pages by {other} only, write `dialect: {{paging: {other}}}` in tenant.yaml"

    def _unasked(self, subject: str, error: ReconcilerError) -> Check:
        """A request that could not be made: the host is not bound, or nobody answers, and then nobody will."""
        if isinstance(error, ConfigurationError):
            return Check(subject=subject, state=State.SKIPPED, says=error.message)
        self._away = "the service does not answer"
        return wrong(subject, error.message, error.hint or "look at scim.baseUrl, and whether the service is up")

    def _features(self) -> Iterator[Check]:
        tenant, announced = self._tenant, self._announced
        yield _bulk_check(announced, tenant)
        yield _feature(
            "patch",
            _updates(tenant, announced),
            WITHOUT_PATCH,
            announced=announced.patch,
            switched_off=tenant.dialect.patch == "off",
        )
        yield self._versions_check(announced)
        yield self._filter_check(announced)
        yield self._paging_check(announced)
        yield self._members_check()
        yield _configuration_check(self._configuration, tenant)
        for note in announced.notes:
            yield Check(
                subject="announcements",
                state=State.MISSING,
                says=note,
                next="nothing to do; `dialect` in tenant.yaml can say otherwise",
                needed=False,
            )

    def _versions_check(self, announced: Capabilities) -> Check:
        rows = [row for page in self._rows.values() for row in page.resources]
        if announced.etag and self._tenant.dialect.etag != "off" and rows and not any(map(_has_version, rows)):
            says = "announced (etag), but the resources read have no version"
            return limited("versions", State.WRONG, says, f"nothing to do: {WITHOUT_VERSIONS}")
        return _feature(
            "versions",
            "a write fails if somebody else was first (ETag)",
            WITHOUT_VERSIONS,
            announced=announced.etag,
            switched_off=self._tenant.dialect.etag == "off",
        )

    def _filter_check(self, announced: Capabilities) -> Check:
        """Whether look-ups work, tried with somebody who is there: some services ignore filters (scim-rfc.md Q10)."""
        otherwise = f"{WITHOUT_FILTERS}; only complete lists prove that somebody is not there"
        known = self._somebody()
        if not announced.filter or known is None:
            works = "announced; there is no user to try a look-up with"
            return _feature("filter", works, otherwise, announced=announced.filter, switched_off=False)
        try:
            found = self._client.find(Kind.USER, "userName", known.user_name)
        except (ScimRejected, ScimMalformed) as error:
            says = f"announced, but {error.message}"
        except (ScimError, ConfigurationError) as error:
            return self._unasked("filter", error)
        else:
            if any(user.id == known.id for user in found):
                return ok("filter", "tried: a look-up by userName finds who is there")
            says = "announced, but a look-up by userName does not find who is there"
        return limited("filter", State.WRONG, says, f"nothing to do: {otherwise}")

    def _somebody(self) -> LiveUser | None:
        page = self._rows.get(Kind.USER)
        return next(filter(None, map(_named_user, page.resources)), None) if page else None

    def _paging_check(self, announced: Capabilities) -> Check:
        limit = self._tenant.limits.page_size
        size = min(limit, announced.max_results or limit)
        for kind, page in self._rows.items():
            if len(page.resources) > _ROWS[kind]:
                says = f"asked for {many(_ROWS[kind], kind.value.lower())}, and got {len(page.resources):,}"
                remedy = "nothing to do: lists are read as they come, and checked against their number"
                return limited("paging", State.WRONG, f"{says}: it ignores `count`", remedy)
        return ok("paging", f"by {'cursor' if self._by_cursor else 'index'}, {size:,} resources a page")

    def _members_check(self) -> Check:
        """Whether lists of groups say who is in them; a group read by itself tells where they do not."""
        page = self._rows.get(Kind.GROUP)
        if page is None:
            return Check(subject="members", state=State.SKIPPED, says="groups cannot be read")
        if any(map(has_members, page.resources)):
            return ok("members", "lists of groups say who is in them")
        group = self._group_to_look_at(page)
        if group is None:
            return ok("members", "there is no group to look at")
        try:
            alone = self._client.get(Kind.GROUP, group)
        except (ScimRejected, ScimMalformed) as error:
            return limited("members", State.WRONG, f"a group cannot be read by itself: {error.message}", error.hint)
        except (ScimError, ConfigurationError) as error:
            return self._unasked("members", error)
        if isinstance(alone, LiveGroup) and alone.members:
            remedy = "nothing to do: each group is read by itself, one request more for each"
            return limited("members", State.MISSING, "lists of groups do not say who is in them", remedy)
        if self._witness() is not None:
            remedy = "nobody can be removed from a group here; manage removals where the members can be seen"
            return limited("members", State.WRONG, "users are in groups, but groups do not say who is in them", remedy)
        return ok("members", "the groups looked at have none, in the list and by themselves")

    def _group_to_look_at(self, page: ListPage) -> str | None:
        ids = (row.get("id") for row in page.resources)
        return self._witness() or next((id_ for id_ in ids if isinstance(id_, str)), None)

    def _witness(self) -> str | None:
        """A group that has somebody in it, by what users say."""
        users = self._rows.get(Kind.USER)
        return next((id_ for row in users.resources for id_ in group_ids_of(row)), None) if users else None


def _bulk_check(announced: Capabilities, tenant: Tenant) -> Check:
    limits = tenant.limits
    operations = min(limits.bulk_operations, announced.max_operations or limits.bulk_operations)
    size = min(limits.bulk_payload_bytes, announced.max_payload_bytes or limits.bulk_payload_bytes)
    return _feature(
        "bulk",
        f"at most {operations:,} operations and {size:,} bytes a request; an answer may come at once or as a job",
        WITHOUT_BULK,
        announced=announced.bulk,
        switched_off=tenant.dialect.bulk == "off",
    )


def _updates(tenant: Tenant, announced: Capabilities) -> str:
    """By which verb each kind is updated; the profile or `dialect` may prefer PUT (cxone.md D19)."""
    sending = sending_for(tenant, announced)
    verbs = {kind: sending.update(kind).value.upper() for kind in (Kind.USER, Kind.GROUP)}
    if set(verbs.values()) == {"PATCH"}:
        return "updates send only what changes"
    told = ", ".join(f"{PLURALS[kind]} by {verb}" for kind, verb in verbs.items())
    return f"there; tenant.yaml has {told} (a PUT sends the whole resource as it was read, but for what changes)"


def _configuration_check(desired: DesiredConfiguration | None, tenant: Tenant) -> Check:
    """Whether git writes the ServiceProviderConfig. No read tells whether a service takes that."""
    if desired is None:
        return ok("configuration", "git declares no ServiceProviderConfig; it is only read")
    if desired.mode is ConfigurationMode.ASSERT:
        return ok("configuration", "git asserts the ServiceProviderConfig; differences are reported, not written")
    if tenant.profile is Profile.CXONE:
        return ok("configuration", "git writes the ServiceProviderConfig; only a write tells whether it may")
    says = "git writes the ServiceProviderConfig, and RFC 7644 knows no way to do that; most services refuse it"
    return limited("configuration", State.MISSING, says, "if apply says so, write `mode: assert` in that document")


def _feature(subject: str, with_it: str, without: str, *, announced: bool, switched_off: bool) -> Check:
    if announced and not switched_off:
        return ok(subject, with_it)
    says = "switched off in tenant.yaml (dialect)" if switched_off else "the service does not have it"
    return Check(subject=subject, state=State.MISSING, says=says, next=f"nothing to do: {without}", needed=False)


def _unswitched(tenant: Tenant) -> Tenant:
    """The tenant with nothing switched off, to tell what the service announces from what tenant.yaml decides."""
    return replace(tenant, dialect=replace(tenant.dialect, bulk="auto", patch="rfc", etag="auto"))


def _named_user(row: Attributes) -> LiveUser | None:
    """The user in a row of a list; None where it does not make one."""
    try:
        user = decode_user(row)
    except ScimMalformed:
        return None
    return user if user.user_name else None


def _has_version(row: Attributes) -> bool:
    meta = next((value for name, value in row.items() if name.lower() == "meta"), None)
    return isinstance(meta, dict) and any(name.lower() == "version" and value for name, value in meta.items())
