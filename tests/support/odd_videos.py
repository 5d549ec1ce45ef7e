"""Videos with the packets, timestamps and tracks that a test needs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame

from common.types import UInt8Array
from tests.conftest import checkerboard

RATE = 25


def pictures(count: int, width: int = 64, height: int = 48, shade: int = 0) -> list[UInt8Array]:
    """Changing checkerboards; a higher `shade` is darker."""
    boards = [checkerboard(width, height, 4 + cell) // (1 + shade) for cell in range(min(count, 6))]
    return [boards[number % 6] for number in range(count)]


def jpeg(picture: UInt8Array) -> bytes:
    done, data = cv2.imencode(".jpg", picture[..., ::-1])
    assert done
    return bytes(data)


def write_packets(
    path: Path, packets: Sequence[bytes], ticks: Sequence[int], *, size: tuple[int, int] = (64, 48)
) -> Path:
    """Write a Motion JPEG video of exactly these packets. ticks: timestamps in milliseconds."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for number, (data, tick) in enumerate(zip(packets, ticks, strict=True)):
            packet = Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            # Matroska stores only presentation times, but the muxer requires increasing decoding times.
            packet.pts, packet.dts = tick, number
            packet.is_keyframe = True
            container.mux(packet)
    return path


def write_tracks(
    path: Path, tracks: Sequence[Sequence[UInt8Array]], default: int | None = None, codec: str = ""
) -> Path:
    """Write several video tracks into one file. default: the number of the default track, or None."""
    codec = codec or ("libvpx" if path.suffix == ".webm" else "libx264")
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for index, frames in enumerate(tracks):
            stream: Any = container.add_stream(codec, rate=RATE)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            if default is not None:
                stream.disposition = Disposition.default if index == default else Disposition(0)
            streams.append(stream)
        packets = []
        for stream, frames in zip(streams, tracks, strict=True):
            for number, rgb in enumerate(frames):
                frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                packets += stream.encode(frame)
            packets += stream.encode()
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            container.mux(packet)
    return path


def corners(picture: UInt8Array) -> list[str]:
    """The colour of each quadrant: top left, top right, bottom left, bottom right."""
    height, width = picture.shape[:2]
    names = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            red, green, blue = picture[y, x].astype(int)
            if min(red, green, blue) > 180:
                names.append("white")
            else:
                names.append(("red", "green", "blue")[int(np.argmax((red, green, blue)))])
    return names
