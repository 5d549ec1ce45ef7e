"""Searching a catalogue for its duplicates, on hand-made films."""

from __future__ import annotations

import numpy as np
import pytest

from common.settings import SearcherSettings
from common.types import Float32Array
from searcher.index.shard import Shard
from searcher.index.state import Filter
from searcher.matching.matcher import Matcher
from searcher.matching.retrieval.candidate_order import LISTED_CANDIDATES
from searcher.matching.retrieval.hits import HITS_PER_WINDOW
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.storage.video import Video
from storyhash.duplicates.rules import NO_RULES
from storyhash.duplicates.search import DuplicateSearch
from tests.support.embeddings import MODEL_ID, unit_rows, video
from tests.support.fixed_calibrations import fixed_calibration
from tests.support.made_films import FPS, copied, embeddings, film, unit


def search_in(films: dict[str, Float32Array], *, by_frames: bool = True) -> DuplicateSearch:
    shard = Shard(SearcherSettings())
    for name, frames in films.items():
        shard.add(embeddings(name, frames))
    shard.merge()
    videos = {
        name: Video(name, f"/films/{name}", version=1, duration_seconds=len(frames) / FPS)
        for name, frames in films.items()
    }
    calibration = fixed_calibration("offline")
    policies = Policies(default_policy(calibration))
    matcher = Matcher(shard, MODEL_ID, calibration, policies, by_frames=by_frames)
    return DuplicateSearch(matcher, videos, NO_RULES)


@pytest.fixture
def others(rng: np.random.Generator) -> dict[str, Float32Array]:
    return {f"other-{number:02}": film(rng, 40) for number in range(12)}


def test_eighty_copies_are_one_group(
    rng: np.random.Generator, others: dict[str, Float32Array]
) -> None:
    """Two encodings, each 40 times: the nearest hits of every copy are all of its own, and more copies
    than one search lists."""
    assert LISTED_CANDIDATES < 40
    assert HITS_PER_WINDOW < 40
    original = film(rng, 12)
    films = dict(others)
    for half in range(2):
        encoded = unit(original + rng.normal(0, 0.03, original.shape))
        for number in range(40):
            films[f"copy-{half}-{number:02}"] = unit(encoded + rng.normal(0, 0.0005, encoded.shape))
    # Ranges as segments tell them do here, at a tenth of the time.
    (group,) = search_in(films, by_frames=False).groups(films)
    assert group.copies == tuple(sorted(name for name in films if name.startswith("copy")))
    assert not group.excerpts
    assert not group.parts


def test_a_group_is_the_same_from_each_of_its_videos(
    rng: np.random.Generator, others: dict[str, Float32Array]
) -> None:
    original = film(rng, 40)
    films = dict(others)
    for number in range(4):
        films[f"copy-{number}"] = copied(rng, original)
    films["excerpt"] = copied(rng, original[24:56])
    films["compilation"] = np.concatenate(
        [copied(rng, original[16:40]), copied(rng, others["other-03"][16:40])]
    )
    everything = search_in(films, by_frames=False).groups(films)
    (group,) = [one for one in everything if len(one.copies) > 1]
    assert group.copies == ("copy-0", "copy-1", "copy-2", "copy-3")
    assert group.excerpts == ("excerpt",)
    assert "compilation" in group.videos
    assert group in search_in(films, by_frames=False).groups(["excerpt"])
    assert search_in(films, by_frames=False).groups(["other-05"]) == []
    (apart,) = [one for one in everything if "other-03" in one.copies]
    assert {(one.first, one.second) for one in apart.parts} == {("compilation", "other-03")}


def test_progress_counts_every_query(others: dict[str, Float32Array]) -> None:
    search = search_in(others, by_frames=False)
    calls: list[tuple[int, int]] = []
    search.on_query = lambda done, total: calls.append((done, total))
    assert search.groups(others) == []
    assert calls == [(number, 12) for number in range(12)]


def test_an_index_without_some_videos_gives_the_nearest_of_the_others(
    rng: np.random.Generator,
) -> None:
    shard = Shard(SearcherSettings())
    for number in range(30):
        shard.add(video(rng, f"v{number:02}", 5))
    shard.merge()
    queries = unit_rows(rng, 3)
    without = frozenset(f"v{number:02}" for number in range(0, 30, 2))
    found = shard.search(queries, 20, Filter(exclude_videos=without))
    everything = shard.search(queries, 150)
    for hits, every in zip(found, everything, strict=True):
        kept = [hit for hit in every if hit.ref.video_id not in without]
        assert [hit.ref for hit in hits] == [hit.ref for hit in kept[:20]]
    assert len(shard.search(queries, 100, Filter(exclude_videos=without))[0]) == 75
