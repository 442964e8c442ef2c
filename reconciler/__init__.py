"""A declarative GitOps reconciler for identity over SCIM 2.0.

Map of the package, top to bottom; imports point down (checked by import-linter):

    cli          click commands, the composition root, exit codes
    reconcile    one module a use case: validate, diff, plan, apply, drift, ...
    sandbox      the embedded tenant; imports nothing of the rest
    settings     options and environment as frozen values
    applier      plan -> requests -> outcomes -> proof
    desired      YAML -> DesiredState; the only home of yaml
    ledger       git plumbing: attempts and receipts of each tenant, desired states of earlier commits
    planner      (base, desired, live) -> Plan; pure
    planfile     Plan and Receipt <-> JSON, sealed
    report       Plan or ApplyResult -> text, markdown, html, json; the only home of jinja2
    scim         requests of RFC 7644, capabilities, snapshots of the live state
    schemas      the JSON Schemas; the only home of jsonschema
    transport    HTTP; the only home of requests
    messages     SCIM on the wire: codec, patch, operations, bulk, chunking; pure
    semantics    rules that several rooms share: canonical form, graph, policy, digests; pure
    errors, model
"""

__version__ = "0.1.0"
