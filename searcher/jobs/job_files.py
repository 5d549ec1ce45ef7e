"""The uploads of jobs, in a folder that outlives the process."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from common.atomic_write import private_folder, replacing
from common.errors import StorageError

_OWNER = "owner"
# A younger file without a job belongs to a request that is being answered.
_YOUNG_SECONDS = 3600.0


class JobFiles:
    """One file per job with an upload. `owner`: the name of this folder in the state database, which
    several services may share."""

    def __init__(self, folder: Path) -> None:
        """Make the folder. Raises StorageError."""
        self._folder = folder
        try:
            private_folder(folder)
            path = folder / _OWNER
            if not path.exists():
                with replacing(path) as new:
                    new.write_text(secrets.token_hex(16))
            self.owner = path.read_text()
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror}; correct the permissions") from None

    def keep(self, path: Path, job_id: str) -> int:
        """Move an upload here; returns its bytes. Raises StorageError."""
        try:
            shutil.move(path, self.path(job_id))
            with self.path(job_id).open("rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size
        except OSError as error:
            self.delete(job_id)
            raise StorageError(f"{self._folder}: {error.strerror}; free some disk space") from None

    def path(self, job_id: str) -> Path:
        """Where the upload of a job is."""
        return self._folder / f"{job_id}.upload"

    def delete(self, job_id: str) -> None:
        """Delete the upload of a job, if it has one."""
        with suppress(OSError):
            self.path(job_id).unlink()

    def sweep(self, needed: Collection[str]) -> None:
        """Delete all uploads but those of these jobs and new ones."""
        for path in self._folder.glob("*.upload"):
            with suppress(OSError):
                old = time.time() - path.stat().st_mtime > _YOUNG_SECONDS
                if path.stem not in needed and old:
                    path.unlink()
