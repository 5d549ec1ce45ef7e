"""The same catalogue streamed twice, once undisturbed: what the other run must come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.types import Float32Array
from tests.faults.harness import Trial
from tests.faults.stream import (
    Topics,
    all_ready,
    deployment_of,
    mended,
    not_once,
    query_vectors,
    start_all,
)
from tests.faults.videos import Manifest, manifest, sources
from tests.support.searcher import Answers, answers_of
from tests.support.services import Deployment, Service, wait_until

SECONDS = 1800.0
_MATCHED = 20


@dataclass(frozen=True)
class Reference:
    """A catalogue and what a searcher answers about it when nothing is disturbed."""

    work: Manifest
    answers: Answers
    vectors: Float32Array
    matched: list[str]
    k: int

    def ask(self, searcher: Service) -> Answers:
        return answers_of(searcher, self.vectors, self.matched, k=self.k)

    def check(self, trial: Trial, deployment: Deployment, about: str = "") -> None:
        """Nothing is lost, doubled or otherwise than undisturbed."""
        searcher = deployment.services["searcher"].ready()
        head = f"{about}: " if about else ""
        log = Topics(deployment).embeddings()
        trial.promise(f"{head}every segment is searchable exactly once", not_once(searcher, log))
        trial.promise(
            f"{head}answers are those of the undisturbed run",
            self.answers.differences(self.ask(searcher)),
        )
        trial.promise(f"{head}the index never differs from its mirror", mended(searcher))
        told = deployment.run("dead-letters", "list", "--json").stdout
        trial.promise(f"{head}nothing is a dead letter", [] if '"items": []' in told else [told])


def reference(trial: Trial, servers: str, segments: int, **settings: Any) -> Reference:
    """Stream a catalogue of so many segments through services that nobody disturbs."""
    videos = sources(trial)
    work = manifest(trial.folder / "catalogue.jsonl", videos, segments)
    began = time.monotonic()
    with deployment_of(trial.folder, servers, "calm", **settings) as calm:
        start_all(calm)
        producer = calm.producer(work.path)
        if producer.wait(SECONDS):
            raise RuntimeError(producer.text())
        searcher = calm.services["searcher"]
        wait_until(lambda: all_ready(searcher, work.names), "every video", SECONDS, 0.5)
        trial.figures["undisturbed_seconds"] = round(time.monotonic() - began, 1)
        vectors = query_vectors(Topics(calm).embeddings())
        k = 2 * len(work.names) // len(videos) + 20
        matched = work.names[:: max(1, len(work.names) // _MATCHED)]
        answers = answers_of(searcher, vectors, matched, k=k)
    trial.figures |= {"videos": len(work.names), "segments": answers.segments}
    return Reference(work, answers, vectors, matched, k)


def streamed(
    deployment: Deployment, source: Path, names: list[str], disturb: Callable[[], None]
) -> float:
    """Send a catalogue through running services, disturb them, wait until all is searchable; seconds.

    No service may have ended by itself. Raises RuntimeError when one has, TimeoutError.
    """
    began = time.monotonic()
    producer = deployment.producer(source)
    disturb()
    code = producer.wait(SECONDS)
    if code:
        raise RuntimeError(f"the producer ended with {code}: {producer.text()[-2000:]}")
    searcher = deployment.services["searcher"]

    def done() -> bool:
        for service in deployment.services.values():
            if not service.running and service is not producer:
                raise RuntimeError(f"{service.name} ended: {service.text()[-3000:]}")
        return all_ready(searcher, names)

    wait_until(done, "every video", SECONDS, 0.5)
    return time.monotonic() - began
