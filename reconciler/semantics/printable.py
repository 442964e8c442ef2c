"""Text from git or from a service, made safe to look at.

A name may hold anything: an escape sequence that paints over the terminal, a bidirectional override that reverses
what a reviewer reads, a line break that fakes a line of the report. Whatever cannot be seen is shown by its code point.
"""

from __future__ import annotations

# Letters and symbols by Unicode category, and yet nothing to see.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_ORDINARY_SPACES = frozenset("\u3000")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""The text on one line, with everything unprintable escaped as in Python (`\x1b`, `\u202e`).

    Unprintable is what Unicode calls other or separator, the space excepted: control and format characters, line and
    paragraph separators, surrogates, unassigned code points, unusual spaces; and the few letters without a glyph.
    Backslashes stay as they are, so a text that is printable already comes back unchanged.
    """
    if text.isprintable() and (text.isascii() or _INVISIBLE.isdisjoint(text)):
        return text
    return "".join(_shown(character) for character in text)


def escape_json(text: str) -> str:
    """JSON text with everything unprintable inside its strings escaped; it parses to the same value.

    Line breaks and spaces between tokens are left alone. JSON text made with `ensure_ascii` off is readable in every
    language this way, and still harmless on a terminal.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        character if character in "\n " or _is_visible(character) else _json_escape(character) for character in text
    )


def _is_visible(character: str) -> bool:
    return (character.isprintable() and character not in _INVISIBLE) or character in _ORDINARY_SPACES


def _shown(character: str) -> str:
    if _is_visible(character):
        return character
    if character in _SHORT:
        return _SHORT[character]
    point = ord(character)
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
