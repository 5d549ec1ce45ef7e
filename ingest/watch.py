"""A folder that grows: its videos, each once it is finished.

The folder is looked at again and again, which works on every file system, network shares among them. A
file is finished when it has not changed between looks for a while. Its time of change alone says little:
whoever copies a file may set it to that of the original.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.types import DEFAULT_BANK
from ingest.catalog import Listed, in_folder
from ingest.fingerprint import source_fingerprint
from ingest.folders import find_videos

# What browsers and downloaders add to the name of a file that is still coming: `film.mp4.part`,
# `film.part.mp4`, or an `aria2` beside it.
PARTIAL_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("!qb", "!ut", "aria2", "crdownload", "download", "filepart", "opdownload", "part"),
        *("partial", "temp", "tmp", "ytdl"),
    )
)


@dataclass(slots=True)
class _Seen:
    """A video as it was at the last look, and since when it has been so; `told` once it was given out."""

    fingerprint: str
    since: float
    told: bool = False


class FolderWatch:
    """Looks at one folder. Use from one thread."""

    def __init__(
        self,
        folder: Path,
        quiet_seconds: float,
        bank: str = DEFAULT_BANK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._quiet_seconds = quiet_seconds
        self._bank = bank
        self._clock = clock
        self._seen: dict[Path, _Seen] = {}

    def look(self) -> list[Listed]:
        """The videos that are finished and were not given before, or have changed since.

        Raises OSError when the folder cannot be read; what was seen is kept.
        """
        now = self._clock()
        seen: dict[Path, _Seen] = {}
        finished: list[Listed] = []
        for path in find_videos(self.folder):
            fingerprint = source_fingerprint(str(path))
            held = self._seen.get(path)
            if held is None or held.fingerprint != fingerprint:
                held = _Seen(fingerprint, now)
            seen[path] = held
            quiet = now - held.since >= self._quiet_seconds
            if quiet and not held.told and not is_partial(path) and has_content(path):
                held.told = True
                finished.append(in_folder(path, self.folder, self._bank))
        self._seen = seen
        return finished


def is_partial(path: Path) -> bool:
    """Whether the name of a video, or of a file beside it, says that more of it is to come."""
    named = {path.suffix.lower(), Path(path.stem).suffix.lower()}
    return bool(named & PARTIAL_SUFFIXES) or any(
        path.with_name(path.name + suffix).exists() for suffix in PARTIAL_SUFFIXES
    )


def has_content(path: Path) -> bool:
    """Whether it is a folder or a file with something in it; an empty one is still to be written."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) or found.st_size > 0
