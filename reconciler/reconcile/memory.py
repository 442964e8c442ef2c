"""The memory of a tenant: what git declared before, read from the ledger, and what a run leaves there (SPEC 7.1).

Planning only reads. A run that writes says so first (`begin`), which is the lock across machines, and what it proved
afterwards (`end`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.errors import ConfigurationError, LedgerReason, LedgerRefused
from reconciler.ledger.chain import Chain, read_chain
from reconciler.ledger.checkout import Checkout, open_checkout
from reconciler.ledger.entries import Attempt, Receipt
from reconciler.ledger.ledger import Head, Ledger
from reconciler.model.outcome import ApplyResult
from reconciler.model.plan import DesiredRevision, Finding, Plan, Selection
from reconciler.model.state import BaseState, DesiredState, LiveState, Standing
from reconciler.model.tenant import Tenant
from reconciler.planner.settled import counted_changes, is_complete, released_users, settled_ids
from reconciler.reconcile.earlier import EarlierStates
from reconciler.reconcile.ledger_checks import (
    check_links,
    check_not_rewound,
    check_nothing_known,
    known_heads,
    signers_file,
)
from reconciler.reconcile.rundir import write_private
from reconciler.reconcile.surroundings import PLURALS, Surroundings

HEAD_FILE = "ledger-head"
"""Its name in the folder of a tenant below the state directory: the entry that this machine knows to be the newest."""

_HIDDEN_BY_DEPTH = frozenset({LedgerReason.REWOUND, LedgerReason.NOT_AN_ANCESTOR, LedgerReason.UNREADABLE})
"""What a shallow clone may be wrong about."""

_FIRST_DEPTH = 64
_DEEPER = 8
_CHURN_WINDOW = timedelta(hours=24)
_ROUNDS = 10
"""How often a receipt is appended again where other runs are faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """What the composition root and the command line decide. `environ` are the variables git runs with.

    `take_over` names a run whose open attempt is over, `continue_from` the entry that memory goes on from whatever came
    after it, `actor` who or what starts this run; "" where nobody said. `max_minutes` is what applying may take.
    """

    state_dir: Path
    environ: Mapping[str, str] = field(repr=False)
    selection: Selection = Selection.ALL
    allowed: Mapping[str, int | None] = field(default_factory=dict)
    first_run: bool = False
    continue_from: str = ""
    take_over: str = ""
    actor: str = ""
    max_minutes: int | None = None


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

    def commit_of(self, plan: Plan) -> str:
        """The commit that a plan was made from: that of a saved plan may be older than the one checked out.

        Raises:
            LedgerRefused: it is not a part of the history here, or the plan is not of a commit at all.

        """
        commit = plan.desired.commit
        if commit is None or plan.desired.dirty:
            raise LedgerRefused(
                LedgerReason.DIRTY,
                "the plan was not made from the files of a commit: what it grants could never be taken back",
                hint="commit them, and make the plan again in a checkout",
            )
        depth = _FIRST_DEPTH
        while not self.checkout.git.is_ancestor(commit, self.checkout.commit):
            if self.ledger.deepen(depth):
                depth *= _DEEPER
                continue
            raise LedgerRefused(
                LedgerReason.NOT_AN_ANCESTOR,
                f"the plan was made from the commit {commit}, which is not part of the history of "
                f"{self.checkout.commit}",
                hint="check out a commit that comes after it, or make the plan again",
            )
        return commit

    def read(self, tip: str | None, *, vouched: bool = False) -> Chain:
        since = datetime.fromisoformat(self.now()) - _CHURN_WINDOW
        return read_chain(self.checkout.git, tip, since.strftime("%Y-%m-%dT%H:%M:%SZ"), vouched=vouched)


