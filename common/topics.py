"""The topics, how each is configured, and which key and partition a message has."""

from __future__ import annotations

from dataclasses import dataclass

from common.settings import KafkaSettings, VideoSettings

# What a clip's message holds besides the clip: identity, headers, framing.
_MESSAGE_OVERHEAD_BYTES = 64 * 1024
_MIN_MESSAGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics of one generation. `segments` serves all generations; a backfill is for one."""

    segments: str
    backfill: str
    embeddings: str
    matches: str
    dead_letters: str

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
        )


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must be. `config`: Kafka's own names and values."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def max_message_bytes(video: VideoSettings) -> int:
    """Largest message, from the one setting that bounds a clip."""
    return max(_MIN_MESSAGE_BYTES, video.max_clip_bytes + _MESSAGE_OVERHEAD_BYTES)


def topic_specs(kafka: KafkaSettings, video: VideoSettings) -> list[TopicSpec]:
    """Every topic as `storyhash topics create` makes it."""
    names = TopicNames.of(kafka)
    size = {"max.message.bytes": str(max_message_bytes(video))}
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
    ]
