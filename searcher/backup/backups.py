"""The backups of a running service: one at a time, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from common.errors import BackupRunningError, StoryHashError, UsageError
from searcher.backup.create import Source, create_backup, new_name
from searcher.backup.manifest import backups_in, read_manifest
from searcher.storage.video import now

_log = logging.getLogger("storyhash.backup")


class Backups:
    """Makes and lists backups in one folder. Thread-safe."""

    def __init__(self, folder: Path | None, keep: int, source: Callable[[], Source]) -> None:
        """folder: None if none is set. keep: how many stay. source: what to back up; raises NotReadyError
        before the index is open."""
        self._folder = folder
        self._keep = keep
        self._source = source
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: dict[str, Any] | None = None
        # Of the folder that the running backup gets when it is written.
        self._name = ""
        self._failed: dict[str, Any] | None = None

    @property
    def folder(self) -> Path | None:
        """Where they are, None if no folder is set."""
        return self._folder

    def create(self) -> dict[str, Any]:
        """Begin a backup. Raises BackupRunningError, UsageError if no folder is set, NotReadyError."""
        folder = self._checked_folder()
        source = self._source()
        with self._lock:
            if self._running is not None:
                raise BackupRunningError("a backup is being made; wait for it, then try again")
            if self._stopping.is_set():
                raise BackupRunningError("the service is stopping; try again after its start")
            self._running = {"name": "", "state": "running", "created_at": now("seconds")}
            self._failed = None
            self._name = new_name(folder)
            self._thread = threading.Thread(
                target=self._make, args=(source, folder, self._name), name="backup", daemon=True
            )
            self._thread.start()
            return dict(self._running)

    def list(self) -> list[dict[str, Any]]:
        """The one that runs or the last one that failed, then the complete ones, newest first. Raises
        UsageError if no folder is set."""
        folder = self._checked_folder()
        with self._lock:
            shown = [dict(one) for one in (self._running, self._failed) if one is not None]
            # A folder is complete a moment before its backup has ended.
            running = None if self._running is None else self._name
        return shown + [one for one in listed(folder) if one["name"] != running]

    def close(self) -> None:
        """Give up a backup that runs; returns when its thread has ended. Call it before the index is
        closed."""
        with self._lock:
            self._stopping.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _make(self, source: Source, folder: Path, name: str) -> None:
        error: Exception | None = None
        try:
            made = create_backup(
                source, folder, name=name, keep=self._keep, stop=self._stopping.is_set
            )
            _log.info("backup %s is complete", made.name)
        except Exception as failure:
            error = failure
            foreseen = isinstance(failure, StoryHashError)
            _log.warning("the backup failed: %s", failure, exc_info=not foreseen)
        with self._lock:
            if error is not None and self._running is not None:
                code = error.code if isinstance(error, StoryHashError) else "internal"
                reason = {"code": code, "message": "the log of the service says why"}
                self._failed = {**self._running, "state": "failed", "error": reason}
            self._running = None

    def _checked_folder(self) -> Path:
        if self._folder is None:
            raise UsageError(
                "this service has no folder for backups; set STORYHASH_SERVICE__BACKUP_DIR and restart it"
            )
        return self._folder


def listed(folder: Path) -> list[dict[str, Any]]:
    """Every backup in a folder, newest first. The description of a damaged one is its error."""
    items = []
    for path in backups_in(folder) if folder.is_dir() else ():
        try:
            items.append(read_manifest(path).to_json(path.name))
        except StoryHashError as error:
            reason = {"code": error.code, "message": f"{path.name} cannot be read"}
            items.append({"name": path.name, "state": "damaged", "error": reason})
    return items


def newest_backup_time(folder: Path) -> float:
    """When the newest complete backup was made, in Unix seconds; 0 if there is none. A backup whose
    description is damaged does not count."""
    for item in listed(folder):
        if item["state"] == "complete":
            return datetime.fromisoformat(item["created_at"]).timestamp()
    return 0.0
