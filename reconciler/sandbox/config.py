"""What can be set on an embedded tenant."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from reconciler.sandbox.faults import FaultPlan
from reconciler.sandbox.quirks import Quirks

Profile = Literal["cxone", "rfc7644"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client that may ask for tokens at `/oauth/token`, with the scopes they may have."""

    id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncBulk:
    """How a tenant works off bulk requests that it answers with 202 and a job (cxone.md section 5).

    An equal share of the operations is committed at each poll of the job, and the poll of number `polls` finds it
    finished. `shows_results` says whether a finished job tells the result of each operation. With `late_by` above 0
    nothing is committed while the job is polled, and what a finished job claims comes true only after so many further
    requests of any kind.
    """

    polls: int = 2
    shows_results: bool = True
    late_by: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Settings of one embedded tenant; they hold from its start to its end.

    `token` is the static bearer token, which may do everything; `clients` get tokens at `/oauth/token`, good for
    `token_lifetime` seconds by `clock` and for their scopes. Without both there is no authentication. `admin` is the
    token of `/_sandbox`; without it those paths do not exist. `data` is the path of the SQLite file, None keeps
    everything in memory. The limits are starting values: a tenant of profile `cxone` accepts a ServiceProviderConfig
    that changes them.

    `supports_cursor` switches paging by cursor on (RFC 9865), `cursor_only` paging by index off; a cursor is good for
    `cursor_timeout` seconds by `clock`. The ServiceProviderConfig in the shape of the RFC announces it.

    `async_bulk` makes every bulk request a job; without it the results are in the answer. `quirks` are departures from
    the RFC, for tests of what a client makes of them; `faults` strike from the start, and `sleep` is how a slow answer
    waits.

    `rate` is how many requests a minute are answered, by `clock`; None is no limit.

    What profile `cxone` does beyond RFC 7644: group names are unique without regard to case; what breaks the schema of
    a group is answered 422, and so are a PUT of one without `members` and more than `nested_group_depth` groups inside
    each other; an empty group is shown with `members: []`. A new user needs `name` and `emails`, and may name groups to
    be in; `roles`, where there are any, are all that users may have. Each active user takes one of `seats` licences,
    which are told and released under `/api/v2/license`. Users are also addressed by userName. Bulk requests may leave
    out `schemas`, correlate by `id` and prefix paths; their results also have `path`, `detail` and `errors`. PATCH also
    comes in the envelope with lower-case `operations`. Lists have the header `X-Total-Results`, and the writable
    ServiceProviderConfig is served under `/api/scim/v2`.
    """

    port: int = 0
    host: str = "127.0.0.1"
    data: str | None = None
    token: str | None = None
    profile: Profile = "cxone"
    max_operations: int = 1000
    max_payload: int = 10_485_760
    max_results: int = 100
    admin: str | None = None
    supports_bulk: bool = True
    supports_patch: bool = True
    supports_etag: bool = True
    supports_filter: bool = True
    supports_sort: bool = True
    supports_cursor: bool = True
    cursor_only: bool = False
    cursor_timeout: int = 3600
    threads: int = 8
    clients: tuple[Client, ...] = ()
    token_lifetime: int = 3600
    rate: int | None = None
    seats: int = 1_000_000
    roles: tuple[str, ...] = ()
    nested_group_depth: int = 3
    async_bulk: AsyncBulk | None = None
    quirks: Quirks = field(default_factory=Quirks)
    faults: FaultPlan = field(default_factory=FaultPlan)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    @property
    def is_cxone(self) -> bool:
        """Whether the tenant behaves like CXone where that differs from the RFC."""
        return self.profile == "cxone"
