"""Searches that arrive together are one search of the index, and each gets its own answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import numpy as np
import pytest

from common.types import Float32Array
from searcher.api.search.joint_searches import JointSearches
from searcher.index.hit_fields import HitFields
from searcher.local_index import LocalIndex

Found = list[list[HitFields]]


class Recorded:
    """An index whose hits name their vectors."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._error = error

    def search_fields(self, vectors: Float32Array, k: int) -> Found:
        self.sizes.append((len(vectors), k))
        if self._error is not None:
            raise self._error
        return [[{"vector": float(vector[0]), "k": k}] for vector in vectors]


def vectors(*numbers: float) -> Float32Array:
    return np.array(numbers, dtype=np.float32)[:, None]


def answers(index: Recorded, *asked: tuple[Float32Array, int], most: int = 8) -> list[Any]:
    """The answer of each search, or its error, if all begin at the same time."""

    async def together() -> list[Any]:
        joint = JointSearches()
        tasks = (joint.search(cast(LocalIndex, index), some, k, most) for some, k in asked)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(together())


def found(numbers: list[float], k: int) -> Found:
    return [[{"vector": number, "k": k}] for number in numbers]


def test_searches_that_begin_together_are_one_and_have_their_own_answers() -> None:
    index = Recorded()
    got = answers(index, (vectors(1), 10), (vectors(2, 3), 10), (vectors(4), 10))
    assert got == [found([1], 10), found([2, 3], 10), found([4], 10)]
    assert index.sizes == [(4, 10)]


def test_only_as_many_vectors_as_allowed_are_searched_at_once() -> None:
    index = Recorded()
    got = answers(index, *((vectors(number), 5) for number in range(7)), most=3)
    assert got == [found([number], 5) for number in range(7)]
    assert index.sizes == [(3, 5), (3, 5), (1, 5)]


def test_a_search_that_is_alone_waits_for_no_other() -> None:
    index = Recorded()
    steps = JointSearches().search(cast(LocalIndex, index), vectors(1), 10, 8, alone=True)
    with pytest.raises(StopIteration) as done:
        steps.send(None)
    assert done.value.value == found([1], 10)


def test_searches_for_another_number_of_results_are_separate() -> None:
    index = Recorded()
    assert answers(index, (vectors(1), 5), (vectors(2), 9), (vectors(3), 5)) == [
        found([1], 5),
        found([2], 9),
        found([3], 5),
    ]
    assert index.sizes == [(2, 5), (1, 9)]


def test_an_error_reaches_every_search_that_it_concerns() -> None:
    index = Recorded(RuntimeError("broken"))
    got = answers(index, (vectors(1), 5), (vectors(2), 5))
    assert [str(error) for error in got] == ["broken", "broken"]
    assert index.sizes == [(2, 5)]


# The second one is searched with the first, which goes on before it can leave.
@pytest.mark.parametrize(("leaves", "searched"), [(0, 1), (1, 2)])
def test_a_search_that_is_cancelled_keeps_no_other_from_its_answer(
    leaves: int, searched: int
) -> None:
    index = Recorded()

    async def check() -> None:
        joint = JointSearches()
        tasks = [
            asyncio.ensure_future(joint.search(cast(LocalIndex, index), vectors(number), 5, 8))
            for number in range(2)
        ]
        await asyncio.sleep(0)
        tasks[leaves].cancel()
        assert await tasks[1 - leaves] == found([1 - leaves], 5)
        with pytest.raises(asyncio.CancelledError):
            await tasks[leaves]

    asyncio.run(check())
    assert index.sizes == [(searched, 5)]
