"""The rows of a report, on synthetic videos: one row per match, with pairs in its ranges."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.types import VISUAL_DIMENSION
from tests.laws.test_crowding import matched
from tests.support.embeddings import unit_rows
from tests.support.made_films import FPS, copied, edited, film, unit

_SLOW = settings(
    deadline=None, max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck)
)


def test_a_part_that_the_reference_shows_three_times_is_told_three_times(
    rng: np.random.Generator,
) -> None:
    part = film(rng, 10)
    shown = [film(rng, 13), part, film(rng, 21), part, film(rng, 9), part, film(rng, 8)]
    videos = {"show": copied(rng, np.concatenate(shown)), "other": film(rng, 30)}
    report = matched(videos, copied(rng, part))
    starts = [match.ref_start_seconds for match in report.matches if match.video_id == "show"]
    assert list(report.decisions[:3]) == ["copy"] * 3
    assert np.allclose(sorted(starts), [13, 44, 63], atol=2.0)


def test_a_still_that_recurs_is_one_match(rng: np.random.Generator) -> None:
    still = np.repeat(film(rng, 1)[:1], 8, axis=0)
    logo = [part for _ in range(12) for part in (still, film(rng, 8))]
    again = [part for _ in range(12) for part in (still, film(rng, 8))]
    report = matched(
        {"show": copied(rng, np.concatenate(logo))}, copied(rng, np.concatenate(again))
    )
    assert [match.video_id for match in report.matches] == ["show"]


def test_each_part_of_a_slow_scene_is_told_where_it_is(rng: np.random.Generator) -> None:
    """Parts of two seconds look still; neighbours have a similarity of 0.88."""
    angle = 0.25 * np.arange(20)[:, None] / FPS
    ends = unit_rows(rng, 2, VISUAL_DIMENSION)
    scene, between = unit(np.cos(angle) * ends[:1] + np.sin(angle) * ends[1:]), film(rng, 20)
    parts = [part for at in range(0, 20, 4) for part in (scene[at : at + 4], between[at : at + 4])]
    report = matched({"scene": scene}, copied(rng, np.concatenate(parts), 0.008))
    told = sorted((row.query_start_seconds, row.ref_start_seconds) for row in report.matches)
    assert np.allclose(told, [(4.0 * number, 2.0 * number) for number in range(5)], atol=0.3)


@_SLOW
@given(
    seed=st.integers(0, 1000),
    calm=st.sampled_from([0.0, 0.8, 0.97]),
    similarity=st.sampled_from([0.6, 0.8, 0.95]),
)
def test_pairs_lie_in_the_ranges_and_no_row_lies_across_another(
    seed: int, calm: float, similarity: float
) -> None:
    """calm: how much all shots of a film have in common; with a high value it is like a talking head."""
    rng = np.random.default_rng(seed)
    shots = film(rng, 33)
    talking = (1 - calm) * shots + calm * shots[:1]
    talking /= np.linalg.norm(talking, axis=1, keepdims=True)
    asked = copied(rng, edited(rng, talking[20:44].astype(np.float32), similarity))
    report = matched({"head": talking, **{f"o{n}": film(rng, 20) for n in range(6)}}, asked)
    rows = [match for match, _ in report.judged if match.video_id == "head"]
    for row in rows:
        for pair in row.evidence["pairs"]:
            start, end = (
                int(part) / 1000 for part in pair["segment_id"].rpartition("@")[2].split("-")
            )
            assert start < row.ref_end_seconds
            assert end > row.ref_start_seconds
            assert pair["query_start_seconds"] < row.query_end_seconds
            assert pair["query_end_seconds"] > row.query_start_seconds
    for number, one in enumerate(rows):
        for other in rows[number + 1 :]:
            both = min(one.query_end_seconds, other.query_end_seconds) - max(
                one.query_start_seconds, other.query_start_seconds
            )
            shared = min(one.ref_end_seconds, other.ref_end_seconds) - max(
                one.ref_start_seconds, other.ref_start_seconds
            )
            assert min(both, shared) <= 1.0
