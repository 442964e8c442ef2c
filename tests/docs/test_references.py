"""Nothing is undocumented, and nothing is documented that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from reconciler.cli.exits import Exit
from reconciler.cli.main import COMMANDS, cli
from reconciler.desired.codes import CODES, Code
from reconciler.desired.tenant import DIALECT_KEYS
from reconciler.model.outcome import ResidualCause
from reconciler.planner.explanations import FINDING_PAGES, GUARD_PAGES, RESIDUAL_PAGES
from reconciler.planner.guards import GUARDS
from tests.docs.console import DOCUMENTS, ROOT
from tests.docs.guard_pages import PATH, START, rendered

LINKED = (*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / ".github" / "CONTRIBUTING.md")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(reconciler [^`]+)`")
TEXT = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
NUMBERS = {19: "nineteen", 20: "twenty", 21: "twenty-one"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that a user can type, subcommands as `group command`."""
    for name, (place, _) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        yield name, command


def options_of(command: click.Command) -> list[str]:
    """The long options of a command."""
    return [opt for param in command.params if isinstance(param, click.Option) for opt in param.opts if opt[:2] == "--"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_begins_with_its_line_in_the_list(name: str) -> None:
    """`reconciler --help` and `reconciler COMMAND --help` say the same, so neither of them goes stale."""
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert shown.output.split("\n\n")[1].strip() == COMMANDS[name][1]


@pytest.mark.parametrize(("name", "command"), [pytest.param(*pair, id=pair[0]) for pair in commands()])
def test_every_option_is_explained_in_the_docs_and_in_the_help(name: str, command: click.Command) -> None:
    """An option that no document mentions is found by nobody."""
    if not isinstance(command, click.Group):
        assert f"reconciler {name}" in TEXT
    for option in options_of(command):
        assert re.search(rf"{option}(?![\w-])", TEXT), f"{option} of {name} is in no document"


def test_every_command_in_the_prose_exists_with_its_options() -> None:
    """Documents speak of what is there; what comes later is named without being a command to type."""
    known = dict(commands())
    for typed in INLINE.findall(TEXT):
        words = typed.split()[1:]
        if words[0].startswith("-"):
            continue
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, typed
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert option in {*options_of(known[name]), *options_of(cli), "--help", "--version"}, typed


@pytest.mark.parametrize("code", [*Code, *GUARDS, *FINDING_PAGES, *ResidualCause], ids=str)
def test_every_code_guard_and_finding_is_explained(code: str) -> None:
    """Whatever a message shows in brackets can be asked about."""
    shown = CliRunner().invoke(cli, ["explain", str(code)], standalone_mode=False)
    assert shown.return_value == Exit.DONE
    assert len(shown.output) > 100


def test_no_explanation_is_left_over() -> None:
    """What can be explained is what can be said."""
    assert set(CODES) == {code.value for code in Code}
    assert set(GUARD_PAGES) == set(GUARDS)
    assert set(RESIDUAL_PAGES) == set(ResidualCause)


def test_the_page_about_guards_says_what_explain_says() -> None:
    """Two texts about one guard would soon differ. To mend it: python -m tests.docs.guard_pages."""
    text = PATH.read_text(encoding="utf-8")
    assert text[text.index(START) :] == rendered()


def test_the_number_of_guards_is_told_right() -> None:
    """README and changelog count them in words."""
    for document in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        assert f"{NUMBERS[len(GUARDS)]} guards" in document.read_text(encoding="utf-8").lower()


def test_every_key_of_tenant_yaml_is_documented() -> None:
    """The page about tenant.yaml against its schema."""
    schema = json.loads((ROOT / "schemas" / "tenant.schema.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "tenant.md").read_text(encoding="utf-8")
    for key in keys_of(schema):
        assert re.search(rf"\b{re.escape(key)}\b", page), f"{key} is not in docs/tenant.md"
    assert len(DIALECT_KEYS) == len(schema["properties"]["dialect"]["properties"])


def keys_of(schema: dict[str, Any]) -> Iterator[str]:
    """The keys of tenant.yaml and of the mappings in it."""
    for key, value in schema.get("properties", {}).items():
        yield key
        yield from keys_of(value)
    for alternative in schema.get("oneOf", ()):
        yield from keys_of(alternative)


def test_exit_codes_are_documented() -> None:
    """The table in docs/plan.md names each of them."""
    page = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)] == sorted(Exit)


@pytest.mark.parametrize("document", LINKED, ids=lambda document: document.stem)
def test_links_lead_somewhere(document: Path) -> None:
    """Files exist, headings exist, and a link named after a function leads to a file that has it."""
    for name, target in LINK.findall(document.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.is_file(), target
        assert file.is_relative_to(ROOT), target
        text = file.read_text(encoding="utf-8")
        if anchor:
            assert anchor in headings(text), target
        if file.suffix == ".py" and name.startswith("`"):
            assert re.search(rf"^(?:def|class) {name.strip('`')}\b", text, flags=re.MULTILINE), f"{name} in {target}"


def headings(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    found = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_readme_leads_to_every_document() -> None:
    """A page that nothing leads to is not read."""
    links = {target.partition("#")[0] for _, target in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {f"docs/{document.name}" for document in DOCUMENTS[1:]} <= links


def test_targets_of_the_makefile_that_documents_name_exist() -> None:
    """`make demo`, `make test`, `make setup`: they are not run here, one of them runs this."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^\$ make ([\w-]+)$", TEXT, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_lines_of_documents_are_of_readable_length() -> None:
    """Prose wraps at 120; tables and output may be longer."""
    for document in DOCUMENTS:
        prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        prose = prose.partition(START)[0]
        for line in prose.splitlines():
            assert len(line) <= 120 or line.startswith(("|", "    ")), f"{document.name}: {line}"
