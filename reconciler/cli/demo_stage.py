"""What the demo plays on: an embedded tenant, a folder of desired state, and the real command line between them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from reconciler.cli.composition import surroundings_of, use_color
from reconciler.cli.exits import Exit
from reconciler.cli.listening import PlainListener
from reconciler.desired.parser import load_desired_state
from reconciler.errors import ConfigurationError, ReconcilerError
from reconciler.messages.patch import PATCH_SCHEMA
from reconciler.model.resource import Attributes, Kind, LiveGroup, LiveUser, unpack
from reconciler.model.state import LiveState
from reconciler.reconcile.connection import Connection, connect
from reconciler.sandbox.server import SandboxConfig, SandboxServer
from reconciler.settings import read_settings

TENANT = "acme-prod"
ROOT = "desired-state"
DATA = "tenant.sqlite"
TOKEN_VARIABLE = "SCIM_TOKEN"  # noqa: S105 - the name of a variable, which the sample's tenant.yaml refers to

_BASE_URL = re.compile(r'(?m)^( *baseUrl: )"[^"]*"')
_OURS = ("CXONE_", "SCIM_", "RECONCILER_")
_OF_PIPELINES = frozenset({"CI", "GITHUB_OUTPUT"})


class DemoFailed(ReconcilerError):
    """Something in the demo was not as told. Always a defect, of the demo or of what it shows."""

    reference = "demo"


@dataclass(frozen=True, slots=True)
class Ran:
    """A command line that was run: its exit code, and what it printed on stdout and stderr, in order."""

    line: str
    exit: int
    output: str


class Stage:
    """A tenant that listens, a folder with the sample's desired state pointed at it, and nobody else's settings."""

    def __init__(self, folder: Path, server: SandboxServer, token: str, run: Callable[[list[str]], int]) -> None:
        self.folder = folder
        self.base_url = server.base_url
        self.token = token
        self._run = run

    def run(self, line: str) -> Ran:
        """Run a command line as the shell would, in this process, through the code that the shell's goes through.

        Raises KeyboardInterrupt where the command was interrupted.
        """
        words = shlex.split(line)
        output = _Captured(is_terminal=use_color())
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(_Captured(into=output)):
            code = self._run(words[1:])
        if code == Exit.INTERRUPTED:
            raise KeyboardInterrupt
        return Ran(line, code, output.getvalue())

    def edit(self, file: str, old: str, new: str) -> Callable[[], object]:
        """Change a file of the desired state, as an editor would; what is returned takes it back."""
        path = self.folder / ROOT / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise DemoFailed(f"the sample tenant is not as the demo knows it: {file} does not say {old!r}")
        path.write_text(text.replace(old, new), encoding="utf-8")
        return lambda: path.write_text(text, encoding="utf-8")

    def user(self, user_name: str) -> LiveUser:
        """A user, as the tenant holds it now."""
        with self._connected(read_only=True) as connection:
            found = _only(connection, Kind.USER, "userName", user_name)
        return found if isinstance(found, LiveUser) else _never()

    def attributes(self, user_name: str) -> Attributes:
        """The attributes of a user, as the tenant holds them now."""
        return unpack(self.user(user_name).body)

    def members(self, display_name: str) -> frozenset[str]:
        """The ids of a group's members, as the tenant holds them now."""
        with self._connected(read_only=True) as connection:
            found = _only(connection, Kind.GROUP, "displayName", display_name)
        return frozenset(found.members or ()) if isinstance(found, LiveGroup) else _never()

    def snapshot(self) -> Mapping[str, LiveUser | LiveGroup]:
        """Every user and group with its version: equal snapshots mean that nothing was written in between."""
        with self._connected(read_only=True) as connection:
            live: LiveState = connection.read_live_state(configuration=False)
        return {**live.users, **live.groups}

    def foreign_write(self, kind: Kind, name: str, *operations: dict[str, Any]) -> None:
        """What somebody else does to a resource, through the same SCIM service, past git (RFC 7644 section 3.5.2)."""
        attribute = "userName" if kind is Kind.USER else "displayName"
        with self._connected(read_only=False) as connection:
            found = _only(connection, kind, attribute, name)
            connection.client.patch(
                kind, found.id, {"schemas": [PATCH_SCHEMA], "Operations": list(operations)}, found.version
            )

    @contextlib.contextmanager
    def _connected(self, *, read_only: bool) -> Iterator[Connection]:
        settings = read_settings(os.environ, root=str(self.folder / ROOT))
        loaded = load_desired_state(settings.root, TENANT, documents=False, environ=settings.environ)
        if loaded.tenant is None:
            raise DemoFailed("the sample tenant.yaml is not valid", context=str(loaded.diagnostics))
        silent = replace(surroundings_of(settings), listener=PlainListener(io.StringIO()))
        with connect(loaded.tenant, silent, read_only=read_only) as connection:
            yield connection


