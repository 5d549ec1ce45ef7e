"""One engine in a process of its own, so that its memory is its own and its crash ends nothing else.

    python -m tests.benchmarks.search.engine_process NAME FOLDER REPEATS

FOLDER has vectors.npy, asked.npy and exact.npy. The figures are printed as JSON: of the fewest candidates
that reach the recall target.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from common.runtime_tuning import usable_cores
from common.settings import SearcherSettings
from common.types import Float32Array, Int64Array
from tests.benchmarks.process_memory import resident_bytes
from tests.benchmarks.report import per_second, quantiles
from tests.benchmarks.search.data import recall
from tests.benchmarks.search.engine import Engine
from tests.benchmarks.search.engines import ENGINES

K = 10
LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_THROUGHPUT_SECONDS = 1.0


def measure(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """The figures of an engine."""
    vectors = np.ascontiguousarray(np.load(folder / "vectors.npy"))
    asked, right = np.load(folder / "asked.npy"), np.load(folder / "exact.npy")
    settings = SearcherSettings()
    resident, began = resident_bytes(), time.perf_counter()
    engine = ENGINES[name](vectors, folder, settings)
    build = time.perf_counter() - began
    own = engine.resident_bytes()
    used = resident_bytes() - resident if own is None else own
    try:
        candidates, reached = _tuned(engine, asked, right, settings.recall_target)
        return {
            **timed(engine, asked, repeats),
            "candidates": candidates,
            "recall": reached,
            "build_seconds": round(build, 2),
            "bytes_per_vector": round(used / len(vectors)),
            "queries_per_second": round(
                per_second(
                    lambda number: engine.search(asked[number % len(asked)], K),
                    _THROUGHPUT_SECONDS,
                    usable_cores(),
                )
            ),
        }
    finally:
        engine.close()


def timed(engine: Engine, asked: Float32Array, repeats: int) -> dict[str, float]:
    """Microseconds of single queries. Stops after some seconds, if each takes long."""
    spent: list[float] = []
    end = time.perf_counter() + 20.0
    warm = repeats // 10
    for number in range(repeats + warm):
        began = time.perf_counter()
        engine.search(asked[number % len(asked)], K)
        spent.append(time.perf_counter() - began)
        if began > end:
            break
    return quantiles(spent[min(warm, len(spent) // 2) :])


def _tuned(
    engine: Engine, asked: Float32Array, right: Int64Array, target: float
) -> tuple[int | None, float]:
    """The fewest candidates that reach the target, and the recall; None for an exact engine."""
    reached, candidates = 0.0, None
    for tried in LADDER:
        approximate = engine.set_candidates(tried)
        candidates = tried if approximate else None
        found = np.full(right.shape, -1, dtype=np.int64)
        for row in range(len(right)):
            rows = engine.search(asked[row], K)
            found[row, : len(rows)] = rows
        reached = recall(found, right)
        if reached >= target or not approximate:
            break
    return candidates, reached


def main() -> None:
    """Print the figures as the last line."""
    name, folder, repeats = sys.argv[1:]
    figures = measure(name, Path(folder), int(repeats))
    sys.stdout.write("\n" + json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
