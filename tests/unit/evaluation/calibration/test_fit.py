"""Calibrations fitted on made-up answers whose law is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.errors import UsageError
from evaluation.calibration.fit import fit
from evaluation.calibration.samples import Samples
from searcher.matching.scoring.calibration import BackgroundScores, Calibration, load_calibration

ANSWERS = 4000
VIEWS = ("identity", "left")


@pytest.fixture
def base() -> Calibration:
    return load_calibration("offline")


def samples(
    rng: np.random.Generator, *, left_is_higher_by: float = 0.0, strangers_spread: float = 0.0
) -> Samples:
    """Two candidates an answer: one of strangers through each view, and in every second answer a copy.

    Copies score 0.6 and strangers 0.2 on average, so a score of 0.4 is as often a copy's as a stranger's.
    """
    answer, right, view, score, background_mean = [], [], [], [], []
    for number in range(ANSWERS):
        mood = rng.normal(0, strangers_spread) if strangers_spread else 0.0
        for index in range(len(VIEWS)):
            answer.append(number)
            right.append(False)
            view.append(index)
            score.append(0.2 + mood + index * left_is_higher_by + rng.normal(0, 0.08))
            background_mean.append(0.1 + mood + index * left_is_higher_by)
        if number % 2:
            answer.append(number)
            right.append(True)
            view.append(0)
            score.append(0.6 + rng.normal(0, 0.08))
            background_mean.append(0.1 + mood)
    count = len(answer)
    return Samples(
        VIEWS,
        np.array(answer),
        np.array(right),
        np.array(view),
        np.array(score),
        np.full(count, 4.0),
        np.array(background_mean),
        np.full(count, 23.0),
        fold=np.arange(ANSWERS) % 5,
        absent=np.arange(ANSWERS) % 2 == 0,
    )


def test_the_probability_is_the_share_that_is_right(
    rng: np.random.Generator, base: Calibration
) -> None:
    fitted = fit(samples(rng), base, "made-up")
    assert (fitted.version, fitted.measured) == ("made-up", True)
    fresh = samples(np.random.default_rng(99))
    best: dict[int, tuple[float, bool]] = {}
    for number, answer in enumerate(fresh.answer.tolist()):
        view = VIEWS[fresh.view[number]]
        around = BackgroundScores(float(fresh.background_mean[number]), 23)
        probability = fitted.probability(
            fitted.normalised_score(float(fresh.score[number]), view, around)
        )
        best[answer] = max(
            best.get(answer, (-1.0, False)), (probability, bool(fresh.right[number]))
        )
    told = np.array(list(best.values()))
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.01)):
        inside = told[(told[:, 0] >= low) & (told[:, 0] < high)]
        assert inside[:, 0].mean() == pytest.approx(inside[:, 1].mean(), abs=0.08)


def test_the_default_policy_accepts_hardly_a_stranger(
    rng: np.random.Generator, base: Calibration
) -> None:
    fitted = fit(samples(rng), base, "made-up")
    fresh = samples(np.random.default_rng(98))
    accepted = 0
    for number in np.flatnonzero(~fresh.right & fresh.absent[fresh.answer]):
        around = BackgroundScores(float(fresh.background_mean[number]), 23)
        view = VIEWS[fresh.view[number]]
        excess = fitted.normalised_score(float(fresh.score[number]), view, around)
        accepted += fitted.probability(excess) >= fitted.copy_probability
    assert accepted <= 0.006 * ANSWERS / 2
    assert 0.1 <= fitted.review_probability <= fitted.copy_probability


def test_a_view_that_lifts_strangers_costs_what_it_lifts_them_by(
    rng: np.random.Generator, base: Calibration
) -> None:
    level = fit(samples(rng), base, "level")
    higher = fit(samples(rng, left_is_higher_by=0.1), base, "higher")
    assert higher.view_offset("left") - level.view_offset("left") == pytest.approx(0.1, abs=0.06)
    assert level.view_offset("identity") == higher.view_offset("identity") == 0.0
    assert higher.background_mean("left") == pytest.approx(0.2, abs=0.01)


def test_strangers_are_looked_at_where_queries_differ_in_them(
    rng: np.random.Generator, base: Calibration
) -> None:
    assert fit(samples(rng, strangers_spread=0.12), base, "moody").background_weight >= 0.75
    alone = fit(samples(rng, strangers_spread=0.12), base, "alone", (0.0,))
    assert alone.background_weight == 0.0


def test_a_fold_is_left_out_whole(rng: np.random.Generator) -> None:
    every = samples(rng)
    rest = every.without(2)
    assert set(every.fold[rest.answer].tolist()) == {0, 1, 3, 4}
    assert len(rest.answer) == len(rest.score) < len(every.answer)


def test_too_few_answers_and_copies_like_strangers_are_refused(
    rng: np.random.Generator, base: Calibration
) -> None:
    every = samples(rng)
    with pytest.raises(UsageError, match="too few answers"):
        fit(replace(every, right=np.zeros_like(every.right)), base, "none")
    worse = replace(every, score=np.where(every.right, every.score - 1, every.score))
    with pytest.raises(UsageError, match=r"too few|no calibration"):
        fit(worse, base, "worse")
