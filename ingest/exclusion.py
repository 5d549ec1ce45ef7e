"""Patterns that exclude files and folders, like in .gitignore.

A pattern is compared with the path relative to the given folder, without a leading slash:

    *.tmp.mp4   a name at any depth, as the pattern has no slash
    /a.mp4      a.mp4 of the folder itself
    raw/*.mov   from the folder down; `*` and `?` stay within one name
    **/raw/**   `**` is any number of folders
    raw/        only folders

An excluded folder excludes its content. There is no `!`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.errors import UsageError


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    expression: re.Pattern[str]
    folders_only: bool


class Exclusion:
    """Patterns, none by default. Raises UsageError for an empty or wrong pattern."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = [_compiled(text) for text in patterns]

    def why(self, relative: str, *, is_folder: bool = False) -> str:
        """The pattern that excludes this path itself; empty if there is none."""
        for pattern in self._patterns:
            if (is_folder or not pattern.folders_only) and pattern.expression.fullmatch(relative):
                return pattern.text
        return ""

    def covers(self, relative: str) -> bool:
        """Whether a file, or a folder above it, is excluded."""
        above = any(self.why(folder, is_folder=True) for folder in _folders(relative))
        return bool(self._patterns) and (above or bool(self.why(relative)))


NOTHING = Exclusion()


def _folders(relative: str) -> Iterator[str]:
    parts = relative.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _compiled(text: str) -> _Pattern:
    bare = text.rstrip("/")
    if not bare.strip("/") or bare.startswith("!"):
        raise UsageError(
            f"--exclude {text!r}: expected a pattern such as '*.tmp.mp4', 'raw/' or 'raw/**'; a pattern "
            "cannot begin with '!'"
        )
    anchored = "/" in bare
    names = bare.lstrip("/").split("/")
    expression = "" if anchored else "(?:.*/)?"
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if name == "**":
            expression += ".*" if last else "(?:.*/)?"
        else:
            expression += _name(name) + ("" if last else "/")
    try:
        return _Pattern(text, re.compile(expression, re.DOTALL), text.endswith("/"))
    except re.error:
        raise UsageError(
            f"--exclude {text!r}: expected characters between '[' and ']', such as '[a-z]' or '[!0-9]'; "
            "'[[]' is the character '[' itself"
        ) from None


def _name(pattern: str) -> str:
    """A part of a path: `*`, `?` and `[abc]`, as in a shell."""
    expression = ""
    for part in re.split(r"(\*+|\?|\[!?\]?[^]]*\])", pattern):
        if part.startswith("*"):
            expression += "[^/]*"
        elif part == "?":
            expression += "[^/]"
        elif part.startswith("[") and part.endswith("]") and len(part) > 2:
            inner = part[1:-1].replace("\\", "\\\\")
            expression += f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
        else:
            expression += re.escape(part)
    return expression
