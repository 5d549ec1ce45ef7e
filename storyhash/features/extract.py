"""Many videos through one step, resumable: what is done waits in a folder beside the output."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.errors import StorageError, VideoError
from common.types import CatalogEntry, Segment
from ingest.catalog import Listed
from ingest.pool import DecoderPool, SegmentReady, VideoFailed
from storyhash.catalogue import source_fingerprint
from storyhash.features.files import Features, Row, write_features
from storyhash.features.steps import Step, short_id

OnVideo = Callable[[str, VideoError | None], None]


@dataclass(slots=True)
class ExtractReport:
    """What a run did. `resumed` videos were done by a run before that did not end."""

    features: Features
    resumed: int = 0
    failed: dict[str, VideoError] = field(default_factory=dict)


class Extractor:
    """Runs one step over a catalogue and writes its features."""

    def __init__(self, step: Step, pool: DecoderPool, *, sampling: str, whole: bool) -> None:
        self._step = step
        self._pool = pool
        self._sampling = sampling
        self._whole = whole

    def run(self, listed: Sequence[Listed], out: Path, on_video: OnVideo) -> ExtractReport:
        """Describe every video and write the features of those that could be; `on_video` is told of
        each. A run that is stopped goes on where it was."""
        parts = out.with_name(out.name + ".parts")
        try:
            parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{parts}: {error.strerror}; choose another --out") from None
        names = {one.entry.video_id: parts / self._part_name(one.entry) for one in listed}
        missing = [one.entry for one in listed if not names[one.entry.video_id].exists()]
        failed: dict[str, VideoError] = {}
        for one in listed:
            if one.entry not in missing:
                on_video(one.entry.video_id, None)
        for entry, segments, unreadable in self._videos(missing):
            problem = unreadable or self._write_part(names[entry.video_id], segments)
            if problem is not None:
                failed[entry.video_id] = problem
            on_video(entry.video_id, problem)
        done = [name for name in names if name not in failed]
        features = self._join(done, names)
        write_features(out, features)
        shutil.rmtree(parts, ignore_errors=True)
        return ExtractReport(features, len(listed) - len(missing), failed)

    def _videos(
        self, entries: Sequence[CatalogEntry]
    ) -> Iterator[tuple[CatalogEntry, list[Segment], VideoError | None]]:
        """Each video's segments when the last of them is cut."""
        segments: dict[str, list[Segment]] = {}
        for event in self._pool.run([(entry, 1) for entry in entries]):
            if isinstance(event, SegmentReady):
                segments.setdefault(event.entry.video_id, []).append(event.segment)
                continue
            error = event.error if isinstance(event, VideoFailed) else None
            yield event.entry, segments.pop(event.entry.video_id, []), error

    def _part_name(self, entry: CatalogEntry) -> str:
        told = (
            entry.video_id,
            source_fingerprint(entry.uri),
            self._step.fingerprint,
            self._step.units,
            self._sampling,
            str(self._whole),
        )
        return hashlib.blake2b("\n".join(told).encode(), digest_size=12).hexdigest() + ".npz"

    def _write_part(self, path: Path, segments: list[Segment]) -> VideoError | None:
        try:
            values, informative = self._step.describe(segments, whole=self._whole)
        except VideoError as error:
            return error
        starts = [one.ref.start_seconds for one in segments]
        ends = [one.ref.end_seconds for one in segments]
        if self._whole:
            starts, ends = starts[:1], ends[-1:]
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            np.savez(file, values=values, informative=informative, starts=starts, ends=ends)
        temporary.replace(path)
        return None

    def _join(self, video_ids: Sequence[str], names: dict[str, Path]) -> Features:
        step = self._step
        values = [np.zeros((0, step.width), dtype=np.float32)]
        rows: list[Row] = []
        for video_id in video_ids:
            with np.load(names[video_id], allow_pickle=False) as part:
                values.append(part["values"])
                spans = zip(part["starts"], part["ends"], part["informative"], strict=True)
                rows += [
                    Row(video_id, float(start), float(end), bool(shown))
                    for start, end, shown in spans
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
            settings={
                "sampling": self._sampling,
                "rows": "video" if self._whole else "segment",
            },
        )
