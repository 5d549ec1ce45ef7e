"""Writing one shard with its embedded mirror, and searching it, beside plain FAISS and exact search.

Synthetic embeddings: videos of 20 segments, each near its video's direction, which arrive one video after
another. Plain FAISS builds its graph of all of them at once. Queries are segments with noise, one at a
time on one thread; some are also asked of banks that hold a share of the videos. Writing ends when the
mirror is flushed to disk; graph building is timed apart. Then a service's index is searched while it is
written to (`search_while_writing`). Ratios are of this one run; times depend on the machine.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Embedding, Float32Array, Int64Array
from searcher.index.graph import PADDED_DIMENSION, padded
from searcher.index.shard import Shard
from searcher.index.state import EVERYTHING, Filter
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from tests.benchmarks import search_while_writing
from tests.benchmarks.report import microseconds, options, publish, resident_bytes
from tests.support.embeddings import MODEL_ID, embedding, near, unit_rows

_SEGMENTS = 20
_BATCH = 1000
_K = 10
# The number of candidates at which the graphs are compared.
_EQUAL = 64
_TRIED = 500
# Banks by percent of the videos, from a video's number modulo 500.
_BANKS = {"20 %": 100, "5 %": 25, "1 %": 5, "0.2 %": 1}


def make(rng: np.random.Generator, count: int) -> list[Embedding]:
    """`count` embeddings, a video after another."""
    made: list[Embedding] = []
    while len(made) < count:
        centre = unit_rows(rng, 1)[0]
        name = f"video-{len(made) // _SEGMENTS:06}"
        bank = bank_of(len(made) // _SEGMENTS)
        made += [
            embedding(name, part, near(rng, centre, 0.03), bank=bank) for part in range(_SEGMENTS)
        ]
    return made[:count]


def bank_of(number: int) -> str:
    """The bank of a video, by its number in the catalogue: small banks lie apart in it."""
    # A prime step spreads the numbers of a bank.
    place = number * 619 % 500
    for name, size in _BANKS.items():
        if place < size:
            return name
        place -= size
    return "rest"


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
    found, exact = shard.search(queries, _K, only), shard.search_exact(queries, _K, only)
    shared = [
        len({hit.ref for hit in mine} & {hit.ref for hit in right}) / max(1, len(right))
        for mine, right in zip(found, exact, strict=True)
    ]
    return round(float(np.mean(shared)), 5)


class PlainFaiss:
    """FAISS' graph of all vectors, built at once with the shard's settings."""

    def __init__(self, vectors: Float32Array) -> None:
        settings, began = SearcherSettings(), time.perf_counter()
        self._graph = faiss.IndexHNSWFlat(
            PADDED_DIMENSION, settings.hnsw_m, faiss.METRIC_INNER_PRODUCT
        )
        self._graph.hnsw.efConstruction = settings.ef_construction
        self._graph.add(padded(vectors))
        self.build_seconds = time.perf_counter() - began
        self._graph.hnsw.efSearch = _EQUAL

    def search(self, queries: Float32Array) -> Int64Array:
        """int64 (n, k): rows, best first."""
        rows: Int64Array = self._graph.search(padded(queries), _K)[1]
        return rows

    def recall(self, queries: Float32Array, exact: faiss.IndexFlatIP) -> float:
        """Share of the exact k nearest that it finds."""
        pairs = zip(self.search(queries), exact.search(queries, _K)[1], strict=True)
        return round(float(np.mean([len({*mine} & {*right}) / _K for mine, right in pairs])), 5)


def measure(count: int, repeats: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Every figure. seconds: of the search of a service's index, idle and while it is written to."""
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
    plain = PlainFaiss(vectors)
    equal = Shard(SearcherSettings(ef_search=_EQUAL), built.export())
    banks = {name: Filter(banks=frozenset({name})) for name in _BANKS}
    # A catalogue of fewer than 500 videos lacks some.
    banks = {name: only for name, only in banks.items() if built.search(asked[:1], 1, only)[0]}
    faiss.omp_set_num_threads(1)
    searches = {
        "shard": microseconds(lambda n: built.search_ids(asked[n][None], _K), repeats),
        "shard, 64 candidates": microseconds(
            lambda n: equal.search_ids(asked[n][None], _K), repeats
        ),
        "plain faiss, 64 candidates": microseconds(lambda n: plain.search(asked[n][None]), repeats),
        "faiss flat": microseconds(lambda n: flat.search(asked[n][None], _K), repeats // 4),
    }
    for name, only in banks.items():
        searches[f"shard, bank of {name}"] = microseconds(
            partial(lambda n, only: built.search_ids(asked[n][None], _K, only), only=only),
            repeats // 4,
        )
    tried = asked[:_TRIED]
    mirror.close()
    p50 = searches["shard"]["p50"]
    recalls = {"shard": recall(equal, tried), "plain faiss": plain.recall(tried, flat)}
    beside = search_while_writing.measure(points, built, asked, folder / "data", seconds)
    plain_p50 = searches["plain faiss, 64 candidates"]["p50"]
    return {
        "vectors": count,
        "writes_per_second": writes,
        "graph_build_seconds": round(building, 2),
        "search_microseconds": searches,
        "plain_faiss_build_seconds": round(plain.build_seconds, 2),
        "candidates": built.candidates,
        "recall_at_10": recall(built, tried),
        "recall_at_10_with_64_candidates": recalls,
        "recall_at_10_by_bank": {name: recall(built, tried, only) for name, only in banks.items()},
        "bytes_per_vector": {
            "vector": 4 * vectors.shape[1],
            "shard": round(built.stats().bytes_per_vector),
            "resident, two shards": round((resident_bytes() - resident) / count),
        },
        "while_writing": beside,
        "ratios": {
            "shard_p50_over_faiss": round(searches["shard, 64 candidates"]["p50"] / plain_p50, 2),
            "tuned_shard_p50_over_faiss": round(p50 / plain_p50, 2),
            "recall_at_equal_ef_minus_faiss": round(recalls["shard"] - recalls["plain faiss"], 5),
            **beside.pop("ratios"),
            "graph build over plain faiss": round(building / plain.build_seconds, 2),
            "exact search over shard, p50": round(searches["faiss flat"]["p50"] / p50, 1),
            "writes over the goal of 5,000 a second": round(writes["both"] / 5000, 2),
        },
    }


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    asked = parser.parse_args()
    count, repeats, seconds = (
        (3 * asked.vectors // 10, 500, 15.0) if asked.quick else (asked.vectors, 2000, 60.0)
    )
    with tempfile.TemporaryDirectory() as folder:
        publish("search", measure(count, repeats, seconds, Path(folder)), asked.json)


if __name__ == "__main__":
    main()
