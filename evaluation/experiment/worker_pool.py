"""Work on the queries of an experiment, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Self, TypeAlias, TypeVar

from common.runtime_tuning import usable_cores
from common.slices import slices
from common.worker_processes import WorkerProcesses
from evaluation.experiment.experiment_data import ExperimentData, ExperimentSpec
from evaluation.protocol import Query

T = TypeVar("T")

Work: TypeAlias = Callable[[ExperimentData, Sequence[Query]], T]
"""A function of some of the queries. It and its result must be picklable."""

CHUNK = 16
"""Queries per task: few enough for visible progress, enough to be worth a message between processes."""


class WorkerPool:
    """An experiment and its worker processes; a context manager, which stops them."""

    def __init__(self, spec: ExperimentSpec, workers: int | None = None) -> None:
        """workers: number of processes, None for one per core. Raises like `ExperimentData`."""
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


def _open(spec: ExperimentSpec) -> tuple[ExperimentData, list[Query]]:
    data = ExperimentData(spec)
    return data, data.queries()


def _work_on(
    work: Work[T], chunk: tuple[int, ...], opened: tuple[ExperimentData, list[Query]]
) -> tuple[tuple[int, ...], T]:
    data, queries = opened
    return chunk, work(data, [queries[number] for number in chunk])
