"""Collects segments into batches for the embedder; each segment has a future."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Generic, Protocol, TypeVar

from common.metrics import Metrics
from common.types import Segment
from storyhash.video_errors import SHARED

Result = TypeVar("Result", covariant=True)
Embedded = TypeVar("Embedded")

EMBED = "embed"
"""Name of the embedder in metrics."""


class Stage(Protocol[Result]):
    """An embedder of segments, such as `EmbedderStage`."""

    @property
    def segments_at_once(self) -> int: ...

    def process(self, segments: Sequence[Segment]) -> Sequence[Result]: ...


class MeteredStage(Generic[Embedded]):
    """The embedder stage with metrics of its batches."""

    def __init__(self, stage: Stage[Embedded], metrics: Metrics) -> None:
        self._stage = stage
        self._metrics = metrics

    @property
    def segments_at_once(self) -> int:
        return self._stage.segments_at_once

    def process(self, segments: Sequence[Segment]) -> Sequence[Embedded]:
        with self._metrics.time_stage(EMBED):
            return self._stage.process(segments)


class SegmentBatcher(Generic[Embedded]):
    """Fills batches of `stage.segments_at_once` segments. A segment that cannot be used fails alone."""

    def __init__(self, stage: Stage[Embedded], executor: Executor) -> None:
        self._stage = stage
        self._executor = executor
        self._waiting: list[tuple[Segment, Future[Embedded]]] = []

    @property
    def size(self) -> int:
        """Number of segments in a full batch."""
        return self._stage.segments_at_once

    def submit(self, segment: Segment) -> Future[Embedded]:
        """Add a segment to the current batch. The future gets the stage's result for it."""
        future: Future[Embedded] = Future()
        self._waiting.append((segment, future))
        if len(self._waiting) >= self.size:
            self.flush()
        return future

    def result(self, future: Future[Embedded]) -> Embedded:
        """The stage's result for a segment. If its batch is not full yet, the batch is sent now.

        Raises VideoError for a segment that cannot be used, and any other error of the embedder.
        """
        if any(future is other for _, other in self._waiting):
            self.flush()
        return future.result()

    def flush(self) -> None:
        """Send the current batch to the embedder."""
        batch, self._waiting = self._waiting, []
        if batch:
            self._executor.submit(self._run, batch)

    def _run(self, batch: list[tuple[Segment, Future[Embedded]]]) -> None:
        try:
            results = self._stage.process([segment for segment, _ in batch])
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, Exception) and not isinstance(error, SHARED):
                for item in batch:
                    self._run([item])
                return
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
