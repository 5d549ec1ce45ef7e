"""Detects the type of a file by its first bytes if its name does not tell: `.ts` is a transport stream or
TypeScript, and some videos have another suffix or none."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias

from common.video.formats import is_text

Kind: TypeAlias = Literal["video", "text", "unknown", "empty"]

# Enough for several packets of a transport stream.
HEAD_BYTES = 8192
_TS_PACKET_BYTES = (188, 192, 204)
_TS_SYNC = 0x47
# Packets in a row that must begin with the sync byte; by chance, 1 in 256 bytes is one.
_TS_PACKETS = 5
# First bytes of containers and raw streams with pictures.
_BEGINNINGS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
    b"FLV\x01",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG-1 and MPEG-2 video
    b".RMF",  # RealMedia
    b"nut/multimedia container\0",
    b"\xb7\xd8\x00 7I\xda\x11",  # Windows recorded TV
    b"\x06\x0e+4\x02\x05\x01\x01",  # MXF
    b"\x1f\x07\x00",  # DV
    b"DKIF",  # IVF
    b"YUV4MPEG2 ",
    b"DHAV",
    b"NSVf",
    b"BIKb",
    b"BIKf",
    b"BIKi",
    b"SMK2",
    b"SMK4",
    b"\x00\x00\x00\x01\x67",  # H.264, a parameter set first
    b"\x00\x00\x01\x67",
    b"\x00\x00\x00\x01\x40\x01",  # H.265
)
_RIFF_FORMS = (b"AVI ", b"AMV ", b"CDXA")
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
# ISO files that are sound or a picture.
_OTHER_BRANDS = (
    b"M4A ",
    b"M4B ",
    b"M4P ",
    b"heic",
    b"heix",
    b"mif1",
    b"msf1",
    b"avif",
    b"jp2 ",
    b"crx ",
)


def kind_of_file(path: str) -> Kind:
    """The type of a regular file. Raises OSError; it never blocks, even if the path is a pipe by now."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return kind_of(file.read(HEAD_BYTES) or b"")


def kind_of(head: bytes) -> Kind:
    """The type of a file by its first bytes. head: up to HEAD_BYTES of them."""
    if not head:
        return "empty"
    if _is_container(head) or _is_transport_stream(head):
        return "video"
    return "text" if is_text(head) else "unknown"


def _is_container(head: bytes) -> bool:
    if head.startswith(_BEGINNINGS):
        return True
    if head[:4] == b"RIFF":
        return head[8:12] in _RIFF_FORMS
    if head[4:8] in _BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in _OTHER_BRANDS
    return head[:4] == b"OggS" and (b"theora" in head[:512] or b"OVP80" in head[:512])


def _is_transport_stream(head: bytes) -> bool:
    """Whether the sync byte repeats at the packet size; a recording may begin inside a packet."""
    for packet_bytes in _TS_PACKET_BYTES:
        for start in range(min(packet_bytes, len(head))):
            packets = head[start::packet_bytes]
            if len(packets) >= _TS_PACKETS and not packets.strip(b"G"):
                return True
    return len(head) >= max(_TS_PACKET_BYTES) and head[0] == head[188] == _TS_SYNC
