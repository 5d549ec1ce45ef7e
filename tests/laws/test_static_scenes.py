"""Static scenes, on synthetic videos: a look-alike is no copy however long it is, a copy stays one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.types import VISUAL_DIMENSION, Float32Array
from searcher.matching.scoring.policy import Policy
from searcher.matching.scoring.static_scenes import TimeEvidence
from tests.laws.test_crowding import matched
from tests.support.embeddings import unit_rows
from tests.support.made_films import FPS, copied, film, unit

_SLOW = settings(
    deadline=None, max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck)
)
BACKENDS = ("offline", "sscd")


def scene(
    rng: np.random.Generator, picture: Float32Array, seconds: float, moving: float = 0.35
) -> Float32Array:
    """The frames of a scene that shows one picture, float32 (1, 512). moving: size of what changes within
    a second or two."""
    steps = unit_rows(rng, round(seconds * FPS), VISUAL_DIMENSION)
    for number in range(1, len(steps)):
        steps[number] = 0.6 * steps[number - 1] + 0.8 * steps[number]
    return unit(picture + moving * steps)


def like(rng: np.random.Generator, picture: Float32Array, similarity: float) -> Float32Array:
    """Another picture, float32 (1, 512), or an edit of the frames, that has this cosine to the given
    ones."""
    away = unit_rows(rng, 1, VISUAL_DIMENSION)
    away = unit(away - (away @ picture[0]) * picture[:1])
    return unit(similarity * picture + np.sqrt(1 - similarity**2) * away)


def test_other_recordings_of_a_static_scene_are_at_most_a_review() -> None:
    """Of 540 drawn scenes, chance made four of six seconds alike in time too."""
    copies = []
    for drawn in itertools.product([0.75, 0.85, 0.92], [0.0, 0.2, 0.4], [6, 24], BACKENDS):
        similarity, moving, seconds, backend = drawn
        rng = np.random.default_rng([round(100 * similarity), round(10 * moving), seconds])
        picture = unit_rows(rng, 1, VISUAL_DIMENSION)
        videos = {
            "camera": scene(rng, picture, seconds, moving),
            **{f"o{n}": film(rng, 20) for n in range(6)},
        }
        other_day = scene(rng, like(rng, picture, similarity), seconds, moving)
        report = matched(videos, copied(rng, other_day, 0.005), backend)
        best = next(run for run, _ in report.judged if run.video_id == "camera")
        likely = best.probability >= best.evidence["copy_probability"]
        copies += [drawn] if likely or report.decision == "copy" else []
    assert len(copies) <= 1, copies


@_SLOW
@given(
    seed=st.integers(0, 1000),
    similarity=st.sampled_from([0.8, 0.9]),
    moving=st.sampled_from([0.3, 0.45]),
    seconds=st.sampled_from([6.0, 12.0, 60.0]),
    backend=st.sampled_from(BACKENDS),
)
def test_an_edited_copy_of_a_static_scene_is_a_copy(
    seed: int, similarity: float, moving: float, seconds: float, backend: str
) -> None:
    """What moves in it moves at the same times."""
    rng = np.random.default_rng(seed)
    frames = scene(rng, unit_rows(rng, 1, VISUAL_DIMENSION), seconds, moving)
    videos = {"head": frames, **{f"o{n}": film(rng, 20) for n in range(6)}}
    report = matched(videos, copied(rng, like(rng, frames, similarity), 0.005), backend)
    assert report.decision == "copy"
    assert report.matches[0].video_id == "head"
    assert report.matches[0].evidence["static_scene"] is True


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_unmoving_picture_is_a_copy(rng: np.random.Generator, backend: str) -> None:
    frames = scene(rng, unit_rows(rng, 1, VISUAL_DIMENSION), 12, moving=0.0)
    report = matched({"slide": frames, "other": film(rng, 20)}, copied(rng, frames, 0.005), backend)
    assert report.decision == "copy"


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_a_person_must_see_is_never_accepted_under_any_policy(
    one: float, other: float
) -> None:
    review, copy = sorted((one, other))
    policy = Policy(copy, review)
    if copy > 0:
        assert policy.decide_probability(policy.review_limit) != "copy"
    if review < copy:
        assert policy.decide_probability(policy.review_limit) == "review"


def test_a_turned_match_whose_peak_cannot_be_measured_is_no_single_picture() -> None:
    assert TimeEvidence(static=True).is_one_picture
    assert not TimeEvidence(static=True, turned=True).is_one_picture
    assert TimeEvidence(static=True, support=0.0, turned=True).is_one_picture
