"""Vectors that a graph shares with the graphs that grow from it, so that growth copies only links.

FAISS's HNSW index compares vectors of a flat index. Here this index has more memory than vectors. A graph
that grows appends to it; a finished graph reads its own part of the same memory through a flat index that
is a view. So nothing that a search reads is ever written, and no search sees memory move.
"""

from __future__ import annotations

import weakref
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Float32Array
from searcher.index.faiss_views import view_codes
from searcher.index.graph import (
    PADDED_DIMENSION,
    copy_links,
    graph_vectors,
    new_graph,
    prepared,
)
from searcher.index.graph_release import give_up
from searcher.index.memory_pages import give_back, use_huge_pages

_ROW_BYTES = PADDED_DIMENSION * np.dtype(np.float32).itemsize
# Room for more rows: this fraction of those that are there, and at least this many. Memory that was never
# used is given back to the kernel.
_SPARE, _LEAST_SPARE_ROWS = 1 / 8, 1024


class SharedVectors:
    """Append-only vectors, float32 (rows, 528). One thread at a time may append."""

    def __init__(self, rows: int) -> None:
        """Make room for this many rows, and some more."""
        self._room = rows + max(_LEAST_SPARE_ROWS, int(_SPARE * rows))
        # Rows of finished graphs: nobody may write to them.
        self._rows = 0
        self._memory = faiss.IndexFlatIP(PADDED_DIMENSION)
        codes = self._memory.codes
        codes.resize(self._room * _ROW_BYTES)
        self._bytes = faiss.rev_swig_ptr(codes.data(), self._room * _ROW_BYTES)
        give_back(self._bytes)
        use_huge_pages(self._bytes)
        # FAISS moves the vectors only if they need more than was asked for once.
        codes.resize(0)
        # To free it takes long. Whoever drops the last graph may be answering a query.
        weakref.finalize(self, give_up, self._memory).atexit = False

    def grown(self, base: Any, fresh: int) -> tuple[Any, SharedVectors]:
        """A graph with the nodes and links of `base`, a finished graph of these vectors, to which `fresh`
        nodes may be added; and the vectors that it appends to. Call `finish` when it is complete."""
        nodes, vectors = base.ntotal, self
        if nodes != self._rows or nodes + fresh > self._room:
            # There is no room, or another graph has grown from `base` already.
            vectors = SharedVectors(nodes + fresh)
            vectors.fill(nodes)[:] = graph_vectors(base)
        return vectors._appending(base), vectors

    def new(self, settings: SearcherSettings) -> Any:
        """An empty graph whose vectors are these, to be used like that of `grown`."""
        return self._appending(new_graph(settings))

    def fill(self, rows: int) -> Float32Array:
        """The first vectors, float32 (rows, 528), to be written before any graph has them."""
        self._memory.codes.resize(rows * _ROW_BYTES)
        self._memory.ntotal = self._rows = rows
        return self._view(rows)

    def finish(self, graph: Any) -> Any:
        """End the growth of a graph: from now on it only reads, and may be searched by many threads.
        Returns it."""
        rows = int(graph.ntotal)
        view = faiss.IndexFlatIP(PADDED_DIMENSION)
        view_codes(view, self._view(rows))
        self._rows = max(self._rows, rows)
        return _with_storage(graph, view, self)

    def _appending(self, base: Any) -> Any:
        """A copy of a graph that adds its vectors here."""
        graph = faiss.IndexHNSWFlat(PADDED_DIMENSION, 2, faiss.METRIC_INNER_PRODUCT)
        copy_links(base.hnsw, graph.hnsw)
        graph.ntotal = base.ntotal
        # A merge that was given up may have left more.
        self._memory.codes.resize(base.ntotal * _ROW_BYTES)
        self._memory.ntotal = base.ntotal
        return _with_storage(prepared(graph), self._memory, self)

    def _view(self, rows: int) -> Float32Array:
        array: Float32Array = self._bytes[: rows * _ROW_BYTES].view(np.float32)
        return array.reshape(rows, PADDED_DIMENSION)


def _with_storage(graph: Any, storage: Any, vectors: SharedVectors) -> Any:
    """The graph, which compares the vectors of a storage that it does not own."""
    if graph.own_fields and graph.storage is not None:
        # Python frees the storage that the graph had.
        graph.storage.this.own(True)
    graph.storage, graph.own_fields = storage, False
    graph.referenced_objects = (storage, vectors)
    return graph
