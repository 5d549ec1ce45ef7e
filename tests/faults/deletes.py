"""Videos are deleted while they are under way, while the log is read again, and during a backfill; none
of them ever returns."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.types import Embedding
from tests.faults.harness import Trial, run
from tests.faults.stream import (
    Topics,
    all_ready,
    delete,
    deployment_of,
    rows,
    searchable_segments,
    start_all,
)
from tests.faults.videos import manifest, sources
from tests.kafka_broker import KafkaBroker
from tests.support.searcher import client_of
from tests.support.services import Deployment, Service, wait_until

_SECONDS = 900.0
# So small that a log is read again in many steps, between which something can be deleted.
_SETTINGS: dict[str, Any] = {"STORYHASH_SERVICE__BATCH_MESSAGES": "8"}
_DONE = (204, 404)


class Deletions:
    """What was deleted when, and whether it is ever seen again. `gone`: by the phase."""

    def __init__(self, trial: Trial, deployment: Deployment, names: list[str]) -> None:
        self.trial = trial
        self.deployment = deployment
        self.names = names
        self.gone: dict[str, list[str]] = {}
        self.statuses: dict[str, dict[int, int]] = {}
        self.returned: set[str] = set()
        self._stop = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    @property
    def searcher(self) -> Service:
        return self.deployment.services["searcher"]

    @property
    def everything_gone(self) -> set[str]:
        return {name for names in list(self.gone.values()) for name in list(names)}

    @property
    def left(self) -> list[str]:
        return [name for name in self.names if name not in self.everything_gone]

    def delete(self, phase: str, names: list[str]) -> None:
        """Each until it is answered; what is not known yet (404) is deleted all the same."""
        for name in names:
            status = 0
            while status not in _DONE:
                status = delete(self.searcher, name)
            self.gone.setdefault(phase, []).append(name)
            counts = self.statuses.setdefault(phase, {})
            counts[status] = counts.get(status, 0) + 1

    def start(self) -> None:
        self._watching.start()

    def stop(self) -> None:
        self._stop.set()
        self._watching.join()

    def check(self, about: str) -> None:
        """None of what is gone is there, and all of what is left is."""
        found = rows(self.searcher)
        gone = self.everything_gone
        self.trial.promise(
            f"{about}: what was deleted is in no catalogue", sorted(gone & found.keys())
        )
        self.trial.promise(
            f"{about}: the rest is there",
            sorted({*self.left} - {n for n, r in found.items() if r["state"] == "ready"}),
        )
        self.trial.promise(f"{about}: no search finds what was deleted", self._hits(gone))

    def _hits(self, gone: set[str]) -> list[str]:
        log = Topics(self.deployment).embeddings().values()
        distinct: dict[bytes, Embedding] = {
            one.vector.tobytes(): one for one in log if one.informative
        }
        vectors = np.stack([one.vector for one in distinct.values()])[:500]
        with client_of(self.searcher) as client:
            hits = client.search(vectors, k=200).items
        found = {hit.video_id for each in hits for hit in each}
        if not found:
            return ["nothing is found at all"]
        return sorted(found & gone)

    def _watch(self) -> None:
        """All the while: what was deleted before a look may not be seen in it."""
        while not self._stop.wait(0.2):
            before = self.everything_gone
            self.returned |= before & rows(self.searcher).keys()


def deletes(trial: Trial) -> None:
    """The scenario."""
    videos = sources(trial)
    work = manifest(trial.folder / "catalogue.jsonl", videos, trial.size(600, 150))
    chance = random.Random(trial.seed)
    with (
        KafkaBroker(trial.folder / "kafka") as broker,
        deployment_of(trial.folder, broker.bootstrap_servers, "deletes", **_SETTINGS) as deployment,
    ):
        deletions = Deletions(trial, deployment, list(work.names))
        start_all(deployment)
        deletions.searcher.ready()
        deletions.start()
        shuffled = list(work.names)
        chance.shuffle(shuffled)
        share = max(2, len(shuffled) // 20)
        picked = iter([shuffled[at : at + share] for at in range(0, len(shuffled), share)])
        _under_way(deletions, work.path, picked)
        deletions.check("under way")
        _read_again(deletions, next(picked), data="data")
        deletions.check("from the log alone")
        _backfilled(trial, deletions, videos, chance)
        deletions.check("after a backfill")
        editions = [(work.path, "producer"), (trial.folder / "old.jsonl", "backfill")]
        _next_generation(deletions, editions, next(picked), next(picked))
        deletions.check("in the next generation")
        _from_the_mirror(deletions)
        deletions.check("from the mirror alone")
        deletions.stop()
        trial.promise("no deleted video is seen at any moment", sorted(deletions.returned))
        trial.figures |= {
            "videos": len(deletions.names),
            "deleted": {phase: len(names) for phase, names in deletions.gone.items()},
            "answers": deletions.statuses,
        }


def _under_way(deletions: Deletions, source: Path, picked: Iterator[list[str]]) -> None:
    """Before an embedder has seen them, while they are worked on, and once they are searchable."""
    embedders = [deletions.deployment.services[f"embedder-{n}"] for n in (1, 2)]
    for embedder in embedders:
        embedder.ready().pause()
    producer = deletions.deployment.producer(source)
    topics = Topics(deletions.deployment)
    wait_until(lambda: topics.written(topics.names.segments) > 20, "segments", _SECONDS, 0.2)
    deletions.delete("unseen", next(picked))
    for embedder in embedders:
        embedder.resume()
    wait_until(lambda: searchable_segments(deletions.searcher) > 0, "a video", _SECONDS)
    for name in [*next(picked), *next(picked)]:
        deletions.delete("in work", [name])
        time.sleep(0.2)
    if producer.wait(_SECONDS):
        raise RuntimeError(producer.text())
    _wait(deletions, deletions.left)
    deletions.delete("searchable", next(picked))
    # What was deleted before it came has come by now, or never will.
    wait_until(lambda: _nothing_waits(deletions), "the log to be level", _SECONDS, 0.5)


def _read_again(deletions: Deletions, names: list[str], *, data: str) -> None:
    """A searcher that begins with nothing, in which videos are deleted before and after it has them."""
    deletions.searcher.kill()
    deletions.searcher.gone()
    shutil.rmtree(deletions.deployment.folder / data)
    deletions.searcher.start()
    while names:
        # As soon as it answers at all, whatever it has by then.
        if delete(deletions.searcher, names[0]) in _DONE:
            deletions.gone.setdefault("read again", []).append(names.pop(0))
    deletions.searcher.ready()
    _wait(deletions, deletions.left)


def _backfilled(
    trial: Trial, deletions: Deletions, videos: list[Path], chance: random.Random
) -> None:
    """New videos on the slow lane; some are deleted before, some while they come."""
    old = manifest(trial.folder / "old.jsonl", videos, trial.size(200, 60), prefix="old-")
    deletions.names += old.names
    names = list(old.names)
    chance.shuffle(names)
    producer = deletions.deployment.service(
        *("backfill", "ingest", old.path, "--backfill"),
        *("--data", deletions.deployment.folder / "backfill", "--json"),
    )
    topics = Topics(deletions.deployment)
    wait_until(lambda: topics.written(topics.names.backfill) > 5, "segments", _SECONDS, 0.2)
    deletions.delete("backfilled", names[:4])
    wait_until(lambda: any(name in rows(deletions.searcher) for name in names), "a video", _SECONDS)
    deletions.delete("backfilled", names[4:8])
    if producer.wait(_SECONDS):
        raise RuntimeError(producer.text())
    _wait(deletions, deletions.left)
    wait_until(lambda: _nothing_waits(deletions), "the log to be level", _SECONDS, 0.5)


def _next_generation(
    deletions: Deletions, editions: list[tuple[Path, str]], before: list[str], during: list[str]
) -> None:
    """The catalogue embedded anew for a generation that then answers. editions: manifests, and where
    their producers keep their ledgers."""
    deployment = deletions.deployment
    topics = Topics(deployment)
    named = {"STORYHASH_KAFKA__GENERATION": "second"}
    deployment.create_topics(**named)
    deletions.delete("before the next generation", before)
    embedder = deployment.service("embedder-second", "embed", **named)
    _generations(deployment, "follow", "second")
    backfill = f"{topics.names.backfill}.second"
    for number, (path, ledger) in enumerate(editions):
        producer = deployment.service(
            *(f"again-{number}", "ingest", path, "--backfill"),
            *("--data", deployment.folder / ledger, "--json"),
            **named,
        )
        if number == 0:
            wait_until(lambda: topics.written(backfill) > 20, "segments", _SECONDS, 0.2)
            deletions.delete("during the backfill of a generation", during)
        if producer.wait(_SECONDS):
            raise RuntimeError(producer.text())
    wait_until(
        lambda: (
            embedder.metric("storyhash_consumer_lag_messages") == 0 and _nothing_waits(deletions)
        ),
        "the generation to be level",
        _SECONDS,
        0.5,
    )
    _generations(deployment, "activate", "second")
    _wait(deletions, deletions.left)
    embedder.stop()


def _generations(deployment: Deployment, *arguments: str) -> None:
    """`storyhash generations`, asked of the searcher. Raises RuntimeError."""
    server = deployment.services["searcher"].url
    done = deployment.run("generations", *arguments, "--server", server)
    if done.returncode:
        raise RuntimeError(done.stderr)


def _from_the_mirror(deletions: Deletions) -> None:
    """Catalogue and snapshots are lost; the mirror is kept, and the log is read again beside it."""
    deletions.searcher.kill()
    deletions.searcher.gone()
    for folder in (
        deletions.deployment.folder / "data",
        deletions.deployment.folder / "data" / "generations" / "second",
    ):
        shutil.rmtree(folder / "snapshots", ignore_errors=True)
        for name in ("videos.sqlite", "videos.sqlite-wal", "videos.sqlite-shm"):
            (folder / name).unlink(missing_ok=True)
    deletions.searcher.start().ready()
    _wait(deletions, deletions.left)


def _wait(deletions: Deletions, names: list[str]) -> None:
    wait_until(lambda: all_ready(deletions.searcher, names), "every video left", _SECONDS, 0.5)


def _nothing_waits(deletions: Deletions) -> bool:
    """Everything the producers have sent has been taken in or passed over."""
    lag = deletions.searcher.metric("storyhash_consumer_lag_messages")
    for number in (1, 2):
        embedder = deletions.deployment.services[f"embedder-{number}"]
        lag += embedder.metric("storyhash_consumer_lag_messages")
    return lag == 0


if __name__ == "__main__":
    run("deletes", __doc__, deletes)
