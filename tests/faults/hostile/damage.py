"""Sound films damaged: at every kind of box of an MP4, and anywhere in other containers."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

from tests.faults.hostile.base import HostileInput, film, pack

# Boxes that hold boxes.
_PARENTS = set(b"moov trak mdia minf stbl dinf edts moof traf mvex udta".split())
_HEADER = 8


def boxes(
    content: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Type, first and last byte of every box, parents before what they hold (ISO/IEC 14496-12, 4.2)."""
    at, end = start, len(content) if end is None else end
    while at + _HEADER <= end:
        size, kind = struct.unpack(">I4s", content[at : at + _HEADER])
        if size < _HEADER or at + size > end:
            return
        yield kind, at, at + size
        if kind in _PARENTS:
            yield from boxes(content, at + _HEADER, at + size)
        at += size


Harm = Callable[[random.Random, bytes, int, int], bytes]


def _filled(chance: random.Random, content: bytes, start: int, end: int) -> bytes:
    noise = chance.randbytes(end - start - _HEADER)
    return content[: start + _HEADER] + noise + content[end:]


def _emptied(_: random.Random, content: bytes, start: int, end: int) -> bytes:
    return content[: start + _HEADER] + bytes(end - start - _HEADER) + content[end:]


def _sized(size: int) -> Harm:
    def harm(_: random.Random, content: bytes, start: int, end: int) -> bytes:
        return content[:start] + struct.pack(">I", size) + content[start + 4 :]

    return harm


def _without(_: random.Random, content: bytes, start: int, end: int) -> bytes:
    return content[:start] + content[end:]


def _twice(_: random.Random, content: bytes, start: int, end: int) -> bytes:
    return content[:end] + content[start:end] + content[end:]


def _renamed(_: random.Random, content: bytes, start: int, end: int) -> bytes:
    return content[: start + 4] + b"free" + content[start + 8 :]


def _bit_flipped(chance: random.Random, content: bytes, start: int, end: int) -> bytes:
    spoiled = bytearray(content)
    for _ in range(3):
        spoiled[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


_HARMS: dict[str, Harm] = {
    "noise in": _filled,
    "zeros in": _emptied,
    "size 0 of": _sized(0),
    "size 1 of": _sized(1),
    "size 4 of": _sized(4),
    "size 2 GiB of": _sized(0x7FFFFFFF),
    "without": _without,
    "twice": _twice,
    "renamed": _renamed,
    "bits flipped in": _bit_flipped,
}
_MP4_FLAGS = ("", "frag_keyframe+empty_moov")
# Container and codec, as files in the wild have them.
_OTHERS = (
    *(("matroska", "libx264", "mkv"), ("webm", "libvpx", "webm"), ("mpegts", "mpeg2video", "ts")),
    *(
        ("avi", "mpeg4", "avi"),
        ("flv", "flv", "flv"),
        ("asf", "wmv2", "wmv"),
        ("mpeg", "mpeg1video", "mpg"),
    ),
    *(
        ("gif", "gif", "gif"),
        ("yuv4mpegpipe", "wrapped_avframe", "y4m"),
        ("h264", "libx264", "h264"),
    ),
    *(("mxf", "mpeg2video", "mxf"), ("ivf", "libvpx-vp9", "ivf")),
)


def make(chance: random.Random, count: int) -> Iterator[HostileInput]:
    """Two thirds MP4, box by box; the rest other containers."""
    mp4 = count * 2 // 3
    yield from _spoiled_boxes(chance, mp4)
    for number in range(count - mp4):
        container, codec, suffix = _OTHERS[number % len(_OTHERS)]
        content = _film(chance, container, codec)
        what, spoiled = _spoil(chance, content)
        name = b"%s-%03d.%s" % (container.encode(), number, suffix.encode())
        yield HostileInput("damage", f"{container}: {what}", name, spoiled)


def _spoiled_boxes(chance: random.Random, count: int) -> Iterator[HostileInput]:
    sound = [
        pack(film(chance), container="mp4", codec="libx264", flags=flags) for flags in _MP4_FLAGS
    ]
    every = [(content, box) for content in sound for box in boxes(content)]
    kinds = sorted({box[0] for _, box in every})
    harms = list(_HARMS.items())
    for number in range(count):
        # Every kind of box in turn; every harm in turn.
        wanted = kinds[number % len(kinds)]
        content, (kind, start, end) = chance.choice([one for one in every if one[1][0] == wanted])
        words, harm = harms[(number + number // len(kinds)) % len(harms)]
        name = b"mp4-%03d.mp4" % number
        spoiled = harm(chance, content, start, end)
        yield HostileInput("damage", f"mp4: {words} {kind.decode('latin-1')}", name, spoiled)


def _film(chance: random.Random, container: str, codec: str) -> bytes:
    pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    return pack(film(chance, 176, 144), container=container, codec=codec, pix_fmt=pix_fmt)


def _spoil(chance: random.Random, content: bytes) -> tuple[str, bytes]:
    """How, and what is left."""
    size = len(content)
    spoiled = bytearray(content)
    how = chance.choice(("cut", "flips", "hole", "noise", "beginning gone", "first bytes", "sound"))
    if how == "cut":
        spoiled = spoiled[: chance.randrange(1, size)]
    elif how == "flips":
        for _ in range(max(4, size // 500)):
            spoiled[chance.randrange(size)] ^= 1 << chance.randrange(8)
    elif how == "hole":
        at = chance.randrange(size)
        spoiled[at : at + size // 10] = bytes(len(spoiled[at : at + size // 10]))
    elif how == "noise":
        at = chance.randrange(size)
        spoiled[at : at + size // 10] = chance.randbytes(len(spoiled[at : at + size // 10]))
    elif how == "beginning gone":
        spoiled = spoiled[chance.randrange(1, size // 2) :]
    elif how == "first bytes":
        spoiled[:16] = chance.randbytes(16)
    return how, bytes(spoiled)
