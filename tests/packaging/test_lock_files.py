"""The lock files: every package pinned by hash, and nothing that says where this machine gets its packages."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"
BOTH = pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=lambda path: path.name)


def load_pyproject() -> Mapping[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def parse_lock(path: Path) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Every pinned package of a lock file by name, with its hashes."""
    without_comments = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pins: dict[str, tuple[Requirement, frozenset[str]]] = {}
    for line in without_comments.replace("\\\n", " ").splitlines():
        requirement = Requirement(line.partition("--hash=")[0])
        pins[canonicalize_name(requirement.name)] = (requirement, frozenset(re.findall(r"--hash=(\S+)", line)))
    return pins


@BOTH
def test_names_no_index_host_and_no_path(lock: Path) -> None:
    """Everyone installs from the index their own pip is set up with."""
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"://|\bfile:|--(?!hash=sha256:)", text)
    assert not re.search(r"(^|[\s'\"])(/|~|[A-Za-z]:\\)\w", text, flags=re.MULTILINE)


@BOTH
def test_every_package_is_pinned_to_one_version_with_hashes(lock: Path) -> None:
    """What pip's --require-hashes needs, and what makes two installations equal."""
    pins = parse_lock(lock)
    assert pins
    for requirement, hashes in pins.values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes), requirement


def test_every_runtime_dependency_is_in_the_runtime_lock() -> None:
    """A dependency that was added or raised without `make lock` is found here, not by the next user."""
    pins = parse_lock(RUNTIME)
    for declared in map(Requirement, load_pyproject()["project"]["dependencies"]):
        (pin,) = pins[canonicalize_name(declared.name)][0].specifier
        assert declared.specifier.contains(pin.version), declared


def test_every_development_dependency_is_in_the_development_lock() -> None:
    """`make setup` installs with --no-deps what it builds, so nothing else would bring a missing one."""
    pyproject = load_pyproject()
    groups = pyproject["dependency-groups"]
    declared = [item for name in ("build", "check", "test") for item in groups[name]]
    pins = parse_lock(DEVELOPMENT)
    for requirement in map(Requirement, [*declared, *pyproject["build-system"]["requires"]]):
        (pin,) = pins[canonicalize_name(requirement.name)][0].specifier
        assert requirement.specifier.contains(pin.version), requirement


def test_development_runs_on_the_versions_that_users_get() -> None:
    """The tests prove something about the runtime lock only if both files pin alike."""
    development = parse_lock(DEVELOPMENT)
    for name, (requirement, hashes) in parse_lock(RUNTIME).items():
        assert str(development[name][0].specifier) == str(requirement.specifier), name
        assert development[name][1] == hashes, name
