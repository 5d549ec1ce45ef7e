"""Makes thumbnails of the videos that are indexed, from the frames that the embedder describes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2

from common.resize import shrink
from common.settings.thumbnails import ThumbnailSettings
from common.types import SegmentRef, UInt8Array
from embedder.clip_opening import SampledFrames
from searcher.storage.thumbnails import (
    INTERVAL_SECONDS,
    Thumbnail,
    ThumbnailStore,
    ThumbnailWriter,
)

# WebP qualities, tried in this order until a picture is small enough.
_QUALITIES = (45, 25, 10, 1)
_Key = tuple[str, int]


class Thumbnails:
    """The thumbnails of the videos in progress. No video is decoded for them. Thread-safe."""

    def __init__(self, store: ThumbnailStore, settings: ThumbnailSettings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        # By id and version of the video.
        self._writers: dict[_Key, ThumbnailWriter] = {}

    def begin(self, video_id: str, version: int) -> None:
        """Keep the pictures of this version from now on. Raises StorageError."""
        if self._settings.enabled:
            with self._lock:
                self._writers[video_id, version] = self._store.begin(video_id)

    def take(self, ref: SegmentRef, sampled: SampledFrames) -> None:
        """Keep the frames of a segment, if they are of a video in progress. Raises StorageError."""
        key = ref.video_id, ref.version
        if key not in self._writers:
            return
        pictures = list(thumbnails(sampled, self._settings))
        with self._lock:
            writer = self._writers.get(key)
            if writer is not None:
                writer.add(pictures)

    def finish(self, video_id: str, version: int) -> None:
        """The index has this version now: its pictures can be read. Raises StorageError."""
        with self._lock:
            writer = self._writers.pop((video_id, version), None)
        if writer is not None:
            writer.finish()

    def drop(self, video_id: str, version: int) -> None:
        """The version is not indexed."""
        with self._lock:
            writer = self._writers.pop((video_id, version), None)
        if writer is not None:
            writer.drop()

    def drop_all(self) -> None:
        """No version in progress is indexed."""
        for key in list(self._writers):
            self.drop(*key)


def thumbnails(sampled: SampledFrames, settings: ThumbnailSettings) -> Iterator[Thumbnail]:
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
