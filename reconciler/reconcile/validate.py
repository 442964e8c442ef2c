"""Validate: everything that can be known without asking a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.desired.parser import load_desired_state
from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.report.values import many


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Every problem of every tenant, in order of place, and one line that says what was looked at."""

    diagnostics: tuple[Diagnostic, ...]
    summary: str

    @property
    def has_errors(self) -> bool:
        """Whether the desired state is invalid."""
        return any(item.severity is Severity.ERROR for item in self.diagnostics)


def validate_tenants(
    root: Path, tenants: Iterable[str], environ: Mapping[str, str], problems: Sequence[Diagnostic] = ()
) -> ValidationReport:
    """Load every tenant and collect what is wrong; `problems` are those of the root itself."""
    found = set(problems)
    lines = []
    for name in tenants:
        loaded = load_desired_state(root, name, environ=environ)
        found.update(loaded.diagnostics)
        if loaded.desired is not None:
            users, groups = many(len(loaded.desired.users), "user"), many(len(loaded.desired.groups), "group")
            lines.append(f"{name}: {users} and {groups} in {many(loaded.files, 'file')} are valid")
    return ValidationReport(tuple(sorted(found, key=lambda item: item.sort_key)), "\n".join(lines))
