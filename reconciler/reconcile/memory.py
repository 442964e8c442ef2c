"""The memory of a tenant: what git declared before, read from the ledger, and what a run leaves there (SPEC 7.1).

Planning only reads. A run that writes says so first (`begin`), which is the lock across machines, and what it proved
afterwards (`end`).
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.desired.parser import Loaded, load_desired_state
from reconciler.errors import ConfigurationError, LedgerReason, LedgerRefused
from reconciler.ledger.chain import Chain, Link, read_chain, read_ids
from reconciler.ledger.checkout import Checkout, open_checkout
from reconciler.ledger.entries import Attempt, Receipt
from reconciler.ledger.ledger import Head, Ledger
from reconciler.ledger.trees import extract, tree_of
from reconciler.model.outcome import ApplyResult
from reconciler.model.plan import DesiredRevision, Finding, Plan, Selection
from reconciler.model.resource import Kind
from reconciler.model.state import BaseState, DesiredState, LiveState, Standing
from reconciler.model.tenant import Tenant
from reconciler.planner.settled import counted_changes, is_complete, released_users, settled_ids
from reconciler.reconcile.rundir import write_private
from reconciler.reconcile.surroundings import PLURALS, Surroundings

HEAD_FILE = "ledger-head"
"""Its name in the folder of a tenant below the state directory: the entry that this machine knows to be the newest."""

HEAD_VARIABLE = "RECONCILER_LEDGER_HEAD"
"""Names the newest entry that somebody knows: a commit, or TENANT=COMMIT for each of several, with commas between."""

SIGNERS_VARIABLE = "RECONCILER_LEDGER_SIGNERS"
"""Names a file of ssh's allowed signers, outside of the checkout."""

_HEAD = re.compile(r"(?:([a-z0-9-]+)=)?([0-9a-f]{40}|[0-9a-f]{64})")
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
        remembered = _remembered(tenant.name, surroundings.environ, options)
        checkout = open_checkout(root, tenant.name, options.environ)
        if checkout is None:
            _check_nothing_remembered(remembered, "outside a git checkout")
            return Memory(base=BaseState())
        revision = checkout.revision
        ledger = Ledger(
            git=checkout.git,
            tenant=tenant.name,
            remote=checkout.remote(),
            signers=_signers(surroundings.environ, checkout),
        )
        book = _Book(ledger=ledger, checkout=checkout, tenant=tenant, options=options, surroundings=surroundings)
        return _open_in_depth(book, desired, remembered)
    except LedgerRefused as refused:
        base = BaseState(standing=Standing.UNUSABLE, detail=_in_words(refused))
        return Memory(base=base, revision=revision, obstacle=refused)


def _open_in_depth(book: _Book, desired: DesiredState | None, remembered: Sequence[str]) -> Memory:
    """The memory; a shallow clone is deepened before anything is said that more history may prove wrong."""
    depth = _FIRST_DEPTH
    while True:
        try:
            return _open(book, desired, remembered)
        except LedgerRefused as refused:
            if refused.reason not in _HIDDEN_BY_DEPTH or not book.ledger.deepen(depth):
                raise
        depth *= _DEEPER


def _open(book: _Book, desired: DesiredState | None, remembered: Sequence[str]) -> Memory:
    head, continues = book.ledger.head(), None
    own = chain = Chain()
    before = None
    if book.options.continue_from:
        continues = _continued(book)
        chain = book.read(continues, vouched=True)
        own = _own_chain(book, head)
        base, before = _States(book, desired).base(chain)
    elif head.tip is None:
        _check_nothing_remembered(remembered, f"there is no branch {book.ledger.branch}")
        base = _first_base(book)
    else:
        _check_not_rewound(book, head.tip, remembered)
        chain = book.read(head.tip)
        _check_links(book, chain)
        base, before = _States(book, desired).base(chain)
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


