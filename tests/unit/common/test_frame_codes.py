"""Codes of frames: what they say of the similarity of any two frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.frame_codes import CodedFrames, _projection, encode_frames, valid_frames
from common.types import VISUAL_DIMENSION, Float32Array, Int8Array
from tests.support.embeddings import unit_rows


def segment(rng: np.random.Generator, frames: int, spread: float) -> tuple[Float32Array, ...]:
    """Frames around a common direction, (T, 512), and their mean, (512,)."""
    common = unit_rows(rng, 1, VISUAL_DIMENSION)
    rows = common + spread * unit_rows(rng, frames, VISUAL_DIMENSION)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mean = rows.mean(axis=0)
    return rows, (mean / np.linalg.norm(mean)).astype(np.float32)


def coded(codes: Int8Array, vector: Float32Array) -> CodedFrames:
    return CodedFrames(vector[None], codes, np.zeros(len(codes), dtype=np.int64))


def test_the_projection_is_orthonormal() -> None:
    projection = _projection()
    np.testing.assert_allclose(projection @ projection.T, np.eye(63), atol=1e-6)
    assert len(np.unique(np.abs(projection))) == 1


@given(st.integers(0, 2**31), st.floats(0.1, 1.5))
def test_similarity_is_kept_to_a_few_hundredths(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    rows, vector = segment(rng, 12, spread)
    codes = encode_frames(rows, np.ones(12, dtype=bool), vector)
    told = coded(codes, vector).like(rows)
    apart = np.sqrt(1 - np.minimum(rows @ vector, 1) ** 2)
    # The projection errs by 1 / sqrt(63) of what departs from the mean: five standard deviations. For a
    # frame with itself only rounding is left.
    bound = 0.02 + 5 / np.sqrt(63) * np.outer(apart, apart)
    np.fill_diagonal(bound, 0.03)
    assert (np.abs(told - rows @ rows.T) <= bound).all()


@given(st.integers(0, 2**31), st.floats(0.1, 1.5))
def test_two_coded_frames_are_about_as_alike_as_the_frames(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    (rows, vector), (near, other) = segment(rng, 12, spread), segment(rng, 12, spread)
    near = near + 2 * rows
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    known = np.ones(12, dtype=bool)
    ours, theirs = (encode_frames(one, known, to) for one, to in ((rows, vector), (near, other)))
    told = coded(theirs, other).like_coded(coded(ours, vector))
    # Neither frame is known but for 63 coordinates of what departs from its segment's vector.
    departs = [
        np.sqrt(1 - np.minimum(one @ to, 1) ** 2) for one, to in ((rows, vector), (near, other))
    ]
    bound = 0.03 + 7 / np.sqrt(63) * np.add.outer(*departs)
    assert (np.abs(told - rows @ near.T) <= bound).all()


def test_every_frame_is_told_from_the_others(rng: np.random.Generator) -> None:
    rows, vector = segment(rng, 8, 0.5)
    codes = encode_frames(rows, np.ones(8, dtype=bool), vector)
    told = coded(codes, vector).like(rows)
    assert told.argmax(axis=1).tolist() == list(range(8))
    assert coded(codes, vector).like_coded(coded(codes, vector)).argmax(axis=1).tolist() == list(
        range(8)
    )


def test_a_frame_without_information_is_like_nothing(rng: np.random.Generator) -> None:
    rows, vector = segment(rng, 3, 0.3)
    codes = encode_frames(rows, np.array([True, False, True]), vector)
    assert valid_frames(codes).tolist() == [True, False, True]
    told = coded(codes, vector).like(rows)
    assert told[:, 1] == pytest.approx(0)
    # One that is the opposite of its segment is a frame all the same.
    assert valid_frames(encode_frames(-rows, np.ones(3, dtype=bool), vector)).all()
