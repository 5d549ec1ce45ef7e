"""Matches each new video against the rest of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.metrics import Metrics
from common.probability_text import probability_text
from searcher.curation.match_detail import QueryIdentity
from searcher.matching.matcher import Matcher, MatchReport
from searcher.metrics import observe_decision
from searcher.review.reviews import Reviews
from searcher.review.second_report import report_of_video
from searcher.serving import ServingIndex
from searcher.transform.edit_words import edit_words
from searcher.transform.finder import TransformFinder

# As in the metrics' label `stage`.
STAGE = "match"


def match_new_video(
    answering: ServingIndex,
    video_id: str,
    version: int,
    metrics: Metrics,
    reviews: Reviews,
    transforms: TransformFinder | None = None,
) -> dict[str, Any] | None:
    """The JSON of the report of a new version of a video, whose matches are stored; None if it was
    deleted or replaced meanwhile. If no copy is found, the second index is asked, if it has the video.
    transforms: None if matches get no field `transform`. Raises StateError."""
    index = answering.index
    video = index.videos.get(video_id)
    if video is None or video.version != version:
        return None
    rules = reviews.rules()
    answering = replace(answering, matcher=rules.matcher(answering.matcher))
    only = rules.filter(None)

    def of_video(matcher: Matcher) -> MatchReport:
        report = matcher.match_video(
            video, without=only.exclude_videos, without_banks=only.exclude_banks
        )
        if transforms is None:
            return report
        pictures = transforms.of_video(video_id, index.references)
        return transforms.add_to(report, pictures, index.references, matcher.policies)

    report = report_of_video(video, of_video, answering, rules, metrics)
    answer = reviews.finish(report, QueryIdentity.of_video(video), answering, rules)
    observe_decision(metrics, answer, report.probability)
    return answer


def in_words(report: Mapping[str, Any]) -> str:
    """The report on one line, for a log."""
    decision = report["decision"]
    if decision == "no_match":
        return str(report.get("reason") or "no match in the catalogue")
    best = next(one for one in report["matches"] if one["decision"] == decision)
    done = edit_words(best)
    return (
        f"{decision}, {probability_text(best['probability'])}: "
        f"{best['query_start_seconds']:.1f}-{best['query_end_seconds']:.1f} s of it is "
        f"{best['ref_start_seconds']:.1f}-{best['ref_end_seconds']:.1f} s of {best['video_id']!r}"
        + (f": {done}" if done else "")
    )
