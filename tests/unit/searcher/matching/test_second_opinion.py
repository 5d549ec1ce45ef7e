"""Two profiles: the second one adds to what the first one found, and each keeps its own thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.settings import MatchingSettings
from common.types import Match
from searcher.decisions import Decision
from searcher.matching.cascade import has_copy
from searcher.matching.matcher import Matcher
from searcher.matching.report.match_report import MatchReport
from searcher.matching.report.pass_merge import merge_profiles
from searcher.matching.scoring.calibration import load_calibration
from searcher.matching.scoring.policy import Policies, Policy, is_stronger, policies, strongest
from searcher.matching.second_opinion import (
    LEAST_COPY_PROBABILITY,
    as_second_opinion,
    with_second_opinion,
)
from tests.unit.searcher.matching.test_pass_merge import SECONDS, match

LOW, HIGH = Policies(Policy(0.75, 0.1)), Policies(Policy(0.9, 0.2))


def report(*matches: Match, policies: Policies = LOW, model: str = "first") -> MatchReport:
    empty = MatchReport("q", SECONDS, model, (), ())
    return empty.with_matches(matches, policies)


def second(*matches: Match) -> MatchReport:
    return report(*matches, policies=HIGH, model="second")


def told(merged: MatchReport) -> list[tuple[str, float, Decision]]:
    return [(one.video_id, one.probability, decision) for one, decision in merged.judged]


def test_each_profile_decides_with_its_own_thresholds() -> None:
    # 0.8 is a copy for the first profile, and is only worth a review for the second one.
    merged = merge_profiles(report(), second(match(0, 20, 5, 0.8)))
    assert told(merged) == [("film", 0.8, "review")]
    merged = merge_profiles(report(match(0, 20, 5, 0.15)), second(match(0, 20, 9, 0.15, "other")))
    assert told(merged) == [("film", 0.15, "review"), ("other", 0.15, "no_match")]
    assert [one.video_id for one in merged.candidates] == ["other"]
    assert merged.model_id == "first"


def test_of_one_video_the_stronger_decision_counts() -> None:
    merged = merge_profiles(
        report(match(0, 20, 5, 0.5), policies=LOW), second(match(0, 12, 40, 0.95))
    )
    assert told(merged) == [("film", 0.95, "copy")]
    # The second one is surer, and its threshold is higher.
    merged = merge_profiles(report(match(0, 20, 5, 0.76)), second(match(0, 12, 40, 0.89)))
    assert told(merged) == [("film", 0.76, "copy")]


def test_matches_on_one_line_are_one_range_and_the_others_are_kept() -> None:
    merged = merge_profiles(
        report(match(0, 12, 5, 0.6), match(14, 20, 40, 0.3)), second(match(8, 14, 13, 0.95))
    )
    assert [(one.query_start_seconds, one.query_end_seconds) for one in merged.matches] == [
        (0, 14),
        (14, 20),
    ]
    assert merged.decisions == ("copy", "review")


ranges = st.integers(0, 16).flatmap(
    lambda start: st.integers(start + 1, 20).map(lambda end: (start, end))
)
matches = st.builds(
    lambda span, ref, probability, name, outcome: match(
        span[0], span[1], ref, probability, name, outcome=outcome
    ),
    ranges,
    st.integers(0, 40),
    st.floats(0, 1),
    st.sampled_from("abc"),
    st.sampled_from(["", "confirmed", "not_confirmed"]),
)
some = st.lists(matches, max_size=5)


def decision_on(merged: MatchReport, video_id: str) -> Decision:
    return strongest(decision for one, decision in merged.judged if one.video_id == video_id)


def best_of(merged: MatchReport, video_id: str) -> float:
    return max((one.probability for one, _ in merged.judged if one.video_id == video_id), default=0)


@given(some, some)
def test_nothing_is_taken_away(one: Sequence[Match], other: Sequence[Match]) -> None:
    first, added = report(*one), second(*other)
    merged = merge_profiles(first, added)
    for video_id in "abc":
        before, after = decision_on(first, video_id), decision_on(merged, video_id)
        assert not is_stronger(before, after)
        assert after == strongest((before, decision_on(added, video_id)))
        # It may fall only where the decision becomes stronger, by a threshold that is lower.
        if after == before:
            assert best_of(merged, video_id) >= best_of(first, video_id)
    assert not is_stronger(first.decision, merged.decision)
    if (first.decision, added.decision) == ("no_match", "no_match"):
        assert merged.decision == "no_match"


@given(some, some)
def test_a_stronger_decision_of_a_stricter_profile_lowers_no_probability(
    one: Sequence[Match], other: Sequence[Match]
) -> None:
    first, added = report(*one), second(*other)
    merged = merge_profiles(first, added)
    assert merged.probability >= first.probability


COPY, DOUBT = match(0, 20, 5, 0.95), match(0, 20, 5, 0.5)


class Asked:
    """Counts how often the second profile is asked."""

    def __init__(self, answer: MatchReport | None) -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> MatchReport | None:
        self.times += 1
        return self.answer


@pytest.mark.parametrize(
    ("first", "times"),
    [
        (report(COPY), 0),
        (MatchReport("q", SECONDS, "first", (), (), "no frame shows anything"), 0),
        (report(DOUBT), 1),
        (report(), 1),
    ],
)
def test_the_second_is_asked_only_where_the_first_does_not_decide(
    first: MatchReport, times: int
) -> None:
    ask = Asked(None)
    merged = with_second_opinion(first, ask, decided=has_copy, covers=lambda *_: True)
    assert (ask.times, merged) == (times, first)


def test_what_the_first_catalogue_does_not_have_is_left_out() -> None:
    ask = Asked(second(COPY, match(0, 20, 5, 0.99, "deleted")))
    merged = with_second_opinion(
        report(), ask, decided=has_copy, covers=lambda name, bank: name == "film"
    )
    assert told(merged) == [("film", 0.95, "copy")]


def test_a_copy_that_only_the_second_finds_must_be_surer_unless_a_threshold_is_set() -> None:
    calibration = load_calibration("offline")
    settings = MatchingSettings.model_validate({"banks": {"news": {"copy_probability": 0.8}}})
    index = cast(Any, None)
    shipped = Matcher(index, "m", calibration, policies(calibration, settings))
    of_second = as_second_opinion(shipped).policies
    assert calibration.copy_probability < LEAST_COPY_PROBABILITY
    assert of_second.default == replace(
        shipped.policies.default, copy_probability=LEAST_COPY_PROBABILITY
    )
    assert of_second.of("news") == shipped.policies.of("news")
    one = settings.policy.model_copy(update={"copy_probability": 0.7})
    chosen = policies(calibration, settings.model_copy(update={"policy": one}))
    assert as_second_opinion(shipped.under(chosen)).policies == chosen
