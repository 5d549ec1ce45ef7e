"""The state of the log's consumer: incomplete videos, and settled versions.

A version of a video is settled when it becomes searchable or is deleted. Messages of versions up to the
settled one are ignored, except a missing segment. Of a failed version only the failure is stored, so the
order of versions does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from common.types import SegmentRef
from searcher.storage.database import Database
from searcher.storage.staged_videos import STAGED_PARTS, StagedVideos


class Staging(StagedVideos):
    """The tables of this state. Call changes inside a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._given_out = 0

    def settled(self, video_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """(settled version, deleted version) of each video; 0 where there is none."""
        known = {}
        for video_id in video_ids:
            ((version, deleted),) = self._database.query(
                """SELECT max(ifnull((SELECT version FROM settled WHERE video_id = ?1), 0),
                              ifnull((SELECT version FROM videos WHERE video_id = ?1), 0),
                              ifnull((SELECT version FROM deleted WHERE video_id = ?1), 0)),
                          ifnull((SELECT version FROM deleted WHERE video_id = ?1), 0)""",
                video_id,
            )
            known[video_id] = (int(version), int(deleted))
        return known

    def deletions(self) -> dict[str, int]:
        """The version up to which each video that was deleted is gone."""
        rows = self._database.query("SELECT video_id, version FROM deleted")
        return {str(video_id): int(version) for video_id, version in rows}

    def settle(self, video_id: str, version: int, missing: Iterable[str] = ()) -> None:
        """Ignore further messages of this version and older ones, except the missing segments."""
        with self._database.change() as execute:
            execute("INSERT OR REPLACE INTO settled VALUES (?, ?)", video_id, version)
            for table in (*STAGED_PARTS, "staged_ends", "staged_videos"):
                execute(
                    f"DELETE FROM {table} WHERE video_id = ? AND version <= ?", video_id, version
                )
            execute("DELETE FROM missing_segments WHERE video_id = ?", video_id)
            for segment_id in missing:
                execute(
                    "INSERT INTO missing_segments VALUES (?, ?, ?)", video_id, version, segment_id
                )

    def missing(self, video_id: str) -> set[str]:
        """The missing segments of its settled version."""
        rows = self._database.query(
            "SELECT segment_id FROM missing_segments WHERE video_id = ?", video_id
        )
        return {str(segment_id) for (segment_id,) in rows}

    def lack(self, ref: SegmentRef) -> None:
        """A segment of a settled version is missing."""
        with self._database.change() as execute:
            execute(
                "INSERT OR IGNORE INTO missing_segments VALUES (?, ?, ?)",
                ref.video_id,
                ref.version,
                ref.segment_id,
            )

    def found(self, video_id: str, segment_id: str) -> None:
        """A missing segment came."""
        with self._database.change() as execute:
            execute(
                "DELETE FROM missing_segments WHERE video_id = ? AND segment_id = ?",
                video_id,
                segment_id,
            )

    def newest(self, video_id: str) -> int:
        """The newest version of a video of which something is staged, or 0."""
        ((version,),) = self._database.query(
            "SELECT max(ifnull((SELECT max(version) FROM staged_segments WHERE video_id = ?1), 0), "
            "ifnull((SELECT max(version) FROM staged_ends WHERE video_id = ?1), 0))",
            video_id,
        )
        return int(version)

    @property
    def was_level(self) -> bool:
        """Whether the index has caught up with the log at least once since its creation."""
        return bool(self._database.query("SELECT 1 FROM counters WHERE name = 'level'"))

    def note_level(self) -> None:
        """Record that the index has caught up."""
        with self._database.change() as execute:
            execute("INSERT OR IGNORE INTO counters VALUES ('level', 1)")

    def offsets(self) -> dict[int, int]:
        """The next message to read, by partition of the log."""
        rows = self._database.query("SELECT partition, next FROM offsets")
        return {int(partition): int(following) for partition, following in rows}

    def set_offsets(self, offsets: Mapping[int, int]) -> None:
        """Store the offsets."""
        with self._database.change() as execute:
            for partition, following in offsets.items():
                execute("INSERT OR REPLACE INTO offsets VALUES (?, ?)", partition, following)

    @property
    def log_id(self) -> str:
        """Id of the log of the offsets; empty if unknown."""
        rows = self._database.query("SELECT id FROM log")
        return str(rows[0][0]) if rows else ""

    def follow_log(self, log_id: str) -> None:
        """Set the log of the offsets; offsets of another log are deleted."""
        before = self.log_id
        if not log_id or log_id == before:
            return
        with self._database.change() as execute:
            if before:
                execute("DELETE FROM offsets")
                execute("DELETE FROM new_from")
            execute("INSERT OR REPLACE INTO log VALUES (1, ?)", log_id)

    def new_from(self) -> dict[int, int]:
        """The first message of each partition that no index of this log had read when this one was
        opened. Matches for videos of earlier messages were already published."""
        rows = self._database.query("SELECT partition, next FROM new_from")
        return {int(partition): int(following) for partition, following in rows}

    def set_new_from(self, offsets: Mapping[int, int]) -> None:
        """Store these messages; an offset never decreases."""
        with self._database.change() as execute:
            execute("INSERT OR IGNORE INTO counters VALUES ('new_from', 1)")
            for partition, following in offsets.items():
                execute(
                    "INSERT INTO new_from VALUES (?1, ?2) "
                    "ON CONFLICT (partition) DO UPDATE SET next = max(next, ?2)",
                    partition,
                    following,
                )

    @property
    def knows_new_from(self) -> bool:
        """Whether they were ever stored."""
        return bool(self._database.query("SELECT 1 FROM counters WHERE name = 'new_from'"))

    def free(self, video_id: str) -> None:
        """Delete all staged, settled and deleted versions of a video."""
        tables = ("settled", "deleted", *STAGED_PARTS, "staged_ends", "staged_videos")
        with self._database.change() as execute:
            for table in (*tables, "missing_segments", "unmatched"):
                execute(f"DELETE FROM {table} WHERE video_id = ?", video_id)

    def forget(self, keys: Iterable[tuple[str, bytes]]) -> None:
        """Queue keys, as (video_id, key), for deletion in the log."""
        with self._database.change() as execute:
            for video_id, key in keys:
                execute(
                    "INSERT OR IGNORE INTO forgotten (video_id, key) VALUES (?, ?)", video_id, key
                )

    def forgotten(self) -> list[tuple[str, bytes]]:
        """The queued keys, as (video_id, key)."""
        rows = self._database.query("SELECT number, video_id, key FROM forgotten ORDER BY number")
        self._given_out = max((int(number) for number, _, _ in rows), default=0)
        return [(str(video_id), bytes(key)) for _, video_id, key in rows]

    def told_to_forget(self) -> None:
        """Remove the keys that `forgotten` last returned from the queue."""
        with self._database.change() as execute:
            execute("DELETE FROM forgotten WHERE number <= ?", self._given_out)

    def want_match(self, video_id: str, version: int, trace_id: str) -> None:
        """Queue a new video for matching."""
        with self._database.change() as execute:
            execute(
                "INSERT OR REPLACE INTO unmatched VALUES (?, ?, ?)", video_id, version, trace_id
            )

    def unmatched(self, limit: int = 16) -> list[tuple[str, int, str]]:
        """The queued new videos, as (video_id, version, trace_id)."""
        rows = self._database.query(
            "SELECT video_id, version, trace_id FROM unmatched ORDER BY rowid LIMIT ?", limit
        )
        return [(str(video_id), int(version), str(trace)) for video_id, version, trace in rows]

    def matched(self, video_id: str, version: int) -> None:
        """Remove a video from the queue after its match was published."""
        with self._database.change() as execute:
            execute("DELETE FROM unmatched WHERE video_id = ? AND version = ?", video_id, version)
