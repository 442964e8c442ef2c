"""What validation says about a file, with the place it means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a diagnostic is. Only errors make the desired state invalid."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Source:
    """The document (or list item) that declares something: file relative to the root, 1-based line."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One problem at one place.

    `code` is stable (`V` and three digits) and explained by `reconciler explain CODE`. `line` and `column` are 1-based;
    0 means the whole file. `excerpt` is the source line as read, `width` the number of characters the caret underlines.
    """

    code: str
    severity: Severity
    message: str
    file: str
    line: int = 0
    column: int = 0
    width: int = 1
    excerpt: str | None = None
    help: str | None = None

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Orders diagnostics by place, then by code, so that the same files give the same output."""
        return (self.file, self.line, self.column, self.code, self.message)
