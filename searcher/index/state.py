"""One immutable state of the shard, and a search in it.

Rows are numbered once: the graph holds rows [0, g), the delta rows [g, n). Rows of the graph with the
same vector are one node of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import faiss
import numpy as np

from common.types import (
    BoolArray,
    Float32Array,
    Int8Array,
    Int64Array,
    SegmentRef,
    UInt8Array,
)
from searcher.index.delta import BLOCK_ROWS, Delta
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import PADDED_DIMENSION, graph_vectors, padded
from searcher.index.graph_dedup import GraphNodes
from searcher.index.row_table import RowTable

MISSING = -1
# Sets of banks whose masks are cached until the next change.
_KEPT_FILTERS = 16
_NOT_KEPT: Any = object()

# Scores, float32 (n, k), and rows, int64 (n, k).
Nearest: TypeAlias = tuple[Float32Array, Int64Array]
Banks: TypeAlias = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows a search may return. `banks` None means every bank."""

    banks: Banks = None
    exclude_video: str | None = None


EVERYTHING = Filter()


class VideoSegments(NamedTuple):
    """A video's searchable segments in time order. vectors: float32 (S, 527); frames: codes of
    each, int8 (T, 64)."""

    refs: list[SegmentRef]
    vectors: Float32Array
    frames: list[Int8Array]


@dataclass(frozen=True)
class State:
    """Everything a reader needs; immutable once it is the current state.

    `rows`, `frames`, the delta's blocks and what `alive` is a part of only grow beyond `total`, so
    states may share them. `live`: number of True rows in `alive`, bool (total,).
    """

    graph: Any = None
    nodes: GraphNodes = field(default_factory=GraphNodes)
    delta: Delta = field(default_factory=Delta)
    total: int = 0
    rows: RowTable = field(default_factory=RowTable)
    frames: FrameCodeTable = field(default_factory=FrameCodeTable)
    alive: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    live: int = 0
    _allowed: dict[Banks, BoolArray] = field(default_factory=dict, compare=False)
    _packed: dict[Banks, UInt8Array | None] = field(default_factory=dict, compare=False)

    @property
    def graph_rows(self) -> int:
        """Number of rows in the graph."""
        return len(self.nodes.of_row)

    def allowed(self, banks: Banks) -> BoolArray:
        """bool (total,): live rows of these banks."""
        if banks is None:
            return self.alive
        known = self._allowed.get(banks)
        if known is None:
            known = self.alive & self.rows.in_banks(banks, self.total)
            _keep(self._allowed, banks, known)
        return known

    def rows_of(self, video_id: str | None) -> Int64Array:
        """Live rows of a video; empty for None."""
        return self.rows.of_video(video_id or "", self.alive)

    def selector(self, only: Filter) -> Any:
        """A FAISS selector of the nodes with an allowed row, or None if all have one."""
        packed = self._packed.get(only.banks, _NOT_KEPT)
        if packed is _NOT_KEPT:
            allowed = self.nodes.with_any(self.allowed(only.banks)[: self.graph_rows])
            packed = None if allowed.all() else _packed(allowed)
            _keep(self._packed, only.banks, packed)
        spared = self._spared_nodes(only)
        if len(spared):
            packed = _packed(np.ones(self.nodes.count, bool)) if packed is None else packed.copy()
            np.bitwise_and.at(packed, spared >> 3, ~(1 << (spared & 7)).astype(np.uint8))
        return None if packed is None else faiss.IDSelectorBitmap(packed)

    def _spared_nodes(self, only: Filter) -> Int64Array:
        """Nodes whose only allowed rows belong to the excluded video."""
        spared = self.rows_of(only.exclude_video)
        spared = spared[spared < self.graph_rows]
        nodes = np.unique(self.nodes.of_row[spared])
        shared = nodes[self.nodes.shared[nodes]]
        if not len(shared):
            return nodes
        allowed = self.allowed(only.banks)
        others = [np.setdiff1d(self.nodes.rows_of(node), spared) for node in shared.tolist()]
        kept = [allowed[rows].any() for rows in others]
        return np.setdiff1d(nodes, shared[np.array(kept, dtype=bool)])

    def spread(self, scores: Float32Array, nodes: Int64Array, only: Filter) -> Nearest:
        """The allowed rows of the nodes found, in the same order and number.

        scores: float32 (n, k); nodes: int64 (n, k), MISSING if there is none.
        """
        if self.nodes.distinct:
            return scores, nodes
        found = nodes != MISSING
        rows = np.where(found, self.nodes.first_rows[nodes], MISSING)
        shared = (found & self.nodes.shared[nodes]).any(axis=1)
        for line in np.flatnonzero(shared).tolist():
            scores[line], rows[line] = self._spread(scores[line], nodes[line], only)
        return scores, rows

    def _spread(self, scores: Float32Array, nodes: Int64Array, only: Filter) -> Nearest:
        k = len(nodes)
        members = [self.nodes.rows_of(node) for node in nodes.tolist() if node != MISSING]
        rows = np.concatenate(members)
        which = np.repeat(np.arange(len(members)), [len(some) for some in members])
        usable = self.allowed(only.banks)[rows] & ~np.isin(rows, self.rows_of(only.exclude_video))
        rows, which = rows[usable][:k], which[usable][:k]
        lacking = (0, k - len(rows))
        return (
            np.pad(scores[which], lacking, constant_values=-np.inf),
            np.pad(rows, lacking, constant_values=MISSING),
        )

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, Float32Array]]:
        """The vectors of rows [start, stop), float32 (m, 528), with the first row of each piece."""
        for first in range(start, min(stop, self.graph_rows), BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, stop, self.graph_rows)
            held, nodes = graph_vectors(self.graph), self.nodes
            yield first, held[first:last] if nodes.distinct else held[nodes.of_row[first:last]]
        yield from self.delta.pieces(max(start, self.graph_rows), stop)

    def vectors(self, rows: Int64Array) -> Float32Array:
        """float32 (len(rows), 528)."""
        found = np.empty((len(rows), PADDED_DIMENSION), dtype=np.float32)
        in_graph = rows < self.graph_rows
        if in_graph.any():
            found[in_graph] = graph_vectors(self.graph)[self.nodes.of_row[rows[in_graph]]]
        found[~in_graph] = self.delta.take(rows[~in_graph])
        return found

    def refs(self, rows: Int64Array) -> list[SegmentRef]:
        """The segments of rows."""
        return self.rows.refs(rows)


