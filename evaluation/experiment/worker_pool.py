"""Work on the queries of an experiment, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

from common.runtime_tuning import usable_cores
from common.settings import VideoSettings
from common.slices import slices
from common.worker_processes import WorkerProcesses
from embedder.pooling import Pooling
from embedder.visual.views import VIEW_NAMES
from evaluation.data.datasets import DatasetVideo
from evaluation.data.edits import EditedVideos
from evaluation.data.extraction import FeatureStore
from evaluation.data.picture_features import PictureFeatureStore
from evaluation.experiment.experiment_data import ExperimentData, ExperimentPlan
from evaluation.experiment.protocol import Query
from evaluation.transforms.registry import TRANSFORMS

T = TypeVar("T")

Work: TypeAlias = Callable[[ExperimentData, Sequence[Query]], T]
"""A function of some of the queries. It and its result must be picklable."""

CHUNK = 16
"""Queries per task: few enough for visible progress, enough to be worth a message between processes."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How to open one profile's experiment in any process. transforms: their names. folder: of the
    cached features. edits: folder of edited videos, which are made when their pictures are compared.
    views: those that queries are embedded through; the cached features may have more. pictures: folder
    of still pictures over which distractors move; None makes them of the videos' views."""

    videos: tuple[DatasetVideo, ...]
    transforms: tuple[str, ...]
    per_transform: int | None
    folder: Path
    edits: Path
    profile: str
    model_id: str
    pooling: Pooling
    limits: VideoSettings
    lookalikes: tuple[DatasetVideo, ...] = ()
    views: tuple[str, ...] = VIEW_NAMES
    pictures: Path | None = None

    @property
    def plan(self) -> ExperimentPlan:
        return ExperimentPlan(
            self.videos,
            tuple(TRANSFORMS[name] for name in self.transforms),
            self.per_transform,
            self.lookalikes,
        )

    @property
    def store(self) -> FeatureStore:
        videos = (*self.videos, *self.lookalikes)
        return FeatureStore(self.folder, {self.profile: self.model_id}, videos)

    @property
    def picture_store(self) -> PictureFeatureStore | None:
        if self.pictures is None:
            return None
        return PictureFeatureStore(self.folder, self.model_id, self.pictures)

    def open(self) -> ExperimentData:
        """Raises UsageError if a video was not extracted or could not be read."""
        edits = EditedVideos(self.edits, (*self.videos, *self.lookalikes), self.limits)
        return ExperimentData(
            *(self.plan, self.store, self.profile, self.pooling, edits, self.limits),
            views=self.views,
            pictures=self.picture_store,
        )


class WorkerPool:
    """An experiment and its worker processes; a context manager, which stops them."""

    def __init__(self, spec: WorkerSpec, workers: int | None = None) -> None:
        """workers: number of processes, None for one per core. Raises like `WorkerSpec.open`."""
        self.data, self.queries = _open(spec)
        count = min(workers or usable_cores(), len(self.queries) // (2 * CHUNK))
        self._processes = WorkerProcesses(count, partial(_open, spec)) if count > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.close()

    def run(self, work: Work[T], numbers: Sequence[int]) -> Iterator[tuple[tuple[int, ...], T]]:
        """Apply `work` to the queries with these numbers in chunks; yields (numbers, result) in the order
        of completion.

        Raises what `work` raises, and StoryHashError if a process died.
        """
        calls = (partial(_work_on, work, tuple(chunk)) for chunk in slices(numbers, CHUNK))
        if self._processes is None:
            yield from (call((self.data, self.queries)) for call in calls)
        else:
            yield from self._processes.run(calls)


def _open(spec: WorkerSpec) -> tuple[ExperimentData, list[Query]]:
    data = spec.open()
    return data, data.queries()


def _work_on(
    work: Work[T], chunk: tuple[int, ...], opened: tuple[ExperimentData, list[Query]]
) -> tuple[tuple[int, ...], T]:
    data, queries = opened
    return chunk, work(data, [queries[number] for number in chunk])
