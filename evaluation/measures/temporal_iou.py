"""Whether a match says where: its time ranges against what the query was really made of.

Only rows whose catalogue holds the video they were made of and in which that video was found are
judged; a true copy made by others has a time line of its own, so its ranges prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evaluation.data.records import CopiedRange, QueryRow, ScoredMatch
from evaluation.measures.relevance import answer, best, positives
from evaluation.measures.statistics import Proportion

Range: TypeAlias = tuple[float, float]
"""[start, end) in seconds."""

GOOD_IOU = 0.8


@dataclass(frozen=True, slots=True)
class RangeOverlap:
    """Intersection over union of one row's ranges, 0 to 1, on each axis.

    None where the truth has no length on that axis, as the reference has when one frame is frozen.
    """

    query: float | None
    ref: float | None

    @property
    def combined(self) -> float:
        """The smaller of the two, because a reviewer is led astray by either. The product would ask for
        0.9 on both where one bound is meant for each."""
        return min((iou for iou in (self.query, self.ref) if iou is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class RangeSummary:
    """Over the rows judged: mean IoU on each axis (NaN when none was judged), and how many are good."""

    query: float
    ref: float
    combined: float
    good: Proportion


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same seconds as ordered ranges that do not touch; empty ones vanish."""
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
    """Seconds covered, those covered twice once."""
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
    """Intersection over union in seconds; 1 when both are empty."""
    shared = intersection(first, second)
    covered = length(first) + length(second) - shared
    return shared / covered if covered > 0 else 1.0


def query_range(of: ScoredMatch | CopiedRange) -> Range:
    return of.query_start_seconds, of.query_end_seconds


def ref_range(of: ScoredMatch | CopiedRange) -> Range:
    return of.ref_start_seconds, of.ref_end_seconds


def claimed(row: QueryRow) -> list[ScoredMatch]:
    """The matches whose ranges the answer stands for: those accepted or, where none is, the best
    one. Only of the video the query was made of; empty where it was not found."""
    found = [match for match in answer(row) if match.relation == "self"]
    accepted = [match for match in found if match.decision == "copy"]
    highest = best(found)
    return accepted or ([highest] if highest is not None else [])


def overlap(row: QueryRow) -> RangeOverlap | None:
    """IoU of the union of the claimed ranges with the union of the pieces; None where nothing can
    be judged.

    Pieces may run backwards or be shuffled: the union asks only which seconds are shown.
    """
    matches = claimed(row)
    if not matches or not row.pieces:
        return None

    def on(axis: Callable[[ScoredMatch | CopiedRange], Range]) -> float | None:
        truth = [axis(piece) for piece in row.pieces]
        return iou([axis(match) for match in matches], truth) if length(truth) > 0 else None

    return RangeOverlap(on(query_range), on(ref_range))


def summarise_ranges(rows: Iterable[QueryRow]) -> RangeSummary:
    """Means and the share with a combined IoU of at least GOOD_IOU, over the open-set rows judged."""
    judged = [one for row in positives(rows) if (one := overlap(row)) is not None]
    return RangeSummary(
        query=_mean([one.query for one in judged]),
        ref=_mean([one.ref for one in judged]),
        combined=_mean([one.combined for one in judged]),
        # Sums of thousandths of a second must not decide.
        good=Proportion(sum(one.combined >= GOOD_IOU - 1e-9 for one in judged), len(judged)),
    )


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else math.nan
