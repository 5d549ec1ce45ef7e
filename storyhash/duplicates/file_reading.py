"""What a video file says of its picture, and thumbnails of some moments: read in a child process that is
confined, as no file can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2

from common.closeable import Closeable
from common.errors import VideoError
from common.sandbox.codec import Buffer, Codec, checked, pack, unpack
from common.sandbox.limits import ChildLimits
from common.sandbox.process import Beat, Child
from common.settings import VideoSettings
from common.types import UInt8Array
from common.video import probe
from ingest.source_pictures import numbered_pictures, pictures_of

THUMBNAIL_SIDE = 320
"""Pixels of the longer side."""
MAX_THUMBNAIL_BYTES = 32 * 1024
_QUALITIES = (78, 60, 40, 20)
_HEADER_BYTES = 4096
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_MAX_SIDE = 1 << 16


@dataclass(frozen=True, slots=True)
class PictureSize:
    """Pixels of the coded picture, before any rotation; bytes of the file, or of a folder's pictures."""

    width: int
    height: int
    bytes: int

    def __post_init__(self) -> None:
        if not (0 < self.width < _MAX_SIDE and 0 < self.height < _MAX_SIDE and self.bytes >= 0):
            raise ValueError("no picture size")


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A JPEG, at most 32 KiB."""

    jpeg: bytes

    def __post_init__(self) -> None:
        sound = self.jpeg.startswith(_JPEG_START) and self.jpeg.endswith(_JPEG_END)
        if not sound or len(self.jpeg) > MAX_THUMBNAIL_BYTES:
            raise ValueError("no thumbnail")


_Job: TypeAlias = tuple[str, tuple[float, ...]]
_Result: TypeAlias = PictureSize | Thumbnail


class FileReader(Closeable):
    """One child that reads files, one after another; closing it kills the child. Use from one thread."""

    def __init__(self, settings: VideoSettings) -> None:
        limits = ChildLimits.for_video(settings, doing="read")
        codec: Codec[_Result] = Codec(_encode, _decode, MAX_THUMBNAIL_BYTES + _HEADER_BYTES)
        self._child: Child[_Job, _Result] = Child(partial(_work, settings), limits, codec)

    def close(self) -> None:
        """Kill the child."""
        self._child.close()

    def picture_size(self, path: str) -> PictureSize:
        """Of a video file, or a folder of numbered pictures. Raises VideoError and its subclasses."""
        sizes = [
            result for result in self._child.run((path, ())) if isinstance(result, PictureSize)
        ]
        if len(sizes) != 1:
            raise VideoError(f"{path}: nothing is known of its picture")
        return sizes[0]

    def thumbnails(self, path: str, times: Sequence[float]) -> list[Thumbnail]:
        """Pictures at these times, increasing seconds of the video. Raises VideoError and its
        subclasses."""
        thumbnails = [
            result
            for result in self._child.run((path, tuple(times)))
            if isinstance(result, Thumbnail)
        ]
        if len(thumbnails) != len(times):
            raise VideoError(f"{path}: expected {len(times)} pictures, got {len(thumbnails)}")
        return thumbnails


def _work(settings: VideoSettings, job: _Job, beat: Beat) -> Iterator[_Result]:
    """What the child does: without times the size of the picture, else a thumbnail for each."""
    name, times = job
    path = Path(name)
    if times:
        for picture in pictures_of(path, times, settings, short_side=THUMBNAIL_SIDE, beat=beat):
            yield _thumbnail(picture)
        return
    files = numbered_pictures(path) if path.is_dir() else [path]
    info = probe(files[0], settings)
    yield PictureSize(info.width, info.height, sum(file.stat().st_size for file in files))


def _thumbnail(picture: UInt8Array) -> Thumbnail:
    """The picture with its longer side at most 320 pixels, as coarse as its bytes must be."""
    height, width = picture.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if data.nbytes <= MAX_THUMBNAIL_BYTES:
            return Thumbnail(data.tobytes())
    raise VideoError("a thumbnail of it takes too many bytes")


def _encode(result: _Result) -> Sequence[Buffer]:
    if isinstance(result, Thumbnail):
        return pack({"thumbnail": True}, result.jpeg)
    return pack({"size": asdict(result)})


def _decode(data: memoryview) -> _Result:
    header, buffers = unpack(data)
    if "thumbnail" in header:
        (jpeg,) = buffers
        return Thumbnail(checked(bytes, jpeg))
    size: Any = header["size"]
    return checked(PictureSize, size)
