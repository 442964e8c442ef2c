"""Options and environment as frozen values. Secrets stay in `environ`, which no repr shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.errors import UsageError

SECRET_PREFIXES = ("CXONE_", "SCIM_", "RECONCILER_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the command line and the environment decide for one run.

    `typed` are the options of places as they were typed, to be repeated in the next command that a report suggests.
    `environ` holds only the variables that secrets and bindings may name, `git_environ` all of them, for git.
    `allowed_in_ci` are the guards that `RECONCILER_ALLOW` names; under `CI=true` only those can be overridden (SPEC
    section 8).
    """

    root: Path
    state_dir: Path
    typed: tuple[str, ...] = ()
    log_format: str = "text"
    is_ci: bool = False
    allowed_in_ci: frozenset[str] = frozenset()
    github_output: Path | None = None
    bindings_value: str | None = field(default=None, repr=False)
    user_bindings: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    git_environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def actor(self) -> str:
        """What starts a run, for the ledger: never the name of a person."""
        run = self.git_environ.get("GITHUB_RUN_ID", "")
        return self.environ.get("RECONCILER_ACTOR") or (f"GitHub run {run}" if run.isdigit() else "")


def read_settings(
    environ: Mapping[str, str], *, root: str | None = None, state_dir: str | None = None, log_format: str | None = None
) -> Settings:
    """Settings from options, which win, and the environment."""
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else None)
    return Settings(
        root=Path(root or environ.get("RECONCILER_ROOT") or "desired-state"),
        state_dir=Path(state_dir or environ.get("RECONCILER_STATE_DIR") or ".reconciler"),
        typed=(*(("--root", root) if root else ()), *(("--state-dir", state_dir) if state_dir else ())),
        log_format=log_format or "text",
        is_ci=environ.get("CI", "").lower() in {"true", "1"},
        allowed_in_ci=frozenset(environ.get("RECONCILER_ALLOW", "").replace(",", " ").split()),
        github_output=Path(environ["GITHUB_OUTPUT"]) if environ.get("GITHUB_OUTPUT") else None,
        bindings_value=environ.get("RECONCILER_BINDINGS"),
        user_bindings=Path(home) / "reconciler" / "bindings" if home else None,
        environ={name: value for name, value in environ.items() if name.startswith(SECRET_PREFIXES)},
        git_environ=dict(environ),
    )


def parse_allowed(values: tuple[str, ...], known: frozenset[str], settings: Settings) -> dict[str, int | None]:
    """`--allow GUARD[=N]` options as a mapping; None admits any number.

    Raises:
        UsageError: an unknown guard, one without override, a number that is none, or one that CI may not override.

    """
    allowed: dict[str, int | None] = {}
    for value in values:
        guard, equals, number = value.partition("=")
        if guard not in known:
            raise UsageError(
                f"--allow {value}: there is no guard {guard} that can be overridden",
                hint=f"guards that can: {', '.join(sorted(known))}",
            )
        if equals and not (number.isascii() and number.isdigit()):
            raise UsageError(
                f"--allow {value}: {number or 'nothing'} is no number", hint=f"for example --allow {guard}=3"
            )
        if settings.is_ci and guard not in settings.allowed_in_ci:
            raise UsageError(
                f"--allow {guard} does not count under CI=true",
                context="a pipeline file is easier to change than the pipeline's settings",
                hint=f"name the guard in RECONCILER_ALLOW, outside the repository: RECONCILER_ALLOW={guard}",
            )
        allowed[guard] = int(number) if equals else None
    return allowed
