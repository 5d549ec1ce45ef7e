"""What two videos of the catalogue share, independent of which of them was the query."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from common.types import Match
from searcher.decisions import Decision
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import covered_seconds, strongest

COPIES: tuple[Decision, ...] = ("copy",)


@dataclass(frozen=True, slots=True, order=True)
class SharedRange:
    """A range of the first video that is a copy of a range of the second one."""

    first_start_seconds: float
    first_end_seconds: float
    second_start_seconds: float
    second_end_seconds: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two videos that share something; `first` < `second`, by id.

    ranges: the shared ranges, ordered by the first video's time. first_coverage, second_coverage:
    fraction of each video that they cover, 0 to 1. probability: the highest one of the matches.
    """

    first: str
    second: str
    ranges: tuple[SharedRange, ...]
    first_coverage: float
    second_coverage: float
    probability: float
    decision: Decision

    def coverage_of(self, video_id: str) -> float:
        """The covered fraction of one of the two videos."""
        return self.first_coverage if video_id == self.first else self.second_coverage

    def other(self, video_id: str) -> str:
        """The id of the other video."""
        return self.second if video_id == self.first else self.first

    def ranges_from(self, video_id: str) -> list[SharedRange]:
        """The ranges with this video as the first one, ordered by its time."""
        if video_id == self.first:
            return list(self.ranges)
        return sorted(
            SharedRange(
                one.second_start_seconds,
                one.second_end_seconds,
                one.first_start_seconds,
                one.first_end_seconds,
            )
            for one in self.ranges
        )


def overlaps_in(
    report: MatchReport,
    video_id: str,
    durations: Mapping[str, float],
    decisions: Collection[Decision] = COPIES,
) -> Iterator[Overlap]:
    """What an indexed video shares with others, from the report of a query with it: one overlap per video
    that has a match with one of the `decisions`. durations: seconds by video id; other videos are
    skipped."""
    matches: dict[str, list[tuple[Match, Decision]]] = {}
    for match, decision in zip(report.matches, report.decisions, strict=True):
        if decision in decisions and match.video_id in durations:
            matches.setdefault(match.video_id, []).append((match, decision))
    for other, found in matches.items():
        yield _overlap(video_id, other, found, durations)


def _overlap(
    query: str, other: str, found: Iterable[tuple[Match, Decision]], durations: Mapping[str, float]
) -> Overlap:
    matches = [match for match, _ in found]
    swapped = other < query
    first, second = (other, query) if swapped else (query, other)
    ranges = []
    for match in matches:
        mine = (match.query_start_seconds, match.query_end_seconds)
        its = (match.ref_start_seconds, match.ref_end_seconds)
        ranges.append(SharedRange(*(its + mine if swapped else mine + its)))
    ranges.sort()
    return Overlap(
        first,
        second,
        tuple(ranges),
        _share(
            ((one.first_start_seconds, one.first_end_seconds) for one in ranges), durations[first]
        ),
        _share(
            ((one.second_start_seconds, one.second_end_seconds) for one in ranges),
            durations[second],
        ),
        max(match.probability for match in matches),
        strongest(decision for _, decision in found),
    )


def _share(intervals: Iterable[tuple[float, float]], duration_seconds: float) -> float:
    """The fraction of a video that the intervals cover together, 0 to 1."""
    covered = covered_seconds(intervals)
    return min(1.0, covered / duration_seconds) if duration_seconds > 0 else 0.0


def stronger(one: Overlap, other: Overlap) -> Overlap:
    """The stronger of two overlaps of the same pair, found from either side. The order of the arguments
    does not matter."""
    return max(one, other, key=_strength)


def _strength(overlap: Overlap) -> tuple[object, ...]:
    return (
        overlap.decision == "copy",
        round(_agreed_seconds(overlap.ranges), 2),
        overlap.probability,
        overlap.first_coverage,
        overlap.second_coverage,
        overlap.ranges,
    )


def _agreed_seconds(ranges: Iterable[SharedRange]) -> float:
    """Seconds that the ranges share, minus the differences of their lengths. If the query is the longer
    video, its windows extend beyond the ends of the shared part."""
    agreed = 0.0
    for one in ranges:
        first = one.first_end_seconds - one.first_start_seconds
        second = one.second_end_seconds - one.second_start_seconds
        agreed += min(first, second) - abs(first - second)
    return agreed
