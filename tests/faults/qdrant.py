"""Nodes of a Qdrant cluster of three are killed and paused while videos change and are searched.

Each shard has two copies. One node at a time is killed (SIGKILL) or paused (SIGSTOP), at random, while
videos are indexed, deleted, indexed in new versions and searched. Needs STORYHASH_TEST_QDRANT_SERVER,
the path of the server's executable.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient

from common.errors import DependencyError
from common.settings import QdrantSettings, SearcherSettings, Settings
from common.types import Embedding, Float32Array, Hit
from searcher.index.shard import Shard
from searcher.qdrant.index import QdrantIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.faults.harness import Trial, run
from tests.support.embeddings import MODEL_ID, near, unit_rows, video
from tests.support.qdrant_cluster import QdrantCluster

_MANIFEST = FolderManifest("test", MODEL_ID, "qdrant")
_NODES, _COPIES, _SEARCHERS = 3, 2, 2
_SEGMENTS = (3, 20)
_QUERIES, _K, _SAME = 200, 10, 1e-4
_HEALED_SECONDS = 120.0
# A node is away for a time between these; a write waits ten seconds for it.
_AWAY_SECONDS = ((1.0, 8.0), (1.0, 8.0), (12.0, 16.0))


@dataclass
class Catalogue:
    """What was acknowledged. busy: videos that are being changed now; serial: number of changes."""

    live: dict[str, list[Embedding]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    changed_at: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Measured:
    """What happened, and what was wrong."""

    writes: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    write_seconds: list[float] = field(default_factory=list)
    search_seconds: list[float] = field(default_factory=list)
    search_errors: list[str] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, example: str) -> None:
        """Count an answer that was wrong."""
        self.wrong[what] += 1
        self.examples.append(f"{what}: {example}")


class Writer(threading.Thread):
    """Changes videos one after the other; repeats a change until it is acknowledged."""

    def __init__(
        self, index: QdrantIndex, catalogue: Catalogue, measured: Measured, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self._index, self._catalogue, self._measured = index, catalogue, measured
        self._random, self._rng = random.Random(seed), np.random.default_rng(seed)
        self._number = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            kind = self._random.choices(("new", "again", "delete"), (5, 3, 2))[0]
            with self._catalogue.lock:
                known = sorted(self._catalogue.live)
            if kind == "new" or len(known) < 20:
                self._number += 1
                kind, name = "new", f"v{self._number}"
            else:
                name = self._random.choice(known)
            with self._catalogue.lock:
                self._catalogue.busy.add(name)
                self._catalogue.changed_at[name] += 1
            began = time.monotonic()
            fresh = None if kind == "delete" else self._insist_index(name)
            if fresh is None:
                self._insist(lambda name=name: self._index.delete_videos([name]))
            with self._catalogue.lock:
                old = self._catalogue.live.pop(name, [])
                if fresh is None:
                    self._catalogue.gone[name] = old[0].ref.version
                else:
                    self._catalogue.live[name] = fresh
                self._catalogue.changed_at[name] += 1
                self._catalogue.busy.discard(name)
            self._measured.writes[kind] += 1
            self._measured.write_seconds.append(time.monotonic() - began)

    def _insist_index(self, name: str) -> list[Embedding]:
        version = self._index.videos.next_version(name)
        fresh = video(self._rng, name, self._random.randint(*_SEGMENTS), version=version)
        row = Video(name, f"/{name}", version=version)
        self._insist(lambda: self._index.replace_video(row, fresh))
        return fresh

    def _insist(self, change: Any) -> None:
        while True:
            try:
                change()
            except DependencyError:
                self._measured.repeated += 1
                time.sleep(0.5)
            else:
                # What was committed before an error is shown by the next change at the latest.
                return


class Searcher(threading.Thread):
    """A process that only answers: searches for segments and checks the answers."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, measured: Measured, seed: int, folder: Path
    ) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self._index = QdrantIndex.open_reader(folder, _MANIFEST, settings)
        self._catalogue, self._measured = catalogue, measured
        self._random, self._rng = random.Random(seed), np.random.default_rng(seed)

    def run(self) -> None:
        with self._index:
            while not self.stopping.wait(0.05):
                with self._catalogue.lock:
                    live = {
                        name: one
                        for name, one in self._catalogue.live.items()
                        if name not in self._catalogue.busy
                    }
                    gone = set(self._catalogue.gone) - self._catalogue.live.keys()
                    marks = dict(self._catalogue.changed_at)
                if live:
                    self._search(live, gone, marks)

    def _search(
        self, live: dict[str, list[Embedding]], gone: set[str], marks: dict[str, int]
    ) -> None:
        name = self._random.choice(sorted(live))
        wanted = self._random.choice(live[name])
        began = time.monotonic()
        try:
            (hits,) = self._index.search(near(self._rng, wanted.vector, 0.005)[None], 30)
        except DependencyError as error:
            self._measured.search_errors.append(str(error))
            return
        self._measured.search_seconds.append(time.monotonic() - began)
        with self._catalogue.lock:
            same = {
                video_id
                for video_id, mark in marks.items()
                if self._catalogue.changed_at[video_id] == mark
            }
        if name in same and (not hits or hits[0].ref != wanted.ref):
            self._measured.note("lost", f"{wanted.ref}, found {hits[:1]}")
        if len({hit.ref for hit in hits}) != len(hits):
            self._measured.note("doubled", str(hits))
        versions: dict[str, set[int]] = {}
        for hit in hits:
            versions.setdefault(hit.ref.video_id, set()).add(hit.ref.version)
        for video_id, found in versions.items():
            if len(found) > 1:
                self._measured.note("two versions", f"{video_id}: {found}")
            if video_id in gone and video_id in same:
                self._measured.note("deleted came back", video_id)
            if video_id in live and video_id in same and found != {live[video_id][0].ref.version}:
                self._measured.note("old version", f"{video_id}: {found}")


