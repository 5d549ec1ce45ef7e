"""What the services tell each other besides segments and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from common.types import CatalogEntry, Embedding, Segment, SegmentRef

Outcome: TypeAlias = Literal["complete", "failed"]


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """The producer is done with one version of a video.

    complete: it has `segments` segments, all of which are out; `error_message` may say what was damaged.
    failed: it cannot be used and `error_code` says why; segments that are out count for nothing.
    """

    entry: CatalogEntry
    version: int
    outcome: Outcome
    duration_seconds: float = 0.0
    segments: int = 0
    error_code: str = ""
    error_message: str = ""

    @property
    def video_id(self) -> str:
        return self.entry.video_id


@dataclass(frozen=True, slots=True)
class SegmentFailed:
    """A segment went to the dead letters: its video is whole without it, until it is replayed."""

    ref: SegmentRef
    error_code: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """Every version of the video up to this one is gone for good."""

    video_id: str
    version: int


@dataclass(frozen=True, slots=True)
class HeldModel:
    """The model whose vectors a log holds."""

    model_id: str


@dataclass(frozen=True, slots=True)
class MatchEvent:
    """What a new video was found to be. report: as `match --json` prints it."""

    video_id: str
    version: int
    report: Mapping[str, Any]


Event: TypeAlias = (
    Segment | Embedding | VideoEnd | SegmentFailed | Deletion | HeldModel | MatchEvent
)
