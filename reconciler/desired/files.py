"""Which files make up a tenant's desired state: found without following a link out of the root, opened only if regular.

Names are relative to the root, with forward slashes, whatever way a file was reached. A file that is reached twice, by
an include or by a link, is read once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.desired.codes import Code
from reconciler.desired.loader import MAX_BYTES, Fault, decode
from reconciler.desired.places import Finding

TENANT_FILE = "tenant.yaml"

_EXTENSIONS = (".yaml", ".yml")


@dataclass(slots=True)
class Tree:
    """What a walk found: files by real path with their names, and what was wrong on the way."""

    root: Path
    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def real_root(root: Path) -> Path:
    """The root with every link in its own path resolved. Raises OSError where it is not there."""
    return root.resolve(strict=True)


def relative_name(root: Path, path: str | Path) -> str:
    """A path below the root as diagnostics name it; bytes in it that are no UTF-8 are shown as replaced."""
    name = Path(os.path.relpath(path, root)).as_posix()
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")


def is_inside(root: Path, path: str | Path) -> bool:
    """Whether a resolved path is the root or below it."""
    return Path(path).is_relative_to(root)


def walk(tree: Tree, folder: Path) -> None:
    """Adds every YAML file below a folder to the tree; hidden names (with a leading dot) are passed over."""
    todo = [folder]
    while todo:
        current = todo.pop()
        real = os.path.realpath(current)
        if real in tree.folders:
            continue
        tree.folders.add(real)
        try:
            with os.scandir(current) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            tree.findings.append(_unreadable(relative_name(tree.root, current), error))
            continue
        todo.extend(Path(entry.path) for entry in reversed(entries) if _is_folder_to_enter(tree, entry))


def read_text(path: str) -> tuple[str, Fault | None]:
    """The text of one file, or why there is none. Whatever stands at the path by now, only a regular file is opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return "", Fault(Code.UNREADABLE, f"cannot be read: {_why(error)}", 0, 0)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "", Fault(Code.NOT_A_FILE, "is no regular file", 0, 0)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return "", Fault(Code.UNREADABLE, f"cannot be read: {_why(error)}", 0, 0)
    finally:
        os.close(descriptor)
    return decode_file(data)


def decode_file(data: bytes) -> tuple[str, Fault | None]:
    """The text of a file with these bytes, or why there is none."""
    if len(data) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1_000_000} MB and was not read"
        return "", Fault(Code.TOO_LARGE, message, 0, 0, help="spread the documents over several files")
    return decode(data)


def yaml_files(folder: Path) -> Iterator[str]:
    """The names of YAML files directly in a folder, sorted; links and special files included, folders not."""
    with os.scandir(folder) as scan:
        for entry in sorted(scan, key=lambda entry: entry.name):
            if _is_yaml(entry.name) and not entry.is_dir(follow_symlinks=False):
                yield entry.name


def _is_yaml(name: str) -> bool:
    return name.lower().endswith(_EXTENSIONS) and not name.startswith(".")


def _is_folder_to_enter(tree: Tree, entry: os.DirEntry[str]) -> bool:
    """Sorts one entry in: a YAML file goes into the tree, trouble into the findings, a folder is to be entered."""
    if entry.name.startswith("."):
        return False
    name = relative_name(tree.root, entry.path)
    real = os.path.realpath(entry.path)
    if entry.is_symlink():
        if not is_inside(tree.root, real):
            tree.findings.append(link_out(name))
            return False
        if not os.path.exists(real):  # noqa: PTH110  # a path that was resolved a line above
            if _is_yaml(entry.name):
                message = "is a link that leads nowhere"
                tree.findings.append(
                    Finding(code=Code.LINK_BROKEN, message=message, file=name, help="remove or mend it")
                )
            return False
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError as error:
        tree.findings.append(_unreadable(name, error))
        return False
    if not _is_yaml(entry.name):
        return is_folder
    if is_file:
        tree.files.setdefault(real, relative_name(tree.root, real))
    else:
        what = (
            "is a folder with the name of a YAML file" if is_folder else "is no regular file (a pipe, socket or device)"
        )
        tree.findings.append(Finding(code=Code.NOT_A_FILE, message=what, file=name, help="rename or remove it"))
    return False


def link_out(name: str) -> Finding:
    """The finding for a link that leads out of the root; what it leads to is not looked at."""
    return Finding(
        code=Code.LINK_OUT,
        message="is a link that leads out of the root and was not followed",
        file=name,
        help="copy what it leads to, or share it through a folder in the root and `include`",
    )


def _unreadable(name: str, error: OSError) -> Finding:
    return Finding(
        code=Code.UNREADABLE, message=f"cannot be read: {_why(error)}", file=name, help="check its permissions"
    )


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
