"""The exception tree, by whose fault it is.

    ReconcilerError                   everything a user may see; message, context, hint
      UsageError                      the command line does not make sense (exit 64)
      DesiredStateError               fix the YAML (exit 3); carries every diagnostic
      ConfigurationError              fix the environment: secrets, bindings, files (exit 1)
      ReportTooLong                   a report does not fit where it is to go, and is not cut (exit 1)
      PlanError                       look at the plan
        AmbiguousMatch                two candidates where one is needed (exit 1)
        GuardRefused                  a guard says no (exit 4)
        StalePlan                     not what was approved (exit 5)
        InvalidPlanFile               damaged, forged, or for somebody else (exit 5)
        LedgerRefused                 what git declared before is not known, or may not be written to (exit 4)
      ScimError                       the service
        RunExpired                    the run may not send any more
        ScimUnreachable               no answer; `sent` says whether the request may have arrived
        ScimRejected                  an error answer
          PreconditionFailed          412, or 409 for a stale version
        ScimMalformed                 an answer that cannot be understood
        ScimAccepted                  202 for later, and nothing to ask after it by
        JobOpen                       a bulk job that is not known to be over
        ReadOnlyViolation             a preview tried to write (SPEC P1); always a bug of ours

Errors carry fields and build their text from them. The CLI prints message, context and hint, never a traceback.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.diagnostic import Diagnostic
    from reconciler.model.plan import GuardVerdict


class ReconcilerError(Exception):
    """Base of everything the tool raises on purpose.

    `reference` is a stable kebab-case name that `reconciler explain` knows.
    """

    reference = "error"

    def __init__(self, message: str, *, context: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.context = context
        self.hint = hint


class UsageError(ReconcilerError):
    """The options given do not make sense together, or name something that is not there."""

    reference = "usage"


class DesiredStateError(ReconcilerError):
    """The desired state is invalid. `diagnostics` holds every problem of every file.

    `root` is the folder that file names are relative to, where it is known who reads them.
    """

    reference = "invalid-desired-state"

    def __init__(self, diagnostics: Sequence[Diagnostic], *, root: str = "") -> None:
        self.diagnostics = tuple(diagnostics)
        self.root = root
        super().__init__(f"the desired state has {len(self.diagnostics)} problem(s)")


class ConfigurationError(ReconcilerError):
    """A secret, a binding or a file that the run needs from its surroundings is missing or wrong."""

    reference = "configuration"


class ReportTooLong(ReconcilerError):
    """A report does not fit into the room there is, even with everything folded that may be."""

    reference = "report-too-long"

    def __init__(self, least: int, most: int) -> None:
        super().__init__(
            f"the report takes {least:,} characters, and there is room for {most:,}",
            context="what takes something away is always shown completely, so nothing of it can be left out",
            hint="make the change in smaller steps, or read it without a limit",
        )


class PlanError(ReconcilerError):
    """The plan cannot be made or may not be carried out."""

    reference = "plan"


class AmbiguousMatch(PlanError):
    """Two live candidates for one document, or two documents for one live resource (SPEC section 3)."""

    reference = "ambiguous-match"


class GuardRefused(PlanError):
    """At least one guard refuses; every one of them is in `verdicts`."""

    reference = "guard-refused"

    def __init__(self, verdicts: Sequence[GuardVerdict], *, context: str | None = None) -> None:
        self.verdicts = tuple(verdicts)
        names = ", ".join(verdict.id for verdict in self.verdicts)
        where = "" if context else "read the plan; "
        super().__init__(
            f"refused by {names}",
            context=context,
            hint=f"{where}`reconciler explain GUARD` tells what each guard protects",
        )


class StalePlan(PlanError):
    """What would be applied now is not what was approved."""

    reference = "stale-plan"


class InvalidPlanFile(PlanError):
    """A plan file that is damaged, edited, of an unknown version, or made for another target."""

    reference = "invalid-plan-file"


class LedgerReason(StrEnum):
    """Why the ledger is not to be relied on, or not to be written to (SPEC section 7.1)."""

    MISSING = "missing"
    REWOUND = "rewound"
    NOT_AN_ANCESTOR = "not an ancestor"
    UNSIGNED = "unsigned"
    OTHER_TARGET = "other target"
    OTHER_FOLDER = "other folder"
    DIRTY = "dirty"
    OPEN_ATTEMPT = "open attempt"
    FORGED = "forged"
    MOVED = "moved"
    NOT_THE_FIRST = "not the first run"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"


class LedgerRefused(PlanError):
    """The ledger of a tenant is not to be relied on, or not to be written to, for `reason`."""

    reference = "ledger"

    def __init__(
        self, reason: LedgerReason, message: str, *, context: str | None = None, hint: str | None = None
    ) -> None:
        self.reason = reason
        super().__init__(message, context=context, hint=hint)


class ScimError(ReconcilerError):
    """Talking to the service failed."""

    reference = "scim"


class RunExpired(ScimError):
    """The time is over that the ledger gave to a run: others may be at it by now, so nothing more is sent."""

    reference = "run-expired"

    def __init__(self, until: str) -> None:
        super().__init__(
            f"its time was over at {until}",
            context="another run may be at work by now",
            hint="run it again: what is left is planned anew",
        )


class ScimUnreachable(ScimError):
    """No answer came. `maybe_sent` is False only where the request certainly never left."""

    reference = "scim-unreachable"

    def __init__(self, message: str, *, maybe_sent: bool, context: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, context=context, hint=hint)
        self.maybe_sent = maybe_sent


class ScimRejected(ScimError):
    """The service answered with an error (RFC 7644 section 3.12). `detail` is what it said, redacted and shortened."""

    reference = "scim-rejected"

    def __init__(
        self,
        status: int,
        *,
        scim_type: str | None = None,
        detail: str | None = None,
        context: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.status = status
        self.scim_type = scim_type
        self.detail = detail
        kind = f" {scim_type}" if scim_type else ""
        super().__init__(
            f"the service answered {status}{kind}: {detail or 'no detail given'}", context=context, hint=hint
        )


class PreconditionFailed(ScimRejected):
    """The resource changed since it was read. An outcome to judge, never a reason to send the same body again."""

    reference = "precondition-failed"


class ScimMalformed(ScimError):
    """The answer is no SCIM message: wrong type, too large, too deep, not JSON."""

    reference = "scim-malformed"


class ScimAccepted(ScimError):
    """The service took a write on for later (202), with nothing to ask after it by (RFC 9967): only reading tells."""

    reference = "scim-accepted"


class JobOpen(ScimError):
    """A bulk job is not known to be over: what is in it may still be carried out, and nothing else may be sent."""

    reference = "job-open"


class ReadOnlyViolation(ScimError):
    """A command that promises not to write tried to (SPEC P1)."""

    reference = "read-only"
