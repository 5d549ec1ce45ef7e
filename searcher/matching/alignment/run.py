"""What alignment takes and returns: windows and segments in time, and runs of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from common.types import BoolArray, Float32Array, Float64Array

# Windows further apart than this belong to two runs.
MAX_GAP_SECONDS = 1.6


@dataclass(frozen=True, slots=True)
class Spans:
    """Windows of a query or segments of a reference. starts, ends: float64 (N,), seconds."""

    starts: Float64Array
    ends: Float64Array

    @property
    def seconds(self) -> float:
        """From the start of the first one to the end of the last one."""
        return float(self.ends.max() - self.starts.min())


@dataclass(frozen=True, slots=True)
class Run:
    """One range of the query that follows one range of the reference.

    score: mean similarity of its best windows. tempo: seconds of reference per second of query;
    negative if it runs backwards; None if there is no temporal order, and then only the reference
    range is meaningful. pairs: (window, segment, similarity) of the best windows. gap_seconds:
    largest gap in the query between two windows of one run.
    """

    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    score: float
    tempo: float | None
    pairs: tuple[tuple[int, int, float], ...]
    gap_seconds: float = MAX_GAP_SECONDS

    @property
    def seconds(self) -> float:
        """Length in the query."""
        return self.query_end_seconds - self.query_start_seconds

    def spanning(self, other: Run) -> Run:
        """This run over the ranges of both. tempo: of the longer one; None if either has none."""
        tempo = None
        if self.tempo is not None and other.tempo is not None:
            tempo = other.tempo if other.seconds > self.seconds else self.tempo
        return replace(
            self,
            query_start_seconds=min(self.query_start_seconds, other.query_start_seconds),
            query_end_seconds=max(self.query_end_seconds, other.query_end_seconds),
            ref_start_seconds=min(self.ref_start_seconds, other.ref_start_seconds),
            ref_end_seconds=max(self.ref_end_seconds, other.ref_end_seconds),
            tempo=tempo,
            gap_seconds=max(self.gap_seconds, other.gap_seconds),
        )

    def is_within(self, other: Run) -> bool:
        """Whether both ranges lie inside those of the other run, to a twentieth of a second."""
        slack = 0.05
        return (
            self.query_start_seconds >= other.query_start_seconds - slack
            and self.query_end_seconds <= other.query_end_seconds + slack
            and self.ref_start_seconds >= other.ref_start_seconds - slack
            and self.ref_end_seconds <= other.ref_end_seconds + slack
        )


Aligner: TypeAlias = Callable[[Float32Array, BoolArray, Spans, Spans, float], list[Run]]
"""A function like `align`."""
