"""Every video of a dataset, and every edit of it, made and seen once; the results are kept."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from common.errors import VideoError
from common.runtime_tuning import usable_cores
from common.settings import IngestSettings, VideoSettings
from common.spool import DecodedVideo, SegmentSpool
from common.types import CatalogEntry, Segment
from common.worker_processes import WorkerProcesses
from embedder.query.embedder import QueryEmbedder
from embedder.query.features import SeenQuery
from embedder.query.passes import CLOSER
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from evaluation.data.datasets import DatasetVideo
from evaluation.data.feature_cache import CachedQuery, read_seen, write_seen
from evaluation.data.records import CopiedRange
from evaluation.data.video_io import read_film, write_film
from evaluation.transforms.base import Film, TransformResult
from evaluation.transforms.registry import TRANSFORMS, material
from ingest.clip_packer import produce
from ingest.fingerprint import source_fingerprint

ORIGINAL = "original"
"""The name under which a video itself is seen, as it lies on disk."""
# Edits and views are part of what a kept result was made of: raise this when one of them changes.
_EDITS_VERSION = 1
# Films are held whole: partners come from the first seconds of theirs.
_PARTNER_SECONDS, _PARTNERS_HELD = 20.0, 3

MakeStage = Callable[[], EmbedderStage]
"""Loads one profile; it is called in other processes, so it must be picklable."""


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """Edits of one video that are still to be made, with where each profile's result belongs."""

    video: DatasetVideo
    partners: tuple[DatasetVideo, ...]
    outputs: Mapping[str, Mapping[str, Path]]


class FeatureStore:
    """Kept results in one folder, named by all that decides them."""

    def __init__(self, folder: Path, model_ids: Mapping[str, str]) -> None:
        """model_ids: of the stages, by profile."""
        self._folder = folder
        self._model_ids = model_ids

    def path(self, profile: str, video: DatasetVideo, transform: str) -> Path:
        """Where the result of one edit of one video belongs."""
        told = (
            video.video_id,
            source_fingerprint(video.uri),
            transform,
            str(_EDITS_VERSION),
            repr(CLOSER),
            self._model_ids[profile],
        )
        name = hashlib.blake2b("\n".join(told).encode(), digest_size=12).hexdigest()
        return self._folder / self._model_ids[profile] / transform / f"{name}.npz"

    def read(self, profile: str, video: DatasetVideo, transform: str) -> CachedQuery | None:
        """The result, or None where it is still to be made; a damaged one is, and is removed."""
        path = self.path(profile, video, transform)
        seen = read_seen(path)
        if seen is None:
            path.unlink(missing_ok=True)
        return seen


def missing_jobs(
    store: FeatureStore,
    profiles: Sequence[str],
    wanted: Sequence[tuple[DatasetVideo, str]],
    videos: Sequence[DatasetVideo],
) -> list[ExtractionJob]:
    """What is not kept yet of `wanted`, by video."""
    by_video: dict[str, dict[str, dict[str, Path]]] = {}
    for video, transform in wanted:
        paths = {profile: store.path(profile, video, transform) for profile in profiles}
        left = {profile: path for profile, path in paths.items() if not path.exists()}
        if left:
            by_video.setdefault(video.video_id, {})[transform] = left
    known = {video.video_id: video for video in videos}
    return [
        ExtractionJob(known[name], partners_of(known[name], videos), outputs)
        for name, outputs in by_video.items()
    ]


def partners_of(
    video: DatasetVideo, videos: Sequence[DatasetVideo], count: int = 6
) -> tuple[DatasetVideo, ...]:
    """Videos of other families to be put next to it, drawn by a digest: the same in every run."""
    others = [
        one
        for one in videos
        if one.family != video.family
        and (not video.lookalike_group or one.lookalike_group != video.lookalike_group)
    ]
    order = sorted(
        others,
        key=lambda one: hashlib.blake2b(f"{video.video_id}\n{one.video_id}".encode()).digest(),
    )
    return tuple(order[:count])


