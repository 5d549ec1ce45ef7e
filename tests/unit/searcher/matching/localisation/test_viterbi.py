"""Frames that follow frames, on walks over a sphere: neighbours are alike, moments apart are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.types import Float32Array, Float64Array
from searcher.matching.localisation.viterbi import MatchedFrames, best_path

HOP = 0.5
LEVEL = 0.6


@pytest.fixture
def walk(rng: np.random.Generator) -> Float32Array:
    steps = np.cumsum(rng.normal(0, 0.35, (40, 64)), axis=0) + rng.normal(0, 1, 64)
    return unit(steps)


def unit(rows: np.ndarray) -> Float32Array:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def others(count: int) -> Float32Array:
    return unit(np.random.default_rng(7).normal(0, 1, (count, 64)))


def moments(count: int, step_seconds: float = HOP) -> Float64Array:
    return np.arange(count, dtype=np.float64) * step_seconds


def stretches(query: Float32Array, ref: Float32Array) -> list[MatchedFrames]:
    return best_path(query @ ref.T - LEVEL, moments(len(query)), moments(len(ref)))


def ends(found: list[MatchedFrames]) -> list[tuple[int, int, int, int]]:
    """First and last frame, of the query and of the reference."""
    return [
        (int(one.query[0]), int(one.query[-1]), int(one.ref[0]), int(one.ref[-1])) for one in found
    ]


def test_an_excerpt_is_followed_to_the_frame(walk: Float32Array) -> None:
    assert ends(stretches(walk[10:30], walk)) == [(0, 19, 10, 29)]


def test_an_insert_begins_and_ends_where_it_does(walk: Float32Array) -> None:
    query = np.concatenate([others(12), walk[10:16], others(9)])
    assert ends(stretches(query, walk)) == [(12, 17, 10, 15)]


def test_a_stranger_is_not_followed(walk: Float32Array) -> None:
    assert stretches(others(20), walk) == []


def test_cuts_give_a_stretch_each(walk: Float32Array) -> None:
    query = np.concatenate([walk[20:26], walk[3:9], walk[30:36]])
    assert ends(stretches(query, walk)) == [(0, 5, 20, 25), (6, 11, 3, 8), (12, 17, 30, 35)]


def test_a_film_that_runs_backwards_is_one_stretch(walk: Float32Array) -> None:
    ((first, last, ref_first, ref_last),) = ends(stretches(walk[::-1], walk))
    assert (first, last) == (0, 39)
    assert (ref_first, ref_last) == pytest.approx((39, 0), abs=1)


@pytest.mark.parametrize("tempo", [0.5, 2.0])
def test_another_tempo_is_one_stretch(walk: Float32Array, tempo: float) -> None:
    query = walk[(np.arange(int(40 / tempo)) * tempo).astype(int)]
    ((first, last, ref_first, ref_last),) = ends(stretches(query, walk))
    assert (first, last) == (0, len(query) - 1)
    assert (ref_first, ref_last) == pytest.approx((0, 39), abs=1)


def test_a_frame_that_stands_still_does_not_cut(walk: Float32Array) -> None:
    query = np.concatenate([walk[5:12], np.repeat(walk[12:13], 6, axis=0), walk[13:20]])
    assert ends(stretches(query, walk)) == [(0, 19, 5, 19)]


def test_moments_two_seconds_apart_are_followed_too(walk: Float32Array) -> None:
    query = walk[4:40:4]
    found = best_path(query @ walk.T - LEVEL, moments(len(query), 2.0), moments(40))
    assert ends(found) == [(0, 8, 4, 36)]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_stretches_lie_in_both_films_and_apart_in_the_query(
    frames: int, refs: int, seed: int
) -> None:
    similarity = np.random.default_rng(seed).uniform(-1, 1, (frames, refs)).astype(np.float32)
    found = best_path(similarity - 0.2, moments(frames), moments(refs))
    seen: list[int] = []
    for one in found:
        assert len(one.query) == len(one.ref) > 0
        assert (np.diff(one.query) == 1).all()
        assert one.ref.min() >= 0
        assert one.ref.max() < refs
        seen += one.query.tolist()
    assert seen == sorted(set(seen))


def test_nothing_follows_nothing() -> None:
    nothing = np.zeros((0, 3), dtype=np.float32)
    assert best_path(nothing, np.zeros(0), np.arange(3.0)) == []
