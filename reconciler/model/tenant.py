"""tenant.yaml as frozen values (SPEC section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.diagnostic import Source
from reconciler.model.dialect import Dialect, Profile


@dataclass(frozen=True, slots=True)
class SecretReference:
    """`${env:NAME}`: the name of the environment variable that holds a secret. Never the secret itself."""

    variable: str

    def __str__(self) -> str:
        return f"${{env:{self.variable}}}"


class AuthType(StrEnum):
    """How the tenant's API is authenticated."""

    OAUTH2 = "oauth2"
    BEARER = "bearer"
    BASIC = "basic"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Credentials by reference. Which fields are set depends on `type`; the schema has checked it."""

    type: AuthType
    token: SecretReference | None = None
    username: SecretReference | str | None = None
    password: SecretReference | None = None
    client_id: SecretReference | str | None = None
    client_secret: SecretReference | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Absolute URLs. Those not written in tenant.yaml are derived from `base_url`.

    None ends with a slash but `token_url`, which is as written: some token services insist on one.
    """

    base_url: str
    service_provider_config_url: str
    platform_url: str
    token_url: str | None


class People(StrEnum):
    """Who creates people: git (`managed`), or somebody else (`external`)."""

    MANAGED = "managed"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds; what the live ServiceProviderConfig says can only lower them. Defaults: cxone.md section 9."""

    requests_per_minute: int = 100
    bulk_operations: int = 500
    bulk_payload_bytes: int = 10_485_760
    page_size: int = 100
    nested_group_depth: int = 3
    parallel_reads: int = 4
    member_changes_per_request: int = 100


class Owned(StrEnum):
    """Which live resources of a kind are ours."""

    DECLARED = "declared"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """`unmanaged` holds shell-style patterns over userNames (plain) and group names (`group:` prefix).

    Where `unmanaged_before` is set, a name has to match one of those as well: what a change lists as unmanaged counts
    only once it is on the branch that judges it.
    """

    users: Owned = Owned.DECLARED
    groups: Owned = Owned.DECLARED
    unmanaged: tuple[str, ...] = ()
    unmanaged_before: tuple[str, ...] | None = None


class UserRemoval(StrEnum):
    """What happens to a managed user that git no longer declares."""

    DEACTIVATE = "deactivate"
    DELETE = "delete"
    KEEP = "keep"


class GroupRemoval(StrEnum):
    """What happens to a managed group that git no longer declares."""

    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """`delete_after_days` is set only with users: delete."""

    users: UserRemoval = UserRemoval.DEACTIVATE
    groups: GroupRemoval = GroupRemoval.KEEP
    delete_after_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLimit:
    """A guard's limit: percent of the managed resources and an absolute cap; None means not limited that way."""

    percent: float | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """`shares` by guard id; `protected` as written: a userName, `group:<displayName>` or `role:<value>`."""

    shares: Mapping[str, ShareLimit] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    minimum_members: int = 2

    def share(self, guard: str, default: ShareLimit) -> ShareLimit:
        """The limit of one guard, each half of it from the default where tenant.yaml does not say."""
        own = self.shares.get(guard, ShareLimit())
        return ShareLimit(
            percent=own.percent if own.percent is not None else default.percent,
            max=own.max if own.max is not None else default.max,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One webhook to tell about events."""

    url: str
    events: tuple[str, ...]
    secret: SecretReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant: where it lives, how to talk to it, what is ours and what may not happen."""

    name: str
    profile: Profile
    endpoints: Endpoints
    auth: Auth
    people: People = People.MANAGED
    limits: Limits = field(default_factory=Limits)
    ownership: Ownership = field(default_factory=Ownership)
    removal: Removal = field(default_factory=Removal)
    guards: GuardSettings = field(default_factory=GuardSettings)
    dialect: Dialect = field(default_factory=Dialect)
    equivalences: Mapping[str, tuple[tuple[Any, Any], ...]] = field(default_factory=dict)
    notifications: tuple[Notification, ...] = ()
    source: Source = field(default_factory=lambda: Source("tenant.yaml", 1))

    @property
    def target(self) -> str:
        """What a plan is bound to: the base URL of the SCIM service."""
        return self.endpoints.base_url
