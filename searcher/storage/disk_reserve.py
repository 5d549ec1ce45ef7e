"""Disk space that is kept for deletions: a file that takes it, and is deleted while it is needed.

A deletion writes before anything gets free: to the logs of two SQLite databases and to the mirror.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A deletion needs some 30 kB, and 4 MiB that the mirror must find free.
RESERVE_BYTES = 16 << 20
# This much is left free when the space is taken again: the audit log is written after the deletion.
_SLACK_BYTES = 1 << 20
_BLOCK = bytes(1 << 20)


class DiskReserve:
    """The reserve of one data folder, of which one process deletes. Thread-safe."""

    def __init__(self, folder: Path, size: int = RESERVE_BYTES) -> None:
        """Take the space, as far as the disk has it."""
        self._path = folder / "reserve"
        self._size = size
        self._lock = threading.Lock()
        self._users = 0
        self._take()

    @property
    def bytes(self) -> int:
        """What it takes now."""
        with suppress(OSError):
            return self._path.stat().st_size
        return 0

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Within the block the space is free, if the disk has less than it. Afterwards it is taken again,
        as far as the disk has it."""
        with self._lock:
            self._users += 1
            if shutil.disk_usage(self._path.parent).free < self._size:
                self._path.unlink(missing_ok=True)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._take()

    def _take(self) -> None:
        # Without a reserve the service works too, so no error ends it.
        with suppress(OSError):
            has, free = self.bytes, shutil.disk_usage(self._path.parent).free
            wanted = min(self._size, has + free - _SLACK_BYTES)
            if wanted > has:
                _extend(self._path, has, wanted)


def _extend(path: Path, start: int, end: int) -> None:
    """Make a file larger, with blocks of the disk. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, start, end - start)
            return
        os.lseek(descriptor, start, os.SEEK_SET)
        for at in range(start, end, len(_BLOCK)):
            os.write(descriptor, _BLOCK[: end - at])
    finally:
        os.close(descriptor)
