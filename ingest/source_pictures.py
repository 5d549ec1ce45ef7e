"""Single pictures of a video file, or of a folder of numbered pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.errors import VideoError
from common.resize import shrink_to
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video import decode_images
from common.video.moments import pictures_at
from ingest.frame_folders import FRAME_FOLDER_FPS, frame_paths


def pictures_of(
    path: Path,
    times: Sequence[float],
    settings: VideoSettings,
    *,
    short_side: int,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[UInt8Array]:
    """One picture, uint8 (H, W, 3), per time, in order; its short side is at most `short_side` pixels.

    times: increasing, seconds. Raises VideoError for a folder without pictures, and the errors of
    `pictures_at`.
    """
    if not path.is_dir():
        for picture in pictures_at(path, times, settings, short_side=short_side, beat=beat):
            yield shrink_to(picture, short_side)
        return
    paths = numbered_pictures(path)
    for seconds in times:
        beat()
        number = min(len(paths) - 1, int(seconds * FRAME_FOLDER_FPS))
        for frame in decode_images(
            [paths[number]], settings, source_fps=1, frames_per_second=1, short_side=short_side
        ):
            yield shrink_to(frame.rgb, short_side)


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder that is a video. Raises VideoError if there are none."""
    paths = frame_paths(folder)
    if not paths:
        raise VideoError(f"{folder}: is a folder without numbered pictures")
    return paths
