"""Temporal IoU: the time ranges of a match against the ranges that were really copied.

Only rows whose catalogue holds the query's source, and in which it was found, are measured. A true copy
made by other people has different times, so its ranges prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evaluation.measures.relevance import answer, best, positives
from evaluation.measures.statistics import Proportion
from evaluation.records import CopiedRange, QueryRow, ScoredMatch

Range: TypeAlias = tuple[float, float]
"""[start, end) in seconds."""

GOOD_IOU = 0.8


@dataclass(frozen=True, slots=True)
class RangeOverlap:
    """Intersection over union of one row's ranges, 0 to 1, on each axis.

    None if the true range has no length on that axis, for example the reference if one frame is frozen.
    """

    query: float | None
    ref: float | None

    @property
    def combined(self) -> float:
        """The smaller of the two, because a wrong range on either axis misleads a reviewer. The product
        would need 0.9 on both axes to reach 0.8."""
        return min((iou for iou in (self.query, self.ref) if iou is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class RangeSummary:
    """Over the measured rows: mean IoU on each axis (NaN without rows), and the share of good rows."""

    query: float
    ref: float
    combined: float
    good: Proportion


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same seconds as sorted ranges that do not touch; empty ranges are dropped."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def length(ranges: Iterable[Range]) -> float:
    """Seconds covered by the union."""
    return sum(end - start for start, end in union(ranges))


def intersection(first: Iterable[Range], second: Iterable[Range]) -> float:
    """Seconds that both cover."""
    a, b = union(first), union(second)
    return sum(
        max(0.0, min(end, other_end) - max(start, other_start))
        for start, end in a
        for other_start, other_end in b
    )


def iou(first: Sequence[Range], second: Sequence[Range]) -> float:
    """Intersection over union in seconds; 1 if both are empty."""
    shared = intersection(first, second)
    covered = length(first) + length(second) - shared
    return shared / covered if covered > 0 else 1.0


def query_range(source: ScoredMatch | CopiedRange) -> Range:
    return source.query_start_seconds, source.query_end_seconds


def ref_range(source: ScoredMatch | CopiedRange) -> Range:
    return source.ref_start_seconds, source.ref_end_seconds


def claimed(row: QueryRow) -> list[ScoredMatch]:
    """The matches of the query's source whose ranges count: the accepted ones or, without any, the best
    one. Empty if it was not found."""
    matches = [match for match in answer(row) if match.relation == "self"]
    accepted = [match for match in matches if match.decision == "copy"]
    highest = best(matches)
    return accepted or ([highest] if highest is not None else [])


def overlap(row: QueryRow) -> RangeOverlap | None:
    """IoU of the union of the claimed ranges with the union of the pieces; None if one is empty.

    The union ignores the order of pieces, which may run backwards or be shuffled.
    """
    matches = claimed(row)
    if not matches or not row.pieces:
        return None

    def on(axis: Callable[[ScoredMatch | CopiedRange], Range]) -> float | None:
        truth = [axis(piece) for piece in row.pieces]
        return iou([axis(match) for match in matches], truth) if length(truth) > 0 else None

    return RangeOverlap(on(query_range), on(ref_range))


def summarise_ranges(rows: Iterable[QueryRow]) -> RangeSummary:
    """Means, and the share with a combined IoU of at least GOOD_IOU, over the measured open-set rows."""
    overlaps = [iou for row in positives(rows) if (iou := overlap(row)) is not None]
    return RangeSummary(
        query=_mean([iou.query for iou in overlaps]),
        ref=_mean([iou.ref for iou in overlaps]),
        combined=_mean([iou.combined for iou in overlaps]),
        # The tolerance hides rounding.
        good=Proportion(sum(iou.combined >= GOOD_IOU - 1e-9 for iou in overlaps), len(overlaps)),
    )


def _mean(values: Iterable[float | None]) -> float:
    present = [value for value in values if value is not None]
    return math.fsum(present) / len(present) if present else math.nan
