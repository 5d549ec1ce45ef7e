"""Graphs with compressed vectors beside exact ones: memory, recall and speed of a search.

Each kind has the same rows, at two sizes: the slope between them is what a further segment takes. Easy
and hard data, see `tests.benchmarks.search.data`. Recall is against exact search, with the candidates
that the shard chose. Ratios are of this one run; times depend on the machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from common.settings import SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.shard import Shard
from tests.benchmarks.report import options, publish
from tests.benchmarks.search import data
from tests.benchmarks.search.shards import recall, timed

_KINDS = ("none", "float16", "int8")
_ASKED = 300


def measure(points: Sequence[Embedding], asked: Float32Array, repeats: int) -> dict[str, Any]:
    """The figures of each kind. asked: float32 (n, 527)."""
    found = {}
    for kind in _KINDS:
        shard = Shard(SearcherSettings(quantization=kind, delta_rows=len(points)))
        began = time.perf_counter()
        shard.add(points)
        shard.wait_for_build()
        building = time.perf_counter() - began
        faiss.omp_set_num_threads(1)
        found[kind] = {
            "bytes": sum(part.stored_bytes for part in shard.export().parts),
            "recall_at_10": recall(shard, asked),
            "candidates": shard.candidates,
            "build_seconds": round(building, 2),
            "search_microseconds": timed(shard, asked, repeats),
        }
        shard.close()
    return found


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument("--vectors", type=int, default=20_000, help="size of the larger graphs")
    chosen = parser.parse_args()
    most = chosen.vectors // 5 if chosen.quick else chosen.vectors
    rng = np.random.default_rng(7)
    rows = {"easy": data.make(rng, most), "hard": data.embeddings_of(data.hard(rng, most))}
    figures: dict[str, Any] = {"vectors": most}
    for name, points in rows.items():
        vectors = np.stack([one.vector for one in points])
        for size in (most // 2, most):
            asked = data.asked(rng, vectors[:size], _ASKED)
            figures[f"{name}, {size:,}"] = measure(points[:size], asked, _ASKED)
    small, large = figures[f"easy, {most // 2:,}"], figures[f"easy, {most:,}"]
    slopes = {
        kind: round((large[kind]["bytes"] - small[kind]["bytes"]) / (most - most // 2))
        for kind in _KINDS
    }
    figures["bytes_per_further_segment"] = slopes
    figures["ratios"] = {
        f"{kind}_{what}_over_none": round(found / none, 2)
        for kind in _KINDS[1:]
        for what, found, none in (
            ("memory", slopes[kind], slopes["none"]),
            (
                "p50",
                large[kind]["search_microseconds"]["p50"],
                large["none"]["search_microseconds"]["p50"],
            ),
        )
    }
    publish("compression", figures, chosen.json)


if __name__ == "__main__":
    main()
