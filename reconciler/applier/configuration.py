"""Write the ServiceProviderConfig: GET, PUT with If-Match, GET (cxone.md section 7, defects C3 and C4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from reconciler.applier.conflict import judge_configuration
from reconciler.errors import PreconditionFailed, ScimMalformed, ScimRejected, ScimUnreachable
from reconciler.model.change import Change
from reconciler.model.outcome import ChangeResult, Outcome
from reconciler.model.resource import Attributes, LiveConfiguration, unpack
from reconciler.scim.client import Written
from reconciler.semantics.configuration import not_kept, overlaid_configuration

_READ_ONLY = frozenset({404, 405, 501})
_LOOKS = 3
"""How often the document is read back until it is as written: what was accepted may still be under way (202)."""


class ConfigurationService(Protocol):
    """The two requests that the ServiceProviderConfig needs; `ScimClient` has them."""

    def get_configuration(self) -> LiveConfiguration | None:
        """The document with its version, or None."""

    def put_configuration(self, body: Attributes, version: str | None) -> Written:
        """Replace the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How the document is written: in which `shape` (cxone.md D27), in how many `rounds` at most.

    `before_put` is told that something is about to be sent; `wait(n)` sleeps before it is read back for the nth time.
    """

    shape: str
    rounds: int
    before_put: Callable[[], None]
    wait: Callable[[int], None]


def apply_configuration(change: Change, service: ConfigurationService, writing: Writing) -> ChangeResult:
    """The one outcome of a configuration change. APPLIED only if a GET shows the document as it was sent.

    Raises:
        ScimUnreachable: the service is away; nothing was sent whose outcome is not known.
        ScimRejected: 401, and only that.

    """
    cause = f"it kept changing for {writing.rounds} rounds"
    result = ChangeResult(change=change, outcome=Outcome.CONFLICT, cause=cause)
    repeated = False
    for attempt in range(writing.rounds):
        try:
            live = service.get_configuration()
        except (ScimRejected, ScimMalformed) as error:
            return _unread(result, error, attempt)
        if live is None:
            return replace(result, outcome=Outcome.FAILED, cause="the service has no ServiceProviderConfig to read")
        left, disagreements = judge_configuration(change.attributes, live)
        if disagreements:
            cause = "somebody changed it since the plan was made"
            return replace(result, outcome=Outcome.CONFLICT, cause=cause, disagreements=disagreements)
        if not left:
            already = None if attempt else "it was so already"
            return replace(result, outcome=Outcome.APPLIED, version=live.version, cause=already)
        if repeated:
            return result
        document = overlaid_configuration(unpack(live.body), left, writing.shape)
        writing.before_put()
        refused = _put(service, document, live.version)
        if refused is None:
            return _verified(document, service, result, writing.wait)
        result = replace(result, outcome=refused.outcome, cause=refused.cause)
        if refused.outcome is Outcome.FAILED:
            return result
        repeated = refused.outcome is Outcome.UNKNOWN and live.version is not None  # by the client (cxone.md P3)
    return result


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a PUT did not simply succeed. FAILED is final; anything else is read again and judged."""

    outcome: Outcome
    cause: str


def _put(service: ConfigurationService, document: Attributes, version: str | None) -> _Refusal | None:
    try:
        service.put_configuration(document, version)
    except PreconditionFailed as error:
        return _Refusal(Outcome.CONFLICT, error.message)
    except ScimRejected as error:
        if error.status == 401:
            raise
        if error.status in _READ_ONLY:
            return _Refusal(
                Outcome.FAILED, "it is read-only on this tenant; declare `mode: assert` to report drift only"
            )
        return _Refusal(Outcome.UNKNOWN if error.status >= 500 else Outcome.FAILED, error.message)
    except ScimMalformed as error:
        return _Refusal(Outcome.UNKNOWN, error.message)
    except ScimUnreachable as error:
        if not error.maybe_sent:
            raise
        return _Refusal(Outcome.UNKNOWN, error.message)
    return None


def _unread(result: ChangeResult, error: ScimRejected | ScimMalformed, attempt: int) -> ChangeResult:
    """The document cannot be read: before the first PUT nothing has happened, afterwards nobody knows."""
    if isinstance(error, ScimRejected) and error.status == 401:
        raise error
    outcome = Outcome.UNKNOWN if attempt and result.outcome is Outcome.UNKNOWN else Outcome.FAILED
    return replace(result, outcome=outcome, cause=error.message)


def _verified(
    document: Attributes, service: ConfigurationService, result: ChangeResult, wait: Callable[[int], None]
) -> ChangeResult:
    """APPLIED where the document reads back as it was sent, field by field (cxone.md section 7)."""
    different: list[str] = []
    for look in range(1, _LOOKS + 1):
        if look > 1:
            wait(look)
        try:
            live = service.get_configuration()
        except (ScimRejected, ScimMalformed) as error:
            cause = f"the service accepted it, and then it could not be read back: {error.message}"
            return replace(result, outcome=Outcome.UNKNOWN, cause=cause)
        different = ["the document"] if live is None else not_kept(document, unpack(live.body))
        if live is not None and not different:
            return replace(result, outcome=Outcome.APPLIED, version=live.version, cause=None)
    cause = f"the service accepted it, yet reading it back shows other values: {', '.join(different)}"
    return replace(result, outcome=Outcome.FAILED, cause=cause)
