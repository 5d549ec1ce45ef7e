"""Matches each new video against the rest of the catalogue."""

from __future__ import annotations

from common.metrics import Metrics
from searcher.api.protocols import ServingIndex
from searcher.matching.matcher import MatchReport
from searcher.metrics import observe_decision


def match_new_video(
    answering: ServingIndex, video_id: str, version: int, metrics: Metrics
) -> MatchReport | None:
    """The matches of a new version of a video; None if it was deleted or replaced meanwhile."""
    index = answering.index
    video = index.videos.get(video_id)
    if video is None or video.version != version:
        return None
    report = answering.matcher.match_video(video)
    observe_decision(metrics, report)
    return report


def in_words(report: MatchReport) -> str:
    """The report on one line, for a log."""
    if not report.matches:
        return report.reason or "no match in the catalogue"
    best = report.matches[0]
    return (
        f"{report.decision}, {best.probability:.1%}: "
        f"{best.query_start_seconds:.1f}-{best.query_end_seconds:.1f} s of it is "
        f"{best.ref_start_seconds:.1f}-{best.ref_end_seconds:.1f} s of {best.video_id!r}"
    )