@dataclass(slots=True)
class Memory:
    """What is remembered of one tenant, for one run.

    `base` is what to plan with and `revision` the desired state's own. `before` is tenant.yaml as of the last complete
    receipt. `obstacle` says why no run may begin, also where a plan can be made: it is dirty here, or another is at it.
    `open_run` is a run that may still be sending, also where `--take-over` says that it is over; "" for none.
    """

    base: BaseState
    revision: DesiredRevision = field(default_factory=DesiredRevision)
    before: Tenant | None = None
    obstacle: LedgerRefused | None = None
    open_run: str = ""
    _book: _Book | None = None
    _head: Head = field(default_factory=Head)
    _continues: str | None = None
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
            commit=book.commit_of(plan),
            selection=options.selection,
            allowed=options.allowed,
            previous=self._head.tip,
            continue_from=self._continues,
            digests=tuple(change.digest for change in plan.changes),
            actor=options.actor,
            started=book.now(),
            until=until,
            nonce=f"{int(book.surroundings.random() * 2**64):016x}",
            first_run=options.first_run,
            takes_over=self.open_run or None,
        )
        new = book.ledger.write(entry, {})
        try:
            self._head = book.ledger.publish(new, self._head)
        except LedgerRefused as refused:
            moved = refused.reason is LedgerReason.MOVED
            faster = book.read(book.ledger.head().tip).open_attempt(book.now()) if moved else None
            if faster is not None:
                raise _at_it(book, faster) from refused
            raise
        self._attempt = new
        self._remember()

    def end(self, plan: Plan, live: LiveState, result: ApplyResult) -> None:
        """Write down what a run did and proved; `live` is the snapshot that the plan was made of.

        Raises:
            LedgerRefused: it could not be shared, and is kept on the branch here until the next entry; or this
                machine cannot remember it.

        """
        if self._book is None:
            return
        if self._attempt is None and (self.obstacle is not None or plan.care is None):
            return  # nothing was sent, and nothing is known that could be proven
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
            commit=book.commit_of(plan),
            selection=book.options.selection,
            allowed=book.options.allowed,
            previous=head.tip,
            continue_from=self._continues if self._attempt is None else None,  # the attempt has said so already
            attempt=self._attempt,
            ended=result.ended,
            complete=proves and is_complete(plan, result),
            counts=counted_changes(result),
            released=released_users(plan, result, self.base.released, live, book.tenant),
        )
        ids = settled_ids(plan, result) if proves else {}
        return receipt, {PLURALS[kind]: found for kind, found in ids.items()}

    def _remember(self) -> None:
        if self._book is None or self._head.tip is None:
            return
        try:
            write_private(self._book.head_file, f"{self._head.tip}\n".encode())
        except ConfigurationError as error:
            raise LedgerRefused(LedgerReason.UNREADABLE, error.message, hint=error.hint) from error


def open_memory(
    root: Path, tenant: Tenant, desired: DesiredState | None, surroundings: Surroundings, options: MemoryOptions
) -> Memory:
    """What is remembered of a tenant. What is wrong with the ledger is no error here: the guard `no-base` judges it.

    `desired` is the desired state of the checkout where it is loaded already, so that it is not loaded twice.

    Raises:
        ConfigurationError: RECONCILER_LEDGER_HEAD or RECONCILER_LEDGER_SIGNERS make no sense.

    """
    revision = DesiredRevision()
    try:
        known = known_heads(tenant.name, surroundings.environ, options.state_dir / tenant.name / HEAD_FILE)
        checkout = open_checkout(root, tenant.name, options.environ)
        if checkout is None:
            check_nothing_known(known, "outside a git checkout")
            return Memory(base=BaseState())
        revision = checkout.revision
        ledger = Ledger(
            git=checkout.git,
            tenant=tenant.name,
            remote=checkout.remote(),
            signers=signers_file(surroundings.environ, checkout),
        )
        book = _Book(ledger=ledger, checkout=checkout, tenant=tenant, options=options, surroundings=surroundings)
        return _open_in_depth(book, desired, known)
    except LedgerRefused as refused:
        base = BaseState(standing=Standing.UNUSABLE, detail=_in_words(refused))
        return Memory(base=base, revision=revision, obstacle=refused)


def _open_in_depth(book: _Book, desired: DesiredState | None, known: Sequence[str]) -> Memory:
    """The memory; a shallow clone is deepened before anything is said that more history may prove wrong."""
    depth = _FIRST_DEPTH
    while True:
        try:
            return _open(book, desired, known)
        except LedgerRefused as refused:
            if refused.reason not in _HIDDEN_BY_DEPTH or not book.ledger.deepen(depth):
                raise
        depth *= _DEEPER


