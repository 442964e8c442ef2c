"""What git declared earlier: the desired states of a ledger's entries, loaded from git's objects (SPEC section 6)."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.chain import Chain, Link, read_ids
from reconciler.ledger.checkout import Checkout
from reconciler.ledger.entries import Attempt, Receipt
from reconciler.ledger.trees import extract, tree_of
from reconciler.model.plan import Selection
from reconciler.model.resource import Kind
from reconciler.model.state import BaseState, DesiredState, Standing
from reconciler.model.tenant import Tenant
from reconciler.reconcile.surroundings import PLURALS


@dataclass(slots=True, kw_only=True)
class EarlierStates:
    """The desired states of a chain while they are loaded; what is the same as before, or as now, is not loaded again.

    `now` is the desired state of the checkout, `tenant` the tenant.yaml it has, `environ` what may name base URLs.
    """

    checkout: Checkout
    tenant: Tenant
    now: DesiredState | None
    environ: Mapping[str, str] = field(repr=False)
    _states: list[DesiredState] = field(default_factory=list)
    _at: list[tuple[str, str]] = field(default_factory=list)

    def base(self, chain: Chain) -> tuple[BaseState, Tenant | None]:
        """The base, and tenant.yaml of the last complete receipt.

        Raises:
            LedgerRefused: a state that may have been applied cannot be read.

        """
        git = self.checkout.git
        before = None
        if chain.receipt is not None:
            before = self._add(chain.receipt)
        positions: dict[str | None, int] = {}
        proven: dict[str, int] = {}
        for link in chain.later:
            entry = link.entry
            if isinstance(entry, Receipt) and entry.attempt is None:
                continue  # nothing was sent
            if isinstance(entry, Receipt) and entry.attempt in positions:
                proven |= dict.fromkeys(read_ids(git, link), positions[entry.attempt])
                continue
            self._add(link)  # also of a receipt that comes after its attempt was let go: its run may have sent since
            if isinstance(entry, Attempt):
                positions[link.sha] = len(self._states) - 1
        newest = chain.newest_receipt
        removed: Counter[Kind] = Counter()
        for receipt in chain.recent:
            removed.update({kind: receipt.counts["removed"][kind.value] for kind in PLURALS})
        base = BaseState(
            standing=Standing.USABLE,
            detail="",
            commit=chain.receipt.entry.commit if chain.receipt is not None else None,
            states=tuple(self._states),
            proven=proven,
            known=read_ids(git, chain.receipt) if chain.receipt is not None else None,
            released=newest.released if newest is not None else {},
            recent_removals=removed,
        )
        return base, before

    def _add(self, link: Link) -> Tenant | None:
        """Take the desired state of an entry in, unless it is that of the entry before; the tenant.yaml it has."""
        entry, checkout = link.entry, self.checkout
        tree = tree_of(checkout.git, entry.commit, entry.root)
        place = (tree, entry.tenant)
        if self._at and self._at[-1] == place:
            return None
        is_now = place == (tree_of(checkout.git, checkout.commit, checkout.root), self.tenant.name)
        if is_now and self.now is not None and not checkout.revision.dirty:
            state, tenant = self.now, self.tenant
        else:
            loaded = self._load(tree, entry.tenant)
            if loaded.desired is None or loaded.tenant is None:
                if entry.selection is Selection.REVOKE:  # it took access away and gave none, whatever else was wrong
                    return None
                raise _unloadable(entry.commit, loaded)
            state, tenant = loaded.desired, loaded.tenant
        self._states.append(state)
        self._at.append(place)
        return tenant

    def _load(self, tree: str, tenant: str) -> Loaded:
        with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
            extract(self.checkout.git, tree, Path(folder))
            return load_desired_state(Path(folder), tenant, environ=self.environ)


def _unloadable(commit: str, loaded: Loaded) -> LedgerRefused:
    first = loaded.errors[0] if loaded.errors else None
    return LedgerRefused(
        LedgerReason.UNREADABLE,
        f"the desired state of commit {commit}, which was applied, cannot be read by this version of the tool",
        context=f"{first.file}:{first.line}: {first.message}" if first is not None else None,
        hint="apply once more with the version that applied it, with desired state that both read",
    )