def _keep(kept: dict[Banks, Any], banks: Banks, value: Any) -> None:
    """Cache a value and drop the oldest one if there are too many, because callers may name any set
    of banks."""
    for oldest in list(kept)[: max(0, len(kept) + 1 - _KEPT_FILTERS)]:
        kept.pop(oldest, None)
    kept[banks] = value


def search_state(
    state: State, vectors: Float32Array, k: int, only: Filter, ef_search: int
) -> Nearest:
    """Scores, float32 (n, k), and rows, int64 (n, k), best first, from the graph and the delta.

    vectors: float32 (n, 527). If fewer than k are found, the score is -inf and the row MISSING.
    Raises ValueError for k < 1.
    """
    queries = _checked(vectors, k)
    flat = _flat(state, queries, k, only, state.graph_rows)
    if not state.graph_rows or not len(queries):
        return _best([flat], k)
    parameters = faiss.SearchParametersHNSW(efSearch=max(ef_search, k), sel=state.selector(only))
    scores, nodes = state.graph.search(queries, k, params=parameters)
    scores[nodes == MISSING] = -np.inf
    scores, rows = state.spread(scores, nodes, only)
    return (scores, rows) if state.graph_rows == state.total else _best([(scores, rows), flat], k)


def search_exact(state: State, vectors: Float32Array, k: int, only: Filter) -> Nearest:
    """Exact search."""
    return _best([_flat(state, _checked(vectors, k), k, only, 0)], k)


def _checked(vectors: Float32Array, k: int) -> Float32Array:
    if k < 1:
        raise ValueError(f"k: expected >= 1, got {k}")
    return padded(vectors)


def _flat(state: State, queries: Float32Array, k: int, only: Filter, start: int) -> Nearest:
    """The k best rows from `start` on, unordered; fewer columns if there are fewer."""
    allowed = state.allowed(only.banks)
    spared = state.rows_of(only.exclude_video)
    scores = np.zeros((len(queries), 0), dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    for first, vectors in state.pieces(start, state.total):
        last = first + len(vectors)
        near = queries @ vectors.T
        if not allowed[first:last].all():
            near[:, ~allowed[first:last]] = -np.inf
        near[:, spared[(spared >= first) & (spared < last)] - first] = -np.inf
        here, columns = _top(near, k)
        scores = np.hstack([scores, here])
        rows = np.hstack([rows, columns + first])
        scores, columns = _top(scores, k)
        rows = np.take_along_axis(rows, columns, axis=1)
    return scores, rows


def _top(scores: Float32Array, k: int) -> Nearest:
    """The k largest scores per line and their columns, unordered; all if there are fewer."""
    if scores.shape[1] <= k:
        return scores, np.arange(scores.shape[1])[None].repeat(len(scores), axis=0)
    columns = np.argpartition(scores, -k, axis=1)[:, -k:]
    return np.take_along_axis(scores, columns, axis=1), columns


def _best(parts: list[Nearest], k: int) -> Nearest:
    """The k best of all parts, best first."""
    scores = np.hstack([scores for scores, _ in parts])
    rows = np.hstack([rows for _, rows in parts])
    lacking = k - scores.shape[1]
    if lacking > 0:
        scores = np.pad(scores, ((0, 0), (0, lacking)), constant_values=-np.inf)
        rows = np.pad(rows, ((0, 0), (0, lacking)), constant_values=MISSING)
    # A NaN query has no neighbours.
    missing = ~np.isfinite(scores)
    scores[missing], rows[missing] = -np.inf, MISSING
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _packed(allowed: BoolArray) -> UInt8Array:
    return np.packbits(allowed, bitorder="little")
