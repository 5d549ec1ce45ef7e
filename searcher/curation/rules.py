"""How exceptions and negative banks change decisions. Input and output are ranges as in the JSON of a
match report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.state.exceptions import StoredException
from searcher.matching.scoring.policy import Policy, covered_seconds, strongest

# A range of which only this much is not excepted is no match: the ends that localisation finds are exact
# to half a second each.
_REST_SECONDS = 1.0
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Negative:
    """A range of the query, seconds, that shows a video of a negative bank."""

    video_id: str
    bank: str
    start_seconds: float
    end_seconds: float

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Negative:
        """The range of an item of a match report."""
        start, end = item["query_start_seconds"], item["query_end_seconds"]
        return cls(item["video_id"], item["bank"], start, end)

    @property
    def interval(self) -> tuple[float, float]:
        return self.start_seconds, self.end_seconds


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision on each range, and the exceptions and negative ranges that cover (part of) it."""

    decisions: list[str]
    exceptions: list[list[StoredException]]
    negatives: list[list[Negative]]

    @property
    def decision(self) -> str:
        """The strongest decision."""
        return strongest(self.decisions)  # type: ignore[arg-type]


def rule(
    ranges: Sequence[Mapping[str, Any]],
    exceptions: Sequence[StoredException],
    *,
    fingerprint: str,
    bank: str,
    policy: Policy,
    query_seconds: float,
    negatives: Sequence[Negative] = (),
) -> Ruling:
    """The decisions on the ranges of one query in one reference.

    ranges: with the decisions that the matcher made. exceptions: of this reference. bank: of the
    reference; exceptions of another bank are left from an earlier video with its id, and do not count.
    negatives: ranges of the query that never count.
    """
    ours = [one for one in exceptions if one.bank == bank]
    pairs = [one for one in ours if one.kind == "pair" and one.fingerprint == fingerprint]
    if pairs:
        nothing: list[list[Negative]] = [[] for _ in ranges]
        return Ruling(["no_match"] * len(ranges), [pairs[:1]] * len(ranges), nothing)
    excepted = [one for one in ours if one.kind == "range"]
    parts = [_Part.of(found, excepted).without(negatives) for found in ranges]
    decisions = [part.decision for part in parts]
    if any(part.exceptions or part.negatives for part in parts):
        decisions = _long_enough(parts, decisions, policy, query_seconds)
    return Ruling(
        decisions, [part.exceptions for part in parts], [part.negatives for part in parts]
    )


def is_worth_it(interval: tuple[float, float], negatives: Sequence[tuple[float, float]]) -> bool:
    """Whether negative ranges leave enough of an interval of the query for a match."""
    start, end = interval
    over = [one for one in negatives if one[0] < end and one[1] > start]
    return not over or not _is_excluded(covered_seconds(_without(interval, over)))


def _is_excluded(left: float) -> bool:
    """Whether a range of which this many seconds are left is no match."""
    return left <= _REST_SECONDS + _SLACK


@dataclass(frozen=True, slots=True)
class _Part:
    """One range. rest: intervals of the query, seconds, that count: their counterpart in the reference is
    not excepted, and they are not negative."""

    decision: str
    exceptions: list[StoredException]
    query: tuple[float, float]
    rest: list[tuple[float, float]]
    negatives: list[Negative] = field(default_factory=list)

    @classmethod
    def of(cls, found: Mapping[str, Any], excepted: Iterable[StoredException]) -> _Part:
        start, end = found["ref_start_seconds"], found["ref_end_seconds"]
        over = [one for one in excepted if _seconds(one)[0] < end and _seconds(one)[1] > start]
        if start == end:
            over = [one for one in excepted if _seconds(one)[0] <= start <= _seconds(one)[1]]
        query = found["query_start_seconds"], found["query_end_seconds"]
        if not over or found["decision"] == "no_match":
            return cls(found["decision"], over, query, [query])
        free = _without((start, end), [_seconds(one) for one in over])
        decision = _weakened(found["decision"], free, end - start)
        # The tempo is constant within a range.
        tempo = (query[1] - query[0]) / (end - start) if end > start else 0.0
        if (found.get("evidence", {}).get("tempo") or 0.0) < 0:
            # It runs backwards.
            free = [(start + end - b, start + end - a) for a, b in free]
        rest = [(query[0] + tempo * (a - start), query[0] + tempo * (b - start)) for a, b in free]
        return cls(decision, over, query, rest)

    def without(self, negatives: Iterable[Negative]) -> _Part:
        """The same without the negative ranges of the query."""
        start, end = self.query
        over = [one for one in negatives if one.start_seconds < end and one.end_seconds > start]
        if not over or self.decision == "no_match":
            return replace(self, negatives=over)
        intervals = [one.interval for one in over]
        rest = [free for some in self.rest for free in _without(some, intervals)]
        decision = _weakened(self.decision, rest, end - start)
        return replace(self, decision=decision, rest=rest, negatives=over)


def _weakened(decision: str, rest: Sequence[tuple[float, float]], seconds: float) -> str:
    """The decision on a range of `seconds` of which only the intervals `rest` count."""
    left = covered_seconds(rest)
    if _is_excluded(left):
        return "no_match"
    return "review" if decision == "copy" and left < seconds / 2 else decision


def _long_enough(
    parts: Sequence[_Part], decisions: Sequence[str], policy: Policy, query_seconds: float
) -> list[str]:
    """The decisions where what is not excepted must be as long as the bank's policy demands."""
    least = max(policy.min_seconds, policy.min_coverage * query_seconds) - _SLACK

    def suffice(*wanted: str) -> bool:
        judged = zip(parts, decisions, strict=True)
        rest = [at for part, decision in judged if decision in wanted for at in part.rest]
        return covered_seconds(rest) >= least

    if suffice("copy"):
        return list(decisions)
    if suffice("copy", "review"):
        return ["review" if decision == "copy" else decision for decision in decisions]
    return ["no_match"] * len(decisions)


def _seconds(exception: StoredException) -> tuple[float, float]:
    return exception.start_seconds or 0.0, exception.end_seconds or 0.0


def _without(
    interval: tuple[float, float], excepted: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The parts of an interval that no excepted one covers."""
    free, at = [], interval[0]
    for start, end in sorted(excepted):
        if start > at:
            free.append((at, min(start, interval[1])))
        at = max(at, end)
    if at < interval[1]:
        free.append((at, interval[1]))
    return free
