"""Text from outside, made safe to show: names of files, titles, addresses and messages about them.

A terminal obeys some characters instead of showing them: escape sequences move the cursor, set the title
or write to the clipboard; others reverse the direction of what follows, or begin a line that was never
written by us. Those are escaped as in a Python string; everything else, emoji included, stays as it is.
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
    """A JSON document in which what a terminal obeys is written as JSON escapes; it means the same.

    A byte that is not UTF-8 has no escape that every program reads, so it becomes what `printable` makes
    of it. document: as `json.dumps` writes it on one line, where such characters stand in strings alone.
    """
    return _UNSAFE.sub(_json_escaped, document)


def _json_escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
