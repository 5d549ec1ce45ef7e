"""One immutable state of the shard.

Graphs contain the rows [0, g), part after part, and the delta the rows [g, n). Rows of one graph with the
same vector share one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from common.types import BoolArray, Float32Array, Int8Array, Int64Array, SegmentRef
from searcher.index.delta import Delta
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import PADDED_DIMENSION
from searcher.index.graph_part import GraphPart
from searcher.index.row_table import RowTable
from searcher.index.vector_codes import ComparedCodes

MISSING = -1

# Scores, float32 (n, k), and rows, int64 (n, k).
Nearest: TypeAlias = tuple[Float32Array, Int64Array]
Banks: TypeAlias = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows a search may return: rows of `banks` (None: all banks), of no bank in `exclude_banks`
    and of no video in `exclude_videos`."""

    banks: Banks = None
    exclude_videos: frozenset[str] = frozenset()
    exclude_banks: frozenset[str] = frozenset()


EVERYTHING = Filter()


class VideoSegments(NamedTuple):
    """The searchable segments of a video in time order. vectors: float32 (S, 527). frames: codes of each
    segment, int8 (T, 64)."""

    refs: list[SegmentRef]
    vectors: Float32Array
    frames: list[Int8Array]


@dataclass(frozen=True)
class State:
    """Everything that a reader needs. It is immutable after it has become the current state.

    `rows`, `frames` and the blocks of the delta change only beyond `total`, so states may share them.
    parts: the graphs, in the order of their rows: at most the large one, one that is being merged into
    it, and a small one of recent rows. alive: bool (total,), not shared. live: number of True values in
    `alive`.
    """

    parts: tuple[GraphPart, ...] = ()
    delta: Delta = field(default_factory=Delta)
    total: int = 0
    rows: RowTable = field(default_factory=RowTable)
    frames: FrameCodeTable = field(default_factory=FrameCodeTable)
    alive: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    live: int = 0

    @property
    def graph_rows(self) -> int:
        """Number of rows in graphs."""
        return self.parts[-1].stop if self.parts else 0

    @cached_property
    def waiting_codes(self) -> tuple[ComparedCodes, ...]:
        """The codes of the rows that are in no graph, in the pieces of the delta."""
        return tuple(self.delta.compared(self.graph_rows, self.total))

    def prepare(self) -> None:
        """Compute what the first search would compute otherwise."""
        _ = self.waiting_codes

    def rows_of(self, video_id: str) -> Int64Array:
        """Live rows of a video."""
        return self.rows.of_video(video_id, self.alive)

    def everything_passes(self, only: Filter) -> bool:
        """Whether a search may return any row, so that rows need no check."""
        return self.live == self.total and (only is EVERYTHING or only == EVERYTHING)

    def passes(self, rows: Int64Array, only: Filter) -> BoolArray:
        """bool, shape of `rows`: live rows that the filter allows."""
        found = self.alive[rows]
        if only != EVERYTHING:
            found &= self.rows.match(rows, only.banks, only.exclude_videos, only.exclude_banks)
        return found

    def count_in(self, part: GraphPart, banks: Banks) -> int:
        """Number of rows of a part in these banks, including deleted rows."""
        if banks is None:
            return part.rows
        return self.rows.count_of_banks(banks, part.first_row, part.stop)

    def rows_in(self, part: GraphPart, banks: Banks) -> Int64Array:
        """The rows of a part in these banks, including deleted rows."""
        if banks is None:
            return np.arange(part.first_row, part.stop)
        return self.rows.of_banks(banks, part.first_row, part.stop)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, Float32Array]]:
        """The vectors of rows [start, stop), float32 (m, 528), with the first row of each piece."""
        for part in self.parts:
            yield from part.pieces(start, stop)
        yield from self.delta.pieces(max(start, self.graph_rows), stop)

    def vectors(self, rows: Int64Array) -> Float32Array:
        """The vectors of rows, float32 (len(rows), 528)."""
        found = np.empty((len(rows), PADDED_DIMENSION), dtype=np.float32)
        for part in self.parts:
            here = (rows >= part.first_row) & (rows < part.stop)
            if here.any():
                found[here] = part.vectors[part.nodes_of(rows[here])]
        waiting = rows >= self.graph_rows
        found[waiting] = self.delta.take(rows[waiting])
        return found

    def refs(self, rows: Int64Array) -> list[SegmentRef]:
        """The segments of rows."""
        return self.rows.refs(rows)
