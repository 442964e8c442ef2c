"""Diff: what a change in git means, desired state against desired state. Nothing but git is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.desired.roots import check_root, list_tenants
from reconciler.errors import ConfigurationError, DesiredStateError, LedgerRefused, UsageError
from reconciler.ledger.checkout import Checkout, open_root
from reconciler.ledger.trees import extract
from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.model.plan import Plan
from reconciler.planner.comparison import CHANGES_IN_WORDS, Side, Told, compare_states
from reconciler.reconcile.surroundings import Surroundings
from reconciler.semantics.nearest import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The desired state of an earlier commit, in a folder of our own. `place` is what git calls that folder."""

    folder: Path
    place: str
    commit: str
    checkout: Checkout
    tenants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a change means for one tenant. `protected` is what either side protects."""

    plan: Plan
    protected: tuple[str, ...]

    @property
    def says_something(self) -> bool:
        """Whether there is anything that somebody has to read."""
        return bool(self.plan.changes) or any(finding.code in CHANGES_IN_WORDS for finding in self.plan.findings)


@contextmanager
def open_earlier(root: Path, revision: str, environ: Mapping[str, str]) -> Iterator[Earlier]:
    """What the root held at a revision, good within the block. `environ` are the variables git runs with.

    Raises:
        UsageError: the revision means no commit.
        DesiredStateError: the root itself is not as it should be.
        ConfigurationError: the root is in no checkout, or git cannot tell.

    """
    problems = [item for item in check_root(root, environ) if item.severity is Severity.ERROR]
    if problems:
        raise DesiredStateError(problems, root=str(root))
    try:
        checkout = open_root(root, environ)
    except LedgerRefused as refused:
        raise ConfigurationError(refused.message, context=refused.context, hint=refused.hint) from refused
    if checkout is None:
        raise ConfigurationError(
            f"{root} is in no git checkout with a commit",
            hint="`diff` compares with an earlier commit; `plan` compares with the tenant",
        )
    commit = checkout.git.resolve(f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"--base {revision}: there is no such commit here",
            hint="a branch of a remote is called like origin/main; a shallow clone may have to fetch it first",
        )
    tree = checkout.git.resolve(f"{commit}:{checkout.root}" if checkout.root else f"{commit}^{{tree}}")
    with tempfile.TemporaryDirectory(prefix="reconciler-") as name:
        folder = Path(name)
        if tree is not None:  # else there was no desired state yet, and everything is new
            try:
                extract(checkout.git, tree, folder)
            except LedgerRefused as refused:
                raise ConfigurationError(refused.message, context=refused.context, hint=refused.hint) from refused
        yield Earlier(
            folder=folder,
            place=f"{revision}:{checkout.root}{'/' if checkout.root else ''}",
            commit=commit,
            checkout=checkout,
            tenants=list_tenants(folder),
        )


def pair_tenants(
    root: Path, earlier: Earlier, chosen: Iterable[str], environ: Mapping[str, str]
) -> dict[str, str | None]:
    """The tenants to compare, each with what it was called before, or None where it is new.

    One that is called otherwise on both sides and has the same `scim.baseUrl` was renamed. A tenant that git does not
    have any more stands for itself. Without names it is all tenants of both sides.

    Raises:
        UsageError: a name that neither side has.

    """
    now = list_tenants(root)
    new = {name: _target(root, name, environ) for name in now if name not in earlier.tenants}
    gone = {name: _target(earlier.folder, name, environ) for name in earlier.tenants if name not in now}
    pairs: dict[str, str | None] = {name: name for name in now if name not in new}
    for name, target in new.items():
        pairs[name] = next((old for old, where in gone.items() if where == target and where is not None), None)
        gone.pop(pairs[name] or "", None)
    pairs |= dict.fromkeys(gone) | {name: name for name in gone}
    names = tuple(dict.fromkeys(chosen))
    for name in names:
        if name not in pairs:
            close = nearest(name, tuple(pairs))
            raise UsageError(
                f"there is no tenant {name}, neither now nor in {earlier.place}",
                hint=f"did you mean {close}?" if close else "the name of a tenant is the name of its folder",
            )
    return {name: pairs[name] for name in names or sorted(pairs)}


def _target(root: Path, name: str, environ: Mapping[str, str]) -> str | None:
    loaded = load_desired_state(root, name, documents=False, environ=environ)
    return loaded.tenant.target if loaded.tenant is not None else None


def diff_tenant(root: Path, name: str, before: str | None, earlier: Earlier, surroundings: Surroundings) -> Compared:
    """What the change from the earlier commit to the files as they are now means for one tenant.

    Raises:
        DesiredStateError: either side is invalid; all of both is in the error.
        AmbiguousMatch: it is not clear which earlier document a document means.

    """
    listener, environ = surroundings.listener, surroundings.environ
    listener.phase_started("loading both desired states")
    head = load_desired_state(root, name, environ=environ) if name in list_tenants(root) else None
    base = load_desired_state(earlier.folder, before, environ=environ) if before is not None else None
    sides = [(head, f"{root}/"), (base, earlier.place)]
    if any(loaded is not None and loaded.errors for loaded, _ in sides):
        raise DesiredStateError([item for loaded, place in sides for item in _placed(loaded, place)])
    listener.phase_finished()
    told = Told(
        base=earlier.commit,
        revision=earlier.checkout.revision,
        tool=surroundings.tool,
        created_at=surroundings.timestamp(),
    )
    try:
        plan = compare_states(_side(head), _side(base), told)
    except DesiredStateError as error:
        raise DesiredStateError(error.diagnostics, root=str(root)) from error
    protected = [loaded.tenant.guards.protected for loaded, _ in sides if loaded is not None and loaded.tenant]
    return Compared(plan=plan, protected=tuple(entry for entries in protected for entry in entries))


def _side(loaded: Loaded | None) -> Side | None:
    if loaded is None or loaded.tenant is None or loaded.desired is None:
        return None
    return Side(tenant=loaded.tenant, state=loaded.desired)


def _placed(loaded: Loaded | None, place: str) -> list[Diagnostic]:
    """The diagnostics of one side, which say of which."""
    if loaded is None:
        return []
    return [replace(item, file=f"{place}{item.file}") for item in loaded.diagnostics]
