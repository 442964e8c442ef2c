"""How a service deviates from the RFC: the switches of tenant.yaml `dialect` and the defaults of each profile."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """The named set of defaults a tenant starts from."""

    CXONE = "cxone"
    RFC7644 = "rfc7644"


class Update(StrEnum):
    """The verb an update uses (cxone.md D19)."""

    PATCH = "patch"
    PUT = "put"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The switches of SPEC section 4; names are those of the YAML keys in snake case. Defaults are profile rfc7644.

    `client_auth` basic|form · `bulk` auto|off · `bulk_correlation` bulkId|both · `bulk_path` prefix of the paths of
    operations inside a bulk request ("" gives `/Users`) · `patch` rfc|legacy|off · `op_case` lower|capitalized ·
    `user_key` id|userName ·
    `member_type` send|omit · `etag` auto|off · `paging` auto|index|cursor · `config_shape` cxone|rfc.
    """

    client_auth: str = "basic"
    media_type: str = "application/scim+json"
    bulk: str = "auto"
    bulk_path: str = ""
    bulk_correlation: str = "bulkId"
    patch: str = "rfc"
    op_case: str = "lower"
    user_key: str = "id"
    inline_groups: bool = False
    user_update: Update = Update.PATCH
    group_update: Update = Update.PATCH
    member_type: str = "send"
    etag: str = "auto"
    paging: str = "auto"
    config_shape: str = "rfc"


PROFILES = {
    Profile.RFC7644: Dialect(),
    Profile.CXONE: Dialect(bulk_correlation="both", group_update=Update.PUT, config_shape="cxone"),
}
