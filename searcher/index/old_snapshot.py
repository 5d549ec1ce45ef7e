"""Reads snapshots of earlier releases: one graph, and a file for each array.

In format 3 the graph's own file has the vectors; in format 4 they are in `vectors.npy`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from common.settings import SearcherSettings
from common.types import check_array
from searcher.index.frame_code_table import FrameCodeTable
from searcher.index.graph import PADDED_DIMENSION, graph_vectors, read_links
from searcher.index.graph_dedup import GraphNodes
from searcher.index.graph_part import GraphPart
from searcher.index.graph_tuning import UNTUNED, Tuning
from searcher.index.row_table import RowTable
from searcher.index.shard import Shard
from searcher.index.shared_vectors import SharedVectors
from searcher.index.snapshot_files import ReadFiles

FORMATS = (3, 4)


def read_old_shard(
    files: ReadFiles, manifest: Mapping[str, Any], settings: SearcherSettings
) -> Shard:
    """The shard of a snapshot of one of these formats. Raises OSError, ValueError, LookupError,
    RuntimeError if it is damaged."""
    parts = []
    if "graph.faiss" in files:
        graph = read_links(files.checked("graph.faiss"))
        if graph.storage is None:
            stored = files.array("vectors.npy")
            check_array("vectors", stored, "float32", (graph.ntotal, PADDED_DIMENSION))
        else:
            stored = graph_vectors(graph)
        shared = SharedVectors(graph.ntotal)
        shared.fill(graph.ntotal)[:] = stored
        shared.finish(graph)
        nodes = GraphNodes(files.array("nodes.npy"))
        tuning = Tuning(**manifest["tuning"]) if "tuning" in manifest else UNTUNED
        parts.append(GraphPart(graph, nodes, 0, tuning, shared=shared).prepare())
    names = json.loads(files.content("names.json"))
    rows = RowTable(files.array("rows.npy"), names["videos"], names["banks"])
    frames = FrameCodeTable(files.array("frames.npy"), files.array("frame_counts.npy"))
    return Shard.restore(
        settings, parts, files.array("delta.npy"), rows, frames, files.array("alive.npy")
    )
