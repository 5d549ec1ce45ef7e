"""How segments come back from a decoder process: as data that is checked (see `common.sandbox.codec`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from common.errors import DecoderCrashedError
from common.sandbox.codec import Buffer, Codec, checked, one_line, pack, unpack
from common.settings import VideoSettings
from common.types import CatalogEntry, Segment, SegmentRef
from ingest.clip_packer import ProducedVideo

# Maximum bytes of a result without its clip.
_HEADER_BYTES = 1024 * 1024
_MAX_STAGES = 8
_STAGE = re.compile(r"[a-z_]{1,20}")
# Ends of segments are rounded to milliseconds in their ids.
_SLACK_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """A segment without its identity, which the parent adds; a decoder cannot choose it."""

    start_seconds: float
    end_seconds: float
    clip: bytes

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_seconds < self.end_seconds < float("inf") or not self.clip:
            raise ValueError("no segment")

    def of(self, entry: CatalogEntry, version: int) -> Segment:
        """As a segment of this video."""
        ref = SegmentRef(entry.video_id, self.start_seconds, self.end_seconds, version, entry.bank)
        return Segment(ref, self.clip)


Produced: TypeAlias = DecodedSegment | ProducedVideo


def piece_codec(video: VideoSettings) -> Codec[Produced]:
    """The codec of children that yield the segments of a video, then a `ProducedVideo`."""
    decode = partial(_decode, video.max_clip_bytes)
    return Codec(_encode, decode, video.max_clip_bytes + _HEADER_BYTES)


def _encode(result: Produced) -> Sequence[Buffer]:
    if isinstance(result, DecodedSegment):
        span = {"start_seconds": result.start_seconds, "end_seconds": result.end_seconds}
        return pack({"segment": span}, result.clip)
    return pack({"done": asdict(result)})


def _decode(max_clip_bytes: int, data: memoryview) -> Produced:
    header, buffers = unpack(data)
    if "segment" in header:
        (clip,) = buffers
        piece = checked(DecodedSegment, {**header["segment"], "clip": clip})
        if len(clip) > max_clip_bytes or type(clip) is not bytes:
            raise ValueError("no clip")
        return piece
    done = checked(ProducedVideo, header["done"])
    numbers = [done.duration_seconds, *done.stage_seconds.values()]
    names = [*done.stage_seconds]
    if not all(0 <= number < float("inf") for number in numbers) or done.segments < 0:
        raise ValueError("no end of a video")
    if len(names) > _MAX_STAGES or not all(map(_STAGE.fullmatch, names)):
        raise ValueError("no stages of ours")
    words: dict[str, Any] = {
        name: one_line(value) for name, value in asdict(done).items() if isinstance(value, str)
    }
    return replace(done, **words)


def in_order(results: Iterable[Produced]) -> Iterator[Produced]:
    """The results of one video, checked. Raises DecoderCrashedError if one contradicts another, or if the
    end of the video is missing."""
    count, end, ended = 0, 0.0, False
    for result in results:
        if ended:
            raise DecoderCrashedError("the decoder sent results after the end of the video")
        if isinstance(result, DecodedSegment):
            if result.start_seconds < end - _SLACK_SECONDS:
                raise DecoderCrashedError("the decoder sent segments that overlap")
            count, end = count + 1, result.end_seconds
        elif result.segments != count:
            raise DecoderCrashedError("the decoder counted its segments wrong")
        else:
            ended = True
        yield result
    if not ended:
        raise DecoderCrashedError("the decoder ended before the end of the video")
