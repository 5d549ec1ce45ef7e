"""Records what a process works on now, in a file that outlives the process.

An item that crashes a worker would crash it at every start, because unfinished work is repeated. So each
item in the file of a dead process gets one more crash. From then on it is processed alone. An item that
was alone at its third crash is set aside. If a process is killed for another reason, it rarely works on
the same item three times.

Writes are not synced to disk: the file must survive the process, not the machine.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from common.atomic_write import private_folder
from common.errors import StorageError

T = TypeVar("T")

FOLDER = "in-hand"
_log = logging.getLogger("storyhash.in_hand")
_MAX_CRASHES = 3
# Maximum number of remembered items: some never return, such as messages that another replica took over.
_MAX_REMEMBERED = 10_000
_MAX_SLOTS = 1_000


class WorkInProgress:
    """The items that one process works on, by names chosen by the caller. Thread-safe.

    Without a file it records nothing and suspects nothing.
    """

    def __init__(self, path: Path | None = None, lock: int | None = None) -> None:
        """See `open`. lock: an open file that is locked for as long as the process lives."""
        self._path = path
        self._lock = lock
        self._guard = threading.Lock()
        self._names: dict[str, None] = {}
        self._crashes: dict[str, int] = {}
        self._set_aside: dict[str, None] = {}
        self._writable = True
        if path is not None:
            self._count_crash(path)
            self._write()

    @staticmethod
    def open(folder: Path, name: str) -> WorkInProgress:
        """The file of this process, `folder`/in-hand/`name`-N: the first that no living process has.

        Several replicas may share a folder. Raises StorageError if it is not writable.
        """
        try:
            home = folder / FOLDER
            private_folder(home)
            for number in range(_MAX_SLOTS):
                lock = os.open(home / f"{name}-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                    continue
                return WorkInProgress(home / f"{name}-{number}.json", lock)
        except OSError as error:
            raise StorageError(
                f"{folder}: not writable ({error.strerror}); set STORYHASH_DATA_DIR to a "
                "writable folder that is kept after a restart"
            ) from None
        raise StorageError(
            f"{folder}: {_MAX_SLOTS} processes use it; give some of them another data folder"
        )

    def is_suspect(self, name: str) -> bool:
        """Whether it was in progress at a crash, so that it must be processed alone."""
        with self._guard:
            return name in self._crashes

    def is_set_aside(self, name: str) -> bool:
        """Whether it was alone at its third crash, so that it must not be processed again."""
        with self._guard:
            return name in self._set_aside

    def in_progress(self) -> list[str]:
        """The items that were taken and neither released nor finished."""
        with self._guard:
            return list(self._names)

    def left(self) -> list[str]:
        """Items that were in progress when a process crashed, or were left to the next one, and are not
        finished since."""
        with self._guard:
            return list(self._crashes)

    def take(self, *names: str) -> None:
        """Add items to those in progress."""
        with self._guard:
            self._names.update(dict.fromkeys(names))
            self._write()

    def release(self, *names: str) -> None:
        """Remove items from those in progress, or all without names. Their crashes are remembered."""
        with self._guard:
            for name in names or list(self._names):
                self._names.pop(name, None)
            self._write()

    def leave(self, *names: str) -> None:
        """Leave items in progress, or all without names, to the next process, as after a crash."""
        with self._guard:
            for name in names or list(self._names):
                self._names.pop(name, None)
                self._crashes.setdefault(name, 1)
            self._write()

    def done(self, *names: str) -> None:
        """These items are finished: remove them, and forget their crashes."""
        with self._guard:
            noted = [name for name in names if name in self._names or name in self._crashes]
            for name in noted:
                self._names.pop(name, None)
                self._crashes.pop(name, None)
                self._set_aside.pop(name, None)
            if noted:
                self._write()

    @contextmanager
    def holding(self, names: Sequence[str]) -> Iterator[None]:
        """A block in which these items are in progress."""
        self.take(*names)
        try:
            yield
        finally:
            self.release(*names)

    def close(self, *, forget: bool = True) -> None:
        """Clear the record at a normal end of the process, even if threads are still at work. forget:
        False leaves what is in progress to the next process, as after a crash."""
        if not forget:
            self.leave()
        self.release()
        with self._guard:
            self._path = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _count_crash(self, path: Path) -> None:
        """Take over the note of a dead process."""
        names, self._crashes, set_aside = _read(path)
        self._set_aside = dict.fromkeys(set_aside)
        for name in names:
            self._crashes[name] = self._crashes.pop(name, 0) + 1
        if names:
            _log.warning(
                "the previous process crashed while it processed %d videos or messages, "
                "for example %s; each is now processed alone",
                len(names),
                names[0],
            )
        if len(names) == 1 and self._crashes[names[0]] >= _MAX_CRASHES:
            self._set_aside[names[0]] = None
        for name in list(self._crashes)[:-_MAX_REMEMBERED]:
            del self._crashes[name]

    def _write(self) -> None:
        if self._path is None or not self._writable:
            return
        note = {
            "in_hand": list(self._names),
            "crashes": self._crashes,
            "set_aside": list(self._set_aside),
        }
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(note), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            # The work continues without this protection.
            self._writable = False
            _log.error(
                "%s cannot be written (%s): until the next start, no video or message is "
                "set aside after a crash",
                self._path,
                error.strerror,
            )


def _read(path: Path) -> tuple[list[str], dict[str, int], list[str]]:
    """Items in progress, crashes by name, and items set aside. Nothing if the file cannot be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        crashes = {str(name): int(count) for name, count in note["crashes"].items()}
        return [str(name) for name in note["in_hand"]], crashes, [str(n) for n in note["set_aside"]]
    except FileNotFoundError:
        return [], {}, []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        _log.warning("%s cannot be read; the work in progress before the crash is unknown", path)
        return [], {}, []


def alone(items: Iterable[T], suspect: Iterable[bool]) -> Iterator[list[T]]:
    """Items in order, in batches; each suspect item is a batch of its own."""
    run: list[T] = []
    for item, by_itself in zip(items, suspect, strict=True):
        if by_itself:
            if run:
                yield run
            yield [item]
            run = []
        else:
            run.append(item)
    if run:
        yield run
