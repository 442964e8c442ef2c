"""Plans and receipts as JSON documents (SPEC sections 6 and 7): what planfile saves and report prints.

Values of the model go in, plain JSON values come out; names are those of the SPEC, in camelCase.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model.change import AttributeChange, Change
from reconciler.model.outcome import RECEIPT_FORMAT_VERSION, ApplyResult, ChangeResult, Disagreement, Residual
from reconciler.model.plan import PLAN_FORMAT_VERSION, AccessChange, Finding, GuardVerdict, Plan, PlanDocument
from reconciler.model.resource import Kind
from reconciler.semantics.digest import sha256
from reconciler.semantics.printable import escape_json

ReceiptDocument = dict[str, Any]
"""A receipt as JSON, by schemas/receipt.schema.json."""


def plan_to_document(plan: Plan) -> PlanDocument:
    """The plan as SPEC section 6 writes it, `seal` included. Attribute values are shared with the plan, not copied."""
    capabilities = plan.capabilities
    document: PlanDocument = {
        "formatVersion": PLAN_FORMAT_VERSION,
        "tool": plan.tool,
        "tenant": plan.tenant,
        "target": plan.target,
        "createdAt": plan.created_at,
        "desired": {
            "commit": plan.desired.commit,
            "tree": plan.desired.tree,
            "dirty": plan.desired.dirty,
            "base": plan.desired.base,
        },
        "inventory": {
            "users": plan.inventory.users,
            "groups": plan.inventory.groups,
            "managedUsers": plan.inventory.managed_users,
            "managedGroups": plan.inventory.managed_groups,
            "requests": plan.inventory.requests,
            "complete": plan.inventory.complete,
            "reason": plan.inventory.reason,
        },
        "capabilities": {
            "bulk": capabilities.bulk,
            "maxOperations": capabilities.max_operations,
            "maxPayloadBytes": capabilities.max_payload_bytes,
            "patch": capabilities.patch,
            "etag": capabilities.etag,
            "filter": capabilities.filter,
            "maxResults": capabilities.max_results,
            "sort": capabilities.sort,
            "cursor": capabilities.cursor,
            "notes": list(capabilities.notes),
        },
        "summary": {
            "create": plan.summary.create,
            "update": plan.summary.update,
            "deactivate": plan.summary.deactivate,
            "reactivate": plan.summary.reactivate,
            "delete": plan.summary.delete,
            "unchanged": plan.summary.unchanged,
            "unmanaged": plan.summary.unmanaged,
            "membershipsAdded": plan.summary.memberships_added,
            "membershipsRemoved": plan.summary.memberships_removed,
        },
        "changes": [_change(change) for change in plan.changes],
        "access": {
            "gains": [_access(gain) for gain in plan.access.gains],
            "losses": [_access(loss) for loss in plan.access.losses],
        },
        "findings": [_finding(finding) for finding in plan.findings],
        "guards": [_guard(guard) for guard in plan.guards],
        "estimate": {
            "requests": plan.estimate.requests,
            "seconds": plan.estimate.seconds,
            "seats": None if plan.estimate.seats is None else dict(plan.estimate.seats),
        },
        "digest": plan.digest,
    }
    document["seal"] = seal(document)
    return document


_OF_A_PLAN = ("capabilities", "estimate", "digest", "seal")
_OF_A_SERVICE = ("target", "inventory")
_OF_A_CHANGE = ("precondition", "references", "reversible", "digest")


def comparison_to_document(plan: Plan, subject: str) -> PlanDocument:
    """What a diff or a drift found, as a plan has it; without all by which it could be taken for a plan.

    A diff says nothing about a service, and what it changes has no id.
    """
    document = plan_to_document(plan)
    is_diff = subject == "diff"
    left_out = (*_OF_A_PLAN, *(_OF_A_SERVICE if is_diff else ("guards",)))
    of_a_change = (*_OF_A_CHANGE, *(("anchor", "id") if is_diff else ()))
    kept = {name: value for name, value in document.items() if name not in left_out}
    changes = [{name: value for name, value in item.items() if name not in of_a_change} for item in kept["changes"]]
    return {"formatVersion": kept.pop("formatVersion"), "subject": subject, **kept, "changes": changes}


def seal(document: Mapping[str, Any]) -> str:
    """`sha256:<hex>` over the canonical JSON of the whole document without its own `seal`."""
    return sha256({name: value for name, value in document.items() if name != "seal"})


def receipt_to_document(result: ApplyResult, *, public: bool) -> ReceiptDocument:
    """The receipt as SPEC section 7 writes it.

    A public one names nobody: keys are `<kind>/<id>`, or `<kind>/#<position in the plan>` where no id was learned;
    causes, expected and found values, which may quote names, are null, and there are no equivalences and no notes.
    """
    public_keys = {
        str(item.change.key): _public_key(item, position) for position, item in enumerate(result.results, start=1)
    }
    return {
        "formatVersion": RECEIPT_FORMAT_VERSION,
        "run": result.run,
        "tenant": result.tenant,
        "target": result.target,
        "commit": result.commit,
        "digest": result.digest,
        "started": result.started,
        "ended": result.ended,
        "complete": result.complete,
        "outcomes": [
            {
                "key": public_keys[str(item.change.key)] if public else str(item.change.key),
                "id": item.id or item.change.id,
                "action": item.change.action.value,
                "outcome": item.outcome.value,
                "version": item.version,
                "cause": None if public else _cause(item),
            }
            for item in result.results
        ],
        "residual": [_residual(item, public_keys if public else None) for item in result.residual],
        "notes": [] if public else list(result.notes),
    }


def equivalences_to_document(
    equivalences: Mapping[str, Sequence[tuple[Any, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    """Pairs as tenant.yaml has them under `equivalences`."""
    return {path: [{"sent": sent, "stored": stored} for sent, stored in pairs] for path, pairs in equivalences.items()}


def to_json_line(document: Mapping[str, Any]) -> str:
    """The document as one line of JSON without a line break, harmless on a terminal."""
    return escape_json(json.dumps(document, ensure_ascii=False, separators=(", ", ": ")))


def to_json_file(document: Mapping[str, Any]) -> str:
    """The document as indented JSON with a trailing newline: one member a line, of lists one item a line.

    One change a line keeps a plan of a hundred thousand changes fast to write, and two plans comparable with diff.
    """
    members = ",\n".join(f"  {json.dumps(name)}: {_member(value)}" for name, value in document.items())
    return escape_json(f"{{\n{members}\n}}\n")


def disagreement_in_words(item: Disagreement) -> str:
    """One conflict on one line: what was approved, what is there now, what would be written."""
    values = (json.dumps(value, ensure_ascii=False) for value in (item.approved, item.now, item.would_be))
    return "{}: approved {}, now {}, would be {}".format(item.path, *values)


def _member(value: Any) -> str:
    if isinstance(value, list) and value:
        items = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value)
        return f"[\n{items}\n  ]"
    if isinstance(value, dict) and any(isinstance(item, list) for item in value.values()):
        items = ",\n".join(
            f"    {json.dumps(name)}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items()
        )
        return f"{{\n{items}\n  }}"
    return json.dumps(value, ensure_ascii=False)


def _change(change: Change) -> dict[str, Any]:
    attributes = [_attribute(item) for item in change.attributes]
    if change.members:
        attributes.append(
            {
                "path": "members",
                "added": list(change.members.added),
                "removed": list(change.members.removed),
            }
        )
    return {
        "key": str(change.key),
        "action": change.action.value,
        "reason": change.reason.value,
        "source": None if change.source is None else {"file": change.source.file, "line": change.source.line},
        "anchor": change.anchor,
        "id": change.id,
        "precondition": {"kind": change.precondition.kind.value, "value": change.precondition.value},
        "attributes": attributes,
        "references": dict(change.references),
        "reversible": change.reversible,
        "digest": change.digest,
    }


def _attribute(attribute: AttributeChange) -> dict[str, Any]:
    document: dict[str, Any] = {"path": attribute.path, "before": attribute.before, "after": attribute.after}
    return {**document, "differences": list(attribute.differences)} if attribute.differences else document


def _access(access: AccessChange) -> dict[str, Any]:
    return {"user": access.user, "group": access.group, "via": list(access.via)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {"code": finding.code, "message": finding.message, "key": finding.key}


def _guard(guard: GuardVerdict) -> dict[str, Any]:
    return {
        "id": guard.id,
        "verdict": guard.verdict.value,
        "detail": guard.detail,
        "count": guard.count,
        "limit": guard.limit,
        **({} if guard.override is None else {"override": guard.override}),
    }


def _public_key(item: ChangeResult, position: int) -> str:
    kind = item.change.key.kind
    if kind is Kind.SERVICE_PROVIDER_CONFIG:
        return str(item.change.key)
    return f"{kind}/{item.id or item.change.id or f'#{position}'}"


def _cause(item: ChangeResult) -> str | None:
    parts = [item.cause] if item.cause else []
    parts += [disagreement_in_words(disagreement) for disagreement in item.disagreements]
    return "; ".join(parts) or None


def _residual(item: Residual, public_keys: Mapping[str, str] | None) -> dict[str, Any]:
    document = {
        "key": item.key,
        "path": item.path,
        "expected": item.expected,
        "found": item.found,
        "cause": item.cause.value,
        "advice": item.advice,
        "equivalences": equivalences_to_document(item.equivalences),
    }
    if public_keys is None:
        return document
    # A path may carry a value filter (`emails[value eq "..."]`), and with it the value.
    kind = item.key.partition("/")[0]
    nobody = {"key": public_keys.get(item.key, f"{kind}/#0"), "path": item.path.partition("[")[0]}
    return {**document, **nobody, "expected": None, "found": None, "equivalences": {}}
