"""The memory of a tenant: what git declared before, read from the ledger, and what a run leaves there (SPEC 7.1).

Planning only reads. A run that writes says so first (`begin`), which is the lock across machines, and what it proved
afterwards (`end`).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.errors import LedgerReason, LedgerRefused
from reconciler.ledger.chain import Chain, Link, read_chain, read_ids
from reconciler.ledger.checkout import Checkout, open_checkout
from reconciler.ledger.entries import Attempt, Receipt
from reconciler.ledger.ledger import Head, Ledger
from reconciler.ledger.trees import extract, tree_of
from reconciler.model.outcome import ApplyResult
from reconciler.model.plan import DesiredRevision, Plan, Selection
from reconciler.model.resource import Kind
from reconciler.model.state import BaseState, DesiredState, LiveState, Standing
from reconciler.model.tenant import Tenant
from reconciler.planner.settled import counted_changes, is_complete, released_users, settled_ids
from reconciler.reconcile.rundir import write_private
from reconciler.reconcile.surroundings import PLURALS, Surroundings

HEAD_FILE = "ledger-head"
"""Its name in the folder of a tenant below the state directory: the entry that this machine knows to be the newest."""

_CHURN_WINDOW = timedelta(hours=24)
_ROUNDS = 10
"""How often a receipt is appended again where other runs are faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """What the composition root and the command line decide. `environ` are the variables git runs with.

    `take_over` names a run whose open attempt is over, `actor` who or what starts this one; "" where nobody said.
    """

    state_dir: Path
    environ: Mapping[str, str] = field(repr=False)
    selection: Selection = Selection.ALL
    allowed: Mapping[str, int | None] = field(default_factory=dict)
    first_run: bool = False
    take_over: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """A ledger that can be read and written, for one tenant at one commit."""

    ledger: Ledger
    checkout: Checkout
    tenant: Tenant
    options: MemoryOptions
    surroundings: Surroundings

    @property
    def head_file(self) -> Path:
        return self.options.state_dir / self.tenant.name / HEAD_FILE

    def now(self) -> str:
        return self.surroundings.timestamp()

    def read(self, head: Head) -> Chain:
        since = datetime.fromisoformat(self.now()) - _CHURN_WINDOW
        return read_chain(self.checkout.git, head.tip, since.strftime("%Y-%m-%dT%H:%M:%SZ"))


@dataclass(slots=True)
class Memory:
    """What is remembered of one tenant, for one run.

    `base` is what to plan with and `revision` the desired state's own. `before` is tenant.yaml as of the last complete
    receipt. `obstacle` says why no run may begin, also where a plan can be made: it is dirty here, or another is at it.
    """

    base: BaseState
    revision: DesiredRevision = field(default_factory=DesiredRevision)
    before: Tenant | None = None
    obstacle: LedgerRefused | None = None
    _book: _Book | None = None
    _head: Head = field(default_factory=Head)
    _attempt: str | None = None

    def begin(self, run: str, plan: Plan, until: str) -> None:
        """Write down that a run is about to send these changes, until this RFC 3339 time at the latest.

        Outside of git there is nothing to write to, and nothing happens.

        Raises:
            LedgerRefused: it may not begin, above all because another run is at it.

        """
        if self.obstacle is not None:
            raise self.obstacle
        if self._book is None:
            return
        book, options = self._book, self._book.options
        entry = Attempt(
            run=run,
            tenant=book.tenant.name,
            target=book.tenant.target,
            root=book.checkout.root,
            commit=book.checkout.commit,
            selection=options.selection,
            allowed=options.allowed,
            previous=self._head.tip,
            digests=tuple(change.digest for change in plan.changes),
            actor=options.actor,
            started=book.now(),
            until=until,
            first_run=options.first_run,
            takes_over=options.take_over or None,
        )
        new = book.ledger.write(entry, {})
        try:
            self._head = book.ledger.publish(new, self._head)
        except LedgerRefused as refused:
            if refused.reason is LedgerReason.MOVED:
                _check_nobody_is_at_it(book, book.read(book.ledger.head()))
            raise
        self._attempt = new
        self._remember()

    def end(self, plan: Plan, live: LiveState, result: ApplyResult) -> None:
        """Write down what a run did and proved; `live` is the snapshot that the plan was made of.

        Raises:
            LedgerRefused: it could not be shared. It is kept on the branch here, and goes with the next entry.

        """
        if self._book is None or (self._attempt is None and self.obstacle is not None):
            return
        book, head = self._book, self._head
        for _ in range(_ROUNDS):
            new = book.ledger.write(*self._receipt(book, head, plan, live, result))
            try:
                self._head = book.ledger.publish(new, head)
            except LedgerRefused as refused:
                if refused.reason is not LedgerReason.MOVED:
                    book.ledger.keep(new, head)
                    raise
                if self._attempt is None:
                    return  # nothing was done, and by now somebody else knows more about the tenant
                head = book.ledger.head()
            else:
                self._remember()
                return
        raise LedgerRefused(
            LedgerReason.MOVED, "the receipt could not be added: other runs were faster again and again"
        )

    def _receipt(
        self, book: _Book, head: Head, plan: Plan, live: LiveState, result: ApplyResult
    ) -> tuple[Receipt, Mapping[str, frozenset[str]]]:
        proves = book.options.selection is not Selection.REVOKE  # what a run passed over, it cannot have settled
        receipt = Receipt(
            run=result.run,
            tenant=book.tenant.name,
            target=book.tenant.target,
            root=book.checkout.root,
            commit=book.checkout.commit,
            selection=book.options.selection,
            allowed=book.options.allowed,
            previous=head.tip,
            attempt=self._attempt,
            ended=result.ended,
            complete=proves and is_complete(plan, result),
            counts=counted_changes(result),
            released=released_users(plan, result, self.base.released, live, book.tenant),
        )
        ids = settled_ids(plan, result) if proves else {}
        return receipt, {PLURALS[kind]: found for kind, found in ids.items()}

    def _remember(self) -> None:
        if self._book is not None and self._head.tip is not None:
            write_private(self._book.head_file, f"{self._head.tip}\n".encode())