class Faults(threading.Thread):
    """Kills or pauses one node after another; the next only when all copies are active again."""

    def __init__(
        self, cluster: QdrantCluster, collections: Sequence[str], measured: Measured, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self._cluster, self._collections, self._measured = cluster, collections, measured
        self._random = random.Random(seed)

    def run(self) -> None:
        while not self.stopping.wait(self._random.uniform(1.0, 4.0)):
            number, kind = self._random.randrange(_NODES), self._random.choice(("kill", "pause"))
            # Some pauses outlast the client's patience, so that a node applies writes that were repeated.
            away = self._random.uniform(*self._random.choice(_AWAY_SECONDS))
            if kind == "kill":
                self._cluster.kill(number)
                time.sleep(away)
                self._cluster.start(number)
            else:
                self._cluster.pause(number)
                time.sleep(away)
                self._cluster.resume(number)
            self._measured.faults[kind] += 1
            wait_healed(self._cluster, self._collections)


def wait_healed(cluster: QdrantCluster, collections: Sequence[str]) -> float:
    """Wait until every node says that every copy is active; seconds. Raises TimeoutError."""
    began = time.monotonic()
    while time.monotonic() - began < _HEALED_SECONDS:
        try:
            states = [
                state
                for url in cluster.urls
                for name in collections
                for state in _states(url, name)
            ]
        except Exception:
            states = ["?"]
        if set(states) == {"Active"}:
            return time.monotonic() - began
        time.sleep(0.5)
    raise TimeoutError("the copies did not become active")


def _states(url: str, name: str) -> list[str]:
    client = QdrantClient(url=url, timeout=3, check_compatibility=False)
    try:
        info = client.collection_cluster_info(name)
        shards: list[Any] = [*info.local_shards, *info.remote_shards]
        return [str(shard.state.value) for shard in shards]
    finally:
        client.close()


def differences(wanted: list[list[Hit]], found: list[list[Hit]]) -> list[str]:
    """Answers that are not the same: other segments, or other scores. Ties may change places."""
    wrong = []
    for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
        same = {hit.ref for hit in one} == {hit.ref for hit in other}
        scores = np.allclose([hit.score for hit in one], [hit.score for hit in other], atol=_SAME)
        if not same or not scores:
            wrong.append(f"query {number}: {one[:2]} and {other[:2]}")
    return wrong


def settled(trial: Trial, cluster: QdrantCluster, settings: Settings, catalogue: Catalogue) -> None:
    """Check everything after the last fault, through the cluster and through each node alone."""
    live = catalogue.live
    shard = Shard(SearcherSettings())
    shard.add([one for embeddings in live.values() for one in embeddings])
    rng = np.random.default_rng(trial.seed)
    everything = [one for embeddings in live.values() for one in embeddings]
    chosen = rng.choice(len(everything), _QUERIES)
    queries: Float32Array = np.stack(
        [*(near(rng, everything[at].vector) for at in chosen), *unit_rows(rng, 20)]
    )
    wanted = shard.search_exact(queries, _K)
    for url in (cluster.url, *cluster.urls):
        one = settings.qdrant.model_copy(update={"url": url})
        whole = settings.model_copy(update={"qdrant": one})
        with QdrantIndex.open_reader(trial.folder / "nowhere", _MANIFEST, whole) as index:
            where = "the cluster" if url == cluster.url else f"node {cluster.urls.index(url)}"
            shown = index.shard_versions()
            versions = {name: some[0].ref.version for name, some in live.items()}
            trial.promise(
                f"nothing lost, at {where}",
                [name for name in versions if shown.get(name) != versions[name]],
            )
            trial.promise(
                f"no deleted video is back, at {where}", sorted(shown.keys() - versions.keys())
            )
            trial.promise(
                f"the same answers as the FAISS shard, at {where}",
                differences(wanted, index.store.search(queries, _K)),
            )
            broken = []
            for name in sorted(live)[:40]:
                refs = [one.ref for one in live[name]]
                if index.vectors_of(name).refs != refs:
                    broken.append(name)
            trial.promise(f"every segment once, at {where}", broken)
    shard.close()


def started_again(trial: Trial, settings: Settings, catalogue: Catalogue) -> None:
    """Check that the next start of the process that indexes leaves exactly what is searchable."""
    segments = sum(len(one) for one in catalogue.live.values())
    with QdrantIndex.open_writer(trial.folder / "data", _MANIFEST, settings) as index:
        versions = {name: some[0].ref.version for name, some in catalogue.live.items()}
        trial.promise(
            "a start leaves every video as it is",
            index.shard_versions() != versions or index.videos.versions() != versions,
        )
        points = index.store.count()
        trial.figures |= {"points": points, "segments": segments}
        trial.promise(
            "a start leaves no point that no search returns",
            [] if points == segments else [f"{points} points, {segments} segments"],
        )


def scenario(trial: Trial) -> None:
    """The scenario."""
    executable = os.environ.get("STORYHASH_TEST_QDRANT_SERVER")
    if not executable:
        trial.promise(
            "a Qdrant server is there", ["set STORYHASH_TEST_QDRANT_SERVER to its executable"]
        )
        return
    catalogue, measured = Catalogue(), Measured()
    with QdrantCluster(Path(executable), trial.folder / "cluster", _NODES) as cluster:
        settings = Settings(
            searcher=SearcherSettings(backend="qdrant"),
            qdrant=QdrantSettings(url=cluster.url, shard_number=_NODES, replication_factor=_COPIES),
        )
        index = QdrantIndex.open_writer(trial.folder / "data", _MANIFEST, settings)
        collections = [f"{settings.qdrant.collection}-{kind}" for kind in ("segments", "videos")]
        with index:
            wait_healed(cluster, collections)
            writer = Writer(index, catalogue, measured, trial.seed)
            searchers = [
                Searcher(settings, catalogue, measured, trial.seed + at, trial.folder / "nowhere")
                for at in range(1, 1 + _SEARCHERS)
            ]
            faults = Faults(cluster, collections, measured, trial.seed)
            threads = [writer, *searchers, faults]
            for thread in threads:
                thread.start()
            time.sleep(trial.size(240, 60))
            faults.stopping.set()
            faults.join()
            workers: list[Writer | Searcher] = [writer, *searchers]
            for one in workers:
                one.stopping.set()
                one.join()
            trial.figures["healed_seconds"] = round(wait_healed(cluster, collections), 1)
            settled(trial, cluster, settings, catalogue)
            trial.figures["points_before_the_next_start"] = index.store.count()
        started_again(trial, settings, catalogue)
    trial.promise("no search fails", measured.search_errors)
    trial.promise("no answer was wrong while nodes were away", measured.examples)
    trial.figures |= {
        "faults": dict(measured.faults),
        "changes": dict(measured.writes),
        "changes_repeated_by_the_caller": measured.repeated,
        "videos": len(catalogue.live),
        "searches": len(measured.search_seconds),
        "wrong_answers": dict(measured.wrong),
        "search_seconds": _percentiles(measured.search_seconds),
        "change_seconds": _percentiles(measured.write_seconds),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {
        "p50": round(float(np.percentile(seconds, 50)), 3),
        "p99": round(float(np.percentile(seconds, 99)), 3),
        "max": round(max(seconds), 3),
    }


if __name__ == "__main__":
    run("qdrant", __doc__, scenario)
