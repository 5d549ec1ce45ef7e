"""A search in one state of the shard: in its graphs and the delta, with or without a filter.

HNSW has no filter. So the nodes nearest to a query are filtered afterwards, and the search is repeated
with more candidates until enough of them are allowed. If few rows are allowed, comparing each of them is
cheaper, and exact. A filter needs no preparation, so a change of the index does not slow down any search.

While others write, a search waits each time it takes Python's interpreter lock back. NumPy lets go of it
for more than 500 numbers, and in some functions always. So what a search of one query usually does has
none of them, and few calls of FAISS.
"""

from __future__ import annotations

import numpy as np

from common.types import Float32Array, Int64Array
from searcher.index.flat_search import nearest_of
from searcher.index.graph import padded
from searcher.index.graph_part import GraphPart
from searcher.index.nearest import best, in_order, nothing, wide
from searcher.index.parallel_search import in_threads
from searcher.index.state import MISSING, Filter, Nearest, State
from searcher.index.waiting_search import compare_each, nearest_waiting

# The end of the list of nearest nodes is less reliable than its beginning, so a filter uses only this
# fraction.
_TRUSTED = 0.5
# If a filter removes few rows, more results than those that are wanted are asked for, in case some of
# them are removed.
_SPARE = 2
# A filter removes few rows if this fraction of them is left. With 32 candidates per result, one deleted
# video would make every search of 8,000 segments take 12 times as long.
_MOST = 0.75
# Candidates per result, if a filter removes more of them. With 8, a bank of 20 % of 100,000 segments had
# a recall@10 of 0.89, and the search took as long as comparing each of its rows.
_CANDIDATES_PER_RESULT = 32
# Factor by which the list grows for queries with too few allowed nodes.
_GROWTH = 4


def search_state(
    state: State, vectors: Float32Array, k: int, only: Filter, ef_search: int | None
) -> Nearest:
    """Scores, float32 (n, k), and rows, int64 (n, k), best first, from the graphs and the delta.

    vectors: float32 (n, 527). ef_search: candidates kept in each graph (default: as measured). If fewer
    than k are found, the score is -inf and the row MISSING. Raises ValueError for k < 1.
    """
    return in_threads(lambda some: _search(state, some, k, only, ef_search), _checked(vectors, k))


def search_exact(state: State, vectors: Float32Array, k: int, only: Filter) -> Nearest:
    """Exact search; see `search_state`."""
    return in_threads(
        lambda some: best([compare_each(state, some, k, only, 0)], k), _checked(vectors, k)
    )


def _search(
    state: State, queries: Float32Array, k: int, only: Filter, ef_search: int | None
) -> Nearest:
    found = [
        _in_part(state, part, queries, k, only, ef_search or part.candidates_for(k))
        for part in (state.parts if len(queries) else ())
    ]
    nearest = found[0] if len(found) == 1 else best([wide(*nothing(len(queries)), k), *found], k)
    if state.graph_rows == state.total:
        return nearest
    least = nearest[0][:, -1]
    waiting = nearest_waiting(state, queries, k, only, least)
    # Few vectors wait, so a query that they change nothing for is the usual case.
    if not waiting[0].size or (least >= waiting[0][:, 0]).all():
        return nearest
    return best([nearest, waiting], k)


def _in_part(
    state: State, part: GraphPart, queries: Float32Array, k: int, only: Filter, ef: int
) -> Nearest:
    """The k best allowed rows of a graph, best first."""
    if not state.everything_passes(only):
        return _filtered(state, part, queries, k, only, ef)
    scores, nodes = nearest_nodes(part, queries, k, max(ef, k))
    return _allowed(state, part, scores, nodes, k, only)


def _checked(vectors: Float32Array, k: int) -> Float32Array:
    if k < 1:
        raise ValueError(f"k: expected >= 1, got {k}")
    return padded(vectors)


