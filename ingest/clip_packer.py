"""Decodes one catalogue entry once, cuts it into segments and packs them as small clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment, SegmentRef
from common.video import Decoder, Frame, decode_images, encode_clip
from ingest.frame_folders import FRAME_FOLDER_FPS, frame_paths
from ingest.segmenter import HOLD_SECONDS, SegmentFrames, segment_frames


@dataclass(frozen=True, slots=True)
class ProducedVideo:
    """The facts about a video after its last segment, with seconds of work by step.

    damaged: what was lost. notes: what was skipped on purpose, such as other tracks. Both are text.
    """

    duration_seconds: float
    segments: int
    damaged: str | None
    stage_seconds: dict[str, float]
    notes: str | None = None


def produce(
    entry: CatalogEntry,
    path: Path,
    version: int,
    video: VideoSettings,
    ingest: IngestSettings,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[Segment | ProducedVideo]:
    """The segments of one video in time order, then a `ProducedVideo`.

    path: a video file or a folder of numbered pictures. beat: called at every frame, as a sign of life.
    Raises VideoError and its subclasses.
    """
    source = _Source(path, video, beat)
    began = time.perf_counter()
    packing = 0.0
    count, end = 0, 0.0
    for frames in segment_frames(
        source.frames(),
        lambda: source.end_seconds,
        segment_seconds=ingest.segment_seconds,
        min_tail_seconds=ingest.min_tail_seconds,
        # At a lower rate the frames between were not read, and may differ.
        hold_seconds=max(HOLD_SECONDS, 1.5 / video.frames_per_second),
    ):
        packed = time.perf_counter()
        segment = _pack(entry, frames, version, video)
        packing += time.perf_counter() - packed
        count, end = count + 1, frames.end_seconds
        yield segment
    spent = time.perf_counter() - began
    stages = {"decode": spent - packing, "pack": packing}
    yield ProducedVideo(end, count, source.damaged, stages, source.notes)


class _Source:
    """A file or a picture folder, read once."""

    def __init__(self, path: Path, settings: VideoSettings, beat: Callable[[], None]) -> None:
        self._pictures = frame_paths(path) if path.is_dir() else []
        self._settings = settings
        self._beat = beat
        self._unreadable: list[Path] = []
        self._decoder = Decoder(
            path,
            settings,
            frames_per_second=settings.frames_per_second,
            short_side=settings.short_side,
            beat=beat,
        )

    def frames(self) -> Iterator[Frame]:
        if not self._pictures:
            return iter(self._decoder)
        return decode_images(
            self._pictures,
            self._settings,
            source_fps=FRAME_FOLDER_FPS,
            frames_per_second=self._settings.frames_per_second,
            short_side=self._settings.short_side,
            beat=self._beat,
            unreadable=self._unreadable,
        )

    @property
    def end_seconds(self) -> float:
        if self._pictures:
            return len(self._pictures) / FRAME_FOLDER_FPS
        return self._decoder.end_seconds

    @property
    def damaged(self) -> str | None:
        if self._unreadable:
            return (
                f"damaged: {len(self._unreadable)} images could not be read and were "
                f"skipped, first {self._unreadable[0].name}"
            )
        return self._decoder.damaged

    @property
    def notes(self) -> str | None:
        return self._decoder.notes


def _pack(
    entry: CatalogEntry, frames: SegmentFrames, version: int, video: VideoSettings
) -> Segment:
    ref = SegmentRef(entry.video_id, frames.start_seconds, frames.end_seconds, version, entry.bank)
    clip = encode_clip(
        frames.batch, start_seconds=frames.start_seconds, max_bytes=video.max_clip_bytes
    )
    return Segment(ref, clip)