def open_memory(
    root: Path, tenant: Tenant, desired: DesiredState, surroundings: Surroundings, options: MemoryOptions
) -> Memory:
    """What is remembered of a tenant; never raises for what is wrong with the ledger: the guard `no-base` judges it."""
    try:
        remembered = _remembered(options.state_dir / tenant.name / HEAD_FILE)
        checkout = open_checkout(root, tenant.name, options.environ)
        if checkout is None:
            _check_nothing_remembered(remembered, "outside a git checkout")
            return Memory(base=BaseState())
        ledger = Ledger(git=checkout.git, tenant=tenant.name, remote=checkout.remote())
        book = _Book(ledger=ledger, checkout=checkout, tenant=tenant, options=options, surroundings=surroundings)
        return _open(book, desired, remembered)
    except LedgerRefused as refused:
        return Memory(base=BaseState(standing=Standing.UNUSABLE, detail=_in_words(refused)), obstacle=refused)


def _open(book: _Book, desired: DesiredState, remembered: str | None) -> Memory:
    head = book.ledger.head()
    if head.tip is None:
        _check_nothing_remembered(remembered, f"there is no branch {book.ledger.branch}")
        base, before, chain = _first_base(book), None, Chain()
    else:
        if book.options.first_run:
            raise LedgerRefused(
                LedgerReason.NOT_THE_FIRST,
                f"git was applied to {book.tenant.name} before: there is a branch {book.ledger.branch}",
                hint="leave out --first-run",
            )
        _check_not_rewound(book, head.tip, remembered)
        chain = book.read(head)
        _check_links(book, chain)
        base, before = _States(book, desired).base(chain)
    memory = Memory(base=base, revision=book.checkout.revision, before=before, _book=book, _head=head)
    memory.obstacle = _obstacle(book, chain)
    return memory


def _first_base(book: _Book) -> BaseState:
    if book.options.first_run:
        return BaseState(standing=Standing.FIRST_RUN, detail="git was never applied before, as --first-run says")
    raise LedgerRefused(
        LedgerReason.MISSING,
        f"there is no ledger: {book.ledger.remote or 'the repository'} has no branch {book.ledger.branch}",
        hint=f"if git was never applied to {book.tenant.name}: `apply --first-run`",
    )


@dataclass(slots=True)
class _States:
    """The desired states of a chain while they are loaded; each tree once."""

    book: _Book
    now: DesiredState
    states: list[DesiredState] = field(default_factory=list)
    at: list[tuple[str, str]] = field(default_factory=list)

    def base(self, chain: Chain) -> tuple[BaseState, Tenant | None]:
        """The base, and tenant.yaml of the last complete receipt."""
        git = self.book.checkout.git
        before = None
        if chain.receipt is not None:
            before = self._add(chain.receipt)
        positions: dict[str | None, int] = {}
        proven: dict[str, int] = {}
        for link in chain.later:
            entry = link.entry
            if isinstance(entry, Receipt) and entry.attempt in positions:
                proven |= dict.fromkeys(read_ids(git, link), positions[entry.attempt])
                continue
            self._add(link)
            if isinstance(entry, Attempt):
                positions[link.sha] = len(self.states) - 1
        newest = chain.newest_receipt
        removed: Counter[Kind] = Counter()
        for receipt in chain.recent:
            removed.update({kind: receipt.counts["removed"][kind.value] for kind in PLURALS})
        base = BaseState(
            standing=Standing.USABLE,
            detail="",
            commit=chain.receipt.entry.commit if chain.receipt is not None else None,
            states=tuple(self.states),
            proven=proven,
            known=read_ids(git, chain.receipt) if chain.receipt is not None else None,
            released=newest.released if newest is not None else {},
            recent_removals=removed,
        )
        return base, before

    def _add(self, link: Link) -> Tenant | None:
        """Take the desired state of an entry in, unless it is that of the entry before; the tenant.yaml it has."""
        entry, checkout = link.entry, self.book.checkout
        tree = tree_of(checkout.git, entry.commit, entry.root)
        place = (tree, entry.tenant)
        if self.at and self.at[-1] == place:
            return None
        is_now = place == (tree_of(checkout.git, checkout.commit, checkout.root), self.book.tenant.name)
        if is_now and not checkout.revision.dirty:
            state, tenant = self.now, self.book.tenant
        else:
            loaded = self._load(tree, entry.tenant)
            if loaded.desired is None or loaded.tenant is None:
                if entry.selection is Selection.REVOKE:  # it took access away and gave none, whatever else was wrong
                    return None
                raise _unloadable(entry.commit, loaded)
            state, tenant = loaded.desired, loaded.tenant
        self.states.append(state)
        self.at.append(place)
        return tenant

    def _load(self, tree: str, tenant: str) -> Loaded:
        with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
            extract(self.book.checkout.git, tree, Path(folder))
            return load_desired_state(Path(folder), tenant)


