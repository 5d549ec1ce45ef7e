"""FAISS without the rest of a searcher: one thread searches a graph, and another one adds rows to a copy
of it, which nobody searches.

`search_p99_while_writing_over_idle` can be read against it: a searcher that merges in its own process
delays its searches at least as much.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import faiss

from common.runtime_tuning import yield_to_queries
from common.types import Float32Array
from searcher.index.graph import PADDED_DIMENSION, graph_vectors, padded, prepared
from searcher.index.graph_part import GraphPart
from tests.benchmarks.report import timed_singly

_K = 10


def measure(
    part: GraphPart, asked: Float32Array, rows: Float32Array, at_once: int, per_second: float
) -> dict[str, Any]:
    """Microseconds of single searches of a graph of the shard, alone and while rows are added.

    asked: float32 (n, 527). rows: float32 (m, 527), added `at_once` as by a merge, and as many per second
    as `per_second`. Both searches take as long as that.
    """
    searched, grown = _copy(part), _copy(part)
    seconds = len(rows) / per_second
    candidates, queries = part.candidates_for(_K), padded(asked)
    alone = _searches(searched, queries, candidates, seconds)
    ending = threading.Event()

    def add() -> None:
        yield_to_queries()
        faiss.omp_set_num_threads(1)
        began, added = time.monotonic(), padded(rows)
        for start in range(0, len(added), at_once):
            if ending.wait(max(0.0, began + start / per_second - time.monotonic())):
                return
            grown.add(added[start : start + at_once])

    thread = threading.Thread(target=add)
    thread.start()
    try:
        beside = _searches(searched, queries, candidates, seconds)
    finally:
        ending.set()
        thread.join()
    return {"idle": alone, "while adding": beside}


def _copy(part: GraphPart) -> Any:
    """A graph of FAISS alone, with the same links and its own vectors."""
    graph = faiss.IndexHNSWFlat(PADDED_DIMENSION, 2, faiss.METRIC_INNER_PRODUCT)
    graph.storage.add(graph_vectors(part.graph))
    graph.hnsw, graph.ntotal = part.graph.hnsw, part.graph.ntotal
    return prepared(graph)


def _searches(
    graph: Any, queries: Float32Array, candidates: int, seconds: float
) -> dict[str, float]:
    faiss.omp_set_num_threads(1)
    graph.hnsw.efSearch = candidates
    return timed_singly(lambda query: graph.search(query, _K), queries, seconds)
