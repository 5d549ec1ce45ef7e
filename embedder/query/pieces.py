"""Splits a long query into pieces, so that memory does not grow with its length."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds between the starts of windows.
HOP_SECONDS = 0.5
# Longer queries are matched in pieces. Ten minutes are 3,600 windows: 8 MB for the whole picture, and for
# each other view, at a moment a second, 4 MB. So 40 views and one candidate fit into the memory that a
# query may take.
PIECE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Piece:
    """The windows of a query that start in [start, end); number `number` of `pieces`, from 1. Every
    window belongs to one piece; it may end in the next one."""

    number: int
    pieces: int
    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """Length of the piece."""
        return self.end_seconds - self.start_seconds


def pieces_of(duration_seconds: float, piece_seconds: float = PIECE_SECONDS) -> list[Piece]:
    """The pieces of a query, of about equal length and at most `piece_seconds`; one for all but long
    queries."""
    count = max(1, math.ceil(duration_seconds / piece_seconds))
    hops = duration_seconds / HOP_SECONDS
    cuts = [HOP_SECONDS * round(number * hops / count) for number in range(count)]
    return [
        Piece(number, count, start, end)
        for number, (start, end) in enumerate(
            zip(cuts, [*cuts[1:], duration_seconds], strict=True), start=1
        )
    ]
