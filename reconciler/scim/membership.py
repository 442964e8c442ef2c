"""What group rows say about members, and what their silence means: none, not shown in lists, cut off, or unknown.

Unknown never equals unassigned (scim-rfc.md section 3.5): a group whose members cannot be told has `members` None, and
nobody is removed from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.messages.codec import decode_group, decode_user, direct_group_ids_of, group_ids_of, has_members
from reconciler.model.resource import Attributes, LiveGroup, LiveUser
from reconciler.scim.listing import ListReader

_PROBES = 4
"""Groups looked at to find out whether lists show members. With four requests for discovery and one look behind the end
of each list that makes the ten of SPEC section 6."""

_SMALLEST_CAP = 25
"""Services cut off at a round number of members; smaller groups of one size are no coincidence worth a word."""


class Membership:
    """What the rows of users and groups tell about memberships while they are read."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.seen = False
        self.witness: str | None = None
        self.users_in: Counter[str] = Counter()
        self._counted: set[str] = set()

    def note_user(self, row: Attributes) -> LiveUser:
        """Decode a user, and remember which groups the row says the user is in."""
        if self.witness is None:
            self.witness = next(iter(group_ids_of(row)), None)
        user = decode_user(row)
        groups = tuple(direct_group_ids_of(row))
        if groups and user.id not in self._counted:  # a row may come twice, and a list be read again
            self._counted.add(user.id)
            self.users_in.update(groups)
        return user

    def group_decoder(self, users: Mapping[str, LiveUser]) -> Callable[[Attributes], LiveGroup]:
        """Decode groups, whose members share their id strings with `users`, and note which show no members at all."""
        known_ids = {id_: id_ for id_ in users}

        def decode(row: Attributes) -> LiveGroup:
            group = decode_group(row, absent_members=None, known_ids=known_ids)
            if has_members(row):
                self.seen = True
                self.silent.discard(group.id)
            else:
                self.silent.add(group.id)
            return group

        return decode


@dataclass(frozen=True, slots=True)
class Settled:
    """Groups with what is known of their members, what to tell about it, and whether they were read by themselves.

    `probed` are those that were read by themselves, if only to find something out.
    """

    groups: Mapping[str, LiveGroup]
    notes: tuple[str, ...] = ()
    by_group: bool = False
    probed: tuple[LiveGroup, ...] = ()


def settle(reader: ListReader, groups: Mapping[str, LiveGroup], membership: Membership) -> Settled:
    """What the group rows of a list mean, after a look at a few groups where that is in doubt."""
    silent = sorted(membership.silent & groups.keys())
    if silent and not membership.seen:
        return _settle_silence(reader, groups, silent, membership.witness)
    return _settle_suspects(reader, {**groups, **emptied(groups, silent)} if silent else groups, membership.users_in)


def emptied(groups: Mapping[str, LiveGroup], ids: Iterable[str]) -> dict[str, LiveGroup]:
    """These groups without members: the service shows members where there are any."""
    return {id_: replace(groups[id_], members=()) for id_ in ids}


def _settle_silence(
    reader: ListReader, groups: Mapping[str, LiveGroup], silent: list[str], witness: str | None
) -> Settled:
    """No group of the list shows members: there are none, or only reading a group by itself shows them, or nothing."""
    probed = {group.id: group for group in reader.get_each(_probes(silent, witness))}
    if any(group.members for group in probed.values()):
        rest = [id_ for id_ in silent if id_ not in probed]
        probed |= {group.id: group for group in reader.get_each(rest)}
        note = "lists do not show members: each group was read by itself"
        return Settled({**groups, **probed}, (note,), by_group=True, probed=tuple(probed.values()))
    if witness is not None:
        note = "users are in groups, but the service does not show the members of groups"
        return Settled(groups, (note,), probed=tuple(probed.values()))
    note = f"no group shows members: taken as empty after reading {len(probed)} of {len(silent)} one by one"
    return Settled({**groups, **emptied(groups, silent)}, (note,), probed=tuple(probed.values()))


def _settle_suspects(reader: ListReader, groups: Mapping[str, LiveGroup], users_in: Mapping[str, int]) -> Settled:
    """Groups whose members may be cut off (scim-rfc.md Q6).

    Certain where more users say they are in a group than the group shows; a suspicion where the largest groups all have
    the same round number of members. One read by itself tells whether only lists cut off.
    """
    short = [id_ for id_ in sorted(users_in) if id_ in groups and _hides(groups[id_], users_in[id_])]
    cap, capped = _capped(groups)
    probed = {group.id: group for group in reader.get_each(dict.fromkeys([*short[: _PROBES - 1], *capped[:1]]))}
    notes: list[str] = []
    by_group = any(len(group.members or ()) > len(groups[id_].members or ()) for id_, group in probed.items())
    if by_group:
        rest = [id_ for id_ in sorted({*short, *capped}) if id_ not in probed]
        probed |= {group.id: group for group in reader.get_each(rest)}
        notes.append(f"lists do not show all members: {len(probed)} groups were read by themselves")
    elif capped:
        notes.append(
            f"{len(capped)} groups have exactly {cap} members, and none has more: "
            "look whether the service shows no more than that"
        )
    settled = {**groups, **probed}
    unknown = [id_ for id_ in short if id_ in settled and _hides(settled[id_], users_in[id_])]
    if unknown:
        notes.append(
            f"{len(unknown)} groups do not show all users who say they are in them: nobody is removed from those"
        )
    settled |= {id_: replace(settled[id_], members=None) for id_ in unknown}
    found = settled if probed or unknown else groups
    return Settled(found, tuple(notes), by_group=by_group, probed=tuple(probed.values()))


def _hides(group: LiveGroup, users: int) -> bool:
    return group.members is not None and len(group.members) < users


def _capped(groups: Mapping[str, LiveGroup]) -> tuple[int, list[str]]:
    """The largest number of members and the groups that have it, where that looks like a limit of the service."""
    sizes = Counter(len(group.members or ()) for group in groups.values())
    cap = max(sizes, default=0)
    if cap < _SMALLEST_CAP or cap % _SMALLEST_CAP or sizes[cap] < 2:
        return cap, []
    return cap, sorted(id_ for id_, group in groups.items() if len(group.members or ()) == cap)


def _probes(silent: list[str], witness: str | None) -> list[str]:
    """A few groups spread over the list, the one known to have a member first."""
    step = max(1, len(silent) // _PROBES)
    spread = silent[::step][:_PROBES]
    return [witness, *spread][:_PROBES] if witness in silent and witness not in spread else spread
