"""Qdrant in three forms: its engine in this process, its client's local mode, and a server."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from common.settings import SearcherSettings
from common.types import VECTOR_DIMENSION, Float32Array, Int64Array
from tests.benchmarks.process_memory import resident_bytes
from tests.benchmarks.qdrant_servers import server_executable, wait_indexed
from tests.benchmarks.search.engine import InProcess
from tests.support.qdrant_cluster import QdrantCluster

_BATCH = 1000
# Qdrant compares rows one by one below this size in KiB; all others build a graph at any size.
_FULL_SCAN_KIB = 10
_INDEXED_SECONDS = 1800.0


class QdrantEdge(InProcess):
    """Qdrant's engine in this process, with its own graph."""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        super().__init__()
        import qdrant_edge as edge

        self._edge: Any = edge
        graph = edge.HnswIndexConfig(
            settings.hnsw_m, settings.ef_construction, full_scan_threshold=_FULL_SCAN_KIB
        )
        config = edge.EdgeConfig(
            {"fused": edge.EdgeVectorParams(VECTOR_DIMENSION, edge.Distance.Dot)},
            hnsw_config=graph,
            optimizers=edge.EdgeOptimizersConfig(
                default_segment_number=1, indexing_threshold=_FULL_SCAN_KIB
            ),
        )
        self._shard: Any = edge.EdgeShard.create(str(folder / "edge"), config)
        for start in range(0, len(vectors), _BATCH):
            rows = vectors[start : start + _BATCH]
            self._shard.update(
                edge.UpdateOperation.upsert_points(
                    [
                        edge.Point(start + at, {"fused": row.tolist()}, {})
                        for at, row in enumerate(rows)
                    ]
                )
            )
        self._shard.flush()
        self._shard.optimize()

    def search(self, query: Float32Array, k: int) -> Int64Array:
        request = self._edge.QueryRequest(
            limit=k,
            query=self._edge.Query.Nearest(query.tolist(), using="fused"),
            params=self._edge.SearchParams(hnsw_ef=self.candidates),
        )
        return np.array([point.id for point in self._shard.query(request)], dtype=np.int64)

    def close(self) -> None:
        self._shard.close()


class QdrantClientEngine:
    """The client: its local mode, or a server of its own."""

    def __init__(self, client: Any, vectors: Float32Array, settings: SearcherSettings) -> None:
        from qdrant_client import models

        self._models: Any = models
        self._client = client
        self.candidates = 64
        client.create_collection(
            "bench",
            models.VectorParams(size=VECTOR_DIMENSION, distance=models.Distance.DOT),
            hnsw_config=models.HnswConfigDiff(
                m=settings.hnsw_m,
                ef_construct=settings.ef_construction,
                full_scan_threshold=_FULL_SCAN_KIB,
            ),
            optimizers_config=models.OptimizersConfigDiff(
                default_segment_number=1, indexing_threshold=_FULL_SCAN_KIB
            ),
        )
        for start in range(0, len(vectors), _BATCH):
            rows = vectors[start : start + _BATCH]
            ids = list(range(start, start + len(rows)))
            client.upsert("bench", models.Batch(ids=ids, vectors=rows.tolist()), wait=True)

    def set_candidates(self, candidates: int) -> bool:
        self.candidates = candidates
        return True

    def search(self, query: Float32Array, k: int) -> Int64Array:
        answer = self._client.query_points(
            "bench",
            query.tolist(),
            limit=k,
            search_params=self._models.SearchParams(hnsw_ef=self.candidates),
            with_payload=False,
        )
        return np.array([point.id for point in answer.points], dtype=np.int64)

    def resident_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        self._client.close()


class ClientLocal(QdrantClientEngine):
    """qdrant-client's local mode, which compares every row."""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        from qdrant_client import QdrantClient

        # It warns of 20,000 points and more, which is what is measured.
        warnings.simplefilter("ignore")
        super().__init__(QdrantClient(path=str(folder / "local")), vectors, settings)

    def set_candidates(self, candidates: int) -> bool:
        return False


class QdrantServer(QdrantClientEngine):
    """A server on this machine, over gRPC, which is its faster interface."""

    def __init__(self, vectors: Float32Array, folder: Path, settings: SearcherSettings) -> None:
        from qdrant_client import QdrantClient

        self._server = QdrantCluster(server_executable(), folder / "server", 1)
        self._server.start(0)
        client = QdrantClient(
            url=self._server.url,
            grpc_port=self._server.ports[0][1],
            prefer_grpc=True,
            timeout=60,
            check_compatibility=False,
        )
        super().__init__(client, vectors, settings)
        wait_indexed(self._server, "bench", _INDEXED_SECONDS)

    def resident_bytes(self) -> int | None:
        return resident_bytes(self._server.pid(0))

    def close(self) -> None:
        super().close()
        self._server.stop()
