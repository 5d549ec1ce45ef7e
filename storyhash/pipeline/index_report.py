"""What an index run did, video by video and in all."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.errors import VideoError
from storyhash.pipeline.index_plan import WorkItem


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What became of one video: searchable, or not, as `error` says, or `dropped`, as nobody wanted it
    any more. `damaged` says what was lost of it, `notes` what was passed over on purpose."""

    item: WorkItem
    error: VideoError | None = None
    segments: int = 0
    duration_seconds: float = 0.0
    damaged: str | None = None
    notes: str | None = None
    dropped: bool = False


@dataclass(slots=True)
class IndexReport:
    """What a run did. Seconds are of video; `elapsed_seconds` is of the clock.

    `stage_seconds` adds up what each step took over all processes and threads.
    """

    indexed: int = 0
    segments: int = 0
    video_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    failed: list[tuple[WorkItem, VideoError]] = field(default_factory=list)
    damaged: list[tuple[WorkItem, str]] = field(default_factory=list)
    notes: list[tuple[WorkItem, str]] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def realtime_factor(self) -> float:
        """Seconds of video indexed in one second of the clock."""
        return self.video_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    def add(self, outcome: VideoOutcome) -> None:
        """Count one video."""
        if outcome.error is not None:
            self.failed.append((outcome.item, outcome.error))
            return
        self.indexed += 1
        self.segments += outcome.segments
        self.video_seconds += outcome.duration_seconds
        if outcome.damaged:
            self.damaged.append((outcome.item, outcome.damaged))
        if outcome.notes:
            self.notes.append((outcome.item, outcome.notes))
