"""Two passes over a query: the second one adds to what the first one found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.types import Match
from searcher.matching.report.match_report import MatchReport
from searcher.matching.report.pass_merge import merge_passes
from searcher.matching.scoring.policy import Policies, Policy

POLICIES = Policies(Policy(0.9, 0.3))
SECONDS = 20.0


def match(
    start: float,
    end: float,
    ref_start: float,
    probability: float,
    video_id: str = "film",
    *,
    tempo: float | None = 1.0,
    outcome: str = "",
    view: str = "identity",
) -> Match:
    """A match of `start` to `end` in the query; outcome: of its verification, empty if there was none."""
    length = (end - start) * abs(tempo or 1.0)
    evidence: dict[str, object] = {"tempo": tempo}
    if outcome:
        evidence["verification"] = {"outcome": outcome}
    ranges = start, end, ref_start, ref_start + length
    coverage = (end - start) / SECONDS
    return Match(video_id, "default", *ranges, 0.5, probability, view, coverage, evidence)


def report(*matches: Match) -> MatchReport:
    empty = MatchReport("q", SECONDS, "model", (), ())
    return empty.with_matches(matches, POLICIES)


WHOLE, PART = match(0, 20, 5, 0.6), match(0, 12, 5, 0.8, view="inner")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # The first pass alone has the whole range; the second one is surer.
        ([WHOLE], [PART], [(0, 20, 5, 25, 0.8, "inner")]),
        # The second pass matches the video less surely.
        ([match(0, 20, 5, 0.6)], [match(0, 12, 5, 0.4)], [(0, 20, 5, 25, 0.6, "identity")]),
        ([match(0, 12, 5, 0.6)], [match(8, 20, 13, 0.4)], [(0, 20, 5, 25, 0.6, "identity")]),
        # Two parts through two views, and all of it on their line: one match says everything.
        (
            [WHOLE],
            [match(8, 20, 13, 0.9, view="right"), match(0, 9, 5, 0.7, view="inner")],
            [(0, 20, 5, 25, 0.9, "right")],
        ),
        # A part that lies on another line stays.
        (
            [match(4, 20, 9, 0.6)],
            [match(8, 20, 13, 0.9, view="right"), match(0, 6, 40, 0.7, view="inner")],
            [(4, 20, 9, 25, 0.9, "right"), (0, 6, 40, 46, 0.7, "inner")],
        ),
        # Another offset or tempo, or none: the ranges of the better one.
        ([match(0, 20, 8, 0.6)], [PART], [(0, 12, 5, 17, 0.8, "inner")]),
        ([match(0, 20, 5, 0.6, tempo=0.5)], [PART], [(0, 12, 5, 17, 0.8, "inner")]),
        ([match(0, 20, 5, 0.6, tempo=None)], [PART], [(0, 12, 5, 17, 0.8, "inner")]),
        # What is on the line by chance adds nothing.
        ([match(0, 20, 5, 0.002)], [PART], [(0, 12, 5, 17, 0.8, "inner")]),
        # Equal, and longer.
        ([match(0, 20, 9, 0.8)], [PART], [(0, 20, 9, 29, 0.8, "identity")]),
        # Verified in the first pass alone.
        (
            [match(0, 20, 9, 0.6, outcome="confirmed")],
            [match(0, 12, 5, 0.8, outcome="not_confirmed")],
            [(0, 20, 9, 29, 0.6, "identity")],
        ),
        # Another part of the same video is found in one pass only.
        (
            [match(0, 6, 5, 0.95), match(14, 20, 40, 0.5)],
            [match(0, 8, 5, 0.97)],
            [(0, 8, 5, 13, 0.97, "identity"), (14, 20, 40, 46, 0.5, "identity")],
        ),
        # Another part that is no match in its pass is none after it.
        ([match(0, 6, 5, 0.95), match(14, 20, 40, 0.1)], [match(0, 8, 5, 0.97)], None),
        # Found in one pass only.
        ([WHOLE], [], [(0, 20, 5, 25, 0.6, "identity")]),
        ([], [PART], [(0, 12, 5, 17, 0.8, "inner")]),
    ],
)
def test_of_each_video_the_better_pass_is_kept(
    first: list[Match],
    second: list[Match],
    expected: list[tuple[float, float, float, float, float, str]] | None,
) -> None:
    merged = merge_passes(report(*first), report(*second), POLICIES)
    found = [
        (
            one.query_start_seconds,
            one.query_end_seconds,
            one.ref_start_seconds,
            one.ref_end_seconds,
            one.probability,
            one.view,
        )
        for one, _ in merged.judged
    ]
    assert found == (expected or [(0, 8, 5, 13, 0.97, "identity")])


def test_a_joined_match_covers_what_both_cover() -> None:
    merged = merge_passes(report(WHOLE), report(PART), POLICIES)
    assert [one.coverage for one in merged.matches] == [1.0]
    assert merged.decisions == ("review",)


def test_a_range_that_runs_backwards_is_joined_on_its_line() -> None:
    # Query 0 to 20 shows 25 to 5; its first 12 seconds show 25 to 13.
    merged = merge_passes(
        report(match(0, 20, 5, 0.6, tempo=-1.0)),
        report(match(0, 12, 13, 0.8, tempo=-1.0)),
        POLICIES,
    )
    (found,) = merged.matches
    assert (found.query_end_seconds, found.ref_start_seconds, found.ref_end_seconds) == (20, 5, 25)


MATCHES = st.lists(
    st.builds(
        lambda start, length, ref, probability, video, tempo, outcome: match(
            start, start + length, ref, probability, video, tempo=tempo, outcome=outcome
        ),
        st.integers(0, 15),
        st.integers(1, 5),
        st.integers(0, 10),
        st.floats(0, 1),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([None, 1.0, 0.8, -1.0]),
        st.sampled_from(["", "confirmed", "partly_confirmed", "not_confirmed"]),
    ),
    max_size=5,
)


def best(found: MatchReport) -> dict[str, tuple[float, bool]]:
    """The highest probability of each video, and whether one of its matches is verified."""
    result: dict[str, tuple[float, bool]] = {}
    for one, _ in found.judged:
        confirmed = one.evidence.get("verification", {}).get("outcome") == "confirmed"
        probability, before = result.get(one.video_id, (0.0, False))
        result[one.video_id] = max(probability, one.probability), before or confirmed
    return result


@given(MATCHES, MATCHES)
def test_a_second_pass_lowers_no_probability_and_takes_no_verification(
    first: list[Match], second: list[Match]
) -> None:
    before, merged = report(*first), merge_passes(report(*first), report(*second), POLICIES)
    after = best(merged)
    for video_id, (probability, confirmed) in best(before).items():
        assert after[video_id][0] >= probability
        assert after[video_id][1] >= confirmed
    strength = ["no_match", "review", "copy"]
    assert strength.index(merged.decision) >= strength.index(before.decision)


@given(MATCHES)
def test_a_second_pass_that_finds_nothing_or_the_same_changes_nothing(found: list[Match]) -> None:
    before = best(report(*found))
    assert best(merge_passes(report(*found), report(), POLICIES)) == before
    assert best(merge_passes(report(), report(*found), POLICIES)) == before
    assert best(merge_passes(report(*found), report(*found), POLICIES)) == before
