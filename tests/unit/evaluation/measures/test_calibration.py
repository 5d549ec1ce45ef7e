"""Whether probabilities mean what they say, and what the policy decided."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evaluation.measures.calibration import (
    answers,
    decisions,
    expected_calibration_error,
    lookalikes_accepted,
    lookalikes_to_review,
    reliability,
)
from evaluation.measures.statistics import Proportion
from evaluation.records import Catalogue, QueryRow
from tests.support.evaluation_rows import found, row


def test_the_best_match_of_each_row_is_a_prediction() -> None:
    probabilities, right = answers(
        [
            row("with", found("self", 0.9), found("stranger", 0.2)),
            row("with", found("self", 0.3), found("stranger", 0.4)),
            row("with", found("partner", 1.0), found("self", 0.8)),
            row("with", found("self", 0.7), found("stranger", 0.7)),  # a tie is wrong
            row("with"),  # claims nothing
            row("without", found("lookalike", 0.6)),
            row("without", found("stranger", 0.9), error="broken"),
            row("all", found("self", 0.9)),
        ]
    )
    assert probabilities.tolist() == [0.9, 0.4, 0.8, 0.7, 0.6]
    assert right.tolist() == [True, False, True, False, False]


def test_bins_by_hand() -> None:
    probabilities = np.array([0.05, 0.15, 0.95, 1.0])
    bins = reliability(probabilities, np.array([False, True, True, True]))
    assert [(one.low, one.right) for one in bins] == [
        (0.0, Proportion(0, 1)),
        (0.1, Proportion(1, 1)),
        (0.9, Proportion(2, 2)),
    ]
    assert bins[-1].mean_probability == pytest.approx(0.975)
    # 1 x 0.05, 1 x 0.85 and 2 x 0.025, over four.
    assert expected_calibration_error(bins) == pytest.approx((0.05 + 0.85 + 0.05) / 4)


def test_without_answers_there_is_no_error_to_name() -> None:
    assert math.isnan(expected_calibration_error(reliability(*answers([]))))


@settings(deadline=None)
@given(npst.arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1)), st.integers(1, 20))
def test_every_answer_is_in_one_bin(probabilities: np.ndarray, count: int) -> None:
    right = probabilities > 0.5
    bins = reliability(probabilities, right, count)
    assert sum(one.right.total for one in bins) == len(probabilities)
    assert sum(one.right.count for one in bins) == right.sum()
    assert 0 <= expected_calibration_error(bins) <= 1


def test_decisions_by_eye() -> None:
    made = decisions(
        [
            row("with", found("self", 0.95)),
            row("with", found("self", 0.2), found("copy", 0.95), found("stranger", 0.92)),
            row("with", found("self", 0.6)),
            row("with", found("self", 0.1), found("stranger", 0.99)),
            row("with", error="broken"),
            row("without", found("stranger", 0.95)),
            row("without", found("lookalike", 0.6), found("partner", 0.99)),
            row("without", found("stranger", 0.1)),
        ]
    )
    assert made.copies_accepted == Proportion(2, 5)
    assert made.copies_to_review == Proportion(1, 5)
    assert made.copies_missed == Proportion(2, 5)
    assert made.copies_with_wrong == Proportion(2, 5)
    assert made.false_accepts == Proportion(1, 3)
    assert made.negatives_to_review == Proportion(1, 3)


@pytest.mark.parametrize(
    ("group", "transform"), [("real", "lookalike"), ("lookalike", "made_lookalike")]
)
def test_look_alikes_count_once_whatever_they_are_asked_of(group: str, transform: str) -> None:
    def look_alike(probability: float, video_id: str, catalogue: Catalogue) -> QueryRow:
        return row(
            catalogue,
            found("lookalike", probability),
            group=group,
            transform=transform,
            video_id=video_id,
        )

    rows = [
        look_alike(0.95, "a", "with"),
        look_alike(0.6, "a", "without"),
        look_alike(0.1, "b", "all"),
        look_alike(0.6, "c", "all"),
        look_alike(0.6, "c", "with"),
        row("without", found("lookalike", 0.99)),
    ]
    assert lookalikes_accepted(rows) == Proportion(1, 3)
    assert lookalikes_to_review(rows) == Proportion(1, 3)
