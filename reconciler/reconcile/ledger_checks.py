"""Whether a ledger is to be relied on: known heads, signatures, and what its entries are about (SPEC section 7.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.errors import ConfigurationError, LedgerReason, LedgerRefused
from reconciler.ledger.chain import Chain
from reconciler.ledger.checkout import Checkout
from reconciler.ledger.ledger import Ledger
from reconciler.model.plan import Selection
from reconciler.model.tenant import Tenant

HEAD_VARIABLE = "RECONCILER_LEDGER_HEAD"
"""Names the newest entry that somebody knows: a commit, or TENANT=COMMIT for each of several, with commas between."""

SIGNERS_VARIABLE = "RECONCILER_LEDGER_SIGNERS"
"""Names a file of ssh's allowed signers, outside of the checkout."""

_HEAD = re.compile(r"(?:([a-z0-9-]+)=)?([0-9a-f]{40}|[0-9a-f]{64})")


def check_links(chain: Chain, ledger: Ledger, checkout: Checkout, tenant: Tenant) -> None:
    """Every entry that base is made of is signed, about this tenant, at this place, and of the history applied.

    Those before a `--continue-from` are not asked: whoever said it answers for them.

    Raises:
        LedgerRefused: one is not.

    """
    links = [link for link in chain.links if not link.vouched]
    ledger.check_signed([link.sha for link in links])
    ours = (tenant.name, checkout.root)
    commits: set[str] = set()
    for link in links:
        entry = link.entry
        if entry.target != tenant.target:
            raise LedgerRefused(
                LedgerReason.OTHER_TARGET,
                f"the ledger is about {entry.target}, and tenant.yaml says {tenant.target}",
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
        if not checkout.git.is_ancestor(commit, checkout.commit):
            raise LedgerRefused(
                LedgerReason.NOT_AN_ANCESTOR,
                f"the commit {commit}, which was applied before, is not part of the history of {checkout.commit}",
                hint="apply a commit that comes after it; where history was rewritten: `apply --continue-from "
                f"{links[-1].sha}`",
            )


def check_not_rewound(ledger: Ledger, tip: str, known_heads: Sequence[str]) -> None:
    """Every entry that somebody knows must be the tip, or come before it.

    Raises:
        LedgerRefused: one is not.

    """
    for known in known_heads:
        if not ledger.git.is_ancestor(known, tip):
            raise LedgerRefused(
                LedgerReason.REWOUND,
                f"the branch {ledger.branch} has lost entries: it ends at {tip}, without {known}",
                hint=f"find out who moved it, and push it back: `git push {ledger.remote or 'REMOTE'} "
                f"{known}:refs/heads/{ledger.branch}`",
            )


def check_nothing_known(known_heads: Sequence[str], what: str) -> None:
    """Where there is no ledger, nobody may know of an entry; `what` says why there is none.

    Raises:
        LedgerRefused: somebody does.

    """
    for known in known_heads:
        raise LedgerRefused(
            LedgerReason.MISSING,
            f"{what}, and a ledger is remembered that ends at {known}",
            hint="run it in the checkout that it was applied from, or push the branch back",
        )


def known_heads(tenant: str, environ: Mapping[str, str], file: Path) -> list[str]:
    """The entries that this machine (in a file), and whoever set the environment, know to be in the ledger.

    Raises:
        LedgerRefused: the file cannot be read.
        ConfigurationError: the variable names no entry.

    """
    known = [*_heads_told(tenant, environ.get(HEAD_VARIABLE, ""))]
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


def signers_file(environ: Mapping[str, str], checkout: Checkout) -> Path | None:
    """The file of allowed signers where signatures are demanded, else None.

    Raises:
        ConfigurationError: there is no such file, or it is in the checkout.

    """
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
