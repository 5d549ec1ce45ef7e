"""Finds the videos below a folder: files by suffix or first bytes, and folders of numbered pictures.

Something unreadable is recorded, and the walk continues. The walk costs a few system calls per folder and
none for most files, at any depth.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.settings.data_folder import DATA_FOLDER_FILE
from common.video.formats import PICTURE_SUFFIXES
from ingest.exclusion import NOTHING, Exclusion
from ingest.first_bytes import Kind, kind_of_file
from ingest.frame_folders import is_frame_sequence
from ingest.suffixes import (
    OTHER_SUFFIXES,
    PARTIAL_SUFFIXES,
    SYSTEM_FOLDERS,
    TEXT_OR_VIDEO_SUFFIXES,
    VIDEO_SUFFIXES,
)

# Many links may lead to one folder; it is walked at most this often.
_MOST_ENTRIES = 16
KindOf = Callable[[str], Kind]


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A video file, or a folder of pictures. unfinished: a file next to it says that it is incomplete."""

    path: str
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that could not be read or used. code: the reason for programs; message: for people."""

    path: str
    code: str
    message: str


@dataclass(slots=True)
class SkippedFiles:
    """The files that are no videos: count by suffix or name and reason, with the first of each."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, kind: str, reason: str, path: str, count: int = 1) -> None:
        """Count one file."""
        self.counts[kind, reason] += count
        self.examples.setdefault((kind, reason), path)

    def update(self, other: SkippedFiles) -> None:
        """Add the counts of another folder."""
        self.counts.update(other.counts)
        self.examples = {**other.examples, **self.examples}

    @property
    def excluded(self) -> int:
        """Number of files and folders that patterns excluded."""
        return sum(count for (kind, _), count in self.counts.items() if kind.startswith("excluded"))

    def to_json(self) -> list[dict[str, Any]]:
        """The most frequent first."""
        return [
            {"what": kind, "why": reason, "count": count, "example": self.examples[kind, reason]}
            for (kind, reason), count in self.counts.most_common()
        ]


@dataclass(slots=True)
class FolderScan:
    """The results of one walk, sorted by name."""

    videos: list[FoundVideo] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    passed_over: SkippedFiles = field(default_factory=SkippedFiles)


def scan_folder(
    folder: Path, kind_of: KindOf = kind_of_file, exclusion: Exclusion = NOTHING
) -> FolderScan:
    """Every video below a folder. Raises OSError if the folder itself cannot be read.

    Hidden files and system folders are skipped. A folder with numbered pictures and no video in or below
    it is one video. Links back to a parent folder are not followed. kind_of: returns the type of a file
    whose name does not tell it.
    """
    return _Walk(kind_of, exclusion).run(str(folder))


@dataclass(slots=True)
class _Frame:
    """A folder of the current path of the walk: its remaining entries, and its pictures."""

    path: str
    key: tuple[int, int]
    entries: Iterator[os.DirEntry[str]]
    unfinished: frozenset[str]
    found_before: int
    is_root: bool
    pictures: list[str] = field(default_factory=list)
    folders: int = 0


