"""An experiment: extract missing features, fit calibrations, answer every query, return rows.

An interrupted run resumes: one folder caches features and calibrations, each under a digest of
everything that they depend on. Answers are not cached; they take minutes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import embedder
import evaluation
import searcher
from common.atomic_write import replacing
from common.errors import UsageError
from common.settings import IngestSettings, VideoSettings
from embedder.fusion import FusionMode
from evaluation.calibration.folds import (
    calibrations_from_json,
    concatenate_samples,
    digest,
    fit_on_folds,
    to_json,
)
from evaluation.calibration.judged import JudgedPairs
from evaluation.calibration.samples import Samples
from evaluation.data.datasets import DatasetVideo
from evaluation.data.extraction import ORIGINAL, ExtractionJob, FeatureStore, extract, missing_jobs
from evaluation.data.picture_features import PictureFeatureStore
from evaluation.experiment.configured_methods import (
    Calibrations,
    ConfiguredMethod,
    answer_queries,
    gather_from_queries,
)
from evaluation.experiment.experiment_data import FOLDS, ExperimentPlan, ExperimentSpec
from evaluation.experiment.profile import Backend
from evaluation.experiment.worker_pool import WorkerPool
from evaluation.methods.configurations import Configuration
from evaluation.protocol import LOOKALIKE, REAL
from evaluation.records import QueryRow

_PACKAGES = (embedder, evaluation, searcher)

Advance: TypeAlias = Callable[[int], None]
StartProgress: TypeAlias = Callable[[str, int], Advance]
"""Called with the name of a piece of work and its number of steps; returns a function to call with the
number of steps done."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation: videos, transforms and profiles.

    cache: folder of cached features and calibrations. workers: number of processes, None for one per
    core.
    """

    plan: ExperimentPlan
    backends: tuple[Backend, ...]
    cache: Path
    video: VideoSettings
    ingest: IngestSettings
    workers: int | None
    watch: StartProgress

    def __post_init__(self) -> None:
        families = {video.family for video in self.plan.videos}
        if len(families) < 2:
            raise UsageError(
                f"expected videos of at least two families, got {len(families)}: the evaluation needs "
                "non-matches"
            )

    @property
    def store(self) -> FeatureStore:
        return FeatureStore(
            self.cache / "features",
            {backend.profile: backend.model_id for backend in self.backends},
            (*self.plan.videos, *self.plan.lookalikes),
        )

    def missing(self) -> list[ExtractionJob]:
        """The features that are not extracted yet."""
        profiles = [backend.profile for backend in self.backends]
        return missing_jobs(self.store, profiles, self.plan.required_features())

    def extract(self, jobs: Sequence[ExtractionJob]) -> None:
        """Extract features, those of unedited videos first.

        Raises UsageError at the first video that cannot be read, StoryHashError if a process died.
        Finished results stay cached.
        """
        if not jobs:
            return
        advance = self.watch("extracting", count_edits(jobs))
        stages = {backend.profile: backend.make for backend in self.backends}
        videos = {video.video_id: video for video in (*self.plan.videos, *self.plan.lookalikes)}
        ordered = [*_select_outputs(jobs, lambda name: name == ORIGINAL)]
        ordered += _select_outputs(jobs, lambda name: name != ORIGINAL)
        working = extract(ordered, stages, self.video, self.ingest, self.workers)
        # Closed at once after an error, so that no work goes on.
        with closing(working):
            for video_id, name in working:
                advance(1)
                if name == ORIGINAL:
                    self._check_readable(videos[video_id])

    def extract_pictures(self, backend: Backend, pictures: Path, segments: int) -> None:
        """Extract the films over still pictures that are distractors of this profile. Raises like
        `PictureFeatureStore.extract`."""
        store = PictureFeatureStore(self.cache / "features", backend.model_id, pictures)
        advance = self.watch(f"{backend.profile}: embedding distractors", segments)
        with closing(store.extract(segments, backend.make, self.workers)) as working:
            for done in working:
                advance(done)

    def _check_readable(self, video: DatasetVideo) -> None:
        cached = self.store.read(self.backends[0].profile, video, ORIGINAL)
        if cached is not None and cached.error:
            # It is tried again in the next run: perhaps the user raises a limit.
            for backend in self.backends:
                self.store.path(backend.profile, video, ORIGINAL).unlink(missing_ok=True)
            raise UsageError(
                f"{video.uri} cannot be evaluated on ({cached.error}); take it out of the folder"
            )

    @contextmanager
    def open_profile(
        self, backend: Backend, distractors: Path | None = None
    ) -> Iterator[ProfileRun]:
        """The queries of one profile; all features must be there. distractors: folder of the pictures
        over which they move. Raises like `ExperimentData`."""
        spec = ExperimentSpec(
            self.plan.videos,
            tuple(transform.name for transform in self.plan.transforms),
            self.plan.per_transform,
            self.cache / "features",
            self.cache / "videos",
            backend.profile,
            backend.model_id,
            backend.pooling,
            self.video,
            self.plan.lookalikes,
            backend.views,
            distractors,
        )
        with WorkerPool(spec, self.workers) as pool:
            yield ProfileRun(backend, pool, self.cache, self.watch, _spec_digest(spec))


class ProfileRun:
    """The queries of one profile and the worker pool that answers them."""

    def __init__(
        self, backend: Backend, pool: WorkerPool, cache: Path, watch: StartProgress, spec_key: str
    ) -> None:
        self._backend = backend
        self._pool = pool
        self._cache = cache
        self._watch = watch
        self._key = f"{spec_key} {code_digest()}"

    @property
    def videos(self) -> Sequence[DatasetVideo]:
        return tuple(self._pool.data.dataset.videos.values())

    @property
    def seconds_of_video(self) -> float:
        return self._pool.data.seconds_of_video

    def action_energy(self, fusion: FusionMode) -> float:
        """Mean share of the action block in the energy of the videos' vectors, 0 to 1."""
        return self._pool.data.action_energy(fusion)

    def fitted(
        self, configuration: Configuration, judged: JudgedPairs | None = None
    ) -> Calibrations:
        """Calibrations of each fold, fitted on the other four, and under None one fitted on all. judged:
        further pairs of every fit. The version is the visual backend and a digest of the samples. Raises
        UsageError if there are too few answers."""
        base = self._backend.calibration
        extra = "" if judged is None else judged.digest
        name = self._cache_name(configuration, base) + extra
        path = self._cache / "calibrations" / f"{name}.json"
        try:
            return calibrations_from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            samples = self._samples(configuration)
        version = f"{self._backend.visual}-{digest(samples)}{extra}"
        advance = self._watch(f"{self._backend.profile}: fitting {configuration.name}", FOLDS + 1)
        fitted = fit_on_folds(samples, FOLDS, configuration, base, version, advance, judged)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(to_json(fitted)), encoding="utf-8")
        return fitted

    def _samples(self, configuration: Configuration) -> Samples:
        numbers = [
            number
            for number, query in enumerate(self._pool.queries)
            if query.group not in (REAL, LOOKALIKE)
        ]
        work = partial(gather_from_queries, configuration, self._backend.calibration)
        description = f"{self._backend.profile}: gathering for {configuration.name}"
        advance = self._watch(description, len(numbers))
        parts: dict[tuple[int, ...], Samples] = {}
        for chunk, samples in self._pool.run(work, numbers):
            parts[chunk] = samples
            advance(len(chunk))
        return concatenate_samples([parts[chunk] for chunk in sorted(parts)])

    def rows(self, methods: Sequence[ConfiguredMethod]) -> list[QueryRow]:
        """The rows of all queries, method by method, in the order of the queries."""
        numbers = range(len(self._pool.queries))
        names = ", ".join(method.name for method in methods)
        advance = self._watch(f"{self._backend.profile}: matching with {names}", len(numbers))
        parts: dict[tuple[int, ...], list[list[QueryRow]]] = {}
        for chunk, rows in self._pool.run(partial(answer_queries, methods), numbers):
            parts[chunk] = rows
            advance(len(chunk))
        return [
            row
            for number in range(len(methods))
            for chunk in sorted(parts)
            for row in parts[chunk][number]
        ]

    def _cache_name(self, *parts: object) -> str:
        key = "\n".join([self._key, *map(repr, parts)])
        return hashlib.blake2b(key.encode(), digest_size=12).hexdigest()


