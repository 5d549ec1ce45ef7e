"""Several tracks, none that can be used, changes on the way, and bombs."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame

from common.types import UInt8Array
from tests.faults.hostile.base import HostileInput, film, pack


def _still_first(chance: random.Random) -> bytes:
    """A track of one picture before the film."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        tracks = [output.add_stream("mpeg4", rate=25) for _ in range(2)]
        shown = [film(chance, 64, 48, 1), film(chance, 320, 180, 50)]
        for stream, frames in zip(tracks, shown, strict=True):
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
        for stream, frames in zip(tracks, shown, strict=True):
            for number, rgb in enumerate(frames):
                frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    return buffer.getvalue()


def _grows(chance: random.Random) -> bytes:
    """The picture changes its size on the way."""
    sizes = [(160, 96), (320, 176), (96, 160)]
    return b"".join(
        pack(film(chance, *size), container="mpegts", codec="mpeg2video") for size in sizes
    )


def _huge_picture(_: random.Random) -> bytes:
    """A few kilobytes that decode to hundreds of megabytes."""
    frame: UInt8Array = np.zeros((8000, 8000, 3), dtype=np.uint8)
    return pack([frame], container="mov", codec="png", pix_fmt="rgb24")


def _many_frames(_: random.Random) -> bytes:
    frame: UInt8Array = np.full((16, 16, 3), 90, dtype=np.uint8)
    return pack([frame] * 20_000, container="avi", codec="mpeg4")


def _still_clip(chance: random.Random) -> bytes:
    """One large picture, shown sixty times."""
    frame: UInt8Array = np.full((4064, 4080, 3), chance.randrange(60, 200), dtype=np.uint8)
    frame[1000:3000, 500:2500] = chance.randrange(200, 255)
    return pack([frame] * 60, container="mp4", codec="libx264")


_Maker = tuple[Callable[[random.Random], bytes], bytes, bool | None]
_FILMS: dict[str, _Maker] = {
    "a still track first": (_still_first, b"mkv", True),
    "sizes that change": (_grows, b"ts", True),
}
_BOMBS: dict[str, _Maker] = {
    "a picture of 64 megapixels": (_huge_picture, b"mov", False),
    "twenty thousand frames": (_many_frames, b"avi", True),
    "sixty frames of 16 megapixels": (_still_clip, b"mp4", None),
}


def make(chance: random.Random, count: int) -> Iterator[HostileInput]:
    """Each in turn."""
    bombs = list(_BOMBS.items())
    films = list(_FILMS.items())
    for number in range(count):
        # Bombs once: they take long to make.
        what, (make_one, suffix, usable) = (
            bombs[number] if number < len(bombs) else films[number % len(films)]
        )
        name = b"track-%03d.%s" % (number, suffix)
        yield HostileInput("tracks", what, name, make_one(chance), usable=usable)
