"""Bounds from codes are never below the exact score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from common.types import Float32Array
from searcher.index.vector_codes import VectorCodes
from tests.support.embeddings import unit_rows

_WIDTH = 48


def codes_of(vectors: Float32Array, at_once: int) -> VectorCodes:
    """Codes of vectors that are written some at a time."""
    codes = VectorCodes(len(vectors), vectors.shape[1])
    for start in range(0, len(vectors), at_once):
        codes.write(start, vectors[start : start + at_once])
    return codes


def with_large_numbers(rng: np.random.Generator) -> Float32Array:
    """Rows of which later ones have numbers far larger than the first ones."""
    vectors = unit_rows(rng, 300, _WIDTH)
    vectors[200:, 7] += 3.0
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_zeros_first(rng: np.random.Generator) -> Float32Array:
    vectors = unit_rows(rng, 300, _WIDTH)
    vectors[:20] = 0.0
    return vectors


def plain(rng: np.random.Generator) -> Float32Array:
    return unit_rows(rng, 300, _WIDTH)


@pytest.mark.parametrize("make", [plain, with_large_numbers, with_zeros_first])
def test_no_score_is_above_its_bound(
    make: Callable[[np.random.Generator], Float32Array], rng: np.random.Generator
) -> None:
    vectors = make(rng)
    queries = np.concatenate([vectors[::50], 2 * unit_rows(rng, 5, _WIDTH)])
    codes = codes_of(vectors, 20).compared(0, 300)
    bounds, numbers = codes.highest(queries, 300)
    exact = queries @ vectors.T
    assert all(codes.may_reach(queries[[one]], exact[[one]].max(axis=1)) for one in range(11))
    assert not codes.may_reach(queries, bounds[:, 0] + np.float32(0.01))
    for line in range(len(queries)):
        assert sorted(numbers[line].tolist()) == list(range(300))
        assert (bounds[line] >= exact[line, numbers[line]]).all()


def test_bounds_of_ordinary_vectors_are_close(rng: np.random.Generator) -> None:
    vectors = unit_rows(rng, 300, 528)
    bounds, numbers = codes_of(vectors, 20).compared(0, 300).highest(vectors[:10], 5)
    assert numbers[:, 0].tolist() == list(range(10))
    assert (bounds[:, 0] < 1.03).all()
    assert (bounds[:, 1:] < 0.5).all()


def test_only_the_rows_that_are_wanted_are_compared(rng: np.random.Generator) -> None:
    vectors = unit_rows(rng, 300, _WIDTH)
    _, numbers = codes_of(vectors, 300).compared(100, 150).highest(vectors[120:121], 3)
    assert numbers[0, 0] == 20
    _, numbers = codes_of(vectors, 300).compared(298, 300).highest(vectors[:1], 3)
    assert sorted(numbers[0].tolist()) == [0, 1]
