"""The data folder's SQLite database: one connection, short transactions, errors in our words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from common.atomic_write import private_folder
from common.errors import CorruptIndexError, StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS videos (
  video_id TEXT PRIMARY KEY, uri TEXT NOT NULL, bank TEXT NOT NULL, title TEXT NOT NULL,
  version INTEGER NOT NULL, duration_seconds REAL NOT NULL, segments INTEGER NOT NULL,
  uninformative_segments INTEGER NOT NULL, state TEXT NOT NULL, metadata TEXT NOT NULL,
  indexed_at TEXT NOT NULL, root TEXT NOT NULL, fingerprint TEXT NOT NULL,
  error_code TEXT NOT NULL, error_message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deleted (
  video_id TEXT PRIMARY KEY, version INTEGER NOT NULL, purged INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS unpurged ON deleted (video_id) WHERE purged = 0;
CREATE TABLE IF NOT EXISTS deleted_sources (video_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES ('sequence', 0);
CREATE TABLE IF NOT EXISTS settled (video_id TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS staged_segments (
  video_id TEXT, version INTEGER, segment_id TEXT, produced_at REAL NOT NULL, event BLOB NOT NULL,
  PRIMARY KEY (video_id, version, segment_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged_ends (
  video_id TEXT, version INTEGER, produced_at REAL NOT NULL, event BLOB NOT NULL,
  PRIMARY KEY (video_id, version));
CREATE TABLE IF NOT EXISTS staged_videos (
  video_id TEXT, version INTEGER, segments INTEGER NOT NULL, last_at REAL NOT NULL,
  PRIMARY KEY (video_id, version)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS staged_idle ON staged_videos (last_at);
CREATE TABLE IF NOT EXISTS missing_segments (
  video_id TEXT, version INTEGER, segment_id TEXT, PRIMARY KEY (video_id, segment_id));
CREATE TABLE IF NOT EXISTS new_from (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS offsets (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY CHECK (number = 1), id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS forgotten (
  number INTEGER PRIMARY KEY AUTOINCREMENT, video_id TEXT NOT NULL, key BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS unmatched (
  video_id TEXT PRIMARY KEY, version INTEGER NOT NULL, trace_id TEXT NOT NULL);
"""

# Before version 1 what was staged was not counted.
_COUNT_STAGED = """
INSERT OR IGNORE INTO staged_videos
  SELECT video_id, version, count(*), strftime('%s', 'now') FROM staged_segments
  GROUP BY video_id, version;
PRAGMA user_version = 1;
"""


class Execute(Protocol):
    """`execute(sql, *arguments)` inside a transaction."""

    def __call__(self, sql: str, *arguments: Any) -> sqlite3.Cursor: ...


class Database:
    """One file. Any thread may use it; they take turns."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, or make it. Raises CorruptIndexError or StorageError."""
        self._lock = threading.RLock()
        self._path = path
        with self._guarded():
            if read_only:
                uri = f"{path.resolve().as_uri()}?mode=ro"
                self._db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            else:
                private_folder(path.parent)
                self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_SCHEMA)
                ((version,),) = self._db.execute("PRAGMA user_version").fetchall()
                if version < 1:
                    self._db.executescript(_COUNT_STAGED)

    def close(self) -> None:
        self._db.close()

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Every row a statement gives."""
        with self._guarded():
            return self._db.execute(sql, arguments).fetchall()

    @contextmanager
    def change(self) -> Iterator[Execute]:
        """One transaction, all or nothing; one inside another is a part of it."""
        with self._guarded():
            if self._db.in_transaction:
                yield self._execute
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._execute
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        # Some errors have ended the transaction already.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        return self._db.execute(sql, arguments)

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
