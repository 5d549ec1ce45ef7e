"""Blocks of documents that scripts write, each between a mark and an end."""

from __future__ import annotations

END = "<!-- end -->"


def begin(mark: str) -> str:
    """The line before a block."""
    return f"<!-- {mark} -->\n"


def filled(text: str, mark: str, block: str) -> str:
    """A document with a block in it replaced. Raises ValueError unless it has one such block."""
    if text.count(begin(mark)) != 1:
        raise ValueError(f"expected one block {mark!r}, found {text.count(begin(mark))}")
    before, after = text.split(begin(mark))
    return f"{before}{begin(mark)}{block}\n{END}{after.split(END, 1)[1]}"
