"""A second pass looks at what the copies of the first pass leave uncovered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.settings import SearcherSettings
from common.types import EVERYWHERE, Match, PassName, QueryEmbedding, TimeSpans
from embedder.query.passes import in_spans
from searcher.index.shard import Shard
from searcher.matching.cascade import match_cascade
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import Policies, Policy
from searcher.matching.uncovered import uncovered
from tests.support.made_films import copied, embeddings, film, mirrored, query
from tests.unit.searcher.matching.test_matcher import make_matcher

POLICIES = Policies(Policy(0.9, 0.3))


def report(seconds: float, *copies: tuple[float, float], probability: float = 0.99) -> MatchReport:
    runs = [
        Match(f"film-{n}", "default", start, end, start, end, 0.6, probability, "identity", 0.5)
        for n, (start, end) in enumerate(copies)
    ]
    return MatchReport("q", seconds, "model", (), ()).with_matches(runs, POLICIES)


def test_what_copies_cover_up_to_their_inexact_ends_is_covered() -> None:
    assert uncovered(report(60.0, (0.0, 60.0))) == ()
    assert uncovered(report(60.0, (3.5, 56.5))) == ()
    assert uncovered(report(60.0, (20.0, 30.0))) == ((0.0, 19.0), (31.0, 60.0))
    assert uncovered(report(60.0, (0.0, 20.0), (24.0, 60.0))) == ()
    assert uncovered(report(60.0, (0.0, 40.0), (10.0, 20.0))) == ((41.0, 60.0),)


def test_without_a_copy_the_whole_query_is_uncovered() -> None:
    assert uncovered(report(60.0)) == EVERYWHERE
    assert uncovered(report(60.0, (0.0, 60.0), probability=0.5)) == EVERYWHERE


def test_many_parts_are_taken_together() -> None:
    copies = [(10.0 * number, 10.0 * number + 4.0) for number in range(100)]
    assert uncovered(report(1000.0, *copies)) == ((5.0, 1000.0),)


times = st.floats(0.0, 100.0, allow_nan=False).map(lambda value: round(value, 2))


@given(st.lists(st.tuples(times, times).filter(lambda span: span[1] - span[0] > 0.1), min_size=1))
def test_each_moment_lies_in_a_copy_or_in_an_uncovered_part_or_near_one_of_their_ends(
    copies: list[tuple[float, float]],
) -> None:
    spans = uncovered(report(100.0, *copies))
    edges = [0.0, *(edge for span in spans for edge in span), 100.0]
    assert edges == sorted(edges)
    assert all(end - start >= 3.0 for start, end in spans)
    moments = np.arange(0.0, 100.0, 0.25)
    covered = in_spans(moments, tuple((a - 1.0, b + 1.0) for a, b in copies))
    left = in_spans(moments, spans)
    assert not (covered & left).any()
    neither = np.diff(np.flatnonzero(np.diff([0, *(~covered & ~left), 0])))[::2]
    assert (neither * 0.25 <= 3.25).all()


def test_a_hidden_copy_beside_a_plain_one_is_found(rng: np.random.Generator) -> None:
    """The first pass sees a plain copy of one film; the rest of the query is an edit of another one,
    which only the second pass sees."""
    plain, hidden = film(rng, 24), film(rng, 24)
    shard = Shard(SearcherSettings())
    for name, one in (("plain", plain), ("hidden", hidden), ("other", film(rng, 60))):
        shard.add(embeddings(name, one))
    both = query(np.concatenate([copied(rng, plain), mirrored(copied(rng, hidden))]))
    asked: list[tuple[PassName, TimeSpans]] = []

    def take(name: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        asked.append((name, within))
        number = 0 if name == "first" else 1
        shown = in_spans(both.window_start_seconds, within)
        yield replace(
            both,
            views=(both.views[number],),
            vectors=both.vectors[[number]],
            informative=both.informative[[number]] & shown,
        )

    found = match_cascade(make_matcher(shard), take)
    assert [name for name, _ in asked] == ["first", "closer"]
    ((start, end),) = asked[1][1]
    assert start == pytest.approx(25.0, abs=1.5)
    assert end == found.duration_seconds
    assert {match.video_id for match in found.matches} == {"plain", "hidden"}
    assert found.decisions == ("copy", "copy")