def _unloadable(commit: str, loaded: Loaded) -> LedgerRefused:
    first = loaded.errors[0] if loaded.errors else None
    return LedgerRefused(
        LedgerReason.UNREADABLE,
        f"the desired state of commit {commit}, which was applied, cannot be read by this version of the tool",
        context=f"{first.file}:{first.line}: {first.message}" if first is not None else None,
        hint="apply once more with the version that applied it, with desired state that both read",
    )


def _check_links(book: _Book, chain: Chain) -> None:
    """Every entry that base is made of is about this tenant, at this place, and part of the history applied."""
    ours = (book.tenant.name, book.checkout.root)
    commits: set[str] = set()
    for link in chain.links:
        entry = link.entry
        if entry.target != book.tenant.target:
            raise LedgerRefused(
                LedgerReason.OTHER_TARGET,
                f"the ledger is about {entry.target}, and tenant.yaml says {book.tenant.target}",
                hint=f"if it is the same directory under a new address: `apply --continue-from {link.sha}`",
            )
        if (entry.tenant, entry.root) != ours:
            raise LedgerRefused(
                LedgerReason.OTHER_FOLDER,
                f"the ledger is about the folder {entry.root}/{entry.tenant}, not {ours[1]}/{ours[0]}",
                hint=f"if the folder was moved: `apply --continue-from {link.sha}`",
            )
        if entry.selection is not Selection.REVOKE:
            commits.add(entry.commit)
    for commit in sorted(commits):
        if not book.checkout.git.is_ancestor(commit, book.checkout.commit):
            raise LedgerRefused(
                LedgerReason.NOT_AN_ANCESTOR,
                f"the commit {commit}, which was applied before, is not part of the history of {book.checkout.commit}",
                hint="apply a commit that comes after it",
            )


def _check_not_rewound(book: _Book, tip: str, remembered: str | None) -> None:
    if remembered is not None and not book.checkout.git.is_ancestor(remembered, tip):
        raise LedgerRefused(
            LedgerReason.REWOUND,
            f"the branch {book.ledger.branch} has lost entries: it ends at {tip}, without {remembered}",
            hint="find out who moved it, and push it back",
        )


def _check_nothing_remembered(remembered: str | None, what: str) -> None:
    if remembered is not None:
        raise LedgerRefused(
            LedgerReason.MISSING,
            f"{what}, and a ledger is remembered that ends at {remembered}",
            hint="run it in the checkout that it was applied from, or push the branch back",
        )


def _obstacle(book: _Book, chain: Chain) -> LedgerRefused | None:
    """Why no run may begin, or None."""
    if book.checkout.revision.dirty:
        return LedgerRefused(
            LedgerReason.DIRTY,
            "the desired state here is not the one of the commit that would be written down",
            hint="commit it, or put the files away: `git status` shows them",
        )
    try:
        _check_nobody_is_at_it(book, chain)
    except LedgerRefused as refused:
        return refused
    return None


def _check_nobody_is_at_it(book: _Book, chain: Chain) -> None:
    open_ = chain.open_attempt(book.now())
    if open_ is None or open_.run == book.options.take_over:
        return
    raise LedgerRefused(
        LedgerReason.OPEN_ATTEMPT,
        f"the run {open_.run} may still be at work on {book.tenant.name}",
        context=f"started by {open_.actor or 'somebody'} at {open_.started}; it sends nothing after {open_.until}",
        hint=f"wait for its receipt, or until then; if you know that it is over: `apply --take-over {open_.run}`",
    )


def _remembered(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerRefused(LedgerReason.UNREADABLE, f"cannot read {file}", hint="give it back to its owner") from error


def _in_words(refused: LedgerRefused) -> str:
    parts = (refused.message, refused.context, refused.hint)
    return f"{refused.reason}: " + "; ".join(part for part in parts if part)
