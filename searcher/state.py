"""One immutable state of the shard, and a search in it.

Rows are numbered once: the graph holds rows [0, g), the delta rows [g, n).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import (
    VECTOR_DIMENSION,
    BoolArray,
    Float32Array,
    Int64Array,
    SegmentRef,
    UInt8Array,
    check_array,
)

# FAISS has vector instructions only for dimensions that are multiples of 16; zeros change no product.
PADDED_DIMENSION = 528
MISSING = -1


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows a search may return. `banks` None means every bank."""

    banks: frozenset[str] | None = None
    exclude_video: str | None = None


EVERYTHING = Filter()


@dataclass(frozen=True)
class State:
    """Everything a reader needs; never changed once it is the current one.

    `refs` and `delta` only ever grow behind `total`, so states may share them. `delta` is float32
    (capacity, 528); its row i is row `graph_rows + i`.
    """

    graph: Any
    graph_rows: int
    delta: Float32Array
    total: int
    refs: list[SegmentRef]
    alive: BoolArray
    rows_of: dict[str, tuple[int, ...]]
    _allowed: dict[Filter, BoolArray] = field(default_factory=dict, compare=False)
    _packed: dict[Filter, UInt8Array | None] = field(default_factory=dict, compare=False)

    def allowed(self, only: Filter) -> BoolArray:
        """bool (total,): rows a search under this filter may return."""
        known = self._allowed.get(only)
        if known is not None:
            return known
        rows = self.alive
        if only.banks is not None:
            banks = np.fromiter(
                (ref.bank in only.banks for ref in self.refs[: self.total]), bool, self.total
            )
            rows = rows & banks
        if only.exclude_video is not None:
            rows = rows.copy()
            rows[list(self.rows_of.get(only.exclude_video, ()))] = False
        # A filter that names a video is asked once; keeping it would grow without end.
        if only.exclude_video is None:
            self._allowed[only] = rows
        return rows

    def selector(self, only: Filter) -> Any:
        """A FAISS selector of the graph's allowed rows, or None when all are."""
        if only in self._packed:
            packed = self._packed[only]
        else:
            rows = self.allowed(only)[: self.graph_rows]
            packed = None if rows.all() else np.packbits(rows, bitorder="little")
            if only.exclude_video is None:
                self._packed[only] = packed
        return None if packed is None else faiss.IDSelectorBitmap(packed)

    def vectors(self, rows: Int64Array) -> Float32Array:
        """float32 (len(rows), 528)."""
        found = np.empty((len(rows), PADDED_DIMENSION), dtype=np.float32)
        in_graph = rows < self.graph_rows
        if in_graph.any():
            found[in_graph] = graph_vectors(self.graph)[rows[in_graph]]
        found[~in_graph] = self.delta[rows[~in_graph] - self.graph_rows]
        return found


def graph_vectors(graph: Any) -> Float32Array:
    """float32 (rows, 528): the graph's own storage, not a copy."""
    storage = faiss.downcast_index(graph.storage)
    flat = faiss.rev_swig_ptr(storage.get_xb(), graph.ntotal * PADDED_DIMENSION)
    view: Float32Array = flat.reshape(graph.ntotal, PADDED_DIMENSION)
    return view


def new_graph(settings: SearcherSettings) -> Any:
    """An empty FAISS HNSW graph of padded vectors, by inner product."""
    # The constructor's default metric is L2.
    graph = faiss.IndexHNSWFlat(PADDED_DIMENSION, settings.hnsw_m, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = settings.ef_construction
    return graph


def delta_buffer(settings: SearcherSettings, rows: int) -> Float32Array:
    """Room for `rows` vectors and for the changes to come, float32 (capacity, 528)."""
    capacity = max(2 * settings.delta_rows, 2 * rows)
    return np.zeros((capacity, PADDED_DIMENSION), dtype=np.float32)


def grown(state: State, settings: SearcherSettings, more: int) -> Float32Array:
    """The state's delta, or a larger copy of it where `more` rows would not fit."""
    used = state.total - state.graph_rows
    if used + more <= len(state.delta):
        return state.delta
    buffer = delta_buffer(settings, used + more)
    buffer[:used] = state.delta[:used]
    return buffer


def empty_state(settings: SearcherSettings) -> State:
    """Nothing indexed yet."""
    return State(
        graph=None,
        graph_rows=0,
        delta=delta_buffer(settings, 0),
        total=0,
        refs=[],
        alive=np.zeros(0, dtype=bool),
        rows_of={},
    )


def padded(vectors: Float32Array) -> Float32Array:
    """float32 (n, 528) from (n, 527): the width at which FAISS has vector instructions."""
    check_array("vectors", vectors, np.float32, ("n", VECTOR_DIMENSION))
    wider = np.zeros((len(vectors), PADDED_DIMENSION), dtype=np.float32)
    wider[:, :VECTOR_DIMENSION] = vectors
    return wider


def top_scores(scores: Float32Array, k: int) -> Int64Array:
    """Indices of the k largest finite values, largest first."""
    k = min(k, len(scores))
    best = np.argpartition(scores, -k)[-k:] if k else np.zeros(0, dtype=np.int64)
    best = best[np.isfinite(scores[best])]
    return best[np.argsort(-scores[best], kind="stable")]


def search_state(
    state: State, vectors: Float32Array, k: int, only: Filter, ef_search: int
) -> tuple[Float32Array, Int64Array]:
    """Scores, float32 (n, k), and rows, int64 (n, k), best first, from the graph and the delta.

    Where fewer than k were found the score is -inf and the row MISSING. Raises ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"k: expected >= 1, got {k}")
    queries = padded(vectors)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), MISSING, dtype=np.int64)
    if state.graph_rows and len(queries):
        selector = state.selector(only)
        parameters = faiss.SearchParametersHNSW(efSearch=max(ef_search, k), sel=selector)
        scores, rows = state.graph.search(queries, k, params=parameters)
        scores[rows == MISSING] = -np.inf
    fresh = state.total - state.graph_rows
    if fresh and len(queries):
        allowed = state.allowed(only)[state.graph_rows : state.total]
        near = queries @ state.delta[:fresh].T
        near[:, ~allowed] = -np.inf
        for line in range(len(queries)):
            best = top_scores(near[line], k)
            if not len(best):
                continue
            all_scores = np.concatenate([scores[line], near[line, best]])
            all_rows = np.concatenate([rows[line], best + state.graph_rows])
            order = np.argsort(-all_scores, kind="stable")[:k]
            scores[line], rows[line] = all_scores[order], all_rows[order]
    return scores, rows
