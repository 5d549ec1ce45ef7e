"""The parts of a query that no copy covers: there may be further copies, which need a second pass."""

from __future__ import annotations

import math

from common.types import EVERYWHERE, MOST_SPANS, TimeSpans
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import LEAST_UNCOVERED_SECONDS

# The ends of a match are exact to about half a second; a fade takes longer.
_SLACK_SECONDS = 1.0


def uncovered(report: MatchReport) -> TimeSpans:
    """The parts of the query, of three seconds or more, outside the copies of a report; without a
    copy all of it. More parts than MOST_SPANS are taken together, with what lies between them."""
    spans: list[tuple[float, float]] = []
    copied = sorted(
        (run.query_start_seconds - _SLACK_SECONDS, run.query_end_seconds + _SLACK_SECONDS)
        for run, decision in report.judged
        if decision == "copy"
    )
    if not copied:
        return EVERYWHERE
    at = 0.0
    for start, end in [*copied, (report.duration_seconds, math.inf)]:
        if start - at >= LEAST_UNCOVERED_SECONDS:
            spans.append((at, start))
        at = max(at, end)
    if len(spans) > MOST_SPANS:
        return ((spans[0][0], spans[-1][1]),)
    return tuple(spans)