def _filtered(
    state: State, part: GraphPart, queries: Float32Array, k: int, only: Filter, ef: int
) -> Nearest:
    """The k best allowed rows of a graph, best first."""
    usable = max(state.count_in(part, only.banks) * state.live / state.total, 1.0)
    share = part.rows / usable
    # Excluded videos may be all that is near, but deleted rows are like others.
    few = not only.exclude_videos and usable >= _MOST * part.rows
    wanted = share * (k + _SPARE) if few else share * _CANDIDATES_PER_RESULT * k
    # A candidate takes as long as comparing this many rows, by measurement.
    most = usable / part.tuning.rows_per_candidate

    def found(some: Float32Array, candidates: float) -> Nearest:
        if candidates >= most:
            return _each(state, part, some, k, only)
        count = max(_TRUSTED * candidates, wanted if few else 0)
        nearest = nearest_nodes(part, some, int(count), int(candidates))
        scores, rows = _allowed(state, part, *nearest, k, only)
        lacking = rows[:, -1] == MISSING
        if lacking.any():
            scores[lacking], rows[lacking] = found(some[lacking], _GROWTH * candidates)
        return scores, rows

    return found(queries, max(share * ef, wanted))


def _each(state: State, part: GraphPart, queries: Float32Array, k: int, only: Filter) -> Nearest:
    """The k best allowed rows of a graph, by comparing each of them."""
    rows = state.rows_in(part, only.banks)
    rows = rows[state.passes(rows, only)]
    nodes = part.nodes_of(rows)
    if not part.nodes.distinct:
        nodes = np.unique(nodes)
    if not len(nodes):
        return _allowed(state, part, *nothing(len(queries)), k, only)
    scores, found = nearest_of(part.vectors, queries, k, nodes)
    return _allowed(state, part, scores, found, k, only)


def nearest_nodes(part: GraphPart, queries: Float32Array, count: int, ef: int) -> Nearest:
    """Scores and nodes of the graph, best first; -inf and MISSING if there are fewer."""
    scores, nodes = part.searched.search(queries, count, ef)
    # Those that are missing come last.
    if MISSING in nodes[:, -1].tolist():
        scores[nodes == MISSING] = -np.inf
    return scores, nodes


def _allowed(
    state: State, part: GraphPart, scores: Float32Array, nodes: Int64Array, k: int, only: Filter
) -> Nearest:
    """The first k allowed rows of nodes, best first.

    scores: float32 (n, m). nodes: int64 (n, m), MISSING if there is none.
    """
    if part.nodes.distinct:
        rows = nodes if part.first_row == 0 else np.where(nodes < 0, nodes, nodes + part.first_row)
        if nodes.shape[1] == k and state.everything_passes(only):
            return scores, rows
    else:
        lines = [_rows_of(part, *line) for line in zip(scores, nodes, strict=True)]
        width = max((len(rows) for _, rows in lines), default=0)
        scores, rows = wide(*nothing(len(nodes)), width)
        for at, (line, found) in enumerate(lines):
            scores[at, : len(line)], rows[at, : len(line)] = line, found
    if rows.shape[1] >= k:
        # The usual case with a filter that removes few rows.
        first = rows[:, :k]
        if (first != MISSING).all() and state.passes(first, only).all():
            return scores[:, :k], first
    usable = rows != MISSING
    usable[usable] = state.passes(rows[usable], only)
    order = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    scores = np.where(usable, scores, -np.inf)
    rows = np.where(usable, rows, MISSING)
    return wide(*in_order(scores, rows, order), k)


def _rows_of(part: GraphPart, scores: Float32Array, nodes: Int64Array) -> Nearest:
    """The rows of nodes, and the score of each row."""
    nodes = nodes[nodes != MISSING]
    members = [part.nodes.rows_of(node) for node in nodes.tolist()]
    rows = part.first_row + np.concatenate([np.zeros(0, np.int64), *members])
    return np.repeat(scores[: len(nodes)], [len(some) for some in members]), rows
