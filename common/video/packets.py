"""Decodes packets into frames and skips damaged packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# After this many failing packets in a row, decoding ends.
_MAX_BAD_PACKETS = 2_000
# After this many failing reads in a row, decoding ends.
_MAX_BAD_READS = 64


class PacketReader:
    """Gives every frame of a stream that decodes. Packets that do not decode are counted and skipped."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, beat: Callable[[], None]
    ) -> None:
        self._container = container
        self._stream = stream
        self._beat = beat
        self.bad = 0
        """Number of packets, and of places in the container, that could not be read."""
        self.gave_up: str | None = None
        """The reason why reading ended before the end of the file; None if it did not."""

    def frames(self) -> Iterator[VideoFrame]:
        bad_in_a_row = reads_in_a_row = 0
        packets = self._container.demux(self._stream)
        while True:
            self._beat()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.bad += 1
                reads_in_a_row += 1
                if reads_in_a_row >= _MAX_BAD_READS:
                    self.gave_up = "the rest of the file cannot be read"
                    break
                # The iterator ends with its error. A new one continues at the current position.
                packets = self._container.demux(self._stream)
                continue
            reads_in_a_row = 0
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.bad += 1
                bad_in_a_row += 1
                if bad_in_a_row >= _MAX_BAD_PACKETS:
                    self.gave_up = f"{bad_in_a_row} packets in a row could not be decoded"
                    break
                continue
            if frames:
                bad_in_a_row = 0
            yield from frames
        # Frames that the decoder still holds.
        with suppress(av.error.FFmpegError):
            yield from self._stream.decode(None)
