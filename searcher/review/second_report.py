"""The report of an index with the second opinion, under what people have set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from searcher.api.protocols import SecondIndex, ServingIndex
from searcher.curation.apply_rules import CurationRules
from searcher.matching.matcher import Matcher
from searcher.matching.report.match_report import MatchReport
from searcher.matching.second_opinion import with_second_opinion
from searcher.storage.video import Video


def with_second(
    report: MatchReport,
    ask: Callable[[SecondIndex], MatchReport | None],
    answering: ServingIndex,
    rules: CurationRules,
) -> MatchReport:
    """The report with the second opinion, if there is one and it is needed. ask: makes its report."""
    second = answering.second
    if second is None:
        return report
    second = replace(second, matcher=rules.matcher(second.matcher))
    return with_second_opinion(
        report, partial(ask, second), decided=rules.has_copy, covers=second.covers
    )


def report_of_video(
    video: Video,
    match: Callable[[Matcher], MatchReport],
    answering: ServingIndex,
    rules: CurationRules,
) -> MatchReport:
    """The report of a video of the catalogue. match: makes the report of one profile. answering: its
    matcher is under the rules. The second index is not asked about a video that it does not have."""

    def ask(second: SecondIndex) -> MatchReport | None:
        return match(second.matcher) if second.covers(video.video_id, video.bank) else None

    return with_second(match(answering.matcher), ask, answering, rules)
