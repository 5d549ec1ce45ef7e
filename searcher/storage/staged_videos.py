"""Staging of incomplete videos.

The segments of a version are counted when they arrive, so that every message costs the same, even the ten
thousandth of a video. They are read once, when the video is complete.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from common.messaging.events import SegmentFailed, VideoEnd, segments_digest
from common.messaging.wire import decode_event, encode_event, log_key
from common.slices import slices
from common.types import Embedding
from searcher.storage.database import Database
from searcher.storage.segmentations import segmentations

Part: TypeAlias = Embedding | SegmentFailed
# The tables of what has come of an incomplete video.
STAGED_PARTS = ("staged_segments", "staged_thumbnails")
# SQLite takes so many values in one statement for certain.
_AT_ONCE = 500
# Of a version: a larger number may be none that SQLite takes.
_MOST_DIGITS = 18


@dataclass(slots=True)
class PartialVideo:
    """An incomplete version of a video: parts by segment id, each with its production time."""

    video_id: str
    version: int
    parts: dict[str, tuple[Part, float]] = field(default_factory=dict)
    end: tuple[VideoEnd, float] | None = None

    def add(self, part: Part, produced_at: float) -> None:
        """Add a part. An embedding replaces a failure of the same segment, but not the reverse."""
        segment_id = part.ref.segment_id
        if isinstance(part, Embedding) or segment_id not in self.parts:
            self.parts[segment_id] = (part, produced_at)

    @property
    def failed(self) -> bool:
        """Whether its producer reported a failure, or the version was dropped."""
        return self.end is not None and self.end[0].outcome == "failed"

    def enough(self, count: int) -> bool:
        """Whether this number of parts may be complete."""
        return self.end is not None and not self.failed and count >= self.end[0].segments

    @property
    def whole(self) -> bool:
        """Whether exactly the expected segments are there."""
        if self.end is None or not self.enough(len(self.parts)):
            return False
        return self.end[0].segments_digest in ("", segments_digest(self.parts))

    def sort_out(self) -> list[Part]:
        """Keep the segments that its end counts, if they can be distinguished from those of another
        segmentation of the same version, and return the others."""
        if self.end is None or self.whole:
            return []
        refs = [part.ref for part, _ in self.parts.values()]
        for names in segmentations(refs):
            if segments_digest(names) == self.end[0].segments_digest:
                others = [part for name, (part, _) in self.parts.items() if name not in names]
                self.parts = {name: self.parts[name] for name in names}
                return others
        return []

    @property
    def embeddings(self) -> list[Embedding]:
        """The embeddings of its segments, in time order."""
        found = [part for part, _ in self.parts.values() if isinstance(part, Embedding)]
        return sorted(found, key=lambda one: one.ref.start_seconds)

    @property
    def missing(self) -> list[str]:
        """Ids of the segments that failed."""
        return [name for name, (part, _) in self.parts.items() if isinstance(part, SegmentFailed)]


@dataclass(frozen=True, slots=True)
class StagedVideo:
    """An incomplete version of a video. expected_segments: None before its end; idle_seconds: time since
    its last message; reason: what it waits for."""

    video_id: str
    version: int
    segments: int
    expected_segments: int | None
    idle_seconds: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As the API and the command line print it."""
        return asdict(self)