@contextlib.contextmanager
def staged(run: Callable[[list[str]], int], *, keep: bool) -> Iterator[Stage]:
    """A stage in a private temporary folder, which is also the current one; nothing is left of it unless `keep`.

    Raises:
        ConfigurationError: the folder cannot be made, or no port can be had.

    """
    with contextlib.ExitStack() as cleanup:
        token = secrets.token_urlsafe(12)
        try:
            folder = Path(cleanup.enter_context(_folder(keep=keep))).resolve()
            config = SandboxConfig(token=token, data=str(folder / DATA) if keep else None)
            server = cleanup.enter_context(SandboxServer(config))
            _copy(sample(), folder / ROOT)
        except OSError as error:
            raise ConfigurationError(f"the demo cannot be set up: {error}") from error
        _point_at(folder / ROOT / TENANT / "tenant.yaml", server.base_url)
        cleanup.enter_context(contextlib.chdir(folder))
        cleanup.enter_context(_environment(folder, token))
        yield Stage(folder, server, token, run)


def sample() -> Traversable:
    """The desired state that ships with the package."""
    package = files("reconciler")
    installed = package / "_desired_state"
    # In a checkout it is a folder for people at the top; the wheel maps it into the package.
    return installed if installed.is_dir() else package / ".." / ROOT


@contextlib.contextmanager
def _folder(*, keep: bool) -> Iterator[str]:
    if keep:
        yield tempfile.mkdtemp(prefix="reconciler-demo-")
        return
    with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder:
        yield folder


def _copy(source: Traversable, target: Path) -> None:
    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            _copy(entry, target / entry.name)
        else:
            (target / entry.name).write_bytes(entry.read_bytes())


def _point_at(tenant_file: Path, base_url: str) -> None:
    text, count = _BASE_URL.subn(rf'\g<1>"{base_url}"', tenant_file.read_text(encoding="utf-8"))
    if count != 1:
        raise DemoFailed(f"the sample tenant is not as the demo knows it: {count} times baseUrl in tenant.yaml")
    tenant_file.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _environment(folder: Path, token: str) -> Iterator[None]:
    """What the commands of the demo read: its own token, and nothing of the user's settings, pipeline or bindings."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith(_OURS) or name in _OF_PIPELINES}
    before = {name: os.environ.get(name) for name in (*hidden, TOKEN_VARIABLE, "XDG_CONFIG_HOME")}
    for name in hidden:
        del os.environ[name]
    os.environ.update({TOKEN_VARIABLE: token, "XDG_CONFIG_HOME": str(folder / ".config")})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _only(connection: Connection, kind: Kind, attribute: str, value: str) -> LiveUser | LiveGroup:
    found = connection.client.find(kind, attribute, value)
    if len(found) != 1:
        raise DemoFailed(f"the tenant has {len(found)} of {kind}/{value}")
    complete = connection.client.get(kind, found[0].id)
    return complete if complete is not None else _never()


def _never() -> Any:
    raise DemoFailed("the tenant changed while it was being looked at")


class _Captured(io.StringIO):
    """Takes what a command prints. `into` is another one that gets it instead, so that both stay in order."""

    encoding = "utf-8"

    def __init__(self, *, into: io.StringIO | None = None, is_terminal: bool = False) -> None:
        super().__init__()
        self._into = into
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """As the real one, for color; never for stderr, where a terminal means progress bars."""
        return self._is_terminal

    def write(self, text: str) -> int:
        """Keep it, or hand it on."""
        return super().write(text) if self._into is None else self._into.write(text)
