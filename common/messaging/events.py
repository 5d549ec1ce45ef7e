"""The events between services, besides segments and embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from common.types import CatalogEntry, Embedding, Segment, SegmentRef, check_name

Outcome: TypeAlias = Literal["complete", "failed"]


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """The producer has finished one version of a video.

    outcome `complete`: all of its `segments` segments are published; `error_message` may describe damage.
    outcome `failed`: the video cannot be used, `error_code` says why, and its segments do not count.
    segments_digest: `segments_digest` of its segment ids; empty from an older producer. origin: name of
    the producer, stored in its data folder; empty from an older producer.
    """

    entry: CatalogEntry
    version: int
    outcome: Outcome
    duration_seconds: float = 0.0
    segments: int = 0
    error_code: str = ""
    error_message: str = ""
    segments_digest: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        _check_version(self.version)
        if self.outcome not in get_args(Outcome):
            raise ValueError(f"outcome: expected complete or failed, got {self.outcome!r}")
        if self.duration_seconds < 0 or self.segments < 0:
            raise ValueError(
                "duration_seconds and segments: expected at least 0, "
                f"got {self.duration_seconds} and {self.segments}"
            )

    @property
    def video_id(self) -> str:
        return self.entry.video_id


@dataclass(frozen=True, slots=True)
class SegmentFailed:
    """A segment became a dead letter. Its video is complete without it until it is replayed."""

    ref: SegmentRef
    error_code: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """Deletes every version of the video up to this one."""

    video_id: str
    version: int

    def __post_init__(self) -> None:
        check_name("video_id", self.video_id)
        _check_version(self.version)


@dataclass(frozen=True, slots=True)
class LogModel:
    """The model of a log's vectors."""

    model_id: str

    def __post_init__(self) -> None:
        check_name("model_id", self.model_id)


@dataclass(frozen=True, slots=True)
class MatchEvent:
    """The matches of a new video. report: as in `match --json`."""

    video_id: str
    version: int
    report: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_name("video_id", self.video_id)
        _check_version(self.version)


Event: TypeAlias = Segment | Embedding | VideoEnd | SegmentFailed | Deletion | LogModel | MatchEvent


def segments_digest(segment_ids: Iterable[str]) -> str:
    """Digest of a set of segment ids, 32 hexadecimal digits; independent of order and repetition.

    Two ways to cut a video into the same number of segments have different digests.
    """
    digest = hashlib.blake2b(digest_size=16)
    for segment_id in sorted({name.encode("utf-8", "surrogatepass") for name in segment_ids}):
        digest.update(len(segment_id).to_bytes(8, "little"))
        digest.update(segment_id)
    return digest.hexdigest()


def _check_version(version: int) -> None:
    if version < 1:
        raise ValueError(f"version: expected >= 1, got {version}")
