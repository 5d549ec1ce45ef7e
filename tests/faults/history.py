"""A catalogue with a past: videos that were sent, replaced by other films, and deleted."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from common.types import Embedding, Float32Array
from tests.faults.harness import Trial
from tests.faults.stream import Topics, all_ready, delete, not_once, query_vectors, rows
from tests.faults.videos import manifest, sources
from tests.support.background import Background
from tests.support.searcher import Answers, answers_of, client_of
from tests.support.services import Deployment, Service, wait_until

SECONDS = 900.0
_MATCHED = 10
_K = 50


class History:
    """What becomes of it: all is sent, a third replaced, a few deleted."""

    def __init__(self, trial: Trial, segments: int) -> None:
        videos = sources(trial)[:24]
        work = manifest(trial.folder / "first.jsonl", videos, segments)
        lines = [json.loads(line) for line in work.path.read_text().splitlines()][::3]
        for line in lines:
            place = videos.index(Path(line["uri"]))
            line["uri"] = str(videos[(place + 5) % len(videos)])
        self.first, self.second = work.path, trial.folder / "second.jsonl"
        self.second.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.names = work.names
        self.replaced = [str(line["video_id"]) for line in lines]
        self.deleted = work.names[1::6]
        self.left = sorted({*work.names} - {*self.deleted})
        # Answers in which two versions of a video were found beside each other.
        self.mixed: list[str] = ["nobody looked"]
        self.matched = self.left[:: max(1, len(self.left) // _MATCHED)]

    def live_through(self, deployment: Deployment) -> Float32Array:
        """All of it, through services that nobody disturbs; vectors to ask with."""
        searcher = deployment.services["searcher"].ready()
        self._send(deployment, self.first)
        wait_until(lambda: all_ready(searcher, self.names), "every video", SECONDS, 0.5)
        before = self.versions(searcher)
        vectors = query_vectors(Topics(deployment).embeddings())
        with Reader(searcher, vectors[:20]) as reader:
            self._send(deployment, self.second)
            wait_until(lambda: self.is_replaced(searcher, before), "replacements", SECONDS, 0.5)
        self.mixed = reader.mixed
        for name in self.deleted:
            delete(searcher, name)
        return query_vectors(Topics(deployment).embeddings())

    def versions(self, searcher: Service) -> dict[str, int]:
        return {name: row["version"] for name, row in rows(searcher).items()}

    def is_replaced(self, searcher: Service, before: dict[str, int]) -> bool:
        """Whether every video that is to be replaced is so since `before`."""
        now = self.versions(searcher)
        return all(now.get(name, 0) > before[name] for name in self.replaced)

    def answers(self, searcher: Service, vectors: Float32Array) -> Answers:
        return answers_of(searcher, vectors, self.matched, k=_K)

    def not_once(self, deployment: Deployment, searcher: Service) -> list[str]:
        """How it is not so that every segment of what is searchable is found exactly once."""
        versions = self.versions(searcher)
        log: dict[str, Embedding] = {
            name: one
            for name, one in Topics(deployment).embeddings().items()
            if versions.get(one.ref.video_id) == one.ref.version
        }
        return not_once(searcher, log)

    def _send(self, deployment: Deployment, source: Path) -> None:
        ledger = deployment.folder / "producer"
        producer = deployment.service(
            f"producer-{source.stem}", "ingest", source, "--data", ledger, "--json"
        )
        if producer.wait(SECONDS):
            raise RuntimeError(producer.text())


class Reader(Background):
    """Asks a searcher all the while, and looks whether one answer holds two versions of a video."""

    def __init__(self, service: Service, vectors: Float32Array) -> None:
        self.mixed: list[str] = []
        self.answers = 0
        self._service = service
        self._vectors = vectors

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if not self.answers:
            self.mixed.append("nothing answered")

    def run(self) -> None:
        with client_of(self._service) as client:
            while not self.stopping.wait(0.02):
                for hits in client.search(self._vectors, k=_K).items:
                    versions: dict[str, set[int]] = defaultdict(set)
                    for hit in hits:
                        versions[hit.video_id].add(hit.version)
                    self.answers += 1
                    self.mixed += [
                        f"{name}: {found}" for name, found in versions.items() if len(found) > 1
                    ]


def described(searcher: Service) -> dict[str, dict[str, Any]]:
    """Every row but the moment it was indexed."""
    return {
        name: {key: value for key, value in row.items() if key != "indexed_at"}
        for name, row in rows(searcher).items()
    }
