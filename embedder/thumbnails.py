"""Makes thumbnails of the frames that are embedded, so that no video is decoded for them."""

from __future__ import annotations

from collections.abc import Iterator

import cv2

from common.resize import shrink
from common.settings.thumbnails import ThumbnailSettings
from common.thumbnails import INTERVAL_SECONDS, Thumbnail
from common.types import UInt8Array
from embedder.clip_opening import SampledFrames

# WebP qualities, tried in this order until a picture is small enough.
_QUALITIES = (45, 25, 10, 1)


def make_thumbnails(sampled: SampledFrames, settings: ThumbnailSettings) -> Iterator[Thumbnail]:
    """The first frame of each half second as a small picture."""
    last = -1
    for frame, seconds in zip(sampled.frames, sampled.pts_seconds.tolist(), strict=True):
        # Clip times are whole milliseconds, so a frame may lie this much before its half second.
        slot = int((seconds + 0.002) / INTERVAL_SECONDS)
        if slot == last:
            continue
        last = slot
        webp = _encoded(frame, settings)
        if webp is not None:
            yield Thumbnail(seconds, webp)


def _encoded(frame: UInt8Array, settings: ThumbnailSettings) -> bytes | None:
    """The picture as WebP; None if it has too many bytes at the lowest quality."""
    height, width = frame.shape[:2]
    scale = min(1.0, settings.long_side / max(height, width))
    small = shrink(frame, max(1, round(width * scale)), max(1, round(height * scale)))
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        done, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if done and data.nbytes <= settings.max_bytes:
            return data.tobytes()
    return None