def _open(book: _Book, desired: DesiredState | None, known: Sequence[str]) -> Memory:
    head, continues = book.ledger.head(), None
    own = chain = Chain()
    before = None
    environ = book.surroundings.environ
    states = EarlierStates(checkout=book.checkout, tenant=book.tenant, now=desired, environ=environ)
    if book.options.continue_from:
        continues = _continued(book)
        chain = book.read(continues, vouched=True)
        own = _own_chain(book, head)
        base, before = states.base(chain)
    elif head.tip is None:
        check_nothing_known(known, f"there is no branch {book.ledger.branch}")
        base = _first_base(book)
    else:
        check_not_rewound(book.ledger, head.tip, known)
        chain = book.read(head.tip)
        check_links(chain, book.ledger, book.checkout, book.tenant)
        base, before = states.base(chain)
    if book.options.first_run and (continues or head.tip):
        raise LedgerRefused(
            LedgerReason.NOT_THE_FIRST,
            f"git was applied to {book.tenant.name} before: there is a branch {book.ledger.branch}",
            hint="leave out --first-run",
        )
    open_ = chain.open_attempt(book.now()) or own.open_attempt(book.now())
    return Memory(
        base=base,
        revision=book.checkout.revision,
        before=before,
        obstacle=_obstacle(book, open_),
        open_run=open_.run if open_ is not None else "",
        _book=book,
        _head=head,
        _continues=continues,
    )


def _continued(book: _Book) -> str:
    """The entry that `--continue-from` names."""
    found = book.ledger.find(book.options.continue_from)
    if found is None:
        raise LedgerRefused(
            LedgerReason.MISSING,
            f"there is no entry {book.options.continue_from} here to continue from",
            hint=f"fetch the branch it is on: `git fetch {book.ledger.remote or 'REMOTE'} reconciler/TENANT`",
        )
    return found


def _own_chain(book: _Book, head: Head) -> Chain:
    """What the branch itself says where memory goes on from elsewhere: who is at work counts all the same."""
    try:
        return book.read(head.tip)
    except LedgerRefused:
        return Chain()  # that it cannot be read is why somebody continues from elsewhere


def _first_base(book: _Book) -> BaseState:
    if book.options.first_run:
        return BaseState(standing=Standing.FIRST_RUN, detail="git was never applied before, as --first-run says")
    raise LedgerRefused(
        LedgerReason.MISSING,
        f"there is no ledger: {book.ledger.remote or 'the repository'} has no branch {book.ledger.branch}",
        hint=f"if git was never applied to {book.tenant.name}: `apply --first-run`",
    )


def _obstacle(book: _Book, open_: Attempt | None) -> LedgerRefused | None:
    """Why no run may begin, or None."""
    if book.checkout.revision.dirty:
        return LedgerRefused(
            LedgerReason.DIRTY,
            "the desired state here is not the one of the commit that would be written down",
            hint="commit it, or put the files away: `git status` shows them",
        )
    return _at_it(book, open_) if open_ is not None and open_.run != book.options.take_over else None


def obstacle_findings(memory: Memory) -> tuple[Finding, ...]:
    """What a plan has to say of why it could not be applied now, although it could be made."""
    refused = memory.obstacle
    if refused is None or memory.base.standing is Standing.UNUSABLE:
        return ()
    message = "; ".join(part for part in (refused.message, refused.context, refused.hint) if part)
    return (Finding(code=refused.reason.replace(" ", "-"), message=message),)


def _at_it(book: _Book, open_: Attempt) -> LedgerRefused:
    return LedgerRefused(
        LedgerReason.OPEN_ATTEMPT,
        f"the run {open_.run} may still be at work on {book.tenant.name}",
        context=f"started by {open_.actor or 'somebody'} at {open_.started}; it sends nothing after {open_.until}",
        hint=f"wait for its receipt, or until then; if you know that it is over: `apply --take-over {open_.run}`",
    )


def _in_words(refused: LedgerRefused) -> str:
    parts = (refused.message, refused.context, refused.hint)
    return f"{refused.reason}: " + "; ".join(part for part in parts if part)
