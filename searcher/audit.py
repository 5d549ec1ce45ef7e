"""Audits the index: compares searches with exact ones, and the shard with the mirror."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from common.slices import slices
from common.types import Float32Array
from searcher.index.protocols import AuditedIndex
from searcher.index.state import EVERYTHING, Filter
from searcher.video_index import VideoIndex

_K = 10
_QUERIES, _VIDEOS = 32, 64
_Item = TypeVar("_Item")
# CPU seconds for the queries, and for the videos: in a large index fewer are checked. At least one is.
SECONDS = 2.0
# Queries per batch; the time of the first query shows how long one takes.
_BATCH = 8
# Scores that differ by less are equal: the graph and the exact search add in another order.
_SAME_SCORE = 1e-5


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit. recall: share of the ten true nearest segments that searches found, in everything,
    in one bank, and without the videos found first; None if nothing is indexed. queries, videos:
    numbers checked. repaired, broken: videos in which shard and mirror differed; broken ones are
    incomplete in the mirror itself."""

    recall: float | None
    queries: int
    videos: int
    repaired: Sequence[str]
    broken: Sequence[str]

    @property
    def divergence(self) -> float:
        """Share of the videos in which shard and mirror differed."""
        return (len(self.repaired) + len(self.broken)) / self.videos if self.videos else 0.0


class Auditor:
    """Checks a random part of an index at each call."""

    def __init__(
        self, index: VideoIndex, rng: random.Random | None = None, seconds: float = SECONDS
    ) -> None:
        """seconds: CPU time for the queries, and as much for the videos."""
        self._index = index
        self._rng = rng or random.Random()
        self._seconds = seconds

    def audit(self) -> Audit:
        """Compare, and repair the shard from the mirror if they differ."""
        shard = self._index.frozen_shard()
        queries = self._queries(shard)
        recall, asked = None, 0
        if queries is not None:
            recall, asked = measured_recall(shard, queries, self._seconds)
        names = {*self._index.videos.some(_VIDEOS), *shard.some_videos(_VIDEOS, self._rng)}
        chosen = self._rng.sample(sorted(names), min(_VIDEOS, len(names)))
        checked = [
            (name, self._index.level_with_mirror(name))
            for name in _while_there_is_time(chosen, self._seconds)
        ]
        differ = [name for name, level in checked if not level]
        broken = [name for name in differ if not self._index.relevel(name)]
        repaired = [name for name in differ if name not in broken]
        return Audit(recall, asked, len(checked), repaired, broken)

    def _queries(self, shard: AuditedIndex) -> Float32Array | None:
        """float32 (n, 527): the newest queries, or indexed vectors if there are none yet."""
        sampled = list(self._index.sampled)
        if not sampled:
            for video_id in shard.some_videos(_QUERIES, self._rng):
                sampled += list(shard.vectors_of(video_id)[1][:1])
        return np.stack(sampled[-_QUERIES:]) if sampled and len(shard) else None


def measured_recall(
    shard: AuditedIndex, queries: Float32Array, seconds: float = SECONDS
) -> tuple[float, int]:
    """recall@k of the search against exact search, and the number of queries it was measured with: as
    many of `queries`, float32 (n, 527), as take this much CPU time, but at least one.

    Searched are everything, the bank of a segment found, and all videos but those found first. A found
    segment counts if no closer one was missed, so ties at the end of the list do no harm.
    """
    found, wanted, asked = 0, 0, 0
    for batch in _while_there_is_time([queries[:1], *slices(queries[1:], _BATCH)], seconds):
        near = [hits for hits in shard.search(batch, _K) if hits]
        filters = [EVERYTHING]
        if near:
            filters.append(Filter(banks=frozenset({near[-1][-1].ref.bank})))
            filters.append(Filter(exclude_videos=frozenset(hits[0].ref.video_id for hits in near)))
        for only in filters:
            pairs = zip(
                shard.search(batch, _K, only), shard.search_exact(batch, _K, only), strict=True
            )
            for hits, true_hits in pairs:
                if true_hits:
                    least = true_hits[-1].score - _SAME_SCORE
                    found += sum(hit.score >= least for hit in hits)
                    wanted += len(true_hits)
        asked += len(batch)
    return (found / wanted if wanted else 1.0), asked


def _while_there_is_time(items: Sequence[_Item], seconds: float) -> Iterator[_Item]:
    """The first item, and more until this thread has used this much CPU time."""
    began = time.thread_time()
    for item in items:
        yield item
        if time.thread_time() - began >= seconds:
            return
