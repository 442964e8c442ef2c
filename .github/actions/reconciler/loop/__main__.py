"""`reconciler-loop STEP`: one step of a workflow."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from loop.gh import StepFailed

STEPS = {
    "tenants": "loop.touched:tell_tenants",
    "touched": "loop.touched:tell_touched",
    "publish-plan": "loop.plans:publish_plan",
    "fetch-approved": "loop.approvals:fetch_approved",
    "publish-receipt": "loop.receipts:publish_receipt",
    "publish-drift": "loop.drift:publish_drift",
}


def main(arguments: list[str]) -> int:
    """Run one step; its exit code."""
    if len(arguments) != 1 or arguments[0] not in STEPS:
        print(f"usage: reconciler-loop {'|'.join(STEPS)}", file=sys.stderr)  # noqa: T201 - it is a program
        return 64
    module, _, name = STEPS[arguments[0]].partition(":")
    try:
        code: int = getattr(import_module(module), name)(os.environ)
    except StepFailed as failed:
        message = str(failed).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error::{message}")  # noqa: T201 - what annotates a job
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
