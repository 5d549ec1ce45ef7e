"""Other engines, each behind one interface. All build a graph with the shard's numbers of links and of
candidates, except exact search. Each is imported where it is used, because it may not be installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.runtime_tuning import usable_cores
from common.settings import SearcherSettings
from common.types import VECTOR_DIMENSION, Float32Array, Int64Array
from tests.benchmarks.search import engines_qdrant
from tests.benchmarks.search.engine import Engine, InProcess


class FaissFlat(InProcess):
    """Exact search."""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        super().__init__()
        import faiss

        faiss.omp_set_num_threads(1)
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def set_candidates(self, candidates: int) -> bool:
        return False

    def search(self, query: Float32Array, k: int) -> Int64Array:
        rows: Int64Array = self._index.search(query[None], k)[1][0]
        return rows


class FaissGraph(InProcess):
    """FAISS' own graph, without the rest of the shard."""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        super().__init__()
        import faiss

        from searcher.index.graph import PADDED_DIMENSION, padded

        self._padded = padded
        self._index = faiss.IndexHNSWFlat(
            PADDED_DIMENSION, settings.hnsw_m, faiss.METRIC_INNER_PRODUCT
        )
        self._index.hnsw.efConstruction = settings.ef_construction
        self._index.add(padded(vectors))
        faiss.omp_set_num_threads(1)

    def set_candidates(self, candidates: int) -> bool:
        self._index.hnsw.efSearch = candidates
        return True

    def search(self, query: Float32Array, k: int) -> Int64Array:
        rows: Int64Array = self._index.search(self._padded(query[None]), k)[1][0]
        return rows


class Hnswlib(InProcess):
    """https://github.com/nmslib/hnswlib"""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        super().__init__()
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=VECTOR_DIMENSION)
        self._index.init_index(
            max_elements=len(vectors), ef_construction=settings.ef_construction, M=settings.hnsw_m
        )
        self._index.add_items(vectors, num_threads=usable_cores())

    def set_candidates(self, candidates: int) -> bool:
        self._index.set_ef(candidates)
        return True

    def search(self, query: Float32Array, k: int) -> Int64Array:
        rows, _ = self._index.knn_query(query[None], k=k, num_threads=1)
        return np.asarray(rows[0], dtype=np.int64)


class Usearch(InProcess):
    """https://github.com/unum-cloud/usearch"""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        super().__init__()
        from usearch.index import Index

        self._index = Index(
            ndim=VECTOR_DIMENSION,
            metric="ip",
            dtype="f32",
            connectivity=settings.hnsw_m,
            expansion_add=settings.ef_construction,
        )
        self._index.add(np.arange(len(vectors)), vectors, threads=usable_cores())

    def set_candidates(self, candidates: int) -> bool:
        self._index.expansion_search = candidates
        return True

    def search(self, query: Float32Array, k: int) -> Int64Array:
        return np.asarray(self._index.search(query, k, threads=1).keys, dtype=np.int64)


# In the order in which they are measured, as far as the time reaches.
ENGINES: dict[str, Callable[[Float32Array, Path, SearcherSettings], Engine]] = {
    "exact": FaissFlat,
    "usearch": Usearch,
    "qdrant-edge": engines_qdrant.QdrantEdge,
    "hnswlib": Hnswlib,
    "faiss": FaissGraph,
    "qdrant server": engines_qdrant.QdrantServer,
    "client local mode": engines_qdrant.ClientLocal,
}
# More vectors than these would measure nothing new for a long time.
MOST_VECTORS = {"client local mode": 10_000}
