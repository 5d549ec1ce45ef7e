"""Writing one shard with its embedded mirror, and searching it, beside exact search.

Synthetic embeddings: videos of 20 segments, each near its video's direction. Queries are segments with
noise, one at a time on one thread. Writing ends when the mirror is flushed to disk; graph building is
timed apart. Ratios are of this one run; times depend on the machine.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.shard import Shard
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from tests.benchmarks.report import microseconds, options, publish
from tests.support.embeddings import MODEL_ID, embedding, near, unit_rows

_SEGMENTS = 20
_BATCH = 1000
_K = 10


def make(rng: np.random.Generator, count: int) -> list[Embedding]:
    """`count` embeddings, a video after another."""
    made: list[Embedding] = []
    while len(made) < count:
        centre = unit_rows(rng, 1)[0]
        name = f"video-{len(made) // _SEGMENTS:06}"
        made += [embedding(name, part, near(rng, centre, 0.03)) for part in range(_SEGMENTS)]
    return made[:count]


def write(shard: Shard, mirror: QdrantEmbeddedMirror, points: list[Embedding]) -> dict[str, float]:
    """Vectors a second of each and of both, in batches of 1,000, flushed at the end."""
    spent = {"mirror": 0.0, "shard": 0.0}
    for start in range(0, len(points), _BATCH):
        batch = points[start : start + _BATCH]
        began = time.perf_counter()
        mirror.upsert(batch)
        middle = time.perf_counter()
        shard.add(batch)
        spent["mirror"] += middle - began
        spent["shard"] += time.perf_counter() - middle
    began = time.perf_counter()
    mirror.flush()
    spent["mirror"] += time.perf_counter() - began
    spent["both"] = sum(spent.values())
    return {name: round(len(points) / seconds) for name, seconds in spent.items()}


def recall(shard: Shard, queries: Float32Array) -> float:
    """Share of the exact k nearest that the graph finds."""
    found, exact = shard.search(queries, _K), shard.search_exact(queries, _K)
    shared = [
        len({hit.ref for hit in mine} & {hit.ref for hit in right}) / _K
        for mine, right in zip(found, exact, strict=True)
    ]
    return round(float(np.mean(shared)), 5)


def measure(count: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Every figure."""
    rng = np.random.default_rng(7)
    points = make(rng, count)
    vectors = np.stack([one.vector for one in points])
    asked = np.stack([near(rng, vectors[i], 0.01) for i in rng.integers(0, count, repeats * 2)])
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    resident = resident_bytes()
    # No row leaves the delta while it is written: building the graph is timed apart.
    shard = Shard(SearcherSettings(delta_rows=count + 1))
    mirror = QdrantEmbeddedMirror(folder / "mirror", MODEL_ID)
    writes = write(shard, mirror, points)
    began = time.perf_counter()
    built = Shard(SearcherSettings(delta_rows=count))
    built.add(points)
    built.wait_for_build()
    building = time.perf_counter() - began
    faiss.omp_set_num_threads(1)
    searches = {
        "shard": microseconds(lambda n: built.search_ids(asked[n][None], _K), repeats),
        "faiss flat": microseconds(lambda n: flat.search(asked[n][None], _K), repeats // 4),
    }
    mirror.close()
    p50 = searches["shard"]["p50"]
    return {
        "vectors": count,
        "writes_per_second": writes,
        "graph_build_seconds": round(building, 2),
        "search_microseconds": searches,
        "recall_at_10": recall(built, asked[:500]),
        "bytes_per_vector": {
            "vector": 4 * vectors.shape[1],
            "shard": round(built.stats().bytes_per_vector),
            "resident, two shards": round((resident_bytes() - resident) / count),
        },
        "ratios": {
            "exact search over shard, p50": round(searches["faiss flat"]["p50"] / p50, 1),
            "writes over the goal of 5,000 a second": round(writes["both"] / 5000, 2),
        },
    }


def resident_bytes() -> int:
    """Bytes of memory this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    asked = parser.parse_args()
    count, repeats = (asked.vectors // 10, 500) if asked.quick else (asked.vectors, 2000)
    with tempfile.TemporaryDirectory() as folder:
        publish("search", measure(count, repeats, Path(folder)), asked.json)


if __name__ == "__main__":
    main()