@dataclass(slots=True)
class _States:
    """The desired states of a chain while they are loaded; each tree once."""

    book: _Book
    now: DesiredState | None
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
            if isinstance(entry, Receipt) and entry.attempt is None:
                continue  # nothing was sent
            if isinstance(entry, Receipt) and entry.attempt in positions:
                proven |= dict.fromkeys(read_ids(git, link), positions[entry.attempt])
                continue
            self._add(link)  # also of a receipt that comes after its attempt was let go: its run may have sent since
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
        if is_now and self.now is not None and not checkout.revision.dirty:
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
    """Every entry that base is made of is signed, about this tenant, at this place, and of the history applied.

    Those before a `--continue-from` are not asked: whoever said it answers for them.
    """
    links = [link for link in chain.links if not link.vouched]
    book.ledger.check_signed([link.sha for link in links])
    ours = (book.tenant.name, book.checkout.root)
    commits: set[str] = set()
    for link in links:
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
                hint="apply a commit that comes after it; where history was rewritten: `apply --continue-from "
                f"{links[-1].sha}`",
            )


def _check_not_rewound(book: _Book, tip: str, remembered: Sequence[str]) -> None:
    for known in remembered:
        if not book.checkout.git.is_ancestor(known, tip):
            raise LedgerRefused(
                LedgerReason.REWOUND,
                f"the branch {book.ledger.branch} has lost entries: it ends at {tip}, without {known}",
                hint=f"find out who moved it, and push it back: `git push {book.ledger.remote or 'REMOTE'} "
                f"{known}:refs/heads/{book.ledger.branch}`",
            )


def _check_nothing_remembered(remembered: Sequence[str], what: str) -> None:
    for known in remembered:
        raise LedgerRefused(
            LedgerReason.MISSING,
            f"{what}, and a ledger is remembered that ends at {known}",
            hint="run it in the checkout that it was applied from, or push the branch back",
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


def _remembered(tenant: str, environ: Mapping[str, str], options: MemoryOptions) -> list[str]:
    """The entries that this machine, and whoever set the environment, know to be in the ledger."""
    known = [*_heads_told(tenant, environ.get(HEAD_VARIABLE, ""))]
    file = options.state_dir / tenant / HEAD_FILE
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return known
    except OSError as error:
        raise _head_file_unreadable(file, error.strerror or "") from error
    if _HEAD.fullmatch(text) is None:
        raise _head_file_unreadable(file, "it holds no commit")
    return [*known, text]


def _head_file_unreadable(file: Path, why: str) -> LedgerRefused:
    return LedgerRefused(
        LedgerReason.UNREADABLE,
        f"{file} cannot be read, which has the newest entry that this machine knows",
        context=why,
        hint="give it back to its owner; or remove it, if you know that the ledger has lost no entry",
    )


def _heads_told(tenant: str, value: str) -> Iterator[str]:
    for part in value.replace(",", " ").split():
        match = _HEAD.fullmatch(part)
        if match is None:
            raise ConfigurationError(
                f"{HEAD_VARIABLE} names no entry: {part}", hint="a commit, or TENANT=COMMIT for each of several tenants"
            )
        if match[1] in {None, tenant}:
            yield match[2]


def _signers(environ: Mapping[str, str], checkout: Checkout) -> Path | None:
    value = environ.get(SIGNERS_VARIABLE)
    if not value:
        return None
    file = Path(value).resolve()
    if not file.is_file():
        raise ConfigurationError(
            f"{SIGNERS_VARIABLE} names no file: {value}", hint="a file of allowed signers, as ssh-keygen(1) tells"
        )
    if file.is_relative_to(Path(checkout.git.must("rev-parse", "--show-toplevel")).resolve()):
        raise ConfigurationError(
            f"{SIGNERS_VARIABLE} names a file in the checkout: {value}",
            context="whoever can change the desired state could then sign for it",
            hint="keep it outside of the repository",
        )
    return file


def _in_words(refused: LedgerRefused) -> str:
    parts = (refused.message, refused.context, refused.hint)
    return f"{refused.reason}: " + "; ".join(part for part in parts if part)
