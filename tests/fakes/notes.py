"""Open jobs, kept as long as the test lasts."""

from dataclasses import dataclass, field

from reconciler.applier.journal import OpenJob


@dataclass
class MemoryNotes:
    """A journal without a file; `history` keeps what was opened (+) and closed (-), in order."""

    history: list[str] = field(default_factory=list)
    _open: dict[str, OpenJob] = field(default_factory=dict)

    def opened(self, noted: OpenJob) -> None:
        """Note a job down."""
        self.history.append(f"+{noted.job.id}")
        self._open[noted.job.path] = noted

    def closed(self, noted: OpenJob) -> None:
        """Strike a job out."""
        self.history.append(f"-{noted.job.id}")
        del self._open[noted.job.path]

    def open_jobs(self, target: str) -> tuple[OpenJob, ...]:
        """All of them at a base URL."""
        return tuple(noted for noted in self._open.values() if noted.target == target)
