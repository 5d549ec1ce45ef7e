"""Films that move over still pictures: further videos of a catalogue, with contents of their own.

Thousands of films take no space: a film is a picture and the path of a window over it, and each of its
frames is cut when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import ClassVar

import numpy as np

from common.errors import UsageError, VideoError
from common.resize import shrink_to
from common.sandbox.limits import Check
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video import decode_images
from common.video.formats import PICTURE_SUFFIXES
from evaluation.data.datasets import DatasetVideo
from evaluation.data.distractors import PREFIX
from searcher.transform.pictures import PictureKind

SEGMENTS, SEGMENT_SECONDS = 8, 4.0
"""Segments of a film, and the seconds of each."""
_SUFFIXES = PICTURE_SUFFIXES | {".webp"}
# Width of the window as a share of the picture's width. Smaller parts show little but blur.
_NARROWEST, _WIDEST = 0.3, 0.8
_ASPECT = 16 / 9
# Short sides. A picture is held at no more than the first; a smaller one than the second is not used.
_HELD_SIDE, _SMALLEST_SIDE = 1080, 240
_HELD = 4


@dataclass(frozen=True, slots=True)
class PictureFilm:
    """One film. Its window moves over the picture evenly, on a straight line that `number` draws."""

    number: int
    path: Path
    kind: ClassVar[PictureKind] = "file"

    @property
    def video(self) -> DatasetVideo:
        """The film as a video: a family of its own."""
        name = f"{PREFIX}pictures/{self.number:06d}"
        return DatasetVideo(name, str(self.path), name)

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        """See `searcher.transform.pictures.Pictures`. Raises VideoError for a picture that cannot be read
        or is too small."""
        picture = _read(self.path)
        height, width = picture.shape[:2]
        draw = np.random.default_rng(self.number)
        wide = round(width * draw.uniform(_NARROWEST, _WIDEST))
        high = min(height, round(wide / _ASPECT))
        first, last = draw.uniform(size=(2, 2)) * (height - high, width - wide)
        for seconds in times:
            check()
            share = min(1.0, max(0.0, seconds / (SEGMENTS * SEGMENT_SECONDS)))
            top, left = (first + share * (last - first)).round().astype(int)
            yield shrink_to(picture[top : top + high, left : left + wide], side)


def picture_films(folder: Path) -> Iterator[PictureFilm]:
    """Films without end: one of each picture of the folder and its subfolders, then a second one of each,
    and so on; the same in every run. Raises UsageError for a folder without pictures."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise UsageError(
            f"{folder}: expected a folder of pictures ({', '.join(sorted(_SUFFIXES))})"
        )
    return (PictureFilm(number, paths[number % len(paths)]) for number in count())


@lru_cache(_HELD)
def _read(path: Path) -> UInt8Array:
    (frame,) = decode_images(
        [path], VideoSettings(), source_fps=1, frames_per_second=1, short_side=_HELD_SIDE
    )
    if min(frame.rgb.shape[:2]) < _SMALLEST_SIDE:
        raise VideoError(f"{path.name}: expected a short side of {_SMALLEST_SIDE} pixels or more")
    return frame.rgb