def code_digest() -> str:
    """Digest of the source code that calibrations depend on, 16 hexadecimal digits."""
    digester = hashlib.blake2b(digest_size=8)
    for package in _PACKAGES:
        for path in sorted(Path(folder) for folder in package.__path__):
            for file in sorted(path.rglob("*.py")):
                digester.update(file.read_bytes())
    return digester.hexdigest()


def _select_outputs(
    jobs: Sequence[ExtractionJob], is_selected: Callable[[str], bool]
) -> Iterator[ExtractionJob]:
    """The jobs with only the selected transforms; jobs without any are dropped."""
    for job in jobs:
        outputs = {name: paths for name, paths in job.outputs.items() if is_selected(name)}
        if outputs:
            yield replace(job, outputs=outputs)


def count_edits(jobs: Sequence[ExtractionJob]) -> int:
    """The number of edits in the jobs."""
    return sum(len(job.outputs) for job in jobs)


def _spec_digest(spec: ExperimentSpec) -> str:
    """Digest of the files, the families and look-alikes, and the queries that calibrations are fitted
    on."""
    store, plan = spec.store, replace(spec, lookalikes=()).plan
    digester = hashlib.blake2b(digest_size=12)
    for video, transform in plan.required_features():
        digester.update(str(store.path(spec.profile, video, transform)).encode())
    for video in spec.videos:
        digester.update(f"{video.video_id}\n{video.family}\n{video.lookalike_group}\n".encode())
    return f"{digester.hexdigest()} {spec.profile} {spec.transforms} {spec.per_transform}"
