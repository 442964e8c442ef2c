"""Which tenants there are, and which of them a change touches."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from loop.gh import StepFailed, tell
from reconciler.desired.files import TENANT_FILE, read_text
from reconciler.desired.loader import parse
from reconciler.desired.roots import list_tenants
from reconciler.desired.tenant import include_paths


def tell_touched(environ: Mapping[str, str]) -> int:
    """Output `tenants`: those whose folder, or a folder that they include, is not the same in BASE and HEAD."""
    root = Path(environ["RECONCILER_ROOT"])
    tell(environ, {"tenants": json.dumps(touched(root, _changed_since(root, environ["BASE"])))})
    return 0


def tell_tenants(environ: Mapping[str, str]) -> int:
    """Output `tenants`: all there are, or the one that ONLY names."""
    root, only = Path(environ["RECONCILER_ROOT"]), environ["ONLY"]
    names = list_tenants(root)
    if only and only not in names:
        raise StepFailed(f"there is no tenant {only} in {root}; there are: {', '.join(names)}")
    tell(environ, {"tenants": json.dumps([only] if only else names)})
    return 0


def touched(root: Path, changed: list[Path]) -> list[str]:
    """The tenants that read anything of what changed; absolute paths, sorted names."""
    return [
        name
        for name in list_tenants(root)
        if any(path.is_relative_to(folder) for folder in _folders(root, name) for path in changed)
    ]


def _folders(root: Path, tenant: str) -> Iterator[Path]:
    """The tenant's own folder and those that it includes. What is wrong with it is for `validate` to say."""
    own = Path(os.path.realpath(root / tenant))
    yield own
    text, _ = read_text(str(own / TENANT_FILE))
    for document in parse(text).documents:
        for entry in include_paths(document.value) if isinstance(document.value, dict) else ():
            if isinstance(entry, str):
                yield Path(os.path.realpath(own / entry))


def _changed_since(root: Path, base: str) -> list[Path]:
    git = ["git", "-C", str(root)]
    listed = subprocess.run(
        [*git, "diff", "--name-only", "--no-renames", "-z", base, "HEAD", "--", "."], capture_output=True, check=False
    )
    if listed.returncode != 0:
        raise StepFailed(f"git cannot compare with {base}: {listed.stderr.decode('utf-8', 'replace').strip()}")
    top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, check=True).stdout
    folder = Path(os.fsdecode(top.rstrip(b"\n")))
    return [folder / os.fsdecode(name) for name in listed.stdout.split(b"\0")[:-1]]
