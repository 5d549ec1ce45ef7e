"""Comparing queries with each of some vectors, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from searcher.index.flat_search import nearest_of


@pytest.mark.parametrize("allowed", [None, np.arange(0, 300, 3), np.array([7]), np.arange(0)])
@pytest.mark.parametrize("count", [1, 30])
def test_the_nearest_of_the_allowed_vectors_come_best_first(
    count: int, allowed: np.ndarray | None
) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((300, 32), dtype=np.float32)
    queries = rng.standard_normal((count, 32), dtype=np.float32)
    known = np.arange(300) if allowed is None else allowed
    exact = queries @ vectors[known].T
    order = np.argsort(-exact, axis=1)[:, :10]
    scores, numbers = nearest_of(vectors, queries, 10, allowed)
    assert numbers.tolist() == known[order].tolist()
    assert np.allclose(scores, np.take_along_axis(exact, order, axis=1), atol=1e-4)


def test_a_query_that_is_no_number_finds_nothing() -> None:
    vectors = np.eye(4, 16, dtype=np.float32)
    queries = np.full((1, 16), np.nan, dtype=np.float32)
    scores, numbers = nearest_of(vectors, queries, 2)
    assert numbers.tolist() == [[-1, -1]]
    assert np.isneginf(scores).all()
