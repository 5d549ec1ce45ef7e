"""Work on a study's queries, in this process or shared among several."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from common.errors import StoryHashError
from common.runtime_tuning import die_with, usable_cores, work_in_one_thread
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
        self._pool: ProcessPoolExecutor | None = None
        self._count = count
        if count > 1:
            self._pool = ProcessPoolExecutor(
                count, multiprocessing.get_context("spawn"), _open_worker, (spec, os.getpid())
            )

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, work: Work[T], numbers: Sequence[int]) -> Iterator[tuple[tuple[int, ...], T]]:
        """Do it with the queries of these numbers, chunk by chunk, in the order they are done.

        Raises what `work` raises, StoryHashError when a process died.
        """
        chunks = [tuple(numbers[at : at + CHUNK]) for at in range(0, len(numbers), CHUNK)]
        if self._pool is None:
            for chunk in chunks:
                yield chunk, work(self.data, [self.queries[number] for number in chunk])
            return
        with worker_deaths_told():
            yield from self._shared(self._pool, work, chunks)

    def _shared(
        self, pool: ProcessPoolExecutor, work: Work[T], chunks: Sequence[tuple[int, ...]]
    ) -> Iterator[tuple[tuple[int, ...], T]]:
        waiting: dict[Future[T], tuple[int, ...]] = {}

        def ready() -> Iterator[tuple[tuple[int, ...], T]]:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for one in done:
                yield waiting.pop(one), one.result()

        for chunk in chunks:
            waiting[pool.submit(_work_on, work, chunk)] = chunk
            if len(waiting) >= 2 * self._count:
                yield from ready()
        while waiting:
            yield from ready()


@contextmanager
def worker_deaths_told() -> Iterator[None]:
    """A process of a pool that died is told as an error that says what to do."""
    try:
        yield
    except BrokenProcessPool:
        raise StoryHashError(
            "a worker process died, most often for want of memory; run the same command again with "
            "fewer --workers: what is done is kept"
        ) from None


_held: tuple[ExperimentData, list[Query]] | None = None


def _open_worker(spec: WorkerSpec, parent: int) -> None:
    global _held
    # Ctrl-C reaches the whole terminal group; the parent decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    work_in_one_thread()
    data = spec.open()
    _held = data, data.queries()


def _work_on(work: Work[T], chunk: tuple[int, ...]) -> T:
    if _held is None:
        raise RuntimeError("the worker was not opened")
    data, queries = _held
    return work(data, [queries[number] for number in chunk])
