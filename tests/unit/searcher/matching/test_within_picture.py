"""A picture within the picture adds videos, and takes nothing from what the whole picture shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from common.settings import SearcherSettings
from common.types import EVERYWHERE, Float32Array, PassName, QueryEmbedding, TimeSpans
from searcher.index.shard import Shard
from searcher.matching.cascade import match_cascade
from searcher.matching.report.match_report import MatchReport
from searcher.matching.within_picture import whole_picture, within_picture
from tests.support.made_films import copied, embeddings, film, query
from tests.unit.searcher.matching.test_matcher import make_matcher


def first_pass(whole: Float32Array, within: Float32Array) -> QueryEmbedding:
    """A query whose pictures show one film, and within them another one every three seconds."""
    outer, inner = query(whole), query(within)
    frames = np.isclose(inner.window_end_seconds - inner.window_start_seconds, 0.5)
    seen = inner.informative[0] & ~(frames & (inner.window_start_seconds % 3.0 > 0.1))
    vectors = np.where(seen[:, None], inner.vectors[0], np.float32(0))
    return replace(
        outer,
        views=("identity", "inner"),
        vectors=np.stack([outer.vectors[0], vectors]),
        informative=np.stack([outer.informative[0], seen]),
    )


def matched(
    query: QueryEmbedding, rng: np.random.Generator, **films: Float32Array
) -> tuple[MatchReport, list[tuple[PassName, TimeSpans]]]:
    """The report on a query whose second pass shows nothing, and the passes that were taken."""
    shard = Shard(SearcherSettings())
    for name, one in (*films.items(), ("other", film(rng, 60))):
        shard.add(embeddings(name, one))
    asked: list[tuple[PassName, TimeSpans]] = []

    def take(name: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        asked.append((name, within))
        empty = replace(
            query, views=(), vectors=query.vectors[:0], informative=query.informative[:0]
        )
        yield query if name == "first" else empty

    return match_cascade(make_matcher(shard), take), asked


def test_a_copy_within_the_picture_of_another_copy_is_found_without_a_second_pass(
    rng: np.random.Generator,
) -> None:
    """A reaction to one film that is shown within another one: both are in the catalogue."""
    around, shown = film(rng, 24), film(rng, 24)
    both = first_pass(copied(rng, around), copied(rng, shown))
    found, asked = matched(both, rng, around=around, shown=shown)
    assert [name for name, _ in asked] == ["first"]
    assert {match.video_id: match.view for match in found.matches} == {
        "around": "identity",
        "shown": "inner",
    }
    assert set(found.decisions) == {"copy"}


def test_what_the_whole_picture_shows_is_told_by_it_alone(rng: np.random.Generator) -> None:
    """A frame around a film makes it a picture within the picture too, which is even more like it."""
    shown = film(rng, 24)
    both = first_pass(copied(rng, shown, noise=0.04), shown)
    found, _ = matched(both, rng, shown=shown)
    alone, _ = matched(whole_picture(both), rng, shown=shown)
    assert [(match.view, match.video_id) for match in found.matches] == [("identity", "shown")]
    assert found.matches == alone.matches


@pytest.mark.parametrize("known", [True, False])
def test_a_copy_within_the_picture_of_an_unknown_video_is_left_to_both_passes(
    rng: np.random.Generator, known: bool
) -> None:
    shown = film(rng, 24)
    both = first_pass(film(rng, 24), copied(rng, shown))
    found, asked = matched(both, rng, **({"shown": shown} if known else {}))
    assert asked == [("first", EVERYWHERE), ("closer", EVERYWHERE)]
    assert [match.video_id for match in found.matches] == ["shown"] * known


def test_the_two_parts_of_a_first_pass_are_the_whole_of_it(rng: np.random.Generator) -> None:
    both = first_pass(film(rng, 12), film(rng, 12))
    whole, within = whole_picture(both), within_picture(both)
    assert (whole.views, within.views) == (("identity",), ("inner",))
    np.testing.assert_array_equal(whole.joined(within).vectors, both.vectors)
    np.testing.assert_array_equal(whole.joined(within).informative, both.informative)


def test_beside_copies_the_second_pass_has_pictures_within_the_picture_of_the_rest_only(
    rng: np.random.Generator,
) -> None:
    both = first_pass(film(rng, 12), film(rng, 12))
    rest = whole_picture(both).joined(within_picture(both, ((0.0, 3.0), (6.0, 9.0))))
    np.testing.assert_array_equal(rest.informative[0], both.informative[0])
    starts, ends = rest.window_start_seconds, rest.window_end_seconds
    inside = (ends <= 3.0) | ((starts >= 6.0) & (ends <= 9.0))
    np.testing.assert_array_equal(rest.informative[1], both.informative[1] & inside)
    assert rest.informative[1].any()
    assert not rest.vectors[1][~rest.informative[1]].any()
