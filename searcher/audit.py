"""Audits the index: compares searches with exact ones, and the shard with the mirror."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array
from searcher.index.protocols import AuditedIndex
from searcher.index.state import EVERYTHING, Filter
from searcher.local_index import LocalIndex

_K = 10
_QUERIES, _VIDEOS = 32, 64
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

    def __init__(self, index: LocalIndex, rng: random.Random | None = None) -> None:
        self._index = index
        self._rng = rng or random.Random()

    def audit(self) -> Audit:
        """Compare, and repair the shard from the mirror if they differ."""
        shard = self._index.frozen_shard()
        queries = self._queries(shard)
        recall = None if queries is None else measured_recall(shard, queries)
        names = {*self._index.videos.some(_VIDEOS), *shard.some_videos(_VIDEOS, self._rng)}
        chosen = self._rng.sample(sorted(names), min(_VIDEOS, len(names)))
        differ = [name for name in chosen if not self._index.level_with_mirror(name)]
        broken = [name for name in differ if not self._index.relevel(name)]
        repaired = [name for name in differ if name not in broken]
        asked = 0 if queries is None else len(queries)
        return Audit(recall, asked, len(chosen), repaired, broken)

    def _queries(self, shard: AuditedIndex) -> Float32Array | None:
        """float32 (n, 527): the newest queries, or indexed vectors if there are none yet."""
        sampled = list(self._index.sampled)
        if not sampled:
            for video_id in shard.some_videos(_QUERIES, self._rng):
                sampled += list(shard.vectors_of(video_id)[1][:1])
        return np.stack(sampled[-_QUERIES:]) if sampled and len(shard) else None


def measured_recall(shard: AuditedIndex, queries: Float32Array, k: int = _K) -> float:
    """recall@k of the search against exact search, over queries float32 (n, 527): of everything, of
    the bank of a segment found, and of all videos but those found first. A found segment counts if no
    closer one was missed, so ties at the end of the list do no harm."""
    near = [hits for hits in shard.search(queries, k) if hits]
    filters = [EVERYTHING]
    if near:
        filters.append(Filter(banks=frozenset({near[-1][-1].ref.bank})))
        filters.append(Filter(exclude_videos=frozenset(hits[0].ref.video_id for hits in near)))
    found, wanted = 0, 0
    for only in filters:
        pairs = zip(
            shard.search(queries, k, only), shard.search_exact(queries, k, only), strict=True
        )
        for hits, true_hits in pairs:
            if true_hits:
                least = true_hits[-1].score - _SAME_SCORE
                found += sum(hit.score >= least for hit in hits)
                wanted += len(true_hits)
    return found / wanted if wanted else 1.0
