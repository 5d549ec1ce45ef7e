"""Hostile files as segments, through Kafka and an embedder."""

from __future__ import annotations

from collections.abc import Sequence

from common.messaging.events import VideoEnd
from common.messaging.wire import Envelope, to_message
from common.types import CatalogEntry, Segment, SegmentRef
from tests.faults.harness import Trial
from tests.faults.hostile import HostileInput
from tests.faults.hostile_files.watched import check_memory
from tests.faults.memory import MemoryWatch
from tests.faults.stream import Topics, deployment_of
from tests.kafka_broker import KafkaBroker
from tests.support.services import Deployment, wait_until


def through_embed(trial: Trial, made: Sequence[HostileInput]) -> None:
    """Every file as the clip of a segment over Kafka: an embedding, or a dead letter."""
    with (
        KafkaBroker(trial.folder / "kafka") as broker,
        deployment_of(trial.folder, broker.bootstrap_servers, "hostile") as deployment,
    ):
        deployment.create_topics()
        names = _publish(deployment, made)
        embedder = deployment.embedder()
        # Where it listens it says once its model is loaded.
        trial.say(f"embedder at {embedder.url}")
        with MemoryWatch(embedder.pid) as memory:
            ended = _ended(deployment, names, trial)
        trial.figures["embed"] = {
            **memory.figures,
            "embedded": len(ended["embedded"]),
            "dead letters": len(ended["letters"]),
        }
        lost = [name for name in names if name not in ended["embedded"] | ended["letters"]]
        trial.promise("embedder: every clip is an embedding or a dead letter", lost)
        trial.promise("embedder: it is alive", not embedder.running)
        trial.promise("embedder: no traceback", "Traceback" in embedder.text())
        check_memory(trial, "embed", memory)


def _publish(deployment: Deployment, made: Sequence[HostileInput]) -> dict[str, HostileInput]:
    """A video of one segment for each file that fits into a message."""
    topics = Topics(deployment)
    publisher = topics.transport.publisher()
    names = {}
    for number, one in enumerate(made):
        if not one.content or len(one.content) > 4 << 20:
            continue
        name = f"hostile-{number:03d}"
        names[name] = one
        segment = Segment(SegmentRef(name, 0.0, 4.0), one.content)
        end = VideoEnd(CatalogEntry(name, f"/films/{name}"), 1, "complete", 4.0, 1)
        for event in (segment, end):
            publisher.publish(to_message(topics.names.segments, Envelope(event)))
    publisher.flush()
    publisher.close()
    return names


def _ended(
    deployment: Deployment, names: dict[str, HostileInput], trial: Trial
) -> dict[str, set[str]]:
    """The videos whose end has come through, by what became of their segment."""
    topics = Topics(deployment)

    def look() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {"embedded": set(), "letters": set(), "ends": set()}
        found["embedded"] = {one.ref.video_id for one in topics.embeddings().values()}
        for event in topics.events(topics.names.embeddings):
            if isinstance(event, VideoEnd):
                found["ends"].add(event.video_id)
        for received in topics.messages(topics.names.dead_letters):
            key = dict(received.headers).get("dead-letter-key", received.key).decode()
            found["letters"].add(key.partition("@")[0])
        return found

    wait_until(lambda: look()["ends"] >= names.keys(), "every video's end", len(names) * 20.0, 2.0)
    trial.say("every end has come")
    return look()