def extract(
    jobs: Sequence[ExtractionJob],
    stages: Mapping[str, MakeStage],
    video: VideoSettings,
    ingest: IngestSettings,
    workers: int | None = None,
) -> Generator[tuple[str, str], None, None]:
    """Do the jobs in child processes; gives (video_id, transform) as each is done.

    What is done is kept at once, so a run that is stopped goes on where it was. Raises StoryHashError
    when a process died.
    """
    count = workers or usable_cores()
    numbers = multiprocessing.get_context("spawn").Queue()
    for number in range(count):
        numbers.put(number)
    # One edit each, so that progress is seen and all cores end together; those of one video go to
    # whoever is free, who then holds the video.
    calls = (
        partial(_make, job, transform, outputs)
        for job in jobs
        for transform, outputs in job.outputs.items()
    )
    with WorkerProcesses(count, _prepare, dict(stages), video, ingest, numbers, count) as processes:
        yield from processes.run(calls)


class _Worker:
    """What one child process holds."""

    def __init__(
        self, stages: Mapping[str, MakeStage], video: VideoSettings, ingest: IngestSettings
    ) -> None:
        self.video = video
        self.ingest = ingest
        self.embedders = {name: QueryEmbedder(make()) for name, make in stages.items()}
        self.original = lru_cache(1)(self._film)
        self.partner = lru_cache(_PARTNERS_HELD)(self._partner)

    def _film(self, uri: str) -> Film:
        return read_film(Path(uri), limits=self.video)

    def _partner(self, uri: str) -> Film:
        return read_film(Path(uri), max_seconds=_PARTNER_SECONDS, limits=self.video)

    def made(self, job: ExtractionJob, transform: str) -> TransformResult:
        def partner(number: int) -> tuple[str, Film]:
            chosen = job.partners[number % len(job.partners)]
            return chosen.video_id, self.partner(chosen.uri)

        return TRANSFORMS[transform].apply(
            self.original(job.video.uri), material(transform, job.video.video_id, partner)
        )

    def decoded(self, path: Path) -> DecodedVideo:
        segments = SegmentSpool()
        seconds = 0.0
        try:
            for one in produce(CatalogEntry("query", str(path)), path, 1, self.video, self.ingest):
                if isinstance(one, Segment):
                    segments.add(one)
                else:
                    seconds = one.duration_seconds
        except BaseException:
            segments.close()
            raise
        return DecodedVideo(segments, seconds)


_worker: _Worker | None = None


def _prepare(
    stages: Mapping[str, MakeStage],
    video: VideoSettings,
    ingest: IngestSettings,
    numbers: multiprocessing.Queue[int],
    count: int,
) -> None:
    """Each child keeps to cores of its own, so that no network spreads itself over all of them."""
    global _worker
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        mine = cores[numbers.get() % len(cores) :: count]
        os.sched_setaffinity(0, mine or cores)
    _worker = _Worker(stages, video, ingest)


def _make(job: ExtractionJob, transform: str, outputs: Mapping[str, Path]) -> tuple[str, str]:
    if _worker is None:
        raise RuntimeError("the worker was not opened")
    try:
        seen = _see(_worker, job, transform, tuple(outputs))
    except VideoError as error:
        seen = {profile: CachedQuery.failed(f"{error.code}: {error}") for profile in outputs}
    for profile, path in outputs.items():
        write_seen(path, seen[profile])
    return job.video.video_id, transform


def _see(
    worker: _Worker, job: ExtractionJob, transform: str, profiles: Sequence[str]
) -> dict[str, CachedQuery]:
    if transform == ORIGINAL:
        decoded = worker.decoded(Path(job.video.uri))
        seconds = decoded.duration_seconds
        pieces: tuple[CopiedRange, ...] = (CopiedRange(0.0, seconds, 0.0, seconds),)
        partners: tuple[str, ...] = ()
    else:
        made = worker.made(job, transform)
        pieces, partners = made.pieces, made.partners
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "query.mp4"
            write_film(path, made)
            del made
            decoded = worker.decoded(path)
    with closing(decoded):
        return {
            profile: CachedQuery(_through(worker.embedders[profile], decoded), pieces, partners)
            for profile in profiles
        }


def _through(embedder: QueryEmbedder, decoded: DecodedVideo) -> SeenQuery:
    session = QuerySession(embedder, "query", decoded)
    first, closer = session.features("first"), session.features("closer")
    return SeenQuery(first.duration_seconds, first.spans, first.actions, first.views + closer.views)
