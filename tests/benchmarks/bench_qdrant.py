"""Searching over the FAISS shard, a Qdrant server and a Qdrant cluster of three nodes.

The data are those of `bench_search`. Every store has the same segments with frame codes, and answers
through the same interface (`SegmentIndex.search`), so the figures of Qdrant include reading the register
of versions. One query, a batch of 100, and the throughput of one, two and four searchers, each a process.
Then one node of the cluster is killed while two searchers ask; the longest time without an answer is
measured, and everything again without that node.

The servers run on this machine, beside the benchmark. Needs STORYHASH_TEST_QDRANT_SERVER, the path of the
server's executable. What could not be measured is in `missing`, with the reason. Ratios are of this one
run; times depend on the machine and on what else it does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from common.settings import QdrantSettings, SearcherSettings
from common.types import Embedding, Float32Array
from searcher.index.shard import Shard
from searcher.matching.protocols import SegmentIndex
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.store import QdrantStore
from searcher.storage.video import Video
from tests.benchmarks import qdrant_searcher
from tests.benchmarks.process_memory import resident_bytes
from tests.benchmarks.qdrant_servers import server_executable, wait_indexed
from tests.benchmarks.report import microseconds, options, publish, save
from tests.benchmarks.search.data import make
from tests.support.embeddings import MODEL_ID, near
from tests.support.qdrant_cluster import QdrantCluster

_K, _BATCH, _TRIED = 10, 100, 100
_SEARCHERS = (1, 2, 4)
_INDEXED_SECONDS = 900.0
_READY_SECONDS = 60.0

Figures = dict[str, Any]


def measured(index: SegmentIndex, queries: Float32Array, exact: list[set[str]]) -> Figures:
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


def searchers(
    settings: QdrantSettings,
    queries: Path,
    count: int,
    seconds: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Figures]:
    """The figures of this many searchers at the same time. meanwhile: called after a quarter of it."""
    command = [sys.executable, "-m", qdrant_searcher.__name__, settings.url, settings.collection]
    with ExitStack() as opened:
        started = [
            opened.enter_context(
                subprocess.Popen(
                    [*command, str(queries), str(seconds)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        for process in started:
            opened.callback(process.kill)
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a searcher did not start; its error is above")
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        time.sleep(seconds / 4)
        meanwhile()
        printed = [process.communicate(timeout=seconds + _READY_SECONDS)[0] for process in started]
    return [json.loads(text.strip().splitlines()[-1]) for text in printed]


def throughput(settings: QdrantSettings, queries: Path, seconds: float) -> dict[str, int]:
    """Queries per second of one, two and four searchers together."""
    return {
        f"{count}": round(
            sum(one["queries"] for one in searchers(settings, queries, count, seconds)) / seconds
        )
        for count in _SEARCHERS
    }


class Served:
    """A server or a cluster that has the segments."""

    def __init__(self, nodes: int, folder: Path, seconds: float) -> None:
        """seconds: of each measurement of throughput."""
        self._nodes, self._folder, self._seconds = nodes, folder, seconds

    def measure(
        self, made: list[Embedding], queries: Float32Array, exact: list[set[str]], figures: Figures
    ) -> None:
        """Add the figures, one after another, so that those before a failure stay."""
        path = self._folder / "queries.npy"
        np.save(path, queries)
        home = self._folder / f"nodes-{self._nodes}"
        with QdrantCluster(server_executable(), home, self._nodes) as cluster:
            settings = QdrantSettings(url=cluster.url, shard_number=self._nodes)
            store = QdrantStore(Nodes.connect(settings), settings, SearcherSettings(), MODEL_ID)
            figures["segments_per_second"] = filled(store, made)
            name = f"{settings.collection}-segments"
            figures["indexing_seconds"] = wait_indexed(cluster, name, _INDEXED_SECONDS)
            figures |= measured(store, queries, exact)
            figures["queries_per_second_by_searchers"] = throughput(settings, path, self._seconds)
            figures["node_bytes"] = [
                resident_bytes(cluster.pid(number)) for number in range(self._nodes)
            ]
            if self._nodes > 1:
                killed: Figures = {}
                figures["node_killed"] = killed
                self._kill(cluster, settings, path, killed)
                killed |= measured(store, queries, exact)
                killed["queries_per_second_by_searchers"] = throughput(
                    settings, path, self._seconds
                )
                killed["node_bytes"] = [
                    resident_bytes(cluster.pid(number)) for number in range(1, self._nodes)
                ]
            store.close()

    def _kill(
        self, cluster: QdrantCluster, settings: QdrantSettings, queries: Path, figures: Figures
    ) -> None:
        """Kill the first node while two searchers ask."""
        seconds = max(8.0, 4 * self._seconds)
        during = searchers(settings, queries, 2, seconds, lambda: cluster.kill(0))
        figures["longest_gap_seconds"] = max(one["longest_gap_seconds"] for one in during)
        figures["errors"] = sum(one["errors"] for one in during)
        figures["searchers"] = during


def measure(
    count: int, folder: Path, seconds: float, saved: Callable[[Figures], object]
) -> Figures:
    """The figures of every store, and their ratios to the FAISS shard. saved: called after each."""
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
    times: dict[str, Figures] = {"faiss": measured(shard, queries, exact)}
    times["faiss"]["bytes_per_vector"] = round(shard.stats().bytes_per_vector)
    shard.close()
    figures: Figures = {"segments": count, "times": times, "ratios": {}, "missing": {}}
    for name, nodes in (("server", 1), ("cluster", 3)):
        times[name] = {}
        try:
            Served(nodes, folder, seconds).measure(made, queries, exact, times[name])
        except Exception as error:
            figures["missing"][name] = f"{type(error).__name__}: {error}"[:300]
        figures["ratios"] |= ratios(name, times)
        saved(figures)
    return figures


def ratios(name: str, times: dict[str, Figures]) -> dict[str, float]:
    """The times of a store over those of FAISS, and of a cluster without a node over its own."""
    over: dict[str, float] = {}
    store, faiss = times[name], times["faiss"]
    cases = [(case, part) for case in ("one_query", "batch_of_100") for part in ("p50", "p99")]
    for case, part in cases:
        if case in store:
            over[f"{name}_{case}_{part}_over_faiss"] = round(
                store[case][part] / faiss[case][part], 2
            )
        if case in store.get("node_killed", {}):
            over[f"{name}_{case}_{part}_node_killed_over_whole"] = round(
                store["node_killed"][case][part] / store[case][part], 2
            )
    by_searchers = store.get("queries_per_second_by_searchers", {})
    for count in _SEARCHERS[1:]:
        if f"{count}" in by_searchers and by_searchers["1"]:
            over[f"{name}_throughput_{count}_searchers_over_one"] = round(
                by_searchers[f"{count}"] / by_searchers["1"], 2
            )
    return over


def main() -> None:
    """The command line."""
    parser = options((__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--count", type=int, default=100_000, help="segments (--quick: a tenth of them)"
    )
    asked = parser.parse_args()
    server_executable()
    count, seconds = (asked.count // 10, 2.0) if asked.quick else (asked.count, 8.0)
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-") as folder:
        figures = measure(
            count, Path(folder), seconds, lambda some: save("qdrant", some, asked.json)
        )
        publish("qdrant", figures, asked.json)


if __name__ == "__main__":
    main()
