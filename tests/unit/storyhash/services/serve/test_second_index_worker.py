"""The thread of the second index tells how many videos it still has to index, and how many it cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.metrics import Metrics
from searcher.local_index import LocalIndex
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.services.background import end_all
from storyhash.services.serve.second_index_worker import SecondIndexWorker
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row
from tests.support.made_up_indexing import MadeUpPool, MadeUpStage
from tests.support.services import wait_until

OTHER = replace(MANIFEST, profile="other")


class Bench:
    """Two indexes: `a`, `b` and `c` are in the first one alone, and `b` cannot be decoded again."""

    def __init__(self, folder: Path) -> None:
        self.first = LocalIndex.open_writer(folder / "first", MANIFEST, SETTINGS)
        self.second = LocalIndex.open_writer(folder / "second", OTHER, SETTINGS)
        self.metrics, self.pool = Metrics.create("serve"), MadeUpPool()
        for name in "abc":
            self.add(name)
        self.pool.unreadable = {"b"}
        indexer = Indexer(
            *(self.second, MadeUpStage(), self.pool, Metrics.create("serve"))  # type: ignore[arg-type]
        )
        self.worker = SecondIndexWorker(self.first, self.second, indexer, self.metrics)

    def add(self, name: str) -> None:
        points = video(np.random.default_rng(3), name, 2)
        self.first.replace_video(replace(row(name), fingerprint="1-10-7"), points)

    def missing(self, state: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "storyhash_second_opinion_missing_videos", {"state": state}
        )

    def close(self) -> None:
        end_all([self.worker])
        self.first.close()
        self.second.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_videos_that_wait_and_that_failed_are_counted(bench: Bench) -> None:
    half_way, go_on = threading.Event(), threading.Event()

    def pause(video_id: str) -> None:
        half_way.set()
        go_on.wait(60)

    bench.pool.half_way = pause
    bench.worker.start()
    assert half_way.wait(60)
    assert (bench.missing("waiting"), bench.missing("failed")) == (3, 0)
    go_on.set()
    wait_until(lambda: bench.missing("waiting") == 0, "the second index", 60, 0.01)
    assert bench.second.videos.counts() == {"ready": 2, "failed": 1}
    assert bench.missing("failed") == 1
    # It stays failed until the next start, when a video is added.
    bench.add("d")
    wait_until(lambda: bench.second.videos.counts()["ready"] == 3, "the new video", 60, 0.01)
    wait_until(lambda: bench.missing("waiting") == 0, "the second index", 60, 0.01)
    assert bench.missing("failed") == 1
