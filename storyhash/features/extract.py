"""Runs one step over many videos. A run can be resumed: finished videos are kept in a folder beside the
output."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.atomic_write import replacing
from common.errors import StorageError, VideoError
from common.types import CatalogEntry, Segment, SegmentRef
from embedder.weights.checksum import short_id
from ingest.catalogue import CatalogueItem
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoFailed
from ingest.fingerprint import source_fingerprint
from storyhash.features.files import Features, Row, write_features
from storyhash.features.steps import SegmentFeature, Step

OnVideo = Callable[[str, VideoError | None], None]


@dataclass(slots=True)
class ExtractReport:
    """The result of a run. resumed: number of videos that an earlier, interrupted run had finished."""

    features: Features
    resumed: int = 0
    failed: dict[str, VideoError] = field(default_factory=dict)


_Described = tuple[SegmentRef, SegmentFeature]


@dataclass(slots=True)
class _OpenVideo:
    """A video whose segments are still arriving. After an error the remaining ones are ignored."""

    waiting: list[Segment] = field(default_factory=list)
    described: list[_Described] = field(default_factory=list)
    error: VideoError | None = None

    def describe(self, step: Step) -> None:
        segments, self.waiting = self.waiting, []
        if self.error is not None or not segments:
            return
        try:
            pieces = step.describe(segments)
        except VideoError as error:
            self.error = error
            return
        self.described += zip([segment.ref for segment in segments], pieces, strict=True)


class Extractor:
    """Runs one step over a catalogue and writes its features."""

    def __init__(self, step: Step, pool: DecoderPool, *, sampling: str, whole: bool) -> None:
        self._step = step
        self._pool = pool
        self._sampling = sampling
        self._whole = whole

    def run(self, listed: Sequence[CatalogueItem], out: Path, on_video: OnVideo) -> ExtractReport:
        """Extract the features of every video, and write those of the videos without an error. on_video:
        called for each video. An interrupted run is resumed. Raises StorageError."""
        parts = out.with_name(out.name + ".parts")
        try:
            parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{parts}: {error.strerror}; choose another --out") from None
        names = {item.entry.video_id: parts / self._part_name(item.entry) for item in listed}
        missing = [item.entry for item in listed if not names[item.entry.video_id].exists()]
        todo = {entry.video_id for entry in missing}
        for item in listed:
            if item.entry.video_id not in todo:
                on_video(item.entry.video_id, None)
        failed: dict[str, VideoError] = {}
        for video_id, described in self._videos(missing):
            if isinstance(described, VideoError):
                failed[video_id] = described
                on_video(video_id, described)
            else:
                self._write_part(names[video_id], described)
                on_video(video_id, None)
        features = self._join([name for name in names if name not in failed], names)
        write_features(out, features)
        if not failed:
            # If some failed, the next run extracts only those.
            shutil.rmtree(parts, ignore_errors=True)
        return ExtractReport(features, len(listed) - len(missing), failed)

    def _videos(
        self, entries: Sequence[CatalogEntry]
    ) -> Iterator[tuple[str, list[_Described] | VideoError]]:
        """Each video when the features of its last segment are extracted. Clips are not kept longer."""
        open_videos: dict[str, _OpenVideo] = {}
        for event in self._pool.run([(entry, 1) for entry in entries]):
            video_id = event.entry.video_id
            video = open_videos.setdefault(video_id, _OpenVideo())
            if isinstance(event, SegmentReady):
                video.waiting.append(event.segment)
                if len(video.waiting) >= self._step.segments_at_once:
                    video.describe(self._step)
                continue
            video.describe(self._step)
            del open_videos[video_id]
            error = event.error if isinstance(event, VideoFailed) else video.error
            yield video_id, error or video.described

    def _part_name(self, entry: CatalogEntry) -> str:
        parts = (
            entry.video_id,
            source_fingerprint(entry.uri),
            self._step.fingerprint,
            self._step.units,
            self._sampling,
            str(self._whole),
        )
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest() + ".npz"

    def _write_part(self, path: Path, described: Sequence[_Described]) -> None:
        rows = self._step.rows([piece for _, piece in described], whole=self._whole)
        starts = [ref.start_seconds for ref, _ in described]
        ends = [ref.end_seconds for ref, _ in described]
        if self._whole:
            starts, ends = starts[:1], ends[-1:]
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                values=rows.values,
                informative=rows.informative,
                quality=rows.quality,
                starts=starts,
                ends=ends,
            )

    def _join(self, video_ids: Sequence[str], names: dict[str, Path]) -> Features:
        step = self._step
        values = [np.zeros((0, step.width), dtype=np.float32)]
        rows: list[Row] = []
        for video_id in video_ids:
            with np.load(names[video_id], allow_pickle=False) as part:
                values.append(part["values"])
                columns = (part[name] for name in ("starts", "ends", "informative", "quality"))
                rows += [
                    Row(
                        video_id,
                        float(start),
                        float(end),
                        bool(informative),
                        round(float(quality), 4),
                    )
                    for start, end, informative, quality in zip(*columns, strict=True)
                ]
        return Features(
            kind=step.kind,
            values=np.concatenate(values),
            rows=tuple(rows),
            units=step.units,
            backend=step.backend,
            fingerprint=step.fingerprint,
            model_id=short_id(
                f"{step.backend}-{step.kind}", step.fingerprint, step.units, self._sampling
            ),
            settings={"sampling": self._sampling, "rows": "video" if self._whole else "segment"},
        )
