"""What a hostile input is, and small films with any size, clock, codec and container."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from common.types import UInt8Array


@dataclass(frozen=True)
class HostileInput:
    """One file. name: as it stands in a folder, bytes as POSIX has them. usable: whether it must be
    indexed (True), must be refused or passed over (False), or either (None)."""

    kind: str
    what: str
    name: bytes
    content: bytes
    usable: bool | None = None


def picture(seed: int, moment: int, width: int, height: int) -> UInt8Array:
    """uint8 (height, width, 3): coloured bars behind a square that moves, another for every seed."""
    chance = np.random.default_rng(seed)
    xs, ys = np.meshgrid(np.arange(width), np.arange(height))
    periods = chance.uniform(0.05, 0.4, 3)
    waves = [
        127 + 120 * np.sin(xs * period + ys * period / 2 + shift)
        for period, shift in zip(periods, chance.uniform(0, 6, 3), strict=True)
    ]
    frame = np.stack(waves, axis=-1).astype(np.uint8)
    side = max(1, min(width, height) // 3)
    left = int(moment * max(1, width // 25)) % max(1, width - side + 1)
    frame[height // 3 : height // 3 + side, left : left + side] = chance.integers(0, 255, 3)
    return np.ascontiguousarray(frame)


def pack(
    frames: Sequence[UInt8Array],
    *,
    container: str = "matroska",
    codec: str = "mpeg4",
    ticks_ms: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    rotation: int | None = None,
    pix_fmt: str = "yuv420p",
    flags: str = "",
) -> bytes:
    """The bytes of a film; frame times in milliseconds (40 apart where none are given). flags: of an
    MP4's writer."""
    buffer = io.BytesIO()
    options = {"movflags": flags} if flags else {}
    with av.open(buffer, "w", format=container, options=options) as output:
        stream = cast(VideoStream, output.add_stream(codec, rate=25))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        base = Fraction(1, 25) if ticks_ms is None else Fraction(1, 1000)
        stream.codec_context.time_base = base
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.codec_context.options = {"preset": "ultrafast"}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        packets: list[av.Packet[VideoStream]] = []
        shown: UInt8Array | None = None
        for number, rgb in enumerate(frames):
            if rgb is not shown:
                # A picture that is held is converted once: large ones take long.
                frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
                shown = rgb
            frame.pts, frame.time_base = number, base
            packets += stream.encode(frame)
        for number, packet in enumerate([*packets, *stream.encode()]):
            if ticks_ms is not None:
                # Stamps may run as they like; writers insist on order for the time of decoding alone.
                packet.dts, packet.pts = number, max(number, ticks_ms[number])
            output.mux(packet)
    return buffer.getvalue()


def film(
    chance: random.Random, width: int = 160, height: int = 96, count: int = 30
) -> list[UInt8Array]:
    """The frames of a film like no other."""
    seed = chance.randrange(1 << 30)
    return [picture(seed, number, width, height) for number in range(count)]
