"""Graphs with compressed vectors: 2 bytes per number (float16) or 1 byte (int8) instead of 4.

int8 needs the range of each number. When a vector is outside of it, the ranges are widened and all
vectors of the graph are compressed again.
"""

from __future__ import annotations

from typing import Any, Literal

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Float32Array, UInt8Array
from searcher.index.graph import PADDED_DIMENSION, prepared

# Vectors compressed at once: 2 MB of exact ones.
_ROWS = 1024
# Ranges are wider than what was seen by this fraction on each side, so that they are seldom widened.
_MARGIN = 0.1


def new_compressed_graph(settings: SearcherSettings, kind: Literal["float16", "int8"]) -> Any:
    """An empty graph with compressed vectors that compares by inner product."""
    graph = faiss.IndexHNSWSQ(
        PADDED_DIMENSION, _quantizer(kind), settings.hnsw_m, faiss.METRIC_INNER_PRODUCT
    )
    graph.hnsw.efConstruction = settings.ef_construction
    return prepared(graph)


def compress(graph: Any, exact: Float32Array, kind: Literal["float16", "int8"]) -> None:
    """Give a graph without storage the compressed vectors of its nodes, float32 (nodes, 528)."""
    storage = faiss.IndexScalarQuantizer(
        PADDED_DIMENSION, _quantizer(kind), faiss.METRIC_INNER_PRODUCT
    )
    storage.codes.resize(len(exact) * storage.code_size)
    storage.ntotal = len(exact)
    # The graph owns the storage now and frees it.
    storage.this.disown()
    graph.storage, graph.own_fields = storage, True
    if storage.is_trained:
        _encode(storage, exact)
        return
    for start in range(0, len(exact), _ROWS):
        _widen(graph, storage, exact[start : start + _ROWS])
    _encode(storage, exact)


def add_compressed(graph: Any, exact: Float32Array, fresh: Float32Array) -> None:
    """Add vectors, float32 (m, 528). exact: those that the graph has, float32 (nodes, 528)."""
    storage = faiss.downcast_index(graph.storage)
    if storage.sq.qtype == faiss.ScalarQuantizer.QT_8bit and _widen(graph, storage, fresh):
        _encode(storage, exact)
    graph.add(fresh)


def _quantizer(kind: Literal["float16", "int8"]) -> int:
    quantizers = faiss.ScalarQuantizer
    return int(quantizers.QT_fp16 if kind == "float16" else quantizers.QT_8bit)


def _widen(graph: Any, storage: Any, vectors: Float32Array) -> bool:
    """Widen the ranges so that these vectors are within them; False if they are."""
    if not len(vectors):
        return False
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    if storage.is_trained:
        # FAISS keeps the least value of each number, then the width of its range.
        least, width = faiss.vector_to_array(storage.sq.trained).reshape(2, PADDED_DIMENSION)
        most = least + width
        below, above = low < least, high > most
        if not (below.any() or above.any()):
            return False
        margin = _MARGIN * (np.maximum(high, most) - np.minimum(low, least))
        low = np.where(below, low - margin, least)
        high = np.where(above, high + margin, most)
    else:
        margin = _MARGIN * (high - low)
        low, high = low - margin, high + margin
    ranges = np.concatenate([low, high - low]).astype(np.float32)
    faiss.copy_array_to_vector(ranges, storage.sq.trained)
    storage.is_trained = graph.is_trained = True
    return True


def _encode(storage: Any, exact: Float32Array) -> None:
    """Compress all vectors of a storage again, from exact ones, float32 (n, 528)."""
    if not len(exact):
        return
    size = storage.code_size
    codes: UInt8Array = faiss.rev_swig_ptr(storage.codes.data(), len(exact) * size)
    for start in range(0, len(exact), _ROWS):
        piece = storage.sa_encode(exact[start : start + _ROWS])
        codes[start * size : start * size + piece.size] = piece.reshape(-1)
