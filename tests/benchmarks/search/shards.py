"""The shard, beside plain FAISS over the same rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from common.runtime_tuning import usable_cores
from common.settings import SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.shard import Shard
from searcher.index.state import EVERYTHING, Filter
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from tests.benchmarks.process_memory import resident_bytes
from tests.benchmarks.report import microseconds, per_second
from tests.benchmarks.search import data
from tests.benchmarks.search.engines import FaissGraph
from tests.support.embeddings import embedding, unit_rows

TRIED = 500
K = 10
_BATCH = 1000
# The number of candidates at which the graphs are compared.
_EQUAL = 64
_THROUGHPUT_SECONDS = 1.0

Figures = dict[str, Any]


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


def recall(shard: Shard, queries: Float32Array, only: Filter = EVERYTHING) -> float:
    """Share of the exact k nearest that the shard finds."""
    found, exact = shard.search(queries, K, only), shard.search_exact(queries, K, only)
    shared = [
        len({hit.ref for hit in mine} & {hit.ref for hit in right}) / max(1, len(right))
        for mine, right in zip(found, exact, strict=True)
    ]
    return round(float(np.mean(shared)), 5)


def built(points: Sequence[Embedding]) -> tuple[Shard, float]:
    """A shard with all of these in a graph, which arrive in their order; and the seconds."""
    began = time.perf_counter()
    shard = Shard(SearcherSettings(delta_rows=max(1, len(points))))
    shard.add(points)
    shard.wait_for_build()
    return shard, time.perf_counter() - began


def with_waiting(shard: Shard, count: int) -> Shard:
    """A shard that has as many rows more, which wait for a merge."""
    changed = Shard(SearcherSettings(delta_rows=count + 1), shard.export())
    rows = unit_rows(np.random.default_rng(5), count)
    changed.add([embedding("waiting", number, row) for number, row in enumerate(rows)])
    return changed


def with_deleted(shard: Shard, count: int) -> Shard:
    """A shard without the videos of as many rows of its graph."""
    changed = Shard(SearcherSettings(), shard.export())
    chosen = np.random.default_rng(6).choice(
        len(shard) // data.SEGMENTS, count // data.SEGMENTS, False
    )
    changed.remove_videos([f"video-{number:06}" for number in chosen.tolist()])
    return changed


def timed(shard: Shard, asked: Float32Array, repeats: int, only: Filter = EVERYTHING) -> Figures:
    """Microseconds of single queries."""
    return microseconds(
        lambda number: shard.search_ids(asked[number % len(asked)][None], K, only), repeats
    )


def compared(points: list[Embedding], asked: Float32Array, repeats: int) -> tuple[Shard, Figures]:
    """A shard and plain FAISS over the same rows, in this process."""
    vectors = np.stack([one.vector for one in points])
    resident = resident_bytes()
    shard, building = built(points)
    resident = resident_bytes() - resident
    equal = Shard(SearcherSettings(ef_search=_EQUAL), shard.export())
    began = time.perf_counter()
    plain = FaissGraph(vectors, Path(), SearcherSettings())
    plain_building = time.perf_counter() - began
    plain.set_candidates(_EQUAL)
    tried = asked[:TRIED]
    right = data.exact(vectors, tried, K)
    found = np.stack([plain.search(query, K) for query in tried])
    faiss.omp_set_num_threads(1)
    times = {
        "shard": timed(shard, asked, repeats),
        "shard, 64 candidates": timed(equal, asked, repeats),
        "plain faiss, 64 candidates": microseconds(
            lambda number: plain.search(asked[number % len(asked)], K), repeats
        ),
    }
    recalls = {"shard": recall(equal, tried), "plain faiss": data.recall(found, right)}
    plain_p50 = times["plain faiss, 64 candidates"]["p50"]
    return shard, {
        "search_microseconds": times,
        "graph_build_seconds": round(building, 2),
        "plain_faiss_build_seconds": round(plain_building, 2),
        "candidates": shard.candidates,
        "recall_at_10": recall(shard, tried),
        "recall_at_10_with_64_candidates": recalls,
        "queries_per_second": round(
            per_second(
                lambda number: shard.search_ids(asked[number % len(asked)][None], K),
                min(_THROUGHPUT_SECONDS, repeats / 100),
                usable_cores(),
            )
        ),
        "bytes_per_vector": {
            "vector": 4 * vectors.shape[1],
            "shard": round(shard.stats().bytes_per_vector),
            "resident": round(resident / len(points)),
        },
        "ratios": {
            "shard_p50_over_faiss": round(times["shard, 64 candidates"]["p50"] / plain_p50, 3),
            "tuned_shard_p50_over_faiss": round(times["shard"]["p50"] / plain_p50, 3),
            "recall_at_equal_ef_minus_faiss": round(recalls["shard"] - recalls["plain faiss"], 5),
            "graph build over plain faiss": round(building / plain_building, 2),
        },
    }
