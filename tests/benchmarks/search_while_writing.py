"""An index that is searched while it is written to, as a service does it.

A data folder is filled, saved and opened again. Two snapshots are saved, each after a small change, and
1,000 segments are added before the third one. Then one thread searches: alone, and while other threads
write videos of 20 segments, save snapshots and audit. Merges run as they are due. The mirror is in a
process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from common.runtime_tuning import (
    hand_over_soon,
    keep_what_is_there,
    work_in_one_thread,
    yield_to_queries,
)
from common.settings import SearcherSettings, Settings
from common.types import Embedding, Float32Array
from searcher.audit import Auditor
from searcher.index.shard import Shard
from searcher.index.snapshot import SnapshotInfo, save_snapshot, snapshots
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.benchmarks.process_memory import resident_bytes
from tests.benchmarks.report import timed_singly
from tests.benchmarks.search import faiss_alone
from tests.support.embeddings import MODEL_ID, embedding, near, unit_rows

_SEGMENTS = 20
_VIDEOS_AT_ONCE = 50
_ADDED = 1000
_MANIFEST = FolderManifest("bench", MODEL_ID)
_K = 10
# Of the threads beside the search: segments per second, and seconds between snapshots and audits.
_RATE, _SNAPSHOT_SECONDS, _AUDIT_SECONDS = 200, 10.0, 5.0


def measure(
    points: Sequence[Embedding], built: Shard, asked: Float32Array, folder: Path, seconds: float
) -> dict[str, Any]:
    """Every figure. points: video after video. built: a shard that has them. asked: float32 (n, 527).
    seconds: of each search."""
    rng = np.random.default_rng(11)
    fill(points, built, folder)
    memory = _memory_over_needed(folder)
    # As a service does before it answers.
    work_in_one_thread()
    keep_what_is_there()
    hand_over_soon()
    began = time.perf_counter()
    with LocalIndex.open_writer(folder, _MANIFEST, Settings(), answering=True) as index:

        def ask(query: Float32Array) -> object:
            return index.search(query, _K)

        ask(asked[:1])
        ready = time.perf_counter() - began
        written = _bytes_of_snapshot(index, rng)
        alone = timed_singly(ask, asked, seconds)
        merges = index.shard.merges
        with writing(index, rng, seconds) as done:
            beside = timed_singly(ask, asked, seconds)
        merges = index.shard.merges - merges
        parts = index.shard.export().parts
        waiting = index.waiting
        new = islice(_new_videos(rng), max(1, round(seconds / 2 * _RATE / _SEGMENTS)))
        rows = np.stack([one.vector for video in new for one in video])
        peer = faiss_alone.measure(parts[0], asked, rows, SearcherSettings().delta_rows, _RATE)
        _rest(index)
    return {
        "vectors": len(points),
        "start_to_ready_seconds": round(ready, 2),
        "snapshot_bytes_after_1000_segments": written,
        "search_microseconds": {
            "idle": alone,
            "while writing": beside,
            **{f"FAISS alone, {name}": times for name, times in peer.items()},
        },
        "while_writing": {
            **done,
            "merges": merges,
            "graphs": [part.rows for part in parts],
            "waiting": waiting,
        },
        "ratios": {
            "memory_over_vectors_links_and_codes": round(memory, 2),
            "search_p50_while_writing_over_idle": round(beside["p50"] / alone["p50"], 2),
            "search_p99_while_writing_over_idle": round(beside["p99"] / alone["p99"], 2),
            "faiss_alone_p50_while_adding_over_idle": _ratio(peer, "p50"),
            "faiss_alone_p99_while_adding_over_idle": _ratio(peer, "p99"),
        },
    }


def _rest(index: LocalIndex) -> None:
    """Do what a service does when nothing else is to be done: it merges what waits, and saves that. So
    what is measured over this folder afterwards is what a quiet service has."""
    for _ in range(4):
        index.save_snapshot()
        index.shard.wait_for_build()


def _ratio(peer: dict[str, Any], quantile: str) -> float:
    return round(float(peer["while adding"][quantile] / peer["idle"][quantile]), 2)


def fill(points: Sequence[Embedding], built: Shard, folder: Path) -> None:
    """Write videos to a new data folder, whose snapshot has the graph that was built of them."""
    settings = Settings(searcher=SearcherSettings(delta_rows=len(points) + 1))
    size = _SEGMENTS * _VIDEOS_AT_ONCE
    with LocalIndex.open_writer(folder, _MANIFEST, settings) as index:
        for start in range(0, len(points), size):
            index.apply(_change(points[start : start + size]))
        info = SnapshotInfo(index.videos.sequence, MODEL_ID, len(built), {})
    save_snapshot(folder / "snapshots", built, info, keep=1)


def _change(points: Sequence[Embedding]) -> Change:
    videos: dict[str, list[Embedding]] = {}
    for point in points:
        videos.setdefault(point.ref.video_id, []).append(point)
    return Change(
        [
            CompleteVideo(
                Video(name, f"/{name}", bank=some[0].ref.bank, version=some[0].ref.version), some
            )
            for name, some in videos.items()
        ]
    )


def _memory_over_needed(folder: Path) -> float:
    """Memory that an index takes in a process of its own, divided by the bytes of its vectors, links and
    frame codes. A process that built the index already has memory that it uses again."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def _new_videos(rng: np.random.Generator) -> Iterator[list[Embedding]]:
    """Videos without end."""
    for number in count():
        centre = unit_rows(rng, 1)[0]
        yield [
            embedding(f"new-{number:06}", part, near(rng, centre, 0.03))
            for part in range(_SEGMENTS)
        ]


