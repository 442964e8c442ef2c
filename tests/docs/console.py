"""Runs what README and docs show: the files they tell the reader to write, and the commands, in order.

Conventions a writer of documentation needs to know:

- A paragraph that is a path in backticks and a colon, before a `yaml` block, makes the block that file.
- A `console` block holds commands after `$ `. Lines below a command are what it prints, in order; `...` stands for
  anything, in a line or for lines. `# exit 4` behind a command is the exit code that is expected instead of 0.
- `sha256:...` in a command is the digest or seal that the last plan printed.
- Port 8990 is the default of `reconciler sandbox serve`; here every document gets a free one of its own, and nothing is
  ever sent to a port that the document did not open itself.
- `<!-- starts with: the sample tenant and its sandbox -->` gives a document the folder desired-state of this
  repository, pointed at a sandbox that is running.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.main import run
from reconciler.sandbox.server import SandboxConfig, SandboxServer

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
STARTS_WITH_SAMPLE = "<!-- starts with: the sample tenant and its sandbox -->"
TOKEN = "a-token-of-the-tests"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"^`([\w./-]+\.yaml)`:\n\n\Z", re.MULTILINE)
_EXIT = re.compile(r"\s+# exit (\d+)$")
_APPROVAL = re.compile(r"(--expect-digest|--expect-seal) (sha256:[0-9a-f]{64})")
_SHELL = re.compile(r"[|&;<>$`]")
_COMMITTER = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Reader"), ("EMAIL", "reader@example.com"))
}
_BY_THE_MAKEFILE = {"make": 2, "source": 2}
"""Commands of a checkout with the number of their words; that their targets exist is tested elsewhere."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that the reader writes."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the reader types, and what the document says about it."""

    line: str
    exit: int
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and its language."""

    language: str
    text: str
    before: str


def blocks(document: Path) -> tuple[Block, ...]:
    """The fenced blocks of a document."""
    text = document.read_text(encoding="utf-8")
    return tuple(Block(m[1], m[2], text[: m.start()]) for m in _FENCE.finditer(text))


def steps(document: Path) -> tuple[File | Command, ...]:
    """What the reader does, in order."""
    found: list[File | Command] = []
    for block in blocks(document):
        name = _FILE_NAME.search(block.before)
        if block.language == "yaml" and name is not None:
            found.append(File(name[1], block.text))
        elif block.language == "console":
            found += _commands(block.text)
    return tuple(found)


def _commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *output = part.splitlines()
        expected = _EXIT.search(line)
        yield Command(
            line=line[: expected.start()] if expected else line,
            exit=int(expected[1]) if expected else 0,
            output=tuple(filter(str.strip, output)),
        )


def missing(said: tuple[str, ...], printed: str) -> str | None:
    """The first line that a document shows and a command did not print, after those before it."""
    rest = iter(" ".join(line.split()) for line in printed.splitlines())
    for line in said:
        if line.strip() == "...":
            continue
        words = " ".join(line.split())
        pattern = re.compile(".*".join(re.escape(part) for part in words.split("...")))
        if not any(pattern.fullmatch(candidate) for candidate in rest):
            return line
    return None


class Reader:
    """Somebody who follows a document in a folder and an environment of their own."""

    def __init__(self, cleanup: contextlib.ExitStack, folder: Path) -> None:
        self._cleanup = cleanup
        self._approval: dict[str, str] = {}
        self._port: int | None = None
        cleanup.enter_context(contextlib.chdir(folder))
        cleanup.enter_context(
            _environment({"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **_COMMITTER})
        )

    def take_the_sample(self) -> None:
        """The folder desired-state of this repository, pointed at a sandbox that runs."""
        server = self._cleanup.enter_context(SandboxServer(SandboxConfig(token=TOKEN)))
        self._port = int(server.origin.rpartition(":")[2])
        os.environ["SCIM_TOKEN"] = TOKEN
        shutil.copytree(ROOT / "desired-state", "desired-state")
        tenant = Path("desired-state/acme-prod/tenant.yaml")
        text, count = re.subn(r'baseUrl: "[^"]*"', f'baseUrl: "{server.base_url}"', tenant.read_text(encoding="utf-8"))
        assert count == 1
        tenant.write_text(text, encoding="utf-8")

    def follow(self, step: File | Command) -> None:
        """Write a file, or type a command and look at what comes back."""
        if isinstance(step, Command) and step.line.startswith("curl ") and shutil.which("curl") is None:
            return  # nobody has to have it; whoever has tells whether the line is right
        if isinstance(step, File):
            path = Path(step.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._mapped(step.text), encoding="utf-8")
            return
        code, printed = self._type(self._mapped(self._approved(step.line)))
        assert code == step.exit, f"{step.line}\nexit code {code}, not {step.exit}\n{printed}"
        absent = missing(tuple(self._mapped(line) for line in step.output), printed)
        assert absent is None, f"{step.line}\ndoes not print: {absent}\nbut:\n{printed}"

    def _type(self, line: str) -> tuple[int, str]:
        words = shlex.split(line)
        if words[0] in _BY_THE_MAKEFILE and len(words) == _BY_THE_MAKEFILE[words[0]]:
            return 0, ""
        if words[:3] == ["reconciler", "sandbox", "serve"]:
            return 0, self._serve(words[1:])
        if words[0] == "cd":
            os.chdir(words[1])
            return 0, ""
        if words[0] == "export":
            for word in words[1:]:
                name, _, value = word.partition("=")
                os.environ[name] = value
            return 0, ""
        if words[0] != "reconciler" or _SHELL.search(line):
            return self._shell(line)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = run(words[1:])
        self._approval |= dict(_APPROVAL.findall(output.getvalue()))
        return code, output.getvalue()

    def _shell(self, line: str) -> tuple[int, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", line],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def _serve(self, arguments: list[str]) -> str:
        assert "--port" not in arguments, "documents use the default port, so that it can be mapped to a free one"
        process = self._cleanup.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "reconciler", *arguments, "--port", "0"],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._cleanup.callback(process.terminate)
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)/", line):
                self._port = int(found[1])
                return printed
        raise AssertionError(f"the sandbox did not start: {printed}")

    def _approved(self, line: str) -> str:
        """The command with the digest or seal that the last plan printed."""
        return re.sub(
            r"(--expect-digest|--expect-seal) sha256:\.\.\.",
            lambda found: f"{found[1]} {self._approval.get(found[1], 'sha256:none-was-printed')}",
            line,
        )

    def _mapped(self, text: str) -> str:
        """The text with the port of this document's sandbox. Without one, a port that nobody can listen on."""
        return text.replace(":8990", f":{self._port or 1}")


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
