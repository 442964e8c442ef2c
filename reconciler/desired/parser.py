"""A tenant's folder to a checked Tenant and DesiredState, or to every problem there is in it.

tenant.yaml --> Tenant --include--> files --events--> documents --schema--> users, groups, ... --rules--> DesiredState
"""

from __future__ import annotations

import gc
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.desired.codes import Code
from reconciler.desired.documents import DocumentReader, Draft
from reconciler.desired.extensions import load_extension_schemas
from reconciler.desired.files import (
    TENANT_FILE,
    Tree,
    decode_file,
    is_inside,
    link_out,
    read_text,
    real_root,
    relative_name,
    walk,
)
from reconciler.desired.loader import Fault, Parsed, parse
from reconciler.desired.places import Finding, finding_of, place
from reconciler.desired.roots import NO_NAMES, ROOT_HELP, check_root, list_tenants
from reconciler.desired.rules import check_guarding, check_rules
from reconciler.desired.tenant import include_paths
from reconciler.model.diagnostic import Diagnostic, Severity
from reconciler.model.state import DesiredState
from reconciler.model.tenant import Tenant
from reconciler.semantics.canonical import fold

__all__ = ["Loaded", "check_root", "list_tenants", "load_desired_state"]

_GUARDING = frozenset({"Tenant", "Policy", "Override"})
"""What must be valid even where the desired state itself is not asked for: it decides what a plan may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """All that one tenant's folder holds, or all that is wrong with it.

    `tenant` is None where tenant.yaml has an error; `desired` where anything has one. `sound` is what the files without
    any error hold, for who takes access away and cannot wait. `diagnostics` are sorted by place and cover all problems
    of all files. `files` and `documents` count what was read.
    """

    tenant_name: str
    tenant: Tenant | None
    desired: DesiredState | None
    sound: DesiredState
    diagnostics: tuple[Diagnostic, ...]
    files: int
    documents: int

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that make the desired state invalid."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


def load_desired_state(
    root: Path,
    tenant: str,
    *,
    documents: bool = True,
    environ: Mapping[str, str] = NO_NAMES,
    also: Mapping[str, bytes] | None = None,
) -> Loaded:
    """Everything `root/tenant` declares, checked against schemas and rules (SPEC sections 3 and 4). Never raises.

    `also` are files that are not written yet, by their names relative to the root: they are read as if they were there.
    With `documents` False only tenant.yaml, Policy and Override documents have to be valid, and `desired` holds only
    those; that is enough to judge a plan that comes from a file. `environ` may tell where a tenant lives that does not
    say so itself (cxone.md D32).
    """
    with collector_paused():
        return _Load(root, tenant, environ, also or {}).run(documents=documents)


class _Load:
    """Running state of loading one tenant."""

    def __init__(self, root: Path, tenant: str, environ: Mapping[str, str], also: Mapping[str, bytes]) -> None:
        self._environ = environ
        self._root = root
        self._name = tenant
        self._also = also
        self._draft = Draft()
        self._paths: dict[str, str] = {}

    def run(self, *, documents: bool) -> Loaded:
        draft = self._draft
        tree = self._open()
        if tree is not None:
            self._read(tree, documents=documents)
            self._check_tenant()
        draft.findings.extend(check_rules(draft) if documents else check_guarding(draft))
        diagnostics = _without_echoes(place(draft.findings, self._text_of))
        faulty = {item.file for item in diagnostics if item.severity is Severity.ERROR}
        state = _desired_state(draft)
        return Loaded(
            tenant_name=self._name,
            tenant=draft.tenant if self._is_tenant_valid(diagnostics) else None,
            desired=state if not faulty else None,
            sound=state if not faulty else _outside(faulty, state),
            diagnostics=tuple(diagnostics),
            files=draft.files,
            documents=draft.documents,
        )

    def _check_tenant(self) -> None:
        draft = self._draft
        if draft.tenant_place is None and not any(finding.file == self._tenant_file for finding in draft.findings):
            message = f"no Tenant document in {self._tenant_file}"
            help_ = f"every tenant folder has a {TENANT_FILE} with `kind: Tenant`"
            draft.findings.append(Finding(code=Code.NO_TENANT, message=message, file=self._tenant_file, help=help_))

    def _is_tenant_valid(self, diagnostics: list[Diagnostic]) -> bool:
        placed = self._draft.tenant_place
        return placed is not None and not any(
            item.severity is Severity.ERROR and item.file == placed.file for item in diagnostics
        )

    @property
    def _tenant_file(self) -> str:
        return f"{self._name}/{TENANT_FILE}"

    def _open(self) -> Tree | None:
        """The tenant's folder, ready to be read; None with a finding where there is none that may be read."""
        findings = self._draft.findings
        try:
            tree = Tree(real_root(self._root))
        except OSError:
            message = "the root folder of the desired state is not there"
            findings.append(Finding(code=Code.NO_ROOT, message=message, file=self._root.as_posix(), help=ROOT_HELP))
            return None
        folder = tree.root / self._name
        if not _is_folder_name(self._name) or not os.path.lexists(folder):
            message = f"there is no tenant {self._name!r}"
            findings.append(Finding(code=Code.NO_TENANT, message=message, file=self._tenant_file, help=ROOT_HELP))
            return None
        if not is_inside(tree.root, os.path.realpath(folder)):
            findings.append(link_out(self._name))
            return None
        return tree

    def _read(self, tree: Tree, *, documents: bool) -> None:
        draft = self._draft
        folder = tree.root / self._name
        extensions = load_extension_schemas(tree.root, folder, draft.findings)
        tenant_path = os.path.realpath(folder / TENANT_FILE)
        tenant_name = relative_name(tree.root, tenant_path)
        reader = DocumentReader(draft, tenant_name, self._name, extensions, self._environ)
        if os.path.lexists(tenant_path) and is_inside(tree.root, tenant_path):
            self._read_file(tenant_path, tenant_name, reader, None if documents else _GUARDING)
        walk(tree, folder)
        for included in self._includes(tree, folder):
            walk(tree, included)
        draft.findings.extend(tree.findings)
        for path, name in sorted(tree.files.items(), key=lambda item: item[1]):
            if path != tenant_path:
                self._read_file(path, name, reader, None if documents else _GUARDING)
        for name, data in sorted(self._also.items()):
            self._read_text(name, *decode_file(data), reader, None if documents else _GUARDING)

    def _read_file(self, path: str, name: str, reader: DocumentReader, only: frozenset[str] | None) -> None:
        self._paths[name] = path
        self._read_text(name, *read_text(path), reader, only)

    def _read_text(
        self, name: str, text: str, fault: Fault | None, reader: DocumentReader, only: frozenset[str] | None
    ) -> None:
        draft = self._draft
        if fault is not None:
            draft.findings.append(finding_of(fault, name))
            draft.complete = False
            return
        parsed = parse(text)
        draft.files += 1
        if only is None or name == self._tenant_file or any(kind in text for kind in only):
            draft.findings.extend(finding_of(item, name) for item in parsed.faults)
            draft.complete &= parsed.complete
        self._take(name, parsed, reader, only)

    def _take(self, name: str, parsed: Parsed, reader: DocumentReader, only: frozenset[str] | None) -> None:
        for document in parsed.documents:
            reader.read(name, document, only=only)

    def _includes(self, tree: Tree, folder: Path) -> Iterator[Path]:
        """The folders that tenant.yaml includes, those that may not be included reported (SPEC section 4)."""
        placed = self._draft.tenant_place
        if placed is None:
            return
        own = Path(os.path.realpath(folder))
        seen: dict[Path, int] = {}
        for index, entry in enumerate(include_paths(placed.value)):
            if not entry or entry.startswith(("/", "~")) or "\0" in entry:
                continue  # the schema has said so
            target = Path(os.path.realpath(own / entry))
            problem = _include_problem(tree.root, own, target, seen)
            if problem is None:
                seen[target] = index
                yield target
            else:
                code, message, help_ = problem
                self._draft.findings.append(
                    Finding(
                        code=code,
                        message=message,
                        file=placed.file,
                        help=help_,
                        document=placed.document,
                        paths=(("include", index),),
                    )
                )

    def _text_of(self, name: str) -> str | None:
        if name in self._also:
            text, fault = decode_file(self._also[name])
        elif name in self._paths:
            text, fault = read_text(self._paths[name])
        else:
            return None
        return None if fault else text


