"""Searches rows without a graph: above all those that wait for a merge.

To compare 1,500 waiting rows takes as long as the search of a graph of 100,000. But for most queries none
of them is among the nearest, and their codes (`vector_codes`), which take a quarter of the time, tell so.
Then only the rows that may be among the nearest are compared. The result is the same.
"""

from __future__ import annotations

import numpy as np

from common.types import Float32Array, Int64Array
from searcher.index.flat_search import nearest_of
from searcher.index.nearest import best, nothing
from searcher.index.state import MISSING, Filter, Nearest, State
from searcher.index.vector_codes import ComparedCodes

# With more queries at once, each row is compared: that is as fast.
_MOST_QUERIES = 16
# Rows that may be among the nearest of a query. If there are more, each row is compared.
_CANDIDATES = 16

_NONE = np.zeros(0, dtype=np.int64)


def nearest_waiting(
    state: State, queries: Float32Array, k: int, only: Filter, least: Float32Array
) -> Nearest:
    """The k best waiting rows of each query, best first; fewer columns if there are fewer. Rows whose
    score is below `least`, float32 (n,), of the query may be left out."""
    start = state.graph_rows
    if len(queries) > _MOST_QUERIES or not start:
        return compare_each(state, queries, k, only, start)
    found = nothing(len(queries))
    # Both have the same pieces.
    for (first, vectors), codes in zip(
        state.delta.pieces(start, state.total), state.waiting_codes, strict=True
    ):
        chosen = _hopeful(codes, queries, least)
        if chosen is None or len(chosen):
            found = _with(found, _compared(state, first, vectors, queries, k, only, chosen), k)
    return found


def compare_each(state: State, queries: Float32Array, k: int, only: Filter, start: int) -> Nearest:
    """The k best rows from `start` on, best first; fewer columns if there are fewer rows."""
    found = nothing(len(queries))
    for first, vectors in state.pieces(start, state.total):
        found = _with(found, _compared(state, first, vectors, queries, k, only), k)
    return found


def _hopeful(codes: ComparedCodes, queries: Float32Array, least: Float32Array) -> Int64Array | None:
    """The numbers of the vectors whose score may reach `least`, increasing; None: of many."""
    if not codes.may_reach(queries, least):
        return _NONE
    bounds, numbers = codes.highest(queries, _CANDIDATES)
    hopeful = bounds >= least[:, None]
    return None if hopeful[:, -1].any() else np.unique(numbers[hopeful])


def _compared(
    state: State,
    first: int,
    vectors: Float32Array,
    queries: Float32Array,
    k: int,
    only: Filter,
    chosen: Int64Array | None = None,
) -> Nearest:
    """The k best of these vectors, of the rows from `first` on. chosen: their numbers, increasing
    (default: all)."""
    if not state.everything_passes(only):
        numbers = np.arange(len(vectors)) if chosen is None else chosen
        chosen = numbers[state.passes(first + numbers, only)]
    scores, rows = nearest_of(vectors, queries, k, chosen)
    rows[rows != MISSING] += first
    return scores, rows


def _with(found: Nearest, more: Nearest, k: int) -> Nearest:
    return best([found, more], k) if found[0].size else more
