"""Wheel and sdist: what users install, tried outside the checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

import reconciler

ROOT = Path(__file__).parents[2]

# One worker builds and installs once for all of these tests.
pytestmark = pytest.mark.xdist_group("packaging")

TENANT = """\
kind: Tenant
name: tiny
profile: rfc7644
scim: {baseUrl: "http://127.0.0.1:8990/scim/v2"}
auth: {type: bearer, token: "${env:SCIM_TOKEN}"}
"""
PEOPLE = """\
kind: User
userName: ann@example.com
name: {givenName: Ann, familyName: Lee}
emails: [{value: ann@example.com, type: work, primary: true}]
---
kind: Group
displayName: Support-Team
members: [{user: ann@example.com}]
"""


@dataclass(frozen=True, slots=True)
class Distributions:
    """The two files of a release."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment with the wheel in it, and a folder outside the checkout to work in."""

    scripts: Path
    outside: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment with nothing inherited that could lead back to the checkout."""
        return subprocess.run(
            [self.scripts / program, *arguments],
            cwd=self.outside,
            env={"PATH": os.defpath, "HOME": str(self.outside), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The sdist built from the checkout, and the wheel built from that sdist, without the network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Distributions(wheel, sdist)


@pytest.fixture(scope="module")
def installation(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel in an environment of its own, which borrows the locked packages of the one the tests run in."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, symlinks=True)
    python = str(home / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(distributions.wheel)], check=True, capture_output=True, timeout=300)
    (site_packages,) = home.glob("lib/python*/site-packages")
    # Naming the folder does not run the .pth files in it, so the editable install stays invisible.
    (site_packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Installation(scripts=home / "bin", outside=tmp_path_factory.mktemp("outside"))


@pytest.fixture
def tenant(tmp_path: Path) -> Path:
    """A desired state with one small tenant."""
    folder = tmp_path / "desired-state" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tenant.yaml").write_text(TENANT, encoding="utf-8")
    (folder / "people.yaml").write_text(PEOPLE, encoding="utf-8")
    return folder


def tracked_files() -> list[Path]:
    """What git tracks and is there; nothing when the tests run from an unpacked sdist."""
    if not (ROOT / ".git").exists():
        return []
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def files_below(folder: Path) -> set[str]:
    """Every file of a folder of the checkout, relative to it."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name}


def test_wheel_carries_the_schemas_as_package_data(distributions: Distributions) -> None:
    """The top-level folder `schemas` becomes `reconciler/_schemas`, so that validation works when installed."""
    schemas = files_below(ROOT / "schemas")
    assert schemas
    names = set(zipfile.ZipFile(distributions.wheel).namelist())
    assert {f"reconciler/_schemas/{name}" for name in schemas} <= names


def test_wheel_carries_the_sample_tenant(distributions: Distributions) -> None:
    """`reconciler demo` needs no checkout: `desired-state` becomes `reconciler/_desired_state`."""
    sample = files_below(ROOT / "desired-state")
    assert sample
    names = set(zipfile.ZipFile(distributions.wheel).namelist())
    assert {f"reconciler/_desired_state/{name}" for name in sample} <= names


def test_wheel_carries_the_templates(distributions: Distributions) -> None:
    """Reports are rendered from files that travel with the code."""
    templates = files_below(ROOT / "reconciler" / "report" / "templates")
    assert templates
    names = set(zipfile.ZipFile(distributions.wheel).namelist())
    assert {f"reconciler/report/templates/{name}" for name in templates} <= names


def test_wheel_holds_the_package_and_nothing_else(distributions: Distributions) -> None:
    """No tests, benchmarks or top-level `schemas` land in somebody's site-packages."""
    names = zipfile.ZipFile(distributions.wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "reconciler",
        f"scim_reconciler-{reconciler.__version__}.dist-info",
    }
    assert "reconciler/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_sdist_holds_everything_git_tracks(distributions: Distributions) -> None:
    """Whoever has the sdist can build the wheel and run the tests."""
    with tarfile.open(distributions.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "Makefile", "requirements-dev.lock", "tests/conftest.py"} <= names
    assert {path.as_posix() for path in tracked_files()} <= names


def test_version_has_one_source(distributions: Distributions) -> None:
    """The package says its version once; project metadata and file names follow."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["hatch"]["version"]["path"] == "reconciler/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", reconciler.__version__)
    assert metadata.version("scim-reconciler") == reconciler.__version__
    assert distributions.wheel.name == f"scim_reconciler-{reconciler.__version__}-py3-none-any.whl"
    assert distributions.sdist.name == f"scim_reconciler-{reconciler.__version__}.tar.gz"


def test_installed_code_is_the_wheel_and_not_the_checkout(installation: Installation) -> None:
    """Otherwise the tests below would prove nothing."""
    done = installation.run("python", "-c", "import reconciler; print(reconciler.__file__)")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installation.scripts.parent)


@pytest.mark.parametrize("command", [("reconciler",), ("python", "-m", "reconciler")], ids=["script", "module"])
def test_installed_command_shows_its_help(installation: Installation, command: tuple[str, ...]) -> None:
    """Both ways to start it work away from the checkout."""
    done = installation.run(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert "validate" in done.stdout


def test_installed_command_validates_a_tenant(installation: Installation, tenant: Path) -> None:
    """The schemas are found inside the installed package."""
    done = installation.run("reconciler", "validate", "--root", str(tenant.parent))
    assert done.returncode == 0, done.stdout + done.stderr


def test_installed_command_reports_what_the_schema_forbids(installation: Installation, tenant: Path) -> None:
    """An unknown key ends in exit code 3 and a suggestion, so the schemas were not only found but used."""
    (tenant / "people.yaml").write_text("kind: User\nuserNme: ann@example.com\n", encoding="utf-8")
    done = installation.run("reconciler", "validate", "--root", str(tenant.parent))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "userName" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_installed_command_tells_the_whole_story(installation: Installation) -> None:
    """The demo runs on what the wheel carries, and checks each of its steps."""
    done = installation.run("reconciler", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What you have just seen" in done.stdout
