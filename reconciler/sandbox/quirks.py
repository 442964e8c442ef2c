"""Departures from the RFC that real services have, for tests of what a client makes of them (scim-rfc.md s12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Rewrite = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What a tenant does otherwise than the RFC says. Without arguments: nothing. Q numbers: scim-rfc.md section 12.

    `drops` names attributes that are accepted and not kept (`externalId`, `title`, `roles`). `rewrites` pairs a path
    (`title`, `name.givenName`, `emails.value`) with what becomes of each string that is written there (Q12); both are
    for core attributes, and hold for single requests and bulk alike. `lower_cases_user_names` and `drops_external_id`
    are the two that everybody meets.

    `hides_members` leaves `members` out of every answer, `hides_members_in_lists` only out of lists, `empties_members`
    shows `members: []` instead, and `truncates_members` no more than the first ones (all Q6). `hides_groups` leaves
    `groups` out of users.

    `merges_on_put`: a PUT clears nothing, and only adds members (Q20). `ignores_members_on_put`: it leaves the members
    as they are (Q20, Q31). `reactivates_on_put`: one without `active` sets it to true (Q20). `ignores_member_removals`:
    a PATCH that removes members is answered with success and removes nobody (Q3). `ignores_if_match`: versions are
    shown and never checked, also in bulk (Q14). `ignores_filters`: a filtered list shows everything (Q10).
    `ignores_inline_groups`: the groups that a new user names mean nothing, as in the RFC (cxone.md D17).

    `keeps_licences`: who is deactivated keeps the licence until it is released (cxone.md section 4). `bulk_status`: how
    the results of bulk requests write their status: `"201"`, `201` or `{"code": "201"}` (cxone.md D12, Q21).
    """

    drops: tuple[str, ...] = ()
    rewrites: tuple[tuple[str, Rewrite], ...] = ()
    lower_cases_user_names: bool = False
    drops_external_id: bool = False
    hides_members: bool = False
    hides_members_in_lists: bool = False
    empties_members: bool = False
    truncates_members: int | None = None
    hides_groups: bool = False
    merges_on_put: bool = False
    ignores_members_on_put: bool = False
    reactivates_on_put: bool = False
    ignores_member_removals: bool = False
    ignores_if_match: bool = False
    ignores_filters: bool = False
    ignores_inline_groups: bool = False
    keeps_licences: bool = False
    bulk_status: Literal["text", "number", "object"] = "text"


def as_kept(attributes: Mapping[str, Any], quirks: Quirks) -> dict[str, Any]:
    """What the tenant keeps of the attributes that a client wrote."""
    dropped = {*quirks.drops, "externalId"} if quirks.drops_external_id else set(quirks.drops)
    kept = {name: value for name, value in attributes.items() if name not in dropped}
    rewrites = (("userName", str.lower), *quirks.rewrites) if quirks.lower_cases_user_names else quirks.rewrites
    for path, rewrite in rewrites:
        name, _, sub = path.partition(".")
        if name in kept:
            kept[name] = _rewritten(kept[name], sub, rewrite)
    return kept


def as_replaced(before: Mapping[str, Any], written: Mapping[str, Any], quirks: Quirks) -> dict[str, Any]:
    """What a PUT of `written` makes of the attributes that were there."""
    after = _merged(before, written) if quirks.merges_on_put else dict(written)
    if quirks.reactivates_on_put and "userName" in written:
        after["active"] = written.get("active", True)
    return after


def _merged(before: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Objects merge deeply, everything else that was written replaces what was there."""
    merged = {**before, **written}
    for name, value in written.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            merged[name] = _merged(before[name], value)
    return merged


def _rewritten(value: Any, sub: str, rewrite: Rewrite) -> Any:
    if isinstance(value, list):
        return [_rewritten(item, sub, rewrite) for item in value]
    if isinstance(value, dict) and sub in value:
        return {**value, sub: _rewritten(value[sub], "", rewrite)}
    return rewrite(value) if isinstance(value, str) and not sub else value
