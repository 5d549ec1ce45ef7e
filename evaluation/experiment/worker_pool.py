"""Work on a study's queries, in this process or shared among several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

from common.runtime_tuning import usable_cores
from common.worker_processes import WorkerProcesses
from embedder.pooling import Pooling
from evaluation.data.datasets import DatasetVideo
from evaluation.data.extraction import FeatureStore
from evaluation.experiment.experiment_data import ExperimentData, ExperimentPlan
from evaluation.experiment.protocol import Query
from evaluation.transforms.registry import TRANSFORMS

T = TypeVar("T")

Work: TypeAlias = Callable[[ExperimentData, Sequence[Query]], T]
"""What is done with some of the queries; it and its result go between processes."""

CHUNK = 16
"""Queries worked on at a time: few enough to see progress, enough to be worth a message."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How to open one profile's study, in any process. transforms: their names. folder: of the kept
    features."""

    videos: tuple[DatasetVideo, ...]
    transforms: tuple[str, ...]
    per_transform: int | None
    folder: Path
    profile: str
    model_id: str
    pooling: Pooling

    @property
    def plan(self) -> ExperimentPlan:
        return ExperimentPlan(
            self.videos, tuple(TRANSFORMS[name] for name in self.transforms), self.per_transform
        )

    @property
    def store(self) -> FeatureStore:
        return FeatureStore(self.folder, {self.profile: self.model_id})

    def open(self) -> ExperimentData:
        """Raises UsageError where a video was not extracted or cannot be read."""
        return ExperimentData(self.plan, self.store, self.profile, self.pooling)


class WorkerPool:
    """One study and those who work on it; a context, which ends them."""

    def __init__(self, spec: WorkerSpec, workers: int | None = None) -> None:
        """workers: processes, as many as there are cores when left out. Raises as `WorkerSpec.open`."""
        self.data = spec.open()
        self.queries = self.data.queries()
        count = min(workers or usable_cores(), len(self.queries) // (2 * CHUNK))
        self._processes = WorkerProcesses(count, _prepare, spec) if count > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.close()

    def run(self, work: Work[T], numbers: Sequence[int]) -> Iterator[tuple[tuple[int, ...], T]]:
        """Do it with the queries of these numbers, chunk by chunk, in the order they are done.

        Raises what `work` raises, StoryHashError when a process died.
        """
        chunks = [tuple(numbers[at : at + CHUNK]) for at in range(0, len(numbers), CHUNK)]
        if self._processes is None:
            for chunk in chunks:
                yield chunk, work(self.data, [self.queries[number] for number in chunk])
        else:
            yield from self._processes.run(partial(_work_on, work, chunk) for chunk in chunks)


_held: tuple[ExperimentData, list[Query]] | None = None


def _prepare(spec: WorkerSpec) -> None:
    global _held
    data = spec.open()
    _held = data, data.queries()


def _work_on(work: Work[T], chunk: tuple[int, ...]) -> tuple[tuple[int, ...], T]:
    if _held is None:
        raise RuntimeError("the worker was not opened")
    data, queries = _held
    return chunk, work(data, [queries[number] for number in chunk])
