"""What compared pictures do to the probability of a doubtful match."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.types import Match
from searcher.matching.scoring.boilerplate import boilerplate_weight
from searcher.matching.scoring.policy import Policy
from searcher.transform.estimate import NOTHING_SHARED, PictureComparison, PictureTransform
from searcher.transform.pictures import PictureKind
from searcher.transform.regions import WHOLE
from searcher.transform.verification import LEAST_PROBABILITY, SURE_PROBABILITY, verified
from tests.unit.searcher.transform.test_finder import match

MADE_FROM_IT = PictureTransform(
    *(False, 0, WHOLE, WHOLE, WHOLE, 1.0), inverted=False, grey=False, confidence=1.0
)
CONFIRMED = PictureComparison(80, 90, 0.9, MADE_FROM_IT)
PARTLY = PictureComparison(15, 60)
POLICY = Policy(0.8, 0.2)
DOUBTFUL = st.floats(LEAST_PROBABILITY, SURE_PROBABILITY, exclude_max=True)


def after(given: Match, comparison: PictureComparison) -> float:
    return verified(given, comparison, POLICY).probability


@given(DOUBTFUL)
def test_fitting_points_make_a_copy_more_probable_and_none_less(probability: float) -> None:
    doubtful = match("film", probability=probability)
    assert (
        after(doubtful, NOTHING_SHARED)
        < probability
        < after(doubtful, PARTLY)
        < after(doubtful, CONFIRMED)
        <= 1.0
    )


@given(DOUBTFUL)
def test_thumbnails_confirm_as_much_as_a_file_and_refute_less(probability: float) -> None:
    doubtful = match("film", probability=probability)
    for comparison in (PARTLY, CONFIRMED):
        by_thumbnails = verified(doubtful, comparison, POLICY, "thumbnails").probability
        assert by_thumbnails == after(doubtful, comparison)
    by_thumbnails = verified(doubtful, NOTHING_SHARED, POLICY, "thumbnails").probability
    assert after(doubtful, NOTHING_SHARED) < by_thumbnails < probability


@given(DOUBTFUL, DOUBTFUL)
def test_the_order_of_two_matches_stays_where_the_pictures_say_the_same(
    one: float, other: float
) -> None:
    low, high = sorted((one, other))
    for comparison in (NOTHING_SHARED, PARTLY, CONFIRMED):
        assert after(match("a", probability=low), comparison) <= after(
            match("b", probability=high), comparison
        )


@pytest.mark.parametrize("probability", [LEAST_PROBABILITY / 2, SURE_PROBABILITY, 1.0])
def test_a_match_without_doubt_keeps_its_probability(probability: float) -> None:
    for comparison in (NOTHING_SHARED, CONFIRMED):
        assert after(match("film", probability=probability), comparison) == probability


def test_in_a_static_scene_nearly_every_part_must_agree() -> None:
    static = match("film", probability=0.42, limited_by="static_scene")
    assert after(static, CONFIRMED) < 0.42
    assert after(static, PARTLY) < 0.42
    assert after(static, replace(CONFIRMED, agreement=1.0)) > 0.9


def test_in_a_static_scene_thumbnails_must_agree_more_because_they_hide_a_line_of_text() -> None:
    static = match("film", probability=0.42, limited_by="static_scene")
    nearly, whole = (replace(CONFIRMED, agreement=share) for share in (0.991, 1.0))
    assert after(static, nearly) > 0.9
    assert verified(static, nearly, POLICY, "thumbnails").probability < 0.42
    assert verified(static, whole, POLICY, "thumbnails").probability > 0.9


def test_a_map_in_which_the_pictures_differ_counts_less() -> None:
    doubtful = match("film", probability=0.01)
    logo = replace(CONFIRMED, agreement=0.5)
    few = replace(CONFIRMED, fitting=12, points=14)
    assert after(doubtful, logo) == after(doubtful, few) < 0.7 < 0.9 < after(doubtful, CONFIRMED)


@given(st.integers(5, 500), st.floats(0.02, 0.98))
def test_boilerplate_stays_boilerplate(frequency: int, own: float) -> None:
    weight = boilerplate_weight(frequency)
    shared = match("film", probability=weight * own, document_frequency=frequency)
    assert after(shared, CONFIRMED) <= weight


@given(DOUBTFUL, st.sampled_from(["file", "thumbnails"]))
def test_what_only_a_part_of_the_picture_resembles_is_no_copy_unless_the_pictures_say_so(
    probability: float, pictures: PictureKind
) -> None:
    whole = match("film", probability=probability)
    part = replace(whole, view="bottom_left")
    plain = verified(whole, NOTHING_SHARED, POLICY, pictures)
    found = verified(part, NOTHING_SHARED, POLICY, pictures)
    assert found.probability == min(plain.probability, POLICY.review_limit) < 0.8
    is_limited = plain.probability > POLICY.review_limit
    assert found.evidence["limited_by"] == ("not_confirmed" if is_limited else None)
    for comparison in (PARTLY, CONFIRMED):
        assert after(part, comparison) == after(whole, comparison)


def test_the_evidence_says_what_was_compared_and_what_it_changed() -> None:
    found = verified(match("film", probability=0.3), CONFIRMED, POLICY).evidence["verification"]
    assert found == {
        "outcome": "confirmed",
        "pictures": "file",
        "fitting_points": 80,
        "shared_points": 90,
        "agreement": 0.9,
        "probability_before": 0.3,
    }