class StagedVideos:
    """The tables of incomplete videos. Call changes inside a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def complete(self, gathered: PartialVideo) -> bool:
        """Add the staged parts to the new ones if this may complete the video; else returns False. Its
        end is added in any case."""
        key = gathered.video_id, gathered.version
        self._add_end(gathered)
        if gathered.failed:
            return False
        known = self._known(gathered)
        if not gathered.enough(self._count(*key) + len(gathered.parts) - len(known)):
            return False
        for produced_at, event in self._database.query(
            "SELECT produced_at, event FROM staged_segments WHERE video_id = ? AND version = ?",
            *key,
        ):
            part: Part = decode_event(event)
            held = gathered.parts.get(part.ref.segment_id)
            if held is None or isinstance(part, Embedding):
                gathered.parts[part.ref.segment_id] = (part, produced_at)
        return True

    def stage(self, gathered: PartialVideo, fresh: Iterable[str]) -> None:
        """Store the parts of an incomplete video; fresh: ids of the new segments."""
        key = gathered.video_id, gathered.version
        with self._database.change() as execute:
            added = 0
            for segment_id in fresh:
                part, produced_at = gathered.parts[segment_id]
                if isinstance(part, Embedding) and part.thumbnails:
                    # In a row of their own: a complete video is read at once, its pictures are not.
                    execute(
                        "INSERT OR REPLACE INTO staged_thumbnails VALUES (?, ?, ?, ?)",
                        *(*key, segment_id, part.thumbnails),
                    )
                    part = replace(part, thumbnails=b"")
                values = (*key, segment_id, produced_at, encode_event(part))
                # A segment that is staged already stays, unless only its failure is staged.
                added += execute(
                    "INSERT OR IGNORE INTO staged_segments VALUES (?, ?, ?, ?, ?)", *values
                ).rowcount
                if isinstance(part, Embedding):
                    execute(
                        "INSERT OR REPLACE INTO staged_segments VALUES (?, ?, ?, ?, ?)", *values
                    )
            if gathered.end is not None:
                end, produced_at = gathered.end
                execute(
                    "INSERT OR REPLACE INTO staged_ends VALUES (?, ?, ?, ?)",
                    *key,
                    produced_at,
                    encode_event(end),
                )
            if not gathered.failed:
                execute(
                    "INSERT INTO staged_videos VALUES (?, ?, ?, ?) ON CONFLICT (video_id, version) "
                    "DO UPDATE SET segments = segments + excluded.segments, last_at = excluded.last_at",
                    *key,
                    added,
                    time.time(),
                )

    def thumbnails(self, video_id: str, version: int) -> Iterator[tuple[str, bytes]]:
        """The ids of the staged segments that have pictures, each with its packed pictures."""
        rows = self._database.query(
            "SELECT rowid, segment_id FROM staged_thumbnails WHERE video_id = ? AND version = ?",
            *(video_id, version),
        )
        for row_id, segment_id in rows:
            ((packed,),) = self._database.query(
                "SELECT packed FROM staged_thumbnails WHERE rowid = ?", row_id
            )
            yield str(segment_id), bytes(packed)

    def fail(self, gathered: PartialVideo) -> None:
        """Store only the failure of a version, so that later segments of it are dropped."""
        key = gathered.video_id, gathered.version
        with self._database.change() as execute:
            for table in (*STAGED_PARTS, "staged_videos"):
                execute(f"DELETE FROM {table} WHERE video_id = ? AND version = ?", *key)
        self.stage(gathered, ())

    def keys(self, video_id: str, version: int, first_version: int = 0) -> list[bytes]:
        """Every key in the log of the staged parts of a video, from `first_version` up to this one."""
        between = (video_id, first_version, version)
        parts = self._database.query(
            "SELECT event FROM staged_segments WHERE video_id = ? AND version BETWEEN ? AND ? "
            "UNION ALL SELECT event FROM staged_ends WHERE video_id = ? AND version BETWEEN ? AND ?",
            *between,
            *between,
        )
        return [log_key(decode_event(event)) for (event,) in parts]

    def waiting_videos(self) -> int:
        """Number of incomplete versions."""
        ((count,),) = self._database.query("SELECT count(*) FROM staged_videos")
        return int(count)

    def idle(self, bounds_seconds: Sequence[float]) -> list[int]:
        """Histogram of incomplete versions by the time since their last message: one count per bound, and
        one above all bounds."""
        now = time.time()
        counts: list[int] = []
        for bound in bounds_seconds:
            ((count,),) = self._database.query(
                "SELECT count(*) FROM staged_videos WHERE last_at > ?", now - bound
            )
            counts.append(int(count) - sum(counts))
        return [*counts, self.waiting_videos() - sum(counts)]

    def staged(self, *, after: str = "", limit: int = 100) -> tuple[list[StagedVideo], str | None]:
        """A page of incomplete versions, by id and version, and the cursor of the next page, or None."""
        video_id, _, version = after.rpartition("@v") if after else ("", "", "0")
        rows = self._database.query(
            "SELECT staged_videos.video_id, staged_videos.version, segments, last_at, event "
            "FROM staged_videos LEFT JOIN staged_ends USING (video_id, version) "
            "WHERE (video_id, version) > (?, ?) ORDER BY video_id, version LIMIT ?",
            video_id,
            int(version) if version.isdecimal() and len(version) <= _MOST_DIGITS else 0,
            limit + 1,
        )
        found = [self._staged_video(*row) for row in rows[:limit]]
        last = f"{found[-1].video_id}@v{found[-1].version}" if len(rows) > limit else None
        return found, last

    def staged_versions(self, video_id: str) -> list[int]:
        """The incomplete versions of a video."""
        rows = self._database.query(
            "SELECT version FROM staged_videos WHERE video_id = ? ORDER BY version", video_id
        )
        return [int(version) for (version,) in rows]

    def _staged_video(
        self, video_id: str, version: int, segments: int, last_at: float, event: bytes | None
    ) -> StagedVideo:
        end: VideoEnd | None = None if event is None else decode_event(event)
        if end is None:
            expected, reason = None, "its end message has not arrived"
        elif segments < end.segments:
            expected = end.segments
            reason = f"{end.segments - segments} of {end.segments} segments have not arrived"
        else:
            expected, reason = end.segments, MIXED
        idle = max(0.0, time.time() - last_at)
        return StagedVideo(video_id, version, segments, expected, idle, reason)

    def _add_end(self, gathered: PartialVideo) -> None:
        rows = self._database.query(
            "SELECT produced_at, event FROM staged_ends WHERE video_id = ? AND version = ?",
            gathered.video_id,
            gathered.version,
        )
        for produced_at, event in rows:
            end: VideoEnd = decode_event(event)
            # What is not wanted stays so, in whatever order its ends come.
            if gathered.end is None or end.error_code == DROPPED:
                gathered.end = (end, produced_at)

    def _count(self, video_id: str, version: int) -> int:
        rows = self._database.query(
            "SELECT segments FROM staged_videos WHERE video_id = ? AND version = ?",
            video_id,
            version,
        )
        return int(rows[0][0]) if rows else 0

    def _known(self, gathered: PartialVideo) -> set[str]:
        """The new segments that are already staged."""
        found: set[str] = set()
        for names in slices(list(gathered.parts), _AT_ONCE):
            marks = ", ".join("?" * len(names))
            rows = self._database.query(
                "SELECT segment_id FROM staged_segments WHERE video_id = ? AND version = ? "
                f"AND segment_id IN ({marks})",
                gathered.video_id,
                gathered.version,
                *names,
            )
            found.update(str(name) for (name,) in rows)
        return found


# The error code of a version that somebody dropped while it was waiting.
DROPPED = "dropped"
# Why a version never becomes whole.
MIXED = (
    "its segments differ from those that its end message lists; send it again: storyhash "
    "ingest --again"
)
