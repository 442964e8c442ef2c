"""Progress and logs on stderr: bars on terminals, plain lines elsewhere, NDJSON with `--log-format json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from reconciler import __version__
from reconciler.cli.exits import Exit
from reconciler.cli.failures import as_reconciler_error, exit_for, print_error
from reconciler.errors import DesiredStateError, ReconcilerError
from reconciler.model.outcome import ChangeResult, Outcome
from reconciler.model.plan import GuardVerdict
from reconciler.report.render import DiagnosticFormat, render_diagnostics
from reconciler.semantics.printable import printable
from reconciler.transport.session import RetryEvent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_FORMAT_VERSION = "1.0"
"""Of the events; another major number means that readers have to change."""

_MOST_LEFT_OUT = 10
"""Lines for people about one reason."""

_QUIET_OUTCOMES = frozenset({Outcome.APPLIED})


class PlainListener:
    """One line a part of the run, as logs of pipelines like it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phases: list[str] = []

    def run_started(self, tenant: str, of: int) -> None:
        """A line with the tenant's name; where there is only one, everybody knows."""
        if of > 1:
            self._say(f"--- {tenant}")

    def run_finished(self, tenant: str, code: int) -> None:
        """Forget the parts that did not end."""
        del tenant, code
        self._phases.clear()

    def failed(self, error: ReconcilerError) -> None:
        """Message, context and hint, or every diagnostic."""
        print_error(error)

    def phase_started(self, name: str, total: int | None = None) -> None:
        """Remember the name; the line is printed at the end, with the numbers."""
        del total
        self._phases.append(name)

    def phase_advanced(self, done: int, total: int | None = None) -> None:
        """Nothing: a log is no progress bar (INCIDENTS: a progress bar filled the CI log)."""

    def phase_finished(self, detail: str = "") -> None:
        """One line."""
        name = self._phases.pop()
        if detail:
            self._say(f"{name}: {detail}")

    def request_retried(self, event: RetryEvent) -> None:
        """One line a repeated request."""
        self._say(f"{event.method} {event.path} again in {event.wait:.1f} s: {event.reason}")

    def change_ended(self, result: ChangeResult) -> None:
        """One line for what did not simply succeed."""
        if result.outcome not in _QUIET_OUTCOMES:
            self._say(f"{result.outcome} {result.change.key}: {result.cause or ''}")

    def guard_judged(self, verdict: GuardVerdict) -> None:
        """Guards are in the report; here they would be said twice."""

    def left_out(self, why: str, items: Sequence[str]) -> None:
        """The reason, and below it the first few; a whole tenant may have the same oddity."""
        self._say(f"left out ({len(items):,}): {why}")
        for item in items[:_MOST_LEFT_OUT]:
            self._say(f"  {item}")
        if len(items) > _MOST_LEFT_OUT:
            self._say(f"  ... and {len(items) - _MOST_LEFT_OUT:,} more; --log-format json lists all")

    def _say(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


class TerminalListener(PlainListener):
    """A spinner or a bar for the current part of the run; the finished parts stay as lines."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def phase_started(self, name: str, total: int | None = None) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        super().phase_started(name, total)
        if self._bar is not None and self._task is not None:  # a part of a part: it has no bar of its own
            self._bar.update(self._task, description=name, refresh=True)
            return
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed}"),
            TimeElapsedColumn(),
            console=Console(file=self._stream),
            transient=True,
        )
        self._task = self._bar.add_task(name, total=total)
        self._bar.start()

    def run_finished(self, tenant: str, code: int) -> None:
        """Take away a bar that is still there: the cursor belongs to the terminal again."""
        self._stop()
        super().run_finished(tenant, code)

    def failed(self, error: ReconcilerError) -> None:
        """The bar goes first."""
        self._stop()
        super().failed(error)

    def phase_advanced(self, done: int, total: int | None = None) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def phase_finished(self, detail: str = "") -> None:
        """Replace the bar with a line; the end of a part of a part leaves it to the part around it."""
        if len(self._phases) == 1:
            self._stop()
        super().phase_finished(detail)
        if self._bar is not None and self._task is not None and self._phases:
            self._bar.update(self._task, description=self._phases[-1], refresh=True)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        else:
            super()._say(text)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class JsonListener:
    """NDJSON: one object a line with `time` and `event`, `version` first; names as in SPEC section 5."""

    def __init__(self, stream: TextIO, now: Callable[[], datetime]) -> None:
        self._stream = stream
        self._now = now
        self._phases: list[str] = []
        self._greeted = False

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event."""
        if not self._greeted:
            self._greeted = True
            self.emit("version", version=__version__, format=LOG_FORMAT_VERSION)
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        print(json.dumps({"time": stamp, "event": event, **fields}), file=self._stream, flush=True)

    def run_started(self, tenant: str, of: int) -> None:
        """`run.started`."""
        del of
        self.emit("run.started", tenant=tenant)

    def run_finished(self, tenant: str, code: int) -> None:
        """`run.finished`."""
        self._phases.clear()
        self.emit("run.finished", tenant=tenant, exit=code)

    def failed(self, error: ReconcilerError) -> None:
        """`diagnostic`, one for each problem."""
        if isinstance(error, DesiredStateError):
            text = render_diagnostics(error.diagnostics, DiagnosticFormat.JSON, root=error.root)
            for line in text.splitlines():
                self.emit("diagnostic", **json.loads(line))
            return
        said = {"message": error.message, "context": error.context, "help": error.hint}
        self.emit("diagnostic", code=error.reference, severity="error", **said)

    def phase_started(self, name: str, total: int | None = None) -> None:
        """`phase.started`."""
        self._phases.append(name)
        self.emit("phase.started", phase=name, total=total)

    def phase_advanced(self, done: int, total: int | None = None) -> None:
        """Nothing: the events of the changes themselves tell."""

    def phase_finished(self, detail: str = "") -> None:
        """`phase.finished`."""
        self.emit("phase.finished", phase=self._phases.pop(), detail=detail)

    def request_retried(self, event: RetryEvent) -> None:
        """`request.retried`."""
        self.emit(
            "request.retried",
            method=event.method,
            path=event.path,
            reason=event.reason,
            attempt=event.attempt,
            wait=event.wait,
        )

    def change_ended(self, result: ChangeResult) -> None:
        """`change.outcome`."""
        key = str(result.change.key)
        self.emit("change.outcome", key=key, id=result.id, outcome=result.outcome.value, cause=result.cause)

    def guard_judged(self, verdict: GuardVerdict) -> None:
        """`guard.verdict`."""
        self.emit("guard.verdict", guard=verdict.id, verdict=verdict.verdict.value, detail=verdict.detail)

    def left_out(self, why: str, items: Sequence[str]) -> None:
        """`diagnostic`, one for each item."""
        for item in items:
            self.emit("diagnostic", code="left-out", severity="warning", message=why, key=item)


def listener_for(log_format: str, now: Callable[[], datetime]) -> PlainListener | JsonListener:
    """The listener that fits the option and what stderr is."""
    if log_format == "json":
        return JsonListener(sys.stderr, now)
    return TerminalListener(sys.stderr) if sys.stderr.isatty() else PlainListener(sys.stderr)


def report_failure(error: Exception, log_format: str) -> Exit:
    """Say what ended the program outside of any tenant's run; the exit code."""
    known = as_reconciler_error(error)
    if log_format == "json":
        JsonListener(sys.stderr, lambda: datetime.now(UTC)).failed(known)
    else:
        print_error(known)
    return exit_for(known)
