"""The catalogue: one row per video, in SQLite."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from common.printable import printable
from common.sqlite import Execute
from common.uris import public_uri
from searcher.storage.database import Database
from searcher.storage.selection import ALL_VIDEOS, Selection
from searcher.storage.video import Description, Video, now
from searcher.storage.video_rows import COLUMNS, StoredRows, VideoRows

# Banks that an error names.
_NAMED_BANKS = 20


class VideoStore:
    """The rows, and a sequence number that counts the changes of searchable videos."""

    def __init__(self, database: Database, rows: VideoRows | None = None) -> None:
        """rows: where rows are read (default: in the database)."""
        self._database = database
        self._rows = StoredRows(database) if rows is None else rows

    @property
    def sequence(self) -> int:
        """Grows with every change of what is searchable; snapshots carry it."""
        ((value,),) = self._database.query("SELECT value FROM counters WHERE name = 'sequence'")
        return int(value)

    def continue_after(self, sequence: int) -> None:
        """Have the sequence number above this one."""
        with self._database.change() as execute:
            execute("UPDATE counters SET value = ? WHERE name = 'sequence'", sequence + 1)

    @property
    def owns_mirror(self) -> bool:
        """Whether the content of the mirror was written together with this catalogue. Then points without
        a row are from an interrupted change, and not from a catalogue that was lost."""
        rows = self._database.query("SELECT 1 FROM counters WHERE name = 'owns_mirror'")
        return bool(rows) or self.sequence > 0

    @property
    def come_from_log(self) -> bool:
        """Whether the videos come from a log, which repeats a change that was interrupted."""
        return bool(self._database.query("SELECT 1 FROM offsets LIMIT 1"))

    def own_mirror(self) -> None:
        """Note it, before the first point is written."""
        with self._database.change() as execute:
            execute("INSERT OR IGNORE INTO counters VALUES ('owns_mirror', 1)")

    def get(self, video_id: str) -> Video | None:
        """One row, or None."""
        return self._rows.get(video_id)

    def uri_of(self, video_id: str) -> str:
        """Where a video was read from, without secrets; empty when it is unknown."""
        video = self.get(video_id)
        return "" if video is None else public_uri(video.uri)

    def page(
        self, *, after: str = "", limit: int = 100, only: Selection = ALL_VIDEOS
    ) -> tuple[list[Video], str | None]:
        """Rows in the order of their ids, and the cursor that asks for the next ones, or None."""
        return self._rows.page(after=after, limit=limit, only=only)

    def total(self, only: Selection = ALL_VIDEOS) -> int:
        """How many rows there are of a selection."""
        return self._rows.total(only)

    def banks(self) -> list[str]:
        """The names of all banks with a video, sorted."""
        return sorted(self.bank_counts())

    def bank_counts(self) -> dict[str, int]:
        """The number of videos in each bank that has one."""
        return self._rows.bank_counts()

    def has_bank(self, bank: str) -> bool:
        """Whether some video is in this bank."""
        return self._rows.has_bank(bank)

    def without_bank(self, bank: str) -> str:
        """What is wrong with the name of a bank without a video, and which names there are."""
        known = self.banks()
        names = ", ".join(f"'{printable(name[:200])}'" for name in known[:_NAMED_BANKS])
        more = f" and {len(known) - _NAMED_BANKS} more" if len(known) > _NAMED_BANKS else ""
        return (
            f"no video is in bank '{printable(bank[:200])}'; the banks are {names or 'none'}{more}"
        )

    def all(self) -> Iterator[Video]:
        """Every row."""
        cursor: str | None = ""
        while cursor is not None:
            videos, cursor = self.page(after=cursor, limit=1000)
            yield from videos

    def counts(self) -> dict[str, int]:
        """Videos by state."""
        return self._rows.counts()

    def pending(self) -> list[str]:
        """Ids of the videos that are still to be indexed, or were begun and not finished."""
        rows = self._database.query(
            "SELECT video_id FROM videos WHERE state = 'pending' ORDER BY rowid"
        )
        return [str(video_id) for (video_id,) in rows]

    def some(self, count: int) -> list[str]:
        """Ids of this many videos that have a whole version, by chance."""
        return self._rows.some(count)

    def versions(self) -> dict[str, int]:
        """The whole version of every video that has one."""
        return self._rows.versions()

    def segments(self) -> int:
        """The number of segments of all whole versions."""
        rows = self._database.query(
            "SELECT COALESCE(SUM(segments), 0) FROM videos WHERE version > 0"
        )
        return int(rows[0][0])

    def newest(self, count: int) -> list[str]:
        """Ids of the videos that were indexed last."""
        rows = self._database.query(
            "SELECT video_id FROM videos WHERE version > 0 AND state = 'ready' "
            "ORDER BY rowid DESC LIMIT ?",
            count,
        )
        return [str(video_id) for (video_id,) in rows]

    def newest_deleted(self, count: int) -> list[str]:
        """Ids of the videos that were deleted last, and whose vectors are gone from everywhere."""
        rows = self._database.query(
            "SELECT video_id FROM deleted WHERE purged = 1 ORDER BY rowid DESC LIMIT ?", count
        )
        return [str(video_id) for (video_id,) in rows]

    def next_version(self, video_id: str) -> int:
        """The version a re-ingest gets: above every earlier one, deleted ones too."""
        rows = self._database.query(
            "SELECT version FROM videos WHERE video_id = ? UNION "
            "SELECT version FROM deleted WHERE video_id = ?",
            video_id,
            video_id,
        )
        return max((int(version) for (version,) in rows), default=0) + 1

    def begin(self, *videos: Video) -> None:
        """Mark videos pending; what their newest whole version is stays as it was: 0 for a new video."""
        with self._database.change() as execute:
            for video in videos:
                kept = replace(video, state="pending", version=0)
                old = self.get(video.video_id)
                if old is not None:
                    if old.description != video.description:
                        execute("DELETE FROM edits WHERE video_id = ?", video.video_id)
                    kept = replace(
                        kept,
                        version=old.version,
                        segments=old.segments,
                        uninformative_segments=old.uninformative_segments,
                        duration_seconds=old.duration_seconds,
                        indexed_at=old.indexed_at,
                    )
                _put(execute, kept)

    def commit_all(self, videos: Iterable[Video]) -> None:
        """As `commit`, for all of them or none."""
        with self._database.change():
            for video in videos:
                self.commit(video)

    def commit(self, video: Video) -> None:
        """Make a version the whole one. What only its fetching needed is forgotten."""
        kept = replace(video, uri=public_uri(video.uri), indexed_at=video.indexed_at or now())
        with self._database.change() as execute:
            _put(execute, kept)
            for table in ("deleted", "deleted_sources"):
                execute(f"DELETE FROM {table} WHERE video_id = ?", video.video_id)
            _count(execute)

    def fail(self, video: Video, code: str, message: str) -> None:
        """Note that a video could not be read; an older whole version stays searchable."""
        old = self.get(video.video_id)
        # A version that failed is no whole one, or older ones that come later would be past already.
        base = (
            replace(video, version=0)
            if old is None
            else replace(old, fingerprint=video.fingerprint, root=video.root, uri=video.uri)
        )
        with self._database.change() as execute:
            _put(execute, replace(base, state="failed", error_code=code, error_message=message))

    def move(self, video_id: str, uri: str, root: str, fingerprint: str) -> None:
        """Note where the source of a video is now; what is searchable stays as it is."""
        with self._database.change() as execute:
            execute(
                "UPDATE videos SET uri = ?, root = ?, fingerprint = ? WHERE video_id = ?",
                uri,
                root,
                fingerprint,
                video_id,
            )

    def uris(self, part: str) -> list[tuple[str, str]]:
        """The ids and URIs of the videos whose URI contains this text."""
        rows = self._database.query("SELECT video_id, uri FROM videos WHERE instr(uri, ?)", part)
        return [(str(video_id), str(uri)) for video_id, uri in rows]

    def set_uris(self, uris: Iterable[tuple[str, str]]) -> None:
        """Note the URIs of videos by id; what is searchable stays as it is."""
        with self._database.change() as execute:
            for video_id, uri in uris:
                execute("UPDATE videos SET uri = ? WHERE video_id = ?", uri, video_id)

    def note_edit(self, video: Video, replaced: Description) -> None:
        """Note a description that somebody wrote instead of that of the source, which was `replaced`, so
        that the same description of the source does not undo it. The row is searchable as it is."""
        text = json.dumps([replaced.bank, replaced.title, dict(replaced.metadata)])
        with self._database.change() as execute:
            execute(
                "UPDATE videos SET bank = ?, title = ?, metadata = ? WHERE video_id = ?",
                video.bank,
                video.title,
                json.dumps(dict(video.metadata), ensure_ascii=False),
                video.video_id,
            )
            execute("INSERT OR REPLACE INTO edits VALUES (?, ?)", video.video_id, text)

    def replaced_description(self, video_id: str) -> Description | None:
        """The description of the source that an edit replaced; None without an edit."""
        rows = self._database.query("SELECT replaced FROM edits WHERE video_id = ?", video_id)
        return Description(*json.loads(rows[0][0])) if rows else None

    def delete(self, video_id: str, version: int = 0) -> None:
        """Forget a row and remember that every version up to this one, or to the newest, was deleted."""
        version = max(version, self.next_version(video_id) - 1)
        with self._database.change() as execute:
            execute(
                "INSERT OR REPLACE INTO deleted_sources "
                "SELECT video_id, fingerprint FROM videos WHERE video_id = ? AND fingerprint <> ''",
                video_id,
            )
            for table in ("videos", "edits"):
                execute(f"DELETE FROM {table} WHERE video_id = ?", video_id)
            execute("INSERT OR REPLACE INTO deleted VALUES (?, ?, 0)", video_id, version)
            _count(execute)

    def delete_all(self, versions: Mapping[str, int]) -> None:
        """As `delete`, for all of them or none."""
        with self._database.change():
            for video_id, version in versions.items():
                self.delete(video_id, version)

    def deleted_fingerprint(self, video_id: str) -> str:
        """What the source of a deleted video was like when it was deleted; empty when that is unknown."""
        rows = self._database.query(
            "SELECT fingerprint FROM deleted_sources WHERE video_id = ?", video_id
        )
        return str(rows[0][0]) if rows else ""

    def was_deleted(self, video_id: str) -> bool:
        """Whether a deletion is the last that happened to a video."""
        return bool(self._database.query("SELECT 1 FROM deleted WHERE video_id = ?", video_id))

    def lose_vectors(self) -> None:
        """Note that the vectors of all videos are lost. A log brings them again, so what came from one is
        forgotten. Other videos are pending: nothing else knows of an upload, a title or a bank."""
        if self.come_from_log:
            self._forget_everything()
        else:
            self.begin(*(row for row in self.all() if row.version))

    def _forget_everything(self) -> None:
        """Every row, and what the log was read up to; what was deleted stays noted."""
        tables = (
            "videos",
            "settled",
            "staged_segments",
            "staged_thumbnails",
            "staged_ends",
            "staged_videos",
            "missing_segments",
            "offsets",
            "log",
            "edits",
        )
        with self._database.change() as execute:
            # The log is read from the start, but videos that were new before are not new again.
            execute("INSERT OR REPLACE INTO new_from SELECT partition, next FROM offsets")
            for table in (*tables, "unmatched"):
                execute(f"DELETE FROM {table}")
            execute("DELETE FROM counters WHERE name = 'level'")
            _count(execute)

    def unpurged(self) -> list[str]:
        """Deleted videos whose vectors may still lie somewhere."""
        return [
            row[0] for row in self._database.query("SELECT video_id FROM deleted WHERE purged = 0")
        ]

    def unshown(self) -> list[str]:
        """Videos of which a version was committed that searches elsewhere may not see yet, or of which
        older points may still be there."""
        return [str(name) for (name,) in self._database.query("SELECT video_id FROM unshown")]

    def mark_unshown(self, video_ids: Iterable[str]) -> None:
        """Note it, in the transaction that commits them."""
        with self._database.change() as execute:
            for video_id in video_ids:
                execute("INSERT OR IGNORE INTO unshown VALUES (?)", video_id)

    def mark_shown(self, video_ids: Iterable[str]) -> None:
        """Their change is complete."""
        with self._database.change() as execute:
            for video_id in video_ids:
                execute("DELETE FROM unshown WHERE video_id = ?", video_id)

    def mark_purged(self, video_ids: Iterable[str]) -> None:
        """Their vectors are gone from everywhere."""
        with self._database.change() as execute:
            for video_id in video_ids:
                execute("UPDATE deleted SET purged = 1 WHERE video_id = ?", video_id)


def _put(execute: Execute, video: Video) -> None:
    values = [getattr(video, name) for name in COLUMNS]
    values[COLUMNS.index("metadata")] = json.dumps(dict(video.metadata), ensure_ascii=False)
    marks = ", ".join("?" * len(COLUMNS))
    execute(f"INSERT OR REPLACE INTO videos ({', '.join(COLUMNS)}) VALUES ({marks})", *values)


def _count(execute: Execute) -> None:
    execute("UPDATE counters SET value = value + 1 WHERE name = 'sequence'")
