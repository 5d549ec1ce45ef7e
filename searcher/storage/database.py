"""The data folder's SQLite database and its schema."""

from __future__ import annotations

from pathlib import Path

from common import sqlite

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
CREATE TABLE IF NOT EXISTS staged_thumbnails (
  video_id TEXT, version INTEGER, segment_id TEXT, packed BLOB NOT NULL,
  PRIMARY KEY (video_id, version, segment_id));
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
CREATE TABLE IF NOT EXISTS edits (video_id TEXT PRIMARY KEY, replaced TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS unshown (video_id TEXT PRIMARY KEY);
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


class Database(sqlite.Database):
    """The catalogue of one data folder."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """Open the file, or make it. path: None for an empty catalogue in memory. Raises
        CorruptIndexError or StorageError."""
        super().__init__(
            path,
            _SCHEMA,
            remedy="restore the data folder from a backup, or delete it and index again",
            read_only=read_only,
        )
        if not read_only and self.query("PRAGMA user_version") == [(0,)]:
            self.run_script(_COUNT_STAGED)
