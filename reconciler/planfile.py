"""Plans and receipts as files (SPEC sections 6 and 7): written deterministically, read with suspicion.

A plan file travels through artifacts and mail before it comes back to be applied. What is read here is therefore
checked on every count that a file can be checked on: syntax, size, version, schema, seal, the digest of each change and
of the plan. What is never taken from a file, whatever its seal (SPEC P2): ids, versions and guard verdicts; they are
here for people, and apply finds them out anew.
"""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from reconciler.errors import InvalidPlanFile
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
from reconciler.model.outcome import ApplyResult
from reconciler.model.plan import (
    PLAN_FORMAT_VERSION,
    Access,
    AccessChange,
    Capabilities,
    DesiredRevision,
    Estimate,
    Finding,
    GuardVerdict,
    Inventory,
    Plan,
    PlanDocument,
    Summary,
    Verdict,
)
from reconciler.model.resource import Kind, ResourceKey
from reconciler.schemas import checker
from reconciler.semantics.digest import change_digest, plan_digest
from reconciler.semantics.document import plan_to_document, receipt_to_document, seal, to_json_file
from reconciler.semantics.printable import printable

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "check_plan_is_for",
    "dump_plan",
    "dump_receipt",
    "load_plan",
    "plan_to_document",
    "read_plan",
    "receipt_to_document",
    "seal",
]

MAX_BYTES = 512 * 1024 * 1024
"""A plan that creates a hundred thousand users has about a quarter of this."""

MAX_DEPTH = 64
"""Levels of nesting; a plan of ours has at most 12, and desired state is limited far below."""

_VERSION = re.compile(r"[0-9]{1,5}\.[0-9]{1,5}")
_REMAKE = "make the plan again with `reconciler plan --out FILE`, and have it approved again"


def dump_plan(plan: Plan) -> bytes:
    """The plan as a file: UTF-8 JSON, sealed, the same bytes for the same plan, with a trailing newline."""
    return to_json_file(plan_to_document(plan)).encode()


def dump_receipt(result: ApplyResult, *, public: bool = False) -> bytes:
    """The receipt of a run as a file; a public one names nobody (SPEC section 7)."""
    return to_json_file(receipt_to_document(result, public=public)).encode()


def read_plan(data: bytes) -> Plan:
    """The plan in a file, its seal and digests checked against its own content; see `load_plan`."""
    return load_plan(data, expect_seal=None)


def load_plan(data: bytes, *, expect_seal: str | None) -> Plan:
    """The plan in a file, proven to be unchanged.

    Its own seal only shows damage: whoever edits a file can seal it again. With `expect_seal`, the seal that was
    approved, an edited file cannot pass. Raises InvalidPlanFile for a file that is too large, too deep or no JSON, for
    duplicate keys, another major version, a violated schema, and a seal or digest that is not the one of the content. A
    newer minor version is read where it only adds members, which are ignored.
    """
    document = _parse(data)
    newer = _check_version(document)
    _check_schema(document, newer=newer)
    _check_seal(document, expect_seal)
    return _check_digests(_plan(document))


def check_plan_is_for(plan: Plan, *, tenant: str, target: str) -> None:
    """Raises InvalidPlanFile unless the plan was made for this tenant at this base URL."""
    for what, planned, actual in (("tenant", plan.tenant, tenant), ("target", plan.target, target)):
        if planned != actual:
            raise InvalidPlanFile(
                f"the plan was made for another {what}: {printable(planned)}",
                context=f"here the {what} is {printable(actual)}",
                hint=_REMAKE,
            )


