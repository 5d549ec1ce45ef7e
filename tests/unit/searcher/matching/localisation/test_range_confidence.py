"""How certain a range is: frames that fit in one place only, or in every place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.types import VISUAL_DIMENSION
from searcher.matching.localisation.frame_similarity import QueryFrames
from searcher.matching.localisation.range_confidence import CERTAIN, RangeEvidence, range_evidence
from searcher.matching.query_windows import QueryWindows
from tests.support.embeddings import unit_rows
from tests.unit.searcher.matching.localisation.test_localisation import (
    Reference,
    query_of,
    rough,
    walk,
)

FILM = walk(np.random.default_rng(1), 120)


def evidence(rows: np.ndarray, film: np.ndarray, ref: tuple[float, float]) -> RangeEvidence:
    query, reference = query_of(rows), Reference(film)
    frames = QueryFrames.of_view(QueryWindows.of(query), 0)
    return range_evidence(rough(query, ref), frames, reference.segments)


def test_a_copy_at_its_place_is_certain_and_at_another_one_it_is_not() -> None:
    rows = FILM[40:56]
    right, wrong = evidence(rows, FILM, (20.0, 28.0)), evidence(rows, FILM, (40.0, 48.0))
    assert right.confidence is not None
    assert wrong.confidence is not None
    assert right.confidence > 0.9 > CERTAIN > wrong.confidence
    assert (right.frames, right.on_line) == (16, True)


def test_a_picture_that_is_shown_all_the_time_is_anywhere() -> None:
    """A talking head: what differs between its frames is small and lost in an edit."""
    rng = np.random.default_rng(2)
    face = unit_rows(rng, 1, VISUAL_DIMENSION)
    film = (face + 0.1 * unit_rows(rng, 120, VISUAL_DIMENSION)).astype(np.float32)
    film /= np.linalg.norm(film, axis=1, keepdims=True)
    query = (face + 0.3 * unit_rows(rng, 8, VISUAL_DIMENSION)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    found = evidence(query, film, (20.0, 24.0))
    assert found.confidence is not None
    assert found.confidence < CERTAIN
    assert found.own == pytest.approx(found.other, abs=0.05)


def test_a_single_frame_of_a_whole_reference_has_no_other_place() -> None:
    found = evidence(FILM[:1], FILM[:1], (0.0, 0.5))
    assert found.other == -1.0
    assert found.confidence is not None
    assert found.confidence > 0.5


def test_without_an_order_in_time_the_range_is_compared_with_the_rest() -> None:
    query, reference = query_of(FILM[40:56][::-1].copy()), Reference(FILM)
    frames = QueryFrames.of_view(QueryWindows.of(query), 0)
    run = replace(rough(query, (20.0, 28.0)), tempo=None)
    found = range_evidence(run, frames, reference.segments)
    assert not found.on_line
    assert found.own > found.other + 0.05


def test_nothing_is_said_without_frames() -> None:
    reference = Reference(FILM)
    query = query_of(FILM[40:56])
    none = QueryFrames(np.zeros((0, VISUAL_DIMENSION), dtype=np.float32), np.zeros(0), 8.0)
    assert range_evidence(rough(query, (20.0, 28.0)), none, reference.segments).confidence is None


def test_two_parts_of_a_long_range_count_by_their_frames() -> None:
    one, other = RangeEvidence(30, 0.9, 0.3, True), RangeEvidence(10, 0.5, 0.5, True)
    both = one.joined(other)
    assert both.frames == 40
    assert (both.own, both.other) == pytest.approx((0.8, 0.35))
    assert both.on_line
    assert RangeEvidence().joined(RangeEvidence()) == RangeEvidence()
