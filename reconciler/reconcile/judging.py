"""Under which settings, policies and overrides a plan is judged: no change loosens what judges it (SPEC section 8).

A plan is judged by two sides, head and another one, and the stricter of them counts. For a pull request the other side
is the branch that it wants to be merged into; for an apply it is what the last complete run was judged by.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.desired.parser import Loaded, list_tenants, load_desired_state
from reconciler.errors import ConfigurationError, UsageError
from reconciler.ledger.checkout import Checkout, open_checkout
from reconciler.ledger.trees import extract
from reconciler.model.plan import Finding
from reconciler.model.resource import ResourceKey
from reconciler.model.state import DesiredState, Exclusive, Override
from reconciler.model.tenant import Tenant
from reconciler.planner.selection import with_stand_ins
from reconciler.planner.strictness import overruled, overruled_policies, same_override, stricter_state, stricter_tenant
from reconciler.reconcile.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a plan is judged by beside head. `where` says in words where that stands; `overrides` are all that count.

    `findings` are what has to be known about this side itself.
    """

    where: str
    tenant: Tenant
    overrides: tuple[Override, ...]
    exclusives: tuple[Exclusive, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What a plan is made with, and which settings of head do not count.

    `stand_ins` are resources whose documents are invalid: what was declared before stands in for them.
    """

    tenant: Tenant
    desired: DesiredState
    overrides: tuple[Override, ...]
    findings: tuple[Finding, ...]
    stand_ins: frozenset[ResourceKey] = frozenset()


def judge(tenant: Tenant, loaded: Loaded, memory: Memory, other: Side | None = None) -> Judged:
    """What the files of head declare, or the sound ones among them, judged by another side: else by the last run."""
    desired, stand_ins = loaded.sound, frozenset[ResourceKey]()
    if loaded.desired is None:
        sound = with_stand_ins(loaded.sound, memory.base)
        desired, stand_ins = sound.state, sound.stand_ins
    judged = judged_by(tenant, desired, last_run(tenant, desired, memory) if other is None else other)
    return replace(judged, stand_ins=stand_ins)


def judged_by(tenant: Tenant, desired: DesiredState, other: Side) -> Judged:
    """Head under the stricter of both sides."""
    waiting = [item for item in desired.overrides if not any(same_override(item, it) for it in other.overrides)]
    return Judged(
        tenant=stricter_tenant(tenant, other.tenant),
        desired=stricter_state(desired, other.exclusives),
        overrides=other.overrides,
        findings=(
            *other.findings,
            *(
                Finding(code="overruled", message=line)
                for line in (
                    *overruled(tenant, other.tenant, other.where),
                    *overruled_policies(desired, other.exclusives, other.where),
                )
            ),
            *(
                Finding(
                    code="override-waits",
                    message=f"the Override at {item.source.file}:{item.source.line} is not {other.where}, and does not "
                    f"count until then; {item.guard} is judged without it",
                )
                for item in waiting
            ),
        ),
    )


def last_run(tenant: Tenant, desired: DesiredState, memory: Memory) -> Side:
    """What the last complete run was judged by; head itself where there was none. Overrides are those of head."""
    before = memory.before
    return Side(
        where="at the last complete run",
        tenant=tenant if before is None else before,
        overrides=desired.overrides,
        exclusives=() if before is None else memory.base.states[0].exclusives,
    )


def policies_at(
    revision: str, root: Path, tenant: Tenant, environ: Mapping[str, str], secrets: Mapping[str, str]
) -> Side:
    """What a revision says, read from git's objects: settings, policies and overrides of a tenant.

    A tenant that has another name there is found by its base URL. One that is not there at all is judged by head alone,
    without any override. `environ` are the variables that git runs with, `secrets` those of `load_desired_state`.

    Raises:
        UsageError: there is no such revision here, or no checkout.
        ConfigurationError: the tenant is there and cannot be read.
        LedgerRefused: git cannot tell.

    """
    checkout = open_checkout(root, tenant.name, environ)
    if checkout is None:
        raise UsageError(
            "--policy-from needs a git checkout that tracks the tenant's tenant.yaml",
            hint="leave it out, or plan in the checkout of the pull request",
        )
    commit = checkout.git.resolve(f"{revision}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"--policy-from {revision}: there is no such commit here",
            hint="name a branch of the remote such as origin/main, or a commit; a shallow clone has to fetch it first: "
            "`git fetch origin main`",
        )
    loaded = _load(checkout, commit, tenant, secrets)
    if loaded is None:
        message = f"the tenant is not at {revision}: its guards, policies and protected names are those of this change"
        alone = Finding(code="judged-alone", message=message)
        return Side(where=f"at {revision}", tenant=tenant, overrides=(), findings=(alone,))
    if loaded.tenant is None or loaded.desired is None:
        first = loaded.errors[0]
        raise ConfigurationError(
            f"what {revision} says about {loaded.tenant_name} cannot be read, and so nothing can be judged by it",
            context=f"{first.file}:{first.line}: {first.message}",
            hint="mend tenant.yaml, Policy and Override documents on that branch first",
        )
    return Side(
        where=f"at {revision}",
        tenant=loaded.tenant,
        overrides=loaded.desired.overrides,
        exclusives=loaded.desired.exclusives,
    )


def _load(checkout: Checkout, commit: str, tenant: Tenant, secrets: Mapping[str, str]) -> Loaded | None:
    """What decides about plans in the desired state of a commit; None where the tenant is not in it."""
    tree = checkout.git.resolve(f"{commit}:{checkout.root}")
    if tree is None:
        return None
    with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
        root = Path(folder)
        extract(checkout.git, tree, root)

        def load(name: str) -> Loaded:
            return load_desired_state(root, name, documents=False, environ=secrets)

        names = list_tenants(root)
        if tenant.name in names:
            return load(tenant.name)
        others = (load(name) for name in names)
        return next((it for it in others if it.tenant is not None and it.tenant.target == tenant.target), None)
