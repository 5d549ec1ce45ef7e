"""How often chance alone gives a score, for tails that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from searcher.matching.scoring.calibration import BackgroundScores
from searcher.matching.scoring.false_positives import ChanceScores, ScoreTail
from tests.support.fixed_calibrations import fixed_calibration

SCALE, SKIPPED, RANKS = 0.05, 2, 23


def best_scores(rng: np.random.Generator, videos: int) -> np.ndarray:
    """The scores of non-matches in a catalogue of so many videos, in descending order."""
    return np.sort(0.1 + rng.exponential(SCALE, videos))[::-1]


def tail_of(scores: np.ndarray) -> ScoreTail:
    tail = ScoreTail.of(scores[SKIPPED : SKIPPED + RANKS], SKIPPED)
    assert tail is not None
    return tail


@pytest.mark.parametrize("videos", [100, 10_000])
def test_the_rate_is_the_share_of_catalogues_with_such_a_score(videos: int) -> None:
    rng = np.random.default_rng(3)
    catalogues = [best_scores(rng, videos) for _ in range(400)]
    bests = np.array([scores[0] for scores in catalogues])
    for level in (0.5, 0.9, 0.97):
        score = float(np.quantile(bests, level))
        rates = [-math.expm1(-tail_of(scores).expected(score)) for scores in catalogues]
        assert np.mean(rates) == pytest.approx(1 - level, abs=0.06)


def test_the_scale_does_not_depend_on_the_first_ranks() -> None:
    scores = best_scores(np.random.default_rng(4), 500)
    copies = np.concatenate([[0.9, 0.8], scores[2:]])
    assert tail_of(copies) == tail_of(scores)
    assert tail_of(scores).rank == SKIPPED + RANKS


def test_a_larger_catalogue_makes_the_same_score_more_often() -> None:
    rng = np.random.default_rng(5)
    small, large = (
        np.mean([tail_of(best_scores(rng, videos)).expected(0.5) for _ in range(40)])
        for videos in (100, 10_000)
    )
    assert large > 20 * small


def test_few_or_equal_scores() -> None:
    assert ScoreTail.of(np.full(5, 0.2), SKIPPED) is None
    equal = tail_of(np.full(RANKS + SKIPPED, 0.2))
    assert equal.expected(0.1) > 1 > equal.expected(0.3)


def test_every_view_that_was_searched_adds_to_the_rate() -> None:
    calibration = fixed_calibration("offline")
    tail, background = ScoreTail(25, 0.2, SCALE), BackgroundScores(0.25, 23)
    views = ("identity", "negative")
    one = ChanceScores({"identity": tail}, {"identity": background}, calibration)
    two = ChanceScores(dict.fromkeys(views, tail), dict.fromkeys(views, background), calibration)
    few, more = one.rate(0.5, "identity"), two.rate(0.5, "identity")
    assert few is not None
    assert more is not None
    assert 0 < few < more < 1
    assert one.rate(0.5, "negative") is None
