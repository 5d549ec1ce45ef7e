"""Ranks copies by picture quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import VideoError
from common.uris import is_remote
from searcher.storage.video import Video
from storyhash.duplicates.file_reading import FileReader, PictureSize


@dataclass(frozen=True, slots=True)
class RankedVideo:
    """A video of the catalogue and what its file says of its picture. problem: why that is unknown; empty
    where it is known."""

    video: Video
    size: PictureSize | None
    problem: str = ""

    @property
    def bits_per_second(self) -> int | None:
        """Of the whole file, sound included; None where it is unknown."""
        seconds = self.video.duration_seconds
        if self.size is None or seconds <= 0:
            return None
        return round(8 * self.size.bytes / seconds)

    @property
    def rank(self) -> tuple[object, ...]:
        """Smaller for a better picture: more pixels, then more bits per second, then a longer video, then
        the id. A file that cannot be read comes after all others."""
        pixels = 0 if self.size is None else self.size.width * self.size.height
        return (
            self.size is None,
            -pixels,
            -(self.bits_per_second or 0),
            -self.video.duration_seconds,
            self.video.video_id,
        )


def looked_at(video: Video, reader: FileReader) -> RankedVideo:
    """What the file of a video says now; the catalogue keeps nothing of its picture."""
    if is_remote(video.uri):
        return RankedVideo(video, None, "a remote file, which is not read here")
    try:
        if not Path(video.uri).exists():
            return RankedVideo(video, None, "the file is missing")
        return RankedVideo(video, reader.picture_size(video.uri))
    except VideoError as error:
        return RankedVideo(video, None, f"the file cannot be read: {error}")
    except OSError as error:
        return RankedVideo(video, None, f"the file cannot be read: {error.strerror}")
