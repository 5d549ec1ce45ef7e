"""A folder for temporary files that must not outlive their process, even if it is killed.

Each process has its own subfolder and holds a lock on it. If nobody holds a subfolder's lock, its process
was killed, and the next process deletes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.errors import StorageError

_LOCK = "in-use.lock"
_PREFIX = "process-"
_YOUNG_SECONDS = 10.0
_OPEN = os.O_RDWR | os.O_CLOEXEC


class ScratchFolder:
    """The folder of this process, mode 0700. `close` deletes it."""

    def __init__(self, parent: Path) -> None:
        """Create it in `parent`, with its parents, and delete the folders of dead processes there.

        Raises StorageError, also if `parent` belongs to another user or others can write to it.
        """
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(parent):
                _delete_dead(parent)
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
                self._lock = os.open(self.path / _LOCK, _OPEN | os.O_CREAT, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise StorageError(f"{parent}: {error.strerror}; choose another folder") from None

    def new_file(self) -> Path:
        """A new empty file, mode 0600. Raises StorageError."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self.path)
            os.close(descriptor)
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}; free some disk space") from None
        return Path(name)

    def close(self) -> None:
        """Delete the folder with its contents."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def empty_scratch(parent: Path) -> None:
    """Delete the folders of dead processes in a folder, if it exists. Raises StorageError as above."""
    try:
        if parent.exists():
            with _locked(parent):
                _delete_dead(parent)
    except OSError as error:
        raise StorageError(f"{parent}: {error.strerror}; choose another folder") from None


def locked_file(prefix: str) -> tuple[int, Path]:
    """A new file in the system's temporary folder, mode 0600, and its descriptor, which holds its lock.
    While the descriptor or a duplicate is open, `delete_dead_files` keeps the file. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=prefix)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor, Path(name)


def delete_dead_files(prefix: str) -> None:
    """Delete this user's files of `locked_file` that no living process needs."""
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            with suppress(OSError):
                _delete_if_dead(path)


def _delete_if_dead(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        # A new file may not be locked yet.
        old = time.time() - status.st_mtime > _YOUNG_SECONDS
        if old and stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)


def default_scratch(name: str) -> Path:
    """The folder `storyhash-<user>-<name>` in the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"storyhash-{os.geteuid()}-{name}"


@contextmanager
def _locked(parent: Path) -> Iterator[None]:
    """Lock the parent folder, because a new subfolder has no lock yet."""
    _check_own(parent)
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _delete_dead(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, _OPEN)
        except OSError:
            # It was killed before it had a lock.
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _check_own(folder: Path) -> None:
    """Raises StorageError if another user created the folder or replaced it by a link, which is
    possible in a world-writable folder."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise StorageError(
            f"{folder}: expected a folder of this user that no other user may write to; "
            "delete it or choose another"
        )
