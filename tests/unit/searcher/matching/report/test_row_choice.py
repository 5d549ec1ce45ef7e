"""Which runs of a video become rows of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from common.types import VECTOR_DIMENSION, Float32Array, Float64Array, SegmentRef
from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Run
from searcher.matching.alignment.temporal_fit import mean_along
from searcher.matching.localisation import row_comparison
from searcher.matching.localisation.row_comparison import Comparison, Row
from searcher.matching.report.row_choice import choose_rows
from tests.support.embeddings import unit_rows

Ranges = tuple[float, float, float, float]


def comparison() -> Comparison:
    """A query of 40 s with a window per second, and a video of 40 s with a segment per second that shows
    the same."""
    rows = unit_rows(np.random.default_rng(0), 40, VECTOR_DIMENSION)
    starts = np.arange(40.0)
    refs = [SegmentRef("film", start, start + 1) for start in starts.tolist()]
    segments = VideoSegments(refs, rows, [np.zeros((0, 64), dtype=np.int8)] * 40)
    return Comparison(np.arange(40), starts, starts + 1, rows, segments, starts, starts + 1)


def run(ranges: Ranges, score: float, tempo: float | None = 1.0) -> Run:
    return Run(*ranges, score, tempo, ((int(ranges[0]), int(ranges[2]), score),))


def chosen(*runs: Run) -> list[Row]:
    return choose_rows(runs, comparison(), lambda one: one, lambda _: False, lambda _: False)


def ranges_of(rows: Sequence[Row]) -> list[Ranges]:
    return [
        (
            row.localised.query_start_seconds,
            row.localised.query_end_seconds,
            row.localised.ref_start_seconds,
            row.localised.ref_end_seconds,
        )
        for row in rows
    ]


@pytest.mark.parametrize(
    ("second", "whole"),
    [
        ((0.25, 30.0, 0.25, 30.0), (0.0, 30.0, 0.0, 30.0)),
        ((6.0, 30.0, 6.25, 30.25), (0.0, 30.0, 0.0, 30.25)),
        ((9.0, 30.0, 9.0, 30.0), (0.0, 30.0, 0.0, 30.0)),
    ],
)
def test_a_run_that_goes_on_where_a_better_one_ends_makes_it_longer(
    second: Ranges, whole: Ranges
) -> None:
    best, further = run((0.0, 8.0, 0.0, 8.0), 0.97), run(second, 0.9)
    (row,) = chosen(best, further)
    assert ranges_of([row]) == [whole]
    assert (row.run.score, row.run.pairs) == (best.score, best.pairs)


def test_three_runs_on_one_line_are_one_row() -> None:
    parts = [
        ((20.0, 30.0, 20.0, 30.0), 0.97),
        ((0.0, 12.0, 0.0, 12.0), 0.95),
        ((11.0, 21.0, 11.0, 21.0), 0.9),
    ]
    rows = chosen(*(run(ranges, score) for ranges, score in parts))
    assert ranges_of(rows) == [(0.0, 30.0, 0.0, 30.0)]


def test_a_run_beside_the_line_contradicts_a_better_one() -> None:
    best = run((0.0, 8.0, 0.0, 8.0), 0.97)
    rows = chosen(best, run((0.25, 30.0, 1.75, 31.5), 0.9))
    assert ranges_of(rows) == ranges_of([Row(best, best)])


def test_a_run_after_a_gap_is_a_row_of_its_own() -> None:
    runs = [run((0.0, 8.0, 0.0, 8.0), 0.97), run((12.0, 30.0, 12.0, 30.0), 0.9)]
    assert ranges_of(chosen(*runs)) == ranges_of([Row(one, one) for one in runs])


def test_a_row_is_compared_with_the_video_once_however_many_better_rows_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[int] = []

    def counted(similarity: Float32Array, at: Float64Array, *others: Any) -> Float64Array:
        compared.append(len(at))
        return mean_along(similarity, at, *others)

    monkeypatch.setattr(row_comparison, "mean_along", counted)
    starts = [4.0 * number for number in range(10)]
    runs = [run((at, at + 2, 38 - at, 40 - at), 0.9) for at in starts]
    assert len(chosen(*runs)) == len(runs)
    assert 1 < len(compared) < len(runs)
