"""Closed set: who comes first, and how far copies and strangers lie apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.measures.ranking import d_prime, logit, recall_at, separation, similarities
from evaluation.measures.relevance import rank_of_right
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow
from tests.support.evaluation_rows import found, row

STRANGERS = [found("stranger", p, video_id=f"s{i}") for i, p in enumerate((0.8, 0.7, 0.6, 0.5))]


def test_rank_is_counted_in_videos_not_in_matches() -> None:
    again = [found("stranger", p, video_id="s0") for p in (0.79, 0.78)]
    assert rank_of_right(row("all", *STRANGERS[:1], *again, found("self", 0.75))) == 2


def test_recall_counts_by_eye() -> None:
    rows = [
        row("all", found("self", 0.9), *STRANGERS),  # first
        row("all", *STRANGERS[:2], found("self", 0.65)),  # third
        row("all", *STRANGERS, found("copy", 0.4)),  # fifth
        row("all", *STRANGERS),  # not found
    ]
    assert [recall_at(rows, k) for k in (1, 3, 5)] == [
        Proportion(1, 4),
        Proportion(2, 4),
        Proportion(3, 4),
    ]


def test_a_failed_query_is_a_miss_even_where_it_has_matches() -> None:
    rows = [row("all", found("self", 0.9)), row("all", found("self", 0.9), error="no frames")]
    assert recall_at(rows, 5) == Proportion(1, 2)


def test_partners_are_neither_right_nor_wrong() -> None:
    seen_too = found("partner", 0.99)
    assert recall_at([row("all", seen_too, found("self", 0.9))], 1) == Proportion(1, 1)
    assert recall_at([row("all", seen_too)], 1) == Proportion(0, 1)


def test_a_saturated_probability_is_decided_by_similarity() -> None:
    assert rank_of_right(row("all", found("stranger", 1.0, 0.8), found("self", 1.0, 0.9))) == 1
    assert rank_of_right(row("all", found("self", 1.0, 0.8), found("stranger", 1.0, 0.9))) == 2


def test_a_full_tie_goes_to_the_stranger() -> None:
    assert rank_of_right(row("all", found("self", 1.0, 0.9), found("stranger", 1.0, 0.9))) == 2


def test_a_true_duplicate_is_found_by_its_copy_and_never_by_itself() -> None:
    def real(*matches: object) -> QueryRow:
        return row("all", *matches, group="real", transform="copy")  # type: ignore[arg-type]

    rows = [real(found("copy", 0.9)), real(found("self", 0.99), found("stranger", 0.2))]
    assert recall_at(rows, 1) == Proportion(1, 2)


def test_look_alikes_and_halves_of_the_catalogue_are_not_ranked() -> None:
    rows = [
        row("all", found("stranger", 0.1), group="real", transform="lookalike"),
        row("with", found("self", 0.9)),
        row("without", found("stranger", 0.9)),
    ]
    assert recall_at(rows, 1) == Proportion(0, 0)
    assert math.isnan(recall_at(rows, 1).value)


def test_similarity_stands_beside_that_of_the_best_stranger() -> None:
    rows = [
        row(
            "all",
            found("self", 0.9, 0.8),
            found("stranger", 0.2, 0.3, video_id="a"),
            found("lookalike", 0.4, 0.5, video_id="b"),
        ),
        row("all", found("self", 0.9, 0.6), found("stranger", 0.2, 0.1)),
        row("all", found("stranger", 0.2, 0.3)),  # adds a stranger alone
    ]
    right, wrong = similarities(rows)
    assert right.tolist() == [0.8, 0.6]
    assert wrong.tolist() == [0.5, 0.1, 0.3]
    made = separation(rows)
    assert made.copies == pytest.approx(0.7)
    assert made.non_matches == pytest.approx(0.3)
    # Deviations of (0.8, 0.6) and (0.5, 0.1, 0.3): variances 0.02 and 0.04.
    assert made.d_prime == pytest.approx(0.4 / math.sqrt(0.03))


def test_d_prime_of_two_known_spreads() -> None:
    assert d_prime(np.array([2.0, 4.0]), np.array([0.0, 2.0])) == pytest.approx(math.sqrt(2))
    assert d_prime(np.array([1.0, 1.0]), np.array([0.0, 0.0])) == math.inf
    assert math.isnan(d_prime(np.array([1.0]), np.array([0.0, 0.0])))


def test_what_lifts_copies_and_strangers_alike_does_not_raise_d_prime() -> None:
    copies, strangers = np.array([0.6, 0.7, 0.8]), np.array([0.1, 0.3, 0.2])
    lifted = d_prime(0.1 * copies + 0.9, 0.1 * strangers + 0.9)
    assert lifted == pytest.approx(d_prime(copies, strangers))


def test_logit_is_finite_where_probability_saturates() -> None:
    values = logit(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(values).all()
    assert values[1] == 0
    assert values[0] == pytest.approx(-values[2], rel=1e-4)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["self", "stranger", "lookalike", "partner"]),
            st.sampled_from([0.1, 0.5, 0.9, 1.0]),
            st.integers(0, 3),
        ),
        max_size=12,
    )
)
def test_recall_never_falls_with_k(matches: list[tuple[str, float, int]]) -> None:
    asked = row(
        "all",
        *(found(what, p, video_id=f"{what}{n}") for what, p, n in matches),  # type: ignore[arg-type]
    )
    recalls = [recall_at([asked], k).count for k in range(1, 14)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == any(what == "self" for what, _, _ in matches)
