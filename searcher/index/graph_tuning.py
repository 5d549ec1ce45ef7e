"""Determines how many candidates a search needs, by measurements with vectors of the graph."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.types import BoolArray, Float32Array, Int64Array
from searcher.index.flat_search import nearest_of
from searcher.index.graph_search import SearchedGraph

_K = 10
_QUERIES = 256
# Exact queries between two checks for closing: less than a second at a million rows.
_EXACT_QUERIES = 32
_CANDIDATES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# Candidates per result, if more results are wanted than were measured with.
_CANDIDATES_PER_RESULT = 2
# Scores that differ by less than this are equal.
_SAME_SCORE = 1e-6
# A graph is measured again after it has grown by this factor.
_GROWTH = 1.25
# Numbers for timing. In a smaller graph the times are not meaningful and not important.
_TIMED_ROWS, _TIMED_CANDIDATES, _TIMED_QUERIES = 4096, 128, 16


@dataclass(frozen=True, slots=True)
class Tuning:
    """Measured values of a graph with `nodes` nodes.

    candidates: the smallest tried number with which searches reach the recall target, or the largest
    tried one if none does. rows_per_candidate: number of rows that can be compared one by one in the time
    of one additional candidate.
    """

    candidates: int
    rows_per_candidate: float
    nodes: int

    def candidates_for(self, k: int) -> int:
        """Candidates for k results; it was measured with 10."""
        return max(self.candidates, _CANDIDATES_PER_RESULT * k)

    def is_due(self, graph: Any) -> bool:
        """Whether the graph has grown so much that it must be measured again."""
        return bool(graph.ntotal >= max(1, self.nodes * _GROWTH))


# Default values until a graph is measured.
UNTUNED = Tuning(candidates=64, rows_per_candidate=20.0, nodes=0)


def tuned(
    searched: SearchedGraph, target: float, rng: np.random.Generator, closing: threading.Event
) -> Tuning | None:
    """Measure a graph; nobody may change it during the call. Returns None if the shard was closed
    first."""
    graph = searched.graph
    nodes = np.sort(rng.choice(graph.ntotal, min(_QUERIES, graph.ntotal), replace=False))
    queries = searched.vectors[nodes]
    least = _least_true_scores(searched.vectors, queries, closing)
    if least is None:
        return None
    found = replace(UNTUNED, nodes=int(graph.ntotal))
    for candidates in _CANDIDATES:
        found = replace(found, candidates=candidates)
        shares = _recalls(searched, queries, nodes, least, candidates)
        # Minus one standard error, because a sample may be easier than average.
        if shares.mean() - shares.std() / np.sqrt(len(shares)) >= target:
            break
    if graph.ntotal < _TIMED_ROWS:
        return found
    return replace(found, rows_per_candidate=_rows_per_candidate(searched, queries))


def _least_true_scores(
    vectors: Float32Array, queries: Float32Array, closing: threading.Event
) -> Float32Array | None:
    """float32 (n,): the score of each query's tenth nearest node, not counting its own node."""
    least = []
    for start in range(0, len(queries), _EXACT_QUERIES):
        if closing.is_set():
            return None
        scores, _ = nearest_of(vectors, queries[start : start + _EXACT_QUERIES], _K + 1)
        least.append(scores[:, -1])
    return np.concatenate(least)


def _recalls(
    searched: SearchedGraph,
    queries: Float32Array,
    own: Int64Array,
    least: Float32Array,
    candidates: int,
) -> Float32Array:
    """float32 (n,): the fraction of each query's true neighbours that a search finds, not counting its
    own node."""
    count = min(_K + 1, searched.graph.ntotal)
    scores, nodes = searched.search(queries, count, candidates)
    right: BoolArray = (scores >= least[:, None] - _SAME_SCORE) & (nodes != own[:, None])
    wanted = max(1, count - 1)
    shares: Float32Array = np.minimum(right.sum(axis=1), wanted) / wanted
    return shares if count > 1 else np.ones_like(shares)


def _rows_per_candidate(searched: SearchedGraph, queries: Float32Array) -> float:
    """The cost of one candidate, in rows that are compared one by one. Both are timed with the same
    queries."""
    nodes = np.linspace(0, searched.graph.ntotal - 1, _TIMED_ROWS).astype(np.int64)
    timed = queries[:_TIMED_QUERIES]
    search = _seconds(lambda one: searched.search(one, _K, _TIMED_CANDIDATES), timed)
    compare = _seconds(lambda one: nearest_of(searched.vectors, one, _K, nodes), timed)
    return (search / _TIMED_CANDIDATES) / (compare / _TIMED_ROWS)


def _seconds(call: Callable[[Float32Array], object], queries: Float32Array) -> float:
    """The minimum time of a call in seconds. Other work on the machine can only increase a time."""
    times = []
    for query in queries:
        started = time.perf_counter()
        call(query[None])
        times.append(time.perf_counter() - started)
    return min(times)
