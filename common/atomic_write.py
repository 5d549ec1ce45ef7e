"""Atomic writes, and files that only their owner can read."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_log = logging.getLogger("storyhash.files")
# Permission bits of group and others.
_OTHERS = 0o077


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` for writing; it replaces `path` if the block ends without an
    error."""
    temporary = path.with_name(path.name + ".new")
    try:
        yield temporary
        temporary.replace(path)
        # The new name is durable only after fsync of its folder.
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before anything that follows. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(folder: Path) -> None:
    """Create a data folder with mode 0700, and its parents. It also sets the umask: all new files of this
    process and its children get mode 0600, folders 0700. Raises OSError."""
    os.umask(os.umask(_OTHERS) | _OTHERS)
    folder.mkdir(parents=True, exist_ok=True)


def make_private(paths: Iterable[Path]) -> None:
    """Have files and folders of an earlier release for their owner alone, and say so once. What is of
    another user stays as it is."""
    changed = refused = 0
    for path in paths:
        # A file may go while it is looked at.
        with suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or not mode & _OTHERS:
                continue
            try:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
                changed += 1
            except PermissionError:
                refused += 1
    if changed:
        _log.warning(
            "%d data files and folders were readable by other users; permissions are now "
            "restricted to the owner",
            changed,
        )
    if refused:
        _log.warning(
            "%d data files and folders are readable by other users and belong to another user",
            refused,
        )
