"""Packed thumbnails: what is packed is read, bounded, and nothing else is."""

from __future__ import annotations

import pytest

from common.thumbnails import MAX_SEGMENT_BYTES, Thumbnail, pack_thumbnails, unpack_thumbnails


def webp(size: int) -> bytes:
    return b"RIFF\x04\x00\x00\x00WEBP".ljust(size, b"x")


PICTURES = [Thumbnail(0.0, webp(12)), Thumbnail(4.5, webp(40))]


def test_what_was_packed_is_read() -> None:
    assert unpack_thumbnails(pack_thumbnails(PICTURES)) == PICTURES
    assert pack_thumbnails([]) == b""
    assert unpack_thumbnails(b"") == []


def test_the_pictures_of_a_segment_are_bounded_and_the_first_ones_are_kept() -> None:
    half = MAX_SEGMENT_BYTES // 2 - 8
    pictures = [Thumbnail(float(second), webp(half)) for second in range(3)]
    packed = pack_thumbnails(pictures)
    assert len(packed) == MAX_SEGMENT_BYTES
    assert unpack_thumbnails(packed) == pictures[:2]


@pytest.mark.parametrize(
    "damaged",
    [
        pack_thumbnails(PICTURES)[:-1],
        pack_thumbnails(PICTURES) + b"\x00",
        pack_thumbnails([Thumbnail(1.0, b"<script>alert(1)</script>")]),
        pack_thumbnails([Thumbnail(1.0, webp(MAX_SEGMENT_BYTES - 8))]) + pack_thumbnails(PICTURES),
    ],
    ids=["a byte is missing", "a byte too many", "another format", "too many bytes"],
)
def test_other_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="thumbnails: "):
        unpack_thumbnails(damaged)
