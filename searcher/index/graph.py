"""FAISS's HNSW graph of padded vectors, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import VECTOR_DIMENSION, Float32Array, Int32Array, Int64Array, check_array

# FAISS has vector instructions only for multiples of 16. Zeros do not change inner products.
PADDED_DIMENSION = 528
_PADDING = bytes(4 * (PADDED_DIMENSION - VECTOR_DIMENSION))


def new_graph(settings: SearcherSettings) -> Any:
    """An empty graph that compares by inner product."""
    # The constructor's default metric is L2.
    graph = faiss.IndexHNSWFlat(PADDED_DIMENSION, settings.hnsw_m, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = settings.ef_construction
    return prepared(graph)


def prepared(graph: Any) -> Any:
    """Set the options that a graph's file does not contain. FAISS drops links that its diversity rule
    rejects and leaves their places free; segments of one video then do not find one another. Full lists
    cost a search less than the additional candidates it would need instead.
    """
    graph.keep_max_size_level0 = True
    return graph


class LowestLinks:
    """The links of a graph's lowest level, without a copy: writing to them changes the graph."""

    def __init__(self, graph: Any) -> None:
        hnsw = graph.hnsw
        starts = faiss.rev_swig_ptr(hnsw.offsets.data(), graph.ntotal + 1)
        self._starts: Int64Array = starts[:-1].view(np.int64)
        self._links: Int32Array = faiss.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size())
        self._width = int(hnsw.nb_neighbors(0))

    @property
    def array(self) -> Int32Array:
        """The links of all nodes and levels."""
        return self._links

    def of(self, node: int) -> Int32Array:
        """int32 (2 M,): the nodes to which a node links, then -1."""
        start = self._starts[node]
        return self._links[start : start + self._width]


def graph_vectors(graph: Any) -> Float32Array:
    """The graph's own vectors, float32 (nodes, 528), not a copy."""
    storage = faiss.downcast_index(graph.storage)
    if not graph.ntotal:
        return np.zeros((0, PADDED_DIMENSION), np.float32)
    flat = faiss.rev_swig_ptr(storage.get_xb(), graph.ntotal * PADDED_DIMENSION)
    view: Float32Array = flat.reshape(graph.ntotal, PADDED_DIMENSION)
    return view


# Of FAISS's HNSW: the arrays with an element for each node or link, and the bytes of an element. What
# Python cannot copy: nothing sets the latter, so it is the same in all graphs.
_ARRAYS = {"levels": 4, "offsets": 8, "neighbors": 4}
_NOT_COPIED = ("thisown", "use_visited_hashset")


def copy_links(source: Any, target: Any) -> None:
    """Copy the whole HNSW of a graph, `graph.hnsw`, to that of another one. An assignment in Python would
    hold the interpreter lock meanwhile: each query would wait, 4 ms at 30,000 nodes."""
    for name, member in vars(faiss.HNSW).items():
        if isinstance(member, property) and name not in (*_ARRAYS, *_NOT_COPIED):
            setattr(target, name, getattr(source, name))
    for name, size in _ARRAYS.items():
        here, there = getattr(source, name), getattr(target, name)
        there.resize(here.size())
        if here.size():
            faiss.memcpy(there.data(), here.data(), size * here.size())


def write_links(path: Path, graph: Any) -> None:
    """Write a graph without its vectors. Raises RuntimeError if the disk fails."""
    faiss.write_index(graph, str(path), faiss.IO_FLAG_SKIP_STORAGE)


def read_links(path: Path) -> Any:
    """Read a graph from the file of `write_links`. It has no storage, unless the file has the vectors
    too. Raises RuntimeError if the file is damaged."""
    return prepared(faiss.read_index(str(path)))


def padded(vectors: Float32Array) -> Float32Array:
    """Pad vectors from (n, 527) to float32 (n, 528), for which FAISS has vector instructions."""
    check_array("vectors", vectors, np.float32, ("n", VECTOR_DIMENSION))
    if len(vectors) == 1:
        # To copy the numbers, NumPy would let go of the interpreter lock.
        return np.frombuffer(vectors.tobytes() + _PADDING, np.float32).reshape(1, PADDED_DIMENSION)
    wider = np.zeros((len(vectors), PADDED_DIMENSION), dtype=np.float32)
    wider[:, :VECTOR_DIMENSION] = vectors
    return wider
