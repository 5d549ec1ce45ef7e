"""A FAISS index in one file, for experiments. It has only vectors; a catalogue uses the shard."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from common.atomic_write import replacing
from common.errors import CorruptIndexError, StorageError
from common.settings import SearcherSettings
from common.types import Float32Array, Int64Array
from searcher.index.graph import PADDED_DIMENSION, new_graph, padded
from searcher.index.graph_tuning import UNTUNED


def write_vector_file(path: Path, vectors: Float32Array, settings: SearcherSettings) -> None:
    """Build the HNSW graph of vectors, float32 (n, 527), and write it. Raises StorageError."""
    graph = new_graph(settings)
    graph.add(padded(vectors))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            faiss.write_index(graph, str(temporary))
    except (OSError, RuntimeError) as error:
        raise StorageError(f"{path} cannot be written ({error}); choose another --out") from None


def search_vector_file(
    path: Path, queries: Float32Array, k: int, settings: SearcherSettings
) -> tuple[Float32Array, Int64Array]:
    """Scores, float32 (q, k), and rows, int64 (q, k), best first; row -1 if there are fewer.

    queries: float32 (q, 527). Raises CorruptIndexError if the file is not one of `write_vector_file`.
    """
    try:
        graph = faiss.read_index(str(path))
    except RuntimeError as error:
        raise CorruptIndexError(
            f"{path} is not a FAISS index ({str(error).splitlines()[0][:100]}); create it again"
        ) from None
    if graph.d != PADDED_DIMENSION:
        raise CorruptIndexError(
            f"{path} has {graph.d} dimensions per row, expected {PADDED_DIMENSION}"
        )
    parameters = faiss.SearchParametersHNSW(
        efSearch=max(settings.ef_search or UNTUNED.candidates, k)
    )
    scores, rows = graph.search(padded(queries), k, params=parameters)
    return scores.astype(np.float32), rows.astype(np.int64)
