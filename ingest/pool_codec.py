"""How segments come back from a decoder process: as data that is checked (see `common.child_codec`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeAlias

from common.child_codec import Buffer, Codec, checked, pack, unpack
from common.settings import VideoSettings
from ingest.producer import ProducedVideo

# What a result is larger than its clip, at most.
_HEADER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment without its identity, which its parent knows and no decoder may choose."""

    start_seconds: float
    end_seconds: float
    clip: bytes

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_seconds < self.end_seconds < float("inf") or not self.clip:
            raise ValueError("no segment")


Produced: TypeAlias = Piece | ProducedVideo


def piece_codec(video: VideoSettings) -> Codec[Produced]:
    """For children that yield the pieces of a video, then what became of it."""
    decode = partial(_decode, video.max_clip_bytes)
    return Codec(_encode, decode, video.max_clip_bytes + _HEADER_BYTES)


def _encode(result: Produced) -> Sequence[Buffer]:
    if isinstance(result, Piece):
        span = {"start_seconds": result.start_seconds, "end_seconds": result.end_seconds}
        return pack({"segment": span}, result.clip)
    return pack({"done": asdict(result)})


def _decode(max_clip_bytes: int, data: memoryview) -> Produced:
    header, buffers = unpack(data)
    if "segment" in header:
        (clip,) = buffers
        piece = checked(Piece, {**header["segment"], "clip": clip})
        if len(clip) > max_clip_bytes or type(clip) is not bytes:
            raise ValueError("no clip")
        return piece
    done = checked(ProducedVideo, header["done"])
    if not 0 <= done.duration_seconds < float("inf") or done.segments < 0:
        raise ValueError("no end of a video")
    return done
