"""Distractors: real views first, then sequences drawn like them; none is searched by its own family."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UsageError
from common.types import VISUAL_DIMENSION
from embedder.query.features import QueryFeatures, ViewFeatures
from evaluation.data.datasets import DatasetVideo
from evaluation.data.distractors import MAX_DISTRACTORS, Distractor, make_distractors
from evaluation.methods.distractor_index import DistractorRows, WithDistractors
from evaluation.methods.exact_index import ArrayIndex, index_video
from tests.support.embeddings import unit_rows

VIDEOS = [DatasetVideo(name, f"/{name}", name, "pets" if name in "ab" else "") for name in "abcd"]
VIEWS = ("identity", "left", "negative")
RNG = np.random.default_rng(1)


def features() -> QueryFeatures:
    """A video of two segments of 4 s, two frames a second."""
    times = np.arange(16) / 2
    views = tuple(
        ViewFeatures(name, unit_rows(RNG, 16, VISUAL_DIMENSION), np.ones(16, dtype=bool), times)
        for name in VIEWS
    )
    actions = RNG.normal(size=(2, 15)).astype(np.float32)
    return QueryFeatures(8.0, np.array([[0.0, 4.0], [4.0, 8.0]]), actions, views)


ORIGINALS = {video.video_id: features() for video in VIDEOS}


def made(count: int) -> list[Distractor]:
    return list(make_distractors(count, VIDEOS, ORIGINALS, "mean"))


def test_a_larger_number_adds_to_a_smaller_one() -> None:
    few, many = made(11), made(61)
    assert sum(len(one.segments.refs) for one in few) == 11
    assert sum(len(one.segments.refs) for one in many) == 61
    assert [one.video_id for one in many[:5]] == [one.video_id for one in few[:5]]
    np.testing.assert_array_equal(many[3].segments.vectors, few[3].segments.vectors)
    kinds = [one.video_id.split("/")[1] for one in many]
    # Two views of four videos.
    assert kinds == ["real"] * 8 + ["mixed"] * (len(kinds) - 8)


def test_vectors_have_unit_norm_and_mixed_ones_are_no_copies_of_their_base() -> None:
    distractors = made(200)
    vectors = np.concatenate([one.segments.vectors for one in distractors])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    real = np.concatenate([one.segments.vectors for one in distractors[:8]])
    assert float((vectors[16:] @ real.T).max()) < 0.95


def test_a_query_searches_the_distractors_of_other_families_and_of_other_look_alikes() -> None:
    rows = DistractorRows(made(60))
    segments = {name: index_video(name, ORIGINALS[name], "mean") for name in "abcd"}
    index = WithDistractors(ArrayIndex(segments, "abcd"), rows, rows.unrelated([VIDEOS[0]]))
    wanted = segments["c"].vectors
    found = index.search(wanted, 30)
    assert [hits[0].ref.video_id for hits in found] == ["c", "c"]
    for hits in found:
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    sources = {one.video_id: one.source.video_id for one in made(60)}
    others = {
        sources[hit.ref.video_id] for hits in found for hit in hits if hit.ref.video_id in sources
    }
    assert others == {"c", "d"}
    name = next(hit.ref.video_id for hit in found[0] if hit.ref.video_id in sources)
    assert len(index.vectors_of(name).refs) in (1, 2)
    assert index.vectors_of("a").refs[0].video_id == "a"


def test_too_many_and_none_are_refused() -> None:
    with pytest.raises(UsageError, match="at most"):
        made(MAX_DISTRACTORS + 1)
    plain = QueryFeatures(
        8.0, ORIGINALS["a"].spans, ORIGINALS["a"].actions, ORIGINALS["a"].views[:1]
    )
    with pytest.raises(UsageError, match="no view"):
        list(make_distractors(5, VIDEOS[:1], {"a": plain}, "mean"))
