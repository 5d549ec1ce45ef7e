"""Pictures of files, of a query's clips and of thumbnails, read in a confined child process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeAlias

import cv2
import numpy as np

from common.closeable import Closeable
from common.errors import VideoError
from common.resize import shrink_to
from common.sandbox.codec import Buffer, Codec, pack, unpack
from common.sandbox.limits import Check, ChildLimits
from common.sandbox.pool import ChildPool
from common.sandbox.process import Beat, Child
from common.settings import VideoSettings
from common.spool import SegmentSpool
from common.types import UInt8Array, check_array
from common.uris import is_remote
from common.video.clip import decode_clip
from ingest.source_pictures import pictures_of
from searcher.transform.pictures import PictureKind, StoredThumbnails

_HEADER_BYTES = 4096
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class _FileJob:
    """Pictures of a video file, or of a folder of numbered pictures, at increasing times."""

    path: str
    times: tuple[float, ...]
    side: int


@dataclass(frozen=True, slots=True)
class _ClipJob:
    """Pictures of one clip, at increasing times of its video."""

    clip: bytes
    start_seconds: float
    times: tuple[float, ...]
    side: int


@dataclass(frozen=True, slots=True)
class _ThumbnailJob:
    """Thumbnails, as WebP, and their times."""

    webps: tuple[bytes, ...]
    times: tuple[float, ...]
    side: int


_Job: TypeAlias = _FileJob | _ClipJob | _ThumbnailJob


class PictureReader(Closeable):
    """Reads pictures for several threads; a child starts with its first job. Closing it kills the
    children."""

    def __init__(self, settings: VideoSettings, count: int = 1) -> None:
        """count: number of children."""
        limits = ChildLimits.for_video(settings, doing="read")
        codec: Codec[UInt8Array] = Codec(
            _encode,
            partial(_decode, settings.max_clip_pixels),
            settings.max_clip_pixels * _CHANNELS + _HEADER_BYTES,
        )
        self._children = ChildPool(
            Child(partial(_work, settings), limits, codec) for _ in range(count)
        )

    def close(self) -> None:
        """Kill the children."""
        self._children.close()

    def of_uri(self, uri: str) -> FilePictures | None:
        """See `PictureSource`."""
        if is_remote(uri) or not os.path.exists(uri):
            return None
        return FilePictures(self, uri)

    def of_thumbnails(self, thumbnails: StoredThumbnails) -> ThumbnailPictures:
        """See `ThumbnailDecoder`."""
        return ThumbnailPictures(self, thumbnails)

    def run(self, job: _Job, check: Check) -> Iterator[UInt8Array]:
        """The pictures of one job. Raises VideoError and its subclasses, and the errors of `check`."""
        with self._children.borrow() as child, closing(child.run(job, check)) as pictures:
            count = 0
            for picture in pictures:
                count += 1
                yield picture
            if count != len(job.times):
                raise VideoError(f"expected {len(job.times)} pictures, got {count}")


@dataclass(frozen=True, slots=True)
class FilePictures:
    """The `Pictures` of a file or of a folder of numbered pictures."""

    reader: PictureReader
    path: str
    kind: ClassVar[PictureKind] = "file"

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        """See `Pictures`."""
        return self.reader.run(_FileJob(self.path, tuple(times), side), check)


@dataclass(frozen=True, slots=True)
class ClipPictures:
    """The `Pictures` of a decoded query, from its clips."""

    reader: PictureReader
    segments: SegmentSpool
    kind: ClassVar[PictureKind] = "file"

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        """See `Pictures`. Raises StorageError too."""
        waiting = list(times)
        last = self.segments.end_seconds
        while waiting:
            # After the last clip there is only its last picture.
            moment = min(waiting[0], last - 1e-3)
            segment = next(iter(self.segments.between(moment, moment + 1e-3)), None)
            if segment is None:
                raise VideoError(f"no clip shows second {moment:.1f}")
            end = segment.ref.end_seconds
            inside = [one for one in waiting if one < end or end >= last]
            waiting = waiting[len(inside) :]
            job = _ClipJob(segment.clip, segment.ref.start_seconds, tuple(inside), side)
            yield from self.reader.run(job, check)


@dataclass(frozen=True, slots=True)
class ThumbnailPictures:
    """The `Pictures` of a video from its thumbnails."""

    reader: PictureReader
    thumbnails: StoredThumbnails
    kind: ClassVar[PictureKind] = "thumbnails"

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        """See `Pictures`. Raises StorageError too."""
        nearest = self.thumbnails.nearest(times)
        # Moments within half a second share a thumbnail, which is decoded once.
        webps = {one.seconds: one.webp for one in nearest}
        job = _ThumbnailJob(tuple(webps.values()), tuple(webps), side)
        pictures = dict(zip(webps, self.reader.run(job, check), strict=True))
        yield from (pictures[one.seconds] for one in nearest)


def _work(settings: VideoSettings, job: _Job, beat: Beat) -> Iterator[UInt8Array]:
    """The work of a child."""
    if isinstance(job, _FileJob):
        yield from pictures_of(Path(job.path), job.times, settings, short_side=job.side, beat=beat)
        return
    if isinstance(job, _ThumbnailJob):
        yield from _of_webps(job, beat)
        return
    for picture in _of_clip(job, beat):
        yield shrink_to(picture, job.side)


def _of_clip(job: _ClipJob, beat: Beat) -> Iterator[UInt8Array]:
    batch = decode_clip(job.clip, start_seconds=job.start_seconds, beat=beat)
    for seconds in job.times:
        yield batch.frames[int(np.abs(batch.pts_seconds - seconds).argmin())]


def _of_webps(job: _ThumbnailJob, beat: Beat) -> Iterator[UInt8Array]:
    for webp in job.webps:
        beat()
        bgr = cv2.imdecode(np.frombuffer(webp, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise VideoError("a thumbnail is damaged; index the video again")
        yield _scaled_to(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), job.side)


def _scaled_to(picture: UInt8Array, side: int) -> UInt8Array:
    """The picture with this short side: a thumbnail is enlarged, so that its keypoints have the sizes
    that those of a file's picture have."""
    scale = side / min(picture.shape[:2])
    if scale <= 1.0:
        return shrink_to(picture, side)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def _encode(picture: UInt8Array) -> Sequence[Buffer]:
    return pack({}, picture)


def _decode(max_pixels: int, data: memoryview) -> UInt8Array:
    _, (picture,) = unpack(data)
    sizes = check_array("picture", picture, np.uint8, ("H", "W", _CHANNELS))
    if not 0 < sizes["H"] * sizes["W"] <= max_pixels:
        raise ValueError(f"a picture of {sizes}")
    made: UInt8Array = picture
    return made
