"""The report of an index with the second opinion, under what people have set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from common.metrics import Metrics
from searcher.curation.apply_rules import CurationRules
from searcher.matching.matcher import Matcher
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import is_stronger
from searcher.matching.second_opinion import with_second_opinion
from searcher.serving import SecondIndex, ServingIndex
from searcher.storage.video import Video


def with_second(
    report: MatchReport,
    ask: Callable[[SecondIndex], MatchReport | None],
    answering: ServingIndex,
    rules: CurationRules,
    metrics: Metrics,
    query: Literal["sent", "indexed"] = "sent",
) -> MatchReport:
    """The report with the second opinion, if there is one and it is needed. ask: makes its report. query:
    the label of its time."""
    if answering.second is None:
        return report
    second = replace(answering.second, matcher=rules.matcher(answering.second.matcher))
    outcome = ""

    def timed() -> MatchReport | None:
        nonlocal outcome
        started = time.perf_counter()
        opinion = ask(second)
        if opinion is None:
            outcome = "not_indexed"
            return None
        outcome = "unchanged"
        seconds = time.perf_counter() - started
        metrics.second_opinion_duration_seconds.labels(query).observe(seconds)
        return opinion

    merged = with_second_opinion(report, timed, decided=rules.has_copy, covers=second.covers)
    if is_stronger(merged.decision, report.decision):
        outcome = merged.decision
    if outcome:
        metrics.second_opinions_total.labels(outcome).inc()
    return merged


def report_of_video(
    video: Video,
    match: Callable[[Matcher], MatchReport],
    answering: ServingIndex,
    rules: CurationRules,
    metrics: Metrics,
) -> MatchReport:
    """The report of a video of the catalogue. match: makes the report of one profile. answering: its
    matcher is under the rules. The second index is not asked about a video that it does not have."""

    def ask(second: SecondIndex) -> MatchReport | None:
        return match(second.matcher) if second.covers(video.video_id, video.bank) else None

    return with_second(match(answering.matcher), ask, answering, rules, metrics, "indexed")
