"""Chooses the video stream among several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from common.errors import NoVideoStreamError
from common.video.container import open_container, stream_seconds

# Maximum packets and bytes that are read to distinguish videos from still pictures.
_PACKETS, _BYTES = 2_000, 32 * 1024 * 1024


def picture_streams(container: InputContainer) -> list[VideoStream]:
    """The streams that may be the video: all except cover pictures. Raises NoVideoStreamError."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        covers = set(container.streams.video)
        kinds = sorted(
            {"cover picture" if one in covers else one.type for one in container.streams}
        )
        raise NoVideoStreamError(f"no video stream, only: {', '.join(kinds) or 'nothing'}")
    return streams


def choose_stream(
    container: InputContainer, source: Path | bytes, beat: Callable[[], None] = lambda: None
) -> tuple[VideoStream, str | None]:
    """The video stream, and a description of the ignored streams (None if there are none).

    A stream with more than one picture is preferred, then the default stream, then the larger, then the
    longer one. Raises NoVideoStreamError if there is none.
    """
    streams = picture_streams(container)
    if len(streams) == 1:
        return streams[0], None
    packets = _packets(source, [stream.index for stream in streams], beat)

    def rank(stream: VideoStream) -> tuple[object, ...]:
        context = stream.codec_context
        return (
            context is not None,
            packets[stream.index] > 1,
            bool(stream.disposition & Disposition.default),
            0 if context is None else context.width * context.height,
            stream_seconds(stream),
            packets[stream.index],
            -stream.index,
        )

    best = max(streams, key=rank)
    others = [_named(stream, packets) for stream in streams if stream is not best]
    return best, f"video track {_named(best, packets)} is used; ignored tracks: {', '.join(others)}"


def _packets(source: Path | bytes, indices: list[int], beat: Callable[[], None]) -> Counter[int]:
    """Number of packets per stream in the first part of a file. The file is opened separately for
    this."""
    counts: Counter[int] = Counter()
    size = 0
    if isinstance(source, Path) and not source.is_file():
        # A pipe can be read only once.
        return counts
    with open_container(source) as container:
        try:
            for packet in container.demux([container.streams[index] for index in indices]):
                beat()
                counts[packet.stream_index] += packet.size > 0
                size += packet.size
                if counts.total() >= _PACKETS or size >= _BYTES:
                    break
                if all(counts[index] > 1 for index in indices):
                    break
        except av.error.FFmpegError:
            # The decoder will meet the damage again and count it.
            pass
    return counts


def _named(stream: VideoStream, packets: Counter[int]) -> str:
    context = stream.codec_context
    size = "unknown codec" if context is None else f"{context.width}x{context.height}"
    still = ", a still image" if packets[stream.index] == 1 else ""
    return f"{stream.index} ({size}{still})"