def _bytes_of_snapshot(index: LocalIndex, rng: np.random.Generator) -> int:
    """Bytes that a snapshot writes after 1,000 new segments."""
    for name, segments in (("first", 1), ("second", 1), ("added", _ADDED)):
        rows = enumerate(unit_rows(rng, segments))
        index.apply(_change([embedding(name, number, one) for number, one in rows]))
        index.shard.wait_for_build()
        index.save_snapshot()
    newest = snapshots(index.folder / "snapshots")[0] / "manifest.json"
    return int(json.loads(newest.read_text())["written_bytes"]) + newest.stat().st_size


@contextmanager
def writing(
    index: LocalIndex, rng: np.random.Generator, seconds: float
) -> Iterator[dict[str, int]]:
    """Other threads write, save snapshots and audit. Tells how often, once it has ended."""
    ending = threading.Event()
    done = {"segments": 0, "snapshots": 0, "audits": 0}
    # Made before, because making vectors is no work of a searcher.
    made = iter(list(islice(_new_videos(rng), 2 + round(2 * seconds * _RATE / _SEGMENTS))))

    def write() -> None:
        index.apply(_change(next(made)))
        done["segments"] += _SEGMENTS

    def save() -> None:
        index.save_snapshot()
        done["snapshots"] += 1

    def audit() -> None:
        yield_to_queries()
        Auditor(index).audit()
        done["audits"] += 1

    def repeat(act: Callable[[], None], every: float) -> None:
        due = time.monotonic()
        while not ending.wait(max(0.0, due - time.monotonic())):
            act()
            due = max(due + every, time.monotonic() - every)

    threads = [
        threading.Thread(target=repeat, args=(act, every))
        for act, every in (
            (write, _SEGMENTS / _RATE),
            (save, _SNAPSHOT_SECONDS),
            (audit, _AUDIT_SECONDS),
        )
    ]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def main() -> None:
    """Open the index in a folder, and print what it takes of memory; see `_memory_over_needed`."""
    before = resident_bytes()
    with LocalIndex.open_reader(Path(sys.argv[1]), _MANIFEST, Settings()) as index:
        taken = resident_bytes() - before
        sys.stdout.write(f"{taken / (index.stats.bytes_per_vector * len(index.shard)):.3f}")


if __name__ == "__main__":
    main()
