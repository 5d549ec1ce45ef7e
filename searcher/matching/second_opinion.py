"""The second opinion: another profile is asked where the first one finds no copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from searcher.matching.matcher import Matcher
from searcher.matching.report.match_report import MatchReport
from searcher.matching.report.pass_merge import merge_profiles
from searcher.matching.scoring.policy import Policies, Policy

LEAST_COPY_PROBABILITY = 0.98
"""Of a copy that only the second profile finds. That the first one finds none is evidence against it: in
the evaluation, all true copies of this kind had over 0.99 and all others under 0.96."""

Covers: TypeAlias = Callable[[str, str], bool]
"""Whether the second index has the same file of a video as the first one, in the same bank; from the ids
of video and bank."""


def as_second_opinion(matcher: Matcher) -> Matcher:
    """The matcher of a second profile. Where no threshold is set, a copy needs LEAST_COPY_PROBABILITY."""
    shipped = matcher.calibration.copy_probability

    def stricter(policy: Policy) -> Policy:
        if policy.copy_probability != shipped:
            return policy
        return replace(policy, copy_probability=max(shipped, LEAST_COPY_PROBABILITY))

    banks = {bank: stricter(policy) for bank, policy in matcher.policies.banks.items()}
    return matcher.under(Policies(stricter(matcher.policies.default), banks))


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
