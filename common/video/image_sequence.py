"""A folder of numbered pictures, read as the frames of a video."""

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
    """Frames of a picture series shown at `source_fps`, at most `frames_per_second` of them.

    beat: called at every picture. unreadable: pictures that cannot be read are noted in it and left out,
    and the next one is shown in their place. Raises VideoError that names a picture which cannot be read:
    any without `unreadable`, else the first where none can be.
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
