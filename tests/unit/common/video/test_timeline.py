"""One clock that only runs forward, from whatever stamps a container gives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.video.timeline import BROADCAST_GAP_SECONDS, TimelineClock

STEP = 0.04


@dataclass
class Shot:
    stamp_seconds: float | None
    duration_seconds: float = STEP
    kept: bool = False

    def keep(self) -> None:
        self.kept = True


def steady(count: int, start: float = 0.0, step: float = STEP) -> list[float]:
    return [start + step * number for number in range(count)]


def times(clock: TimelineClock, stamps: Sequence[float | None]) -> list[float]:
    return [timed.start_seconds for timed in clock.run(Shot(stamp) for stamp in stamps)]


stamps_of_any_kind = st.lists(
    st.one_of(st.none(), st.floats(-1e7, 1e7), st.integers(-50, 50).map(lambda n: n * STEP)),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(stamps_of_any_kind, st.sampled_from([BROADCAST_GAP_SECONDS, 600.0]))
def test_times_strictly_increase_and_every_frame_is_accounted_for(
    stamps: list[float | None], gap: float
) -> None:
    clock = TimelineClock(STEP, gap)
    got = times(clock, stamps)
    assert all(later > before for before, later in itertools.pairwise(got))
    assert len(got) + clock.late == len(stamps)
    # Nothing lasts longer than its longest believed gaps.
    if got:
        assert got[-1] - got[0] <= len(stamps) * gap


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.001, 9.9), max_size=60), st.floats(-1e4, 1e4))
def test_an_ordinary_clock_is_left_exactly_as_it_is(steps: list[float], start: float) -> None:
    stamps = list(itertools.accumulate(steps, initial=start))
    clock = TimelineClock(STEP, BROADCAST_GAP_SECONDS)
    assert times(clock, stamps) == [stamp - stamps[0] for stamp in stamps]
    assert (clock.jumps, clock.wild, clock.late) == (0, 0, 0)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(2, 200),
    st.integers(12, 200),
    st.one_of(st.floats(-1e5, -1.0), st.floats(700.0, 1e5)),
)
def test_what_is_joined_lasts_as_long_as_its_parts(first: int, second: int, shift: float) -> None:
    """Back or forward: the second part begins one frame after the first."""
    end = first * STEP
    clock = TimelineClock(STEP)
    got = times(clock, steady(first) + steady(second, end + shift))
    assert got == pytest.approx(steady(first + second))
    assert (clock.jumps, clock.late, clock.wild) == (1, 0, 0)


@settings(max_examples=200, deadline=None)
@given(st.integers(20, 80), st.data(), st.one_of(st.floats(1.5, 1e6), st.floats(-1e6, -5.0)))
def test_one_wild_stamp_changes_nothing_for_the_others(
    count: int, data: st.DataObject, by: float
) -> None:
    stamps = steady(count)
    at = data.draw(st.integers(1, count - 2))
    wild = [*stamps[:at], stamps[at] + by, *stamps[at + 1 :]]
    clock = TimelineClock(STEP)
    got = times(clock, wild)
    assert got == pytest.approx(stamps, abs=STEP)
    assert [*got[:at], *got[at + 1 :]] == pytest.approx([*stamps[:at], *stamps[at + 1 :]])
    assert (clock.wild, clock.jumps, clock.late) == (1, 0, 0)


def test_a_slide_is_held_as_long_as_it_is_shown() -> None:
    slides = [0.0, 30.0, 31.0, 95.0, 95.04, 95.08]
    assert times(TimelineClock(STEP), slides) == slides


def test_where_clocks_restart_by_design_a_long_gap_is_believed_only_with_a_proof() -> None:
    stamps = [0.0, STEP, 30.0, 30.04]
    assert times(TimelineClock(STEP, BROADCAST_GAP_SECONDS), stamps) == pytest.approx(steady(4))
    held = [Shot(0.0), Shot(STEP, 30.0 - STEP), Shot(30.0), Shot(30.04)]
    clock = TimelineClock(STEP, BROADCAST_GAP_SECONDS)
    assert [timed.start_seconds for timed in clock.run(held)] == stamps


def test_two_takes_hours_apart_are_one_film() -> None:
    got = times(TimelineClock(STEP), steady(100) + steady(100, 7_200.0))
    assert got == pytest.approx(steady(200))


def test_a_second_take_that_overlaps_by_a_few_frames_loses_none() -> None:
    clock = TimelineClock(STEP)
    got = times(clock, steady(50) + steady(50, 46 * STEP))
    assert got == pytest.approx(steady(100))


def test_frames_that_come_late_are_counted() -> None:
    clock = TimelineClock(STEP)
    stamps = [0.0, 0.04, 0.04, 0.08, 0.16, 0.12, 0.20, 0.24]
    assert times(clock, stamps) == [0.0, 0.04, 0.08, 0.16, 0.20, 0.24]
    assert clock.late == 2


def test_a_clock_that_stands_still_hides_nothing() -> None:
    got = times(TimelineClock(STEP), [0.0] * 100)
    assert len(got) >= 90
    assert all(later > before for before, later in itertools.pairwise(got))


def test_frames_without_a_stamp_follow_one_another() -> None:
    assert times(TimelineClock(STEP), [None, None, None]) == pytest.approx(steady(3))
    assert times(TimelineClock(STEP, origin_seconds=2.0), [2.5, None, 2.7]) == pytest.approx(
        [0.5, 0.54, 0.7]
    )


def test_what_is_held_back_is_told_to_shrink_and_is_little() -> None:
    shots = [Shot(stamp) for stamp in [*steady(5), 500.0, *steady(300, 501.0)]]
    list(TimelineClock(STEP).run(shots))
    assert 0 < sum(shot.kept for shot in shots) <= 16


def test_the_last_frame_ends_where_its_own_duration_says_within_reason() -> None:
    for duration, end in ((2.0, 2.0), (0.0, STEP), (90_000.0, STEP)):
        (timed,) = TimelineClock(STEP).run([Shot(5.0, duration)])
        assert (timed.start_seconds, timed.end_seconds) == (0.0, end)
