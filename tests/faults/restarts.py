"""A searcher is started anew from less and less of what it had: its snapshot and the log, the log alone,
also after it was compacted, its mirror alone. It gives the same ids and answers each time."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from common.messaging.transport import Message
from common.types import Float32Array
from tests.faults.harness import Trial, run
from tests.faults.history import SECONDS, History, described
from tests.faults.stream import Topics, all_ready, deployment_of, mended, start_all
from tests.faults.videos import draw
from tests.kafka_broker import KafkaBroker
from tests.support.searcher import Answers
from tests.support.services import Deployment, Service, wait_until

# Compacted as soon as there is anything to compact, and what was forgotten is forgotten at once.
_EAGER = {
    "segment.ms": "500",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "500",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "100",
}
_DATABASE = ("videos.sqlite", "videos.sqlite-wal", "videos.sqlite-shm")


class Restarts:
    """A searcher with a past, and what it must tell of it whatever it is started from."""

    def __init__(
        self, trial: Trial, deployment: Deployment, history: History, vectors: Float32Array
    ) -> None:
        self.trial = trial
        self.deployment = deployment
        self.history = history
        self.vectors = vectors
        self.expected = self.answers()
        self.rows = described(self.searcher)
        self.figures: dict[str, float] = {}

    @property
    def searcher(self) -> Service:
        return self.deployment.services["searcher"]

    @property
    def data(self) -> Path:
        return self.deployment.folder / "data"

    def answers(self) -> Answers:
        return self.history.answers(self.searcher, self.vectors)

    def kill(self) -> None:
        """Kill it, and have nothing left of it that writes."""
        self.searcher.kill()
        self.searcher.gone()

    def check(self, name: str) -> None:
        """Start it, and compare all it tells."""
        began = time.monotonic()
        self.searcher.start().ready()
        self.figures[name] = round(time.monotonic() - began, 1)
        self.compare(name)

    def compare(self, name: str) -> None:
        wait_until(lambda: all_ready(self.searcher, [*self.rows]), f"{name}: every video", SECONDS)
        self.trial.promise(f"{name}: the same answers", self.expected.differences(self.answers()))
        now = described(self.searcher)
        self.trial.promise(
            f"{name}: the same rows",
            [
                f"{video_id}: {self.rows.get(video_id)} and {now.get(video_id)}"
                for video_id in sorted(self.rows.keys() | now.keys())
                if self.rows.get(video_id) != now.get(video_id)
            ],
        )

    def without_log(self, name: str) -> None:
        """Under a prefix whose log holds nothing, so that only what lies on the disk can answer."""
        empty = deployment_of(
            self.trial.folder,
            self.deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"],
            "empty",
        )
        with empty:
            empty.create_topics()
            here = self.deployment
            self.deployment = empty
            empty.service("searcher", "search", "--data", here.folder / "data").ready()
            self.compare(name)
            self.deployment = here


def restarts(trial: Trial) -> None:
    """The scenario."""
    history = History(trial, trial.size(400, 60))
    with (
        KafkaBroker(trial.folder / "kafka") as broker,
        # A snapshot is made when a searcher ends in order, and at no other time.
        deployment_of(
            trial.folder,
            broker.bootstrap_servers,
            "restarts",
            STORYHASH_SERVICE__SNAPSHOT_SECONDS="86400",
        ) as deployment,
    ):
        start_all(deployment, embedders=1)
        vectors = history.live_through(deployment)
        trial.promise("no answer mixes two versions of a video", history.mixed)
        tried = Restarts(trial, deployment, history, vectors)
        tried.searcher.stop()
        tried.check("stopped in order")
        _behind(tried)
        tried.check("snapshot and log")
        tried.searcher.kill()
        _damage(tried.data / "snapshots")
        tried.check("damaged snapshot")
        tried.kill()
        shutil.rmtree(tried.data / "mirror")
        tried.check("log, without the mirror")
        tried.kill()
        shutil.rmtree(tried.data)
        tried.check("log alone")
        tried.kill()
        _forget_all_but_the_mirror(tried.data)
        tried.without_log("mirror alone")
        tried.kill()
        shutil.rmtree(tried.data)
        trial.figures["compaction"] = _compact(trial, deployment)
        tried.check("compacted log alone")
        trial.promise(
            "compacted log alone: every segment is searchable exactly once",
            history.not_once(deployment, tried.searcher),
        )
        tried.kill()
        _forget_all_but_the_mirror(tried.data)
        tried.check("mirror and compacted log")
        trial.promise("the index never differs from its mirror", mended(tried.searcher))
        trial.figures |= {
            "videos": len(history.left),
            "segments": tried.expected.segments,
            "seconds_until_ready": tried.figures,
        }


def _behind(tried: Restarts) -> None:
    """Have the newest snapshot older than the newest video, and kill the searcher then."""
    deployment = tried.deployment
    film = draw(deployment.folder / "late.mp4", 77, 8.0)
    producer = deployment.service(
        "late", "ingest", film, "--data", deployment.folder / "late", "--json"
    )
    wait_until(lambda: all_ready(tried.searcher, ["late.mp4"]), "the late video", SECONDS, 0.05)
    tried.searcher.kill()
    producer.wait(SECONDS)
    newest = max((tried.data / "snapshots").iterdir())
    held = json.loads((newest / "manifest.json").read_text())["sequence"]
    with closing(sqlite3.connect(f"file:{tried.data}/videos.sqlite?mode=ro", uri=True)) as database:
        ((reached,),) = database.execute("SELECT value FROM counters WHERE name = 'sequence'")
    tried.trial.promise("the snapshot is older than the catalogue", held >= reached)
    tried.searcher.start().ready()
    tried.expected, tried.rows = tried.answers(), described(tried.searcher)
    tried.trial.promise("a late video is not lost", "late.mp4" not in tried.rows)
    tried.searcher.kill()


def _damage(snapshots: Path) -> None:
    """One byte of the newest snapshot is another."""
    newest = max(snapshots.iterdir())
    file = max(newest.iterdir(), key=lambda one: one.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _forget_all_but_the_mirror(data: Path) -> None:
    shutil.rmtree(data / "snapshots", ignore_errors=True)
    for name in _DATABASE:
        (data / name).unlink(missing_ok=True)


def _compact(trial: Trial, deployment: Deployment) -> dict[str, Any]:
    """Have the broker compact the log of embeddings, and wait until it has."""
    topics = Topics(deployment)
    log = topics.names.embeddings
    admin = KafkaAdminClient(
        bootstrap_servers=deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
    )
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, log, _EAGER)])
    admin.close()
    before = sum(1 for _ in topics.messages(log))

    publisher = topics.transport.publisher()

    def forgotten() -> bool:
        # A segment of the log is closed, and then cleaned, when the next message comes to it.
        for partition in range(int(deployment.settings["STORYHASH_KAFKA__PARTITIONS"])):
            publisher.publish(Message(log, b"filler", None, partition=partition))
        publisher.flush()
        keys = [one.key for one in topics.messages(log) if one.key != b"filler"]
        return len(keys) == len(set(keys)) < before

    wait_until(forgotten, "the log to be compacted", 300, 1.0)
    publisher.close()
    after = list(topics.messages(log))
    return {
        "messages_before": before,
        "messages_after": len(after),
        "tombstones_after": sum(one.value is None for one in after),
    }


if __name__ == "__main__":
    run("restarts", __doc__, restarts)
