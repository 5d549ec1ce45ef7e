"""Thumbnails: small WebP pictures of a video, to judge and to verify matches.

Packed, each picture is its time, its number of bytes and its bytes:

    uint32, milliseconds of the video     uint32, N     N bytes, WebP

The integers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

INTERVAL_SECONDS = 0.5
# Maximum bytes of the packed pictures of one segment, so that they fit into its message.
MAX_SEGMENT_BYTES = 512 * 1024
_HEAD = struct.Struct("<II")
_MAX_MILLISECONDS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture. seconds: its time in the video. webp: the bytes of the picture."""

    seconds: float
    webp: bytes


def pack_thumbnails(pictures: Iterable[Thumbnail]) -> bytes:
    """Pack the pictures of a segment. Those after the first MAX_SEGMENT_BYTES are left out."""
    packed = bytearray()
    for one in pictures:
        milliseconds = min(round(1000 * one.seconds), _MAX_MILLISECONDS)
        head = _HEAD.pack(milliseconds, len(one.webp))
        if len(packed) + len(head) + len(one.webp) > MAX_SEGMENT_BYTES:
            break
        packed += head + one.webp
    return bytes(packed)


def unpack_thumbnails(packed: bytes) -> list[Thumbnail]:
    """The pictures. Raises ValueError if these bytes are not what `pack_thumbnails` makes."""
    if len(packed) > MAX_SEGMENT_BYTES:
        raise ValueError(
            f"thumbnails: expected at most {MAX_SEGMENT_BYTES} bytes, got {len(packed)}"
        )
    pictures = []
    at = 0
    while at < len(packed):
        start = at + _HEAD.size
        if start > len(packed):
            raise ValueError(f"thumbnails: incomplete at byte {at}")
        milliseconds, size = _HEAD.unpack_from(packed, at)
        at = start + size
        webp = packed[start:at]
        if len(webp) != size or webp[:4] != b"RIFF" or webp[8:12] != b"WEBP":
            raise ValueError(f"thumbnails: expected {size} bytes of WebP at byte {start}")
        pictures.append(Thumbnail(milliseconds / 1000, webp))
    return pictures
