"""A run: what is missing is extracted, calibrations are fitted, every query is asked; rows come out.

A run that is stopped continues where it was: features and calibrations are kept in one folder, each under
a digest of everything that decides it. Answers are made from the features again; that takes minutes.
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
from evaluation.calibration.folds import digest, fit_on_folds, joined, of_json, to_json
from evaluation.calibration.samples import Samples
from evaluation.data.datasets import DatasetVideo
from evaluation.data.extraction import ORIGINAL, ExtractionJob, FeatureStore, extract, missing_jobs
from evaluation.data.records import QueryRow
from evaluation.experiment.experiment_data import FOLDS, ExperimentPlan
from evaluation.experiment.profile import Backend
from evaluation.experiment.worker_pool import WorkerPool, WorkerSpec
from evaluation.methods.configurations import Configuration
from evaluation.methods.methods import Calibrations, ConfiguredMethod, answered, gathered

_PACKAGES = (embedder, evaluation, searcher)

Advance: TypeAlias = Callable[[int], None]
Watch: TypeAlias = Callable[[str, int], Advance]
"""Begins a piece of work, told its name and how many steps it has; the answer is told of steps done."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is evaluated, with what, and where results are kept.

    cache: the folder of kept features. workers: processes, as many as cores when left out.
    """

    plan: ExperimentPlan
    backends: tuple[Backend, ...]
    cache: Path
    video: VideoSettings
    ingest: IngestSettings
    workers: int | None
    watch: Watch

    def __post_init__(self) -> None:
        families = {video.family for video in self.plan.videos}
        if len(families) < 2:
            raise UsageError(
                f"expected videos of at least two families, got {len(families)}: a copy is told from "
                "strangers, so there must be some"
            )

    @property
    def store(self) -> FeatureStore:
        return FeatureStore(
            self.cache / "features", {one.profile: one.model_id for one in self.backends}
        )

    def missing(self) -> list[ExtractionJob]:
        """What is still to be extracted."""
        profiles = [one.profile for one in self.backends]
        return missing_jobs(self.store, profiles, self.plan.wanted(), self.plan.videos)

    def extract(self, jobs: Sequence[ExtractionJob]) -> None:
        """Extract it, the videos themselves before what is made of them.

        Raises UsageError at once for a video that cannot be read, StoryHashError when a process died;
        what is done is kept.
        """
        if not jobs:
            return
        advance = self.watch("extracting", edits_of(jobs))
        stages = {one.profile: one.make for one in self.backends}
        videos = {video.video_id: video for video in self.plan.videos}
        ordered = [*_part(jobs, lambda name: name == ORIGINAL)]
        ordered += _part(jobs, lambda name: name != ORIGINAL)
        working = extract(ordered, stages, self.video, self.ingest, self.workers)
        # Closed at once when something is raised here, so that nothing goes on behind it.
        with closing(working):
            for video_id, name in working:
                advance(1)
                if name == ORIGINAL:
                    self._check_readable(videos[video_id])

    def _check_readable(self, video: DatasetVideo) -> None:
        seen = self.store.read(self.backends[0].profile, video, ORIGINAL)
        if seen is not None and seen.error:
            raise UsageError(
                f"{video.uri} cannot be evaluated on ({seen.error}); take it out of the folder"
            )

    @contextmanager
    def open_profile(self, backend: Backend) -> Iterator[ProfileRun]:
        """One profile's queries, once all is extracted. Raises as `WorkerSpec.open`."""
        spec = WorkerSpec(
            self.plan.videos,
            tuple(one.name for one in self.plan.transforms),
            self.plan.per_transform,
            self.cache / "features",
            backend.profile,
            backend.model_id,
            backend.pooling,
        )
        with WorkerPool(spec, self.workers) as pool:
            yield ProfileRun(backend, pool, self.cache, self.watch, _key_of(spec))


class ProfileRun:
    """One profile's queries and those who work on them."""

    def __init__(
        self, backend: Backend, pool: WorkerPool, cache: Path, watch: Watch, spec_key: str
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
        """Mean share of the energy of the videos' vectors that is action, 0 to 1."""
        return self._pool.data.action_energy(fusion)

    def fitted(self, configuration: Configuration) -> Calibrations:
        """Calibrations fitted on four folds each, and under None on all; they are called by the visual
        backend and a digest of the samples. Raises UsageError where there are too few answers."""
        base = self._backend.calibration
        path = self._cache / "calibrations" / f"{self._named(configuration, base)}.json"
        try:
            return of_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            samples = self._samples(configuration)
        called = f"{self._backend.visual}-{digest(samples)}"
        advance = self._watch(f"{self._backend.profile}: fitting {configuration.name}", FOLDS + 1)
        fitted = fit_on_folds(samples, FOLDS, configuration, base, called, advance)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(to_json(fitted)), encoding="utf-8")
        return fitted

    def _samples(self, configuration: Configuration) -> Samples:
        numbers = [
            number for number, query in enumerate(self._pool.queries) if query.group != "real"
        ]
        work = partial(gathered, configuration, self._backend.calibration)
        what = f"{self._backend.profile}: gathering for {configuration.name}"
        advance = self._watch(what, len(numbers))
        parts: dict[tuple[int, ...], Samples] = {}
        for chunk, samples in self._pool.run(work, numbers):
            parts[chunk] = samples
            advance(len(chunk))
        return joined([parts[chunk] for chunk in sorted(parts)])

    def rows(self, method: ConfiguredMethod) -> list[QueryRow]:
        """Every query's rows, in the order of the queries."""
        numbers = range(len(self._pool.queries))
        advance = self._watch(f"{self._backend.profile}: asking {method.name}", len(numbers))
        parts: dict[tuple[int, ...], list[QueryRow]] = {}
        for chunk, rows in self._pool.run(partial(answered, method), numbers):
            parts[chunk] = rows
            advance(len(chunk))
        return [row for chunk in sorted(parts) for row in parts[chunk]]

    def _named(self, *parts: object) -> str:
        told = "\n".join([self._key, *map(repr, parts)])
        return hashlib.blake2b(told.encode(), digest_size=12).hexdigest()


def code_digest() -> str:
    """Of the source that calibrations come from: those of another version are fitted anew."""
    digester = hashlib.blake2b(digest_size=8)
    for package in _PACKAGES:
        for path in sorted(Path(folder) for folder in package.__path__):
            for file in sorted(path.rglob("*.py")):
                digester.update(file.read_bytes())
    return digester.hexdigest()


def _part(jobs: Sequence[ExtractionJob], of: Callable[[str], bool]) -> Iterator[ExtractionJob]:
    """The jobs with those of their edits that are asked for; none without any."""
    for job in jobs:
        outputs = {name: paths for name, paths in job.outputs.items() if of(name)}
        if outputs:
            yield replace(job, outputs=outputs)


def edits_of(jobs: Sequence[ExtractionJob]) -> int:
    """How many edits the jobs are of."""
    return sum(len(job.outputs) for job in jobs)


def _key_of(spec: WorkerSpec) -> str:
    """Of the videos as they lie on disk, what they are to one another, and what is asked of them."""
    told = hashlib.blake2b(digest_size=12)
    for video, transform in spec.plan.wanted():
        told.update(str(spec.store.path(spec.profile, video, transform)).encode())
    for video in spec.videos:
        told.update(f"{video.video_id}\n{video.family}\n{video.lookalike_group}\n".encode())
    return f"{told.hexdigest()} {spec.profile} {spec.transforms} {spec.per_transform}"
