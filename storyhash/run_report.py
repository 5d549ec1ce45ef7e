"""The report of a run over many videos, in the same form for every command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from common.errors import VideoError
from common.types import CatalogEntry
from common.uris import public_uri
from ingest.catalogue import RejectedVideo


@dataclass(slots=True)
class RunReport:
    """Counts and messages of a run. video_seconds: seconds of video. elapsed_seconds: seconds of clock
    time. damaged: what was lost of videos that are done. notes: what was ignored on purpose."""

    done: int = 0
    segments: int = 0
    video_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    failed: list[tuple[CatalogEntry, VideoError]] = field(default_factory=list)
    damaged: list[tuple[CatalogEntry, str]] = field(default_factory=list)
    notes: list[tuple[CatalogEntry, str]] = field(default_factory=list)

    def add(
        self, entry: CatalogEntry, video_seconds: float, damaged: str | None, notes: str | None
    ) -> None:
        """Count a video that is done."""
        self.done += 1
        self.video_seconds += video_seconds
        if damaged:
            self.damaged.append((entry, damaged))
        if notes:
            self.notes.append((entry, notes))

    def to_json(self, verb: str, refused: Sequence[RejectedVideo] = ()) -> dict[str, Any]:
        """The JSON of the report, for --json. verb: the key of the count, for example `indexed`. refused:
        videos that failed without being tried."""
        failed = [
            RejectedVideo(entry.video_id, public_uri(entry.uri), error.code, str(error))
            for entry, error in self.failed
        ]
        return {
            verb: self.done,
            "failed": [asdict(video) for video in (*failed, *refused)],
            "damaged": _messages(self.damaged),
            "notes": _messages(self.notes),
            "segments": self.segments,
            "video_seconds": round(self.video_seconds, 3),
            "elapsed_seconds": round(self.elapsed_seconds, 3),
        }


def _messages(notes: Sequence[tuple[CatalogEntry, str]]) -> list[dict[str, str]]:
    return [{"video_id": entry.video_id, "message": message} for entry, message in notes]