def _parse(data: bytes) -> PlanDocument:
    if len(data) > MAX_BYTES:
        _refuse("it is too large", f"{len(data):,} bytes, and at most {MAX_BYTES:,} are read")
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _invalid("it is not UTF-8 text", f"at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _invalid("it is not JSON", f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _invalid("it is nested too deeply", None) from error
    except ValueError as error:  # a number with more digits than Python converts
        raise _invalid("it holds a number that is too long", None) from error
    if _too_deep(document):
        _refuse("it is nested too deeply", f"more than {MAX_DEPTH} levels")
    if not isinstance(document, dict):
        _refuse("it is no plan", "the file holds no JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless it says the same thing twice: two readers would then read two different plans."""
    members = dict(pairs)
    if len(members) != len(pairs):
        repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
        _refuse("it holds a duplicate key", f"the key {printable(repeated)!r} occurs twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _invalid("it is not JSON", f"{name} is no JSON number (RFC 8259 section 6)")


def _too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterator[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in items if isinstance(item, dict | list))


def _check_version(document: PlanDocument) -> bool:
    """Whether the file is of a newer minor version than ours; another major is refused."""
    version = document.get("formatVersion")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        _refuse("it is no plan", "formatVersion is missing or no version")
    major, minor = version.split(".")
    our_major, our_minor = PLAN_FORMAT_VERSION.split(".")
    if int(major) != int(our_major):
        raise InvalidPlanFile(
            f"the plan file has format version {version}, and this tool reads {our_major}.x",
            hint="use the version of the tool that made the plan, or " + _REMAKE,
        )
    return int(minor) > int(our_minor)


def _check_schema(document: PlanDocument, *, newer: bool) -> None:
    """Raises InvalidPlanFile at a violation; members that a newer minor version added are not looked at."""
    plan = checker("plan")
    try:
        if plan.accepts(document):
            return
    except UnicodeEncodeError as error:  # a surrogate without its other half, which JSON can spell
        raise _invalid("it holds text that is not Unicode", None) from error
    for violation in plan.violations(document):
        if newer and violation.keyword == "additionalProperties":
            continue
        place = "/".join(("", *(str(step) for step in violation.path)))
        problem = f"{violation.message} is missing" if violation.keyword == "required" else violation.message
        _refuse("it does not have the form of a plan", printable(f"at {place or '/'}: {problem}")[:300])


def _check_seal(document: PlanDocument, expect_seal: str | None) -> None:
    found = seal(document)
    if not hmac.compare_digest(found, document["seal"]):
        raise InvalidPlanFile(
            "the plan file was changed after it was made",
            context="its seal is not the seal of its content",
            hint=_REMAKE,
        )
    if expect_seal is not None and not hmac.compare_digest(found.encode(), expect_seal.encode("utf-8", "replace")):
        raise InvalidPlanFile(
            "this is not the plan that was approved",
            context=f"the file has the seal {found}, approved was {printable(expect_seal)}",
            hint="fetch the approved file again, or " + _REMAKE,
        )


def _check_digests(plan: Plan) -> Plan:
    repeated = [key for key, count in Counter(str(change.key) for change in plan.changes).items() if count > 1]
    if repeated:
        _refuse("it holds two changes for one resource", printable(repeated[0]))
    for change in plan.changes:
        if not hmac.compare_digest(change_digest(change, tenant=plan.tenant, target=plan.target), change.digest):
            _refuse("a change is not the one its digest stands for", printable(str(change.key)))
    if not hmac.compare_digest(plan_digest((change.digest for change in plan.changes), plan.access.gains), plan.digest):
        _refuse("its digest is not the digest of its changes", None)
    return plan


def _plan(document: Mapping[str, Any]) -> Plan:
    """The plan of a document that satisfies the schema."""
    summary = document["summary"]
    capabilities, inventory = document["capabilities"], document["inventory"]
    return Plan(
        tool=document["tool"],
        tenant=document["tenant"],
        target=document["target"],
        created_at=document["createdAt"],
        desired=DesiredRevision(**_only(document["desired"], "commit", "tree", "dirty", "base")),
        inventory=Inventory(
            **_only(inventory, "users", "groups", "requests", "complete", "reason"),
            managed_users=inventory["managedUsers"],
            managed_groups=inventory["managedGroups"],
        ),
        capabilities=Capabilities(
            **_only(capabilities, "bulk", "patch", "etag", "filter", "sort", "cursor"),
            max_operations=capabilities["maxOperations"],
            max_payload_bytes=capabilities["maxPayloadBytes"],
            max_results=capabilities["maxResults"],
            notes=tuple(capabilities["notes"]),
        ),
        summary=Summary(
            **_only(summary, "create", "update", "deactivate", "reactivate", "delete", "unchanged", "unmanaged"),
            memberships_added=summary["membershipsAdded"],
            memberships_removed=summary["membershipsRemoved"],
        ),
        changes=tuple(_change(item) for item in document["changes"]),
        access=Access(
            gains=tuple(_access(item) for item in document["access"]["gains"]),
            losses=tuple(_access(item) for item in document["access"]["losses"]),
        ),
        findings=tuple(Finding(**_only(item, "code", "message", "key")) for item in document["findings"]),
        guards=tuple(_guard(item) for item in document["guards"]),
        estimate=Estimate(**_only(document["estimate"], "requests", "seconds", "seats")),
        digest=document["digest"],
    )


def _only(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The named members: a newer minor version may have added others."""
    return {name: members[name] for name in names}


def _change(item: Mapping[str, Any]) -> Change:
    kind, _, name = item["key"].partition("/")
    source = item["source"]
    attributes = [attribute for attribute in item["attributes"] if attribute["path"] != "members"]
    memberships = [attribute for attribute in item["attributes"] if attribute["path"] == "members"]
    if len(memberships) > 1:
        _refuse("a change states its members twice", printable(item["key"]))
    return Change(
        key=ResourceKey(Kind(kind), name),
        action=Action(item["action"]),
        reason=Reason(item["reason"]),
        source=None if source is None else Source(source["file"], source["line"]),
        anchor=item["anchor"],
        id=item["id"],
        precondition=Precondition(PreconditionKind(item["precondition"]["kind"]), item["precondition"]["value"]),
        attributes=tuple(_attribute(attribute) for attribute in attributes),
        members=MembershipChange(
            added=tuple(label for each in memberships for label in each["added"]),
            removed=tuple(label for each in memberships for label in each["removed"]),
        ),
        references=tuple(item["references"].items()),
        reversible=item["reversible"],
        digest=item["digest"],
    )


def _attribute(item: Mapping[str, Any]) -> AttributeChange:
    return AttributeChange(item["path"], item["before"], item["after"], tuple(item.get("differences", ())))


def _access(item: Mapping[str, Any]) -> AccessChange:
    return AccessChange(item["user"], item["group"], tuple(item["via"]))


def _guard(item: Mapping[str, Any]) -> GuardVerdict:
    return GuardVerdict(
        **_only(item, "id", "detail", "count", "limit"), override=item.get("override"), verdict=Verdict(item["verdict"])
    )


def _invalid(problem: str, context: str | None) -> InvalidPlanFile:
    return InvalidPlanFile(f"the plan file cannot be used: {problem}", context=context, hint=_REMAKE)


def _refuse(problem: str, context: str | None) -> NoReturn:
    raise _invalid(problem, context)
