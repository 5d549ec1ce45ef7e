"""Reads a folder of numbered pictures as the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import StoryHashError, VideoError
from common.settings import VideoSettings
from common.video.decode import Decoder, Frame


def decode_images(
    paths: Sequence[Path],
    limits: VideoSettings,
    *,
    source_fps: float,
    frames_per_second: float,
    short_side: int,
    beat: Callable[[], None] = lambda: None,
    unreadable: list[Path] | None = None,
) -> Iterator[Frame]:
    """Frames of an image sequence that plays at `source_fps`; at most `frames_per_second` of them.

    beat: called at every picture. unreadable: pictures that cannot be read are appended to it and
    skipped; the next one takes their slot. Raises VideoError with the name of a picture that cannot be
    read: of the first one if `unreadable` is None, otherwise only if no picture can be read.
    """
    slot_done = -1
    first_error: VideoError | None = None
    for index, path in enumerate(paths):
        beat()
        now = index / source_fps
        slot = int(now * frames_per_second + 1e-6)
        if slot <= slot_done:
            continue
        try:
            picture = next(iter(Decoder(path, limits, frames_per_second=1, short_side=short_side)))
        except StoryHashError as error:
            first_error = first_error or VideoError(f"{path.name}: {error}")
            if unreadable is None:
                raise first_error from None
            unreadable.append(path)
            continue
        slot_done = slot
        yield replace(picture, pts_seconds=now)
    if first_error is not None and slot_done < 0:
        raise first_error
