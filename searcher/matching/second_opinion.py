"""The second opinion: another profile is asked where the first one finds no copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from searcher.matching.report.match_report import MatchReport
from searcher.matching.report.pass_merge import merge_profiles

Covers: TypeAlias = Callable[[str, str], bool]
"""Whether the second index has the same file of a video as the first one, in the same bank; from the ids
of video and bank."""


def with_second_opinion(
    first: MatchReport,
    second: Callable[[], MatchReport | None],
    *,
    decided: Callable[[MatchReport], bool],
    covers: Covers,
) -> MatchReport:
    """The report of the first profile if it decides, otherwise that of both (`merge_profiles`).

    second: makes the report of the second profile; None if it cannot say anything. decided: whether a
    first report needs no second one. covers: matches of other videos are left out, because the second
    index follows the first one, and may be behind. A query without information is not asked again. Raises
    the errors of `second`.
    """
    if first.reason or decided(first):
        return first
    report = second()
    if report is None:
        return first
    known = [pair for pair in report.judged if covers(pair[0].video_id, pair[0].bank)]
    return merge_profiles(first, report.with_judged(known))
