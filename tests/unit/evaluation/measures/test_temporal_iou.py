"""Time ranges: intersection over union by eye, and segment uAP by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.measures.segment_ap import segment_ap
from evaluation.measures.statistics import Proportion
from evaluation.measures.temporal_iou import (
    RangeOverlap,
    intersection,
    iou,
    length,
    overlap,
    summarise_ranges,
    union,
)
from tests.support.evaluation_rows import found, piece, row

ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5)
WHOLE = (piece((0, 10), (0, 10)),)


def seconds(of: list[tuple[int, int]]) -> set[int]:
    return {second for start, end in of for second in range(start, end)}


def test_ranges_merge() -> None:
    assert union([(3, 5), (0, 2), (4, 6), (2, 2.5), (8, 8)]) == [(0, 2.5), (3, 6)]
    assert length([(0, 4), (2, 6)]) == 6
    assert intersection([(0, 4), (6, 8)], [(3, 7)]) == 2
    assert iou([(0, 10)], [(5, 15)]) == pytest.approx(5 / 15)


@settings(deadline=None)
@given(ranges, ranges)
def test_lengths_are_those_of_the_seconds_covered(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    assert length(a) == len(seconds(a))
    assert intersection(a, b) == len(seconds(a) & seconds(b))


@settings(deadline=None)
@given(ranges, ranges)
def test_iou_is_symmetric_and_one_on_equality(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    assert iou(a, b) == iou(b, a)
    assert iou(a, a) == 1
    assert 0 <= iou(a, b) <= 1
    assert (iou(a, b) == 1) == (seconds(a) == seconds(b))


def test_accepted_matches_speak_for_the_answer() -> None:
    asked = row(
        "with",
        found("self", 0.95, query=(0, 5), ref=(0, 5)),
        found("self", 0.92, query=(5, 10), ref=(5, 10)),
        found("self", 0.3, query=(10, 30), ref=(10, 30)),
        pieces=WHOLE,
    )
    assert overlap(asked) == RangeOverlap(1, 1)


def test_where_none_is_accepted_the_best_match_speaks() -> None:
    asked = row(
        "with",
        found("self", 0.4, query=(0, 5), ref=(0, 10)),
        found("self", 0.3, query=(5, 10)),
        pieces=WHOLE,
    )
    assert overlap(asked) == RangeOverlap(0.5, 1)
    assert RangeOverlap(0.5, 1).combined == 0.5


def test_only_the_video_the_query_was_made_of_is_judged() -> None:
    assert overlap(row("with", found("stranger", 0.9), pieces=WHOLE)) is None
    assert overlap(row("with", found("copy", 0.9), pieces=WHOLE)) is None
    assert overlap(row("with", found("self", 0.9))) is None


def test_pieces_may_be_shuffled_and_a_frozen_reference_is_not_judged() -> None:
    shuffled = (piece((0, 5), (5, 10), False), piece((5, 10), (0, 5), False))
    assert overlap(row("with", found("self", 0.9), pieces=shuffled)) == RangeOverlap(1, 1)
    frozen = (piece((0, 10), (3, 3), False),)
    assert overlap(row("with", found("self", 0.9), pieces=frozen)) == RangeOverlap(1, None)


def test_the_summary_counts_rows_that_were_found() -> None:
    made = summarise_ranges(
        [
            row("with", found("self", 0.9), pieces=WHOLE),
            row("with", found("self", 0.9, query=(0, 8), ref=(0, 8)), pieces=WHOLE),
            row("with", found("self", 0.9, query=(0, 5)), pieces=WHOLE),
            row("with", found("stranger", 0.9), pieces=WHOLE),
            row("all", found("self", 0.9, query=(0, 1)), pieces=WHOLE),
        ]
    )
    assert made.good == Proportion(2, 3)
    assert made.query == pytest.approx((1 + 0.8 + 0.5) / 3)
    assert made.ref == pytest.approx((1 + 0.8 + 1) / 3)


def test_segment_ap_of_exact_ranges_is_one() -> None:
    rows = [
        row("with", found("self", 0.9), pieces=WHOLE, video_id="a"),
        row("without", found("stranger", 0.5), video_id="a"),
    ]
    assert segment_ap(rows) == pytest.approx(1)


def test_segment_ap_by_hand() -> None:
    rows = [
        row("with", found("self", 0.9, query=(0, 5), ref=(0, 5)), pieces=WHOLE, video_id="a"),
        row("with", found("self", 0.7), pieces=WHOLE, video_id="b"),
        row("without", found("stranger", 0.8), video_id="c"),
    ]
    # 20 s are true on each axis. 0.9 claims 5 true ones: recall 5/20 at precision 1. 0.8 claims 10 wrong.
    # 0.7 claims 10 true ones: recall 15/20 at precision 15/25. 5 s are never claimed.
    assert segment_ap(rows) == pytest.approx(5 / 20 * 1 + 10 / 20 * 15 / 25)


def test_segment_ap_takes_the_geometric_mean_of_the_axes() -> None:
    one = row("with", found("self", 0.9, query=(0, 10), ref=(0, 40)), pieces=WHOLE)
    assert segment_ap([one]) == pytest.approx(math.sqrt(10 / 40))


def test_a_claim_beside_the_true_rectangle_counts_on_neither_axis() -> None:
    two = (piece((0, 10), (0, 10)), piece((10, 20), (10, 20)))
    crossed = found("self", 0.9, query=(0, 10), ref=(10, 20))
    assert segment_ap([row("with", crossed, pieces=two)]) == 0


def test_seconds_claimed_twice_count_once() -> None:
    twice = [found("self", p) for p in (0.9, 0.8)]
    assert segment_ap([row("with", *twice, pieces=WHOLE)]) == pytest.approx(1)


def test_partners_and_copies_by_others_claim_nothing() -> None:
    asked = row(
        "with", found("partner", 0.99), found("copy", 0.99), found("self", 0.9), pieces=WHOLE
    )
    assert segment_ap([asked]) == pytest.approx(1)


def test_segment_ap_needs_pieces_and_counts_what_failed() -> None:
    assert math.isnan(segment_ap([row("with", found("copy", 0.9), group="real", transform="copy")]))
    # What was asked as it is has pieces, and is not in the catalogue to be found by them.
    whole = row("with", found("copy", 0.9), group="real", transform="copy", pieces=WHOLE)
    assert math.isnan(segment_ap([whole]))
    good = row("with", found("self", 0.9), pieces=WHOLE, video_id="a")
    failed = row("with", error="broken", pieces=WHOLE, video_id="b")
    assert segment_ap([failed]) == 0
    assert segment_ap([good, failed]) == pytest.approx(0.5)


boxes = st.tuples(st.integers(0, 8), st.integers(1, 8), st.integers(0, 8), st.integers(1, 8))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["self", "stranger"]), st.sampled_from([0.1, 0.6, 0.9, 1.0]), boxes
        ),
        max_size=8,
    ),
    st.lists(boxes, min_size=1, max_size=3),
)
def test_segment_ap_lies_between_nothing_and_all(
    matches: list[tuple[str, float, tuple[int, int, int, int]]],
    truth: list[tuple[int, int, int, int]],
) -> None:
    asked = row(
        "with",
        *(
            found(what, p, query=(q, q + n), ref=(r, r + m))  # type: ignore[arg-type]
            for what, p, (q, n, r, m) in matches
        ),
        pieces=tuple(piece((q, q + n), (r, r + m)) for q, n, r, m in truth),
    )
    assert 0 <= segment_ap([asked]) <= 1
