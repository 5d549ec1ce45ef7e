"""A note of what a process works on now, in a file that outlives the process.

Whatever may crash a worker would crash it at every start, as what was not finished is done again. So what
the note of a dead process names has one crash more. It is worked on alone from then on, one thing at a
time; what was alone in hand at its second crash is set aside. A process that is killed for another
reason rarely had the same single thing in hand both times.

No write is forced to the disk: the note must outlive the process, not the machine.
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

Thing = TypeVar("Thing")

FOLDER = "in-hand"
_log = logging.getLogger("storyhash.in_hand")
_MAX_CRASHES = 2
# Things of a dead process that never come back, such as messages another replica has taken over.
_MAX_REMEMBERED = 10_000
_MAX_SLOTS = 1_000


class WorkInProgress:
    """What one process has in hand, by names of the caller's. Thread-safe.

    Without a file it notes nothing and suspects nothing.
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
        """The note of this process, `folder`/in-hand/`name`-N: the first that no living process has.

        Several replicas may share a folder. Raises StorageError where it cannot be written to.
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
        """Whether it was in hand at a crash, so that it is to be worked on alone."""
        with self._guard:
            return name in self._crashes

    def is_set_aside(self, name: str) -> bool:
        """Whether it was alone in hand at its second crash, so that it is not to be worked on again."""
        with self._guard:
            return name in self._set_aside

    def take(self, *names: str) -> None:
        """These are in hand from now on, beside what is."""
        with self._guard:
            self._names.update(dict.fromkeys(names))
            self._write()

    def release(self, *names: str) -> None:
        """These are in hand no more; without names, nothing is. Their crashes stay known."""
        with self._guard:
            for name in names or list(self._names):
                self._names.pop(name, None)
            self._write()

    def done(self, *names: str) -> None:
        """These are dealt with: in hand no more, and no crash is held against them."""
        with self._guard:
            known = [one for one in names if one in self._names or one in self._crashes]
            for name in known:
                self._names.pop(name, None)
                self._crashes.pop(name, None)
                self._set_aside.pop(name, None)
            if known:
                self._write()

    @contextmanager
    def holding(self, names: Sequence[str]) -> Iterator[None]:
        """These are in hand within."""
        self.take(*names)
        try:
            yield
        finally:
            self.release(*names)

    def close(self) -> None:
        """The process ends in order: nothing in hand is at fault, whatever its threads still do."""
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
                *(len(names), names[0]),
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
            # Work goes on without: what is lost is the protection, not the work.
            self._writable = False
            _log.error(
                "%s cannot be written (%s): until the next start, no video or message is "
                "set aside after a crash",
                *(self._path, error.strerror),
            )


def _read(path: Path) -> tuple[list[str], dict[str, int], list[str]]:
    """What is in hand, crashes by name, and what is set aside; nothing for a file that cannot be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        crashes = {str(name): int(count) for name, count in note["crashes"].items()}
        return [str(name) for name in note["in_hand"]], crashes, [str(n) for n in note["set_aside"]]
    except FileNotFoundError:
        return [], {}, []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        _log.warning("%s cannot be read; the work in progress before the crash is unknown", path)
        return [], {}, []


def alone(things: Iterable[Thing], suspect: Iterable[bool]) -> Iterator[list[Thing]]:
    """Things in order, in runs to be worked on one after the other: each suspect one is a run."""
    run: list[Thing] = []
    for thing, by_itself in zip(things, suspect, strict=True):
        if by_itself:
            if run:
                yield run
            yield [thing]
            run = []
        else:
            run.append(thing)
    if run:
        yield run
