"""The report of an index run: each video and the totals."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.errors import VideoError
from storyhash.pipeline.index_plan import WorkItem
from storyhash.run_report import RunReport


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """The result of one video: searchable, failed with `error`, or `dropped` because it was not wanted
    any more. damaged: what was lost to damage. notes: what was ignored on purpose. second: the result in
    the second index, if it was written there too."""

    item: WorkItem
    error: VideoError | None = None
    segments: int = 0
    duration_seconds: float = 0.0
    damaged: str | None = None
    notes: str | None = None
    dropped: bool = False
    second: VideoOutcome | None = None

    @property
    def is_searchable(self) -> bool:
        return self.error is None and not self.dropped


@dataclass(slots=True)
class IndexReport(RunReport):
    """A RunReport with `stage_seconds`: the time of each step, summed over all processes and threads."""

    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def realtime_factor(self) -> float:
        """Seconds of video indexed per second of elapsed time."""
        return self.video_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    def count(self, outcome: VideoOutcome) -> None:
        """Add the outcome of one video."""
        entry = outcome.item.entry
        if outcome.error is not None:
            self.failed.append((entry, outcome.error))
            return
        self.segments += outcome.segments
        self.add(entry, outcome.duration_seconds, outcome.damaged, outcome.notes)

    def add_report(self, other: IndexReport) -> None:
        """Add what another run did. `stage_seconds` stay."""
        self.done += other.done
        self.segments += other.segments
        self.video_seconds += other.video_seconds
        self.elapsed_seconds += other.elapsed_seconds
        self.failed += other.failed
        self.damaged += other.damaged
        self.notes += other.notes