class _Walk:
    """One walk, depth first. The current path is a list, so its depth has no limit."""

    def __init__(self, kind_of: KindOf, exclusion: Exclusion) -> None:
        self._kind_of = kind_of
        self._exclusion = exclusion
        self._scan = FolderScan()
        self._way: list[_Frame] = []
        self._on_the_way: set[tuple[int, int]] = set()
        self._entered: Counter[tuple[int, int]] = Counter()

    def run(self, root: str) -> FolderScan:
        self._enter(root, os.stat(root), is_root=True)
        while self._way:
            frame = self._way[-1]
            entry = next(frame.entries, None)
            if entry is None:
                self._leave(self._way.pop())
                continue
            try:
                self._look_at(frame, entry)
            except OSError as error:
                self._cannot(entry.path, error)
        return self._scan

    def _enter(self, path: str, status: os.stat_result, *, is_root: bool = False) -> None:
        key = (status.st_dev, status.st_ino)
        if key in self._on_the_way:
            self._scan.passed_over.add("link", "leads back into a folder on the way", path)
            return
        if self._entered[key] >= _MOST_ENTRIES:
            self._scan.passed_over.add(
                "link", f"leads to a folder that was already reached {_MOST_ENTRIES} times", path
            )
            return
        with os.scandir(path) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        if not is_root and any(entry.name == DATA_FOLDER_FILE for entry in entries):
            # Its uploaded files are videos of the catalogue already.
            self._pass_over("data folder", "a data folder of StoryHash", path)
            return
        self._entered[key] += 1
        self._on_the_way.add(key)
        ends = (os.path.splitext(entry.name) for entry in entries)
        unfinished = frozenset(stem for stem, suffix in ends if suffix.lower() in PARTIAL_SUFFIXES)
        count = len(self._scan.videos)
        self._way.append(_Frame(path, key, iter(entries), unfinished, count, is_root))

    def _leave(self, frame: _Frame) -> None:
        self._on_the_way.discard(frame.key)
        # A folder of pictures that the user names is a video.
        named = frame.is_root and not frame.folders and len(frame.pictures) > 1
        nothing_else = len(self._scan.videos) == frame.found_before
        if nothing_else and is_frame_sequence(frame.pictures, named=named):
            self._scan.videos.append(FoundVideo(frame.path))
            return
        for name in frame.pictures:
            self._pass_over(_suffix(name), "a picture", os.path.join(frame.path, name))

    def _look_at(self, frame: _Frame, entry: os.DirEntry[str]) -> None:
        name = entry.name
        if name.startswith("."):
            self._pass_over("hidden", "its name begins with a dot", entry.path)
        elif name in SYSTEM_FOLDERS:
            self._pass_over(name, "used by the operating system", entry.path)
        elif pattern := self._is_excluded(entry):
            kind = "excluded folder" if _is_folder(entry) else "excluded"
            self._pass_over(kind, f"matches {pattern}", entry.path)
        elif entry.is_symlink() and _is_broken(entry):
            self._broken_link(entry)
        elif entry.is_dir():
            if self._is_named(entry):
                frame.folders += 1
                self._enter(entry.path, entry.stat())
        elif entry.is_file():
            self._file(frame, entry)
        else:
            self._pass_over("special", "neither a file nor a folder", entry.path)

    def _is_excluded(self, entry: os.DirEntry[str]) -> str:
        relative = entry.path[len(self._way[0].path) :].lstrip("/")
        return self._exclusion.why(relative, is_folder=_is_folder(entry))

    def _file(self, frame: _Frame, entry: os.DirEntry[str]) -> None:
        suffix = _suffix(entry.name)
        if suffix in PICTURE_SUFFIXES:
            frame.pictures.append(entry.name)
        elif suffix in PARTIAL_SUFFIXES:
            self._pass_over(suffix, "still being written", entry.path)
        elif suffix in OTHER_SUFFIXES:
            self._pass_over(suffix, "its suffix is not one of a video", entry.path)
        elif suffix in VIDEO_SUFFIXES or self._is_video(suffix, entry.path):
            self._take(frame, entry)

    def _take(self, frame: _Frame, entry: os.DirEntry[str]) -> None:
        if self._is_named(entry):
            self._scan.videos.append(FoundVideo(entry.path, entry.name in frame.unfinished))

    def _is_video(self, suffix: str, path: str) -> bool:
        """Read the start of a file whose name does not tell its type. A stream that may be damaged counts
        as a video, and decoding decides."""
        try:
            kind = self._kind_of(path)
        except OSError as error:
            if suffix in TEXT_OR_VIDEO_SUFFIXES:
                raise
            self._pass_over(suffix or "no suffix", error.strerror or str(error), path)
            return False
        if kind == "video" or (kind == "unknown" and suffix in TEXT_OR_VIDEO_SUFFIXES):
            return True
        reason = {"text": "text", "empty": "empty"}.get(kind, "its content is not a video")
        self._pass_over(suffix or "no suffix", reason, path)
        return False

    def _is_named(self, entry: os.DirEntry[str]) -> bool:
        """Whether its name is a valid id in the catalogue."""
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            problem = Problem(entry.path, "name", "its name is not UTF-8 text; rename it")
            self._scan.problems.append(problem)
            return False
        return True

    def _broken_link(self, entry: os.DirEntry[str]) -> None:
        if _suffix(entry.name) in VIDEO_SUFFIXES | TEXT_OR_VIDEO_SUFFIXES:
            reason = "a broken link; correct or remove it"
            self._scan.problems.append(Problem(entry.path, "unreadable", reason))
        else:
            self._pass_over("link", "leads to a missing file", entry.path)

    def _cannot(self, path: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        self._scan.problems.append(Problem(path, "unreadable", f"{reason}; its content is skipped"))

    def _pass_over(self, kind: str, reason: str, path: str) -> None:
        self._scan.passed_over.add(kind, reason, path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; not a link that cannot be followed."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_broken(entry: os.DirEntry[str]) -> bool:
    """Whether a link is broken or leads to itself. Raises OSError if this cannot be determined."""
    try:
        entry.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return True
        raise
    return False


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
