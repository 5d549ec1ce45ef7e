"""The topics, how each is configured, and which key and partition a message has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.settings import KafkaSettings, VideoSettings

# What a clip's message holds besides the clip: identity, headers, framing.
_MESSAGE_OVERHEAD_BYTES = 64 * 1024
_MIN_MESSAGE_BYTES = 1 << 20
_GENERATION = re.compile(r"\.[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics of one generation. `segments` serves all generations; a backfill is for one."""

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
        """Their group on the backfill."""
        return f"{self.embedders}.backfill"

    @property
    def searchers(self) -> str:
        """The group under which searchers tell how far they have read."""
        return f"{self.embeddings}.searcher"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must be. `config`: Kafka's own names and values."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def takes_replays(topic: str, prefix: str) -> bool:
    """Whether a dead letter may be sent back to a topic: one of ours, of any generation, from which
    services read."""
    for name in (f"{prefix}.segments", f"{prefix}.segments.backfill", f"{prefix}.embeddings"):
        rest = topic.removeprefix(name)
        if topic.startswith(name) and (not rest or _GENERATION.fullmatch(rest)):
            return True
    return False


def max_message_bytes(video: VideoSettings) -> int:
    """Largest message, from the one setting that bounds a clip."""
    return max(_MIN_MESSAGE_BYTES, video.max_clip_bytes + _MESSAGE_OVERHEAD_BYTES)


def topic_specs(kafka: KafkaSettings, video: VideoSettings) -> list[TopicSpec]:
    """Every topic as `storyhash topics create` makes it."""
    names = TopicNames.of(kafka)
    size = {
        "max.message.bytes": str(max_message_bytes(video)),
        # What is kept how long, and which version is from the future, is decided by the brokers' clock.
        "message.timestamp.type": "LogAppendTime",
    }
    # With three copies two must hold a message before it counts as written.
    safe = {"min.insync.replicas": str(max(1, kafka.replication - 1))}
    kept = {"cleanup.policy": "delete", "retention.ms": str(round(kafka.retention_hours * 3.6e6))}
    log = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.2",
        # Without it a log that few write to is not compacted for a week.
        "max.compaction.lag.ms": str(round(kafka.purge_hours * 3.6e6)),
    }

    def spec(name: str, partitions: int, config: dict[str, str]) -> TopicSpec:
        return TopicSpec(name, partitions, kafka.replication, size | safe | config)

    return [
        spec(names.segments, kafka.partitions, kept),
        spec(names.backfill, kafka.partitions, kept),
        spec(names.embeddings, kafka.partitions, log),
        spec(names.matches, kafka.partitions, kept),
        spec(names.dead_letters, 1, kept),
        spec(names.clock, 1, kept),
    ]
