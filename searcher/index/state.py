"""One immutable state of the shard.

The graph contains rows [0, g) and the delta rows [g, n). Rows of the graph with the same vector share one
node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from common.types import (
    BoolArray,
    Float32Array,
    Int8Array,
    Int64Array,
    SegmentRef,
)
from searcher.index.delta import BLOCK_ROWS, Delta
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import PADDED_DIMENSION, graph_vectors
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_tuning import UNTUNED, Tuning
from searcher.index.row_table import RowTable

MISSING = -1

# Scores, float32 (n, k), and rows, int64 (n, k).
Nearest: TypeAlias = tuple[Float32Array, Int64Array]
Banks: TypeAlias = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows a search may return: rows of `banks` (None: all banks) and of no video in
    `exclude_videos`."""

    banks: Banks = None
    exclude_videos: frozenset[str] = frozenset()


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
    alive: bool (total,), not shared. live: number of True values in `alive`. tuning: measured on the
    graph, or on a smaller one from which it grew.
    """

    graph: Any = None
    nodes: GraphNodes = field(default_factory=GraphNodes)
    delta: Delta = field(default_factory=Delta)
    total: int = 0
    rows: RowTable = field(default_factory=RowTable)
    frames: FrameCodeTable = field(default_factory=FrameCodeTable)
    alive: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    live: int = 0
    tuning: Tuning = UNTUNED

    @property
    def graph_rows(self) -> int:
        """Number of rows in the graph."""
        return len(self.nodes.of_row)

    def rows_of(self, video_id: str) -> Int64Array:
        """Live rows of a video."""
        return self.rows.of_video(video_id, self.alive)

    def everything_passes(self, only: Filter) -> bool:
        """Whether a search may return any row, so that rows need no check."""
        return self.live == self.total and only == EVERYTHING

    def passes(self, rows: Int64Array, only: Filter) -> BoolArray:
        """bool, shape of `rows`: live rows that the filter allows."""
        found = self.alive[rows]
        if only != EVERYTHING:
            found &= self.rows.match(rows, only.banks, only.exclude_videos)
        return found

    def graph_rows_in(self, banks: Banks) -> Int64Array:
        """The graph's rows in these banks, including deleted rows."""
        if banks is None:
            return np.arange(self.graph_rows)
        return self.rows.of_banks(banks, self.graph_rows)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, Float32Array]]:
        """The vectors of rows [start, stop), float32 (m, 528), with the first row of each piece."""
        for first in range(start, min(stop, self.graph_rows), BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, stop, self.graph_rows)
            held, nodes = graph_vectors(self.graph), self.nodes
            yield first, held[first:last] if nodes.distinct else held[nodes.of_row[first:last]]
        yield from self.delta.pieces(max(start, self.graph_rows), stop)

    def vectors(self, rows: Int64Array) -> Float32Array:
        """The vectors of rows, float32 (len(rows), 528)."""
        found = np.empty((len(rows), PADDED_DIMENSION), dtype=np.float32)
        in_graph = rows < self.graph_rows
        if in_graph.any():
            found[in_graph] = graph_vectors(self.graph)[self.nodes.of_row[rows[in_graph]]]
        found[~in_graph] = self.delta.take(rows[~in_graph])
        return found

    def refs(self, rows: Int64Array) -> list[SegmentRef]:
        """The segments of rows."""
        return self.rows.refs(rows)