def _include_problem(
    root: Path, own: Path, target: Path, seen: Mapping[Path, int]
) -> tuple[Code, str, str | None] | None:
    if not is_inside(root, target):
        return Code.INCLUDE_OUTSIDE, "the include leads out of the root", "put the shared folder into the root"
    if own == target or own.is_relative_to(target):
        return Code.INCLUDE_CYCLE, "the include contains this tenant's own folder", "include a folder of its own"
    if not target.is_dir():
        what = "is not a folder" if target.exists() else "is not there"
        return Code.INCLUDE_MISSING, f"the included folder {what}", "includes are relative to tenant.yaml"
    if target in seen:
        return (
            Code.INCLUDE_CYCLE,
            f"the folder is included twice; first as number {seen[target] + 1}",
            "remove one of them",
        )
    if (target / TENANT_FILE).exists():
        return (
            Code.INCLUDE_CYCLE,
            "the included folder is a tenant of its own",
            "move what both need into a shared folder",
        )
    return None


def _is_folder_name(name: str) -> bool:
    return bool(name) and not name.startswith((".", "_")) and "/" not in name and "\0" not in name


def _desired_state(draft: Draft) -> DesiredState:
    return DesiredState(
        users=tuple(sorted(draft.users, key=lambda user: (fold(user.user_name), user.user_name))),
        groups=tuple(sorted(draft.groups, key=lambda group: (fold(group.display_name), group.display_name))),
        configuration=draft.configurations[0].value if draft.configurations else None,
        exclusives=tuple(sorted((placed.value for placed in draft.exclusives), key=lambda rule: rule.name)),
        overrides=tuple(
            sorted((placed.value for placed in draft.overrides), key=lambda item: (item.source.file, item.source.line))
        ),
    )


def _outside(faulty: Container[str], state: DesiredState) -> DesiredState:
    return replace(
        state,
        users=tuple(user for user in state.users if user.source.file not in faulty),
        groups=tuple(group for group in state.groups if group.source.file not in faulty),
        configuration=None,
        overrides=tuple(override for override in state.overrides if override.source.file not in faulty),
    )


def _without_echoes(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Without what a schema says about a value that could not even be read."""
    faulty = {(item.file, item.line, item.column) for item in diagnostics if item.code.startswith("V1") and item.line}
    return [
        item for item in diagnostics if item.code.startswith("V1") or (item.file, item.line, item.column) not in faulty
    ]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Millions of small objects are made and none of them is garbage: collecting meanwhile only costs."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
