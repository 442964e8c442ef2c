"""Plans for tests: complete, with true digests, from as little as a test wants to say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from reconciler.model.change import (
    Action,
    AttributeChange,
    Change,
    MembershipChange,
    Precondition,
    PreconditionKind,
    Reason,
)
from reconciler.model.diagnostic import Source
from reconciler.model.plan import (
    Access,
    AccessChange,
    Capabilities,
    DesiredRevision,
    Estimate,
    Finding,
    GuardVerdict,
    Inventory,
    Plan,
    Summary,
    Verdict,
)
from reconciler.model.resource import Kind, ResourceKey
from reconciler.semantics.digest import change_digest, plan_digest

TENANT = "acme-prod"
PEOPLE = Source("people.yaml", 7)
TARGET = "https://acme.api.example.com/scim/v2"

_KINDS = {"User": Kind.USER, "Group": Kind.GROUP, "ServiceProviderConfig": Kind.SERVICE_PROVIDER_CONFIG}


def build_change(
    key: str,
    action: Action = Action.UPDATE,
    *,
    attributes: Iterable[tuple[str, Any, Any]] = (),
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
    reason: Reason = Reason.DECLARED,
    source: Source | None = PEOPLE,
    guard: PreconditionKind | None = None,
    reversible: bool = True,
) -> Change:
    """One change of `User/<name>` or `Group/<name>`; anchor, id and guard are those its action has."""
    kind, _, name = key.partition("/")
    creates = action is Action.CREATE
    default = PreconditionKind.ABSENT if creates else PreconditionKind.VERSION
    labels = (*added, *removed)
    return Change(
        key=ResourceKey(_KINDS[kind], name),
        action=action,
        reason=reason,
        source=source,
        anchor=None if creates else f"anchor-{name}",
        id=None if creates else f"id-{len(name)}-{sum(map(ord, name))}",
        precondition=Precondition(guard or default, None if creates or guard else 'W/"3"'),
        attributes=tuple(AttributeChange(*item) for item in attributes),
        members=MembershipChange(added=tuple(sorted(added)), removed=tuple(sorted(removed))),
        references=tuple((label, f"anchor-{label}") for label in sorted(set(labels))),
        reversible=reversible,
    )


def build_plan(
    *changes: Change,
    gains: Iterable[AccessChange] = (),
    losses: Iterable[AccessChange] = (),
    findings: Iterable[Finding] = (),
    guards: Iterable[GuardVerdict] = (),
    tenant: str = TENANT,
    target: str = TARGET,
    desired: DesiredRevision | None = None,
    inventory: Inventory | None = None,
    estimate: Estimate | None = None,
    capabilities: Capabilities | None = None,
) -> Plan:
    """A plan of these changes with its summary counted and every digest true."""
    digested = tuple(replace(change, digest=change_digest(change, tenant=tenant, target=target)) for change in changes)
    access = Access(gains=tuple(gains), losses=tuple(losses))
    return Plan(
        tool="reconciler 0.1.0",
        tenant=tenant,
        target=target,
        created_at="2025-01-02T03:04:05Z",
        desired=desired or DesiredRevision(commit="c" * 40, tree="d" * 40, dirty=False),
        inventory=inventory or Inventory(users=1090, groups=363, requests=17, complete=True),
        capabilities=capabilities or Capabilities(bulk=True, max_operations=500, max_payload_bytes=1_048_576),
        summary=_summary(digested),
        changes=digested,
        access=access,
        findings=tuple(findings),
        guards=tuple(guards),
        estimate=estimate or Estimate(requests=12, seconds=8),
        digest=plan_digest((change.digest for change in digested), access.gains),
    )


def refused(
    guard: str, *, count: int | None = None, limit: int | None = None, detail: str = "too many"
) -> GuardVerdict:
    """A guard that refuses."""
    return GuardVerdict(id=guard, verdict=Verdict.REFUSE, detail=detail, count=count, limit=limit)


def passed(guard: str) -> GuardVerdict:
    """A guard that has nothing against the plan."""
    return GuardVerdict(id=guard, verdict=Verdict.PASS, detail="within its limit")


def _summary(changes: Iterable[Change]) -> Summary:
    actions = [change.action for change in changes]
    return Summary(
        create=actions.count(Action.CREATE),
        update=actions.count(Action.UPDATE),
        deactivate=actions.count(Action.DEACTIVATE),
        reactivate=actions.count(Action.REACTIVATE),
        delete=actions.count(Action.DELETE),
        unchanged=700,
        unmanaged=12,
        memberships_added=sum(len(change.members.added) for change in changes),
        memberships_removed=sum(len(change.members.removed) for change in changes),
    )


TEXTS = st.text(max_size=30)
"""Any text a service or git may hold, hostile pieces more often than chance would give them."""

HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</code></details><b>",
        "[click](javascript:alert(1))",
        "![x](https://evil.example/x.png)",
        "@everyone",
        "jane@example.com",
        "https://evil.example/",
        "www.evil.example",
        "a|b\\|c",
        "`",
        "``` \n```",
        "`` ` ``",
        "\n\n# Approved\n\n",
        "\r\n- [x] approved",
        "\x1b[2J\x1b[31m",
        "\u202eevil",
        "a\u200bb",
        "1. one",
        "&lt;b&gt;",
        "&#60;b&#62;",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "#1 GH-1",
        " leading and trailing ",
        "\\",
        "**bold**",
        "~~gone~~",
        "---",
        "",
    ]
)
NAMES = st.one_of(TEXTS, HOSTILE, st.tuples(TEXTS, HOSTILE, TEXTS).map("".join))

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(min_value=-(2**53), max_value=2**53), NAMES)
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
_PATHS = st.one_of(
    st.sampled_from(["title", "active", "roles", "emails", "name.givenName"]), NAMES.filter(bool)
).filter(lambda path: path != "members")


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A change with hostile text in every place where text from git or a service may be."""
    kind = draw(st.sampled_from(["User", "Group"]))
    is_group = kind == "Group"
    labels = st.lists(NAMES.filter(bool), max_size=3, unique=True) if is_group else st.just([])
    return build_change(
        f"{kind}/{draw(NAMES.filter(bool))}",
        draw(st.sampled_from(Action)),
        attributes=draw(st.lists(st.tuples(_PATHS, VALUES, VALUES), max_size=3)),
        added=draw(labels),
        removed=draw(labels),
        reason=draw(st.sampled_from(Reason)),
        source=draw(st.one_of(st.none(), st.builds(Source, NAMES, st.integers(1, 9999)))),
        guard=draw(st.one_of(st.none(), st.sampled_from(PreconditionKind))),
        reversible=draw(st.booleans()),
    )


