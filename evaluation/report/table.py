"""A table of text cells, with output as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # The default font encoding would print other characters.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "−": r"$-$",
    "–": "--",
}
_LATEX_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)))


@dataclass(frozen=True, slots=True)
class Column:
    """title: heading of the column. under: heading of a group of neighbouring columns. code: the cells
    are names, in code font."""

    title: str
    under: str = ""
    code: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Text cells; each row has one per column. breaks: indexes of rows with a rule above them."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    breaks: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row: expected {len(self.columns)} cells, got {len(row)}: {row}")

    def to_markdown(self) -> str:
        """A GitHub table. It has only one heading line, so a column's heading includes its group."""
        heads = [
            f"{column.under}: {column.title}" if column.under else column.title
            for column in self.columns
        ]
        lines = [
            list(map(_markdown, heads)),
            ["---" if index == 0 else "---:" for index in range(len(heads))],
            *(
                [
                    _markdown(cell, column.code)
                    for cell, column in zip(row, self.columns, strict=True)
                ]
                for row in self.rows
            ),
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def to_latex(self, label: str = "") -> str:
        """A `table` environment; it needs `\\usepackage{booktabs}` and UTF-8."""
        body = [
            ["\\midrule"] * (index in self.breaks and index > 0) + [self._latex_row(row)]
            for index, row in enumerate(self.rows)
        ]
        lines = [
            r"\begin{table}",
            r"\centering",
            *([rf"\caption{{{latex(self.caption)}}}"] if self.caption else []),
            *([rf"\label{{{label}}}"] if label else []),
            rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
            r"\toprule",
            *self._latex_groups(),
            _latex_line([latex(column.title) for column in self.columns]),
            r"\midrule",
            *(line for lines in body for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines)

    def _latex_row(self, row: Sequence[str]) -> str:
        cells = [
            rf"\texttt{{{latex(cell)}}}" if column.code and cell else latex(cell)
            for cell, column in zip(row, self.columns, strict=True)
        ]
        return _latex_line(cells)

    def _latex_groups(self) -> list[str]:
        """The line of column groups and the rules below it; empty if there are no groups."""
        if not any(column.under for column in self.columns):
            return []
        cells, rules, first = [], [], 1
        for under, members in groupby(self.columns, key=lambda column: column.under):
            width = len(list(members))
            if under:
                cells.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(under)}}}")
                rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
            else:
                cells.append(" & ".join([""] * width))
            first += width
        return [_latex_line(cells), " ".join(rules)]


def latex(text: str) -> str:
    """Escape text for LaTeX."""
    return _LATEX_SPECIAL.sub(lambda match: _LATEX[match.group()], text.replace("\n", " "))


def _latex_line(cells: Sequence[str]) -> str:
    line = " & ".join(cells)
    # After the \\ of the line before, LaTeX reads a bracket or star as its argument.
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"


def _markdown(text: str, code: bool = False) -> str:
    text = text.replace("\n", " ").replace("|", r"\|")
    return f"`{text}`" if code and text else text
