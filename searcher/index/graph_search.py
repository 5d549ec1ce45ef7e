"""Searches of one graph; if its vectors are compressed, what it finds is compared exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import faiss
import numpy as np

from common.types import Float32Array, Int64Array
from searcher.index.graph import graph_vectors


@dataclass(frozen=True, slots=True)
class SearchedGraph:
    """exact: float32 (nodes, 528), the vectors of a graph that has compressed ones; else None."""

    graph: Any
    exact: Float32Array | None = None

    @property
    def vectors(self) -> Float32Array:
        """The exact vector of each node, float32 (nodes, 528), not a copy."""
        return graph_vectors(self.graph) if self.exact is None else self.exact

    def search(
        self, queries: Float32Array, count: int, candidates: int
    ) -> tuple[Float32Array, Int64Array]:
        """Exact scores, float32 (n, count), and nodes, int64 (n, count), best first, -1 if there are
        fewer.

        queries: float32 (n, 528). candidates: how many nodes are kept during the search. With compressed
        vectors all of them are compared exactly.
        """
        if self.exact is None:
            return self._found(queries, count, candidates)
        _, nodes = self._found(queries, max(count, candidates), candidates)
        scores = np.full(nodes.shape, -np.inf, dtype=np.float32)
        queries = np.ascontiguousarray(queries)
        # Reads the file without Python's interpreter lock.
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(scores),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(self.exact),
            faiss.swig_ptr(nodes),
            queries.shape[1],
            *nodes.shape,
        )
        lost = (nodes < 0) | ~np.isfinite(scores)
        scores[lost], nodes[lost] = -np.inf, -1
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(nodes, order, axis=1)

    def _found(
        self, queries: Float32Array, count: int, candidates: int
    ) -> tuple[Float32Array, Int64Array]:
        """FAISS's scores and nodes. Its own `search` asks for the dimension first, and each call lets go
        of Python's interpreter lock: while others write, a query may wait long until it has it again."""
        queries = np.ascontiguousarray(queries)
        scores = np.empty((len(queries), count), dtype=np.float32)
        nodes = np.empty((len(queries), count), dtype=np.int64)
        self.graph.search_c(
            len(queries),
            faiss.swig_ptr(queries),
            count,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(nodes),
            _parameters(candidates),
        )
        return scores, nodes


# FAISS only reads them, so threads share them; to make them takes as long as 50 comparisons.
@lru_cache(maxsize=256)
def _parameters(candidates: int) -> Any:
    return faiss.SearchParametersHNSW(efSearch=candidates)
