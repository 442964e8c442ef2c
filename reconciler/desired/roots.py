"""The root: which tenants there are, and what is wrong with the layout as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from reconciler.desired.codes import Code
from reconciler.desired.files import TENANT_FILE, is_inside, link_out, read_text, yaml_files
from reconciler.desired.loader import parse
from reconciler.desired.places import Finding, place
from reconciler.desired.tenant import base_url
from reconciler.model.diagnostic import Diagnostic

ROOT_HELP = "the layout is <root>/<tenant>/tenant.yaml; --root DIR or RECONCILER_ROOT names another root"

NO_NAMES: Mapping[str, str] = MappingProxyType({})
"""An environment that tells nothing."""

_MOST_LOOKED_INTO = 1_000
"""Folders searched for YAML before a folder without tenant.yaml counts as having none."""


def list_tenants(root: Path) -> tuple[str, ...]:
    """The names of the folders in the root that have a tenant.yaml, sorted. Empty where there is no root.

    Names that start with `_` or `.` are never tenants.
    """
    return tuple(name for name in _folders(root) if os.path.lexists(root / name / TENANT_FILE))


def check_root(root: Path, environ: Mapping[str, str] = NO_NAMES) -> tuple[Diagnostic, ...]:
    """What is wrong with the root as a whole, sorted; what is wrong inside a tenant is found by loading it.

    `environ` is that of `load_desired_state`.
    """
    try:
        real = root.resolve(strict=True)
        entries = sorted(os.listdir(real))  # noqa: PTH208  # names are all that is needed
    except (OSError, RuntimeError):
        message = "the root folder of the desired state is not there, or cannot be read"
        return (*place([Finding(code=Code.NO_ROOT, message=message, file=".", help=ROOT_HELP)], _no_text),)
    return (*place(_problems(real, entries, environ), lambda name: _text(real, name)),)


def _problems(root: Path, entries: list[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    tenants = list_tenants(root)
    if not tenants:
        message = "there is no tenant in the root folder"
        yield Finding(code=Code.NO_ROOT, message=message, file=".", help=ROOT_HELP)
    for name in yaml_files(root):
        message = "a YAML file outside any tenant folder is never read"
        yield Finding(code=Code.NOT_A_TENANT, message=message, file=name, help="move it into a tenant's folder")
    for name in entries:
        if name.startswith((".", "_")) or name in tenants or not os.path.isdir(root / name):  # noqa: PTH112
            continue
        if not is_inside(root, os.path.realpath(root / name)):
            yield link_out(name)
        elif _holds_yaml(root / name):
            message = f"the folder holds YAML but no {TENANT_FILE}, so it is never read"
            help_ = f"add {name}/{TENANT_FILE} with `kind: Tenant`, or call the folder _{name} if tenants include it"
            yield Finding(code=Code.NOT_A_TENANT, message=message, file=name, help=help_)
    yield from _same_targets(root, tenants, environ)


def _same_targets(root: Path, tenants: tuple[str, ...], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Two tenants for one service would undo each other's work."""
    first: dict[str, str] = {}
    for tenant in tenants:
        name = f"{tenant}/{TENANT_FILE}"
        for number, target in _base_urls(root, name, environ):
            key = target.casefold()
            other = first.setdefault(key, name)
            if other != name:
                yield Finding(
                    code=Code.SAME_TARGET,
                    message=f"the base URL is also that of {other}",
                    file=name,
                    document=number,
                    paths=(("scim", "baseUrl"),),
                    help="one tenant has one folder; share documents between folders with `include`",
                )


def _base_urls(root: Path, name: str, environ: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    for document in parse(_text(root, name) or "").documents:
        if isinstance(document.value, dict) and document.value.get("kind") == "Tenant":
            url = base_url(document.value, environ)
            if url is not None:
                yield document.number, url


def _folders(root: Path) -> list[str]:
    try:
        with os.scandir(root) as scan:
            return sorted(entry.name for entry in scan if not entry.name.startswith((".", "_")) and entry.is_dir())
    except OSError:
        return []


def _holds_yaml(folder: Path) -> bool:
    todo = [folder]
    looked = 0
    while todo and looked < _MOST_LOOKED_INTO:
        current = todo.pop()
        looked += 1
        try:
            if next(yaml_files(current), None) is not None:
                return True
            with os.scandir(current) as scan:
                todo.extend(Path(entry.path) for entry in scan if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
    return False


def _text(root: Path, name: str) -> str | None:
    path = os.path.realpath(root / name)
    if not is_inside(root, path):
        return None
    text, fault = read_text(path)
    return None if fault else text


def _no_text(_: str) -> None:
    return None
