"""Codes: everything that can be reported can be explained."""

from __future__ import annotations

import re
from importlib.resources import files

from reconciler.desired.codes import CODES, Code
from reconciler.schemas import schema_names, schema_text


def sources() -> str:
    """The code of the package that emits codes, and the schemas that name some."""
    folder = files("reconciler") / "desired"
    code = [item.read_text() for item in folder.iterdir() if item.name.endswith(".py") and item.name != "codes.py"]
    return "\n".join([*code, *map(schema_text, schema_names())])


def test_every_code_is_explained() -> None:
    """`reconciler explain` knows each of them, with an example of what is wrong and of what is right."""
    assert set(CODES) == set(Code)
    for explanation in CODES.values():
        assert explanation.title
        assert explanation.text.endswith(".")
        assert explanation.example_bad != explanation.example_good


def test_every_code_is_emitted_somewhere() -> None:
    """No code without something that reports it, and none is written as bare text outside the schemas."""
    text = sources()
    for code in Code:
        assert f"Code.{code.name}" in text or f'"x-code": "{code}"' in text, code
    assert set(re.findall(r'"x-code": "(V\d+)"', text)) <= set(Code)
    assert not re.findall(r'(?<!"x-code": )"V\d{3}"', text)


def test_codes_keep_their_numbers() -> None:
    """People search for them and suppress them: a number never changes its meaning. Add here what is added there."""
    assert {code.value: code.name for code in Code if code.value in {"V110", "V203", "V400", "V500", "V511"}} == {
        "V110": "DUPLICATE_KEY",
        "V203": "UNKNOWN_KEY",
        "V400": "LITERAL_SECRET",
        "V500": "SAME_USER_NAME",
        "V511": "CYCLE",
    }
