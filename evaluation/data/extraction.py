"""Feature extraction: every video of a dataset and every edit of it is made and embedded once; the
results are cached."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import VideoError
from common.runtime_tuning import usable_cores
from common.settings import IngestSettings, VideoSettings
from common.spool import DecodedVideo, SegmentSpool
from common.types import CatalogEntry, Segment
from common.worker_processes import WorkerProcesses
from embedder.query.embedder import QueryEmbedder
from embedder.query.features import QueryFeatures
from embedder.query.passes import CLOSER
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from evaluation.data.datasets import DatasetVideo
from evaluation.data.edits import EditMaker, edit_key, partners_of
from evaluation.data.feature_cache import CachedQuery, read_cached_query, write_cached_query
from evaluation.data.video_io import write_film
from evaluation.records import CopiedRange
from ingest.clip_packer import produce

ORIGINAL = "original"
"""The transform name of the unedited video."""

MakeStage = Callable[[], EmbedderStage]
"""Loads one profile. It is called in other processes, so it must be picklable."""


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """Edits of one video that are not made yet. outputs: by transform and profile, the file of the
    result."""

    video: DatasetVideo
    partners: tuple[DatasetVideo, ...]
    outputs: Mapping[str, Mapping[str, Path]]


class FeatureStore:
    """Cached results in one folder; a file name is a digest of everything that the result depends on."""

    def __init__(
        self, folder: Path, model_ids: Mapping[str, str], videos: Sequence[DatasetVideo]
    ) -> None:
        """model_ids: by profile. videos: all of the dataset, from which edits draw their partners."""
        self._folder = folder
        self._model_ids = model_ids
        self.videos = videos

    def path(self, profile: str, video: DatasetVideo, transform: str) -> Path:
        """The file for the result of one edit of one video."""
        parts = (
            *edit_key(video, transform, self.videos),
            CLOSER.cache_key,
            self._model_ids[profile],
        )
        name = hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
        return self._folder / self._model_ids[profile] / transform / f"{name}.npz"

    def read(self, profile: str, video: DatasetVideo, transform: str) -> CachedQuery | None:
        """The result, or None if it is not there yet. A damaged file is removed."""
        path = self.path(profile, video, transform)
        cached = read_cached_query(path)
        if cached is None:
            path.unlink(missing_ok=True)
        return cached


def missing_jobs(
    store: FeatureStore,
    profiles: Sequence[str],
    queries: Sequence[tuple[DatasetVideo, str]],
) -> list[ExtractionJob]:
    """The part of `queries` that is not cached yet, by video."""
    by_video: dict[str, dict[str, dict[str, Path]]] = {}
    for video, transform in queries:
        paths = {profile: store.path(profile, video, transform) for profile in profiles}
        missing = {profile: path for profile, path in paths.items() if not path.exists()}
        if missing:
            by_video.setdefault(video.video_id, {})[transform] = missing
    by_id = {video.video_id: video for video in store.videos}
    return [
        ExtractionJob(by_id[name], partners_of(by_id[name], store.videos), outputs)
        for name, outputs in by_video.items()
    ]


def extract(
    jobs: Sequence[ExtractionJob],
    stages: Mapping[str, MakeStage],
    video: VideoSettings,
    ingest: IngestSettings,
    workers: int | None = None,
) -> Generator[tuple[str, str], None, None]:
    """Do the jobs in worker processes, or in this one if one is enough; yields (video_id, transform) when
    each is done.

    Each result is cached at once, so an interrupted run resumes. Raises StoryHashError if a process
    died.
    """
    # A task is one edit, so that progress is visible and all workers finish at about the same time.
    # Each worker keeps its last video in memory.
    calls = (
        partial(_make, job, transform, outputs)
        for job in jobs
        for transform, outputs in job.outputs.items()
    )
    opening = partial(_Worker, dict(stages), video, ingest)
    count = workers or usable_cores()
    if count == 1:
        # This process has its imports done; those of a network take seconds.
        worker = opening()
        yield from (call(worker) for call in calls)
        return
    with WorkerProcesses(count, opening) as processes:
        yield from processes.run(calls)


class _Worker:
    """What one process works with."""

    def __init__(
        self, stages: Mapping[str, MakeStage], video: VideoSettings, ingest: IngestSettings
    ) -> None:
        self.video = video
        self.ingest = ingest
        self.embedders = {name: QueryEmbedder(make()) for name, make in stages.items()}
        self.edits = EditMaker(video)

    def decode(self, path: Path) -> DecodedVideo:
        segments = SegmentSpool()
        seconds = 0.0
        try:
            for item in produce(CatalogEntry("query", str(path)), path, 1, self.video, self.ingest):
                if isinstance(item, Segment):
                    segments.add(item)
                else:
                    seconds = item.duration_seconds
        except BaseException:
            segments.close()
            raise
        return DecodedVideo(segments, seconds)


def _make(
    job: ExtractionJob, transform: str, outputs: Mapping[str, Path], worker: _Worker
) -> tuple[str, str]:
    try:
        results = _process_edit(worker, job, transform, tuple(outputs))
    except VideoError as error:
        results = {profile: CachedQuery.failed(f"{error.code}: {error}") for profile in outputs}
    for profile, path in outputs.items():
        write_cached_query(path, results[profile])
    return job.video.video_id, transform


def _process_edit(
    worker: _Worker, job: ExtractionJob, transform: str, profiles: Sequence[str]
) -> dict[str, CachedQuery]:
    if transform == ORIGINAL:
        decoded = worker.decode(Path(job.video.uri))
        seconds = decoded.duration_seconds
        pieces: tuple[CopiedRange, ...] = (CopiedRange(0.0, seconds, 0.0, seconds),)
        partners: tuple[str, ...] = ()
    else:
        result = worker.edits.apply(job.video, job.partners, transform)
        pieces, partners = result.pieces, result.partners
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "query.mp4"
            write_film(path, result)
            del result
            decoded = worker.decode(path)
    with closing(decoded):
        return {
            profile: CachedQuery(
                _extract_features(worker.embedders[profile], decoded), pieces, partners
            )
            for profile in profiles
        }


def _extract_features(embedder: QueryEmbedder, video: DecodedVideo) -> QueryFeatures:
    session = QuerySession(embedder, "query", video)
    first, closer = session.features("first"), session.features("closer")
    return QueryFeatures(
        first.duration_seconds, first.spans, first.actions, first.views + closer.views
    )
