"""What an index run did, video by video and in all."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.errors import VideoError
from storyhash.pipeline.index_plan import WorkItem
from storyhash.run_report import RunReport


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
class IndexReport(RunReport):
    """`stage_seconds` adds up what each step took over all processes and threads."""

    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def realtime_factor(self) -> float:
        """Seconds of video indexed in one second of the clock."""
        return self.video_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    def count(self, outcome: VideoOutcome) -> None:
        """Count one video."""
        entry = outcome.item.entry
        if outcome.error is not None:
            self.failed.append((entry, outcome.error))
            return
        self.segments += outcome.segments
        self.add(entry, outcome.duration_seconds, outcome.damaged, outcome.notes)
