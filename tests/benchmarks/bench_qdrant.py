"""One query and a batch of 100 over the FAISS shard, a Qdrant server and a Qdrant cluster of three nodes.

The data are those of `bench_search`. Every store has the same segments with frame codes, and answers
through the same interface (`SegmentIndex.search`), so the figures of Qdrant include reading the register
of versions. The servers run on this machine, beside the benchmark. Needs STORYHASH_TEST_QDRANT_SERVER,
the path of the server's executable. Ratios are of this one run; times depend on the machine and on what
else it does.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient

from common.errors import UsageError
from common.settings import QdrantSettings, SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.shard import Shard
from searcher.matching.protocols import SegmentIndex
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.store import QdrantStore
from searcher.storage.video import Video
from tests.benchmarks.bench_search import make
from tests.benchmarks.report import microseconds, options, publish
from tests.support.embeddings import MODEL_ID, near
from tests.support.qdrant_cluster import QdrantCluster

_K, _BATCH, _TRIED = 10, 100, 100
_INDEXED_SECONDS = 900.0


def measured(index: SegmentIndex, queries: Float32Array, exact: list[set[str]]) -> dict[str, Any]:
    """Times in microseconds, and recall@10 of the exact answers."""
    found = index.search(queries[: len(exact)], _K)
    hit = sum(
        len({one.ref.segment_id for one in hits} & wanted)
        for hits, wanted in zip(found, exact, strict=True)
    )
    return {
        "recall": round(hit / sum(map(len, exact)), 4),
        "one_query": microseconds(
            lambda number: index.search(queries[number % len(queries)][None], _K), _TRIED
        ),
        "batch_of_100": microseconds(
            lambda number: index.search(queries[:_BATCH], _K), max(10, _TRIED // 5)
        ),
    }


def filled(store: QdrantStore, made: list[Embedding]) -> float:
    """Segments per second, written and made visible."""
    videos: dict[str, list[Embedding]] = {}
    for one in made:
        videos.setdefault(one.ref.video_id, []).append(one)
    began = time.perf_counter()
    store.upsert(made)
    store.show(
        [
            Video(
                name,
                f"/{name}",
                bank=some[0].ref.bank,
                version=1,
                segments=len(some),
                state="ready",
            )
            for name, some in videos.items()
        ]
    )
    return round(len(made) / (time.perf_counter() - began))


def wait_indexed(cluster: QdrantCluster, name: str) -> float:
    """Wait until the server has optimised the collection; seconds."""
    began = time.monotonic()
    for url in cluster.urls:
        client = QdrantClient(url=url, timeout=30, check_compatibility=False)
        while client.get_collection(name).status.value != "green":
            if time.monotonic() - began > _INDEXED_SECONDS:
                break
            time.sleep(0.5)
        client.close()
    return round(time.monotonic() - began, 1)


def resident_bytes(pid: int) -> int:
    """Memory of a process, with the pages of its files that it has mapped."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def served(
    nodes: int, made: list[Embedding], queries: Float32Array, exact: list[set[str]], folder: Path
) -> dict[str, Any]:
    """The figures of a server, or of a cluster."""
    executable = os.environ.get("STORYHASH_TEST_QDRANT_SERVER")
    if not executable:
        raise UsageError("set STORYHASH_TEST_QDRANT_SERVER to the executable of a Qdrant server")
    with QdrantCluster(Path(executable), folder / f"nodes-{nodes}", nodes) as cluster:
        settings = QdrantSettings(url=cluster.url, shard_number=nodes)
        store = QdrantStore(Nodes.connect(settings), settings, SearcherSettings(), MODEL_ID)
        figures: dict[str, Any] = {"segments_per_second": filled(store, made)}
        figures["indexing_seconds"] = wait_indexed(cluster, f"{settings.collection}-segments")
        figures |= measured(store, queries, exact)
        figures["node_bytes"] = [resident_bytes(cluster.pid(at)) for at in range(nodes)]
        store.close()
    return figures


def measure(count: int, folder: Path) -> dict[str, Any]:
    """The figures of every store, and their ratios to the FAISS shard."""
    rng = np.random.default_rng(3)
    made = make(rng, count)
    chosen = rng.choice(len(made), 200)
    queries: Float32Array = np.stack([near(rng, made[at].vector, 0.01) for at in chosen])
    shard = Shard(SearcherSettings())
    shard.add(made)
    shard.merge()
    shard.wait_for_build()
    exact = [
        {hit.ref.segment_id for hit in hits} for hits in shard.search_exact(queries[:_BATCH], _K)
    ]
    times = {"faiss": measured(shard, queries, exact)}
    shard.close()
    times["server"] = served(1, made, queries, exact, folder)
    times["cluster"] = served(3, made, queries, exact, folder)
    ratios = {
        f"{name}_{case}_{part}_over_faiss": round(
            times[name][case][part] / times["faiss"][case][part], 2
        )
        for name in ("server", "cluster")
        for case in ("one_query", "batch_of_100")
        for part in ("p50", "p99")
    }
    load = os.getloadavg()[0]
    return {"segments": count, "load_average": round(load, 1), "times": times, "ratios": ratios}


def main() -> None:
    """The command line."""
    parser = options(__doc__ or "")
    parser.add_argument("--count", type=int, default=10_000, help="segments")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-") as folder:
        count = asked.count // 10 if asked.quick else asked.count
        publish("qdrant", measure(count, Path(folder)), asked.json)


if __name__ == "__main__":
    main()
