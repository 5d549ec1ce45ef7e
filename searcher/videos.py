"""The catalogue of videos: one row a video, in SQLite."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from common.errors import CorruptIndexError, StorageError
from common.types import DEFAULT_BANK

VideoState: TypeAlias = Literal["pending", "ready", "failed", "disabled"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS videos (
  video_id TEXT PRIMARY KEY, uri TEXT NOT NULL, bank TEXT NOT NULL, title TEXT NOT NULL,
  version INTEGER NOT NULL, duration_seconds REAL NOT NULL, segments INTEGER NOT NULL,
  uninformative_segments INTEGER NOT NULL, state TEXT NOT NULL, metadata TEXT NOT NULL,
  indexed_at TEXT NOT NULL, root TEXT NOT NULL, fingerprint TEXT NOT NULL,
  error_code TEXT NOT NULL, error_message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deleted (
  video_id TEXT PRIMARY KEY, version INTEGER NOT NULL, purged INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES ('sequence', 0);
"""


@dataclass(frozen=True, slots=True)
class Video:
    """One row. `version` is the newest whole one, 0 before the first; segments count that version.

    `root` is the path given to `index` under which it was found; `fingerprint` tells whether the
    source has changed. For a failed video the error fields say why.
    """

    video_id: str
    uri: str
    bank: str = DEFAULT_BANK
    title: str = ""
    version: int = 0
    duration_seconds: float = 0.0
    segments: int = 0
    uninformative_segments: int = 0
    state: VideoState = "pending"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    indexed_at: str = ""
    root: str = ""
    fingerprint: str = ""
    error_code: str = ""
    error_message: str = ""

    def to_json(self) -> dict[str, Any]:
        """The public form, as the API and the command line print it."""
        hidden = {"root", "fingerprint", "error_code", "error_message"}
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}
        shown["indexed_at"] = self.indexed_at or None
        if self.error_code:
            shown["error"] = {"code": self.error_code, "message": self.error_message}
        return shown


_COLUMNS = tuple(f.name for f in fields(Video))


class VideoStore:
    """The rows, and the sequence number that counts every change of what is searchable."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, or make it. Raises CorruptIndexError or StorageError."""
        self._lock = threading.Lock()
        self._path = path
        with self._guarded():
            if read_only:
                uri = f"{path.resolve().as_uri()}?mode=ro"
                self._db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @property
    def sequence(self) -> int:
        """Grows with every change of what is searchable; snapshots carry it."""
        ((value,),) = self._query("SELECT value FROM counters WHERE name = 'sequence'")
        return int(value)

    def get(self, video_id: str) -> Video | None:
        """One row, or None."""
        rows = self._query(f"SELECT {', '.join(_COLUMNS)} FROM videos WHERE video_id = ?", video_id)
        return _to_video(rows[0]) if rows else None

    def page(self, *, after: str = "", limit: int = 100) -> tuple[list[Video], str | None]:
        """Rows in the order of their ids, and the cursor that asks for the next ones, or None."""
        rows = self._query(
            f"SELECT {', '.join(_COLUMNS)} FROM videos WHERE video_id > ? ORDER BY video_id LIMIT ?",
            after,
            limit + 1,
        )
        videos = [_to_video(row) for row in rows[:limit]]
        return videos, videos[-1].video_id if len(rows) > limit else None

    def all(self) -> Iterator[Video]:
        """Every row."""
        cursor: str | None = ""
        while cursor is not None:
            videos, cursor = self.page(after=cursor, limit=1000)
            yield from videos

    def versions(self) -> dict[str, int]:
        """The whole version of every video that has one."""
        return dict(self._query("SELECT video_id, version FROM videos WHERE version > 0"))

    def next_version(self, video_id: str) -> int:
        """The version a re-ingest gets: above every earlier one, deleted ones too."""
        rows = self._query(
            "SELECT version FROM videos WHERE video_id = ? UNION "
            "SELECT version FROM deleted WHERE video_id = ?",
            video_id,
            video_id,
        )
        return max((int(version) for (version,) in rows), default=0) + 1

    def begin(self, video: Video) -> None:
        """Mark a video pending; what its newest whole version is stays as it was."""
        old = self.get(video.video_id)
        kept = replace(video, state="pending")
        if old is not None:
            kept = replace(
                kept,
                version=old.version,
                segments=old.segments,
                uninformative_segments=old.uninformative_segments,
                duration_seconds=old.duration_seconds,
                indexed_at=old.indexed_at,
            )
        with self._change() as execute:
            _put(execute, kept)

    def commit(self, video: Video) -> None:
        """Make a version the whole one."""
        with self._change() as execute:
            _put(execute, replace(video, indexed_at=_now(), error_code="", error_message=""))
            execute("DELETE FROM deleted WHERE video_id = ?", video.video_id)
            _count(execute)

    def fail(self, video: Video, code: str, message: str) -> None:
        """Note that a video could not be read; an older whole version stays searchable."""
        old = self.get(video.video_id)
        base = (
            video
            if old is None
            else replace(old, fingerprint=video.fingerprint, root=video.root, uri=video.uri)
        )
        with self._change() as execute:
            _put(execute, replace(base, state="failed", error_code=code, error_message=message))

    def delete(self, video_id: str) -> None:
        """Forget a row and remember that it was deleted."""
        version = self.next_version(video_id) - 1
        with self._change() as execute:
            execute("DELETE FROM videos WHERE video_id = ?", video_id)
            execute("INSERT OR REPLACE INTO deleted VALUES (?, ?, 0)", video_id, version)
            _count(execute)

    def unpurged(self) -> list[str]:
        """Deleted videos whose vectors may still lie somewhere."""
        return [row[0] for row in self._query("SELECT video_id FROM deleted WHERE purged = 0")]

    def mark_purged(self, video_ids: Iterable[str]) -> None:
        """Their vectors are gone from everywhere."""
        with self._change() as execute:
            for video_id in video_ids:
                execute("UPDATE deleted SET purged = 1 WHERE video_id = ?", video_id)

    def _query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with self._guarded():
            return self._db.execute(sql, arguments).fetchall()

    @contextmanager
    def _change(self) -> Iterator[Any]:
        """One transaction; yields `execute(sql, *arguments)`."""
        with self._guarded():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield lambda sql, *arguments: self._db.execute(sql, arguments)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                raise StorageError(
                    f"{self._path}: {error}; free some space or mend the permissions, "
                    "then run the same command again"
                ) from None
            except sqlite3.DatabaseError as error:
                raise CorruptIndexError(
                    f"{self._path}: {error}; restore the data folder from a backup, "
                    "or delete it and index again"
                ) from None


def _put(execute: Any, video: Video) -> None:
    values = [getattr(video, name) for name in _COLUMNS]
    values[_COLUMNS.index("metadata")] = json.dumps(dict(video.metadata), ensure_ascii=False)
    marks = ", ".join("?" * len(_COLUMNS))
    execute(f"INSERT OR REPLACE INTO videos ({', '.join(_COLUMNS)}) VALUES ({marks})", *values)


def _count(execute: Any) -> None:
    execute("UPDATE counters SET value = value + 1 WHERE name = 'sequence'")


def _to_video(row: tuple[Any, ...]) -> Video:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["metadata"] = json.loads(values["metadata"])
    return Video(**values)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
