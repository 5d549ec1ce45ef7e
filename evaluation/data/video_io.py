"""Read a video or a folder of pictures as a whole at a fixed rate, and write an edit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common.errors import VideoError, VideoLimitError
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video import Decoder, Frame, decode_images, encode_video
from evaluation.transforms.base import Film, TransformResult
from ingest.frame_folders import FRAME_FOLDER_FPS, frame_paths

# Above any real rate, so that the decoder returns every frame; this module samples them.
_EVERY_FRAME = 1000.0
# A lower rate in a container is not believed.
_MIN_PLAUSIBLE_FPS = 1.0
# Time stamps are in ticks, so a frame may be this much late.
_SLACK_SECONDS = 0.002
# An edit needs several times this: the video, the result and partners.
_MAX_BYTES = 3 << 30


def read_film(
    source: Path,
    *,
    frames_per_second: float = 16,
    short_side: int = 480,
    max_seconds: float | None = None,
    limits: VideoSettings | None = None,
) -> Film:
    """A video file, or a folder of numbered pictures (24 per second, like DAVIS), in memory.

    Frame k is the latest frame at k / rate. The rate is `frames_per_second`, or the source's own rate if
    that is lower and known. The short side is at most `short_side` pixels; only the first `max_seconds`
    are read. Raises VideoError if the source cannot be read, VideoLimitError if it exceeds a bound of
    `limits` or needs more than 3 GiB.
    """
    bounds = limits or VideoSettings()
    if source.is_dir():
        return _read_pictures(source, frames_per_second, short_side, max_seconds, bounds)
    decoder = Decoder(source, bounds, frames_per_second=_EVERY_FRAME, short_side=short_side)
    frames = iter(decoder)
    first = next(frames)
    own_rate = decoder.info.frames_per_second if decoder.info is not None else None
    rate = frames_per_second
    if own_rate is not None and _MIN_PLAUSIBLE_FPS <= own_rate < rate:
        rate = own_rate
    pictures: list[UInt8Array] = []
    current = first.rgb
    for frame in _until(frames, max_seconds):
        _hold(pictures, current, frame.pts_seconds - _SLACK_SECONDS, rate)
        current = frame.rgb
    end = decoder.end_seconds if max_seconds is None else min(decoder.end_seconds, max_seconds)
    # The last frame lasts to the end; the length is rounded to a whole number of frames.
    _hold(pictures, current, (round(end * rate) - 0.5) / rate, rate)
    return Film(_stack(pictures or [current]), rate)


def write_film(path: Path, result: TransformResult) -> None:
    """Write the result of an edit as H.264 with `made.crf`, in the container of the path's suffix.

    Odd heights and widths lose one line at the bottom or right, because H.264 halves the colour planes.
    Raises VideoError if it cannot be encoded or written.
    """
    frames = result.film.frames
    height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
    if not height or not width:
        raise VideoError(
            f"{path.name}: expected frames of 2 x 2 pixels or more, "
            f"got {frames.shape[2]} x {frames.shape[1]}"
        )
    even = (np.ascontiguousarray(frame[:height, :width]) for frame in frames)
    try:
        encode_video(path, even, result.film.frames_per_second, crf=result.crf)
    except (OSError, ValueError) as error:
        raise VideoError(f"{path.name}: could not be encoded ({error})") from None


def _read_pictures(
    folder: Path, max_rate: float, short_side: int, max_seconds: float | None, limits: VideoSettings
) -> Film:
    try:
        paths = frame_paths(folder)
    except OSError as error:
        raise VideoError(f"{folder}: {error.strerror}") from None
    if not paths:
        raise VideoError(f"{folder}: a folder without numbered pictures is no video")
    rate = min(max_rate, FRAME_FOLDER_FPS)
    seconds = len(paths) / FRAME_FOLDER_FPS
    if max_seconds is not None:
        seconds = min(seconds, max_seconds)
    count = max(1, round(seconds * rate))
    chosen = [paths[int(k / rate * FRAME_FOLDER_FPS + 1e-6)] for k in range(count)]
    pictures = decode_images(
        chosen, limits, source_fps=rate, frames_per_second=_EVERY_FRAME, short_side=short_side
    )
    return Film(_stack([picture.rgb for picture in pictures]), rate)


def _until(frames: Iterator[Frame], max_seconds: float | None) -> Iterator[Frame]:
    for frame in frames:
        if max_seconds is not None and frame.pts_seconds >= max_seconds:
            return
        yield frame


def _hold(frames: list[UInt8Array], picture: UInt8Array, until_seconds: float, rate: float) -> None:
    """Append the picture for every moment k / rate before `until_seconds` that has none yet."""
    while len(frames) / rate < until_seconds:
        if (len(frames) + 1) * picture.nbytes > _MAX_BYTES:
            raise VideoLimitError(
                f"longer than {len(frames) / rate:.0f} s, which is more than {_MAX_BYTES >> 30} GiB "
                "of pictures; read only its first seconds, or a smaller picture"
            )
        frames.append(picture)


def _stack(pictures: list[UInt8Array]) -> UInt8Array:
    """uint8 (T, H, W, 3) with the size of the first picture. Replaces the list's pictures by views, so
    that no picture is in memory twice."""
    height, width = pictures[0].shape[:2]
    frames = np.empty((len(pictures), height, width, 3), dtype=np.uint8)
    for index in range(len(pictures)):
        picture = pictures[index]
        if picture.shape[:2] != (height, width):
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        frames[index] = picture
        pictures[index] = frames[index]
    return frames
