"""Write the ServiceProviderConfig: GET, PUT with If-Match, GET (cxone.md section 7, defects C3 and C4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from reconciler.applier.conflict import judge_configuration
from reconciler.errors import PreconditionFailed, ScimRejected
from reconciler.model.change import Change
from reconciler.model.outcome import ChangeResult, Outcome
from reconciler.model.resource import Attributes, LiveConfiguration, unpack
from reconciler.scim.client import Written
from reconciler.semantics.configuration import overlaid_configuration

_READ_ONLY = frozenset({404, 405, 501})


class ConfigurationService(Protocol):
    """The two requests that the ServiceProviderConfig needs; `ScimClient` has them."""

    def get_configuration(self) -> LiveConfiguration | None:
        """The document with its version, or None."""

    def put_configuration(self, body: Attributes, version: str | None) -> Written:
        """Replace the document."""


def apply_configuration(change: Change, service: ConfigurationService, rounds: int) -> ChangeResult:
    """The one outcome of a configuration change. APPLIED only if a GET after the PUT shows what was declared."""
    result = ChangeResult(change=change, outcome=Outcome.FAILED)
    for attempt in range(rounds):
        live = service.get_configuration()
        if live is None:
            return replace(result, cause="the service has no ServiceProviderConfig to read")
        left, disagreements = judge_configuration(change.attributes, live)
        if disagreements:
            cause = "somebody changed it since the plan was made"
            return replace(result, outcome=Outcome.CONFLICT, cause=cause, disagreements=disagreements)
        if not left:
            already = None if attempt else "it was so already"
            return replace(result, outcome=Outcome.APPLIED, version=live.version, cause=already)
        try:
            service.put_configuration(overlaid_configuration(unpack(live.body), left), live.version)
        except PreconditionFailed:
            continue
        except ScimRejected as error:
            if error.status in _READ_ONLY:
                return replace(
                    result, cause="it is read-only on this tenant; declare `mode: assert` to report drift only"
                )
            return replace(result, cause=error.message)
        return _verified(change, service, result)
    return replace(result, outcome=Outcome.CONFLICT, cause=f"it kept changing for {rounds} rounds")


def _verified(change: Change, service: ConfigurationService, result: ChangeResult) -> ChangeResult:
    live = service.get_configuration()
    left, disagreements = judge_configuration(change.attributes, live) if live is not None else (change.attributes, ())
    if left or disagreements or live is None:
        return replace(result, cause="the service accepted it, yet reading it back shows other values")
    return replace(result, outcome=Outcome.APPLIED, version=live.version)
