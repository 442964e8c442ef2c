"""What a use case is handed by the composition root: environment, clock, chance, and a listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from reconciler.errors import ReconcilerError
from reconciler.model.outcome import ChangeResult
from reconciler.model.plan import GuardVerdict
from reconciler.model.resource import Kind
from reconciler.transport.hosts import Bindings
from reconciler.transport.session import RetryEvent


class Listener(Protocol):
    """Hears what happens. Every method returns quickly and never raises; none of them decides anything."""

    def run_started(self, tenant: str, of: int) -> None:
        """The run of one tenant begins; the command has `of` of them."""

    def run_finished(self, tenant: str, code: int) -> None:
        """It ended, with this exit code, maybe in the middle of a part."""

    def failed(self, error: ReconcilerError) -> None:
        """This error ended it."""

    def phase_started(self, name: str, total: int | None = None) -> None:
        """A part of the run begins; `total` is what `phase_advanced` will count to, where that is known."""

    def phase_advanced(self, done: int, total: int | None = None) -> None:
        """The current part got to `done`."""

    def phase_finished(self, detail: str = "") -> None:
        """The current part ended."""

    def request_retried(self, event: RetryEvent) -> None:
        """A request is about to be sent again."""

    def change_ended(self, result: ChangeResult) -> None:
        """A change has its outcome."""

    def guard_judged(self, verdict: GuardVerdict) -> None:
        """A guard did not simply pass."""

    def left_out(self, why: str, items: Sequence[str]) -> None:
        """An import could not declare these, all for the same reason."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Injected so that use cases can be run without a network, a clock or luck.

    `environ` holds the variables that secrets may refer to. `clock` runs forwards, in seconds; `now` is UTC wall time.
    """

    environ: Mapping[str, str] = field(repr=False)
    bindings: Bindings
    clock: Callable[[], float]
    now: Callable[[], datetime]
    sleep: Callable[[float], object]
    random: Callable[[], float]
    listener: Listener
    tool: str

    def timestamp(self) -> str:
        """Now, as RFC 3339 in UTC with seconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")


PLURALS = {Kind.USER: "users", Kind.GROUP: "groups"}
