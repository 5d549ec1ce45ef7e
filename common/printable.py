"""Escapes untrusted text for terminals: file names, titles, URLs and messages about them.

Some characters control a terminal: escape sequences move the cursor, set the title or write to the
clipboard; others reverse the text direction or start a new line. They are escaped as in a Python string.
All other text, emoji included, is unchanged.
"""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line and paragraph separators, what sets the direction of text, and
# what is no character at all: a byte of a file name that is not UTF-8, and half of a surrogate pair.
_UNSAFE_CLASS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_UNSAFE = re.compile(f"[{_UNSAFE_CLASS}]")
_UNSAFE_BUT_NEWLINE = re.compile(f"(?!\n)[{_UNSAFE_CLASS}]")


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text on one line, with nothing in it that a terminal obeys: `\n`, `\x1b`, `\u202e`, and
    `\udcff` for a byte that is not UTF-8. lines: newlines of our own stay."""
    return (_UNSAFE_BUT_NEWLINE if lines else _UNSAFE).sub(_escaped, text)


def printable_json(document: str) -> str:
    """An equal JSON document with control characters as JSON escapes.

    A byte that is not UTF-8 has no escape that every program reads, so it is written like in `printable`.
    document: from `json.dumps` on one line, where such characters are only in strings.
    """
    return _UNSAFE.sub(_json_escaped, document)


def _json_escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
