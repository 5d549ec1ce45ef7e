"""The machine of a service is lost: the service is killed and its data folder deleted. A backup brings it
back; over Kafka the log adds what came after the backup. The answers are the same."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from common.types import Float32Array
from tests.faults.harness import Trial, run
from tests.faults.history import SECONDS, History, described
from tests.faults.stream import SETTINGS, all_ready, delete, deployment_of, start_all
from tests.faults.videos import draw, manifest, sources
from tests.kafka_broker import KafkaBroker
from tests.support.searcher import answers_of, client_of
from tests.support.services import Deployment, Service, wait_until

_K = 20
_NO_BROKER = "127.0.0.1:1"


class Drill:
    """One service with a data folder and a folder of backups on "another disk"."""

    def __init__(self, trial: Trial, name: str, deployment: Deployment, service: Service) -> None:
        self.trial = trial
        self.name = name
        self.deployment = deployment
        self.service = service
        self.data = deployment.folder / "data"
        self.backups = deployment.folder / "backups"
        self.figures: dict[str, Any] = {}

    def promise(self, words: str, broken: list[str] | bool) -> None:
        self.trial.promise(f"{self.name}: {words}", broken)

    def command(self, name: str, *arguments: str | Path) -> dict[str, Any]:
        """Run `storyhash snapshot NAME`; returns its JSON, and keeps its seconds."""
        began = time.monotonic()
        done = self.deployment.run("snapshot", name, *arguments, "--json")
        self.figures[f"{name}_seconds"] = round(time.monotonic() - began, 2)
        self.promise(f"`snapshot {name}` ends with 0", [done.stderr] if done.returncode else [])
        return dict(json.loads(done.stdout))

    def back_up(self) -> Path:
        """Have the running service make a backup, and verify it."""
        made = self.command("create", "--server", self.service.url)
        self.figures |= {key: made[key] for key in ("videos", "segments", "bytes")}
        backup = self.backups / str(made["name"])
        wrong = self.command("verify", backup)["items"][0]["damage"]
        self.promise("the backup is good", list(wrong))
        return backup

    def lose_the_disk(self) -> None:
        self.service.kill()
        self.service.gone()
        shutil.rmtree(self.data)

    def restore(self, backup: Path, names: Sequence[str] = ()) -> None:
        """Restore and start; the time counts until the service is ready and has these videos."""
        began = time.monotonic()
        self.command("restore", backup, "--data", self.data)
        started = time.monotonic()
        self.service.start().ready()
        self.figures["start_to_ready_seconds"] = round(time.monotonic() - started, 2)
        wait_until(lambda: all_ready(self.service, names), "every video", SECONDS, 0.05)
        self.figures["seconds_without_service"] = round(time.monotonic() - began, 2)


def _vectors() -> Float32Array:
    """Queries of no video in particular."""
    rows = np.random.default_rng(5).normal(size=(50, 527)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def serve_alone(trial: Trial) -> None:
    """`storyhash serve`: what came after the backup is lost, all else is there."""
    deployment = Deployment(trial.folder / "serve", _NO_BROKER, "serve", SETTINGS)
    with deployment:
        videos = sources(trial)
        work = manifest(trial.folder / "all.jsonl", videos, trial.size(400, 60))
        data = deployment.folder / "data"
        made = deployment.run("index", work.path, "--data", data, "--json")
        trial.promise("serve: videos are indexed", [made.stderr] if made.returncode else [])
        deployment.run("keys", "create", "drill", "--role", "admin", "--data", data)
        keys = deployment.run("keys", "list", "--data", data, "--json").stdout
        service = deployment.service(
            "serve",
            *("serve", "--data", data),
            STORYHASH_HTTP__REQUIRE_KEYS="never",
            STORYHASH_SERVICE__BACKUP_DIR=str(deployment.folder / "backups"),
        )
        drill = Drill(trial, "serve", deployment, service)
        service.ready()
        matched = work.names[:: max(1, len(work.names) // 10)]
        # Kept matches and a verdict on one.
        with client_of(service) as client:
            client.match(video_id=matched[0])
        verdicts = _judge(service)
        backup = drill.back_up()
        expected = answers_of(service, _vectors(), matched, k=_K)
        rows = described(service)
        drill.lose_the_disk()
        drill.restore(backup, work.names)
        found = answers_of(service, _vectors(), matched, k=_K)
        drill.promise("the same answers", expected.differences(found))
        now = described(service)
        drill.promise("the same catalogue", [name for name in rows if rows[name] != now.get(name)])
        drill.promise("the same verdicts", not verdicts or verdicts != _verdicts(service))
        held = deployment.run("keys", "list", "--data", data, "--json").stdout
        drill.promise("the same keys", not keys or held != keys)
        trial.figures["serve"] = drill.figures


def _judge(service: Service) -> list[Any]:
    """Give a verdict on the newest match; returns all verdicts."""
    (first, *_) = httpx.get(f"{service.url}/v1/matches", timeout=60).json()["items"]
    httpx.post(
        f"{service.url}/v1/matches/{first['id']}/verdicts",
        json={"verdict": "copy", "note": "drill"},
        timeout=60,
    ).raise_for_status()
    return _verdicts(service)


def _verdicts(service: Service) -> list[Any]:
    # By verdict: the queries of the drill store so many matches that a judged one leaves the first page.
    found = httpx.get(f"{service.url}/v1/matches", params={"verdict": "copy"}, timeout=60)
    return sorted((one["id"], str(one["verdict"])) for one in found.json()["items"])


def over_kafka(trial: Trial) -> None:
    """`storyhash search`: after the backup a video comes and another is deleted; the log has both."""
    history = History(trial, trial.size(400, 60))
    with (
        KafkaBroker(trial.folder / "kafka") as broker,
        deployment_of(
            trial.folder,
            broker.bootstrap_servers,
            "restore",
            STORYHASH_SERVICE__BACKUP_DIR=str(trial.folder / "restore" / "backups"),
        ) as deployment,
    ):
        start_all(deployment, embedders=1)
        vectors = history.live_through(deployment)
        service = deployment.services["searcher"]
        drill = Drill(trial, "search", deployment, service)
        backup = drill.back_up()
        film = draw(deployment.folder / "late.mp4", 77, 8.0)
        producer = deployment.service(
            "late", "ingest", film, "--data", deployment.folder / "late", "--json"
        )
        producer.wait(SECONDS)
        wait_until(lambda: all_ready(service, ["late.mp4"]), "the late video", SECONDS, 0.05)
        gone = history.left[-1]
        delete(service, gone)
        names = [name for name in history.left if name != gone]
        history.matched = [name for name in history.matched if name != gone]
        expected, rows = history.answers(service, vectors), described(service)
        drill.promise("the late video is there, the deleted one is not", gone in rows)
        drill.lose_the_disk()
        drill.restore(backup, [*names, "late.mp4"])
        drill.promise("a video deleted after the backup is not back", gone in described(service))
        drill.promise("the same answers", expected.differences(history.answers(service, vectors)))
        now = described(service)
        drill.promise("the same catalogue", [name for name in rows if rows[name] != now.get(name)])
        trial.figures["search"] = drill.figures


def restore(trial: Trial) -> None:
    """The scenario."""
    if trial.wants("serve"):
        serve_alone(trial)
    if trial.wants("kafka"):
        over_kafka(trial)


if __name__ == "__main__":
    run("restore", __doc__, restore)
