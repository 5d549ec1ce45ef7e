"""Open set: recall at a fixed rate of false positives, uAP by hand, and the laws they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.measures.detection import (
    accepted_at_fpr,
    micro_ap,
    pooled,
    precision_recall,
    recall_at_fpr,
    recall_at_precision,
    roc,
    threshold_at_fpr,
)
from evaluation.measures.relevance import NOT_FOUND
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow
from tests.support.evaluation_rows import found, row


def hundred_strangers() -> list[QueryRow]:
    """Negatives whose best stranger scores 0.00, 0.01 ... 0.99."""
    return [row("without", found("stranger", i / 100), video_id=f"n{i}") for i in range(100)]


def test_one_of_a_hundred_negatives_may_be_accepted_at_one_percent() -> None:
    positives = [row("with", found("self", p), video_id=str(p)) for p in (0.975, 0.985, 0.995)]
    # The highest stranger, 0.99, is let through; the next, 0.98, is the bar.
    assert accepted_at_fpr([*positives, *hundred_strangers()], 1e-2) == [False, True, True]
    assert recall_at_fpr([*positives, *hundred_strangers()], 1e-2) == Proportion(2, 3)


def test_with_too_few_negatives_for_the_rate_not_one_is_accepted() -> None:
    positives = [row("with", found("self", p), video_id=str(p)) for p in (0.985, 0.995)]
    assert recall_at_fpr([*positives, *hundred_strangers()], 1e-3) == Proportion(1, 2)


def test_a_copy_that_ties_with_the_bar_is_rejected_and_similarity_breaks_ties() -> None:
    negative = row("without", found("stranger", 1.0, 0.5))

    def recall(similarity: float) -> Proportion:
        return recall_at_fpr([negative, row("with", found("self", 1.0, similarity))], 1e-2)

    assert recall(0.5) == Proportion(0, 1)
    assert recall(0.6) == Proportion(1, 1)


def test_tied_negatives_are_accepted_together_or_not_at_all() -> None:
    tied = [(0.9, 0.5)] * 2 + [(0.1, 0.5)] * 98
    # One of a hundred may pass, but the two at 0.9 come together: none does.
    assert threshold_at_fpr(tied, 1e-2) == (0.9, 0.5)
    assert threshold_at_fpr(tied, 2e-2) == (0.1, 0.5)
    assert threshold_at_fpr(tied, 1.0) == NOT_FOUND


def test_without_negatives_nothing_is_measured() -> None:
    assert recall_at_fpr([row("with", found("self", 0.9))], 1e-2) == Proportion(0, 0)
    with pytest.raises(ValueError, match="negative_scores: expected at least one"):
        threshold_at_fpr([], 1e-2)


def test_a_copy_that_was_not_found_is_missed_where_no_negative_found_anything() -> None:
    rows = [row("without"), row("with", video_id="a"), row("with", found("self", 0.1))]
    assert recall_at_fpr(rows, 1e-2) == Proportion(1, 2)


def test_a_failed_query_is_a_missed_copy_but_no_evidence_about_strangers() -> None:
    rows = [
        row("with", found("self", 0.9)),
        row("with", error="broken", video_id="b"),
        row("without", error="broken"),
    ]
    assert recall_at_fpr(rows, 1e-2) == Proportion(0, 0)
    rows.append(row("without", found("stranger", 0.5), video_id="c"))
    assert recall_at_fpr(rows, 1e-2) == Proportion(1, 2)


def test_a_look_alike_as_it_is_is_a_negative_in_either_half() -> None:
    look_alike = row("with", found("lookalike", 0.95), group="real", transform="lookalike")
    assert recall_at_fpr([look_alike, row("with", found("self", 0.9))], 1e-2) == Proportion(0, 1)


def by_hand() -> list[QueryRow]:
    """Pooled, from the top: right, wrong, right, wrong, wrong; a third copy is not found."""
    return [
        row("with", found("self", 0.9), found("stranger", 0.5, video_id="s"), video_id="a"),
        row("with", found("self", 0.7), found("partner", 0.95), video_id="b"),
        row("with", found("stranger", 0.8, video_id="s"), video_id="c"),
        row("without", found("stranger", 0.6, video_id="s"), video_id="d"),
    ]


def test_uap_by_hand() -> None:
    # Recall 1/3 at precision 1/1, then 2/3 at precision 2/3.
    assert micro_ap(pooled(by_hand())) == pytest.approx((1 + 2 / 3) / 3)


def test_precision_recall_by_hand() -> None:
    curve = precision_recall(pooled(by_hand()))
    assert curve.x.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert curve.y.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4, 2 / 5])


def test_recall_at_precision_by_hand() -> None:
    predictions = pooled(by_hand())
    assert recall_at_precision(predictions, 0.9) == Proportion(1, 3)
    assert recall_at_precision(predictions, 0.6) == Proportion(2, 3)
    assert recall_at_precision(pooled([row("with", found("stranger", 1.0))]), 0.9) == Proportion(
        0, 1
    )


def test_one_prediction_for_each_video_and_one_right_one_for_each_query() -> None:
    asked = row(
        "with",
        *(found("self", p) for p in (0.9, 0.8)),
        found("copy", 0.85, video_id="copy"),
        *(found("stranger", p, video_id="s") for p in (0.4, 0.6)),
    )
    predictions = pooled([asked])
    assert predictions.right.tolist() == [True, False]
    assert predictions.probability.tolist() == [0.9, 0.6]
    assert micro_ap(predictions) == 1


def test_equal_scores_are_one_threshold_in_whatever_order_they_come() -> None:
    tied = [row("with", found("self", 0.9)), row("without", found("stranger", 0.9))]
    assert micro_ap(pooled(tied)) == micro_ap(pooled(tied[::-1])) == pytest.approx(0.5)


def test_uap_needs_positives() -> None:
    assert math.isnan(micro_ap(pooled([row("without", found("stranger", 0.5))])))
    assert micro_ap(pooled([row("with")])) == 0


def test_roc_by_hand() -> None:
    rows = [
        row("with", found("self", 0.9), video_id="a"),
        row("with", found("self", 0.3), video_id="b"),
        row("with", video_id="c"),
        row("without", found("stranger", 0.5), video_id="d"),
        row("without", video_id="e"),
    ]
    curve = roc(rows)
    assert curve.x.tolist() == pytest.approx([0, 0, 1 / 2, 1 / 2])
    assert curve.y.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3])


scores = st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.sampled_from([0.1, 0.4, 0.7]))


@st.composite
def open_sets(draw: st.DrawFn) -> list[QueryRow]:
    rows = []
    for n, score in enumerate(draw(st.lists(st.none() | scores, min_size=1, max_size=8))):
        wrong = [found("stranger", *s, video_id="s") for s in draw(st.lists(scores, max_size=1))]
        right = [] if score is None else [found("self", *score)]
        rows.append(row("with", *right, *wrong, video_id=f"p{n}"))
    for n, score in enumerate(draw(st.lists(st.none() | scores, min_size=1, max_size=8))):
        matches = [] if score is None else [found("stranger", *score)]
        rows.append(row("without", *matches, video_id=f"n{n}"))
    return rows


@settings(deadline=None)
@given(open_sets())
def test_measures_lie_between_nothing_and_all(rows: list[QueryRow]) -> None:
    predictions = pooled(rows)
    assert 0 <= micro_ap(predictions) <= 1 + 1e-12
    curve = roc(rows)
    assert (np.diff(curve.x) >= 0).all()
    assert (np.diff(curve.y) >= 0).all()
    assert recall_at_fpr(rows, 1e-3).value <= recall_at_fpr(rows, 0.5).value


@settings(deadline=None)
@given(open_sets(), st.sampled_from([0.01, 0.2, 0.5, 1.0]))
def test_the_rate_of_false_positives_is_kept(rows: list[QueryRow], rate: float) -> None:
    strangers = [(m.probability, m.similarity) for r in rows for m in r.matches if not r.error]
    if strangers:
        bar = threshold_at_fpr(strangers, rate)
        assert sum(score > bar for score in strangers) <= rate * len(strangers)
        # No lower bar would do: those that tie with it come with it.
        assert bar == NOT_FOUND or sum(s >= bar for s in strangers) > rate * len(strangers)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6))
def test_perfect_separation_gives_one(copies: int, strangers: int) -> None:
    rows = [
        *(row("with", found("self", 0.9), found("stranger", 0.1)) for _ in range(copies)),
        *(row("without", found("stranger", 0.2)) for _ in range(strangers)),
    ]
    assert micro_ap(pooled(rows)) == pytest.approx(1)
    assert recall_at_fpr(rows, 1e-3).value == 1
    assert recall_at_precision(pooled(rows), 0.9).value == 1