_ACCESS = st.lists(st.builds(AccessChange, NAMES, NAMES, st.lists(NAMES, max_size=2).map(tuple)), max_size=3)
_COUNTS = st.one_of(st.none(), st.integers(0, 999))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan with hostile text everywhere; one change a resource, as every plan has."""
    return build_plan(
        *draw(st.lists(changes(), max_size=4, unique_by=lambda change: str(change.key))),
        gains=draw(_ACCESS),
        losses=draw(_ACCESS),
        findings=draw(st.lists(st.builds(Finding, code=NAMES, message=NAMES, key=st.none() | NAMES), max_size=2)),
        guards=draw(
            st.lists(
                st.builds(
                    GuardVerdict,
                    id=st.sampled_from(["removal-share", "access-loss", "nesting"]),
                    verdict=st.sampled_from(Verdict),
                    detail=NAMES,
                    count=_COUNTS,
                    limit=_COUNTS,
                ),
                max_size=3,
            )
        ),
        tenant=draw(NAMES.filter(bool)),
        target=draw(NAMES.filter(bool)),
        desired=draw(
            st.builds(
                DesiredRevision,
                commit=st.none() | NAMES,
                tree=st.none() | NAMES,
                dirty=st.none() | st.booleans(),
                base=st.none() | NAMES,
            )
        ),
        inventory=draw(
            st.builds(
                Inventory,
                users=st.integers(0, 9),
                groups=st.integers(0, 9),
                requests=st.integers(0, 9),
                complete=st.booleans(),
                reason=st.none() | NAMES,
            )
        ),
        capabilities=draw(
            st.builds(Capabilities, notes=st.lists(NAMES, max_size=2).map(tuple), max_operations=_COUNTS)
        ),
        estimate=draw(
            st.builds(
                Estimate,
                requests=st.integers(0, 99),
                seconds=st.integers(0, 9999),
                seats=st.none() | st.dictionaries(NAMES, st.integers(0, 9), max_size=2),
            )
        ),
    )
