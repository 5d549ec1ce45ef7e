"""What counts as a video in a folder: files by their suffix, and folders of numbered pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3gp", "asf", "avi", "divx", "f4v", "flv", "gif", "h264", "h265", "hevc", "ivf", "m2ts"),
        *("m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob", "webm"),
        *("wmv", "y4m"),
    )
)
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
# Picture folders carry no rate; this is the one DAVIS was shot and is published at.
FRAME_FOLDER_FPS = 24.0
_NUMBERED = re.compile(r"\d+$")


def find_videos(folder: Path) -> Iterator[Path]:
    """Every video below a folder, in the order of its name; hidden ones are passed over.

    A folder that holds numbered pictures and no video is one video. Links that lead back into a
    folder on the way here are not followed.
    """
    yield from _walk(folder, frozenset())


def frame_paths(folder: Path) -> list[Path]:
    """The numbered pictures of a folder in the order of their numbers."""
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and _NUMBERED.search(path.stem)
    ]
    return sorted(pictures, key=lambda path: (int(_NUMBERED.findall(path.stem)[0]), path.name))


def _walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    here = os.path.realpath(folder)
    if here in above:
        return
    children = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    videos = [path for path in children if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    if not videos and len(frame_paths(folder)) > 1:
        yield folder
        return
    for path in children:
        if path in videos:
            yield path
        elif path.is_dir():
            yield from _walk(path, above | {here})
