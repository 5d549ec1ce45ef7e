"""Pictures of every shape: specks, strips, odd sizes, absurd pixels, turned, deep, huge."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from tests.faults.hostile.base import HostileInput, film, pack

# Width and height. H.264 wants even sizes; lossless codecs take any.
_SIZES = (
    *((2, 2), (1, 1), (3, 3), (16, 16), (15, 17), (2, 2000), (2000, 2), (16, 2048), (2048, 16)),
    *((1600, 288), (288, 1600), (1920, 130), (33, 31), (640, 120), (160, 31), (160, 30), (31, 160)),
    *((1280, 2), (7, 480), (480, 7), (4096, 64), (64, 4096), (1, 500), (500, 1), (320, 48)),
    *((4080, 4064), (1000, 1000), (642, 642), (176, 144), (128, 1024), (1024, 100)),
)
_ASPECTS = (Fraction(1, 255), Fraction(255, 1), Fraction(64, 45), Fraction(8, 1), Fraction(1, 8))


def make(chance: random.Random, count: int) -> Iterator[HostileInput]:
    """Every size first, then sizes and shapes of pixels by chance."""
    for number in range(count):
        width, height = _SIZES[number % len(_SIZES)]
        aspect = None
        if number >= len(_SIZES):
            width, height = (round(2 ** chance.uniform(0, 10.5)) for _ in range(2))
            aspect = _ASPECTS[number % len(_ASPECTS)]
        huge = width * height > 2_000_000
        frames = film(chance, width, height, 3 if huge else 12)
        codec, pix_fmt = _codec(chance, width, height)
        rotation = chance.choice((None, None, 90, 180, 270))
        what = f"{width}x{height} {codec}" + (f" pixels {aspect}" if aspect else "")
        container, suffix = ("avi", b"avi") if "huff" in codec else ("matroska", b"mkv")
        content = pack(
            frames,
            container=container,
            codec=codec,
            pix_fmt=pix_fmt,
            aspect=aspect,
            rotation=None if suffix == b"avi" else rotation,
        )
        yield HostileInput("shapes", what, b"shape-%03d.%s" % (number, suffix), content)


def _codec(chance: random.Random, width: int, height: int) -> tuple[str, str]:
    if width % 2 or height % 2:
        return chance.choice((("huffyuv", "rgb24"), ("ffvhuff", "yuv444p")))
    if width < 16 or height < 16:
        return chance.choice((("ffvhuff", "yuv420p"), ("libx264", "yuv420p")))
    return chance.choice(
        (
            ("libx264", "yuv420p"),
            ("mpeg4", "yuv420p"),
            ("libx264", "yuv420p10le"),
            ("mjpeg", "yuvj420p"),
        )
    )
