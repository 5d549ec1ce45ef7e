"""Watches a growing folder for finished videos.

The folder is scanned periodically, which works on every file system, also on network shares. A file is
finished if it has not changed between scans for a while. Its modification time alone is not enough,
because a copy may keep that of the original.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.types import DEFAULT_BANK
from ingest.catalogue import CatalogueItem, in_folder
from ingest.exclusion import NOTHING, Exclusion
from ingest.fingerprint import source_fingerprint
from ingest.first_bytes import Kind, kind_of_file
from ingest.suffixes import PARTIAL_SUFFIXES
from ingest.video_discovery import FoundVideo, Problem, scan_folder

# State of a file when its type was read: size, time of change, inode number.
_Status = tuple[int, int, int]


@dataclass(slots=True)
class _WatchedFile:
    """A video at the last scan. since: it has not changed since. is_reported: it was returned."""

    fingerprint: str
    since: float
    is_reported: bool = False


class FolderWatch:
    """Scans one folder. Use from one thread."""

    def __init__(
        self,
        folder: Path,
        quiet_seconds: float,
        bank: str = DEFAULT_BANK,
        clock: Callable[[], float] = time.monotonic,
        exclusion: Exclusion = NOTHING,
    ) -> None:
        self.folder = folder
        # Problems that the last scan found for the first time.
        self.new_problems: Sequence[Problem] = ()
        # Number of files and folders that patterns excluded from the last scan.
        self.excluded = 0
        self._quiet_seconds = quiet_seconds
        self._bank = bank
        self._clock = clock
        self._exclusion = exclusion
        self._files: dict[str, _WatchedFile] = {}
        self._kinds = _Kinds()
        self._problems: frozenset[Problem] = frozenset()

    def look(self) -> list[CatalogueItem]:
        """The videos that are finished and were not returned before, or have changed since.

        Raises OSError if the folder itself cannot be read; the state is kept. Unreadable parts of it are
        skipped and reported once in `new_problems`.
        """
        now = self._clock()
        scan = scan_folder(self.folder, self._kinds, self._exclusion)
        self._kinds.forget_others()
        self.new_problems = [problem for problem in scan.problems if problem not in self._problems]
        self._problems = frozenset(scan.problems)
        self.excluded = scan.passed_over.excluded
        files: dict[str, _WatchedFile] = {}
        finished: list[CatalogueItem] = []
        for video in scan.videos:
            fingerprint = source_fingerprint(video.path)
            file = self._files.get(video.path)
            if file is None or file.fingerprint != fingerprint:
                file = _WatchedFile(fingerprint, now)
            files[video.path] = file
            quiet = now - file.since >= self._quiet_seconds
            if quiet and not file.is_reported and not is_partial(video) and has_content(video.path):
                file.is_reported = True
                finished.append(in_folder(video.path, self.folder, self._bank))
        self._files = files
        return finished


class _Kinds:
    """The types of files by their first bytes; a file is read again only after a change."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[_Status, Kind]] = {}
        self._current: dict[str, tuple[_Status, Kind]] = {}

    def __call__(self, path: str) -> Kind:
        file_status = os.stat(path)
        status = (file_status.st_size, file_status.st_mtime_ns, file_status.st_ino)
        cached = self._before.get(path)
        kind = cached[1] if cached and cached[0] == status else kind_of_file(path)
        self._current[path] = (status, kind)
        return kind

    def forget_others(self) -> None:
        """Keep only the files that were requested since the last call."""
        self._before, self._current = self._current, {}


def is_partial(video: FoundVideo) -> bool:
    """Whether the name of a video, or of a file next to it, says that it is incomplete."""
    stem, suffix = os.path.splitext(os.path.basename(video.path))
    named = {suffix.lower(), os.path.splitext(stem)[1].lower()}
    return video.unfinished or bool(named & PARTIAL_SUFFIXES)


def has_content(path: str) -> bool:
    """Whether it is a folder or a non-empty file; an empty file is still being written."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) or status.st_size > 0
