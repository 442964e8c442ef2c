"""`reconciler sandbox serve`: what its options mean, and what it says when one of them cannot be used."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.sandbox.config import SandboxConfig
from reconciler.sandbox.faults import Fault, parse_faults

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (b'[{"fault": "teapot"}]', "faults[0].fault: there is no fault 'teapot'", "write one of drop-before-send"),
        (b"[\n{]", "line 2, column 2: this is not JSON", "correct it there"),
        (b"\xff", "it is not UTF-8", "save it as UTF-8"),
        (None, "No such file", "name another file with --faults"),
    ],
)
def test_a_bad_file_of_faults_is_an_error_before_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str, hint: str
) -> None:
    """SPEC section 10: place and remedy."""
    path = tmp_path / "faults.json"
    if content is not None:
        path.write_bytes(content)

    assert run(["sandbox", "serve", "--port", "0", "--faults", str(path)]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(path) in captured.err
    assert said in captured.err
    assert f"hint: {hint}" in captured.err


def test_the_documentation_has_every_option_setting_and_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """And its list of faults is one that works."""
    text = DOCUMENT.read_text(encoding="utf-8")
    run(["sandbox", "serve", "--help"])
    options = re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)

    assert [option for option in options if f"`{option}" not in text and option != "--help"] == []
    assert [fault for fault in Fault if f"| `{fault}` |" not in text] == []
    assert [name.name for name in fields(SandboxConfig) if f"`{name.name}`" not in text] == []
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert len(parse_faults(example).rules) == 3
