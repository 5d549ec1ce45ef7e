"""Producer, embedders and searcher are killed again and again; every segment is searchable exactly once,
and answers are those of a run in which nobody was killed."""

from __future__ import annotations

import random
import time
from typing import Any

from tests.faults.harness import Trial, run
from tests.faults.kill_processes import Killer
from tests.faults.stream import (
    Topics,
    deployment_of,
    mended,
    not_once,
    query_vectors,
    settled,
    start_all,
)
from tests.faults.videos import Manifest, manifest, sources
from tests.kafka_broker import KafkaBroker
from tests.support.searcher import Answers, answers_of
from tests.support.services import Deployment, Service, wait_until

_SECONDS = 1800.0
_MATCHED = 25


def kills(trial: Trial) -> None:
    """The scenario."""
    videos = sources(trial)
    work = manifest(trial.folder / "catalogue.jsonl", videos, trial.size(2000, 240))
    each = trial.size(5, 3)
    trial.figures |= {"videos": len(work.names)}
    with KafkaBroker(trial.folder / "kafka") as broker:
        with deployment_of(trial.folder, broker.bootstrap_servers, "calm") as calm:
            trial.figures["undisturbed"] = _stream(trial, calm, work, 0)
            log = Topics(calm).embeddings()
            vectors = query_vectors(log)
            k = 2 * len(work.names) // len(videos) + 20
            matched = work.names[:: max(1, len(work.names) // _MATCHED)]
            expected = answers_of(calm.services["searcher"], vectors, matched, k=k)
            trial.promise(
                "undisturbed: every segment is searchable exactly once",
                not_once(calm.services["searcher"], log),
            )
        trial.figures["segments"] = expected.segments
        with deployment_of(trial.folder, broker.bootstrap_servers, "fire") as fire:
            trial.figures["disturbed"] = _stream(trial, fire, work, each)
            check(trial, fire, expected, vectors, matched, k)


def _stream(trial: Trial, deployment: Deployment, work: Manifest, each: int) -> dict[str, Any]:
    """Run it all to its end, each kind killed `each` times; figures."""
    start_all(deployment)
    services = deployment.services
    services["searcher"].ready()
    producer = deployment.producer(work.path)
    began = time.monotonic()
    # Spread over the first half of what the undisturbed run took, or somebody is done too early. Their
    # chances must not depend on one another's speed.
    undisturbed = trial.figures.get("undisturbed", {"seconds": 0.0})["seconds"]
    at_most = undisturbed / max(1, each)
    killers = [
        Killer(stage, victims, each, at_most, random.Random(trial.seed + number))
        for number, (stage, victims) in enumerate(
            {
                "ingest": [producer],
                "embed": [services["embedder-1"], services["embedder-2"]],
                "search": [services["searcher"]],
            }.items()
        )
    ]
    for killer in killers:
        killer.start()
    ended(trial, producer, _SECONDS)
    wait_until(lambda: settled(services["searcher"], work.names), "every video", _SECONDS, 0.5)
    seconds = time.monotonic() - began
    for killer in killers:
        killer.enough.set()
    for killer in killers:
        killer.join()
    # A last kill may have come after the last video.
    services["searcher"].ready()
    wait_until(lambda: settled(services["searcher"], work.names), "every video", _SECONDS, 0.5)
    topics = Topics(deployment)
    figures: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "messages": {
            name: topics.written(topic)
            for name, topic in (
                ("segments", topics.names.segments),
                ("embeddings", topics.names.embeddings),
            )
        },
    }
    if each:
        figures["kills"] = {killer.stage: killer.done for killer in killers}
        figures["kills_at_work"] = {killer.stage: killer.at_work for killer in killers}
        trial.promise(
            "every kind was killed at least three times, and ten times in all",
            [f"{one.stage}: {one.done}" for one in killers if one.done < 3]
            + ([] if sum(one.done for one in killers) >= 10 or trial.quick else ["not ten"]),
        )
    return figures


def ended(trial: Trial, producer: Service, seconds: float) -> None:
    """Wait until a producer has ended by itself, however often it is killed and started meanwhile."""
    deadline = time.monotonic() + seconds
    quiet = 0
    while quiet < 10 and time.monotonic() < deadline:
        # Between a kill and the next start it has not ended, it was ended.
        quiet = 0 if producer.running or (producer.exit_code or 0) < 0 else quiet + 1
        time.sleep(0.1)
    trial.promise(
        "the producer ends in order",
        [] if producer.exit_code == 0 else [f"exit {producer.exit_code}: {producer.text()[-500:]}"],
    )


def check(
    trial: Trial,
    deployment: Deployment,
    expected: Answers,
    vectors: Any,
    matched: list[str],
    k: int,
) -> None:
    """Everything that must be as in the undisturbed run."""
    searcher = deployment.services["searcher"]
    topics = Topics(deployment)
    log = topics.embeddings()
    trial.promise("every segment is searchable exactly once", not_once(searcher, log))
    trial.promise(
        "answers are those of the undisturbed run",
        expected.differences(answers_of(searcher, vectors, matched, k=k)),
    )
    trial.promise("the index never differs from its mirror", mended(searcher))
    letters = deployment.run("dead-letters", "list", "--json")
    trial.promise(
        "nothing is a dead letter", [] if '"items": []' in letters.stdout else [letters.stdout]
    )
    told = topics.matches()
    trial.promise(
        "every video's match is published",
        [f"{name} is not" for name in expected.videos if not told[name]],
    )
    trial.figures["match_events"] = {"videos": len(told), "events": told.total()}


if __name__ == "__main__":
    run("kills", __doc__, kills)
