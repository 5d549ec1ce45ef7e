"""The topics: names, configuration, and size of the largest message."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.settings import KafkaSettings, VideoSettings

# Size of a clip's message without the clip: identity, headers, framing.
_MESSAGE_OVERHEAD_BYTES = 64 * 1024
_MIN_MESSAGE_BYTES = 1 << 20
_GENERATION = re.compile(r"\.[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics of one generation. `segments` is for all generations; a backfill is for one."""

    segments: str
    backfill: str
    embeddings: str
    matches: str
    dead_letters: str
    clock: str

    @classmethod
    def of(cls, settings: KafkaSettings) -> TopicNames:
        prefix = settings.topic_prefix
        tail = f".{settings.generation}" if settings.generation else ""
        return cls(
            segments=f"{prefix}.segments",
            backfill=f"{prefix}.segments.backfill{tail}",
            embeddings=f"{prefix}.embeddings{tail}",
            matches=f"{prefix}.matches",
            dead_letters=f"{prefix}.dead-letters",
            clock=f"{prefix}.clock",
        )

    @property
    def embedders(self) -> str:
        """The consumer group of the embedders on live segments."""
        return f"{self.embeddings}.embedder"

    @property
    def backfill_embedders(self) -> str:
        """The consumer group of the embedders on the backfill."""
        return f"{self.embedders}.backfill"

    @property
    def searchers(self) -> str:
        """The consumer group under which searchers commit their offsets."""
        return f"{self.embeddings}.searcher"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """The expected state of one topic. config: Kafka's own names and values."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def takes_replays(topic: str, prefix: str) -> bool:
    """Whether a dead letter may be sent back to a topic: a topic of ours, of any generation, that
    services read."""
    for name in (f"{prefix}.segments", f"{prefix}.segments.backfill", f"{prefix}.embeddings"):
        suffix = topic.removeprefix(name)
        if topic.startswith(name) and (not suffix or _GENERATION.fullmatch(suffix)):
            return True
    return False


def max_message_bytes(video: VideoSettings) -> int:
    """Size of the largest message, from the setting that bounds a clip."""
    return max(_MIN_MESSAGE_BYTES, video.max_clip_bytes + _MESSAGE_OVERHEAD_BYTES)


def topic_specs(kafka: KafkaSettings, video: VideoSettings) -> list[TopicSpec]:
    """Every topic as `storyhash topics create` makes it."""
    names = TopicNames.of(kafka)
    size = {
        "max.message.bytes": str(max_message_bytes(video)),
        # Retention and the check for versions from the future use the brokers' clock.
        "message.timestamp.type": "LogAppendTime",
    }
    # With three replicas, two must have a message before it is acknowledged.
    safe = {"min.insync.replicas": str(max(1, kafka.replication - 1))}
    deleted_by_age = {
        "cleanup.policy": "delete",
        "retention.ms": str(round(kafka.retention_hours * 3.6e6)),
    }
    log = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.2",
        # Otherwise a log with few writes is not compacted for a week.
        "max.compaction.lag.ms": str(round(kafka.purge_hours * 3.6e6)),
    }

    def spec(name: str, partitions: int, config: dict[str, str]) -> TopicSpec:
        return TopicSpec(name, partitions, kafka.replication, size | safe | config)

    return [
        spec(names.segments, kafka.partitions, deleted_by_age),
        spec(names.backfill, kafka.partitions, deleted_by_age),
        spec(names.embeddings, kafka.partitions, log),
        spec(names.matches, kafka.partitions, deleted_by_age),
        spec(names.dead_letters, 1, deleted_by_age),
        spec(names.clock, 1, deleted_by_age),
    ]
