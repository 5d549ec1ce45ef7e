"""Short searches in the event loop: those whose requests arrived together are one search of the index.

While a search runs, other requests arrive. Searched together, they take less time than one after another:
what a search costs besides the comparisons is paid once, and the comparisons use several cores.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np

from common.types import Float32Array
from searcher.index.hit_fields import HitFields
from searcher.video_index import VideoIndex


@dataclass(eq=False, slots=True)
class _Search:
    """A search that waits: of `vectors`, float32 (n, 527). found, error: set when it has ended."""

    index: VideoIndex
    vectors: Float32Array
    k: int
    found: list[list[HitFields]] = field(default_factory=list)
    error: Exception | None = None


class JointSearches:
    """Use it from one event loop."""

    def __init__(self) -> None:
        self._waiting: list[_Search] = []

    async def search(
        self, index: VideoIndex, vectors: Float32Array, k: int, most: int, *, alone: bool = False
    ) -> list[list[HitFields]]:
        """See `Shard.search_fields`. most: vectors that are searched at once. alone: no other request is
        open, so there is none to wait for, which takes a tenth of the time of a short search."""
        if alone and not self._waiting:
            return index.search_fields(vectors, k)
        own = _Search(index, vectors, k)
        self._waiting.append(own)
        try:
            # Requests whose bodies are there already add theirs now. The first one searches for all.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if own in self._waiting:
                self._waiting.remove(own)
            raise
        if own in self._waiting:
            _search(self._joined(own, most))
        if own.error is not None:
            raise own.error
        return own.found

    def _joined(self, own: _Search, most: int) -> list[_Search]:
        """This search and those that can join it, in the order of their arrival. They wait no more."""
        joined, left, size = list[_Search](), list[_Search](), len(own.vectors)
        for one in self._waiting:
            alike = one.index is own.index and one.k == own.k
            if one is not own and not (alike and size + len(one.vectors) <= most):
                left.append(one)
                continue
            joined.append(one)
            size += len(one.vectors) if one is not own else 0
        self._waiting = left
        return joined


def _search(searches: list[_Search]) -> None:
    first = searches[0]
    vectors = first.vectors
    if len(searches) > 1:
        vectors = np.concatenate([one.vectors for one in searches])
    try:
        found = first.index.search_fields(vectors, first.k)
    except Exception as error:
        for one in searches:
            one.error = error
        return
    for one in searches:
        one.found, found = found[: len(one.vectors)], found[len(one.vectors) :]
