"""Videos are deleted while a query is matched."""

from __future__ import annotations

import numpy as np
import pytest

from common.settings import SearcherSettings
from common.types import Float32Array, Hit
from searcher.index.shard import Shard
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.policy import Policies, default_policy
from tests.support.embeddings import MODEL_ID
from tests.support.fixed_calibrations import fixed_calibration
from tests.support.made_films import copied, embeddings, film, query

COPIES = 30


class ShrinkingShard(Shard):
    """A shard that loses some videos after the first search."""

    def __init__(self, lost: list[str]) -> None:
        super().__init__(SearcherSettings())
        self._lost = lost

    def search(self, vectors: Float32Array, k: int, only: Filter = EVERYTHING) -> list[list[Hit]]:
        found = super().search(vectors, k, only)
        self.remove_videos(self._lost)
        return found


@pytest.mark.parametrize("stays", [True, False])
def test_videos_may_go_between_two_searches(rng: np.random.Generator, stays: bool) -> None:
    """So many copies take all places of a window that more is searched, and then some are gone."""
    original = film(rng, 40)
    copies = [f"copy-{number}" for number in range(COPIES)]
    shard = ShrinkingShard(copies[1:] if stays else copies)
    for name in copies:
        shard.add(embeddings(name, copied(rng, original)))
    for number in range(12):
        shard.add(embeddings(f"other-{number}", film(rng, 40)))
    calibration = fixed_calibration("offline")
    matcher = Matcher(shard, MODEL_ID, calibration, Policies(default_policy(calibration)))
    report = matcher.match(query(copied(rng, original)))
    assert [match.video_id for match in report.matches] == ["copy-0"] * stays
